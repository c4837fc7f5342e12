//! The secrets of webhooks, and the signatures that are made with them (Standard Webhooks 1.0.0).

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;

use super::{Rotated, Webhook};
use crate::id::WebhookId;
use crate::link::{MasterKey, code};
use crate::secret::Secret;
use crate::time::Timestamp;

/// How long the secret before the present one signs, too: a day.
pub const OLD_SECRET: Duration = Duration::from_secs(24 * 60 * 60);

/// A secret of a webhook, with which what is sent to it is signed. It does not show itself in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret([u8; 32]);

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

impl WebhookSecret {
    /// The secret of a webhook in a generation.
    #[must_use]
    pub fn of(key: &MasterKey, id: WebhookId, generation: u32) -> Self {
        Self(key.derive(&format!("secret of webhook {id}, generation {generation}")))
    }

    /// The secret as it is handed out: `whsec_` and the base64 of its 32 bytes.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        Secret::new(format!("whsec_{}", STANDARD.encode(self.0)))
    }

    /// The signature of a body that is sent at an instant: `v1,` and the base64 of an HMAC-SHA256 over `id.timestamp.body`, where the
    /// timestamp is in seconds since 1970.
    ///
    /// ```
    /// use dogwatch_core::id::{Id, WebhookId};
    /// use dogwatch_core::link::MasterKey;
    /// use dogwatch_core::webhook::WebhookSecret;
    /// let secret = WebhookSecret::of(&MasterKey::from_bytes([7; 32]), WebhookId::from_bytes([1; 16]), 0);
    /// assert!(secret.sign("an id", 1_700_000_000, b"{}").starts_with("v1,"));
    /// ```
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mac = code(&self.0).chain_update(format!("{id}.{timestamp}.")).chain_update(body).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(mac))
    }
}

impl Webhook {
    /// The secrets with which what is sent at an instant is signed: the present one, and for a day the one before it.
    #[must_use]
    pub fn secrets(&self, key: &MasterKey, now: Timestamp) -> Vec<WebhookSecret> {
        let old = self.rotated.filter(|Rotated { at, .. }| now < at.plus(OLD_SECRET)).map(|old| old.generation);
        let generations = std::iter::once(self.generation).chain(old);
        generations.map(|generation| WebhookSecret::of(key, self.id, generation)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    /// Made by another program from what the standard says, with the secret that is written here.
    #[test]
    fn a_signature_is_that_of_the_standard() {
        let secret = WebhookSecret([0x2a; 32]);
        assert_eq!(secret.to_text().reveal(), "whsec_KioqKioqKioqKioqKioqKioqKioqKioqKioqKioqKio=");
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,E6dWfEHORnXR6oV5qI5L2wAbNDJ0tdv1J9rAzZxm3rs=");
        assert_eq!(format!("{secret:?}"), "WebhookSecret(…)");
    }

    #[test]
    fn another_webhook_generation_or_key_has_another_secret() {
        let (key, id) = (MasterKey::from_bytes([7; 32]), WebhookId::from_bytes([1; 16]));
        let secret = WebhookSecret::of(&key, id, 0);
        assert_eq!(secret, WebhookSecret::of(&key, id, 0));
        for other in [
            WebhookSecret::of(&key, id, 1),
            WebhookSecret::of(&key, WebhookId::from_bytes([2; 16]), 0),
            WebhookSecret::of(&MasterKey::from_bytes([8; 32]), id, 0),
        ] {
            assert_ne!(secret, other);
        }
    }
}
