//! What a receiver's answer means, and when to try again. Pure: time and chance are handed in.

use chrono::{DateTime, TimeDelta, Utc};

/// How long a message is tried before it is given up.
pub const GIVE_UP: TimeDelta = TimeDelta::hours(24);
/// The first wait; each next one is twice as long.
const FIRST: TimeDelta = TimeDelta::seconds(2);
/// No wait is longer, unless the receiver asks for it.
const LONGEST: TimeDelta = TimeDelta::minutes(15);
/// What a receiver may ask for at most.
const PATIENCE: TimeDelta = TimeDelta::hours(1);
/// Characters of a receiver's words that are kept.
const WORDS: usize = 200;

/// What was heard of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer by HTTP.
    Answer {
        status: u16,
        /// The header `Retry-After`, as it stands there.
        retry_after: Option<String>,
        /// The beginning of the body.
        body: String,
    },
    /// An answer by SMTP.
    Mail { code: u16, words: String },
    /// None: it was not reached, or said nothing in time.
    Silence(String),
    /// It was not asked, because something on our side has to be put right first.
    NotAsked(String),
}

/// What follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Sent,
    /// It may go better later, but not before `wait` if the receiver named one.
    Again {
        why: String,
        wait: Option<TimeDelta>,
    },
    /// It will not get better by itself.
    Never {
        why: String,
    },
}

/// What an answer means. A redirect is a refusal: where it leads was not entered by anybody.
pub fn judge(heard: Heard, now: DateTime<Utc>) -> Outcome {
    match heard {
        Heard::Answer { status: 200..=299, .. } | Heard::Mail { code: 200..=299, .. } => Outcome::Sent,
        Heard::Answer { status: status @ (408 | 429 | 500..), retry_after, body } => Outcome::Again {
            why: answered(status, &body),
            wait: retry_after.as_deref().and_then(|text| asked(text, now)),
        },
        Heard::Answer { status: status @ 300..=399, .. } => Outcome::Never {
            why: format!(
                "Answered {status}, a redirect, which is not followed. Enter the address it leads to."
            ),
        },
        Heard::Answer { status, body, .. } => Outcome::Never { why: answered(status, &body) },
        Heard::Mail { code: code @ 500..=599, words } => Outcome::Never { why: answered(code, &words) },
        Heard::Mail { code, words } => Outcome::Again { why: answered(code, &words), wait: None },
        Heard::Silence(why) => Outcome::Again { why: short(&why), wait: None },
        Heard::NotAsked(why) => Outcome::Again { why, wait: Some(TimeDelta::minutes(1)) },
    }
}

/// How long to wait before the next try; `None` to give up. `attempts` counts the one that just failed, `chance` is from
/// 0 to 1 and keeps replicas and messages from coming all at once.
pub fn next_try(
    attempts: u32,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    asked: Option<TimeDelta>,
    chance: f64,
) -> Option<TimeDelta> {
    let doubled = FIRST * 2i32.saturating_pow(attempts.saturating_sub(1).min(16));
    let milliseconds = doubled.min(LONGEST).num_milliseconds() as f64 * (0.75 + 0.5 * chance.clamp(0.0, 1.0));
    let wait = TimeDelta::milliseconds(milliseconds as i64).max(asked.unwrap_or_default());
    (now + wait < since + GIVE_UP).then_some(wait)
}

/// `Retry-After`: seconds, or a date.
fn asked(text: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
    let text = text.trim();
    let wait = match text.parse::<u32>() {
        Ok(seconds) => TimeDelta::seconds(i64::from(seconds)),
        Err(_) => DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc) - now,
    };
    Some(wait.clamp(TimeDelta::zero(), PATIENCE))
}

fn answered(code: u16, words: &str) -> String {
    match short(words).as_str() {
        "" => format!("Answered {code}."),
        words => format!("Answered {code}: {words}"),
    }
}

/// One line of printable text, cut where it gets long.
fn short(words: &str) -> String {
    let printable = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let line = printable.split_whitespace().collect::<Vec<_>>().join(" ");
    super::cut(&line, WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn answer(status: u16, retry_after: Option<&str>, body: &str) -> Outcome {
        let retry_after = retry_after.map(str::to_owned);
        judge(Heard::Answer { status, retry_after, body: body.into() }, now())
    }

    fn again(why: &str, wait: Option<TimeDelta>) -> Outcome {
        Outcome::Again { why: why.into(), wait }
    }

    #[test]
    fn an_answer_means_sent_later_or_never() {
        for status in [200, 202, 204] {
            assert_eq!(answer(status, None, "ok"), Outcome::Sent);
        }
        for status in [400, 401, 403, 404, 410, 413, 422] {
            let why = format!("Answered {status}: invalid_payload");
            assert_eq!(answer(status, None, " invalid_payload\r\n"), Outcome::Never { why });
        }
        for status in [408, 429, 500, 502, 503] {
            assert_eq!(answer(status, None, ""), again(&format!("Answered {status}."), None));
        }
        assert!(matches!(answer(301, None, ""), Outcome::Never { why } if why.contains("not followed")));
        let mail = |code| judge(Heard::Mail { code, words: "mailbox".into() }, now());
        assert_eq!(mail(250), Outcome::Sent);
        assert_eq!(mail(451), again("Answered 451: mailbox", None));
        assert_eq!(mail(550), Outcome::Never { why: "Answered 550: mailbox".into() });
        assert_eq!(judge(Heard::Silence("No answer.".into()), now()), again("No answer.", None));
    }

    #[test]
    fn a_receiver_may_ask_for_time_but_not_for_ever() {
        let wait = |text| match answer(429, Some(text), "") {
            Outcome::Again { wait, .. } => wait,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("30"), Some(TimeDelta::seconds(30)));
        assert_eq!(wait("Sun, 01 Mar 2026 12:01:30 GMT"), Some(TimeDelta::seconds(90)));
        assert_eq!(wait("Sun, 01 Mar 2026 11:00:00 GMT"), Some(TimeDelta::zero()));
        assert_eq!(wait("999999"), Some(PATIENCE));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let wait = |attempts| next_try(attempts, now(), now(), None, 0.5).unwrap().num_seconds();
        let waits: Vec<_> = (1..=12).map(wait).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    }

    #[test]
    fn it_is_given_up_after_a_day() {
        let late = now() + GIVE_UP;
        assert_eq!(next_try(100, now(), late, None, 0.0), None);
        assert_eq!(next_try(100, now(), late - TimeDelta::minutes(1), None, 1.0), None);
        assert!(next_try(100, now(), late - TimeDelta::minutes(30), None, 1.0).is_some());
    }

    #[test]
    fn a_receivers_words_are_one_short_line() {
        let Outcome::Never { why } = answer(400, None, &format!("a\u{0}b\n{}", "é".repeat(500))) else {
            panic!("a refusal");
        };
        assert!(why.starts_with("Answered 400: a b é") && why.ends_with('…'), "{why}");
        assert!(why.chars().count() < 230);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_wait_is_shorter_than_asked_or_outside_its_bounds(
            attempts in 1u32..1000, chance in 0.0f64..=1.0, asked in proptest::option::of(0i64..3600),
        ) {
            let asked = asked.map(TimeDelta::seconds);
            let wait = next_try(attempts, now(), now(), asked, chance).unwrap();
            prop_assert!(wait >= asked.unwrap_or_default());
            prop_assert!(wait >= TimeDelta::milliseconds(1500));
            prop_assert!(wait <= TimeDelta::minutes(19).max(asked.unwrap_or_default()));
        }
    }
}
