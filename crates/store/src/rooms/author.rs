//! The stored form of whoever did something to an incident: a member, or an integration.
//!
//! Both forms have the bytes of the `Option` that stood in their place when only members did something.

use bincode::{Decode, Encode};
use dogwatch_core::Timestamp;
use dogwatch_core::UserId;
use dogwatch_core::id::{Id, IntegrationId};
use dogwatch_core::incident::Author;
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

use super::{Raw, timestamp};
use crate::record::Corrupt;

/// Who caused an event.
#[derive(Debug, Clone, Copy, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(into = "Option<Named>", from = "Option<Named>"))]
pub(super) enum ActorV1 {
    Time,
    User(Raw),
    Integration(Raw),
}

impl From<Option<Author>> for ActorV1 {
    fn from(author: Option<Author>) -> Self {
        match author {
            None => Self::Time,
            Some(Author::User(id)) => Self::User(id.to_bytes()),
            Some(Author::Integration(id)) => Self::Integration(id.to_bytes()),
        }
    }
}

impl From<ActorV1> for Option<Author> {
    fn from(stored: ActorV1) -> Self {
        match stored {
            ActorV1::Time => None,
            ActorV1::User(id) => Some(Author::User(UserId::from_bytes(id))),
            ActorV1::Integration(id) => Some(Author::Integration(IntegrationId::from_bytes(id))),
        }
    }
}

/// The form of whoever caused an event in an export.
#[cfg(feature = "export")]
#[derive(Serialize, Deserialize)]
struct Named(#[serde(with = "super::json::author")] Author);

#[cfg(feature = "export")]
impl From<Option<Named>> for ActorV1 {
    fn from(named: Option<Named>) -> Self {
        named.map(|Named(author)| author).into()
    }
}

#[cfg(feature = "export")]
impl From<ActorV1> for Option<Named> {
    fn from(stored: ActorV1) -> Self {
        Option::<Author>::from(stored).map(Named)
    }
}

/// Who acknowledged an incident, and when.
#[derive(Debug, Clone, Copy, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(into = "Option<Deed>", from = "Option<Deed>"))]
pub(super) enum AcknowledgedV1 {
    Nobody,
    User(i64, Raw),
    Integration(i64, Raw),
}

impl From<Option<(Timestamp, Author)>> for AcknowledgedV1 {
    fn from(deed: Option<(Timestamp, Author)>) -> Self {
        match deed {
            None => Self::Nobody,
            Some((at, Author::User(id))) => Self::User(at.as_millis(), id.to_bytes()),
            Some((at, Author::Integration(id))) => Self::Integration(at.as_millis(), id.to_bytes()),
        }
    }
}

impl AcknowledgedV1 {
    pub(super) fn of(self) -> Result<Option<(Timestamp, Author)>, Corrupt> {
        Ok(match self {
            Self::Nobody => None,
            Self::User(at, id) => Some((timestamp(at)?, Author::User(UserId::from_bytes(id)))),
            Self::Integration(at, id) => Some((timestamp(at)?, Author::Integration(IntegrationId::from_bytes(id)))),
        })
    }
}

/// The form of an acknowledgement in an export.
#[cfg(feature = "export")]
#[derive(Serialize, Deserialize)]
struct Deed {
    #[serde(with = "super::json::time")]
    at: i64,
    #[serde(with = "super::json::author")]
    by: Author,
}

#[cfg(feature = "export")]
impl From<Option<Deed>> for AcknowledgedV1 {
    fn from(deed: Option<Deed>) -> Self {
        match deed {
            None => Self::Nobody,
            Some(Deed { at, by: Author::User(id) }) => Self::User(at, id.to_bytes()),
            Some(Deed { at, by: Author::Integration(id) }) => Self::Integration(at, id.to_bytes()),
        }
    }
}

#[cfg(feature = "export")]
impl From<AcknowledgedV1> for Option<Deed> {
    fn from(stored: AcknowledgedV1) -> Self {
        match stored {
            AcknowledgedV1::Nobody => None,
            AcknowledgedV1::User(at, id) => Some(Deed { at, by: UserId::from_bytes(id).into() }),
            AcknowledgedV1::Integration(at, id) => Some(Deed { at, by: IntegrationId::from_bytes(id).into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Stored, decode, encode};

    #[derive(Debug, Encode, Decode)]
    struct Before(Option<Raw>, Option<(i64, Raw)>);
    #[derive(Debug, Encode, Decode)]
    struct Since(ActorV1, AcknowledgedV1);

    impl Stored for Before {
        const VERSION: u8 = 1;
    }
    impl Stored for Since {
        const VERSION: u8 = 1;
    }

    /// What was written as an `Option` is read as before.
    #[test]
    fn the_same_bytes() {
        for (before, actor, acknowledged) in [
            (Before(None, None), None, None),
            (Before(Some([7; 16]), Some((5, [9; 16]))), Some([7; 16]), Some((5, [9; 16]))),
        ] {
            let Since(by, deed) = decode(b"key", &encode(b"key", &before).unwrap()).unwrap();
            let user = |bytes| Author::User(UserId::from_bytes(bytes));
            assert_eq!(Option::<Author>::from(by), actor.map(user));
            let expected = acknowledged.map(|(at, id)| (Timestamp::from_millis(at).unwrap(), user(id)));
            assert_eq!(deed.of(), Ok(expected));
        }
    }
}
