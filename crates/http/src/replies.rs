//! Replies to recent GET requests, kept for those who send the same request while nothing has changed.
//!
//! Dashboards send the same request again and again. Such a reply depends on the organization, the path with its query, and the
//! durable state; not on the caller, and not on the time. The engine counts the commits that become durable
//! ([`Engine::revision`]), so a reply is good for as long as that count stands still, and all are dropped when it moves.
//! Together they count at most 4 MiB. Whether the caller may make the request is checked before anything is looked up here.
//!
//! [`Engine::revision`]: dogwatch_store::Engine::revision

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use dogwatch_store::rules::OrgId;

/// The most bytes that all kept replies count together: 4 MiB.
const MOST_BYTES: usize = 4 << 20;
/// The bytes that an entry counts beside those of its path and its reply.
const OVERHEAD: usize = 256;

/// The key of a reply: the organization, and the path with its query.
pub(crate) type Asked = (OrgId, String);

#[derive(Default)]
pub(crate) struct Replies {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The revision of the engine to which all kept replies belong.
    revision: u64,
    replies: BTreeMap<Asked, Bytes>,
    bytes: usize,
}

impl Replies {
    /// The reply that was kept for this request at this revision.
    pub(crate) fn find(&self, asked: &Asked, revision: u64) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.revision == revision { kept.replies.get(asked).cloned() } else { None }
    }

    /// Keeps a reply that was made from this revision or a later one. A newer revision, or a lack of room, drops all others.
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
