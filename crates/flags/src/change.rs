//! Changes of a file, as rules and in words: what changed, whether more users get something, what a killed flag forbids, and which
//! flags are forgotten.

mod diff;
mod exposure;
mod kill;
mod stale;

pub use diff::{Change, FieldChange, diff};
pub use exposure::{Exposure, raises_exposure};
pub use kill::{Hand, Refusal, held, hold, kill, may_change, remains, revive};
pub use stale::{KEPT_FULL, Stale, UNASKED, Usage, stale};
