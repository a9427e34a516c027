//! Free ports, remembered in the data directory so that a kept sandbox keeps its addresses.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// How long to wait for recorded ports: the processes of a run that was killed a moment ago may still be
/// ending.
const FREED: Duration = Duration::from_secs(1);

/// A port for each name.
pub(crate) type Ports = BTreeMap<String, u16>;

/// Choose a free port of 127.0.0.1 for each name: the one recorded in `file` if it is still free, else one
/// the kernel picks. The choice is recorded.
///
/// # Errors
/// When no port is free or `file` cannot be written.
pub(crate) fn choose(file: &Path, names: &[&str]) -> Result<Ports> {
    let recorded: Ports =
        fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    // All listeners stay open until every port is chosen, so that none is given twice.
    let mut held = Vec::new();
    let deadline = Instant::now() + FREED;
    let mut ports = Ports::new();
    for name in names {
        let old = recorded.get(*name).and_then(|port| freed(*port, deadline));
        let listener = match old {
            Some(listener) => listener,
            None => TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?,
        };
        ports.insert((*name).to_owned(), listener.local_addr()?.port());
        held.push(listener);
    }
    fs::write(file, serde_json::to_string_pretty(&ports)?)
        .with_context(|| format!("writing {}", file.display()))?;
    Ok(ports)
}

/// Bind a port, waiting until `deadline` for whoever still holds it.
fn freed(port: u16, deadline: Instant) -> Option<TcpListener> {
    loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => return Some(listener),
            Err(_) if Instant::now() >= deadline => return None,
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_ports_are_kept_and_taken_ones_replaced() {
        let file = std::env::temp_dir().join(format!("tidegate-ports-{}.json", std::process::id()));
        let first = choose(&file, &["a", "b"]).unwrap();
        assert_ne!(first["a"], first["b"]);
        let taken = TcpListener::bind(("127.0.0.1", first["b"])).unwrap();
        let second = choose(&file, &["a", "b"]).unwrap();
        assert_eq!(first["a"], second["a"]);
        assert_ne!(first["b"], second["b"]);
        drop(taken);
        fs::remove_file(file).unwrap();
    }
}
