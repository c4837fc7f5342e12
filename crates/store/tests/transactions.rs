//! Transactions: what they see, that all of one happens or nothing, and what they may not do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::component::{CreateComponent, DeleteComponent, EditComponent, ListComponents};
use dogwatch_core::incident::{AcknowledgeIncident, CreateIncident, GetIncident, ListIncidents, Severity};
use dogwatch_core::organization::OrganizationCreated;
use dogwatch_core::team::{AddMember, Role};
use dogwatch_core::{Actor, Code, Error as Refusal};
use dogwatch_store::{Engine, Error, Transaction};
use dogwatch_testkit::fixture::organization;
use support::{Gated, block_on};

fn component(name: &str) -> CreateComponent {
    CreateComponent::new(name.parse().unwrap())
}

fn incident(created: &OrganizationCreated) -> CreateIncident {
    CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, created.admin.member.id)
}

fn begin() -> (Gated, Engine, OrganizationCreated, Actor) {
    let backend = Gated::default();
    let engine = backend.open(Engine::builder());
    let created = organization(&engine);
    let ada = created.actor();
    (backend, engine, created, ada)
}

fn names(engine: &Engine, actor: &Actor) -> Vec<String> {
    engine.query(&ListComponents, actor).unwrap().into_iter().map(|it| it.name.to_string()).collect()
}

/// Nothing of it, in no row: the store holds as many commits as before, and is in order.
fn unchanged<R>(engine: &Engine, attempt: impl FnOnce() -> Result<R, Error>) -> Error {
    let before = (engine.revision(), engine.stats().unwrap());
    let Err(error) = attempt() else { panic!("it should fail") };
    assert_eq!((engine.revision(), engine.stats().unwrap()), before);
    assert!(engine.verify(&mut |_| ()).is_clean());
    error
}

#[test]
fn the_later_see_the_earlier_and_all_is_one_commit() {
    let (backend, engine, created, ada) = begin();
    let (commits, revision) = (backend.batches(), engine.revision());
    let open = incident(&created);
    let (first, second) = engine
        .transact(&ada, move |tx| {
            let api = tx.execute(component("API"))?;
            // Refused because of the command before it; what is refused leaves nothing, and the rest goes on.
            assert_eq!(tx.execute(component("API")).unwrap_err().code(), Code::NameConflict);
            let first = tx.execute(CreateIncident { component_ids: vec![api.id], ..open.clone() })?;
            assert_eq!(tx.execute(DeleteComponent::new(api.id)).unwrap_err().code(), Code::ComponentInUse);
            let second = tx.execute(open)?;
            tx.execute(AcknowledgeIncident::new(first.id))?;
            assert!(tx.query(&GetIncident::new(first.id))?.incident.acknowledged_at.is_some());
            assert_eq!(tx.query(&ListIncidents::default())?.incidents.len(), 2);
            Ok((first, second))
        })
        .unwrap();
    assert_eq!((backend.batches(), engine.revision()), (commits + 1, revision + 1));
    assert_eq!((first.sequential_id, second.sequential_id), (1, 2));
    let detail = engine.query(&GetIncident::new(first.id), &ada).unwrap();
    assert_eq!(detail.incident.acknowledged_at, Some(detail.incident.created_at), "all of it happens at one instant");
    assert_eq!(engine.next_deadline().unwrap(), None);
}

#[test]
fn an_error_undoes_all_of_it_and_nothing_else() {
    let (backend, engine, created, ada) = begin();
    engine.execute(component("API"), &ada).unwrap();
    let open = incident(&created);
    let error = unchanged(&engine, || {
        engine.transact(&ada, move |tx| {
            tx.execute(open)?;
            let api = tx.query(&ListComponents)?[0].id;
            tx.execute(EditComponent { name: Some("Web".parse()?), ..EditComponent::new(api) })?;
            tx.execute(EditComponent { name: Some("App".parse()?), ..EditComponent::new(api) })?;
            tx.execute(DeleteComponent::new(api))?;
            Err::<(), _>(Refusal::refused(Code::NotFound, "on second thoughts").into())
        })
    });
    assert_eq!((error.code(), error.to_string()), (Code::NotFound, "on second thoughts".to_owned()));

    // In one batch: what was decided before and after one that is undone stays, also where both change the same row.
    let closed = backend.close();
    let held = engine.submit(component("Held"), &ada).unwrap();
    backend.until_waiting();
    let before = engine.submit(component("Before"), &ada).unwrap();
    let undone = engine.submit_transaction(&ada, |tx| {
        let held = tx.query(&ListComponents)?.into_iter().find(|it| it.name.as_str() == "Before").unwrap();
        tx.execute(DeleteComponent::new(held.id))?;
        tx.execute(component("Undone"))?;
        tx.execute(component("Held"))
    });
    let undone = undone.unwrap();
    let after = engine.submit(component("Undone"), &ada).unwrap();
    drop(closed);
    held.wait().unwrap();
    before.wait().unwrap();
    assert_eq!(undone.wait().unwrap_err().code(), Code::NameConflict);
    after.wait().unwrap();
    assert_eq!(names(&engine, &ada), ["API", "Before", "Held", "Undone"]);
    assert!(engine.verify(&mut |_| ()).is_clean());
}

#[test]
fn a_panic_undoes_it_and_the_engine_goes_on() {
    let (_, engine, _, ada) = begin();
    let error = unchanged(&engine, || {
        engine.transact(&ada, |tx| -> Result<(), Error> {
            tx.execute(component("API"))?;
            panic!("a defect of the host");
        })
    });
    assert_eq!(error.code(), Code::Internal);
    engine.execute(component("API"), &ada).unwrap();
}

/// So many rows that parts of the batch would be applied while it is decided.
#[test]
fn a_large_one_is_whole_or_not_at_all() {
    let (backend, engine, _, ada) = begin();
    let many = |tx: &mut Transaction<'_, '_>| -> Result<(), Error> {
        (0..Transaction::MOST_COMMANDS).try_for_each(|n| tx.execute(component(&format!("no {n}"))).map(drop))
    };
    let applied = backend.batches();
    let error = unchanged(&engine, || {
        engine.transact(&ada, move |tx| {
            many(tx)?;
            tx.execute(component("one more"))
        })
    });
    assert_eq!((error.code(), backend.batches()), (Code::LimitReached, applied), "nothing was applied");
    engine.transact(&ada, many).unwrap();
    assert_eq!(names(&engine, &ada).len(), Transaction::MOST_COMMANDS);
    assert!(engine.verify(&mut |_| ()).is_clean());
}

#[test]
fn several_actors_in_one() {
    let (_, engine, created, ada) = begin();
    let org = created.organization.id;
    let incident = engine.transact(&Actor::Operator, move |tx| {
        let add = AddMember::new(org, "ben@example.com".parse()?, "Ben".parse()?, "Marlow".parse()?, Role::Member);
        let ben = tx.execute(add)?.member.id;
        let open = CreateIncident::new("Checkout is down".parse()?, Severity::High, ben);
        assert_eq!(tx.execute(open.clone()).unwrap_err().code(), Code::NotAuthorized, "the operator is no member");
        tx.execute_as(open, &Actor::member(org, ben))
    });
    let incident = incident.unwrap();
    assert_eq!(Some(incident.created_by), incident.owner_id.map(Into::into));
    assert_ne!(incident.created_by, created.admin.member.id);
    assert_eq!(engine.query(&GetIncident::new(incident.id), &ada).unwrap().incident, incident);
}

/// It would wait for itself, for ever.
#[test]
fn a_transaction_cannot_wait_for_its_engine() {
    let (_, engine, _, ada) = begin();
    let (inner, actor) = (engine.clone(), ada);
    let codes = engine.transact(&ada, move |tx| {
        tx.execute(component("API"))?;
        let waited = [
            inner.execute(component("Web"), &actor).map(drop),
            inner.transact(&actor, |tx| tx.execute(component("App"))).map(drop),
            inner.tick(inner.now()).map(drop),
        ];
        Ok(waited.map(|waited| waited.unwrap_err().code()))
    });
    assert_eq!(codes.unwrap(), [Code::Internal; 3]);
    // What was refused did not happen.
    engine.execute(component("last"), &ada).unwrap();
    assert_eq!(names(&engine, &ada), ["API", "last"]);
}

#[test]
fn it_can_be_awaited_and_is_unknown_when_storage_fails() {
    let (backend, engine, _, ada) = begin();
    block_on(engine.submit_transaction(&ada, |tx| tx.execute(component("API"))).unwrap()).unwrap();
    backend.state.fail_sync.store(true, std::sync::atomic::Ordering::SeqCst);
    let error = engine.transact(&ada, |tx| tx.execute(component("Web"))).unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown));
    assert_eq!(names(&engine, &ada), ["API"]);
}

/// What a closure panics with is a value of the host, which may panic again when it is dropped.
#[test]
fn a_panic_within_a_panic_does_not_end_the_writer() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a defect of the host");
        }
    }
    let (_, engine, _, ada) = begin();
    let bomb = engine.transact(&ada, |_| -> Result<(), Error> { std::panic::panic_any(Bomb) });
    assert_eq!(bomb.unwrap_err().code(), Code::Internal);
    engine.execute(component("API"), &ada).unwrap();
}
