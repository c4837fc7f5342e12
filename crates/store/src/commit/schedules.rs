//! The engine's threads taking turns in thousands of orders: see `src/sync.rs`. A test that is stuck fails, too.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test -p dogwatch-store --lib schedules`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use dogwatch_core::Actor;
use dogwatch_core::incident::{CreateIncident, ListIncidents, Severity};
use dogwatch_core::organization::CreateOrganization;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use crate::Engine;
use crate::backend::MemoryBackend;
use crate::commit::overlay::Source;
use crate::commit::versions::tests::{head, key, looked_up, versions};
use crate::sync::{Arc, thread};
use crate::table::Table;

/// Tries a number of orders that come by chance, and as many in which threads are seldom interrupted, but at any place.
fn in_many_orders(number: usize, test: impl Fn() + Send + Sync + Clone + 'static) {
    let number = std::env::var("DOGWATCH_ORDERS").ok().and_then(|text| text.parse().ok()).unwrap_or(number);
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    Runner::new(RandomScheduler::new(number), config.clone()).run(test.clone());
    Runner::new(PctScheduler::new(3, number), config).run(test);
}

/// Each commit writes its number into three rows, and the third one deletes them. What a view sees is of one commit: in a list, row
/// by row and through the cache, and never of an earlier one than the view before saw.
#[test]
fn a_view_is_of_one_moment() {
    const COMMITS: u64 = 4;
    in_many_orders(10_000, || {
        let versions = Arc::new(versions());
        let value = |number: u64| (number != 0 && number != 3).then(|| number.to_be_bytes().to_vec());
        let writer = Arc::clone(&versions);
        let writer = thread::spawn(move || {
            for number in 1..=COMMITS {
                writer.enter(number, (0..3).map(|k| (key(k), value(number))).collect());
                writer.publish(head(number), 1);
            }
        });
        let applier = Arc::clone(&versions);
        let applier = thread::spawn(move || (0..3).for_each(|_| applier.apply(applier.head()).unwrap()));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let versions = Arc::clone(&versions);
                thread::spawn(move || {
                    let mut last = 0;
                    for _ in 0..2 {
                        let view = versions.view();
                        let number = view.head().position.number;
                        assert!(number >= last, "{number} after {last}");
                        last = number;
                        let rows = view.scan(&[Table::INCIDENT.tag()], &[Table::INCIDENT.tag() + 1]);
                        let rows: Vec<_> = rows.map(|row| row.unwrap().1).collect();
                        assert_eq!(
                            rows,
                            vec![value(number); 3].into_iter().flatten().collect::<Vec<_>>(),
                            "at {number}"
                        );
                        for k in 0..3 {
                            assert_eq!(view.get(&key(k)).unwrap(), value(number), "at {number}");
                            assert_eq!(looked_up(&view, &key(k)), value(number), "at {number}");
                        }
                    }
                })
            })
            .collect();
        writer.join().unwrap();
        applier.join().unwrap();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        versions.apply(head(COMMITS)).unwrap();
        assert_eq!(looked_up(&versions.view(), &key(1)), value(COMMITS));
    });
}

/// Two callers and a reader, with the writer, the storer and the applier between them: what is answered is there for whoever asks
/// afterwards, in any thread, numbers are without gaps, and the engine ends when its last handle is dropped.
#[test]
fn what_is_answered_is_there() {
    in_many_orders(1_000, || {
        let backend = MemoryBackend::new();
        let open = |seed| Engine::builder().id_seed([seed; 32]).checkpoint_after(Duration::ZERO, 1);
        let engine = open(1).with_backend(backend.clone()).unwrap();
        let create = CreateOrganization::new(
            "Harbour".parse().unwrap(),
            "ada@example.com".parse().unwrap(),
            "Ada".parse().unwrap(),
            "Byron".parse().unwrap(),
        );
        let created = engine.execute(create, &Actor::Operator).unwrap();
        let (ada, owner) = (created.actor(), created.admin.member.id);
        let numbers = move |engine: &Engine| -> BTreeSet<u64> {
            let page = engine.query(&ListIncidents::default(), &ada).unwrap();
            page.incidents.iter().map(|incident| incident.sequential_id).collect()
        };
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let engine = engine.clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
                        let number = engine.execute(open, &ada).unwrap().sequential_id;
                        assert!(numbers(&engine).contains(&number), "{number} was answered");
                    }
                })
            })
            .collect();
        let reader = engine.clone();
        let reader = thread::spawn(move || {
            let mut before = BTreeSet::new();
            for _ in 0..3 {
                let now = numbers(&reader);
                assert!(now.is_superset(&before), "{before:?} {now:?}");
                assert!(now.iter().copied().eq(1..=u64::try_from(now.len()).unwrap()), "{now:?}");
                before = now;
            }
        });
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        reader.join().unwrap();
        drop(engine);
        // The journal was in memory: closed, the engine has brought all into the backend.
        let engine = open(2).with_backend(backend).unwrap();
        assert_eq!(numbers(&engine), (1..=4).collect());
    });
}
