//! The style sheet: `style/app.css` with everything it imports, in one file.

use crate::paths::{Mode, Paths};
use crate::say;
use anyhow::{Result, anyhow, ensure};
use lightningcss::bundler::{Bundler, FileProvider};
use lightningcss::stylesheet::{MinifyOptions, ParserOptions, PrinterOptions};

/// The bundled text; minified in release. No browser targets are set: `light-dark()`, layers and container queries
/// stay as written, since every browser that runs our WebAssembly knows them.
///
/// # Errors
/// When the sheet or an import is missing or cannot be parsed.
pub(crate) fn build(paths: &Paths) -> Result<String> {
    let entry = paths.root.join("style/app.css");
    ensure!(entry.exists(), "style/app.css is missing: it is the style sheet's entry");
    say("css", "style/app.css");
    let minify = paths.mode == Mode::Release;
    let files = FileProvider::new();
    let mut bundler = Bundler::new(&files, None, ParserOptions::default());
    let mut sheet = bundler.bundle(&entry).map_err(|e| anyhow!("style sheet: {e}"))?;
    if minify {
        sheet.minify(MinifyOptions::default()).map_err(|e| anyhow!("style sheet: {e}"))?;
    }
    let printed = sheet
        .to_css(PrinterOptions { minify, ..PrinterOptions::default() })
        .map_err(|e| anyhow!("style sheet: {e}"))?;
    Ok(printed.code)
}
