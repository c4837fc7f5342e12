//! Delivery by a thread: what a closure says of each notification becomes of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use dogwatch_core::UserId;
use dogwatch_core::contact::{AddContactMethod, ContactAddress};
use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{CreateIncident, Event, GetIncident, HandOffIncident, Severity};
use dogwatch_core::organization::OrganizationCreated;
use dogwatch_core::outbox::{ListNotifications, Message, PageReason, Transport};
use dogwatch_core::team::{AcceptInvitation, InviteMember, Role};
use dogwatch_core::{Actor, Timestamp};
use dogwatch_store::backend::{Backend, Batch};
use dogwatch_store::{Delivery, Engine, Envelope, Error, ManualClock, Sending, Wanted};
use dogwatch_testkit::fixture::organization;
use support::Gated;

const LEASE: Duration = Duration::from_secs(60);

struct House {
    engine: Engine,
    clock: ManualClock,
    created: OrganizationCreated,
    backend: Gated,
}

impl House {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::parse("2026-04-07T10:00:00Z").unwrap());
        let backend = Gated::default();
        let engine = backend.open(Engine::builder().clock(clock.clone()));
        let created = organization(&engine);
        Self { engine, clock, created, backend }
    }

    fn ada(&self) -> (UserId, Actor) {
        (self.created.admin.member.id, self.created.actor())
    }

    /// Pages Ada about a new incident, this many times.
    fn page(&self, times: usize) -> IncidentId {
        let (user, ada) = self.ada();
        let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, user);
        let id = self.engine.execute(open, &ada).unwrap().id;
        (0..times).for_each(|_| drop(self.engine.execute(HandOffIncident::new(id, user), &ada).unwrap()));
        id
    }

    /// Starts a delivery; gives what it is handed.
    fn start(&self, mut say: impl FnMut(usize) -> Sending + Send + 'static) -> (Delivery, Receiver<Envelope>) {
        let (hand, handed) = channel();
        let mut n = 0;
        let delivery = self.engine.start_delivery(LEASE, move |envelope| {
            hand.send(envelope.clone()).unwrap();
            n += 1;
            say(n)
        });
        (delivery.unwrap(), handed)
    }

    fn waiting(&self) -> usize {
        let (user, ada) = self.ada();
        self.engine.query(&ListNotifications::new(user), &ada).unwrap().len()
    }
}

#[test]
fn an_envelope_has_what_it_takes() {
    let house = House::new();
    let id = house.page(1);
    let (delivery, handed) = house.start(|_| Sending::Sent);
    let page = handed.recv().unwrap();
    assert_eq!(page.organization, house.created.organization);
    assert_eq!(page.member.unwrap(), house.created.admin.member);
    assert_eq!(page.incident.unwrap(), house.engine.query(&GetIncident::new(id), &house.ada().1).unwrap().incident);
    assert_eq!(page.notification.reason(), Some(PageReason::Handoff));

    let invite = InviteMember::new("ben@example.com".parse().unwrap(), Role::Member);
    house.engine.execute(invite, &house.ada().1).unwrap();
    let invitation = handed.recv().unwrap();
    assert_eq!((invitation.member, invitation.incident), (None, None));
    let Message::Invitation { token: Some(token), .. } = invitation.notification.message else { panic!("no token") };
    let accept = AcceptInvitation::new(token, "Ben".parse().unwrap(), "Marlow".parse().unwrap());
    house.engine.execute(accept, &Actor::Anybody).unwrap();
    delivery.stop().unwrap();
    assert_eq!(house.waiting(), 0);
}

#[test]
fn sent_later_and_failed() {
    let house = House::new();
    let id = house.page(3);
    let (delivery, handed) = house.start(|n| match n {
        1 => Sending::Later(Duration::from_secs(30)),
        2 => Sending::Failed { reason: "no such mailbox".to_owned() },
        _ => Sending::Sent,
    });
    let first = handed.recv().unwrap().notification;
    house.engine.wait_for_notifications(Duration::ZERO).unwrap();
    assert!(handed.recv_timeout(Duration::from_millis(50)).is_err(), "the others wait for the first");
    house.clock.advance(Duration::from_secs(30));
    let again = handed.recv().unwrap().notification;
    assert_eq!((again.id, again.attempts), (first.id, 2));
    let rest: Vec<_> = (0..2).map(|_| handed.recv().unwrap().notification.number).collect();
    assert_eq!(rest, [2, 3]);
    delivery.stop().unwrap();

    assert_eq!(house.waiting(), 0);
    let (user, ada) = house.ada();
    let trail = house.engine.query(&GetIncident::new(id), &ada).unwrap().audit_trail;
    let given_up: Vec<_> = trail.iter().filter(|it| it.event.as_str() == "page_undeliverable").collect();
    assert_eq!(given_up.len(), 1);
    let (page_id, reason, paged_at) = (first.page().unwrap(), PageReason::Handoff, first.created_at);
    assert_eq!(given_up[0].event, Event::PageUndeliverable { page_id, user_id: user, reason, paged_at });
    assert_eq!(given_up[0].actor_id, None);
    let ends: Vec<_> = trail.iter().map(|it| it.event.as_str()).filter(|event| event.starts_with("page_")).collect();
    assert_eq!(ends, ["page_failed", "page_undeliverable", "page_delivered", "page_delivered"]);
    assert!(house.engine.verify(&mut |_| ()).is_clean());
}

/// A defect in the closure costs one attempt at one notification, and it is counted.
/// However many mails wait, what goes over a webhook has its turn; and whoever claims it alone gets it alone.
#[test]
fn mails_keep_no_webhook_waiting() {
    let house = House::new();
    let ada = house.ada().1;
    for number in 0..40 {
        let invite = InviteMember::new(format!("{number}@example.com").parse().unwrap(), Role::Member);
        house.engine.execute(invite, &ada).unwrap();
    }
    let hook = ContactAddress::Webhook("https://hooks.example.com/1".parse().unwrap());
    let added = house.engine.execute(AddContactMethod::new("Hook".parse().unwrap(), hook), &ada).unwrap();
    let wanted = Wanted { transport: Transport::Webhook, limit: 5, lease: LEASE };
    let claims = house.engine.claim_over(&[wanted]).unwrap();
    let [code] = &claims.notifications[..] else { panic!("{claims:?}") };
    assert_eq!(code.recipient.contact_method(), Some(added.id));
    assert_eq!(house.engine.give_back(&[code.receipt()], Duration::ZERO).unwrap(), 1);
    assert_eq!(house.engine.claim_over(&[Wanted { limit: 0, ..wanted }]).unwrap().notifications, []);

    let (delivery, handed) = house.start(|_| Sending::Sent);
    let transports: Vec<_> = (0..41).map(|_| handed.recv().unwrap().notification.transport()).collect();
    let place = transports.iter().position(|one| *one == Transport::Webhook).unwrap();
    assert!(place < 20, "{place} mails came first");
    delivery.stop().unwrap();
}

#[test]
fn a_panic_is_tried_again() {
    let house = House::new();
    house.page(1);
    let (delivery, handed) = house.start(|n| if n == 1 { panic!("a defect of the host") } else { Sending::Sent });
    handed.recv().unwrap();
    while delivery.failed() == 0 {
        std::thread::yield_now();
    }
    assert!(delivery.is_running());
    house.clock.advance(Duration::from_secs(10));
    assert_eq!(handed.recv().unwrap().notification.attempts, 2);
    while delivery.sent() == 0 {
        std::thread::yield_now();
    }
    assert_eq!((delivery.failed(), house.waiting()), (1, 0));
}

/// What is claimed and not sent when it stops is there for the next at once.
#[test]
fn stopping_gives_back() {
    let house = House::new();
    house.page(1);
    for n in 0..3 {
        let invite = InviteMember::new(format!("guest{n}@example.com").parse().unwrap(), Role::Member);
        house.engine.execute(invite, &house.ada().1).unwrap();
    }
    let (release, held) = channel::<()>();
    let (delivery, handed) = house.start(move |_| {
        let _ = held.recv();
        Sending::Sent
    });
    handed.recv().unwrap();
    let stopping = std::thread::spawn(move || {
        let stopped = delivery.stop();
        stopped.unwrap();
    });
    std::thread::sleep(Duration::from_millis(20));
    drop(release);
    stopping.join().unwrap();
    let sent = 1 + handed.try_iter().count();
    assert_eq!(house.engine.claim(10, LEASE).unwrap().len() + sent, 4);
}

#[test]
fn it_ends_when_storage_fails_and_says_so() {
    let house = House::new();
    let (delivery, _handed) = house.start(|_| Sending::Sent);
    house.backend.state.fail_sync.store(true, std::sync::atomic::Ordering::SeqCst);
    let (user, ada) = house.ada();
    let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, user);
    assert!(house.engine.execute(open, &ada).is_err());
    while delivery.is_running() {
        std::thread::yield_now();
    }
    assert!(matches!(delivery.stop(), Err(Error::Poisoned | Error::OutcomeUnknown)));
}

/// A notification that cannot be read stays due for ever: it is looked at now and then, not all the time.
#[test]
fn a_damaged_inbox_does_not_spin() {
    let house = House::new();
    house.page(1);
    house.engine.checkpoint().unwrap();
    let rows: Vec<_> = house.backend.inner.scan(b"y", b"z").map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    let damaged: Batch = rows.into_iter().map(|(key, _)| (key, Some(vec![0xFF; 8]))).collect();
    house.backend.inner.apply(&damaged).unwrap();
    let before = house.engine.load().commands;
    let (delivery, _handed) = house.start(|_| Sending::Sent);
    std::thread::sleep(Duration::from_millis(150));
    delivery.stop().unwrap();
    let looked = house.engine.load().commands - before;
    assert!(looked <= 3, "it looked {looked} times");
}

/// A lease that is over before anything can be settled is made longer.
#[test]
fn no_lease_is_too_short() {
    let house = House::new();
    let id = house.page(1);
    let (hand, handed) = channel();
    let delivery = house.engine.start_delivery(Duration::ZERO, move |_| {
        hand.send(()).unwrap();
        Sending::Failed { reason: String::new() }
    });
    handed.recv().unwrap();
    delivery.unwrap().stop().unwrap();
    assert_eq!((handed.try_iter().count(), house.waiting()), (0, 0));
    assert!(house.engine.query(&GetIncident::new(id), &house.ada().1).is_ok());
}
