//! How many evaluations a second one core does, how long a file takes to be read and compiled, and how long an edit takes.
//!
//! Counted is the time that this process had a core, where the system tells it (Linux), so that a busy machine gives the same figures.
//!
//! `cargo bench -p flags`; `FLAGS_SECONDS` is how long each row is measured (one second without it), `FLAGS_ROW` a part of the name of
//! the rows wanted.

#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

use flags::{Context, Evaluator, File, Share, edit, ofrep};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Users who ask in turn, so that no branch is learnt by heart.
const USERS: usize = 512;

fn main() {
    let seconds = std::env::var("FLAGS_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let wanted = std::env::var("FLAGS_ROW").unwrap_or_default();
    let bench = Bench { time: Duration::from_secs_f64(seconds), wanted };
    let users: Vec<Context> = (0..USERS).map(user).collect();
    println!("{:<46} {:>14} {:>12}", "", "a second", "each");
    for (name, flag) in [
        ("everybody", plain as fn(usize) -> String),
        ("a share", shared),
        ("targeting", targeted),
        ("three rules and variants", ruled),
    ] {
        for count in [100, 1000] {
            let file = File::parse(&(0..count).map(flag).collect::<String>()).unwrap();
            let evaluator = Evaluator::new(&file);
            let keys: Vec<&str> = evaluator.keys().collect();
            let mut i = 0;
            bench.row(&format!("{count} flags, {name}: one"), 1, || {
                i += 1;
                black_box(evaluator.evaluate(keys[i % count], &users[i % USERS], Some("production")));
            });
            bench.row(&format!("{count} flags, {name}: all"), count, || {
                i += 1;
                evaluator.evaluate_all(&users[i % USERS], Some("production")).for_each(|answer| {
                    black_box(answer);
                });
            });
        }
    }
    let text: String = (0..1000).map(targeted).collect();
    let file = File::parse(&text).unwrap();
    let evaluator = Evaluator::new(&file);
    bench.row("1000 flags: read", 1, || {
        black_box(File::parse(&text).unwrap());
    });
    bench.row("1000 flags: compile", 1, || {
        black_box(Evaluator::new(&file));
    });
    let mut share = 0;
    bench.row("1000 flags: edit one", 1, || {
        let mut flag = file.flag("flag-500").unwrap().clone();
        share = share % 99_000 + 1;
        flag.percentage = Share::from_buckets(share).unwrap();
        black_box(edit::put(&text, &flag).unwrap());
    });
    bench.row("1000 flags: bulk answer as JSON", 1, || {
        let bulk = ofrep::bulk(&evaluator, &users[0], Some("production"), "v", Vec::new());
        black_box(serde_json::to_string(&bulk).unwrap());
    });
    bench.row("an ETag", 1, || {
        black_box(ofrep::etag("v", Some("production"), &users[0]));
    });
}

struct Bench {
    time: Duration,
    wanted: String,
}

impl Bench {
    /// `each` does so many at once.
    fn row(&self, name: &str, count: usize, mut each: impl FnMut()) {
        if !name.contains(&self.wanted) {
            return;
        }
        each();
        let (began, before) = (Instant::now(), on_core());
        let mut done = 0usize;
        while began.elapsed() < self.time {
            for _ in 0..16 {
                each();
            }
            done += 16 * count;
        }
        let rate = done as f64
            / (on_core().zip(before).map(|(now, then)| now - then)).unwrap_or(began.elapsed()).as_secs_f64();
        println!("{name:<46} {rate:>14.0} {:>9.3} µs", 1e6 / rate);
    }
}

/// How long this process has had a core so far.
fn on_core() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn user(i: usize) -> Context {
    Context::of(&format!("user-{i}"))
        .with("country", ["DE", "FR", "PL", "SE"][i % 4])
        .with(
            "email",
            format!("person{i}@{}", if i.is_multiple_of(50) { "example.com" } else { "example.org" }),
        )
        .with("plan", ["free", "team", "company"][i % 3])
        .with("version", format!("8.{}.{}", i % 5, i % 7))
        .with("age", i % 90)
}

fn plain(i: usize) -> String {
    format!("flag-{i}:\n  enabled: true\n  percentage: 100.0\n  environment: production\n")
}

fn shared(i: usize) -> String {
    format!("flag-{i}:\n  enabled: true\n  percentage: {}.5\n  environment: production\n", i % 100)
}

fn targeted(i: usize) -> String {
    let mut text = shared(i);
    text += "  conditions:\n    - {type: country, operator: in, value: \"DE, FR, PL\"}\n";
    text += "    - {type: version, operator: version_at_least, value: \"8.1.0\"}\n";
    text
}

fn ruled(i: usize) -> String {
    let mut text = targeted(i);
    let _ = write!(
        text,
        "  variants: {{a: {{size: {i}}}, b: {{size: 2}}, old: {{size: 0}}}}\n  default_variant: old\n  serve: {{a: 50, b: 50}}\n  rules:\n"
    );
    text +=
        "    - conditions: [{type: email, operator: ends_with, value: \"@example.com\"}]\n      serve: a\n";
    text += "    - conditions: [{type: plan, operator: equals, value: company}, {type: age, operator: at_least, value: 60}]\n      percentage: 10\n";
    text
}
