//! Long texts: inside the record while short, in rows of their own when long, so that no value grows large.

use bincode::{Decode, Encode};
use dogwatch_core::OrgId;
use dogwatch_core::id::Id;

use super::Rows;
use crate::record::{Corrupt, Stored, decode};
use crate::table::Table;

impl Table {
    /// Long texts, in pieces.
    pub(crate) const TEXT: Self = Self::new(b'x', "Text");
}

/// The tables of this room.
pub(super) const TABLES: &[Table] = &[Table::TEXT];

/// A piece of a long text that belongs to an incident or an update.
fn piece_key(org: OrgId, owner: [u8; 16], piece: u8) -> Vec<u8> {
    Table::TEXT.of(org, &[&owner, &[piece]])
}

/// The longest text that stays inside its record, in bytes.
const INLINE: usize = 1_024;
/// The size of the pieces of a longer one, in bytes. A value stays below [`Rows::LARGEST`].
pub(crate) const PIECE: usize = 3_584;

/// A text: in the record, or in so many pieces beside it.
#[derive(Debug, Encode, Decode)]
pub(crate) enum TextV1 {
    Inline(String),
    Pieces(u8),
}

/// One piece of something long. Pieces are cut between bytes, not characters.
#[derive(Debug, Encode, Decode)]
pub(crate) struct PieceV1 {
    pub(crate) bytes: Vec<u8>,
}

impl Stored for PieceV1 {
    const VERSION: u8 = 1;
}

impl TextV1 {
    /// Stores a text that belongs to a part of an organization.
    pub(crate) fn store(text: &str, org: OrgId, owner: [u8; 16], rows: &mut Rows) -> Result<Self, Corrupt> {
        if text.len() <= INLINE {
            return Ok(Self::Inline(text.to_owned()));
        }
        let mut count = 0_u8;
        for piece in text.as_bytes().chunks(PIECE) {
            rows.record(piece_key(org, owner, count), &PieceV1 { bytes: piece.to_vec() })?;
            count = count.checked_add(1).ok_or(Corrupt::Value)?;
        }
        Ok(Self::Pieces(count))
    }

    /// Reads it back.
    pub(crate) fn load(self, org: OrgId, owner: [u8; 16], read: Reader<'_>) -> Result<String, Corrupt> {
        match self {
            Self::Inline(text) => Ok(text),
            Self::Pieces(count) => {
                let mut bytes = Vec::with_capacity(usize::from(count) * PIECE);
                for piece in 0..count {
                    let key = piece_key(org, owner, piece);
                    let value = read(&key).ok_or(Corrupt::Missing)?;
                    bytes.extend(decode::<PieceV1>(&key, &value)?.bytes);
                }
                String::from_utf8(bytes).map_err(|_| Corrupt::Value)
            }
        }
    }
}

/// Reads a row.
pub(crate) type Reader<'a> = &'a dyn Fn(&[u8]) -> Option<Vec<u8>>;

/// Gathers a long text that is kept beside a record.
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
