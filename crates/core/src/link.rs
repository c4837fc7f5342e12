//! What is derived from the one secret of an installation, the [`MasterKey`]; and the link in a page ([`PageLink`]), with which
//! whoever holds it acknowledges the incident as the user who was paged (contract, section 9).
//!
//! Nothing of it is stored: a link carries what it is for, until when it holds, and a code that only the holder of the key can make.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::id::{Id, IncidentId, NotificationId, OrgId, UserId};
use crate::secret::Secret;
use crate::time::Timestamp;

/// The one secret of an installation, from which all that it hands out are derived: 32 random bytes, kept beside the store. It does
/// not show itself in `Debug`.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// The code of some bytes under a key.
pub(crate) fn code(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key of this length is padded, whatever it is.
    Hmac::new(&{
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte);
        block
    })
}

impl MasterKey {
    /// The key of these bytes, which must come from a good source of randomness.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What tells whether two keys are the same, and says nothing else of them.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 16] {
        self.derive("fingerprint").first_chunk().copied().unwrap_or_default()
    }

    /// The secret for a purpose: another purpose gives another, from which this one does not follow.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        code(&self.0).chain_update(purpose).finalize().into_bytes().into()
    }
}

/// How long the link in a page holds: 7 days.
pub const PAGE_LINK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What the link in a page is for (contract, section 9).
///
/// ```
/// use dogwatch_core::link::{MasterKey, PageLink};
/// # use dogwatch_core::{Timestamp, id::*};
/// # let ids = ([1; 16], [2; 16], [3; 16], [4; 16]);
/// let key = MasterKey::from_bytes([7; 32]);
/// let now: Timestamp = "2026-05-01T03:00:00Z".parse()?;
/// let link = PageLink {
///     org_id: OrgId::from_bytes(ids.0),
///     incident_id: IncidentId::from_bytes(ids.1),
///     user_id: UserId::from_bytes(ids.2),
///     notification_id: NotificationId::from_bytes(ids.3),
///     expires_at: now.plus(dogwatch_core::link::PAGE_LINK),
/// };
/// let token = link.token(&key);
/// assert_eq!(PageLink::read(&token, &key, now), Some(link));
/// assert_eq!(PageLink::read(&token, &MasterKey::from_bytes([8; 32]), now), None);
/// assert_eq!(PageLink::read(&token, &key, link.expires_at), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLink {
    /// The organization of the incident.
    pub org_id: OrgId,
    /// The incident that it shows and acknowledges.
    pub incident_id: IncidentId,
    /// The user who was paged, and who acknowledges with it.
    pub user_id: UserId,
    /// The notification that carries it.
    pub notification_id: NotificationId,
    /// The first instant at which it does not hold any more.
    pub expires_at: Timestamp,
}

/// The bytes of a token: its version, four ids, the instant, and 16 bytes of the code.
const ID: usize = 16;
const SIGNED: usize = 1 + 4 * ID + 8;
const TOKEN: usize = SIGNED + 16;
const VERSION: u8 = 1;
/// What the key of links is derived for.
const PURPOSE: &str = "link in a page";

impl PageLink {
    /// The token that stands for it: 119 characters of `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn token(&self, key: &MasterKey) -> String {
        let ids = [
            self.org_id.to_bytes(),
            self.incident_id.to_bytes(),
            self.user_id.to_bytes(),
            self.notification_id.to_bytes(),
        ];
        let mut bytes = vec![VERSION];
        bytes.extend(ids.as_flattened());
        bytes.extend(self.expires_at.as_millis().to_be_bytes());
        let mac = code(&key.derive(PURPOSE)).chain_update(&bytes).finalize().into_bytes();
        bytes.extend(mac.iter().take(TOKEN - SIGNED));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token stands for; `None` when it is forged, was made with another key, or does not hold any more.
    #[must_use]
    pub fn read(token: &str, key: &MasterKey, now: Timestamp) -> Option<Self> {
        // A longer text is not even looked at.
        let bytes: [u8; TOKEN] = Some(token)
            .filter(|token| token.len() < 2 * TOKEN)
            .and_then(|token| URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok())?;
        let (signed, mac) = bytes.split_at_checked(SIGNED)?;
        code(&key.derive(PURPOSE)).chain_update(signed).verify_truncated_left(mac).ok()?;
        let (version, rest) = signed.split_first()?;
        let (ids, expires) = rest.as_chunks::<ID>();
        let [org, incident, user, notification] = ids else { return None };
        let link = Self {
            org_id: OrgId::from_bytes(*org),
            incident_id: IncidentId::from_bytes(*incident),
            user_id: UserId::from_bytes(*user),
            notification_id: NotificationId::from_bytes(*notification),
            expires_at: Timestamp::from_millis(i64::from_be_bytes(expires.try_into().ok()?))?,
        };
        (*version == VERSION && now < link.expires_at).then_some(link)
    }
}

/// How old a request of Slack may be, or how far ahead: five minutes.
const SLACK_TIME: i64 = 5 * 60;

/// The signature of a request of Slack: the headers `X-Slack-Request-Timestamp` and `X-Slack-Signature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlackSignature<'a> {
    /// When it was made: seconds since 1970.
    pub timestamp: &'a str,
    /// `v0=` and an HMAC-SHA256 in hexadecimal digits over `v0:timestamp:body`.
    pub signature: &'a str,
}

impl SlackSignature<'_> {
    /// Whether it is that of a body under a secret, and not older than five minutes.
    #[must_use]
    pub fn holds(&self, secret: &Secret, body: &[u8], now: Timestamp) -> bool {
        let fresh = |at: i64| at.abs_diff(now.as_millis().div_euclid(1_000)) <= SLACK_TIME.unsigned_abs();
        // Only its digits, so that one timestamp has one spelling.
        let digits = self.timestamp.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || !self.timestamp.parse().is_ok_and(fresh) {
            return false;
        }
        let Some(given) = self.signature.strip_prefix("v0=").and_then(from_hex) else { return false };
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()) else { return false };
        let mac = mac.chain_update("v0:").chain_update(self.timestamp).chain_update(":").chain_update(body);
        mac.verify_slice(&given).is_ok()
    }
}

/// The 32 bytes of 64 hexadecimal digits.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes().as_chunks::<2>().0;
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> PageLink {
        PageLink {
            org_id: OrgId::from_bytes([1; 16]),
            incident_id: IncidentId::from_bytes([2; 16]),
            user_id: UserId::from_bytes([3; 16]),
            notification_id: NotificationId::from_bytes([4; 16]),
            expires_at: Timestamp::from_millis(1_000_000).unwrap(),
        }
    }

    #[test]
    fn no_other_text_is_a_token() {
        let (key, now) = (MasterKey::from_bytes([7; 32]), Timestamp::from_millis(999_999).unwrap());
        let token = link().token(&key);
        assert_eq!(token.len(), 119);
        assert_eq!(PageLink::read(&token, &key, now), Some(link()));
        for place in 0..token.len() {
            for other in ["A", "B", "_", "=", "é", ""] {
                let mut forged = token.clone();
                forged.replace_range(place..=place, other);
                assert!(forged == token || PageLink::read(&forged, &key, now).is_none(), "{forged}");
            }
        }
        for wrong in
            ["", "x", token.get(1..).unwrap(), &format!("{token}A"), &format!("{token}{token}"), &token.to_lowercase()]
        {
            assert_eq!(PageLink::read(wrong, &key, now), None, "{wrong}");
        }
    }

    /// The same link, made by another program from what is written here: a token that was sent stays what it is.
    #[test]
    fn a_token_stays_what_it_is() {
        let token = "AQEBAQEBAQEBAQEBAQEBAQECAgICAgICAgICAgICAgICAwMDAwMDAwMDAwMDAwMDAwQEBAQEBAQEBAQEBAQEBAQAAAAAAA9CQPAPQN0uegnzapnyMIqeEg0";
        assert_eq!(link().token(&MasterKey::from_bytes([7; 32])), token);
    }

    /// The example in Slack's documentation.
    #[test]
    fn signatures_of_slack() {
        let secret = Secret::new("8f742231b10e8888abcd99yyyzzz85a5");
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000).unwrap();
        let made = 1_531_420_618;
        for (timestamp, signature, body, now, expected) in [
            ("1531420618", signature, body, made, true),
            ("1531420618", signature, body, made + 300, true),
            ("1531420618", signature, body, made + 301, false),
            ("1531420618", signature, body, made - 301, false),
            ("1531420619", signature, body, made, false),
            ("+1531420618", signature, body, made, false),
            ("", signature, body, made, false),
            ("99999999999999999999", signature, body, made, false),
            ("1531420618", signature.get(3..).unwrap(), body, made, false),
            ("1531420618", signature.get(..66).unwrap(), body, made, false),
            ("1531420618", "v0=", body, made, false),
            ("1531420618", "v0=é", body, made, false),
            ("1531420618", signature, body.get(1..).unwrap(), made, false),
        ] {
            let given = SlackSignature { timestamp, signature };
            assert_eq!(given.holds(&secret, body.as_bytes(), at(now)), expected, "{given:?} at {now}");
        }
        let given = SlackSignature { timestamp: "1531420618", signature };
        assert!(!given.holds(&Secret::new("another"), body.as_bytes(), at(made)));
    }

    #[test]
    fn the_code_is_that_of_the_standard() {
        // The first test case of RFC 4231, with its key of 20 bytes padded with zeros to ours, as the standard pads it.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let mac = code(&key).chain_update("Hi There").finalize().into_bytes();
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        assert_eq!(format!("{:?}", MasterKey::from_bytes(key)), "MasterKey(…)");
    }
}
