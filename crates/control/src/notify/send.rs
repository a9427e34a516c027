//! One message to one receiver, over the network. What its answer means is decided in `model::notify`.

use super::check::{address, is_secret, may_receive, signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac as _};
use lettre::message::{Mailbox, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use model::notify::{self, Heard, Message, Security, Settings};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use sha2::Sha256;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

/// For one request, and for each word with a mail server.
const ANSWER: Duration = Duration::from_secs(10);
/// For one message as a whole. Shorter than the lease.
pub(super) const WHOLE: Duration = Duration::from_secs(25);
/// Bytes of an answer that are read.
const BODY: usize = 2000;

/// What every delivery needs.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    http: reqwest::Client,
    roots: Vec<Certificate>,
    loopback: bool,
    base: Option<String>,
}

/// One message on its way.
pub(super) struct Parcel<'a> {
    /// Names this delivery: the same again when it is tried again.
    pub(super) id: String,
    pub(super) message: &'a Message,
    pub(super) settings: &'a Settings,
    pub(super) secret: &'a str,
    pub(super) now: DateTime<Utc>,
}

impl Sender {
    /// # Errors
    /// When the certificates cannot be read, in words.
    pub(super) fn new(loopback: bool, base: Option<String>, roots: Option<&[u8]>) -> Result<Self, String> {
        let mut http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(ANSWER)
            .connect_timeout(Duration::from_secs(5))
            .pool_idle_timeout(Duration::from_secs(15))
            .user_agent(concat!("Tidegate/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(std::sync::Arc::new(Receivers { loopback }));
        let mut trusted = Vec::new();
        if let Some(pem) = roots {
            let unreadable = |e: &dyn Error| format!("The certificates cannot be read: {e}.");
            let all = reqwest::Certificate::from_pem_bundle(pem).map_err(|e| unreadable(&e))?;
            if all.is_empty() {
                return Err("There is no certificate in it.".to_owned());
            }
            for one in all {
                http = http.add_root_certificate(one);
            }
            trusted.push(Certificate::from_pem(pem).map_err(|e| unreadable(&e))?);
        }
        let http = http.build().map_err(|e| format!("No client can be made: {e}."))?;
        Ok(Self { http, roots: trusted, loopback, base })
    }

    /// Sends, and says what was heard. Never longer than [`WHOLE`]; what is said holds no secret.
    pub(super) async fn send(&self, parcel: &Parcel<'_>) -> Heard {
        if let Err(why) = is_secret(parcel.settings.channel(), parcel.secret, self.loopback)
            && !matches!(parcel.settings, Settings::Email { user: None, .. })
        {
            return Heard::NotAsked(format!("Its secret cannot be used. {why}"));
        }
        let sent = async {
            match parcel.settings {
                Settings::Slack => self.slack(parcel).await,
                Settings::Pagerduty { endpoint } => self.pagerduty(parcel, endpoint).await,
                Settings::Webhook { url } => self.webhook(parcel, url).await,
                Settings::Email { .. } => self.mail(parcel).await,
            }
        };
        let heard = match tokio::time::timeout(WHOLE, sent).await {
            Ok(Ok(heard) | Err(heard)) => heard,
            Err(_) => Heard::Silence(format!("It was not done within {} s.", WHOLE.as_secs())),
        };
        redacted(heard, parcel.secret)
    }

    async fn slack(&self, p: &Parcel<'_>) -> Result<Heard, Heard> {
        let body = notify::slack(p.message, self.base.as_deref()).to_string();
        self.post(p.secret, body, &[]).await
    }

    async fn pagerduty(&self, p: &Parcel<'_>, endpoint: &str) -> Result<Heard, Heard> {
        let body = notify::pagerduty(p.message, p.secret, self.base.as_deref()).to_string();
        self.post(&format!("{endpoint}{}", notify::pagerduty_path(p.message)), body, &[]).await
    }

    async fn webhook(&self, p: &Parcel<'_>, url: &str) -> Result<Heard, Heard> {
        let body = notify::webhook(p.message, self.base.as_deref()).to_string();
        let at = p.now.timestamp().to_string();
        let signature = signing_key(p.secret)
            .and_then(|key| sign(&key, &p.id, &at, &body))
            .ok_or_else(|| Heard::NotAsked("Its signing key cannot be used. Enter it again.".to_owned()))?;
        let headers =
            [("webhook-id", p.id.clone()), ("webhook-timestamp", at), ("webhook-signature", signature)];
        self.post(url, body, &headers).await
    }

    async fn post(&self, url: &str, body: String, headers: &[(&str, String)]) -> Result<Heard, Heard> {
        // What was allowed when it was entered may no longer be.
        let url = address(url, self.loopback).map_err(Heard::NotAsked)?;
        let mut request =
            self.http.post(url).header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut response = request.send().await.map_err(|e| Heard::Silence(silence(&e)))?;
        let retry_after = response.headers().get(reqwest::header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|v| v.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let mut read = Vec::new();
        // The status is the answer: words that do not come are not waited for.
        while read.len() < BODY
            && let Ok(Some(chunk)) = response.chunk().await
        {
            read.extend_from_slice(&chunk);
        }
        read.truncate(BODY);
        Ok(Heard::Answer { status, retry_after, body: String::from_utf8_lossy(&read).into_owned() })
    }

    async fn mail(&self, p: &Parcel<'_>) -> Result<Heard, Heard> {
        let Settings::Email { host, port, security, user, from, to } = p.settings else {
            return Err(Heard::NotAsked("It is no mail.".to_owned()));
        };
        let unusable = |e: &dyn Error| Heard::NotAsked(format!("The mail cannot be written: {e}."));
        let from: Mailbox = from.parse().map_err(|e: lettre::address::AddressError| unusable(&e))?;
        let (subject, text) = notify::mail(p.message, self.base.as_deref());
        let mut mail = lettre::Message::builder()
            .message_id(Some(format!("<{}@{}>", p.id, from.email.domain())))
            .date(p.message.at.into())
            .subject(subject)
            .header(header::ContentType::TEXT_PLAIN)
            .from(from);
        for address in to {
            mail = mail.to(address.parse().map_err(|e: lettre::address::AddressError| unusable(&e))?);
        }
        let mail = mail.body(text).map_err(|e| unusable(&e))?;
        let tls = || {
            let mut parameters = TlsParameters::builder(host.clone());
            for root in &self.roots {
                parameters = parameters.add_root_certificate(root.clone());
            }
            parameters.build_rustls().map_err(|e| unusable(&e))
        };
        let tls = match security {
            Security::Tls => Tls::Wrapper(tls()?),
            Security::Starttls => Tls::Required(tls()?),
            Security::None => Tls::None,
        };
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(*port)
            .timeout(Some(ANSWER))
            .tls(tls);
        if let Some(user) = user {
            server = server.credentials(Credentials::new(user.clone(), p.secret.to_owned()));
        }
        match server.build().send(mail).await {
            Ok(_) => Ok(Heard::Mail { code: 250, words: String::new() }),
            Err(e) => Err(match e.status().and_then(|code| code.to_string().parse().ok()) {
                Some(code) => Heard::Mail { code, words: innermost(&e) },
                None => Heard::Silence(mail_silence(&e)),
            }),
        }
    }
}

/// HMAC-SHA256 over id, time and body, as Standard Webhooks has it.
fn sign(key: &[u8], id: &str, at: &str, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// Resolves names, and leaves out addresses that no receiver may have.
#[derive(Debug)]
struct Receivers {
    loopback: bool,
}

impl Resolve for Receivers {
    fn resolve(&self, name: Name) -> Resolving {
        let loopback = self.loopback;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|a| may_receive(a.ip(), loopback)).collect();
            if allowed.is_empty() {
                return Err("its name leads to no address that a receiver may have".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Why there was no answer, without the address that was asked.
fn silence(e: &reqwest::Error) -> String {
    match () {
        () if e.is_timeout() => format!("No answer within {} s.", ANSWER.as_secs()),
        () if e.is_connect() => format!("It cannot be reached: {}.", innermost(e)),
        () => format!("The connection broke: {}.", innermost(e)),
    }
}

fn mail_silence(e: &lettre::transport::smtp::Error) -> String {
    match () {
        () if e.is_timeout() => format!("No answer within {} s.", ANSWER.as_secs()),
        () if e.is_client() => format!("The mail server does not do what is needed: {}.", innermost(e)),
        () => format!("It cannot be reached: {}.", innermost(e)),
    }
}

/// The first cause: what is around it repeats addresses.
fn innermost(e: &dyn Error) -> String {
    let mut cause = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let words = cause.to_string();
    words.split(" for url (").next().unwrap_or_default().to_owned()
}

/// What a receiver says may repeat what it was told.
fn redacted(heard: Heard, secret: &str) -> Heard {
    let path = url::Url::parse(secret).ok().map(|u| u.path().to_owned());
    let hide = |words: String| {
        [Some(secret), path.as_deref()]
            .into_iter()
            .flatten()
            .filter(|s| s.len() > 3)
            .fold(words, |words, secret| words.replace(secret, "[secret]"))
    };
    match heard {
        Heard::Answer { status, retry_after, body } => {
            Heard::Answer { status, retry_after, body: hide(body) }
        }
        Heard::Mail { code, words } => Heard::Mail { code, words: hide(words) },
        Heard::Silence(words) => Heard::Silence(hide(words)),
        Heard::NotAsked(words) => Heard::NotAsked(hide(words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_as_the_specification_has_it() {
        // The example of https://github.com/standard-webhooks/standard-webhooks, also in other implementations' tests.
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}");
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn what_a_receiver_repeats_of_a_secret_is_hidden() {
        let secret = "https://hooks.slack.com/services/T0/B0/x";
        let body = format!("no such hook {secret}, or /services/T0/B0/x");
        let heard = redacted(Heard::Answer { status: 404, retry_after: None, body }, secret);
        let hidden = "no such hook [secret], or [secret]".to_owned();
        assert_eq!(heard, Heard::Answer { status: 404, retry_after: None, body: hidden });
    }
}
