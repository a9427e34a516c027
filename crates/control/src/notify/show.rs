//! Destinations and messages as they are shown: nothing secret among them.

use super::check;
use crate::Control;
use model::notify::{Security, Settings, State};
use model::policy::Channel;
use model::view::{Deed, DestinationDraft, DestinationView, LastView, NotificationView, SecretView};
use store::{DestinationRecord, NotificationRecord};

impl Control {
    pub(super) fn destination_view(
        &self,
        administer: &Deed,
        last: Option<&NotificationRecord>,
        d: DestinationRecord,
    ) -> DestinationView {
        let trouble = self.secret_of(&d).and_then(|secret| {
            if d.secret == store::Secret::None {
                return Ok(());
            }
            check::is_secret(d.settings.channel(), &secret, self.notifying().loopback)
        });
        DestinationView {
            id: d.id,
            kind: d.settings.channel(),
            target: target(&d.settings),
            secret: SecretView {
                variable: match &d.secret {
                    store::Secret::Variable(name) => Some(name.clone()),
                    _ => None,
                },
                sealed: matches!(d.secret, store::Secret::Sealed(_)),
                trouble: trouble.err(),
            },
            name: d.name,
            environment: d.environment,
            settings: administer.allowed.then_some(d.settings),
            last: last.map(|n| LastView {
                state: n.state,
                at: n.sent_at.or(n.failed_at).unwrap_or(n.created),
                error: n.last_error.clone(),
            }),
        }
    }
}

pub(super) fn notification_view(administer: &Deed, n: NotificationRecord) -> NotificationView {
    let again = match n.state {
        State::Sent => Deed::no("It was sent."),
        _ if n.destination_removed => Deed::no("Its destination was removed."),
        _ => administer.clone(),
    };
    NotificationView {
        id: n.id,
        destination: n.destination,
        destination_name: n.destination_name,
        kind: n.channel,
        title: n.message.title,
        what: n.message.what,
        severity: n.message.severity,
        path: n.message.path,
        release: n.message.release,
        service: n.message.service,
        environment: n.message.environment,
        state: n.state,
        attempts: n.attempts,
        created: n.created,
        next_try: (n.state == State::Waiting).then_some(n.next_try_at),
        last_error: n.last_error,
        ended: n.sent_at.or(n.failed_at),
        again,
    }
}

/// What a form begins with.
pub(super) fn draft_of(d: &DestinationRecord) -> DestinationDraft {
    let mut draft = DestinationDraft {
        name: d.name.clone(),
        kind: kind_key(d.settings.channel()).to_owned(),
        environment: d.environment.clone().unwrap_or_default(),
        ..DestinationDraft::default()
    };
    match &d.secret {
        store::Secret::None => {}
        store::Secret::Variable(name) => {
            "variable".clone_into(&mut draft.secret_from);
            draft.variable.clone_from(name);
        }
        store::Secret::Sealed(_) => "keep".clone_into(&mut draft.secret_from),
    }
    match &d.settings {
        Settings::Slack => {}
        Settings::Pagerduty { endpoint } => draft.endpoint.clone_from(endpoint),
        Settings::Webhook { url } => draft.url.clone_from(url),
        Settings::Email { host, port, security, user, from, to } => {
            draft.host.clone_from(host);
            draft.port = port.to_string();
            draft.security = match security {
                Security::Tls => "tls",
                Security::Starttls => "starttls",
                Security::None => "none",
            }
            .to_owned();
            draft.user = user.clone().unwrap_or_default();
            draft.from.clone_from(from);
            draft.to = to.join(", ");
        }
    }
    draft
}

/// Where it leads, without what may be secret in an address.
pub(super) fn target(settings: &Settings) -> String {
    let host = |text: &str| {
        let url = url::Url::parse(text).ok();
        let host = url.as_ref().and_then(|u| u.host_str()).map(str::to_owned);
        match (host, url.and_then(|u| u.port())) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default(),
        }
    };
    match settings {
        Settings::Slack => "an incoming webhook".to_owned(),
        Settings::Pagerduty { endpoint } => host(endpoint),
        Settings::Webhook { url } => host(url),
        Settings::Email { host, to, .. } => match to.as_slice() {
            [] => host.clone(),
            [one] => format!("{one} by {host}"),
            [first, rest @ ..] => format!("{first} and {} more by {host}", rest.len()),
        },
    }
}

pub(super) fn kind_key(channel: Channel) -> &'static str {
    match channel {
        Channel::Slack => "slack",
        Channel::Pagerduty => "pagerduty",
        Channel::Email => "email",
        Channel::Webhook => "webhook",
    }
}
