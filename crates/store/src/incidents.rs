//! Incidents, and what people wrote about them. An incident is opened once by its key and changed only by whoever read
//! its newest version.

use crate::link::{Link, SqlAs};
use crate::{Error, Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::incident::{Entry, Incident, Lead, NewIncident, State};
use model::policy::Severity;
use model::{Grant, IncidentId, PersonId, ReleaseId, Role};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, QueryBuilder};

/// Which incidents to list. What is `None` or false does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    pub state: Option<State>,
    /// Only those that are not resolved.
    pub unresolved: bool,
    pub public: bool,
    pub severity: Option<Severity>,
    pub service: Option<String>,
    pub environment: Option<String>,
    pub release: Option<ReleaseId>,
    /// In title, impact, headline or service, in any case; or its number.
    pub text: Option<String>,
    /// Only those older than this one: the next page.
    pub before: Option<IncidentId>,
}

#[derive(FromRow)]
struct Row {
    id: i64,
    version: i64,
    document: Json<Map<String, Value>>,
}

impl Row {
    fn incident(self) -> Result<Incident> {
        let mut fields = self.document.0;
        fields.insert("id".into(), self.id.into());
        fields.insert("version".into(), self.version.into());
        serde_json::from_value(Value::Object(fields)).map_err(|e| Error::unreadable("incident", e))
    }
}

#[derive(FromRow)]
struct EntryRow {
    incident: i64,
    at: DateTime<Utc>,
    author: String,
    words: String,
    shown: Option<String>,
    impact: Option<String>,
}

impl EntryRow {
    fn entry(self) -> Result<(IncidentId, Entry)> {
        let update = match (self.shown, self.impact) {
            (Some(shown), Some(impact)) => {
                Some((document::from_word("shown state", shown)?, document::from_word("impact", impact)?))
            }
            _ => None,
        };
        let entry = Entry { at: self.at, author: self.author, words: self.words, update };
        Ok((IncidentId(self.incident), entry))
    }
}

const INCIDENTS: &str = "select id, version, document from incidents";

async fn list(link: &mut Link, sql: SqlAs<'_, Row>) -> Result<Vec<Incident>> {
    link.all(sql).await?.into_iter().map(Row::incident).collect()
}

impl Store {
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn incident(&self, id: IncidentId) -> Result<Incident> {
        let sql = format!("{INCIDENTS} where id = $1");
        let row: Option<Row> = self.link().await?.maybe(sqlx::query_as(&sql).bind(id.0)).await?;
        row.ok_or(Error::NotFound("incident"))?.incident()
    }

    /// Incidents that fit the filter, newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn incidents(&self, filter: &IncidentFilter, limit: i64) -> Result<Vec<Incident>> {
        let mut q = QueryBuilder::<Postgres>::new(format!("{INCIDENTS} where true"));
        if let Some(state) = filter.state {
            q.push(" and state = ").push_bind(document::word(&state)?);
        }
        if filter.unresolved {
            q.push(" and state <> 'resolved'");
        }
        if filter.public {
            q.push(" and public");
        }
        if let Some(severity) = filter.severity {
            q.push(" and severity = ").push_bind(document::word(&severity)?);
        }
        if let Some(service) = &filter.service {
            q.push(" and service = ").push_bind(service);
        }
        if let Some(environment) = &filter.environment {
            q.push(" and environment = ").push_bind(environment);
        }
        if let Some(release) = filter.release {
            q.push(" and release = ").push_bind(release.0);
        }
        if let Some(text) = filter.text.as_deref().filter(|t| !t.is_empty()) {
            q.push(" and (position(lower(").push_bind(text).push(
                ") in lower(concat_ws(' ', document ->> 'title', document ->> 'impact', \
                 document ->> 'headline', service))) > 0 or id::text = ",
            );
            q.push_bind(text).push(")");
        }
        if let Some(before) = filter.before {
            q.push(" and id < ").push_bind(before.0);
        }
        q.push(" order by id desc limit ").push_bind(limit);
        list(&mut self.link().await?, q.build_query_as()).await
    }

    /// How many are not resolved.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count_incidents(&self) -> Result<i64> {
        let sql = sqlx::query_as("select count(*) from incidents where state <> 'resolved'");
        self.link().await?.one(sql).await.map(|(n,): (i64,)| n)
    }

    /// What people wrote about these incidents, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn incident_entries(&self, ids: &[IncidentId]) -> Result<Vec<(IncidentId, Entry)>> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let sql = sqlx::query_as(
            "select incident, at, author, words, shown, impact from incident_entries
             where incident = any($1) order by id",
        )
        .bind(ids);
        self.link().await?.all(sql).await?.into_iter().map(EntryRow::entry).collect()
    }
}

impl Tx {
    /// Opens an incident. Under a key that was used before it is the incident opened then, unchanged, whoever opened
    /// it: two replicas that see the same trouble open one incident. Announces `incidents` and `incident:ID`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such release or person.
    pub async fn open_incident(&mut self, new: &NewIncident) -> Result<IncidentId> {
        let lead = match (&new.lead, new.auto_assign) {
            (Some(lead), _) => Some(lead.clone()),
            (None, true) => self.on_call(&new.environment).await?,
            (None, false) => None,
        };
        let lead = lead.map(|(person, name)| Lead { person, name, since: new.opened });
        let incident = Incident::new(IncidentId(0), new, lead);
        let document = document::to_text(&incident).map_err(|why| self.refuse(why))?;
        let sql = sqlx::query_as(
            "insert into incidents (key, document) values ($1, $2::json)
             on conflict (key) do nothing returning id",
        )
        .bind(&new.key)
        .bind(document);
        let id = match self.maybe::<(i64,)>(sql).await? {
            Some((id,)) => IncidentId(id),
            None => {
                let sql = sqlx::query_as("select id from incidents where key = $1").bind(&new.key);
                IncidentId(self.one::<(i64,)>(sql).await?.0)
            }
        };
        self.tell(id);
        Ok(id)
    }

    /// Writes an incident over the version it was read at, and returns the new version. Announces it.
    ///
    /// # Errors
    /// [`Error::Conflict`] when somebody wrote it since; [`Error::NotFound`].
    pub async fn put_incident(&mut self, incident: &Incident) -> Result<i64> {
        let document = document::to_text(incident).map_err(|why| self.refuse(why))?;
        // Fields that only a newer version of Tidegate knows stay.
        let sql = sqlx::query_as(
            "update incidents set version = version + 1, document = (document::jsonb || $3::jsonb)::json
             where id = $1 and version = $2 returning version",
        )
        .bind(incident.id.0)
        .bind(incident.version)
        .bind(document);
        if let Some((version,)) = self.maybe::<(i64,)>(sql).await? {
            self.tell(incident.id);
            return Ok(version);
        }
        let there: Option<(i64,)> = self
            .maybe(sqlx::query_as("select version from incidents where id = $1").bind(incident.id.0))
            .await?;
        Err(self.refuse(match there {
            None => Error::NotFound("incident"),
            Some((newest,)) => Error::Conflict(format!(
                "Incident {} was changed meanwhile: it is at version {newest}, not {}. Look at it again, then repeat \
                 your change.",
                incident.id, incident.version
            )),
        }))
    }

    /// Keeps what somebody wrote about an incident.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such incident.
    pub async fn insert_incident_entry(&mut self, id: IncidentId, entry: &Entry) -> Result<()> {
        let (shown, impact) = entry.update.unzip();
        let sql = sqlx::query(
            "insert into incident_entries (incident, at, author, words, shown, impact)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.0)
        .bind(entry.at)
        .bind(&entry.author)
        .bind(&entry.words)
        .bind(shown.map(model::incident::Shown::key))
        .bind(impact.map(model::incident::Impact::key));
        self.run(sql).await?;
        self.tell(id);
        Ok(())
    }

    fn tell(&mut self, id: IncidentId) {
        self.notify("incidents");
        self.notify(format!("incident:{id}"));
    }

    /// Who is on call for an environment, as far as that is one person. See [`model::incident::lead`].
    async fn on_call(&mut self, environment: &str) -> Result<Option<(PersonId, String)>> {
        let sql = sqlx::query_as(
            "select id, name, grants from people
             where disabled is null and grants @> '[{\"role\": \"on-call\"}]' order by id",
        );
        let people: Vec<(i64, String, Json<Vec<Grant>>)> = self.all(sql).await?;
        let holds = |grants: &[Grant]| {
            grants
                .iter()
                .any(|g| g.role == Role::OnCall && g.environment.as_deref().is_none_or(|e| e == environment))
        };
        let on_call: Vec<_> =
            people.into_iter().filter(|p| holds(&p.2.0)).map(|p| (PersonId(p.0), p.1)).collect();
        let sql = sqlx::query_as(
            "select lead from incidents where lead is not null and environment = $1 order by id desc limit 1",
        )
        .bind(environment);
        let last = self.maybe::<(i64,)>(sql).await?.map(|(id,)| PersonId(id));
        Ok(model::incident::lead(&on_call, last).cloned())
    }
}
