use super::*;
use chrono::TimeZone as _;
use model::verdict::Class;

fn at(second: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 18, 14, 2, 0).unwrap() + TimeDelta::seconds(second)
}

fn side(requests: f64, errors: f64, p95: f64) -> Side {
    Side { requests, errors, p95_ms: Some(p95) }
}

fn sample(second: i64, canary_errors: f64, seen: f64) -> Sample {
    Sample {
        at: at(second),
        step: 0,
        weight: 5,
        stable: side(900.0, 3.0, 180.0),
        canary: side(seen, canary_errors, 190.0),
        stable_recent: side(300.0, 1.0, 180.0),
        canary_recent: side(100.0, canary_errors, 190.0),
        latency: None,
        asked: None,
        error: None,
        p95_range: None,
        stands_for: 1,
    }
}

fn window() -> Window {
    Window::new(at(0), at(120), None, None)
}

fn limits() -> Limits {
    Limits {
        min_requests: 100,
        max_error_percent: 1.0,
        max_error_ratio: 1.2,
        max_p95_ms: Some(250.0),
        max_p95_ratio: 1.5,
    }
}

fn polylines(svg: &str, class: &str) -> usize {
    svg.matches(&format!("class=\"{class}\"")).filter(|_| true).count()
}

#[test]
fn no_colour_and_no_style_leave_the_drawing() {
    let samples: Vec<_> = (0..20).map(|i| sample(i * 5, 4.0, 500.0)).collect();
    let marks = [(at(3), "5 %".to_owned()), (at(60), "25 %".to_owned())];
    for metric in [Metric::Errors, Metric::Latency] {
        let svg = svg(metric, &samples, &marks, &limits(), &window());
        assert!(!svg.contains("=\"#"), "a plain colour is left: {svg}");
        assert!(!svg.contains("style="), "{svg}");
        let moving = usize::from(metric == Metric::Latency);
        assert_eq!(svg.matches("<polyline").count(), 2 + moving, "{svg}");
        assert!(svg.contains("var(--series-stable)") && svg.contains("var(--series-canary)"));
        assert!(svg.contains("class=\"limit\""));
    }
}

#[test]
fn how_sure_the_canarys_rate_is_stands_behind_its_line_and_narrows_with_requests() {
    let height = |requests: f64| {
        let samples: Vec<_> = (0..20)
            .map(|i| Sample {
                canary_recent: side(requests, requests * 0.02, 190.0),
                ..sample(i * 5, 4.0, 500.0)
            })
            .collect();
        let svg = svg(Metric::Errors, &samples, &[], &limits(), &window());
        let points = svg.split("class=\"sure\" points=\"").nth(1).unwrap().split('"').next().unwrap();
        let ys: Vec<f64> =
            points.split_whitespace().map(|p| p.split_once(',').unwrap().1.parse().unwrap()).collect();
        assert_eq!(ys.len(), 40);
        ys[39] - ys[0]
    };
    assert!(height(50.0) > 1.3 * height(1000.0) && height(1000.0) > 0.0);
    let none =
        svg(Metric::Latency, &[sample(0, 4.0, 500.0), sample(5, 4.0, 500.0)], &[], &limits(), &window());
    assert!(!none.contains("class=\"sure\""));
}

#[test]
fn below_the_minimum_of_requests_there_is_no_canary_line() {
    let few: Vec<_> = (0..10).map(|i| sample(i * 5, 4.0, 99.0)).collect();
    let svg = svg(Metric::Errors, &few, &[], &limits(), &window());
    assert_eq!(svg.matches("<polyline").count(), 1);
    assert!(svg.contains("begins at 100 requests"));
    assert!(label(Metric::Errors, &few, &limits()).contains("too few requests yet"));
}

#[test]
fn a_gap_is_a_gap() {
    let samples: Vec<_> = (0..8).chain(20..28).map(|i| sample(i * 5, 1.0, 500.0)).collect();
    let svg = svg(Metric::Errors, &samples, &[], &limits(), &Window::new(at(0), at(140), None, None));
    assert_eq!(svg.matches("<polyline").count(), 4, "two runs a series");
    assert!(svg.contains("no data 1:05"), "{svg}");
    assert!(svg.contains("class=\"shut\""));
}

#[test]
fn a_sample_without_metrics_breaks_the_line_and_says_why() {
    let mut samples: Vec<_> = (0..9).map(|i| sample(i * 5, 1.0, 500.0)).collect();
    samples[8].error = Some("Prometheus <did> not answer in 5 s".into());
    let svg = svg(Metric::Errors, &samples, &[], &limits(), &window());
    assert!(svg.contains("No metrics: Prometheus &lt;did&gt; not answer in 5 s"), "{svg}");
}

#[test]
fn nothing_yet_is_said() {
    let svg = svg(Metric::Latency, &[], &[], &Limits::default(), &window());
    assert!(svg.contains("No samples yet"));
    assert_eq!(svg.matches("<polyline").count(), 0);
    assert_eq!(label(Metric::Latency, &[], &Limits::default()), "Latency p95: no samples yet.");
}

#[test]
fn the_figures_at_the_line_ends_do_not_overlap() {
    let samples: Vec<_> = (0..9).map(|i| sample(i * 5, 0.4, 500.0)).collect();
    let svg = svg(Metric::Errors, &samples, &[], &limits(), &window());
    let y = |class: &str| -> f64 {
        let text = svg.split(&format!("class=\"{class}\"")).nth(1).unwrap();
        text.split("y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    assert!((y("lc") - y("ls")).abs() >= 13.0);
}

#[test]
fn what_is_due_soon_is_in_the_window_and_what_is_far_is_not() {
    let soon = Window::new(at(0), at(120), None, Some((at(168), "auto rollback".into())));
    assert!(soon.to > at(168) && soon.due.is_some());
    let far = Window::new(at(0), at(120), None, Some((at(7200), "gate".into())));
    assert!(far.due.is_none() && far.to < at(300));
    let ended = Window::new(at(0), at(500), Some(at(120)), None);
    assert!(ended.now.is_none() && ended.to < at(200));
}

#[test]
fn scales_are_round() {
    let scale = Scale::new(Metric::Errors, 4.1, 1.0);
    assert_eq!(scale.ticks().collect::<Vec<_>>(), [0.0, 2.0, 4.0, 6.0]);
    let all = Scale::new(Metric::Errors, 97.0, 1.0);
    assert!(all.top <= 100.0 && all.top >= 97.0);
    let scale = Scale::new(Metric::Latency, 191.0, 250.0);
    assert_eq!(scale.ticks().last(), Some(400.0));
}

#[test]
fn the_strip_shows_the_gravest_verdict_of_a_crowd() {
    let many: Vec<_> = (0..120).map(|i| (at(i), if i == 60 { Class::Fail } else { Class::Pass })).collect();
    let svg = strip(&many, &window());
    assert_eq!(svg.matches("data-s=\"degraded\"").count(), 1);
    assert!(svg.matches("data-s=").count() < 45);
    assert!(svg.contains("pass 14:03:59"));
    assert!(strip(&[], &window()).contains("No verdict yet"));
}

#[test]
fn drawing_is_the_same_twice() {
    let samples: Vec<_> = (0..20).map(|i| sample(i * 5, 4.0, 500.0)).collect();
    let draw = || svg(Metric::Errors, &samples, &[(at(3), "5 %".into())], &limits(), &window());
    assert_eq!(draw(), draw());
    assert!(polylines(&draw(), "stable") >= 1);
}

#[test]
fn keys_lead_from_sample_to_sample_and_never_off_the_chart() {
    let samples: Vec<_> = (0..20).map(|i| sample(i * 5, 4.0, 500.0)).collect();
    let go = |from: Option<i64>, key: &str| moved(&samples, &window(), from.map(at), key);
    assert_eq!(go(None, "ArrowLeft"), Some(Some(at(95))), "begins at the newest");
    assert_eq!(go(Some(95), "ArrowLeft"), Some(Some(at(90))));
    assert_eq!(go(Some(95), "ArrowRight"), Some(Some(at(95))));
    assert_eq!(go(Some(95), "PageUp"), Some(Some(at(45))));
    assert_eq!(go(Some(10), "PageUp"), Some(Some(at(0))));
    assert_eq!((go(Some(10), "Home"), go(Some(10), "End")), (Some(Some(at(0))), Some(Some(at(95)))));
    assert_eq!(go(Some(10), "Escape"), Some(None));
    assert_eq!(go(Some(10), "Tab"), None);
    assert_eq!(moved(&[], &window(), None, "ArrowLeft"), None, "nothing to read");
    // A sample that has left the list meanwhile: the next one.
    assert_eq!(go(Some(12), "ArrowLeft"), Some(Some(at(10))));
}

#[test]
fn a_place_reads_the_nearest_sample_with_its_weight_both_sides_and_the_verdict_that_held() {
    let samples: Vec<_> = (0..20).map(|i| sample(i * 5, 4.0, 500.0)).collect();
    let x = window().x(at(52));
    assert_eq!(nearest(&samples, &window(), x), Some(at(50)));
    let verdicts = [(at(40), Class::Pass), (at(60), Class::Fail)];
    let said = words(&samples, at(50), &verdicts, &limits()).unwrap();
    assert_eq!(
        said.replace('\u{a0}', " "),
        "14:02:50, weight 5 %; errors: stable 0.33 %, canary 4.0 %; p95: stable 180 ms, canary 190 ms; verdict pass"
    );
    let few = [sample(5, 4.0, 20.0)];
    assert!(words(&few, at(5), &[], &limits()).unwrap().contains("canary too few requests"));
    assert_eq!(words(&samples, at(51), &verdicts, &limits()), None);
}

#[test]
fn the_cursor_stands_at_the_sample_with_a_ring_on_each_line_that_is_there() {
    let samples: Vec<_> = (0..20).map(|i| sample(i * 5, 4.0, 500.0)).collect();
    let drawn = cursor(Metric::Errors, &samples, &limits(), &window(), at(50));
    assert_eq!(drawn.matches("<circle").count(), 2);
    assert!(drawn.contains(&format!("x1=\"{:.2}%\"", window().x(at(50)))) && !drawn.contains("style="));
    let few: Vec<_> = (0..20).map(|i| sample(i * 5, 4.0, 20.0)).collect();
    assert_eq!(cursor(Metric::Errors, &few, &limits(), &window(), at(50)).matches("<circle").count(), 1);
}

#[test]
fn the_limit_of_latency_moves_with_stables() {
    let samples: Vec<_> = (0..20).map(|i| sample(i * 5, 4.0, 500.0)).collect();
    let drawn = svg(Metric::Latency, &samples, &[], &Limits { max_p95_ms: None, ..limits() }, &window());
    assert!(drawn.contains("limit 1.5 × stable"), "{drawn}");
    assert_eq!(drawn.matches("class=\"limit\" stroke").count(), 1);
    let errors = svg(Metric::Errors, &samples, &[], &limits(), &window());
    assert!(!errors.contains("× stable"));
}

#[test]
fn how_sure_a_p95_is_stands_behind_its_line() {
    let samples: Vec<_> =
        (0..20).map(|i| Sample { p95_range: Some((170.0, 230.0)), ..sample(i * 5, 4.0, 500.0) }).collect();
    assert!(svg(Metric::Latency, &samples, &[], &limits(), &window()).contains("class=\"sure\""));
}

#[test]
fn a_weight_holds_until_the_next_under_what_the_plan_allows() {
    use model::view::WeightPoint;
    let point = |second, weight, ceiling| WeightPoint { at: at(second), weight, ceiling };
    let weights = [point(2, 0, 5), point(5, 5, 5), point(60, 5, 25), point(66, 25, 25)];
    let drawn = weight(&weights, &[(at(5), "5 %".into())], &window());
    assert_eq!(drawn.matches("<polyline").count(), 2, "{drawn}");
    assert!(drawn.contains("class=\"lc\"") && drawn.contains("25\u{a0}%</text>"));
    assert!(!drawn.contains("=\"#") && !drawn.contains("style="));
    // Corners: before each change stands the value that held until then.
    let line = drawn.split("class=\"canary\"").nth(1).unwrap().split("points=\"").nth(1).unwrap();
    let ys: Vec<_> =
        line.split('"').next().unwrap().split_whitespace().map(|p| p.split_once(',').unwrap().1).collect();
    assert_eq!(ys, ["1000", "1000", "950", "950", "950", "950", "750", "750"]);
    assert_eq!(
        weight_label(&weights).replace('\u{a0}', " "),
        "Weight now: 25 % of traffic, at most 25 % allowed. Highest so far: 25 %."
    );
    assert!(weight(&[], &[], &window()).contains("No traffic on the new version yet"));
}

#[test]
fn a_column_of_pixels_shows_its_first_its_ends_and_its_last() {
    let point = |x: f64, value: f64| Point { at: at(0), x, value };
    let many: Vec<_> = (0..10_000_u32).map(|i| point(f64::from(i) / 10.0, f64::from(i % 100))).collect();
    let drawn = lines::columns(&many, 100.0);
    assert!(drawn.len() <= 4 * 1001, "{}", drawn.len());
    let ys = |x: i32| drawn.iter().filter(|p| p.0 == x).map(|p| p.1).collect::<Vec<_>>();
    let all = ys(500);
    assert_eq!((all.iter().min(), all.iter().max()), (Some(&10), Some(&1000)), "{all:?}");
}

#[test]
fn what_happened_last_is_named_also_where_there_is_no_room_to_its_right() {
    let marks = [(at(3), "5 %".to_owned()), (at(118), "rollback".to_owned())];
    let ended = Window::new(at(0), at(500), Some(at(120)), None);
    let samples: Vec<_> = (0..20).map(|i| sample(i * 5, 4.0, 500.0)).collect();
    let drawn = svg(Metric::Errors, &samples, &marks, &limits(), &ended);
    assert!(drawn.contains("text-anchor=\"end\">rollback</text>"), "{drawn}");
}
