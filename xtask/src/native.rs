//! The server's half: the binaries `tidegate` and `sandbox`.

use crate::paths::{self, Mode, Paths};
use crate::say;
use anyhow::Result;

/// Builds both in one call, so that what they share is compiled with one set of features.
///
/// # Errors
/// When cargo fails.
pub(crate) fn build(paths: &Paths) -> Result<()> {
    say("server", "cargo build: tidegate, sandbox");
    let mut cargo = paths.cargo();
    cargo.args(["build", "--package", "server", "--package", "sandbox", "--bins"]);
    if paths.mode == Mode::Release {
        cargo.arg("--release");
    }
    paths::run(&mut cargo, "building the server's half")?;
    say("server", &paths.binary("tidegate").display().to_string());
    Ok(())
}
