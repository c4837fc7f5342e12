//! The [`Cache`] of entities that were decoded from rows, which views share.
//!
//! An entry says what a row is from a commit on, and that no commit after it has changed the row. So it holds for every view of
//! that commit or a later one. When the rows of a commit are entered, the entries of those rows go. A reader adds what it has
//! decoded only while it can be sure that no later commit has changed the row: see [`Versions::remember`](super::versions::Versions).
//!
//! It is bounded in bytes, as estimated from the bytes of the rows. What has not been asked for since it was last looked at goes first.

use std::any::Any;
use std::collections::{HashMap, VecDeque};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An entity of any kind, as it was decoded.
pub(crate) type Decoded = Arc<dyn Any + Send + Sync>;

/// The number of parts, each with a lock of its own.
const SHARDS: usize = 16;
/// About how many bytes an entity takes for each byte of its row, and besides.
const GROWTH: usize = 3;
const BESIDES: usize = 400;

/// Entities by the keys of their rows.
#[derive(Debug)]
pub(crate) struct Cache {
    shards: Vec<Mutex<Shard>>,
    /// The bytes that a shard may take.
    most: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Arc<[u8]>, Entry>,
    /// The keys in the order in which they are looked at when room is needed. Some are of entries that are gone.
    order: VecDeque<Arc<[u8]>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    /// The number of the commit from which on it holds.
    from: u64,
    decoded: Decoded,
    bytes: usize,
    /// Whether it has been asked for since it was last looked at.
    wanted: bool,
}

impl Shard {
    fn remove(&mut self, key: &[u8]) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }

    /// Removes entries until `bytes` more have room, and keys of entries that are gone.
    fn make_room(&mut self, bytes: usize, most: usize) {
        while self.bytes.saturating_add(bytes) > most || self.order.len() > self.entries.len().saturating_mul(2) {
            let Some(key) = self.order.pop_front() else { return };
            // A key of an entry that is gone says nothing of one that came later under the same key.
            if self.entries.get_key_value(&key).is_none_or(|(held, _)| !Arc::ptr_eq(held, &key)) {
                continue;
            }
            let full = self.bytes.saturating_add(bytes) > most;
            if full && self.entries.get_mut(&key).is_none_or(|entry| !std::mem::take(&mut entry.wanted)) {
                self.remove(&key);
            } else {
                self.order.push_back(key);
            }
        }
    }
}

impl Cache {
    /// An empty cache of so many bytes; with 0 it stays empty.
    pub(crate) fn new(bytes: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, most: bytes / SHARDS, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    fn shard(&self, key: &[u8]) -> Option<MutexGuard<'_, Shard>> {
        // The same in every process, so that what is read of the backend is, too.
        let place = usize::try_from(crc32fast::hash(key)).ok()? % SHARDS;
        Some(self.shards.get(place)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a row is at a commit, if that is known.
    pub(crate) fn get(&self, key: &[u8], number: u64) -> Option<Decoded> {
        if self.most == 0 {
            return None;
        }
        let mut shard = self.shard(key)?;
        let Some(entry) = shard.entries.get_mut(key).filter(|entry| entry.from <= number) else {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.hits.fetch_add(1, Ordering::Relaxed);
        entry.wanted = true;
        Some(Arc::clone(&entry.decoded))
    }

    /// How often an entry was found, and how often not.
    pub(crate) fn looked_up(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// Adds what a row of so many bytes is from a commit on, if `holds`, which is asked while nobody else adds or removes the row.
    pub(crate) fn put(&self, key: &[u8], from: u64, decoded: Decoded, row: usize, holds: impl FnOnce() -> bool) {
        let bytes = row.saturating_mul(GROWTH).saturating_add(key.len()).saturating_add(BESIDES);
        if bytes > self.most / 8 {
            return;
        }
        let Some(mut shard) = self.shard(key) else { return };
        if !holds() {
            return;
        }
        shard.remove(key);
        shard.make_room(bytes, self.most);
        let key: Arc<[u8]> = key.into();
        shard.order.push_back(Arc::clone(&key));
        shard.bytes = shard.bytes.saturating_add(bytes);
        shard.entries.insert(key, Entry { from, decoded, bytes, wanted: false });
    }

    /// Forgets what a row was.
    pub(crate) fn remove(&self, key: &[u8]) {
        if self.most > 0
            && let Some(mut shard) = self.shard(key)
        {
            shard.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(cache: &Cache, key: &[u8], at: u64) -> Option<u32> {
        cache.get(key, at).map(|decoded| *decoded.downcast::<u32>().unwrap())
    }

    #[test]
    fn an_entry_holds_from_its_commit_on() {
        let cache = Cache::new(1 << 20);
        cache.put(b"a", 7, Arc::new(1_u32), 10, || true);
        cache.put(b"b", 7, Arc::new(2_u32), 10, || false);
        assert_eq!(
            (number(&cache, b"a", 6), number(&cache, b"a", 7), number(&cache, b"a", 8)),
            (None, Some(1), Some(1))
        );
        assert_eq!(number(&cache, b"b", 8), None);
        cache.put(b"a", 8, Arc::new(3_u32), 10, || true);
        assert_eq!((number(&cache, b"a", 7), number(&cache, b"a", 8)), (None, Some(3)));
        cache.remove(b"a");
        assert_eq!(number(&cache, b"a", 9), None);
        let none = Cache::new(0);
        none.put(b"a", 1, Arc::new(1_u32), 0, || true);
        assert_eq!(number(&none, b"a", 1), None);
    }

    /// Nobody asks for the entries that stay: they stay because there is room.
    #[test]
    fn what_comes_and_goes_takes_nothing_with_it() {
        let cache = Cache::new(4 << 20);
        let key = |number: u32| number.to_be_bytes();
        (0..50).for_each(|number| cache.put(&key(number), 1, Arc::new(number), 100, || true));
        for number in (50..100).cycle().take(5_000) {
            cache.put(&key(number), 1, Arc::new(number), 100, || true);
            cache.remove(&key(number));
        }
        let left = (0..50).filter(|place| number(&cache, &key(*place), 1).is_some());
        assert_eq!(left.count(), 50);
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let cache = Cache::new(256 << 10);
        let key = |number: u32| number.to_be_bytes();
        for number in 0..10_000 {
            cache.put(&key(number), 1, Arc::new(number), 100, || true);
            for often in [0, 1, 2] {
                assert_eq!(self::number(&cache, &key(often), 1), (often <= number).then_some(often));
            }
            // Entries that are put and removed again and again leave nothing behind.
            cache.put(b"often", 1, Arc::new(number), 100, || true);
            cache.remove(b"often");
        }
        let shards = cache.shards.iter().map(|shard| shard.lock().unwrap());
        let (mut bytes, mut entries) = (0, 0);
        for shard in shards {
            let sum: usize = shard.entries.values().map(|entry| entry.bytes).sum();
            assert_eq!(shard.bytes, sum);
            assert!(shard.order.len() <= 2 * shard.entries.len() + 2, "{}", shard.order.len());
            (bytes, entries) = (bytes + sum, entries + shard.entries.len());
        }
        assert!(bytes <= 256 << 10 && entries > 200, "{bytes} {entries}");
    }
}
