//! A server that answers as Prometheus, or any web endpoint, does: each metric of each case has its script.
//!
//! A script is words between blanks: `[1,NaN]` a vector, `=1` a scalar, `m[1,2]` a matrix, `text` a string result, `!500` a
//! status (400 and 422 with an error in Prometheus' form), `~` no JSON, `?` no answer at all, `w:200:{"a":1}` a status and a
//! body. The last word is repeated.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub(crate) enum Reply {
    Body(u16, String),
    Silence,
}

/// The reply to the `n`th question.
pub(crate) fn reply(script: &str, n: usize) -> Reply {
    let words: Vec<&str> = script.split_whitespace().collect();
    let word = words[n.min(words.len() - 1)];
    let data = |kind: &str, result: serde_json::Value| {
        let body = json!({"status": "success", "data": {"resultType": kind, "result": result}});
        Reply::Body(200, body.to_string())
    };
    let list = |text: &str| -> Vec<String> {
        let inner = text.trim_start_matches('[').trim_end_matches(']');
        inner.split(',').filter(|v| !v.is_empty()).map(ToOwned::to_owned).collect()
    };
    if let Some(rest) = word.strip_prefix("w:") {
        let (status, body) = rest.split_once(':').unwrap();
        return Reply::Body(status.parse().unwrap(), body.to_owned());
    }
    match word.chars().next().unwrap() {
        '[' => {
            let series =
                |(i, v): (usize, &String)| json!({"metric": {"pod": i.to_string()}, "value": [1.5, v]});
            data("vector", list(word).iter().enumerate().map(series).collect())
        }
        'm' => {
            let points: Vec<_> = list(&word[1..]).iter().map(|v| json!([1.5, v])).collect();
            data("matrix", json!([{"metric": {}, "values": points}]))
        }
        '=' => data("scalar", json!([1.5, &word[1..]])),
        't' => data("string", json!([1.5, "x"])),
        '?' => Reply::Silence,
        '!' => {
            let status = word[1..].parse().unwrap();
            let error = json!({"status": "error", "errorType": "bad_data", "error": "parse error"});
            Reply::Body(status, if matches!(status, 400 | 422) { error.to_string() } else { "sorry".into() })
        }
        _ => Reply::Body(200, "no JSON".into()),
    }
}

struct Scripts {
    /// By case and metric: the script, and how often was asked.
    by: Mutex<HashMap<String, (String, usize)>>,
}

/// Starts it; gives its address.
pub(crate) async fn serve(scripts: impl Iterator<Item = (String, String)>) -> String {
    let by = scripts.map(|(key, script)| (key, (script, 0))).collect();
    let state = Arc::new(Scripts { by: Mutex::new(by) });
    let app =
        axum::Router::new().route("/{case}/{metric}/{*rest}", axum::routing::any(answer)).with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

async fn answer(
    State(scripts): State<Arc<Scripts>>,
    Path((case, metric, _)): Path<(String, String, String)>,
) -> Response {
    let said = {
        let mut by = scripts.by.lock().unwrap();
        let (script, asked) = by.get_mut(&format!("{case}/{metric}")).unwrap();
        *asked += 1;
        reply(script, *asked - 1)
    };
    match said {
        Reply::Body(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        // Until the asker gives up.
        Reply::Silence => std::future::pending().await,
    }
}
