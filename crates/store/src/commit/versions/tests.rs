//! What views see, also through the cache, against a model; and many threads at once.

use super::*;
use crate::backend::MemoryBackend;
use crate::commit::overlay::Source;
use crate::journal::Position;
use crate::sync::Arc;
use crate::sync::atomic::AtomicBool;
use crate::table::Table;
use proptest::prelude::*;

pub(in crate::commit) fn head(number: u64) -> Head {
    Head { position: Position { term: 0, number }, ..Head::default() }
}

pub(in crate::commit) fn versions() -> Versions {
    Versions::new(Box::new(MemoryBackend::new()), head(0), Checkpoints::default(), 1 << 20)
}

pub(in crate::commit) fn key(key: u8) -> Vec<u8> {
    vec![Table::INCIDENT.tag(), key]
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// All rows that a view sees, but the head that the backend has come to.
fn seen(view: &View<'_>) -> Rows {
    view.scan(&[Table::INCIDENT.tag()], &[Table::INCIDENT.tag() + 1]).map(Result::unwrap).collect()
}

/// What a view sees of a row through the cache, into which it goes.
pub(in crate::commit) fn looked_up(view: &View<'_>, key: &[u8]) -> Option<Vec<u8>> {
    if let Some(known) = view.remembered(key) {
        return known.downcast_ref::<Option<Vec<u8>>>().unwrap().clone();
    }
    let value = view.get(key).unwrap();
    view.remember(key, Arc::new(value.clone()), 1);
    value
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(u8, Option<u8>)>),
    /// So many of the commits that wait are brought into the backend.
    Apply(usize),
    View,
    Drop(prop::sample::Index),
    /// A scan begins, and takes so many rows.
    Scan(prop::sample::Index, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0..60_u8, proptest::option::of(any::<u8>()));
    let step = prop_oneof![
        4 => prop::collection::vec(change, 1..40).prop_map(Step::Commit),
        3 => (1..4_usize).prop_map(Step::Apply),
        2 => Just(Step::View),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        2 => (any::<prop::sample::Index>(), 0..50_usize).prop_map(|(view, taken)| Step::Scan(view, taken)),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The model is a map for each view. Whatever is committed and brought into the backend meanwhile, a view sees its own map:
    /// row by row, in a list, and in a list that began before.
    #[test]
    fn a_view_sees_its_moment(steps in steps()) {
        let (versions, mut now, mut number, mut applied) = (versions(), Rows::new(), 0, 0);
        let mut views: Vec<(View<'_>, Rows)> = Vec::new();
        for step in steps {
            match step {
                Step::Commit(changes) => {
                    let rows: RowMap = changes.into_iter().map(|(k, value)| (key(k), value.map(|it| vec![it]))).collect();
                    for (key, value) in rows.clone() {
                        match value {
                            Some(value) => drop(now.insert(key, value)),
                            None => drop(now.remove(&key)),
                        }
                    }
                    let before = versions.view();
                    let seen_before = seen(&before);
                    number += 1;
                    versions.enter(number, rows);
                    prop_assert_eq!(seen(&versions.view()), seen_before, "not published yet");
                    prop_assert_eq!(&seen(&versions.view_of(head(number))), &now, "the writer sees it");
                    versions.publish(head(number), 1);
                }
                Step::Apply(commits) => {
                    applied = number.min(applied + u64::try_from(commits).unwrap());
                    versions.apply(head(applied)).unwrap();
                }
                Step::View => views.push((versions.view(), now.clone())),
                Step::Drop(index) if !views.is_empty() => drop(views.swap_remove(index.index(views.len()))),
                Step::Scan(index, taken) if !views.is_empty() => {
                    let (view, expected) = &views[index.index(views.len())];
                    let mut scan = view.scan(&[Table::INCIDENT.tag()], &[Table::INCIDENT.tag() + 1]);
                    let mut rows: Vec<_> = scan.by_ref().take(taken).map(Result::unwrap).collect();
                    applied = number;
                    versions.apply(head(applied)).unwrap();
                    rows.extend(scan.map(Result::unwrap));
                    prop_assert_eq!(rows, expected.clone().into_iter().collect::<Vec<_>>());
                }
                Step::Drop(_) | Step::Scan(..) => {}
            }
            for (view, expected) in &views {
                prop_assert_eq!(&seen(view), expected);
                for k in 0..60 {
                    prop_assert_eq!(view.get(&key(k)).unwrap(), expected.get(&key(k)).cloned());
                    prop_assert_eq!(looked_up(view, &key(k)), expected.get(&key(k)).cloned());
                }
            }
            prop_assert_eq!(&seen(&versions.view()), &now);
            for k in 0..60 {
                prop_assert_eq!(looked_up(&versions.view(), &key(k)), now.get(&key(k)).cloned());
            }
        }
        views.clear();
        versions.apply(head(number)).unwrap();
        prop_assert_eq!(versions.size.load(Ordering::SeqCst), 0, "nothing is kept when nobody looks");
    }
}

/// What is kept for one view is one value a row, however often the row changes.
#[test]
fn a_long_view_costs_one_value_a_row() {
    let versions = versions();
    let commit = |number: u64| {
        versions.enter(number, (0..100).map(|k| (key(k), Some(number.to_be_bytes().to_vec()))).collect());
        versions.publish(head(number), 1);
        versions.apply(head(number)).unwrap();
    };
    commit(1);
    let view = versions.view();
    (2..50).for_each(commit);
    let later = versions.view();
    (50..60).for_each(commit);
    assert!(versions.held().kept.values().all(|kept| kept.len() == 2), "one for each view");
    assert!(seen(&view).values().all(|value| *value == 1_u64.to_be_bytes()));
    assert!(seen(&later).values().all(|value| *value == 49_u64.to_be_bytes()));
    drop(view);
    assert!(versions.held().kept.values().all(|kept| kept.len() == 1));
    drop(later);
    assert_eq!(versions.size.load(Ordering::SeqCst), 0);
}

/// When too much would be kept, the earliest view is told so, and the others go on.
#[test]
fn what_is_kept_is_bounded() {
    let mut versions = versions();
    versions.most_kept = 30_000;
    let commit = |versions: &Versions, number: u64| {
        versions.enter(number, (0..100).map(|k| (key(k), Some(number.to_be_bytes().to_vec()))).collect());
        versions.publish(head(number), 1);
        versions.apply(head(number)).unwrap();
        assert!(versions.held().kept_bytes <= 30_000 + 1_000);
    };
    commit(&versions, 1);
    let (mut views, mut lost) = (Vec::new(), 0);
    for number in 2..8 {
        views.push((number - 1, versions.view()));
        commit(&versions, number);
        for (number, view) in &views {
            let all: Result<Vec<_>, _> = view.scan(&[Table::INCIDENT.tag()], &[Table::INCIDENT.tag() + 1]).collect();
            let one = view.get(&key(7));
            match &all {
                Ok(rows) => {
                    assert_eq!(rows.len(), 100);
                    assert!(rows.iter().all(|(_, value)| *value == u64::to_be_bytes(*number)));
                    assert_eq!(one.unwrap(), Some(u64::to_be_bytes(*number).to_vec()));
                }
                Err(why) => {
                    assert!(why.to_string().contains("held for too long") && one.is_err() && view.is_lost(), "{why}");
                    lost = lost.max(*number);
                }
            }
        }
    }
    assert_eq!(lost, 4, "two views with 100 rows each are kept: the others are lost");
    drop(views);
    assert_eq!((versions.size.load(Ordering::SeqCst), versions.held().kept_bytes), (0, 0));
    assert_eq!(seen(&versions.view()).len(), 100);
}

/// Each commit writes its number into all rows, and every tenth deletes all. Readers, an applier and a writer at once: a
/// reader finds one number in all rows, the same however often it looks, and never an earlier one than before.
#[test]
fn many_at_once() {
    let (versions, stop) = (versions(), AtomicBool::new(false));
    crate::sync::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=3_000_u64 {
                let value = (number % 10 != 0).then(|| number.to_be_bytes().to_vec());
                versions.enter(number, (0..100).map(|k| (key(k), value.clone())).collect());
                versions.publish(head(number), 1);
                // The applier must not fall behind for good: there would be nothing for it to overtake.
                while number > versions.applying.load(Ordering::SeqCst) + 20 {
                    crate::sync::thread::yield_now();
                }
            }
            stop.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                versions.apply(versions.head()).unwrap();
            }
        });
        for reader in 0..3_u8 {
            let (versions, stop) = (&versions, &stop);
            scope.spawn(move || {
                let mut last = 0;
                while !stop.load(Ordering::SeqCst) {
                    let view = versions.view();
                    let number = view.head().position.number;
                    assert!(number >= last, "{number} after {last}");
                    last = number;
                    let expected = (number % 10 != 0).then(|| number.to_be_bytes().to_vec());
                    for _ in 0..=reader {
                        let rows = seen(&view);
                        if number > 0 {
                            assert_eq!(rows.len(), if expected.is_some() { 100 } else { 0 }, "at {number}");
                            assert!(rows.values().all(|value| Some(value) == expected.as_ref()), "at {number}");
                            assert_eq!(view.get(&key(50)).unwrap(), expected, "at {number}");
                            for k in 0..10 {
                                assert_eq!(looked_up(&view, &key(k)), expected, "at {number}");
                            }
                        }
                    }
                }
            });
        }
    });
}
