//! A message in the form that each kind of receiver reads, within what it accepts.

use super::{Happened, Message, cut};
use crate::canonical;
use crate::policy::Severity;
use chrono::SecondsFormat;
use serde_json::{Value, json};

/// <https://docs.slack.dev/reference/block-kit/blocks/header-block>: 150 characters of plain text.
const SLACK_HEADER: usize = 150;
/// <https://docs.slack.dev/reference/block-kit/blocks/section-block>: 3,000 characters.
const SLACK_SECTION: usize = 3000;
/// <https://developer.pagerduty.com/docs/send-alert-event>: 1,024 characters.
const PAGERDUTY_SUMMARY: usize = 1024;
/// The same page: 255 characters.
const PAGERDUTY_KEY: usize = 255;
/// An event as a whole may have 512 KB; nobody reads that much.
const PAGERDUTY_WORDS: usize = 8000;
/// A line of a mail's head has 998 at most; a subject that long is no subject.
const SUBJECT: usize = 200;
/// Larger mails and webhooks help nobody.
const WORDS: usize = 20_000;

/// What came of it, for the beginning of a line.
fn opening(what: Happened) -> &'static str {
    match what {
        Happened::Fired | Happened::Told => "",
        Happened::Resolved => "Over: ",
        Happened::Test => "Test: ",
    }
}

fn title(m: &Message) -> String {
    format!("{}{}", opening(m.what), m.title)
}

/// The address of the page, where people are known to reach Tidegate by one.
fn link(m: &Message, base: Option<&str>) -> Option<String> {
    base.map(|base| format!("{}{}", base.trim_end_matches('/'), m.path))
}

fn severity(s: Severity) -> &'static str {
    match s {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// `high · checkout · production`
fn about(m: &Message) -> String {
    let parts = [Some(severity(m.severity)), m.service.as_deref(), m.environment.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// For a Slack incoming webhook: blocks, and the title as what notifications show.
pub fn slack(m: &Message, base: Option<&str>) -> Value {
    let title = cut(&title(m), SLACK_HEADER);
    let mut words = slack_escaped(&m.words, SLACK_SECTION);
    if words.is_empty() {
        words.clone_from(&slack_escaped(&title, SLACK_SECTION));
    }
    let mut context = slack_escaped(&about(m), 1000);
    if let Some(link) = link(m, base) {
        context.push_str(&format!(" · <{}|Open in Tidegate>", slack_escaped(&link, 1500)));
    }
    json!({
        "text": slack_escaped(&title, SLACK_SECTION),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": false}},
            {"type": "section", "text": {"type": "mrkdwn", "text": words}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": context}]},
        ],
    })
}

/// Text in which nothing is a link, a mention or a command, at most `most` characters long as it is sent.
fn slack_escaped(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut left = most.saturating_sub(1);
    for c in text.chars() {
        let piece = match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            c => c.to_string(),
        };
        let length = piece.chars().count();
        if length > left {
            out.push('…');
            return out;
        }
        left -= length;
        out.push_str(&piece);
    }
    out
}

/// Where on PagerDuty's server an event goes: what is only told opens no incident.
pub fn pagerduty_path(m: &Message) -> &'static str {
    if m.what == Happened::Told { "/v2/change/enqueue" } else { "/v2/enqueue" }
}

/// An event for PagerDuty's Events API v2.
pub fn pagerduty(m: &Message, routing_key: &str, base: Option<&str>) -> Value {
    let at = m.at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let summary = match m.what {
        Happened::Test => title(m),
        _ => m.title.clone(),
    };
    let details = json!({
        "words": cut(&m.words, PAGERDUTY_WORDS),
        "service": m.service, "environment": m.environment, "release": m.release,
    });
    let mut payload = json!({
        "summary": cut(&summary, PAGERDUTY_SUMMARY),
        "source": cut(m.service.as_deref().unwrap_or("Tidegate"), PAGERDUTY_SUMMARY),
        "timestamp": at,
        "custom_details": details,
    });
    let links = link(m, base).map(|href| json!([{"href": href, "text": "Open in Tidegate"}]));
    if m.what == Happened::Told {
        return json!({"routing_key": routing_key, "payload": payload, "links": links.unwrap_or(json!([]))});
    }
    payload["severity"] = json!(match m.severity {
        Severity::Low => "info",
        Severity::Medium => "warning",
        Severity::High => "error",
        Severity::Critical => "critical",
    });
    payload["component"] = json!(m.service);
    payload["group"] = json!(m.environment);
    json!({
        "routing_key": routing_key,
        "event_action": if m.what == Happened::Resolved { "resolve" } else { "trigger" },
        "dedup_key": pagerduty_key(&m.key),
        "client": "Tidegate",
        "client_url": link(m, base),
        "links": links.unwrap_or(json!([])),
        "payload": payload,
    })
}

/// The key as it is, or the digest of one that is too long: cutting it could make two the same.
fn pagerduty_key(key: &str) -> String {
    if key.len() <= PAGERDUTY_KEY { key.to_owned() } else { canonical::digest(&json!(key)).0 }
}

/// The body of a webhook, in the shape that Standard Webhooks recommends.
pub fn webhook(m: &Message, base: Option<&str>) -> Value {
    json!({
        "type": format!("notification.{}", m.what.key()),
        "timestamp": m.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "data": {
            "key": m.key, "title": m.title, "words": cut(&m.words, WORDS), "severity": m.severity,
            "url": link(m, base), "path": m.path,
            "release": m.release, "service": m.service, "environment": m.environment, "what": m.what,
        },
    })
}

/// A mail: subject and text.
pub fn mail(m: &Message, base: Option<&str>) -> (String, String) {
    let subject: String = title(m).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let place = link(m, base).unwrap_or_else(|| format!("In Tidegate: {}", m.path));
    let text = format!(
        "{}\n\n{}\n\n{}\n{}\n{}\n",
        title(m),
        cut(&m.words, WORDS),
        about(m),
        m.at.format("%Y-%m-%d %H:%M:%S UTC"),
        place,
    );
    (cut(&format!("[Tidegate] {subject}"), SUBJECT), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReleaseId;
    use proptest::prelude::*;

    fn message(what: Happened) -> Message {
        Message {
            key: "r318/error-rate".into(),
            title: "checkout held at 25 %".into(),
            words: "Errors are at 4.1 %, the limit is 2 %.".into(),
            severity: Severity::High,
            path: "/releases/318".into(),
            release: Some(ReleaseId(318)),
            service: Some("checkout".into()),
            environment: Some("production".into()),
            what,
            at: "2026-03-01T12:00:00Z".parse().unwrap(),
        }
    }

    const BASE: Option<&str> = Some("https://tidegate.example.com/");

    #[test]
    fn slack_reads_blocks() {
        insta::assert_json_snapshot!(slack(&message(Happened::Fired), BASE), @r#"
        {
          "blocks": [
            {
              "text": {
                "emoji": false,
                "text": "checkout held at 25 %",
                "type": "plain_text"
              },
              "type": "header"
            },
            {
              "text": {
                "text": "Errors are at 4.1 %, the limit is 2 %.",
                "type": "mrkdwn"
              },
              "type": "section"
            },
            {
              "elements": [
                {
                  "text": "high · checkout · production · <https://tidegate.example.com/releases/318|Open in Tidegate>",
                  "type": "mrkdwn"
                }
              ],
              "type": "context"
            }
          ],
          "text": "checkout held at 25 %"
        }
        "#);
    }

    #[test]
    fn what_somebody_wrote_commands_nobody_in_slack() {
        let m = Message { words: "<!channel> & <https://x|y>".into(), ..message(Happened::Told) };
        let text = slack(&m, None)["blocks"][1]["text"]["text"].clone();
        assert_eq!(text, "&lt;!channel&gt; &amp; &lt;https://x|y&gt;");
    }

    #[test]
    fn pagerduty_opens_and_closes_by_the_same_key() {
        let fired = pagerduty(&message(Happened::Fired), "R", BASE);
        assert_eq!(fired["event_action"], "trigger");
        assert_eq!(fired["payload"]["severity"], "error");
        assert_eq!(fired["links"][0]["href"], "https://tidegate.example.com/releases/318");
        let over = pagerduty(&message(Happened::Resolved), "R", None);
        assert_eq!((&over["event_action"], &over["dedup_key"]), (&json!("resolve"), &fired["dedup_key"]));
        // What is only worth knowing wakes nobody.
        let told = message(Happened::Told);
        assert_eq!(pagerduty_path(&told), "/v2/change/enqueue");
        assert!(pagerduty(&told, "R", None).get("event_action").is_none());
    }

    #[test]
    fn two_long_keys_stay_two() {
        let long = |end: &str| Message { key: "k".repeat(400) + end, ..message(Happened::Fired) };
        let key = |end| pagerduty(&long(end), "R", None)["dedup_key"].clone();
        assert_ne!(key("a"), key("b"));
        assert!(key("a").as_str().unwrap().len() <= PAGERDUTY_KEY);
    }

    #[test]
    fn a_mail_says_the_same_in_plain_text() {
        let (subject, text) = mail(&message(Happened::Resolved), BASE);
        assert_eq!(subject, "[Tidegate] Over: checkout held at 25 %");
        insta::assert_snapshot!(text, @r"
        Over: checkout held at 25 %

        Errors are at 4.1 %, the limit is 2 %.

        high · checkout · production
        2026-03-01 12:00:00 UTC
        https://tidegate.example.com/releases/318
        ");
    }

    #[test]
    fn a_title_cannot_add_lines_to_a_mails_head() {
        let m = Message { title: "a\r\nBcc: everybody@example.com".into(), ..message(Happened::Fired) };
        assert!(!mail(&m, None).0.contains(['\r', '\n']));
    }

    #[test]
    fn a_webhook_has_everything_for_programs() {
        let body = webhook(&message(Happened::Fired), BASE);
        assert_eq!(body["type"], "notification.fired");
        assert_eq!(body["data"]["release"], 318);
        assert_eq!(body["data"]["severity"], "high");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_is_longer_than_its_receiver_takes(
            title in "[<&a-zé😀]{0,4000}", words in "[<&a-zé😀]{0,9000}", key in "[a-zé]{0,600}",
        ) {
            let m = Message { title, words, key, ..message(Happened::Fired) };
            let slack = slack(&m, BASE);
            let chars = |v: &Value| v.as_str().map_or(usize::MAX, |s| s.chars().count());
            prop_assert!(chars(&slack["blocks"][0]["text"]["text"]) <= 150);
            let section = chars(&slack["blocks"][1]["text"]["text"]);
            prop_assert!(section <= 3000);
            let event = pagerduty(&m, "R", BASE);
            prop_assert!(chars(&event["payload"]["summary"]) <= 1024);
            prop_assert!(event["dedup_key"].as_str().unwrap_or_default().len() <= 255);
            prop_assert!(event.to_string().len() < 512 * 1024);
            prop_assert!(mail(&m, BASE).0.chars().count() <= SUBJECT);
        }
    }
}
