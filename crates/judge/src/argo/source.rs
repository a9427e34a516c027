//! How the reply of a metric's source becomes the answer that conditions are asked of.

use super::condition::{Answer, moment};
use super::duration;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// What Prometheus' `/api/v1/query` replied.
///
/// # Errors
/// In the words of the client that Argo Rollouts uses, which are those of a measurement's message.
pub fn prometheus(status: u16, body: &str) -> Result<Answer, String> {
    // These two carry an error in the reply's own form.
    let refused = matches!(status, 400 | 422);
    if !(200..300).contains(&status) && !refused {
        return Err(match status / 100 {
            4 => format!("client_error: client error: {status}"),
            5 => format!("server_error: server error: {status}"),
            _ => format!("bad_response: bad response code {status}"),
        });
    }
    let reply: Value = serde_json::from_str(body).map_err(|e| format!("bad_response: {e}"))?;
    let text = |field: &str| reply.get(field).and_then(Value::as_str).unwrap_or_default();
    if refused == (text("status") == "success") {
        return Err("bad_response: inconsistent body for response code".into());
    }
    if refused || text("status") == "error" {
        return Err(format!("{}: {}", text("errorType"), text("error")));
    }
    let bad = || "bad_response: the result cannot be read".to_owned();
    let data = reply.get("data").ok_or_else(bad)?;
    let result = data.get("result").ok_or_else(bad)?;
    let each = |field: &str| -> Result<Vec<f64>, String> {
        let mut all = Vec::new();
        for series in result.as_array().ok_or_else(bad)? {
            match (field, series.get(field)) {
                ("value", Some(point)) => all.push(sample(point).ok_or_else(bad)?),
                (_, Some(Value::Array(points))) => {
                    for point in points {
                        all.push(sample(point).ok_or_else(bad)?);
                    }
                }
                _ => return Err(bad()),
            }
        }
        Ok(all)
    };
    match data.get("resultType").and_then(Value::as_str) {
        Some("scalar") => sample(result).map(Answer::Scalar).ok_or_else(bad),
        Some("vector") => each("value").map(Answer::Numbers),
        Some("matrix") => each("values").map(Answer::Numbers),
        Some(other) => Err(format!("unmarshalerDecoder: unexpected value type {other:?}")),
        None => Err(bad()),
    }
}

/// Of `[time, "value"]`.
fn sample(point: &Value) -> Option<f64> {
    match point.get(1)?.as_str()? {
        "NaN" => Some(f64::NAN),
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

/// The times that a query is asked of, where it is asked of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub start: DateTime<Utc>,
    /// The last.
    pub end: DateTime<Utc>,
    /// From one to the next.
    pub step: TimeDelta,
}

/// A metric's `rangeQuery` as of `now`: what is written there are expressions, such as `now() - duration("5m")`.
///
/// # Errors
/// In Argo Rollouts' words.
pub fn range(query: &Value, now: DateTime<Utc>) -> Result<Range, String> {
    let text = |field: &str| query.get(field).and_then(Value::as_str).unwrap_or_default();
    let time = |field: &str| {
        moment(text(field), now).map_err(|e| format!("failed to parse rangeQuery.{field} as time: {e}"))
    };
    let (start, end) = (time("start")?, time("end")?);
    let step = duration::parse(text("step"))
        .map_err(|e| format!("failed to parse rangeQuery.step as duration: {e}"))?;
    Ok(Range { start, end, step: TimeDelta::nanoseconds(step) })
}

/// What a web endpoint replied, and the part of it that `path` names (`{$.data[0].ok}`; empty for all of it). A body
/// that is no JSON is a text, whatever the path. (Argo Rollouts up to v1.10 takes such a body as a success at once.)
///
/// # Errors
/// In Argo Rollouts' words.
pub fn web(status: u16, body: &str, path: &str) -> Result<Answer, String> {
    if !(200..300).contains(&status) {
        return Err(format!("received non 2xx response code: {status}"));
    }
    let Ok(json) = serde_json::from_str::<Value>(body) else {
        return Ok(Answer::Json(Value::String(body.into())));
    };
    let inner = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    let mut part = &json;
    for step in steps(inner)? {
        let found = match step.parse::<usize>() {
            Ok(i) if part.is_array() => part.get(i),
            _ => part.get(step),
        };
        part = found.ok_or_else(|| format!("Could not find JSONPath in body: {step} is not found"))?;
    }
    Ok(Answer::Json(part.clone()))
}

/// Names and positions of a path without filters and wildcards.
fn steps(path: &str) -> Result<Vec<&str>, String> {
    let unknown = || format!("Tidegate reads only plain paths such as {{$.data[0].ok}}, not {path}");
    let mut steps = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let (step, after) = match first {
            '.' => {
                let end = rest[1..].find(['.', '[']).map_or(rest.len(), |i| i + 1);
                (&rest[1..end], &rest[end..])
            }
            '[' => {
                let end = rest.find(']').ok_or_else(unknown)?;
                (rest[1..end].trim_matches('\''), &rest[end + 1..])
            }
            _ => return Err(unknown()),
        };
        if step.contains(['*', '?', '(', ':', ',']) {
            return Err(unknown());
        }
        if !step.is_empty() {
            steps.push(step);
        }
        rest = after;
    }
    Ok(steps)
}
