//! A key for services, made by a form: the one deed that a page answers itself, instead of sending the browser on. Its secret
//! is shown once, and sending the browser on would need a place to keep it meanwhile.

use crate::auth::Caller;
use crate::problem::Refusal;
use crate::state::AppState;
use app::api::flags::{NewKey, issue_key};
use axum::Form;
use axum::body::Body;
use axum::extract::{FromRequest as _, Request};
use axum::response::{IntoResponse as _, Response};
use http::{Method, Uri};
use leptos::prelude::provide_context;
use model::{Problem, Status};

/// Where the form is posted to.
pub(crate) const ISSUE: &str = "/do/issue-flag-key";
/// The page that answers: it shows the form, what was wrong with it, or the secret.
const PAGE: &str = "/flags/keys/new";

/// Makes the key, and renders the page that shows it. Whoever is not signed in is sent to sign in by the page.
pub(crate) async fn issue<IV: leptos::IntoView + 'static>(
    state: AppState,
    request: Request,
    context: impl Fn() + Clone + Send + Sync + 'static,
    shell: impl Fn() -> IV + Clone + Send + Sync + 'static,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let form = Form::<NewKey>::from_request(Request::from_parts(parts.clone(), body), &()).await;
    let asked = match form {
        Ok(Form(asked)) => asked,
        Err(why) => {
            let words = format!("The form cannot be read: {}.", why.body_text());
            return Refusal::from(Problem::new(Status::Malformed, words)).into_response();
        }
    };
    let issued = match parts.extensions.get::<Caller>() {
        Some(Caller::Known(actor)) => Some(issue_key(&state.control, actor, asked).await),
        _ => None,
    };
    parts.uri = Uri::from_static(PAGE);
    parts.method = Method::GET;
    let context = move || {
        context();
        if let Some(issued) = &issued {
            provide_context(issued.clone());
        }
    };
    let render = leptos_axum::render_app_async_with_context(context, shell);
    render(Request::from_parts(parts, Body::empty())).await.into_response()
}
