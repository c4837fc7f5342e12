//! The stored form of texts: inside the record up to 1,024 bytes, else in rows of their own (pieces of 3,584 bytes), so that no
//! value exceeds [`Rows::LARGEST`].

use bincode::{Decode, Encode};
use dogwatch_core::OrgId;
use dogwatch_core::id::Id;

use super::Rows;
use crate::record::{Corrupt, Stored, decode};
use crate::table::Table;

impl Table {
    /// The pieces of long texts, by owner and number.
    pub(crate) const TEXT: Self = Self::new(b'x', "Text");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[Table::TEXT];

/// The key of a piece of the long text of an incident, an update, a component, a schedule or a policy.
fn piece_key(org: OrgId, owner: [u8; 16], piece: u8) -> Vec<u8> {
    Table::TEXT.of(org, &[&owner, &[piece]])
}

/// The longest text that stays inside its record, in bytes.
const INLINE: usize = 1_024;
/// The size of the pieces of a longer text, in bytes. The value of a piece stays below [`Rows::LARGEST`].
pub(crate) const PIECE: usize = 3_584;

/// A text: inside the record, or the number of its pieces in the table `Text`.
#[derive(Debug, Encode, Decode)]
pub(crate) enum TextV1 {
    Inline(String),
    Pieces(u8),
}

/// The record of one piece of a long text or of the body of a recorded answer. Pieces are cut between bytes, not characters.
#[derive(Debug, Encode, Decode)]
pub(crate) struct PieceV1 {
    pub(crate) bytes: Vec<u8>,
}

impl Stored for PieceV1 {
    const VERSION: u8 = 1;
}

impl TextV1 {
    /// Stores a text of the entity with the id `owner`, and adds the rows of its pieces if it is long.
    pub(crate) fn store(text: &str, org: OrgId, owner: [u8; 16], rows: &mut Rows) -> Result<Self, Corrupt> {
        Self::store_within(INLINE, text, org, owner, rows)
    }

    /// As [`TextV1::store`], where a text of at most so many bytes stays inside its record.
    pub(crate) fn store_within(
        inline: usize,
        text: &str,
        org: OrgId,
        owner: [u8; 16],
        rows: &mut Rows,
    ) -> Result<Self, Corrupt> {
        if text.len() <= inline {
            return Ok(Self::Inline(text.to_owned()));
        }
        let mut count = 0_u8;
        for piece in text.as_bytes().chunks(PIECE) {
            rows.record(piece_key(org, owner, count), &PieceV1 { bytes: piece.to_vec() })?;
            count = count.checked_add(1).ok_or(Corrupt::Value)?;
        }
        Ok(Self::Pieces(count))
    }

    /// Loads the whole text back.
    pub(crate) fn load(self, org: OrgId, owner: [u8; 16], read: Reader<'_>) -> Result<String, Corrupt> {
        match self {
            Self::Inline(text) => Ok(text),
            Self::Pieces(count) => {
                let mut bytes = Vec::with_capacity(usize::from(count) * PIECE);
                for piece in 0..count {
                    let key = piece_key(org, owner, piece);
                    let value = read(&key)?.ok_or(Corrupt::Missing)?;
                    bytes.extend(decode::<PieceV1>(&key, &value)?.bytes);
                }
                String::from_utf8(bytes).map_err(|_| Corrupt::Value)
            }
        }
    }
}

/// Reads the value of a key; `None` when there is no such row, and [`Corrupt::Unread`] when storage cannot tell.
pub(crate) type Reader<'a> = &'a dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, Corrupt>;

/// Replaces a text in pieces by the whole text.
pub(super) fn gather(
    text: &mut Option<TextV1>,
    org: [u8; 16],
    owner: [u8; 16],
    read: Reader<'_>,
) -> Result<(), Corrupt> {
    if let Some(stored) = text.take() {
        *text = Some(TextV1::Inline(stored.load(OrgId::from_bytes(org), owner, read)?));
    }
    Ok(())
}
