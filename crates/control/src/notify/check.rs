//! What a destination may be: every fault at its field, all at once. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use lettre::message::Mailbox;
use model::FieldError;
use model::notify::{PAGERDUTY, Security, Settings};
use model::policy::Channel;
use model::view::DestinationDraft;
use store::NewDestination;
use url::{Host, Url};

/// What variables that hold secrets must begin with: nobody gets to send the process' other variables anywhere.
pub(super) const PREFIX: &str = "TIDEGATE_";
/// Variables of ours that are no destination's secret.
const OURS: [&str; 2] = ["TIDEGATE_SECRET_KEY", "TIDEGATE_OWNER_DATABASE_URL"];
const MOST_RECIPIENTS: usize = 50;

/// What a draft comes to.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) new: NewDestination,
    pub(super) secret: Secret,
}

/// What becomes of the secret.
#[derive(PartialEq, Eq)]
pub(super) enum Secret {
    Keep,
    None,
    Variable(String),
    Value(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keep => "Keep",
            Self::None => "None",
            Self::Variable(_) => "Variable",
            Self::Value(_) => "Value",
        })
    }
}

/// What is known around a draft.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// Receivers on this machine are allowed, over plain HTTP too.
    pub(super) loopback: bool,
    /// There is a key to encrypt secrets with.
    pub(super) sealing: bool,
    /// It is there already and has a secret.
    pub(super) has_secret: bool,
}

/// Reads a draft.
///
/// # Errors
/// All faults.
pub(super) fn check(d: &DestinationDraft, around: Around) -> Result<Checked, Vec<FieldError>> {
    let mut wrong = Wrong::default();
    let name = d.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 80 {
        wrong.at("name", "Write a name of 1 to 80 characters.");
    }
    let environment = Some(d.environment.trim().to_owned()).filter(|e| !e.is_empty());
    if environment.as_ref().is_some_and(|e| e.chars().count() > 100 || e.chars().any(char::is_control)) {
        wrong.at("environment", "Write the name of an environment, or leave it empty for all.");
    }
    let settings = settings(d, around, &mut wrong);
    let secret = secret(d, around, &mut wrong);
    match (settings, secret) {
        (Some(settings), Some(secret)) if wrong.0.is_empty() => {
            Ok(Checked { new: NewDestination { name, environment, settings }, secret })
        }
        _ => Err(wrong.0),
    }
}

#[derive(Default)]
struct Wrong(Vec<FieldError>);

impl Wrong {
    fn at(&mut self, field: &str, words: impl Into<String>) {
        self.0.push(FieldError::new(field, words));
    }

    fn or<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|words| self.at(field, words)).ok()
    }
}

fn settings(d: &DestinationDraft, around: Around, wrong: &mut Wrong) -> Option<Settings> {
    let Some(channel) = channel(&d.kind) else {
        wrong.at("kind", "Choose one of slack, pagerduty, email, webhook.");
        return None;
    };
    match channel {
        Channel::Slack => Some(Settings::Slack),
        Channel::Pagerduty => {
            let given = d.endpoint.trim().trim_end_matches('/');
            let endpoint = if given.is_empty() { PAGERDUTY } else { given };
            let url = wrong.or("endpoint", address(endpoint, around.loopback))?;
            if url.path() != "/" || url.query().is_some() {
                wrong.at("endpoint", format!("Write the server alone: {PAGERDUTY}"));
                return None;
            }
            Some(Settings::Pagerduty { endpoint: endpoint.to_owned() })
        }
        Channel::Email => email(d, wrong),
        Channel::Webhook => {
            let url = wrong.or("url", address(d.url.trim(), around.loopback))?;
            Some(Settings::Webhook { url: url.into() })
        }
    }
}

fn channel(kind: &str) -> Option<Channel> {
    Some(match kind.trim() {
        "slack" => Channel::Slack,
        "pagerduty" => Channel::Pagerduty,
        "email" => Channel::Email,
        "webhook" => Channel::Webhook,
        _ => return None,
    })
}

fn email(d: &DestinationDraft, wrong: &mut Wrong) -> Option<Settings> {
    let security = match d.security.trim() {
        "" | "starttls" => Some(Security::Starttls),
        "tls" => Some(Security::Tls),
        "none" => Some(Security::None),
        _ => {
            wrong.at("security", "Choose one of starttls, tls, none.");
            None
        }
    };
    let host = d.host.trim().to_owned();
    if Host::parse(&host).is_err() || host.is_empty() {
        wrong.at("host", "Write the mail server's name: smtp.example.com");
    }
    let port = match (d.port.trim(), security) {
        ("", Some(Security::Tls)) => 465,
        ("", Some(Security::None)) => 25,
        ("", _) => 587,
        (text, _) => text.parse().ok().filter(|p| *p > 0).unwrap_or_else(|| {
            wrong.at("port", "Write a port from 1 to 65535, or leave it empty for the usual one.");
            0
        }),
    };
    let user = Some(d.user.trim().to_owned()).filter(|u| !u.is_empty());
    if user.is_some() && security == Some(Security::None) {
        wrong.at("security", "A password is not sent in clear. Choose starttls or tls, or no user.");
    }
    let from = d.from.trim().to_owned();
    if from.parse::<Mailbox>().is_err() {
        wrong.at("from", "Write an address: tidegate@example.com, or Tidegate <tidegate@example.com>");
    }
    let to = recipients(&d.to, wrong);
    Some(Settings::Email { host, port, security: security?, user, from, to })
}

fn recipients(text: &str, wrong: &mut Wrong) -> Vec<String> {
    let all: Vec<_> = text.split([',', '\n', ';']).map(str::trim).filter(|a| !a.is_empty()).collect();
    for one in all.iter().filter(|a| a.parse::<Address>().is_err()) {
        wrong.at("to", format!("`{one}` is not an address. Write name@example.com, several with commas."));
    }
    match all.len() {
        0 => wrong.at("to", "Write at least one address."),
        n if n > MOST_RECIPIENTS => {
            wrong.at("to", format!("{n} are too many: {MOST_RECIPIENTS} at most. Use a list's address."));
        }
        _ => {}
    }
    all.into_iter().map(str::to_owned).collect()
}

/// Judged though the rest may be wrong: all faults are told at once.
fn secret(d: &DestinationDraft, around: Around, wrong: &mut Wrong) -> Option<Secret> {
    let channel = channel(&d.kind)?;
    if channel == Channel::Email && d.user.trim().is_empty() {
        return Some(Secret::None);
    }
    match d.secret_from.trim() {
        "keep" if around.has_secret => Some(Secret::Keep),
        "variable" => {
            let name = d.variable.trim();
            wrong.or("variable", variable(name)).map(|()| Secret::Variable(name.to_owned()))
        }
        "value" | "" if !around.sealing => {
            wrong.at(
                "secret",
                "Tidegate has no key to encrypt it with. Set TIDEGATE_SECRET_KEY, or name a variable that holds it.",
            );
            None
        }
        "value" | "" => {
            let secret = d.secret.trim();
            wrong
                .or("secret", is_secret(channel, secret, around.loopback))
                .map(|()| Secret::Value(secret.to_owned()))
        }
        _ => {
            wrong.at("secret_from", "Choose whether the secret is entered here or in a variable.");
            None
        }
    }
}

/// Whether a variable may hold a secret.
fn variable(name: &str) -> Result<(), String> {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    let plain = rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    match () {
        () if rest.is_empty() || !plain => {
            Err(format!("Write the name of a variable that begins with {PREFIX}: {PREFIX}SLACK_OPS"))
        }
        () if OURS.contains(&name) => Err("That variable is Tidegate's own. Use another.".to_owned()),
        () => Ok(()),
    }
}

/// Whether this can be the secret of such a destination. Asked again before each delivery, since a variable may hold anything.
pub(super) fn is_secret(channel: Channel, secret: &str, loopback: bool) -> Result<(), String> {
    match channel {
        Channel::Slack => address(secret, loopback).map(drop),
        Channel::Pagerduty if secret.len() == 32 && secret.bytes().all(|b| b.is_ascii_alphanumeric()) => Ok(()),
        Channel::Pagerduty => {
            Err("A routing key has 32 letters and digits. It stands at the service's integration.".to_owned())
        }
        Channel::Email if secret.is_empty() => Err("Write the password of this user.".to_owned()),
        Channel::Email => Ok(()),
        Channel::Webhook => signing_key(secret).map(drop).ok_or_else(|| {
            "A signing key is `whsec_` and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32)".to_owned()
        }),
    }
}

/// The bytes of a key as Standard Webhooks writes it.
pub(super) fn signing_key(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

/// An address that something may be sent to: by HTTPS, to a host that can be a receiver. Does not repeat what was given.
pub(super) fn address(text: &str, loopback: bool) -> Result<Url, String> {
    const EXAMPLE: &str = "Write an address that begins with https://";
    if text.len() > 2000 {
        return Err("This address is too long: 2,000 characters at most.".to_owned());
    }
    let url = Url::parse(text).map_err(|_| EXAMPLE.to_owned())?;
    let host = url.host().ok_or_else(|| EXAMPLE.to_owned())?;
    let here = is_here(&host);
    match url.scheme() {
        "https" => {}
        "http" if here && loopback => {}
        "http" if here => {
            return Err(
                "Receivers on this machine are not allowed here (TIDEGATE_NOTIFY_LOOPBACK).".to_owned()
            );
        }
        "http" => {
            return Err("Messages are sent encrypted only. Write https:// in place of http://".to_owned());
        }
        _ => return Err(EXAMPLE.to_owned()),
    }
    if here && !loopback {
        return Err("Receivers on this machine are not allowed here (TIDEGATE_NOTIFY_LOOPBACK).".to_owned());
    }
    let ip = match host {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
        Host::Domain(_) => None,
    };
    if ip.is_some_and(|ip| !may_receive(ip, loopback)) {
        return Err("No receiver can have this address.".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("Leave user and password out of the address.".to_owned());
    }
    Ok(url)
}

fn is_here(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    }
}

/// Asked of what a name turns out to be, too. Clouds answer with credentials at link-local addresses, and what listens on
/// this machine alone is not meant for others. Private networks stay open: receivers live there.
pub(super) fn may_receive(ip: std::net::IpAddr, loopback: bool) -> bool {
    use std::net::IpAddr::{V4, V6};
    match ip {
        V4(ip) if ip.is_loopback() => loopback,
        V4(ip) => !(ip.is_link_local() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
        V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => may_receive(V4(mapped), loopback),
            None if ip.is_loopback() => loopback,
            // fd00:ec2::254 is where one cloud's metadata is reached.
            None => {
                let metadata = ip.segments() == [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254];
                !(ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast() || metadata)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AROUND: Around = Around { loopback: false, sealing: true, has_secret: false };

    fn draft(kind: &str) -> DestinationDraft {
        let secret = match kind {
            "slack" => "https://hooks.slack.com/services/T0/B0/x".to_owned(),
            "pagerduty" => "R".repeat(32),
            "webhook" => format!("whsec_{}", STANDARD.encode([7; 32])),
            _ => "correct horse".to_owned(),
        };
        DestinationDraft {
            name: " On-call ".into(),
            kind: kind.into(),
            url: "https://example.com/hook".into(),
            host: "smtp.example.com".into(),
            user: "tidegate".into(),
            from: "Tidegate <tidegate@example.com>".into(),
            to: "a@example.com, b@example.com\nc@example.com".into(),
            secret,
            ..DestinationDraft::default()
        }
    }

    fn fields(d: &DestinationDraft, around: Around) -> Vec<String> {
        check(d, around).err().unwrap_or_default().into_iter().map(|f| f.field).collect()
    }

    #[test]
    fn each_kind_is_read() {
        for kind in ["slack", "pagerduty", "email", "webhook"] {
            let checked = check(&draft(kind), AROUND).unwrap();
            assert_eq!(checked.new.name, "On-call");
            assert!(matches!(checked.secret, Secret::Value(_)), "{kind}");
        }
        let Settings::Email { port, to, security, .. } = check(&draft("email"), AROUND).unwrap().new.settings
        else {
            panic!("an e-mail");
        };
        assert_eq!((port, to.len(), security), (587, 3, Security::Starttls));
        assert_eq!(fields(&draft("fax"), AROUND), ["kind"]);
    }

    #[test]
    fn every_fault_stands_at_its_field_at_once() {
        let d = DestinationDraft {
            name: String::new(),
            host: "smtp example com".into(),
            port: "70000".into(),
            from: "nobody".into(),
            to: "a@example.com, b".into(),
            secret: String::new(),
            ..draft("email")
        };
        assert_eq!(fields(&d, AROUND), ["name", "host", "port", "from", "to", "secret"]);
        let hook =
            DestinationDraft { url: "http://example.com".into(), secret: "x".into(), ..draft("webhook") };
        assert_eq!(fields(&hook, AROUND), ["url", "secret"]);
        assert_eq!(fields(&DestinationDraft { to: " , ".into(), ..draft("email") }, AROUND), ["to"]);
        let clear = DestinationDraft { security: "none".into(), ..draft("email") };
        assert_eq!(fields(&clear, AROUND), ["security"]);
        let nobody = DestinationDraft { security: "none".into(), user: String::new(), ..draft("email") };
        assert_eq!(check(&nobody, AROUND).unwrap().secret, Secret::None);
    }

    #[test]
    fn a_secret_of_the_wrong_shape_is_refused_without_repeating_it() {
        for (kind, secret) in [
            ("slack", "http://hooks.slack.com/services/T0/B0/x"),
            ("slack", "hooks.slack.com/services/T0/B0/x"),
            ("pagerduty", "too-short"),
            ("webhook", "whsec_c2hvcnQ="),
            ("webhook", "no prefix"),
        ] {
            let d = DestinationDraft { secret: secret.into(), ..draft(kind) };
            let wrong = check(&d, AROUND).unwrap_err();
            assert_eq!(wrong[0].field, "secret", "{kind} {secret}");
            assert!(!wrong[0].message.contains(secret), "{}", wrong[0].message);
        }
    }

    #[test]
    fn without_a_key_only_variables_hold_secrets() {
        let around = Around { sealing: false, ..AROUND };
        assert_eq!(fields(&draft("slack"), around), ["secret"]);
        let by = |variable: &str| DestinationDraft {
            secret_from: "variable".into(),
            variable: variable.into(),
            ..draft("slack")
        };
        let checked = check(&by("TIDEGATE_SLACK_OPS"), around).unwrap();
        assert_eq!(checked.secret, Secret::Variable("TIDEGATE_SLACK_OPS".into()));
        for foreign in ["", "AWS_SECRET_ACCESS_KEY", "TIDEGATE_", "TIDEGATE_SECRET_KEY", "TIDEGATE_a b"] {
            assert_eq!(fields(&by(foreign), around), ["variable"], "{foreign}");
        }
    }

    #[test]
    fn a_secret_is_kept_only_where_there_is_one() {
        let keep = DestinationDraft { secret_from: "keep".into(), ..draft("slack") };
        assert_eq!(fields(&keep, AROUND), ["secret_from"]);
        let around = Around { has_secret: true, ..AROUND };
        assert_eq!(check(&keep, around).unwrap().secret, Secret::Keep);
    }

    #[test]
    fn nothing_is_sent_in_clear_to_this_machine_or_to_where_clouds_keep_credentials() {
        for refused in [
            "http://example.com/hook",
            "https://localhost/hook",
            "https://x.localhost/hook",
            "https://127.0.0.1/hook",
            "https://[::1]/hook",
            "https://[::ffff:127.0.0.1]/hook",
            "https://2130706433/hook",
            "https://169.254.169.254/latest/meta-data",
            "https://[fe80::1]/",
            "https://0.0.0.0/",
            "https://user:password@example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "example.com",
            "",
        ] {
            assert!(address(refused, false).is_err(), "{refused}");
        }
        assert!(address("https://example.com/hook?a=b", false).is_ok());
        assert!(address("https://10.0.0.7/hook", false).is_ok(), "receivers live in private networks");
        assert!(address("http://127.0.0.1:8080/hook", true).is_ok());
        assert!(address("http://10.0.0.7/hook", true).is_err());
    }

    #[test]
    fn pagerduty_has_another_server_in_europe() {
        let at = |endpoint: &str| DestinationDraft { endpoint: endpoint.into(), ..draft("pagerduty") };
        let read = |d| match check(&d, AROUND).unwrap().new.settings {
            Settings::Pagerduty { endpoint } => endpoint,
            other => panic!("{other:?}"),
        };
        assert_eq!(read(at("")), "https://events.pagerduty.com");
        assert_eq!(read(at("https://events.eu.pagerduty.com/")), "https://events.eu.pagerduty.com");
        assert_eq!(fields(&at("https://events.pagerduty.com/v2/enqueue"), AROUND), ["endpoint"]);
    }
}
