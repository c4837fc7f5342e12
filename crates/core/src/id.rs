//! Ids (contract, section 1): UUIDv7, plain or with a prefix, each kind a Rust type; and [`IdSource`], which makes them.
//!
//! An id holds the millisecond of its making in its first six bytes, so ids of one kind sort by time. The store relies on that:
//! an incident's id carries its `createdAt`. Reading accepts any UUID in the right spelling, since an id that nobody ever made
//! is unknown, not malformed.

use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use uuid::Uuid;

use crate::time::Timestamp;
use crate::validation::Problem;

/// What all ids have in common: sixteen bytes, of which the first six are milliseconds since 1970.
pub trait Id: Copy + Ord + fmt::Display + Send + Sync + 'static {
    /// The id with these bytes.
    fn from_bytes(bytes: [u8; 16]) -> Self;
    /// The bytes of the id; their order is the order of ids.
    fn to_bytes(self) -> [u8; 16];

    /// The millisecond in which the id was made.
    // Invariant [ids-carry-time].
    fn made_at(self) -> Timestamp {
        let [a, b, c, d, e, f, ..] = self.to_bytes();
        Timestamp::clamped(i64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $noun:literal: $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl Id for $name {
            fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
            fn to_bytes(self) -> [u8; 16] {
                self.0
            }
        }

        impl $name {
            /// Reads the id as it is written in requests and replies. There is one spelling.
            ///
            /// # Errors
            /// A [`Problem`] when the text does not have the form of such an id.
            pub fn parse(text: &str) -> Result<Self, Problem> {
                const FORM: &str = match $prefix.is_empty() {
                    true => "must be a UUID, hyphenated and in lower case",
                    false => concat!("must be an id of the form `", $prefix, "…`"),
                };
                parse($prefix, text).map(Self).ok_or_else(|| Problem::new($noun, FORM))
            }
        }

        impl FromStr for $name {
            type Err = Problem;
            fn from_str(text: &str) -> Result<Self, Problem> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write($prefix, self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

ids! {
    /// The id of an organization: `org_` and 32 hexadecimal digits.
    ///
    /// ```
    /// use dogwatch_core::OrgId;
    /// let text = "org_0190a8f3b4c07d2e8f1a2b3c4d5e6f70";
    /// assert_eq!(OrgId::parse(text).unwrap().to_string(), text);
    /// assert!(OrgId::parse("user_0190a8f3b4c07d2e8f1a2b3c4d5e6f70").is_err());
    /// ```
    OrgId "organization id": "org_";
    /// The id of a user: `user_` and 32 hexadecimal digits.
    UserId "user id": "user_";
    /// The id of an invitation: `orginv_` and 32 hexadecimal digits.
    InvitationId "invitation id": "orginv_";
    /// The id of an API key: `key_` and 32 hexadecimal digits.
    ApiKeyId "API key id": "key_";
    /// The id of an entry of an incident's status history: `sh_` and 32 hexadecimal digits.
    StatusEntryId "status entry id": "sh_";
    /// The id of an incident: a UUID, hyphenated, in lower case.
    ///
    /// ```
    /// use dogwatch_core::id::{Id, IncidentId};
    /// let id = IncidentId::parse("0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f70").unwrap();
    /// assert_eq!(id.made_at().to_string(), "2024-07-12T21:57:42.208Z");
    /// assert!(IncidentId::parse("0190A8F3-B4C0-7D2E-8F1A-2B3C4D5E6F70").is_err());
    /// ```
    IncidentId "incident id": "";
    /// The id of an update of an incident: a UUID.
    UpdateId "update id": "";
    /// The id of an event of an incident's audit trail: a UUID.
    AuditEventId "audit event id": "";
    /// The id of an entry of an organization's audit: a UUID.
    OrgAuditId "audit entry id": "";
    /// The id of a component: a UUID.
    ComponentId "component id": "";
    /// The id of an on-call schedule: a UUID.
    ScheduleId "schedule id": "";
    /// The id of a rotation layer of a schedule: a UUID.
    RotationLayerId "rotation layer id": "";
    /// The id of an override of a schedule: a UUID.
    OverrideId "override id": "";
    /// The id of an escalation policy: a UUID.
    PolicyId "policy id": "";
    /// The id of a layer of an escalation policy: a UUID.
    PolicyLayerId "policy layer id": "";
    /// The id of a notification of the outbox: a UUID.
    NotificationId "notification id": "";
    /// The id of a page, which may be several notifications.
    PageId "page id": "";
    /// The id of a contact method.
    ContactMethodId "contact method id": "";
    /// The id of a webhook of an organization: a UUID.
    WebhookId "webhook id": "";
    /// The id of a status page: a UUID.
    StatusPageId "status page id": "";
    /// The id of a maintenance of a status page: a UUID.
    MaintenanceId "maintenance id": "";
    /// The id of an integration: `int_` and 32 hexadecimal digits.
    IntegrationId "integration id": "int_";
    /// The id of a signal of an integration: a UUID.
    SignalId "signal id": "";
    /// The id of a group of signals: a UUID.
    AlertGroupId "alert group id": "";
}

/// The bytes of an id in its one spelling: a UUID behind a prefix in 32 hexadecimal digits, without a prefix hyphenated.
fn parse(prefix: &str, text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix(prefix)?;
    let uuid = Uuid::try_parse(digits).ok()?;
    // The parser is generous; the contract is not. One id has one spelling.
    let mut buffer = Uuid::encode_buffer();
    let canonical: &str = if prefix.is_empty() {
        uuid.hyphenated().encode_lower(&mut buffer)
    } else {
        uuid.simple().encode_lower(&mut buffer)
    };
    (canonical == digits).then(|| uuid.into_bytes())
}

/// Writes an id in its one spelling.
fn write(prefix: &str, bytes: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let uuid = Uuid::from_bytes(bytes);
    let mut buffer = Uuid::encode_buffer();
    if prefix.is_empty() {
        return f.pad(uuid.hyphenated().encode_lower(&mut buffer));
    }
    f.write_str(prefix)?;
    f.write_str(uuid.simple().encode_lower(&mut buffer))
}

/// Makes ids and secrets from a seed: the same seed and the same calls give the same results.
///
/// The engine seeds it from the operating system. Whoever can guess the seed can guess the secrets: fixed seeds are for tests.
#[derive(Debug)]
pub struct IdSource {
    rng: ChaCha12Rng,
    last: [u8; 16],
}

impl IdSource {
    /// A source that starts from this seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { rng: ChaCha12Rng::from_seed(seed), last: [0; 16] }
    }

    /// A new id made at `at`. Within one millisecond each is greater than the one before.
    pub fn fresh<T: Id>(&mut self, at: Timestamp) -> T {
        let bytes = self.uuid(at, self.last);
        self.last = bytes;
        T::from_bytes(bytes)
    }

    /// A new id made at `at` that is greater than `floor`, provided that `floor` was not made later than `at`.
    ///
    /// Ids of the parts of one thing (an incident's updates, history and audit trail) are made this way: they stay in
    /// order through a restart, whatever the random part.
    pub fn fresh_after<T: Id>(&mut self, at: Timestamp, floor: [u8; 16]) -> T {
        T::from_bytes(self.uuid(at, floor))
    }

    /// A UUIDv7 made at `at`: at random, or a step above `floor` if that was made in the same millisecond and is not less.
    fn uuid(&mut self, at: Timestamp, floor: [u8; 16]) -> [u8; 16] {
        let mut random = [0; 10];
        self.rng.fill_bytes(&mut random);
        // The upper half of a millisecond's ids is left for those that must exceed a floor.
        let [first, ..] = &mut random;
        *first &= !TOP_FREE_BIT;
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        let made = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into_bytes();
        let same_millisecond = made.first_chunk::<6>() == floor.first_chunk::<6>();
        if same_millisecond && made <= floor { above(floor, self.step()) } else { made }
    }

    /// How far to step above a floor: at random, 1 to 2^48, so that ids which step up from different floors do not meet.
    fn step(&mut self) -> u128 {
        let mut random = [0; 6];
        self.rng.fill_bytes(&mut random);
        let [a, b, c, d, e, f] = random;
        u128::from(u64::from_be_bytes([0, 0, a, b, c, d, e, f])) + 1
    }

    /// `length` characters of `[A-Za-z0-9]`, each equally likely.
    pub(crate) fn secret_text(&mut self, length: usize) -> String {
        self.text_of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", length)
    }

    /// `length` digits, each equally likely.
    pub(crate) fn digits(&mut self, length: usize) -> String {
        self.text_of(b"0123456789", length)
    }

    fn text_of<const N: usize>(&mut self, alphabet: &[u8; N], length: usize) -> String {
        // The rest of 256 would favour the first characters.
        let fair = 256 - 256 % N;
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let mut byte = [0];
            self.rng.fill_bytes(&mut byte);
            let byte = usize::from(byte[0]);
            if byte < fair {
                text.extend(alphabet.get(byte % N).map(|b| char::from(*b)));
            }
        }
        text
    }
}

/// The first random bit of a UUIDv7: the version takes the four bits before it.
const TOP_FREE_BIT: u8 = 0x08;

/// A UUIDv7 of the same millisecond whose 74 free bits are greater by `step`.
fn above(floor: [u8; 16], step: u128) -> [u8; 16] {
    // The free bits are 12 and 62, with the variant's two bits between them.
    const LOW: u128 = (1 << 62) - 1;
    const HIGH: u128 = 0xFFF << 64;
    let value = u128::from_be_bytes(floor);
    let free = ((value & HIGH) >> 2) | (value & LOW);
    // More than 2^25 steps in one millisecond do not happen; if they did, the last id would repeat.
    let free = (free + step).min((1 << 74) - 1);
    let fixed = value & !(HIGH | LOW);
    (fixed | ((free << 2) & HIGH) | (free & LOW)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    #[test]
    fn one_spelling() {
        for text in [
            "0190a8f3b4c07d2e8f1a2b3c4d5e6f70",
            "{0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f70}",
            "urn:uuid:0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f70",
            "0190A8F3-b4c0-7d2e-8f1a-2b3c4d5e6f70",
            "0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f7",
            "",
        ] {
            assert!(IncidentId::parse(text).is_err(), "{text}");
        }
        assert!(UserId::parse("user_0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f70").is_err());
        assert!(IncidentId::parse("00000000-0000-0000-0000-000000000000").is_ok());
    }

    #[test]
    fn ids_are_version_7_and_ascend() {
        let mut ids = IdSource::from_seed([7; 32]);
        let mut last: Option<IncidentId> = None;
        for n in 0..10_000 {
            let now = at(1_000 + n / 1_000);
            let id: IncidentId = ids.fresh(now);
            assert_eq!(id.made_at(), now);
            let uuid = Uuid::from_bytes(id.to_bytes());
            assert_eq!(uuid.get_version_num(), 7);
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
            assert!(last.is_none_or(|last| last < id));
            last = Some(id);
        }
    }

    #[test]
    fn after_a_floor() {
        let mut ids = IdSource::from_seed([1; 32]);
        let mut floor = [0; 16];
        for _ in 0..1_000 {
            // A new source each time, as after a restart.
            let id: UpdateId = ids.fresh_after(at(5), floor);
            assert!(id.to_bytes() > floor);
            floor = id.to_bytes();
            ids = IdSource::from_seed([1; 32]);
        }
    }

    /// Ids that step up from their own floors do not meet: an update of one incident never has the id of another incident's
    /// update.
    #[test]
    fn parts_of_different_things_never_share_an_id() {
        let mut ids = IdSource::from_seed([4; 32]);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let incident: IncidentId = ids.fresh(at(7));
            assert!(seen.insert(incident.to_bytes()));
            let mut floor = incident.to_bytes();
            for _ in 0..20 {
                floor = ids.fresh_after::<UpdateId>(at(7), floor).to_bytes();
                assert!(seen.insert(floor));
            }
        }
    }

    #[test]
    fn stepping_up_carries_and_keeps_version_and_variant() {
        for (floor, step, expected) in [
            ("0190a8f3-b4c0-7d2e-8000-000000000000", 1, "0190a8f3-b4c0-7d2e-8000-000000000001"),
            ("0190a8f3-b4c0-7d2e-bfff-ffffffffffff", 1, "0190a8f3-b4c0-7d2f-8000-000000000000"),
            ("0190a8f3-b4c0-7d2e-bfff-ffffffffffff", 1 << 48, "0190a8f3-b4c0-7d2f-8000-ffffffffffff"),
            ("0190a8f3-b4c0-7fff-bfff-ffffffffffff", 1, "0190a8f3-b4c0-7fff-bfff-ffffffffffff"),
        ] {
            let floor = floor.parse::<IncidentId>().unwrap();
            assert_eq!(IncidentId::from_bytes(above(floor.to_bytes(), step)).to_string(), expected);
        }
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_bend_ids() {
        let mut ids = IdSource::from_seed([3; 32]);
        let late: IncidentId = ids.fresh(at(1_000_000));
        let early: IncidentId = ids.fresh(at(10));
        assert_eq!(early.made_at(), at(10));
        assert!(early < late);
    }
}
