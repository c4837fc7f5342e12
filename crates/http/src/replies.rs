//! Replies that were made a moment ago, for those who ask the same while nothing has changed.
//!
//! Dashboards ask for the same page again and again. Such a reply depends on the organization, the path with its query, and
//! what is durable; not on who asks, and not on the time. The engine counts what becomes durable ([`Engine::revision`]), so
//! a reply is good for as long as that count stands still, and all are dropped when it moves. They are bounded in number
//! and size. Who may ask is checked before anybody looks here.
//!
//! [`Engine::revision`]: dogwatch_store::Engine::revision

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use dogwatch_store::rules::OrgId;

/// How many bytes are kept at most.
const MOST_BYTES: usize = 4 << 20;
/// What an entry counts beside its bytes.
const OVERHEAD: usize = 256;

/// What a reply is for: an organization, and the path with its query.
pub(crate) type Asked = (OrgId, String);

#[derive(Default)]
pub(crate) struct Replies {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The revision of the engine to which all of them belong.
    revision: u64,
    replies: BTreeMap<Asked, Bytes>,
    bytes: usize,
}

impl Replies {
    /// The reply that was kept at this revision.
    pub(crate) fn find(&self, asked: &Asked, revision: u64) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.revision == revision { kept.replies.get(asked).cloned() } else { None }
    }

    /// Keeps a reply that was made from this revision or a later one.
    pub(crate) fn keep(&self, asked: Asked, revision: u64, reply: Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let size = reply.len().saturating_add(asked.1.len()).saturating_add(OVERHEAD);
        if revision < kept.revision || size > MOST_BYTES {
            return;
        }
        if kept.revision < revision || kept.bytes.saturating_add(size) > MOST_BYTES {
            *kept = Kept { revision, ..Kept::default() };
        }
        if kept.replies.insert(asked, reply).is_none() {
            kept.bytes = kept.bytes.saturating_add(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dogwatch_store::rules::id::Id;

    fn asked(org: u8, path: &str) -> Asked {
        (OrgId::from_bytes([org; 16]), path.to_owned())
    }

    #[test]
    fn only_what_was_asked_at_this_revision() {
        let replies = Replies::default();
        replies.keep(asked(1, "/a"), 7, Bytes::from_static(b"seven"));
        for (org, path, revision, found) in
            [(1, "/a", 7, true), (2, "/a", 7, false), (1, "/b", 7, false), (1, "/a", 6, false), (1, "/a", 8, false)]
        {
            assert_eq!(replies.find(&asked(org, path), revision).is_some(), found, "{org} {path} {revision}");
        }
        replies.keep(asked(1, "/b"), 6, Bytes::from_static(b"late"));
        assert_eq!(replies.find(&asked(1, "/b"), 7), None, "what is older is not kept");
        replies.keep(asked(1, "/b"), 8, Bytes::from_static(b"eight"));
        assert_eq!(replies.find(&asked(1, "/a"), 8), None, "what was kept before is dropped");
        assert_eq!(replies.find(&asked(1, "/b"), 8).as_deref(), Some(&b"eight"[..]));
    }

    #[test]
    fn bounded() {
        let replies = Replies::default();
        let large = Bytes::from(vec![0; MOST_BYTES / 8]);
        for n in 0..100 {
            replies.keep(asked(1, &n.to_string()), 1, large.clone());
            let kept = replies.kept.lock().unwrap();
            assert!(kept.replies.values().map(Bytes::len).sum::<usize>() <= MOST_BYTES);
        }
        replies.keep(asked(1, "huge"), 1, Bytes::from(vec![0; MOST_BYTES + 1]));
        assert_eq!(replies.find(&asked(1, "huge"), 1), None);
        (0..100_000).for_each(|n| replies.keep(asked(1, &n.to_string()), 1, Bytes::new()));
        assert!(replies.kept.lock().unwrap().replies.len() <= MOST_BYTES / OVERHEAD);
    }
}
