//! Where things lie, and cargo calls that do not disturb each other's fingerprints.

use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// Name of the browser's files and what leptos was told at compile time.
pub(crate) const OUTPUT_NAME: &str = "tidegate";

/// How thoroughly to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Dev,
    Release,
}

impl Mode {
    pub(crate) fn of(release: bool) -> Self {
        if release { Self::Release } else { Self::Dev }
    }

    /// cargo's profile for WebAssembly.
    pub(crate) fn wasm_profile(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "wasm-release",
        }
    }

    /// The folder cargo puts that profile's output into.
    pub(crate) fn wasm_folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "wasm-release",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Paths {
    pub(crate) mode: Mode,
    /// The workspace.
    pub(crate) root: PathBuf,
    /// cargo's target directory for native code.
    pub(crate) target: PathBuf,
    /// cargo's target directory for WebAssembly: apart, so that the two builds never wait for one lock.
    pub(crate) front: PathBuf,
    /// What the server serves.
    pub(crate) site: PathBuf,
}

impl Paths {
    pub(crate) fn find(mode: Mode) -> Result<Self> {
        // The checkout cargo runs this in; the one it was compiled in may be another that shares the target directory.
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here.parent().context("xtask lies outside a workspace")?.to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => root.join(dir),
            None => root.join("target"),
        };
        let site = match std::env::var_os("TIDEGATE_SITE") {
            Some(dir) => root.join(dir),
            None => target.join("site"),
        };
        Ok(Self { mode, front: target.join("front"), root, target, site })
    }

    /// A native binary of this workspace.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        let folder = if self.mode == Mode::Release { "release" } else { "debug" };
        self.target.join(folder).join(name)
    }

    /// A call of cargo as a person would make it. `cargo run` sets variables for xtask that build scripts (ring's, for
    /// one) watch: left in place, every build by xtask and every build by hand would undo each other's.
    pub(crate) fn cargo(&self) -> Command {
        let mut c = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let ours = text.starts_with("CARGO_PKG_")
                || text.starts_with("CARGO_MANIFEST_")
                || matches!(
                    &*text,
                    "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR"
                );
            if ours {
                c.env_remove(&name);
            }
        }
        c.current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("LEPTOS_OUTPUT_NAME", OUTPUT_NAME);
        c
    }
}

/// Runs to the end.
///
/// # Errors
/// When it cannot be started or answers with failure.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("{what}: cannot be started"))?;
    anyhow::ensure!(status.success(), "{what} failed ({status}); its own words are above");
    Ok(())
}
