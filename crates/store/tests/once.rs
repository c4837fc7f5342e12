//! Doing something once (contract, section 12).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use dogwatch_core::component::{Component, CreateComponent, DeleteComponent, ListComponents};
use dogwatch_core::{Actor, Code, Error as Refusal, Timestamp};
use dogwatch_store::backend::{Backend, MemoryBackend};
use dogwatch_store::{Answer, Engine, Error, ManualClock, Once, Recorded};
use dogwatch_testkit::fixture::organization;

fn once(key: &str, fingerprint: u8) -> Once {
    Once { scope: [1; 16], key: key.parse().unwrap(), fingerprint: [fingerprint; 32] }
}

/// The outcome in words, padded so that it takes several rows.
fn render(outcome: Result<Component, Refusal>) -> (Answer, Answer) {
    let answer = match outcome {
        Ok(component) => Answer { status: 201, body: format!("{:>9000}", component.name).into_bytes() },
        Err(refusal) => Answer { status: refusal.http_status(), body: refusal.code().as_str().as_bytes().to_vec() },
    };
    (answer.clone(), answer)
}

struct Store {
    disk: MemoryBackend,
    clock: ManualClock,
    engine: Engine,
    ada: Actor,
}

impl Store {
    fn new() -> Self {
        let disk = MemoryBackend::new();
        let clock = ManualClock::at("2026-04-07T10:00:00Z".parse::<Timestamp>().unwrap());
        let engine = Engine::builder().clock(clock.clone()).with_backend(disk.clone()).unwrap();
        let ada = organization(&engine).actor();
        Self { disk, clock, engine, ada }
    }

    fn create(&self, name: &str, once: Once) -> Result<Recorded, Error> {
        let create = CreateComponent { name: name.parse().unwrap(), description: None, group_label: None };
        self.engine.submit_once(create, &self.ada, once, render)?.wait()
    }

    /// `status, whether again, the body without its padding`.
    fn shown(&self, name: &str, once: Once) -> String {
        match self.create(name, once) {
            Ok(Recorded { answer, again }) => {
                format!("{} {again} {}", answer.status, String::from_utf8(answer.body).unwrap().trim())
            }
            Err(error) => error.code().to_string(),
        }
    }

    fn components(&self) -> usize {
        self.engine.query(&ListComponents, &self.ada).unwrap().len()
    }

    /// Rows of the two tables of records.
    fn rows(&self) -> usize {
        self.engine.checkpoint().unwrap();
        [b"k", b"Q"].map(|tag| self.disk.scan(tag, &[tag[0] + 1]).count()).iter().sum()
    }

    fn reopen(&mut self) {
        self.engine = Engine::builder().clock(self.clock.clone()).with_backend(self.disk.clone()).unwrap();
    }
}

#[test]
fn the_first_answer_again() {
    let mut store = Store::new();
    assert_eq!(store.shown("API", once("a", 1)), "201 false API");
    assert_eq!(store.shown("API", once("a", 1)), "201 true API");
    store.reopen();
    assert_eq!(store.shown("API", once("a", 1)), "201 true API", "also after a restart");
    assert_eq!(store.components(), 1);
    // It is the first answer also when the world has gone on.
    let id = store.engine.query(&ListComponents, &store.ada).unwrap()[0].id;
    store.engine.execute(DeleteComponent { id }, &store.ada).unwrap();
    assert_eq!(store.shown("API", once("a", 1)), "201 true API");
    assert_eq!(store.components(), 0);
    // Another key, another scope: another request.
    assert_eq!(store.shown("API", once("b", 1)), "201 false API");
    let elsewhere = Once { scope: [2; 16], ..once("a", 1) };
    assert_eq!(store.shown("API", elsewhere), "409 false name_conflict");
}

#[test]
fn another_request_under_the_same_key() {
    let store = Store::new();
    assert_eq!(store.shown("API", once("a", 1)), "201 false API");
    assert_eq!(store.shown("Web", once("a", 2)), "idempotency_conflict");
    assert_eq!(store.create("Web", once("a", 2)).unwrap_err().code(), Code::IdempotencyConflict);
    assert_eq!(store.components(), 1);
}

#[test]
fn refusals_are_recorded_and_failures_of_ours_are_not() {
    let store = Store::new();
    assert_eq!(store.shown("API", once("a", 1)), "201 false API");
    assert_eq!(store.shown("API", once("b", 2)), "409 false name_conflict");
    let id = store.engine.query(&ListComponents, &store.ada).unwrap()[0].id;
    store.engine.execute(DeleteComponent { id }, &store.ada).unwrap();
    assert_eq!(store.shown("API", once("b", 2)), "409 true name_conflict", "it would succeed by now");
    let broken = |_: Result<Component, Refusal>| {
        let answer = Answer { status: 500, body: Vec::new() };
        (answer.clone(), answer)
    };
    let create = CreateComponent { name: "Web".parse().unwrap(), description: None, group_label: None };
    let rows = store.rows();
    store.engine.submit_once(create, &store.ada, once("c", 3), broken).unwrap().wait().unwrap();
    assert_eq!(store.rows(), rows, "nothing is recorded");
}

#[test]
fn records_last_a_day_and_do_not_pile_up() {
    let store = Store::new();
    let day = Duration::from_secs(86_400);
    assert_eq!(store.shown("API", once("a", 1)), "201 false API");
    store.clock.advance(day - Duration::from_millis(1));
    assert_eq!(store.shown("API", once("a", 1)), "201 true API");
    store.clock.advance(Duration::from_millis(1));
    assert_eq!(store.shown("Web", once("a", 2)), "201 false Web", "the key is free again");
    assert_eq!(store.shown("Web", once("a", 2)), "201 true Web");
    // Each recording takes two old ones with it, whatever their keys.
    for n in 0..40 {
        store.create(&format!("component {n}"), once(&format!("key-{n}"), 9)).unwrap();
    }
    let full = store.rows();
    store.clock.advance(day * 2);
    for n in 0..40 {
        store.create(&format!("more {n}"), once(&format!("later-{n}"), 9)).unwrap();
    }
    assert!(store.rows() <= full, "{} rows, {full} before", store.rows());
    store.clock.advance(day * 2);
    store.create("last", once("last", 9)).unwrap();
    assert!(store.rows() < full);
}

/// Whoever may not do it gets no answer that others got.
#[test]
fn an_actor_who_may_not() {
    let store = Store::new();
    assert_eq!(store.shown("API", once("a", 1)), "201 false API");
    let create = CreateComponent { name: "API".parse().unwrap(), description: None, group_label: None };
    let outside = store.engine.submit_once(create, &Actor::Anybody, once("a", 1), render).unwrap().wait().unwrap();
    assert_eq!((outside.answer.status, outside.again), (401, false));
}
