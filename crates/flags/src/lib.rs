//! Feature flags: the file `flags.yaml` in the ConfigMap `feature-flags`, and what it says to whom.
//!
//! No I/O, no clock, no async. Who asks, where and when is passed in; the same file and the same context give the same answer on every
//! machine, in integers. `docs/FLAGS.md` has the format, the algorithm byte for byte, and where it differs from the older reader.

pub mod change;
pub mod command;
mod context;
pub mod edit;
mod evaluate;
mod explain;
mod fault;
mod file;
mod hash;
mod matcher;
mod number;
pub mod ofrep;
mod read;
mod share;
mod tree;
mod write;

pub use context::Context;
pub use evaluate::{Answer, ErrorCode, Evaluator, Reason};
pub use explain::{ExplainedStep, Explanation};
pub use fault::Fault;
pub use file::{Condition, File, Flag, Killed, Kind, Operator, Prerequisite, Rule, Segment, Serve, Variant};
pub use hash::{bucket, variant_bucket};
pub use read::check_key;
pub use share::{BUCKETS, Share};
pub use tree::LARGEST;
