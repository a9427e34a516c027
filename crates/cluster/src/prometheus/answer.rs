//! What Prometheus' HTTP API answers, read.

use super::{Line, Series};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Of an answer that is read as it is, in bytes.
const LARGEST: usize = 4 << 20;

/// Why an answer is none.
#[derive(Debug, PartialEq)]
pub(super) enum Unreadable {
    /// The query itself: asked again, or elsewhere, it is refused again.
    Refused(String),
    /// The server cannot answer now; another may.
    Busy(String),
    /// Not as Prometheus answers.
    Foreign,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Point {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

#[derive(Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|v: &f64| v.is_finite())
}

/// An answer as it is, with the status that goes with it; not of a server that cannot answer now, nor one that is too large.
pub(super) fn whole(body: &[u8]) -> Result<(u16, String), Unreadable> {
    if body.len() > LARGEST {
        return Err(Unreadable::Refused(format!("it is answered with more than {} MiB", LARGEST >> 20)));
    }
    let status = match open(body) {
        Ok(_) => 200,
        Err(Unreadable::Refused(_)) => 400,
        Err(other) => return Err(other),
    };
    Ok((status, String::from_utf8_lossy(body).into_owned()))
}

fn open(body: &[u8]) -> Result<Data, Unreadable> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| Unreadable::Foreign)?;
    if answer.status != "success" {
        let words = answer.error.unwrap_or_else(|| "no reason given".to_owned());
        // Of the API's own error types these say nothing of the query.
        return Err(match answer.error_type.as_deref() {
            Some("timeout" | "canceled" | "internal" | "unavailable") => Unreadable::Busy(words),
            _ => Unreadable::Refused(words),
        });
    }
    answer.data.ok_or(Unreadable::Foreign)
}

fn all<T: DeserializeOwned>(result: serde_json::Value) -> Result<Vec<T>, Unreadable> {
    serde_json::from_value(result).map_err(|_| Unreadable::Foreign)
}

/// An instant query's answer.
pub(super) fn instant(body: &[u8]) -> Result<Vec<Series>, Unreadable> {
    let data = open(body)?;
    match data.result_type.as_str() {
        "vector" => {
            let series = |p: Point| Series { value: number(&p.value.1), labels: p.metric };
            Ok(all(data.result)?.into_iter().map(series).collect())
        }
        "scalar" => {
            let (_, text): (f64, String) =
                serde_json::from_value(data.result).map_err(|_| Unreadable::Foreign)?;
            Ok(vec![Series { labels: BTreeMap::new(), value: number(&text) }])
        }
        other => Err(Unreadable::Refused(format!("it gives a {other}, not one number a series"))),
    }
}

/// A range query's answer.
pub(super) fn range(body: &[u8]) -> Result<Vec<Line>, Unreadable> {
    let data = open(body)?;
    if data.result_type != "matrix" {
        return Err(Unreadable::Foreign);
    }
    let point = |(at, text): (f64, String)| Some((moment(at)?, number(&text)?));
    let line =
        |row: Row| Line { labels: row.metric, points: row.values.into_iter().filter_map(point).collect() };
    Ok(all(data.result)?.into_iter().map(line).collect())
}

/// Seconds since 1970, with thousandths.
fn moment(seconds: f64) -> Option<DateTime<Utc>> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit for a long time")]
    DateTime::from_timestamp_millis((seconds * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_no_number() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"rollouts_pod_template_hash":"a"},"value":[1700000000.1,"12.5"]},
            {"metric":{"rollouts_pod_template_hash":"b"},"value":[1700000000.1,"NaN"]},
            {"metric":{"rollouts_pod_template_hash":"c"},"value":[1700000000.1,"+Inf"]}]}}"#;
        let values: Vec<_> = instant(body).unwrap().into_iter().map(|s| s.value).collect();
        assert_eq!(values, [Some(12.5), None, None]);
    }

    #[test]
    fn an_answer_is_handed_on_as_it_is_but_not_that_of_a_server_that_is_busy() {
        let good = r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#;
        assert_eq!(whole(good.as_bytes()), Ok((200, good.to_owned())));
        let bad = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert_eq!(whole(bad.as_bytes()), Ok((400, bad.to_owned())));
        let busy = bad.replace("bad_data", "timeout");
        assert_eq!(whole(busy.as_bytes()), Err(Unreadable::Busy("parse error".into())));
        assert_eq!(whole(b"<html>"), Err(Unreadable::Foreign));
        assert!(matches!(whole(&[b' '; LARGEST + 1]), Err(Unreadable::Refused(_))));
    }

    #[test]
    fn an_empty_vector_is_no_series() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(instant(body).unwrap(), []);
    }

    #[test]
    fn a_range_has_the_points_that_are_numbers() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"code":"200"},"values":[[1700000000,"1"],[1700000030,"NaN"],[1700000060.5,"3"]]}]}}"#;
        let lines = range(body).unwrap();
        let seen: Vec<_> = lines[0].points.iter().map(|(at, v)| (at.timestamp_millis(), *v)).collect();
        assert_eq!(seen, [(1_700_000_000_000, 1.0), (1_700_000_060_500, 3.0)]);
    }

    #[test]
    fn a_refused_query_says_why_and_a_busy_server_is_none() {
        let body = br#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}"#;
        assert_eq!(instant(body), Err(Unreadable::Refused("parse error: unexpected end".into())));
        let body = br#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
        assert_eq!(instant(body), Err(Unreadable::Busy("query timed out".into())));
    }

    #[test]
    fn somebody_elses_page_is_not_prometheus() {
        assert_eq!(instant(b"<html>404</html>"), Err(Unreadable::Foreign));
    }
}
