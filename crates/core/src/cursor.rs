//! Where lists go on: the cursors of all rooms, which are the id of the last item behind a prefix that tells their kind.

use crate::validation::Problem;

/// Declares cursors: each with the kind of id that it holds, and its prefix.
macro_rules! cursors {
    ($($(#[$doc:meta])* $cursor:ident($id:ident) = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $cursor($id);

        impl $cursor {
            /// The cursor with which a list goes on behind this item.
            pub(super) const fn behind(id: $id) -> Self {
                Self(id)
            }

            /// The item behind which the list goes on.
            pub(super) const fn last_seen(self) -> $id {
                self.0
            }
        }

        impl ::std::fmt::Display for $cursor {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "{}{:032x}", $prefix, u128::from_be_bytes($crate::id::Id::to_bytes(self.0)))
            }
        }

        impl ::std::str::FromStr for $cursor {
            type Err = $crate::validation::Problem;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::cursor::bytes(text, $prefix).map(|bytes| Self($crate::id::Id::from_bytes(bytes)))
            }
        }
    )*};
}
pub(crate) use cursors;

/// The bytes of the id that a cursor with this prefix holds.
pub(crate) fn bytes(text: &str, prefix: &str) -> Result<[u8; 16], Problem> {
    let hex = text.strip_prefix(prefix);
    let hex = hex.filter(|hex| hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    let value = hex.and_then(|hex| u128::from_str_radix(hex, 16).ok());
    let value = value.ok_or_else(|| Problem::new("cursor", "must be a cursor from an earlier answer"))?;
    Ok(value.to_be_bytes())
}
