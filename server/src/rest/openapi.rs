//! The routes with their description.

use super::{
    analyses, audit, charts, events, flag_keys, flags, incidents, notifications, plans, policies, rehearsals,
    releases, samples, status, workloads,
};
use crate::problem::{FieldErrorBody, ProblemBody, ProblemResponse};
use crate::state::AppState;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidegate",
        description = "Plans, approvals, releases and rollbacks. Errors are problems by RFC 9457 that say what is \
                       wrong and what to do.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/")),
    security(("bearer" = []), ("session" = [])),
    tags(
        (name = "plans", description = "Written, approved by digest, started"),
        (name = "releases", description = "Executions of a plan, and every deed on one"),
        (name = "policies", description = "What makes a release go back by itself"),
        (name = "flags", description = "Feature flags: what each is for whom, the kill switch, the keys of services. They ask \
                                        at /ofrep/v1, by the OpenFeature Remote Evaluation Protocol 0.3"),
        (name = "workloads", description = "What is in the clusters"),
        (name = "incidents", description = "What users felt, from the alarm until it was over"),
        (name = "notifications", description = "Who is told what happens, and what was told"),
        (name = "audit", description = "Everything that happened, in a chain of hashes"),
        (name = "status", description = "What users feel, in Statuspage's shape. Public"),
    ),
    components(schemas(ProblemBody<'static>, FieldErrorBody), responses(ProblemResponse)),
)]
struct Description;

/// Every route of the API proper.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(plans::list, plans::create))
        .routes(routes!(plans::read, plans::edit))
        .routes(routes!(plans::decide, plans::revoke))
        .routes(routes!(plans::start))
        .routes(routes!(rehearsals::rehearse))
        .routes(routes!(releases::list))
        .routes(routes!(releases::read))
        .routes(routes!(releases::pause))
        .routes(routes!(releases::resume))
        .routes(routes!(releases::promote))
        .routes(routes!(releases::promote_full))
        .routes(routes!(releases::skip))
        .routes(routes!(releases::abort))
        .routes(routes!(releases::open_gate))
        .routes(routes!(releases::roll_back))
        .routes(routes!(releases::retry))
        .routes(routes!(policies::list))
        .routes(routes!(policies::write))
        .routes(routes!(policies::try_out))
        .routes(routes!(policies::watch))
        .routes(routes!(policies::stop))
        .routes(routes!(policies::watch_service))
        .routes(routes!(policies::stop_service))
        .routes(routes!(policies::lift))
        .routes(routes!(events::follow))
        .routes(routes!(samples::read))
        .routes(routes!(charts::chart))
        .routes(routes!(charts::report))
        .routes(routes!(analyses::read))
        .routes(routes!(workloads::list))
        .routes(routes!(workloads::known_good))
        .routes(routes!(charts::compare))
        .routes(routes!(workloads::roll_back))
        .routes(routes!(workloads::resume_sync))
        .routes(routes!(workloads::restart))
        .routes(routes!(flags::list))
        .routes(routes!(flags::read))
        .routes(routes!(flags::try_out))
        .routes(routes!(flags::kill))
        .routes(routes!(flags::revive))
        .routes(routes!(flag_keys::list, flag_keys::issue))
        .routes(routes!(flag_keys::revoke))
        .routes(routes!(incidents::list, incidents::open))
        .routes(routes!(incidents::read, incidents::edit))
        .routes(routes!(incidents::lead))
        .routes(routes!(incidents::publish))
        .routes(routes!(incidents::note))
        .routes(routes!(incidents::tell))
        .routes(routes!(incidents::watch))
        .routes(routes!(incidents::resolve))
        .routes(routes!(incidents::reopen))
        .routes(routes!(notifications::destinations, notifications::add))
        .routes(routes!(notifications::change, notifications::remove))
        .routes(routes!(notifications::test))
        .routes(routes!(notifications::list))
        .routes(routes!(notifications::retry))
        .routes(routes!(audit::read))
        .routes(routes!(audit::verify))
        .routes(routes!(status::summary))
        .routes(routes!(status::overall))
        .routes(routes!(status::components))
        .routes(routes!(status::incidents))
        .routes(routes!(status::unresolved))
        .routes(routes!(status::maintenances))
}

/// The document as it is served.
pub(crate) fn finish(mut document: utoipa::openapi::OpenApi) -> String {
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token from `tidegate token issue`."))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let session =
        ApiKeyValue::with_description("tidegate", "The cookie of a signed-in browser; same origin only.");
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    document.to_pretty_json().unwrap_or_default()
}
