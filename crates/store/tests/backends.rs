//! One suite for every backend: what the engine relies on, and nothing more.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use dogwatch_store::backend::{Backend, Batch, MemoryBackend, Pair, SledBackend, SledOptions};
use proptest::prelude::*;

/// Runs a check on a fresh backend of each kind.
fn on_each(check: impl Fn(&dyn Backend)) {
    check(&MemoryBackend::new());
    let folder = tempfile::tempdir().unwrap();
    check(&SledBackend::open(folder.path(), &SledOptions::default()).unwrap());
}

fn batch(changes: &[(&str, Option<&str>)]) -> Batch {
    changes.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.map(|v| v.as_bytes().to_vec()))).collect()
}

fn scan(backend: &dyn Backend, start: &str, end: &str) -> String {
    let pairs = backend.scan(start.as_bytes(), end.as_bytes()).map(Result::unwrap);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    pairs.map(|(key, value)| format!("{}={}", text(key), text(value))).collect::<Vec<_>>().join(" ")
}

#[test]
fn an_empty_backend() {
    on_each(|backend| {
        assert_eq!(backend.get(b"a").unwrap(), None);
        assert_eq!(scan(backend, "", "z"), "");
        backend.apply(&Batch::new()).unwrap();
        backend.make_durable().unwrap();
        backend.make_durable().unwrap();
    });
}

#[test]
fn batches_put_replace_and_delete() {
    on_each(|backend| {
        backend.apply(&batch(&[("a", Some("1")), ("b", Some("2")), ("c", Some(""))])).unwrap();
        backend.apply(&batch(&[("a", Some("3")), ("b", None), ("x", None)])).unwrap();
        assert_eq!(backend.get(b"a").unwrap(), Some(b"3".to_vec()));
        assert_eq!(backend.get(b"b").unwrap(), None);
        assert_eq!(backend.get(b"c").unwrap(), Some(Vec::new()), "an empty value is a value");
        assert_eq!(scan(backend, "", "z"), "a=3 c=");
    });
}

#[test]
fn scans_are_half_open_ordered_and_bytewise() {
    on_each(|backend| {
        backend
            .apply(&batch(&[("b", Some("1")), ("ba", Some("2")), ("a", Some("3")), ("ö", Some("4")), ("c", Some("5"))]))
            .unwrap();
        for (start, end, expected) in [
            ("", "\u{10FFFF}", "a=3 b=1 ba=2 c=5 ö=4"),
            ("b", "c", "b=1 ba=2"),
            ("b\0", "c", "ba=2"),
            ("b", "b", ""),
            ("c", "b", ""),
            ("d", "e", ""),
        ] {
            assert_eq!(scan(backend, start, end), expected, "{start:?}..{end:?}");
        }
    });
}

#[test]
fn long_scans_see_every_pair_once() {
    on_each(|backend| {
        let key = |n: u32| n.to_be_bytes().to_vec();
        for chunk in (0..5_000_u32).collect::<Vec<_>>().chunks(500) {
            backend.apply(&chunk.iter().map(|n| (key(*n), Some(vec![7; 300]))).collect()).unwrap();
        }
        let keys: Vec<_> = backend.scan(&key(10), &key(4_990)).map(|pair| pair.unwrap().0).collect();
        assert_eq!(keys, (10..4_990).map(key).collect::<Vec<_>>());
        assert_eq!(backend.scan(&key(0), &key(5_000)).take(3).count(), 3);
    });
}

#[test]
fn values_of_4_kib_and_keys_of_1_kib() {
    on_each(|backend| {
        let key = vec![0xFE; 1_100];
        backend.apply(&Batch::from([(key.clone(), Some(vec![0xAB; 4_096]))])).unwrap();
        backend.make_durable().unwrap();
        assert_eq!(backend.get(&key).unwrap(), Some(vec![0xAB; 4_096]));
    });
}

#[test]
fn what_was_made_durable_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SledBackend::open(folder.path(), &SledOptions::default()).unwrap();
    for n in 0..20_u8 {
        let backend = open();
        for earlier in 0..n {
            assert_eq!(backend.get(&[earlier]).unwrap(), Some(vec![earlier; 100]), "{n}");
        }
        backend.apply(&Batch::from([(vec![n], Some(vec![n; 100]))])).unwrap();
        backend.make_durable().unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path().join("blobs")).unwrap().count(), 0, "nothing goes to unsynced files");
}

/// A handle that is dropped lets go of sled's lock a moment later; opening again at once has failed for that.
#[test]
fn a_folder_can_be_opened_again_right_after_it_was_closed() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..100_u8 {
        let backend = SledBackend::open(folder.path(), &SledOptions::default()).unwrap();
        backend.apply(&Batch::from([(vec![n], Some(vec![n]))])).unwrap();
    }
}

type Change = (u8, Option<u8>);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(dogwatch_testkit::cases(40)))]

    #[test]
    fn like_a_map(batches in prop::collection::vec(prop::collection::vec(any::<Change>(), 0..20), 0..20), range in any::<(u8, u8)>()) {
        on_each(|backend| {
            let mut map: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            for changes in &batches {
                let batch: Batch = changes.iter().map(|(key, value)| (vec![*key], value.map(|v| vec![v]))).collect();
                for (key, value) in batch.clone() {
                    match value {
                        Some(value) => map.insert(key.clone(), value),
                        None => map.remove(&key),
                    };
                }
                backend.apply(&batch).unwrap();
            }
            let (start, end) = (vec![range.0], vec![range.1]);
            let scanned: Vec<Pair> = backend.scan(&start, &end).map(Result::unwrap).collect();
            let expected: Vec<Pair> = map.clone().into_iter().filter(|(key, _)| start <= *key && *key < end).collect();
            assert_eq!(scanned, expected);
            for key in 0..=255_u8 {
                assert_eq!(backend.get(&[key]).unwrap(), map.get(&vec![key]).cloned());
            }
        });
    }
}
