//! Who asks: a bearer token's holder or a session's person, found once for each request.

use crate::problem::Refusal;
use crate::session::{self, PERSON};
use crate::state::AppState;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, header};
use model::{Actor, PersonId, Problem, Status};
use std::time::Duration;
use tower_sessions::Session;

/// How long Postgres may take to say who somebody is, before what memory says will do.
const ANSWER: Duration = Duration::from_secs(1);

/// What is known of who asks; in every request's extensions.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody said who they are, or their session is over.
    Nobody,
    Known(Actor),
    /// It cannot be said now: the database does not answer and memory does not know them.
    Unsure(Problem),
}

impl Caller {
    /// Who it is.
    ///
    /// # Errors
    /// 401 for nobody, saying how to become somebody; 503 when it cannot be said.
    pub fn actor(&self) -> Result<&Actor, Problem> {
        match self {
            Self::Known(actor) => Ok(actor),
            Self::Unsure(problem) => Err(problem.clone()),
            Self::Nobody => Err(Problem::new(
                Status::Unauthenticated,
                "Send `Authorization: Bearer <token>`, or sign in at /login. `tidegate token issue` makes tokens.",
            )),
        }
    }
}

/// What somebody showed to be let in; a stream that stays open asks it again.
#[derive(Clone, Debug)]
pub enum Proof {
    None,
    Token(String),
    Session(tower_sessions::session::Id),
}

impl Proof {
    /// Is it still good? In doubt, while the database is down, yes.
    pub async fn holds(&self, state: &AppState) -> bool {
        match self {
            Self::None => false,
            Self::Session(id) => state.sessions.alive(id),
            Self::Token(token) => {
                let asked = tokio::time::timeout(ANSWER, state.control.actor_by_token(token)).await;
                !matches!(asked, Ok(Err(p)) if p.status == Status::Unauthenticated)
            }
        }
    }
}

/// Whoever is signed in; refuses everybody else.
#[derive(Clone, Debug)]
pub struct Who(pub Actor);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let caller = parts.extensions.get::<Caller>().unwrap_or(&Caller::Nobody);
        Ok(Self(caller.actor()?.clone()))
    }
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Finds out who asks. A token that does not work is refused at once, whatever cookie comes with it.
pub async fn identify(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let mut proof = Proof::None;
    let caller = match bearer(request.headers()) {
        Some(token) => match tokio::time::timeout(ANSWER * 2, state.control.actor_by_token(token)).await {
            Ok(Ok(actor)) => {
                proof = Proof::Token(token.to_owned());
                Caller::Known(actor)
            }
            Ok(Err(problem)) => return Refusal::from(problem).into_response(),
            Err(_) => return Refusal::from(silent()).into_response(),
        },
        None => match request.extensions().get::<Session>().cloned() {
            Some(session) => {
                proof = session.id().map_or(Proof::None, Proof::Session);
                by_session(&state, &session, is_break_glass(&request)).await
            }
            None => Caller::Nobody,
        },
    };
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(proof);
    next.run(request).await
}

async fn by_session(state: &AppState, session: &Session, break_glass: bool) -> Caller {
    if session.id().is_none() {
        return Caller::Nobody;
    }
    let person = match session.get::<PersonId>(PERSON).await {
        Ok(Some(person)) => person,
        Ok(None) => return Caller::Nobody,
        Err(_) => return Caller::Unsure(silent()),
    };
    session::touch(session).await;
    let remembered = || state.control.actor_in_memory(person);
    if break_glass && let Some(actor) = remembered() {
        return Caller::Known(actor);
    }
    match tokio::time::timeout(ANSWER, state.control.actor(person)).await {
        Ok(Ok(actor)) => Caller::Known(actor),
        Ok(Err(p)) if p.status == Status::Unauthenticated => Caller::Nobody,
        Ok(Err(problem)) => Caller::Unsure(problem),
        // Slower than a person should wait: what was known lately will do, as it does when Postgres is down.
        Err(_) => remembered().map_or_else(|| Caller::Unsure(silent()), Caller::Known),
    }
}

/// Halting deeds. They wait for nothing that memory can answer.
fn is_break_glass(request: &Request) -> bool {
    let path = request.uri().path();
    !request.method().is_safe()
        && (path.starts_with("/do/rollback")
            || path.starts_with("/do/roll-back")
            || ["/rollback", "/abort", "/pause"].iter().any(|deed| path.ends_with(deed)))
}

fn silent() -> Problem {
    Problem::unavailable(
        "Tidegate cannot look up who you are: its database does not answer. Try again in a moment. Whoever was signed \
         in here during the last twelve hours can still roll back.",
    )
}
