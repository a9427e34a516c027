//! What can go wrong with the database, told apart by what people can do about it.

use std::error::Error as StdError;

/// A failure. Its text says what is wrong, then what to do; causes are `source`s.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres is down, frozen, unreachable or overloaded. Whether a commit that ended so was carried out is not
    /// known: read before trying again.
    #[error("The database does not answer. Try again in a moment.")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// Somebody else changed it at the same time, or a rule of the data forbids it. Nothing was written.
    #[error("{0}")]
    Conflict(String),
    /// The lease's epoch moved on: another replica drives the release. Nothing was written.
    #[error("Another replica drives this release now.")]
    Fenced,
    #[error("There is no such {0}.")]
    NotFound(&'static str),
    /// What is stored cannot be read, or what was to be stored contradicts itself.
    #[error("{0}")]
    Corrupt(String),
    /// A fault in Tidegate or in the database's set-up.
    #[error("The database refused a statement.")]
    Sqlx(#[source] sqlx::Error),
}

/// Postgres was silent for longer than it may be.
#[derive(Debug, thiserror::Error)]
#[error("no answer in time")]
struct Silent;

impl Error {
    pub(crate) fn silent() -> Self {
        Self::Unavailable(Box::new(Silent))
    }

    pub(crate) fn unreadable(what: &str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("The stored {what} cannot be read: {why}."))
    }
}

impl From<sqlx::Error> for Error {
    fn from(e: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &e {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) => {
                Self::Unavailable(Box::new(e))
            }
            E::RowNotFound => Self::NotFound("row"),
            E::ColumnDecode { .. } | E::Decode(_) => Self::unreadable("row", &e),
            E::Database(db) => {
                let code = db.code().unwrap_or_default();
                if silent(&code) {
                    return Self::Unavailable(Box::new(e));
                }
                match db.constraint().and_then(broken) {
                    Some(known) => known,
                    // Two transactions in each other's way: serialization failure, deadlock.
                    None if matches!(&*code, "40001" | "40P01") => Self::Conflict(
                        "Somebody changed this at the same moment. Look again, then repeat it.".into(),
                    ),
                    // NUL, in text or in JSON: Postgres has no place for it.
                    None if matches!(&*code, "22021" | "22P05") => {
                        Self::Conflict("A text holds a character that cannot be stored. Remove it.".into())
                    }
                    None => Self::Sqlx(e),
                }
            }
            _ => Self::Sqlx(e),
        }
    }
}

/// SQLSTATEs of a server that cannot serve now. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn silent(code: &str) -> bool {
    // Connection exception, insufficient resources, operator intervention (shutdown, statement timeout), system error.
    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        // Lock timeout, idle-in-transaction timeout, a standby that takes no writes.
        || matches!(code, "55P03" | "25P03" | "25006")
}

/// What a broken constraint means.
fn broken(constraint: &str) -> Option<Error> {
    let conflict = |words: &str| Some(Error::Conflict(words.to_owned()));
    match constraint {
        "plans_name_key" => conflict("The service has a plan of this name already. Choose another name."),
        "plan_versions_pkey" => conflict("The plan was edited meanwhile. Look at the newest version."),
        "releases_one_active" => {
            conflict("A release of this workload is under way already. Wait until it has ended, or abort it.")
        }
        "people_email_key" => conflict("There is an account with this address already."),
        "destinations_name_key" => {
            conflict("There is a destination of this name already. Choose another name.")
        }
        "notifications_once" => conflict("This was told there already."),
        "tokens_hash_key" => conflict("This token was issued already."),
        "flag_keys_hash" | "flag_keys_stream" => conflict("This key was issued already."),
        "attempts_pkey" => conflict("This attempt was begun already."),
        "approvals_version_fkey" => {
            conflict("The plan has no version with this digest. Look at the newest version.")
        }
        "releases_plan_fkey" | "rehearsals_plan_fkey" => Some(Error::NotFound("version of the plan")),
        "approvals_person_fkey"
        | "plan_versions_author_fkey"
        | "flag_changes_person_fkey"
        | "tokens_person_fkey"
        | "incidents_lead_fkey" => Some(Error::NotFound("person")),
        "incident_entries_incident_fkey" => Some(Error::NotFound("incident")),
        "leases_release_fkey"
        | "attempts_release_fkey"
        | "samples_release_fkey"
        | "verdicts_release_fkey"
        | "incidents_release_fkey"
        | "release_analyses_release_fkey"
        | "known_good_release_fkey" => Some(Error::NotFound("release")),
        "release_measurements_run_fkey" => Some(Error::NotFound("analysis")),
        _ => None,
    }
}
