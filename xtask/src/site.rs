//! The site directory: `pkg/` with the browser's files, and `public/` beside it.
//!
//! In release the names carry a hash of the content, and `hash.txt` (in the form leptos reads: `js: <hash>` and so
//! on) tells the server which; its presence is how the server knows that names are hashed and never change.

use crate::front::Front;
use crate::pack;
use crate::paths::{Mode, OUTPUT_NAME, Paths};
use crate::say;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The file that names the hashes.
pub(crate) const HASHES: &str = "hash.txt";

/// Puts the site together aside and swaps it in, so that a running server never sees half of one.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn assemble(paths: &Paths, front: &Front, style: &str) -> Result<()> {
    let fresh = sibling(&paths.site, "new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    let pkg = fresh.join("pkg");
    fs::create_dir_all(&pkg)?;
    let public = paths.root.join("public");
    if public.exists() {
        copy_dir(&public, &fresh)?;
    }
    let snippets = front.dir.join("snippets");
    if snippets.exists() {
        copy_dir(&snippets, &pkg.join("snippets"))?;
    }

    let files = [
        ("js", fs::read(front.js())?),
        ("wasm", fs::read(front.wasm())?),
        ("css", style.as_bytes().to_vec()),
    ];
    let mut hashes = String::new();
    for (kind, bytes) in files {
        let name = if paths.mode == Mode::Release {
            let hash = hex::encode(&Sha256::digest(&bytes)[..10]);
            writeln!(hashes, "{kind}: {hash}")?;
            format!("{OUTPUT_NAME}.{hash}.{kind}")
        } else {
            format!("{OUTPUT_NAME}.{kind}")
        };
        fs::write(pkg.join(name), bytes)?;
    }
    if paths.mode == Mode::Release {
        fs::write(fresh.join(HASHES), hashes)?;
        say("pack", "brotli, gzip");
        for file in files_under(&fresh)? {
            pack::pack(paths, &file)?;
        }
    }

    let old = sibling(&paths.site, "old");
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    if paths.site.exists() {
        fs::rename(&paths.site, &old)?;
    }
    fs::rename(&fresh, &paths.site).with_context(|| format!("{}", paths.site.display()))?;
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    say("site", &paths.site.display().to_string());
    Ok(())
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Every file below, sorted.
pub(crate) fn files_under(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files_under(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
