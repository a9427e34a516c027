//! What several pages share. Functions that return a finished view rather than generic components: the browser's
//! half stays small, and a page reads as its outline.

pub(crate) mod age;
pub(crate) mod analyses;
pub(crate) mod common;
pub(crate) mod confirm;
pub(crate) mod firing;
#[cfg(feature = "ssr")]
pub(crate) mod frame;
pub(crate) mod gate;
pub(crate) mod icon;
pub(crate) mod incident;
#[cfg(feature = "ssr")]
pub(crate) mod load;
pub(crate) mod post;
pub(crate) mod rows;
pub(crate) mod tone;
