//! The sandbox's own certificate authority: TLS is verified everywhere, and each component has a user of its
//! own.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;
use time::{Duration, OffsetDateTime};

/// Addresses the API server is reached by: from this machine, and from pods by its Service.
const API_NAMES: [&str; 5] =
    ["127.0.0.1", "10.0.0.1", "localhost", "kubernetes.default.svc", "kubernetes.default"];

/// Who a client certificate speaks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) file: &'static str,
    pub(crate) user: &'static str,
    pub(crate) group: Option<&'static str>,
}

/// The users of the control plane. Only `admin` and kwok (which plays the kubelets) are cluster-admin.
pub(crate) const USERS: [Subject; 5] = [
    Subject { file: "admin", user: "admin", group: Some("system:masters") },
    Subject { file: "kwok", user: "kwok", group: Some("system:masters") },
    Subject { file: "controller-manager", user: "system:kube-controller-manager", group: None },
    Subject { file: "scheduler", user: "system:kube-scheduler", group: None },
    Subject { file: "argo-rollouts", user: "argo-rollouts", group: None },
];

/// Where the keys and certificates lie.
#[derive(Debug)]
pub(crate) struct Pki {
    dir: PathBuf,
    ca: String,
}

impl Pki {
    /// Read or make the authority in `dir`, and sign everything anew for a year.
    ///
    /// # Errors
    /// When a file cannot be written or a recorded key cannot be read.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        let ca = authority(dir, "ca", "sandbox-ca")?;
        let front = authority(dir, "front-proxy-ca", "sandbox-front-proxy-ca")?;
        drop(front);
        for (file, names) in [
            ("apiserver", &API_NAMES[..]),
            ("controller-manager-serving", &["127.0.0.1"]),
            ("scheduler-serving", &["127.0.0.1"]),
        ] {
            let mut params =
                CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())?;
            params.distinguished_name.push(DnType::CommonName, file);
            sign(dir, file, params, ExtendedKeyUsagePurpose::ServerAuth, &ca)?;
        }
        for subject in USERS {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, subject.user);
            if let Some(group) = subject.group {
                params.distinguished_name.push(DnType::OrganizationName, group);
            }
            sign(dir, subject.file, params, ExtendedKeyUsagePurpose::ClientAuth, &ca)?;
        }
        // The key that signs service account tokens must outlive a restart, or all tokens given out would be
        // void.
        if !dir.join("sa.key").exists() {
            let key = KeyPair::generate()?;
            write_private(&dir.join("sa.pub"), &key.public_key_pem())?;
            write_private(&dir.join("sa.key"), &key.serialize_pem())?;
        }
        let ca = fs::read_to_string(dir.join("ca.crt"))?;
        Ok(Self { dir: dir.to_owned(), ca })
    }

    /// Path of a file of the authority, e.g. `ca.crt`.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Write a kubeconfig that signs in with the client certificate of `user`.
    ///
    /// # Errors
    /// When the certificate cannot be read or the file not written.
    pub(crate) fn kubeconfig_of(&self, user: &str, server: &str, file: &Path) -> Result<()> {
        let read = |ext: &str| -> Result<String> {
            Ok(STANDARD.encode(fs::read(self.dir.join(format!("{user}.{ext}")))?))
        };
        let credentials = json!({"client-certificate-data": read("crt")?, "client-key-data": read("key")?});
        self.kubeconfig(user, server, &credentials, file)
    }

    /// Write a kubeconfig that signs in with a bearer token.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn kubeconfig_token(&self, user: &str, server: &str, token: &str, file: &Path) -> Result<()> {
        self.kubeconfig(user, server, &json!({"token": token}), file)
    }

    fn kubeconfig(
        &self,
        user: &str,
        server: &str,
        credentials: &serde_json::Value,
        file: &Path,
    ) -> Result<()> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "sandbox",
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user}}],
            "clusters": [{"name": "sandbox", "cluster": {
                "server": server, "certificate-authority-data": STANDARD.encode(&self.ca)}}],
            "users": [{"name": user, "user": credentials}],
        });
        write_private(file, &serde_json::to_string_pretty(&config)?)
    }
}

/// Read the authority `name`, or make it. Its certificate is kept, so that kubeconfigs handed out stay valid.
fn authority(dir: &Path, name: &str, common_name: &str) -> Result<Issuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(3650);
    let (key_file, cert_file) = (dir.join(format!("{name}.key")), dir.join(format!("{name}.crt")));
    let key = if key_file.exists() && cert_file.exists() {
        KeyPair::from_pem(&fs::read_to_string(&key_file)?).with_context(|| {
            format!("{} is damaged. Delete the data directory to start afresh.", key_file.display())
        })?
    } else {
        let key = KeyPair::generate()?;
        write_private(&cert_file, &params.self_signed(&key)?.pem())?;
        write_private(&key_file, &key.serialize_pem())?;
        key
    };
    Ok(Issuer::new(params, key))
}

fn sign(
    dir: &Path,
    file: &str,
    mut params: CertificateParams,
    usage: ExtendedKeyUsagePurpose,
    ca: &Issuer<'static, KeyPair>,
) -> Result<()> {
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(365);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, ca)?;
    write_private(&dir.join(format!("{file}.crt")), &cert.pem())?;
    write_private(&dir.join(format!("{file}.key")), &key.serialize_pem())
}

/// Write a file only its owner may read.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_private(file: &Path, text: &str) -> Result<()> {
    // Removed first: an existing file would keep its old mode.
    let _ = fs::remove_file(file);
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("writing {}", file.display()))?;
    out.write_all(text.as_bytes()).with_context(|| format!("writing {}", file.display()))
}
