//! Imports point one way: model ← judge, flags ← store, cluster ← control ← app, server.

use crate::paths::Paths;
use crate::say;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Each crate and the crates of this workspace it may name. What is not listed here is refused, so that a new crate
/// is given its place on purpose.
const MAY: [(&str, &[&str]); 11] = [
    ("failpoint", &[]),
    ("model", &[]),
    ("judge", &["model"]),
    // Beside judge: the file and its evaluation stand for themselves.
    ("flags", &[]),
    ("store", &["model", "judge", "flags"]),
    ("cluster", &["failpoint", "model", "judge", "flags"]),
    ("control", &["failpoint", "model", "judge", "flags", "store", "cluster"]),
    ("app", &["model", "judge", "flags", "control"]),
    ("server", &["model", "judge", "flags", "store", "cluster", "control", "app"]),
    // Real parts on one machine: for `./run`, tests and benches only.
    ("sandbox", &["model"]),
    ("xtask", &["sandbox"]),
];

/// Compiled to WebAssembly as well: what touches a socket or a file must be optional there.
const BROWSER: [(&str, &[&str]); 1] = [("app", &["control"])];

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `None` for an ordinary dependency, else `dev` or `build`.
    kind: Option<String>,
    optional: bool,
    path: Option<String>,
}

/// Reads every manifest and reports every dependency that points the wrong way.
///
/// # Errors
/// When one does.
pub(crate) fn check(paths: &Paths) -> Result<()> {
    let out = paths
        .cargo()
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .output()
        .context("cargo metadata")?;
    if !out.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    let metadata: Metadata = serde_json::from_slice(&out.stdout).context("cargo metadata")?;
    let wrong = faults(&metadata);
    if wrong.is_empty() {
        say("imports", &format!("{} crates, all pointing one way", metadata.packages.len()));
        return Ok(());
    }
    for line in &wrong {
        println!("{line}");
    }
    bail!("{} import(s) point the wrong way: move the code down, or the need for it up", wrong.len())
}

fn faults(metadata: &Metadata) -> Vec<String> {
    let may: BTreeMap<_, _> = MAY.into_iter().collect();
    let mut wrong = Vec::new();
    for p in &metadata.packages {
        let Some(allowed) = may.get(p.name.as_str()) else {
            wrong.push(format!("{}: has no place yet; give it one in xtask/src/imports.rs", p.name));
            continue;
        };
        for d in p.dependencies.iter().filter(|d| d.path.is_some()) {
            let dev = d.kind.as_deref() == Some("dev");
            // Optional: behind a feature that only tests ask for. A crate may ask for its own such feature.
            let for_tests = ((dev || d.optional) && d.name == "sandbox") || (dev && d.name == p.name);
            if !for_tests && !allowed.contains(&d.name.as_str()) {
                wrong.push(format!("{}: must not depend on `{}`", p.name, d.name));
            }
            let kept_out = BROWSER.iter().any(|(n, deps)| *n == p.name && deps.contains(&d.name.as_str()));
            if kept_out && !dev && !d.optional {
                wrong.push(format!("{}: `{}` must be optional, for the browser's half", p.name, d.name));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, deps: &[(&str, Option<&str>)]) -> Package {
        let dependencies = deps
            .iter()
            .map(|(n, kind)| Dependency {
                name: (*n).into(),
                kind: kind.map(Into::into),
                optional: false,
                path: Some(String::new()),
            })
            .collect();
        Package { name: name.into(), dependencies }
    }

    #[test]
    fn a_dependency_upwards_is_found() {
        let m = Metadata { packages: vec![package("model", &[("store", None)])] };
        assert_eq!(faults(&m), ["model: must not depend on `store`"]);
    }

    #[test]
    fn the_sandbox_is_for_tests_only() {
        let dev = Metadata { packages: vec![package("cluster", &[("sandbox", Some("dev"))])] };
        assert!(faults(&dev).is_empty());
        let real = Metadata { packages: vec![package("cluster", &[("sandbox", None)])] };
        assert_eq!(faults(&real), ["cluster: must not depend on `sandbox`"]);
    }

    #[test]
    fn the_browsers_half_keeps_the_server_out() {
        let m = Metadata { packages: vec![package("app", &[("control", None)])] };
        assert_eq!(faults(&m), ["app: `control` must be optional, for the browser's half"]);
    }

    #[test]
    fn an_unknown_crate_is_given_a_place_first() {
        let m = Metadata { packages: vec![package("helper", &[])] };
        assert_eq!(faults(&m).len(), 1);
    }
}
