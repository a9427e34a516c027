//! Charts to take along: what kind of file each is, and that its numbers are those that were measured.

use crate::common::{Server, World};
use axum::body::Body;
use chrono::{TimeDelta, Utc};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use model::verdict::{Sample, Side};
use model::{ReleaseId, Role};
use tower::ServiceExt as _;

/// Four minutes at three seconds: the canary fails more from the second on.
async fn measured(server: &Server, release: ReleaseId) -> Vec<Sample> {
    let from = Utc::now() - TimeDelta::minutes(4);
    let mut all = Vec::new();
    for i in 0..80_u32 {
        let side = |requests: f64, errors: f64, p95| Side { requests, errors, p95_ms: Some(p95) };
        let seen = f64::from(i + 1) * 10.0;
        let sample = Sample {
            at: from + TimeDelta::seconds(i64::from(i) * 3),
            step: 0,
            weight: 20,
            stable: side(seen * 4.0, seen * 0.02, 181.5),
            canary: side(seen, seen * 0.01, 190.25),
            stable_recent: side(400.0, 1.0, 181.5),
            canary_recent: side(100.0, if i < 40 { 0.0 } else { 5.0 }, 190.25 + f64::from(i)),
            latency: None,
            asked: None,
            error: None,
            p95_range: None,
            stands_for: 1,
        };
        server.state.store.insert_sample(release, &sample).await.unwrap();
        all.push(sample);
    }
    all
}

async fn file(server: &Server, path: &str) -> (StatusCode, String, Vec<u8>) {
    let token = &server.tokens[Role::Viewer.key()];
    let request = Request::get(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let response = server.app.clone().oneshot(request).await.unwrap();
    let kind = response.headers().get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap().to_owned());
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
    (status, kind.unwrap_or_default(), body)
}

#[tokio::test]
async fn a_chart_is_a_picture_that_stands_alone_or_a_table_of_what_was_measured() {
    let world = World::new().await;
    let server = world.server().await;
    let (_, release) = server.paper_release("charts").await;
    let samples = measured(&server, release).await;
    let at = |file: &str| format!("/api/v1/releases/{release}/charts/{file}");

    for chart in ["weight", "errors", "latency"] {
        let (status, kind, svg) = file(&server, &at(&format!("{chart}.svg"))).await;
        let svg = String::from_utf8(svg).unwrap();
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "image/svg+xml; charset=utf-8"), "{svg}");
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>"));
        for foreign in ["class=", "style=", "var(", "href", "<script", "NaN", "data-s"] {
            assert!(!svg.contains(foreign), "{chart} has {foreign}: {svg}");
        }
        assert!(svg.contains(&format!(">charts 1.1.0, {}", chart)), "{svg}");
        assert!(svg.contains("<polyline") && svg.contains("fill=\"#ffffff\""), "{svg}");
        let (_, _, dark) = file(&server, &at(&format!("{chart}.svg?theme=dark"))).await;
        assert!(String::from_utf8(dark).unwrap().contains("fill=\"#11181c\""));

        let (status, kind, png) = file(&server, &at(&format!("{chart}.png"))).await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "image/png"));
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let side = |from: usize| u32::from_be_bytes(png[from..from + 4].try_into().unwrap());
        assert_eq!(side(16), 1920, "twice the width of the SVG");
        assert!((400..1000).contains(&side(20)), "{}", side(20));
        assert!(png.len() > 10_000, "something is drawn: {} bytes", png.len());
    }

    let (_, kind, csv) = file(&server, &at("errors.csv")).await;
    assert_eq!(kind, "text/csv; charset=utf-8");
    let csv = String::from_utf8(csv).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|l| l.split(',').collect()).collect();
    assert_eq!(rows.len(), samples.len());
    let shown = server.as_role(Role::Viewer).get(&format!("/api/v1/releases/{release}/samples")).await.body;
    for (row, sample) in rows.iter().zip(shown.as_array().unwrap()) {
        let number = |of: &str, what: &str| sample[of][what].as_f64().unwrap();
        let share = |of: &str| format!("{:.4}", number(of, "errors") / number(of, "requests") * 100.0);
        assert_eq!(row[3], share("stable_recent"));
        // Fewer requests in the step than the plan asks for: no figure.
        let enough = number("canary", "requests") >= 50.0;
        assert_eq!(row[4], if enough { share("canary_recent") } else { String::new() }, "{row:?}");
    }
    let (_, _, csv) = file(&server, &at("latency.csv")).await;
    let last = String::from_utf8(csv).unwrap().lines().last().unwrap().to_owned();
    assert!(last.contains(",181.5000,269.2500,"), "{last}");

    for (wrong, status) in [("errors.gif", 404), ("nothing.svg", 404), ("errors.svg?theme=blue", 422)] {
        assert_eq!(file(&server, &at(wrong)).await.0.as_u16(), status, "{wrong}");
    }
    let (status, ..) = file(&server, "/api/v1/releases/999999/charts/errors.svg").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_report_of_each_step_is_there_for_programs() {
    let world = World::new().await;
    let server = world.server().await;
    let (_, release) = server.paper_release("report").await;
    measured(&server, release).await;
    let answer = server.as_role(Role::Viewer).get(&format!("/api/v1/releases/{release}/report")).await;
    let report = &answer.body.as_array().unwrap()[0];
    assert_eq!(report["step"], "20\u{a0}%");
    assert!(report["points"].as_u64().unwrap() >= 6, "{report}");
    let metrics = report["metrics"].as_array().unwrap();
    assert_eq!(metrics.iter().map(|m| m["name"].as_str().unwrap()).collect::<Vec<_>>(), ["errors", "p95"]);
    assert!(metrics.iter().all(|m| m["label"].is_string() && m["passed"].is_boolean()));
}

#[tokio::test]
async fn the_last_releases_of_a_workload_are_compared_from_their_start() {
    let world = World::new().await;
    let server = world.server().await;
    let (_, release) = server.paper_release("beside").await;
    let samples = measured(&server, release).await;
    let path = "demo/nowhere/Rollout/beside/compare";
    let viewer = || server.as_role(Role::Viewer);
    let answer = viewer().get(&format!("/api/v1/workloads/{path}")).await;
    let releases = answer.body["releases"].as_array().unwrap();
    assert_eq!(releases.len(), 1, "{}", answer.text);
    let points = releases[0]["points"].as_array().unwrap();
    assert_eq!((points.len(), points[0]["second"].as_i64()), (samples.len(), Some(0)));
    assert!(points[0]["error_percent"].is_null(), "too few requests for a figure");
    assert_eq!(points[79]["error_percent"], 5.0);

    let (status, _, html) = file(&server, &format!("/services/{path}")).await;
    let html = String::from_utf8(html).unwrap();
    assert_eq!(status, StatusCode::OK, "{html}");
    assert!(html.contains("beside: releases compared") && html.contains("class=\"cmp c0\""), "{html}");
    assert!(html.contains(&format!("href=\"/releases/{release}\"")) && html.contains("5.0\u{a0}%"));
    // Paths that name nothing.
    let nothing = viewer().get("/api/v1/workloads/demo/nowhere/Rollout/nothing/compare").await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
}
