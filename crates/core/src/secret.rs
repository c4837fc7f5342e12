//! Secrets: API keys and invitation tokens (contract, section 4).
//!
//! Of an API key only the SHA-256 is stored. An invitation token is stored as its SHA-256, and in plain text only in the
//! notification that carries it, until the delivery of that is confirmed (contract, section 9).

use std::fmt;

use sha2::{Digest, Sha256};

use crate::id::IdSource;

/// How many characters follow the prefix of a secret.
const SECRET_LENGTH: usize = 32;
/// How many digits the code for a contact method has.
const CODE_LENGTH: usize = 6;

/// The text of an API key or an invitation token. It does not show itself in `Debug`, and has no `Display`.
///
/// ```
/// use dogwatch_core::Secret;
/// let secret = Secret::new("scl_live_abc");
/// assert_eq!(format!("{secret:?}"), "Secret(…)");
/// assert_eq!(secret.reveal(), "scl_live_abc");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret that somebody presents. Any text will do: a wrong one is unknown, not malformed.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A new API key: `scl_live_` and 32 characters of `[A-Za-z0-9]`.
    pub(crate) fn api_key(ids: &mut IdSource) -> Self {
        Self(format!("scl_live_{}", ids.secret_text(SECRET_LENGTH)))
    }

    /// A new invitation token: `scl_inv_` and 32 characters of `[A-Za-z0-9]`.
    pub(crate) fn invitation_token(ids: &mut IdSource) -> Self {
        Self(format!("scl_inv_{}", ids.secret_text(SECRET_LENGTH)))
    }

    /// A new token of an integration: 32 characters of `[A-Za-z0-9]`.
    pub(crate) fn integration_token(ids: &mut IdSource) -> Self {
        Self(ids.secret_text(SECRET_LENGTH))
    }

    /// A new code for a contact method: six digits.
    pub(crate) fn contact_code(ids: &mut IdSource) -> Self {
        Self(ids.digits(CODE_LENGTH))
    }

    /// The text of the secret, to hand to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The last four characters, by which people tell keys apart.
    #[must_use]
    pub(crate) fn last_four(&self) -> String {
        let skip = self.0.chars().count().saturating_sub(4);
        self.0.chars().skip(skip).collect()
    }

    /// The hash under which the secret is stored.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

// Invariant [no-secrets].
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 of a [`Secret`]: what is stored of it, and what it is found by. It does not show itself in `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_form_of_the_contract() {
        let mut ids = IdSource::from_seed([9; 32]);
        for _ in 0..200 {
            let key = Secret::api_key(&mut ids);
            let random = key.reveal().strip_prefix("scl_live_").unwrap();
            assert_eq!(random.len(), 32);
            assert!(random.bytes().all(|b| b.is_ascii_alphanumeric()));
            assert!(random.ends_with(&key.last_four()));
            assert_eq!(key.last_four().len(), 4);
        }
    }

    #[test]
    fn the_hash_is_sha_256() {
        let [first, second, .., last] = Secret::new("abc").hash().to_bytes();
        assert_eq!((first, second, last), (0xba, 0x78, 0xad));
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("scl_live_topsecret");
        assert!(!format!("{secret:?} {:?}", secret.hash()).contains("top"));
    }
}
