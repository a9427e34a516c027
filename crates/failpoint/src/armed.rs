//! Debug builds only.

use rustix::process::{Signal, getpid, kill_process};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a busy machine may take to stop a process.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Point {
    name: String,
    signal: Signal,
    met: AtomicBool,
}

fn read(text: &str) -> Vec<Point> {
    let point = |part: &str| {
        let (name, deed) = part.split_once('=')?;
        let signal = match deed {
            "kill" => Signal::KILL,
            "stop" => Signal::STOP,
            _ => return None,
        };
        Some(Point { name: name.to_owned(), signal, met: AtomicBool::new(false) })
    };
    text.split(',').filter_map(point).collect()
}

pub(crate) fn reach(name: &str) {
    static POINTS: OnceLock<Vec<Point>> = OnceLock::new();
    let points = POINTS.get_or_init(|| read(&std::env::var("TIDEGATE_FAILPOINT").unwrap_or_default()));
    let met = points.iter().find(|p| p.name == name && !p.met.swap(true, Ordering::SeqCst));
    if let Some(point) = met {
        eprintln!("failpoint {name}: {:?}", point.signal);
        // It cannot fail for one's own process; if it did, the test that waits for it would say so.
        let _ = kill_process(getpid(), point.signal);
        // The kernel stops a process by whichever of its threads runs next: until then this one must not go on. Time
        // that passes while it is stopped counts, so that it goes on at once when it is woken.
        std::thread::sleep(STOPPED_WITHIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_with_what_happens_there() {
        let read = read("announced:deploy=stop,press:journaled=kill,nonsense,other=nap");
        let named: Vec<_> = read.iter().map(|p| (p.name.as_str(), p.signal)).collect();
        assert_eq!(named, [("announced:deploy", Signal::STOP), ("press:journaled", Signal::KILL)]);
    }
}
