//! Secrets at rest: XChaCha20-Poly1305 with the installation's key, a nonce of its own for each, and the destination's
//! number as associated data, so that a row's bytes are of no use in another row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::RngCore as _;
use std::fmt;
use store::Sealed;

const NONCE: usize = 24;

/// The installation's key.
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

impl SecretKey {
    /// Reads 32 bytes in base64.
    ///
    /// # Errors
    /// In words that do not repeat what was given.
    pub fn read(text: &str) -> Result<Self, String> {
        STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            "It must be 32 bytes in base64: make one with `openssl rand -base64 32`.".to_owned()
        })
    }

    pub(super) fn seal(&self, destination: i64, secret: &str) -> Option<Sealed> {
        let mut nonce = [0; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let about = about(destination);
        let payload = Payload { msg: secret.as_bytes(), aad: about.as_bytes() };
        let rest = self.cipher().encrypt(XNonce::from_slice(&nonce), payload).ok()?;
        Some(Sealed([nonce.as_slice(), &rest].concat()))
    }

    pub(super) fn open(&self, destination: i64, sealed: &Sealed) -> Option<String> {
        let (nonce, rest) = sealed.0.split_at_checked(NONCE)?;
        let about = about(destination);
        let payload = Payload { msg: rest, aad: about.as_bytes() };
        let secret = self.cipher().decrypt(XNonce::from_slice(nonce), payload).ok()?;
        String::from_utf8(secret).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.0.into())
    }
}

fn about(destination: i64) -> String {
    format!("tidegate destination {destination}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey([byte; 32])
    }

    #[test]
    fn what_was_sealed_is_opened_by_its_key_for_its_destination_only() {
        let sealed = key(1).seal(7, "whsec_abc").unwrap();
        assert_eq!(key(1).open(7, &sealed).as_deref(), Some("whsec_abc"));
        assert_eq!(key(2).open(7, &sealed), None);
        assert_eq!(key(1).open(8, &sealed), None);
        for at in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[at] ^= 1;
            assert_eq!(key(1).open(7, &changed), None, "byte {at}");
        }
        assert_eq!(key(1).open(7, &Sealed(vec![1; 10])), None);
        assert!(!sealed.0.windows(6).any(|w| w == b"whsec_"));
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        assert_ne!(key(1).seal(7, "x"), key(1).seal(7, "x"));
    }

    #[test]
    fn a_key_is_32_bytes_and_is_not_repeated_when_it_is_not() {
        assert!(SecretKey::read(&STANDARD.encode([9; 32])).is_ok());
        for wrong in ["", "short", &STANDARD.encode([9; 31]), "not base64 at all, not at all!!"] {
            let words = SecretKey::read(wrong).unwrap_err();
            assert!(wrong.is_empty() || !words.contains(wrong), "{words}");
        }
        assert_eq!(format!("{:?}", key(1)), "SecretKey");
    }
}
