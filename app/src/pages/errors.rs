//! What stands in a page's place when there is none.

use crate::Fault;
use crate::components::load::fault_alone;
use leptos::prelude::*;
use model::Problem;

/// No page at this address.
pub(crate) fn not_found() -> AnyView {
    let words = "No page has this address. It may be mistyped, or of an older version of Tidegate.";
    fault_alone(&Fault::from(Problem::not_found(words)))
}
