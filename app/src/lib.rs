//! The browser's side of Tidegate: pages, components and the server functions behind them.
//!
//! Built twice. With `ssr` into the server, where every page is rendered whole. With `hydrate` into WebAssembly,
//! which takes over only what moves by itself: a release, whose page changes from second to second, and the plan
//! editor. Every other page stays as the server rendered it; when something on it changed, it is asked for again
//! and put in place (`browser::page`). So the browser's half stays small, and nothing depends on it.
//!
//! Nothing here decides anything: server functions are a few lines over `control`, and pages show read models of
//! `model::view`.

#![recursion_limit = "256"]

#[cfg(feature = "ssr")]
pub mod api;
#[cfg(feature = "hydrate")]
mod browser;
pub mod chart;
#[cfg_attr(not(feature = "ssr"), allow(dead_code, reason = "the browser takes over one page only"))]
mod components;
#[cfg(feature = "ssr")]
pub mod draft;
mod fault;
#[cfg_attr(not(feature = "ssr"), allow(dead_code, reason = "the browser takes over one page only"))]
mod pages;
#[cfg(feature = "ssr")]
pub mod routes;
#[cfg(feature = "ssr")]
mod shell;
#[cfg_attr(not(feature = "ssr"), allow(dead_code, reason = "the browser takes over one page only"))]
mod when;

pub use fault::Fault;
#[cfg(feature = "ssr")]
pub use routes::App;
#[cfg(feature = "ssr")]
pub use shell::shell;

/// Wakes the server's page in the browser.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    browser::start();
}
