//! What a first load weighs: wasm + js + css as a browser fetches them, brotli-compressed.

use crate::pack;
use crate::paths::{OUTPUT_NAME, Paths};
use crate::site;
use anyhow::{Context, Result, bail};
use std::fs;

/// The most a first load may weigh, in bytes.
const BUDGET: usize = 300_000;

/// Prints a line for each file and the sum; with `strict` fails when it is over the budget.
///
/// # Errors
/// When there is no release site, or (with `strict`) when the sum is over the budget.
pub(crate) fn report(paths: &Paths, strict: bool) -> Result<()> {
    let pkg = paths.site.join("pkg");
    if !paths.site.join(site::HASHES).exists() {
        bail!("{} is not a release build: run `cargo xtask build --release` first", paths.site.display());
    }
    let (mut raw_sum, mut packed_sum) = (0, 0);
    println!("{:<8}{:>12}{:>12}", "file", "bytes", "brotli");
    for kind in ["wasm", "js", "css"] {
        let file = site::files_under(&pkg)?
            .into_iter()
            .find(|f| {
                let name = f.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                name.starts_with(OUTPUT_NAME) && name.ends_with(&format!(".{kind}"))
            })
            .with_context(|| format!("no {kind} file in {}", pkg.display()))?;
        let bytes = fs::read(&file)?;
        let packed = match fs::metadata(format!("{}.br", file.display())) {
            Ok(m) => usize::try_from(m.len())?,
            Err(_) => pack::brotli(&bytes)?.len(),
        };
        println!("{kind:<8}{:>12}{packed:>12}", bytes.len());
        raw_sum += bytes.len();
        packed_sum += packed;
    }
    println!("{:<8}{raw_sum:>12}{packed_sum:>12}", "sum");
    println!("{:<8}{:>12}{BUDGET:>12}  {} % used", "budget", "", packed_sum * 100 / BUDGET);
    if packed_sum > BUDGET {
        let over = packed_sum - BUDGET;
        if strict {
            bail!("the first load is {over} bytes over its budget");
        }
        println!("the first load is {over} bytes OVER its budget");
    }
    Ok(())
}
