//! The browser's half: `app` as WebAssembly, its JavaScript glue, and in release `wasm-opt`.

use crate::paths::{self, Mode, OUTPUT_NAME, Paths};
use crate::say;
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wasm_bindgen_cli_support::Bindgen;

/// The npm package whose `wasm-opt` is known to leave hydration working. Newer feature switches than these two, or
/// Debian's binaryen 108, give a page that renders and never reacts.
const BINARYEN: &str = "132.0.0";
const WASM_OPT: [&str; 3] = ["-Oz", "--enable-bulk-memory", "--enable-nontrapping-float-to-int"];

/// The glue and the module, ready to be put into a site.
#[derive(Debug)]
pub(crate) struct Front {
    /// Holds `tidegate.js`, `tidegate_bg.wasm` and perhaps `snippets/`.
    pub(crate) dir: PathBuf,
}

impl Front {
    pub(crate) fn js(&self) -> PathBuf {
        self.dir.join(format!("{OUTPUT_NAME}.js"))
    }
    pub(crate) fn wasm(&self) -> PathBuf {
        self.dir.join(format!("{OUTPUT_NAME}_bg.wasm"))
    }
}

/// What an earlier call built.
///
/// # Errors
/// When nothing was built yet.
pub(crate) fn built(paths: &Paths) -> Result<Front> {
    let front = Front { dir: out_dir(paths) };
    ensure!(front.wasm().exists(), "nothing is built yet: run `cargo xtask build --part front` first");
    Ok(front)
}

/// Compiles, binds and (in release) optimises. Binding is skipped when the compiled module did not change.
///
/// # Errors
/// When a step fails.
pub(crate) fn build(paths: &Paths) -> Result<Front> {
    say("wasm", &format!("cargo build, profile {}", paths.mode.wasm_profile()));
    let mut cargo = paths.cargo();
    cargo
        .args(["build", "--package", "app", "--lib", "--no-default-features", "--features", "hydrate"])
        .args(["--target", "wasm32-unknown-unknown", "--profile", paths.mode.wasm_profile()])
        .arg("--target-dir")
        .arg(&paths.front);
    paths::run(&mut cargo, "building the browser's half")?;

    let module = paths.front.join("wasm32-unknown-unknown").join(paths.mode.wasm_folder()).join("app.wasm");
    let bytes = fs::read(&module).with_context(|| format!("{}", module.display()))?;
    let front = Front { dir: out_dir(paths) };
    let wasm_opt = if paths.mode == Mode::Release { wasm_opt(paths)? } else { None };
    let stamp = format!("{} opt={}", hex::encode(Sha256::digest(&bytes)), wasm_opt.is_some());
    let stamp_file = front.dir.join("stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) && front.wasm().exists() {
        say("bindgen", "unchanged");
        return Ok(front);
    }

    say("bindgen", "wasm-bindgen");
    if front.dir.exists() {
        fs::remove_dir_all(&front.dir)?;
    }
    fs::create_dir_all(&front.dir)?;
    Bindgen::new()
        .input_bytes(OUTPUT_NAME, bytes)
        .out_name(OUTPUT_NAME)
        .web(true)?
        .typescript(false)
        .remove_name_section(paths.mode == Mode::Release)
        .remove_producers_section(paths.mode == Mode::Release)
        .generate(&front.dir)
        .context("wasm-bindgen")?;

    if paths.mode == Mode::Release {
        match wasm_opt {
            Some(tool) => optimise(&tool, &front.wasm())?,
            None => say("wasm-opt", "skipped: npm is not here, so the module stays about twice as large"),
        }
    }
    fs::write(stamp_file, stamp)?;
    Ok(front)
}

fn out_dir(paths: &Paths) -> PathBuf {
    paths.front.join(format!("bindgen-{}", paths.mode.wasm_folder()))
}

fn optimise(tool: &Path, wasm: &Path) -> Result<()> {
    let before = fs::metadata(wasm)?.len();
    let smaller = wasm.with_extension("opt");
    let mut c = Command::new("node");
    c.arg(tool).args(WASM_OPT).arg(wasm).arg("-o").arg(&smaller);
    paths::run(&mut c, "wasm-opt")?;
    fs::rename(&smaller, wasm)?;
    say("wasm-opt", &format!("{} KB -> {} KB", before / 1000, fs::metadata(wasm)?.len() / 1000));
    Ok(())
}

/// Path of binaryen's `wasm-opt`, installed once beside the build; `None` without npm, or when it cannot be had.
fn wasm_opt(paths: &Paths) -> Result<Option<PathBuf>> {
    let home = paths.front.join(format!("binaryen-{BINARYEN}"));
    let tool = home.join("node_modules/binaryen/bin/wasm-opt");
    if tool.exists() {
        return Ok(Some(tool));
    }
    let has_npm = Command::new("npm")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !has_npm {
        return Ok(None);
    }
    say("wasm-opt", &format!("npm install binaryen@{BINARYEN} (once)"));
    fs::create_dir_all(&home)?;
    let status = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", "--prefix"])
        .arg(&home)
        .arg(format!("binaryen@{BINARYEN}"))
        .stdout(Stdio::null())
        .status()?;
    Ok((status.success() && tool.exists()).then_some(tool))
}
