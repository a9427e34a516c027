//! Icons: symbols inlined once in the document, used by name.

use leptos::prelude::*;

/// One icon beside a word. Never the only carrier of a meaning.
pub(crate) fn icon(name: &'static str) -> AnyView {
    view! { <svg class="i" aria-hidden="true" inner_html=format!("<use href=\"#i-{name}\"/>")></svg> }
        .into_any()
}

/// The symbols and the two patterns of the gate, for the end of the document. Rendered by the server only.
pub(crate) fn sprite() -> AnyView {
    const SYMBOLS: &str = include_str!("../../../style/icons.svg");
    let symbols = SYMBOLS
        .split_once('>')
        .and_then(|(_, rest)| rest.rsplit_once("</svg>"))
        .map_or("", |(symbols, _)| symbols);
    let patterns = concat!(
        r#"<defs><pattern id="weave" width="8" height="8" patternUnits="userSpaceOnUse" "#,
        r#"patternTransform="rotate(45)"><path d="M0 0v8"/></pattern><pattern id="shut" width="7" height="7" "#,
        r#"patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><path d="M0 0v7"/></pattern></defs>"#
    );
    view! {
        <svg hidden aria-hidden="true" inner_html=symbols></svg>
        <svg class="tide-def" aria-hidden="true" inner_html=patterns></svg>
    }
    .into_any()
}
