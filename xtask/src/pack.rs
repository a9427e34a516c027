//! Precompressed siblings (`x.br`, `x.gz`) of what the server serves, kept by content so that an unchanged file is
//! compressed once.

use crate::paths::Paths;
use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

/// Below this a compressed file saves no packet, in bytes.
const WORTHWHILE: usize = 512;

/// Brotli's strongest: it is done once, and served often.
const QUALITY: i32 = 11;
const WINDOW: i32 = 24;

/// Writes `file.br` and `file.gz` beside `file`, if it is of a kind that shrinks.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn pack(paths: &Paths, file: &Path) -> Result<()> {
    let kind = file.extension().and_then(|e| e.to_str()).unwrap_or("");
    if !matches!(
        kind,
        "js" | "wasm" | "css" | "svg" | "json" | "txt" | "html" | "webmanifest" | "xml" | "ico"
    ) {
        return Ok(());
    }
    let bytes = fs::read(file).with_context(|| format!("{}", file.display()))?;
    if bytes.len() < WORTHWHILE {
        return Ok(());
    }
    let store = paths.front.join("packed");
    fs::create_dir_all(&store)?;
    let name = hex::encode(Sha256::digest(&bytes));
    for (suffix, squeeze) in [("br", brotli as fn(&[u8]) -> Result<Vec<u8>>), ("gz", gzip)] {
        let kept = store.join(format!("{name}.{suffix}"));
        if !kept.exists() {
            // Written aside and renamed, so that an interrupted build never leaves half a file to be served.
            let part = store.join(format!("{name}.{suffix}.part"));
            fs::write(&part, squeeze(&bytes)?)?;
            fs::rename(&part, &kept)?;
        }
        let mut beside = file.as_os_str().to_owned();
        beside.push(".");
        beside.push(suffix);
        fs::copy(&kept, Path::new(&beside))?;
    }
    Ok(())
}

pub(crate) fn brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: QUALITY,
        lgwin: WINDOW,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut Cursor::new(bytes), &mut out, &params)?;
    Ok(out)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
