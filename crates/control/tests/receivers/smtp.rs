//! A mail server: the protocol is the crate mailin's, here is only the wire.

use super::DEADLINE;
use mailin::{Action, AuthMechanism, Handler, Response, SessionBuilder, response};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub(crate) const USER: &str = "tidegate";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A mail that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) text: String,
    /// Who signed in, if anybody.
    pub(crate) user: Option<String>,
}

pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    mails: watch::Sender<Vec<Mail>>,
    /// Answers to recipients, one after another, before any is taken.
    refuse: Arc<Mutex<Vec<Response>>>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Writer {
    mail: Mail,
    user: Option<String>,
    mails: watch::Sender<Vec<Mail>>,
    refuse: Arc<Mutex<Vec<Response>>>,
}

impl Handler for Writer {
    fn rcpt(&mut self, _to: &str) -> Response {
        self.refuse.lock().unwrap().pop().unwrap_or(response::OK)
    }

    fn data_start(&mut self, _domain: &str, from: &str, _is8bit: bool, to: &[String]) -> Response {
        self.mail = Mail { from: from.into(), to: to.to_vec(), user: self.user.clone(), ..Mail::default() };
        response::OK
    }

    fn data(&mut self, buf: &[u8]) -> std::io::Result<()> {
        self.mail.text.push_str(&String::from_utf8_lossy(buf));
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        self.mails.send_modify(|all| all.push(std::mem::take(&mut self.mail)));
        response::OK
    }

    fn auth_plain(&mut self, _as: &str, user: &str, password: &str) -> Response {
        if (user, password) != (USER, PASSWORD) {
            return response::INVALID_CREDENTIALS;
        }
        self.user = Some(user.to_owned());
        response::AUTH_OK
    }
}

impl MailServer {
    /// `tls`: offers STARTTLS, and takes mail only from those who sign in over it.
    pub(crate) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mails, refuse) = (watch::Sender::default(), Arc::<Mutex<Vec<_>>>::default());
        let writer =
            Writer { mail: Mail::default(), user: None, mails: mails.clone(), refuse: refuse.clone() };
        let serving = tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                tokio::spawn(talk(stream, from.ip(), writer.clone(), tls.clone()));
            }
        });
        Self { address, mails, refuse, serving }
    }

    /// The next recipient is answered so.
    pub(crate) fn refuse(&self, with: Response) {
        self.refuse.lock().unwrap().insert(0, with);
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.borrow().clone()
    }

    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Mail> {
        let mut seen = self.mails.subscribe();
        let enough = tokio::time::timeout(DEADLINE, seen.wait_for(|all| all.len() >= count)).await;
        assert!(enough.is_ok(), "only {} of {count} mails came", self.mails().len());
        self.mails()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn talk(stream: TcpStream, from: IpAddr, writer: Writer, tls: Option<TlsAcceptor>) {
    let mut session = SessionBuilder::new("mail.test");
    if tls.is_some() {
        session.enable_start_tls().enable_auth(AuthMechanism::Plain);
    }
    let mut session = session.build(from, writer);
    let mut plain = BufReader::new(stream);
    if say(&mut plain, &session.greeting()).await.is_err() {
        return;
    }
    if let (Some(true), Some(tls)) = (converse(&mut plain, &mut session).await, tls)
        && let Ok(stream) = tls.accept(plain.into_inner()).await
    {
        session.tls_active();
        converse(&mut BufReader::new(stream), &mut session).await;
    }
}

/// Until the end, or until the client goes over to TLS: then `Some(true)`.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    session: &mut mailin::Session<Writer>,
) -> Option<bool> {
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        let answer = session.process(&line);
        match answer.action {
            Action::NoReply => {}
            Action::Reply => say(stream, &answer).await.ok()?,
            Action::UpgradeTls => {
                say(stream, &answer).await.ok()?;
                return Some(true);
            }
            Action::Close => {
                let _ = say(stream, &answer).await;
                return Some(false);
            }
        }
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    answer: &Response,
) -> std::io::Result<()> {
    let mut text = Vec::new();
    answer.write_to(&mut text)?;
    stream.get_mut().write_all(&text).await?;
    stream.get_mut().flush().await
}

/// A certificate for `localhost` by an authority of its own.
pub(crate) fn certified() -> (TlsAcceptor, Vec<u8>) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(Arc::new(
        tokio_rustls::rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![leaf.der().clone()], private)
    .unwrap();
    (TlsAcceptor::from(Arc::new(config)), root.pem().into_bytes())
}
