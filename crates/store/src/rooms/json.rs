//! The forms of stored values in an export: ids, instants and words as the API writes them, bytes in hexadecimal digits.
//!
//! Each module and type here is for serde's `with`. A module has the form of a value, of one that may be absent (`maybe`), and
//! of a list (`list`).

use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use dogwatch_core::contact::ContactMethodKind;
use dogwatch_core::id::Id;
use dogwatch_core::incident::{Author, EditedField, Severity, Status, UpdateVisibility};
use dogwatch_core::integration::IntegrationKind;
use dogwatch_core::oncall::RotationType;
use dogwatch_core::outbox::{DeliveryEnd, PageReason};
use dogwatch_core::status_page::MaintenanceState;
use dogwatch_core::team::Role;
use dogwatch_core::{Timestamp, UserId};

use super::incident::audit;
use super::incident::{severity_byte, status_byte};
use super::{by_byte, contact, incident, integration, oncall, outbox, status_page, team};
use crate::record::{from_hex, hex};

/// Declares modules, each for a type of stored value and its text. `$show` and `$read` give `None` for a value or a text that
/// this version does not know.
macro_rules! forms {
    ($($(#[$doc:meta])* $module:ident: $stored:ty, $show:expr, $read:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) mod $module {
            #![allow(dead_code, reason = "not every value also comes as a list, or may be absent")]
            use super::*;

            fn show<E: serde::ser::Error>(stored: &$stored) -> Result<String, E> {
                let show: fn(&$stored) -> Option<String> = $show;
                show(stored).ok_or_else(|| E::custom("a stored value that this version does not know"))
            }

            fn read<E: serde::de::Error>(text: &str) -> Result<$stored, E> {
                let read: fn(&str) -> Option<$stored> = $read;
                read(text).ok_or_else(|| E::custom(format!("`{text}` is not what must stand here")))
            }

            pub(crate) fn serialize<S: Serializer>(stored: &$stored, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&show(stored)?)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<$stored, D::Error> {
                read(&String::deserialize(d)?)
            }

            pub(crate) mod maybe {
                use super::*;

                pub(crate) fn serialize<S: Serializer>(it: &Option<$stored>, s: S) -> Result<S::Ok, S::Error> {
                    it.as_ref().map(show).transpose()?.serialize(s)
                }

                pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<$stored>, D::Error> {
                    let text = Option::<String>::deserialize(d)?;
                    text.map(|text| read(&text)).transpose()
                }
            }

            pub(crate) mod list {
                use super::*;

                pub(crate) fn serialize<S: Serializer>(list: &[$stored], s: S) -> Result<S::Ok, S::Error> {
                    let texts: Result<Vec<_>, _> = list.iter().map(show).collect();
                    texts?.serialize(s)
                }

                pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<$stored>, D::Error> {
                    let texts = Vec::<String>::deserialize(d)?;
                    texts.iter().map(|text| read(text)).collect()
                }
            }
        }
    )*};
}

/// The form of an id: `#[serde(with = "json::IdForm::<UserId>")]`.
pub(crate) struct IdForm<I>(PhantomData<I>);

impl<I: Id + FromStr> IdForm<I> {
    pub(crate) fn serialize<S: Serializer>(stored: &[u8; 16], s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&I::from_bytes(*stored))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 16], D::Error> {
        read_id::<I, D::Error>(&String::deserialize(d)?)
    }
}

/// The form of an id that may be absent.
pub(crate) struct MaybeIdForm<I>(PhantomData<I>);

impl<I: Id + FromStr> MaybeIdForm<I> {
    pub(crate) fn serialize<S: Serializer>(stored: &Option<[u8; 16]>, s: S) -> Result<S::Ok, S::Error> {
        stored.map(|bytes| I::from_bytes(bytes).to_string()).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<[u8; 16]>, D::Error> {
        Option::<String>::deserialize(d)?.map(|text| read_id::<I, D::Error>(&text)).transpose()
    }
}

/// The form of a list of ids.
pub(crate) struct IdsForm<I>(PhantomData<I>);

impl<I: Id + FromStr> IdsForm<I> {
    pub(crate) fn serialize<S: Serializer>(stored: &[[u8; 16]], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(stored.iter().map(|bytes| I::from_bytes(*bytes).to_string()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<[u8; 16]>, D::Error> {
        Vec::<String>::deserialize(d)?.iter().map(|text| read_id::<I, D::Error>(text)).collect()
    }
}

fn read_id<I: Id + FromStr, E: serde::de::Error>(text: &str) -> Result<[u8; 16], E> {
    let id = text.parse::<I>().map_err(|_| E::custom(format!("`{text}` is not what must stand here")));
    id.map(Id::to_bytes)
}

macro_rules! words {
    ($($module:ident: $word:ty, $byte:expr;)*) => {
        forms! {$(
            $module: u8, |byte| by_byte(&<$word>::ALL, $byte, *byte).ok().map(|word| word.as_str().to_owned()),
                |text| text.parse::<$word>().ok().map($byte);
        )*}
    };
}

words! {
    severity: Severity, severity_byte;
    status: Status, status_byte;
    visibility: UpdateVisibility, incident::visibility_byte;
    role: Role, team::role_byte;
    rotation: RotationType, oncall::type_byte;
    page_reason: PageReason, outbox::reason_byte;
    delivery_end: DeliveryEnd, outbox::end_byte;
    contact_method_kind: ContactMethodKind, contact::kind_byte;
    edited_field: EditedField, audit::field_byte;
    maintenance_state: MaintenanceState, status_page::state_byte;
    integration_kind: IntegrationKind, integration::kind_byte;
}

forms! {
    time: i64,
        |millis| Timestamp::from_millis(*millis).map(|at| at.to_string()),
        |text| text.parse::<Timestamp>().ok().map(Timestamp::as_millis);
    author: Author, |author| Some(author.to_string()), |text| text.parse().ok();
    component_status: u8, |byte| status_page::status_word(*byte), status_page::word_status;
    hash: [u8; 32], |bytes| Some(hex(bytes)), |text| from_hex(text)?.try_into().ok();
    scope: [u8; 16], |bytes| Some(hex(bytes)), |text| from_hex(text)?.try_into().ok();
    bytes: Vec<u8>, |bytes| Some(hex(bytes)), from_hex;
}

/// The form of an action of a member: its instant, and the user who did it.
#[derive(Serialize, Deserialize)]
struct Deed {
    #[serde(with = "time")]
    at: i64,
    #[serde(with = "IdForm::<UserId>")]
    by: [u8; 16],
}

pub(crate) mod deed {
    use super::{Deed, Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(it: &Option<(i64, [u8; 16])>, s: S) -> Result<S::Ok, S::Error> {
        it.map(|(at, by)| Deed { at, by }).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<(i64, [u8; 16])>, D::Error> {
        Ok(Option::<Deed>::deserialize(d)?.map(|Deed { at, by }| (at, by)))
    }
}

/// The whole text. One in pieces is an error: the pieces must have been loaded (`gather`).
impl Serialize for super::text::TextV1 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inline(text) => s.serialize_str(text),
            Self::Pieces(_) => Err(serde::ser::Error::custom("a text in pieces")),
        }
    }
}

impl<'de> Deserialize<'de> for super::text::TextV1 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Self::Inline).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal() {
        assert_eq!(hex(&[0, 0x7f, 0xff]), "007fff");
        assert_eq!(from_hex("007fff"), Some(vec![0, 0x7f, 0xff]));
        for text in ["0", "0g", "7F", "é"] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
