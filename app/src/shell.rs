//! The HTML document around the app, and the policy that it is served under.

use crate::components::icon::sprite;
use crate::routes::App;
use leptos::config::LeptosOptions;
use leptos::prelude::*;
use leptos_meta::{HashedStylesheet, MetaTags};

/// The document. Scripts carry the response's nonce; the Content-Security-Policy header is set here, because only
/// here the nonce is known.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    #[cfg(feature = "ssr")]
    policy();
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <HashedStylesheet options=options.clone() id="style"/>
                <HydrationScripts options/>
                <MetaTags/>
            </head>
            <body>
                <App/>
                {sprite()}
            </body>
        </html>
    }
}

/// No inline styles, no foreign origins, scripts only from here or with this response's nonce.
#[cfg(feature = "ssr")]
fn policy() {
    use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
    let Some(response) = use_context::<leptos_axum::ResponseOptions>() else { return };
    let nonce = leptos::nonce::use_nonce().map(|n| format!(" 'nonce-{n}'")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'{nonce} 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
         font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    if let Ok(value) = HeaderValue::from_str(&policy) {
        response.insert_header(CONTENT_SECURITY_POLICY, value);
    }
}
