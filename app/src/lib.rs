//! The browser's side of Tidegate: pages, components and the server functions behind them.
//!
//! Built twice: with `ssr` into the server, where every page is rendered whole, and with `hydrate` into
//! WebAssembly, which takes the rendered page over. Nothing here decides anything: server functions are a few
//! lines over `control`, and pages show read models of `model::view`.

#![recursion_limit = "256"]

pub mod api;
pub mod chart;
mod components;
mod fault;
mod live;
mod pages;
pub mod routes;
mod shell;
mod when;

pub use fault::Fault;
pub use routes::App;
pub use shell::shell;

/// Takes the server's page over in the browser.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(App);
}
