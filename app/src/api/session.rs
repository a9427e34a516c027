//! Coming in, going out, and the first account.

use crate::Fault;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use serde::{Deserialize, Serialize};

/// Key of the person's id in the session.
const PERSON: &str = "person";

/// An account that the demo offers to everyone who looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoAccount {
    pub email: String,
    pub role: String,
    pub password: String,
}

/// What the sign-in and set-up pages need to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrance {
    /// Nobody has an account yet.
    pub empty: bool,
    pub demo: Vec<DemoAccount>,
    /// Somebody is signed in already.
    pub name: Option<String>,
}

/// What the sign-in and set-up pages need to know. For everyone.
#[server(name = ReadEntrance, prefix = "/read", endpoint = "entrance", input = GetUrl)]
pub async fn entrance() -> Result<Entrance, Fault> {
    use super::door::{self, OrFault as _};
    let control = door::control()?;
    let demo = control
        .demo_accounts()
        .iter()
        .map(|a| DemoAccount {
            email: a.email.to_owned(),
            role: a.role.words().to_owned(),
            password: control::DEMO_PASSWORD.to_owned(),
        })
        .collect();
    let empty = control.needs_set_up().await.or_fault()?;
    Ok(Entrance { empty, demo, name: use_context::<model::Actor>().map(|a| a.name) })
}

/// Signs in, and goes on to `next` (a path of ours).
#[server(prefix = "/do", endpoint = "sign-in")]
pub async fn sign_in(
    email: String,
    password: String,
    #[server(default)] next: Option<String>,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let control = door::control()?;
    let (person, _) = control.sign_in(&email, &password, &from_where().await).await.or_fault()?;
    open(person).await?;
    door::go(door::inside(next.as_deref().unwrap_or("/")));
    Ok(())
}

/// Ends the session.
#[server(prefix = "/do", endpoint = "sign-out")]
pub async fn sign_out() -> Result<(), Fault> {
    session().await?.flush().await.map_err(|e| lost(&e))?;
    super::door::go("/login");
    Ok(())
}

/// Makes the first administrator, and signs them in.
#[server(prefix = "/do", endpoint = "set-up")]
pub async fn set_up(name: String, email: String, password: String) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (person, _) = door::control()?.set_up(&name, &email, &password).await.or_fault()?;
    open(person).await?;
    door::go("/");
    Ok(())
}

async fn session() -> Result<tower_sessions::Session, Fault> {
    leptos_axum::extract::<tower_sessions::Session>().await.map_err(|e| lost(&e))
}

/// A new session id for whoever comes in, so that an id planted before signing in is worth nothing.
async fn open(person: model::PersonId) -> Result<(), Fault> {
    let session = session().await?;
    session.cycle_id().await.map_err(|e| lost(&e))?;
    session.insert(PERSON, person).await.map_err(|e| lost(&e))
}

fn lost(error: &dyn std::fmt::Display) -> Fault {
    tracing::warn!(%error, "the session store did not answer");
    super::door::refuse(model::Problem::unavailable(
        "Sign-in needs the database, which does not answer. Try again in a moment.",
    ))
}

/// The address somebody comes from: what the rate limit counts by.
async fn from_where() -> String {
    use axum::extract::ConnectInfo;
    leptos_axum::extract::<ConnectInfo<std::net::SocketAddr>>()
        .await
        .map_or_else(|_| "unknown".to_owned(), |ConnectInfo(address)| address.ip().to_string())
}
