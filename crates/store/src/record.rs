//! The frame around every stored record: record version (1 byte), payload (bincode), CRC-32 (4 bytes, big endian).
//!
//! The checksum covers the key, too, so a value under a wrong key is noticed like a damaged one. Decoding never trusts its
//! input: sizes are limited, trailing bytes are refused, and every failure is a [`Corrupt`].

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

/// The largest payload that is decoded, in bytes. Stored values are 4 KiB at most; the limit only bounds damaged lengths.
const PAYLOAD_LIMIT: usize = 1 << 20;

const CONFIG: Configuration<LittleEndian, Varint, Limit<PAYLOAD_LIMIT>> =
    bincode::config::standard().with_limit::<PAYLOAD_LIMIT>();

/// Bytes in hexadecimal: two lower-case digits for each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that [`hex`] wrote.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(*pair.first()?)? << 4) | digit(*pair.get(1)?)?)).collect()
}

/// The payload of a record: the form in which the store keeps an entity.
pub(crate) trait Stored: bincode::Encode + bincode::Decode<()> {
    /// The record version that is written in front of the payload.
    const VERSION: u8;

    /// Reads a payload that an earlier version wrote.
    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        let _ = (version, payload);
        Err(Corrupt::Version)
    }
}

/// Why a row cannot be decoded, or an entity cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Corrupt {
    #[error("the record is too short")]
    Short,
    #[error("the checksum does not match")]
    Checksum,
    #[error("the record version is unknown")]
    Version,
    #[error("the payload does not decode")]
    Payload,
    #[error("the payload holds an impossible value")]
    Value,
    #[error("the value is larger than values may be")]
    Large,
    #[error("a record that must exist is missing")]
    Missing,
    #[error("the key does not have the form of its table")]
    Key,
    /// Nothing is known to be damaged.
    #[error("a row that belongs to it cannot be read: storage failed")]
    Unread,
}

fn checksum(key: &[u8], framed: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(framed);
    hasher.finalize().to_be_bytes()
}

/// Encodes a record and frames it for its key.
pub(crate) fn encode<T: Stored>(key: &[u8], record: &T) -> Result<Vec<u8>, Corrupt> {
    let payload = bincode::encode_to_vec(record, CONFIG).map_err(|_| Corrupt::Payload)?;
    Ok(frame::<T>(key, &payload))
}

/// Puts the present record version and the checksum around a payload.
pub(crate) fn frame<T: Stored>(key: &[u8], payload: &[u8]) -> Vec<u8> {
    framed(key, T::VERSION, payload)
}

/// As [`frame`], with the given record version.
pub(crate) fn framed(key: &[u8], version: u8, payload: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(payload.len() + 5);
    framed.push(version);
    framed.extend_from_slice(payload);
    let sum = checksum(key, &framed);
    framed.extend_from_slice(&sum);
    framed
}

/// Decodes the record that [`encode`] framed for this key, or one that an earlier version framed.
pub(crate) fn decode<T: Stored>(key: &[u8], bytes: &[u8]) -> Result<T, Corrupt> {
    let (framed, sum) = bytes.split_last_chunk::<4>().ok_or(Corrupt::Short)?;
    let (version, payload) = framed.split_first().ok_or(Corrupt::Short)?;
    if checksum(key, framed) != *sum {
        return Err(Corrupt::Checksum);
    }
    if *version == T::VERSION { unpack(payload) } else { T::older(*version, payload) }
}

/// Decodes a payload. Bytes that are left over are an error.
pub(crate) fn unpack<T: bincode::Decode<()>>(payload: &[u8]) -> Result<T, Corrupt> {
    let (record, read) = bincode::decode_from_slice(payload, CONFIG).map_err(|_| Corrupt::Payload)?;
    if read == payload.len() { Ok(record) } else { Err(Corrupt::Payload) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, bincode::Encode, bincode::Decode)]
    struct Sample {
        number: u64,
        text: String,
    }

    impl Stored for Sample {
        const VERSION: u8 = 3;
    }

    #[derive(Debug, PartialEq, bincode::Encode, bincode::Decode)]
    struct Newer(Sample);

    impl Stored for Newer {
        const VERSION: u8 = 4;
    }

    fn sample() -> Sample {
        Sample { number: 300, text: "hello".to_owned() }
    }

    #[test]
    fn round_trip() {
        let bytes = encode(b"key", &sample()).unwrap();
        assert_eq!(bytes[0], 3);
        assert_eq!(decode::<Sample>(b"key", &bytes), Ok(sample()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encode(b"key", &sample()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode::<Sample>(b"key", &damaged), Err(Corrupt::Checksum), "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = encode(b"key", &sample()).unwrap();
        for length in 0..bytes.len() {
            assert!(decode::<Sample>(b"key", &bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_record_belongs_to_its_key() {
        let bytes = encode(b"key", &sample()).unwrap();
        assert_eq!(decode::<Sample>(b"yek", &bytes), Err(Corrupt::Checksum));
    }

    #[test]
    fn versions_trailing_bytes_and_lies_about_length() {
        let bytes = encode(b"key", &sample()).unwrap();
        let payload = &bytes[1..bytes.len() - 4];
        let read = |payload: &[u8]| decode::<Sample>(b"key", &frame::<Sample>(b"key", payload));
        assert_eq!(read(payload), Ok(sample()));
        assert_eq!(decode::<Newer>(b"key", &bytes), Err(Corrupt::Version));
        assert_eq!(read(&[payload, &[0]].concat()), Err(Corrupt::Payload));
        // A string that claims to be 2^60 bytes long must not be believed.
        assert_eq!(read(&[1, 253, 0, 0, 0, 0, 0, 0, 0, 16]), Err(Corrupt::Payload));
    }
}
