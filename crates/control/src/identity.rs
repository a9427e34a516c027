//! Who somebody is: passwords, tokens, first run, and the memory that lets on-call act while Postgres is down.

use crate::error::{OrProblem as _, bug};
use crate::{Control, read_lock, write_lock};
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use chrono::{DateTime, TimeDelta, Utc};
use model::audit::NewEvent;
use model::{Action, Actor, Grant, PersonId, Problem, Role, Status, Via};
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::RwLock;
use store::{NewPerson, NewToken};

/// Within this time an answer from memory is as good as one from the database.
const FRESH: TimeDelta = TimeDelta::seconds(20);
/// While the database is down, whoever was known this long ago may still halt and roll back.
const BREAK_GLASS: TimeDelta = TimeDelta::hours(12);
/// Failed sign-ins allowed for one address or one account within [`TRY_WINDOW`].
const TRIES: i64 = 10;
const TRY_WINDOW: TimeDelta = TimeDelta::minutes(10);
const MIN_PASSWORD: usize = 10;

#[derive(Debug, Default)]
pub(crate) struct Cache {
    people: RwLock<HashMap<PersonId, (DateTime<Utc>, Actor)>>,
    /// By SHA-256 of the token.
    tokens: RwLock<HashMap<String, Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    read: DateTime<Utc>,
    expires: Option<DateTime<Utc>>,
    actor: Actor,
}

/// A token as shown once, on the day it was made.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    pub secret: String,
    pub name: String,
    pub expires: DateTime<Utc>,
}

impl Control {
    /// Checks an e-mail address and password.
    ///
    /// # Errors
    /// 401 with the same words whether the address or the password is wrong; 429 after too many failures for the
    /// address it comes from or the account; 503 without a database.
    pub async fn sign_in(
        &self,
        email: &str,
        password: &str,
        from: &str,
    ) -> Result<(PersonId, Actor), Problem> {
        let now = self.now_utc();
        let email = email.trim().to_ascii_lowercase();
        let since = now - TRY_WINDOW;
        let keys = [format!("email:{email}"), format!("ip:{from}")];
        for key in &keys {
            if self.store().sign_in_attempts(key, since).await.or_problem()? >= TRIES {
                return Err(Problem::new(
                    Status::TooMany,
                    "Too many failed sign-ins. Wait ten minutes, or ask an administrator.",
                ));
            }
        }
        let person = self.store().person_by_email(&email).await.or_problem()?;
        let hash = person.as_ref().and_then(|p| p.password_hash.clone());
        let password = password.to_owned();
        // Argon2 takes tens of milliseconds of CPU on purpose: keep it off the threads that serve pages. An unknown
        // address costs the same, so that the time does not tell which addresses exist.
        let right = tokio::task::spawn_blocking(move || verify_password(&password, hash.as_deref()))
            .await
            .map_err(|e| bug(&e))?;
        match person {
            Some(person) if right && !person.disabled => {
                let actor = Actor {
                    person: Some(person.id),
                    name: person.name,
                    grants: person.grants,
                    via: Via::Browser,
                };
                write_lock(&self.inner.identity.people).insert(person.id, (now, actor.clone()));
                let tx = self.store().begin().await.or_problem()?;
                let event =
                    NewEvent::new(now, &actor, "person.signed_in", format!("{} signed in", actor.name));
                tx.commit(event).await.or_problem()?;
                Ok((person.id, actor))
            }
            _ => {
                for key in &keys {
                    self.store().record_sign_in_attempt(key, now).await.or_problem()?;
                }
                Err(Problem::new(
                    Status::Unauthenticated,
                    "This e-mail address and password do not go together. Check both and try again.",
                ))
            }
        }
    }

    /// The person behind a session. From memory when fresh, or when the database does not answer.
    ///
    /// # Errors
    /// 401 when the account is gone or disabled; 503 when the database is down and the person was not here lately.
    pub async fn actor(&self, id: PersonId) -> Result<Actor, Problem> {
        let now = self.now_utc();
        let known = read_lock(&self.inner.identity.people).get(&id).cloned();
        if let Some((read, actor)) = &known
            && now - *read < FRESH
        {
            return Ok(actor.clone());
        }
        match self.store().person(id).await {
            Ok(p) if !p.disabled => {
                let actor = Actor { person: Some(p.id), name: p.name, grants: p.grants, via: Via::Browser };
                write_lock(&self.inner.identity.people).insert(id, (now, actor.clone()));
                Ok(actor)
            }
            Ok(_) | Err(store::Error::NotFound(_)) => {
                write_lock(&self.inner.identity.people).remove(&id);
                Err(Problem::new(Status::Unauthenticated, "This account is no longer in use. Sign in again."))
            }
            Err(e) => match known {
                Some((read, actor)) if now - read < BREAK_GLASS => Ok(actor),
                _ => Err(e).or_problem(),
            },
        }
    }

    /// The actor for a session known to this process, without asking the database at all: what a rollback uses.
    pub fn actor_in_memory(&self, id: PersonId) -> Option<Actor> {
        let now = self.now_utc();
        read_lock(&self.inner.identity.people)
            .get(&id)
            .filter(|(read, _)| now - *read < BREAK_GLASS)
            .map(|(_, actor)| actor.clone())
    }

    /// The actor behind a bearer token.
    ///
    /// # Errors
    /// 401 for a token that is unknown, revoked or expired; 503 when the database is down and the token was not
    /// used lately.
    pub async fn actor_by_token(&self, secret: &str) -> Result<Actor, Problem> {
        let now = self.now_utc();
        let hash = hash_token(secret);
        let known = read_lock(&self.inner.identity.tokens).get(&hash).cloned();
        if let Some(k) = &known
            && now - k.read < FRESH
            && k.expires.is_none_or(|e| e > now)
        {
            return Ok(k.actor.clone());
        }
        let refused = |words: &str| Err(Problem::new(Status::Unauthenticated, words));
        match self.store().token_by_hash(&hash).await {
            Ok(Some(token)) => {
                if token.revoked.is_some() {
                    write_lock(&self.inner.identity.tokens).remove(&hash);
                    return refused("This token was revoked. Ask an administrator for a new one.");
                }
                if token.expires <= now {
                    write_lock(&self.inner.identity.tokens).remove(&hash);
                    return refused("This token has expired. Ask an administrator for a new one.");
                }
                let actor =
                    Actor { person: token.person, name: token.name, grants: token.grants, via: Via::Api };
                let known = Known { read: now, expires: Some(token.expires), actor: actor.clone() };
                let mut tokens = write_lock(&self.inner.identity.tokens);
                if tokens.len() > 10_000 {
                    tokens.clear();
                }
                tokens.insert(hash, known);
                Ok(actor)
            }
            Ok(None) => {
                refused("This token is not known here. Check it, or ask an administrator for a new one.")
            }
            Err(e) => match known {
                Some(k) if now - k.read < BREAK_GLASS && k.expires.is_none_or(|x| x > now) => Ok(k.actor),
                _ => Err(e).or_problem(),
            },
        }
    }

    /// Nobody has an account yet: `/setup` makes the first administrator.
    ///
    /// # Errors
    /// 503 without a database.
    pub async fn needs_set_up(&self) -> Result<bool, Problem> {
        Ok(self.store().count_people().await.or_problem()? == 0)
    }

    /// Makes the first administrator, once.
    ///
    /// # Errors
    /// 409 when somebody has an account already; 422 for a name, address or password that will not do.
    pub async fn set_up(
        &self,
        name: &str,
        email: &str,
        password: &str,
    ) -> Result<(PersonId, Actor), Problem> {
        if !self.needs_set_up().await? {
            return Err(Problem::conflict("Tidegate is set up already. Sign in, or ask an administrator."));
        }
        let grants = vec![Grant { role: Role::Administrator, environment: None }];
        let system = Actor::system("set-up");
        let id = self.insert_person(&system, name, email, password, grants.clone(), true).await?;
        Ok((id, Actor { person: Some(id), name: name.trim().to_owned(), grants, via: Via::Browser }))
    }

    /// Adds a person. For administrators and the command line.
    ///
    /// # Errors
    /// 403, 409 for an address in use, 422.
    pub async fn add_person(
        &self,
        actor: &Actor,
        name: &str,
        email: &str,
        password: &str,
        grants: Vec<Grant>,
    ) -> Result<PersonId, Problem> {
        if actor.via != Via::Cli {
            actor.require(Action::Administer, "every environment")?;
        }
        self.insert_person(actor, name, email, password, grants, false).await
    }

    pub(crate) async fn insert_person(
        &self,
        actor: &Actor,
        name: &str,
        email: &str,
        password: &str,
        grants: Vec<Grant>,
        only_if_first: bool,
    ) -> Result<PersonId, Problem> {
        let (name, email) = (name.trim().to_owned(), email.trim().to_ascii_lowercase());
        let mut wrong = Vec::new();
        if name.is_empty() || name.chars().count() > 80 {
            wrong.push(model::FieldError::new("name", "Write a name of 1 to 80 characters."));
        }
        let at = email.split_once('@');
        if email.len() > 254 || !at.is_some_and(|(user, host)| !user.is_empty() && host.len() > 2) {
            wrong.push(model::FieldError::new("email", "Write an e-mail address: name@example.com."));
        }
        if password.chars().count() < MIN_PASSWORD {
            wrong.push(model::FieldError::new(
                "password",
                format!("Choose a password of at least {MIN_PASSWORD} characters."),
            ));
        }
        if !wrong.is_empty() {
            return Err(Problem::invalid(wrong));
        }
        let password = password.to_owned();
        let hash =
            tokio::task::spawn_blocking(move || hash_password(&password)).await.map_err(|e| bug(&e))??;
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        let new = NewPerson { email, name: name.clone(), password_hash: Some(hash), grants: grants.clone() };
        let id = if only_if_first {
            tx.insert_first_person(&new, now).await.or_problem()?
        } else {
            tx.insert_person(&new, now).await.or_problem()?
        };
        let roles: Vec<_> = grants.iter().map(|g| g.role.words()).collect();
        let mut event =
            NewEvent::new(now, actor, "person.added", format!("{name} added as {}", roles.join(", ")));
        event.detail = serde_json::json!({ "person": id, "grants": grants });
        tx.commit(event).await.or_problem()?;
        Ok(id)
    }

    /// Makes a bearer token. Only its SHA-256 is kept.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn issue_token(
        &self,
        actor: &Actor,
        name: &str,
        person: Option<PersonId>,
        grants: Vec<Grant>,
        expires: DateTime<Utc>,
    ) -> Result<IssuedToken, Problem> {
        if !matches!(actor.via, Via::Cli | Via::System) {
            actor.require(Action::Administer, "every environment")?;
        }
        let mut bytes = [0u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        let secret = format!("tg_{}", hex::encode(bytes));
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        let new = NewToken {
            hash: hash_token(&secret),
            name: name.to_owned(),
            person,
            grants: grants.clone(),
            expires,
        };
        tx.insert_token(&new, now).await.or_problem()?;
        let mut event = NewEvent::new(now, actor, "token.issued", format!("Token “{name}” issued"));
        event.detail = serde_json::json!({ "grants": grants, "expires": expires });
        tx.commit(event).await.or_problem()?;
        Ok(IssuedToken { secret, name: name.to_owned(), expires })
    }
}

fn hash_token(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

fn hash_password(password: &str) -> Result<String, Problem> {
    let mut bytes = [0u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    let salt = SaltString::encode_b64(&bytes).map_err(|e| bug(&e))?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|e| bug(&e))?.to_string())
}

/// Constant work whether there is a hash to compare with or not.
fn verify_password(password: &str, hash: Option<&str>) -> bool {
    match hash.map(PasswordHash::new) {
        Some(Ok(parsed)) => Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok(),
        _ => {
            let _ = hash_password(password);
            false
        }
    }
}
