//! Section 9 of the contract: what webhooks of the organization are told, when one is disabled, and who may set them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use dogwatch_core::id::{Id, IncidentId, WebhookId};
use dogwatch_core::incident::{
    AcknowledgeIncident, AuditEvent, ChangeStatus, CreateIncident, EventName, PostUpdate, Severity, Status,
};
use dogwatch_core::link::MasterKey;
use dogwatch_core::org_audit::ListOrgAudit;
use dogwatch_core::outbox::{DeliveryState, Message, Notification, Recipient, Retried};
use dogwatch_core::team::{ChangeRole, Role};
use dogwatch_core::text::HttpUrl;
use dogwatch_core::webhook::{
    CreateWebhook, DeleteWebhook, EditWebhook, EnableWebhook, GetWebhook, ListWebhookDeliveries, ListWebhooks,
    OLD_SECRET, RotateWebhookSecret, TestWebhook, WebhookEvents, WebhookView,
};
use dogwatch_core::world::State;
use support::{Harbour, user, valid, word};

const LEASE: Duration = Duration::from_secs(60);

impl Harbour {
    fn hook(&mut self, events: &[&str]) -> WebhookId {
        let mut create = CreateWebhook::new(valid("Hook"), valid("https://hooks.example.com/"));
        create.events = WebhookEvents::new(events).unwrap();
        let ada = self.ada;
        self.run(create, &ada).unwrap().id
    }

    fn open(&mut self, title: &str) -> IncidentId {
        let ada = self.ada;
        let create = CreateIncident::new(valid(title), Severity::High, user(&ada));
        self.run(create, &ada).unwrap().id
    }

    fn seen(&self, id: WebhookId) -> WebhookView {
        self.world.query(&GetWebhook::new(id), &self.ada).unwrap()
    }

    /// Claims what can be claimed, and gives what is for webhooks.
    fn claimed(&mut self) -> Vec<Notification> {
        let claimed = self.world.claim(100, LEASE, self.now, &mut self.ids).unwrap();
        claimed.into_iter().filter(|one| matches!(one.recipient, Recipient::Webhook(_))).collect()
    }

    fn confirm(&mut self, one: &Notification) {
        assert!(self.world.confirm(&one.receipt(), None, self.now, &mut self.ids).unwrap());
    }

    /// Sends everything, and gives the names of the events for each webhook, in order.
    fn told(&mut self) -> BTreeMap<WebhookId, Vec<EventName>> {
        let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
        loop {
            let claimed = self.claimed();
            if claimed.is_empty() {
                return names;
            }
            for one in claimed {
                let Recipient::Webhook(id) = one.recipient else { panic!("{one:?}") };
                if let Message::Event { incident_id, event_id } = one.message {
                    let world = self.world.world(self.org);
                    let (event, _) = AuditEvent::find(incident_id, event_id, &*world).unwrap();
                    names.entry(id).or_default().push(event.unwrap().event.name());
                }
                self.confirm(&one);
            }
        }
    }
}

#[test]
fn who_wants_what() {
    use EventName::{EscalationStopped, IncidentAcknowledged, IncidentCreated, StatusChanged, UpdatePosted};
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let all = harbour.hook(&["*"]);
    let some = harbour.hook(&["incident_acknowledged", "incident_created"]);
    let none = harbour.hook(&["update_redacted"]);
    let incident = harbour.open("Checkout is down");
    harbour.run(AcknowledgeIncident::new(incident), &ada).unwrap();
    harbour.run(PostUpdate::internal(incident, valid("Looking.")), &ada).unwrap();
    for status in [Status::Identified, Status::Monitoring, Status::Resolved] {
        harbour.run(ChangeStatus::new(incident, status), &ada).unwrap();
    }
    // Each change of the status is an update, too.
    let mut by_webhook = harbour.told();
    let told = by_webhook.remove(&all).unwrap();
    assert_eq!(told[..3], [IncidentCreated, IncidentAcknowledged, UpdatePosted]);
    assert!(told[3..].iter().all(|name| [StatusChanged, UpdatePosted].contains(name)), "{told:?}");
    assert_eq!(told.iter().filter(|name| **name == StatusChanged).count(), 3);
    assert!(!told.contains(&EscalationStopped), "there is no policy");
    assert_eq!(by_webhook, [(some, vec![IncidentCreated, IncidentAcknowledged])].into());
    assert_eq!(harbour.world.query(&ListWebhookDeliveries::new(none), &ada).unwrap(), []);
    let listed = harbour.world.query(&ListWebhookDeliveries::new(some), &ada).unwrap();
    assert!(listed.iter().all(|one| one.state == DeliveryState::Delivered && one.attempts == 1), "{listed:?}");
    assert_eq!(listed.len(), 2);
}

/// One that is told nothing for three days is disabled; what waits is superseded, and admins get a mail.
#[test]
fn disabled_in_the_end() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, harbour.ben);
    harbour.run(ChangeRole { user_id: user(&ben), role: Role::Admin }, &ada).unwrap();
    let id = harbour.hook(&["*"]);
    let first = harbour.open("Checkout is down");
    harbour.run(AcknowledgeIncident::new(first), &ada).unwrap();
    let began = harbour.now;
    let mut tries = 0;
    loop {
        let [one] = &harbour.claimed()[..] else { panic!("in order, one at a time") };
        tries += 1;
        assert!(matches!(one.message, Message::Event { .. }));
        let ended = harbour.world.retry(&one.receipt(), "answered 503", None, harbour.now, &mut harbour.ids).unwrap();
        match ended {
            Retried::At(at) => harbour.now = at,
            Retried::Failed => break,
            Retried::NotHeld => panic!("it is held"),
        }
        assert_eq!(harbour.seen(id).disabled_at, None);
    }
    let hours = harbour.now.since(began).as_secs() / 3_600;
    assert_eq!(tries, 10);
    assert!((75..84).contains(&hours), "{hours}");
    let seen = harbour.seen(id);
    assert_eq!((seen.disabled_at, seen.disabled_reason.as_deref()), (Some(harbour.now), Some("answered 503")));
    // The mails, one for each admin; and what waited is superseded.
    let mails = harbour.world.claim(100, LEASE, harbour.now, &mut harbour.ids).unwrap();
    let to: Vec<_> = mails.iter().map(|mail| (mail.user().unwrap(), mail.message.kind().as_str())).collect();
    assert_eq!(to, [(user(&ada), "webhook_disabled"), (user(&ben), "webhook_disabled")]);
    let states: Vec<_> =
        harbour.world.query(&ListWebhookDeliveries::new(id), &ada).unwrap().iter().map(|one| one.state).collect();
    assert_eq!(states, [DeliveryState::Superseded, DeliveryState::Failed]);
    // While it is disabled nothing is written, but a test is sent, once.
    harbour.open("Another");
    harbour.run(TestWebhook::new(id), &ada).unwrap();
    let [test] = &harbour.claimed()[..] else { panic!("the test") };
    assert_eq!(test.message, Message::Test);
    let ended = harbour.world.retry(&test.receipt(), "answered 503", None, harbour.now, &mut harbour.ids).unwrap();
    assert_eq!(ended, Retried::Failed);
    assert_eq!(harbour.claimed(), []);
    let enabled = harbour.run(EnableWebhook::new(id), &ada).unwrap();
    assert_eq!((enabled.disabled_at, enabled.disabled_reason), (None, None));
    harbour.open("A third");
    assert_eq!(harbour.told(), [(id, vec![EventName::IncidentCreated])].into());
}

/// An endpoint that says that it is gone is disabled at once; one that fails its tests is not.
#[test]
fn gone() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let id = harbour.hook(&["*"]);
    harbour.run(TestWebhook::new(id), &ada).unwrap();
    let [test] = &harbour.claimed()[..] else { panic!("the test") };
    assert!(harbour.world.fail(&test.receipt(), "answered 410", harbour.now, &mut harbour.ids).unwrap());
    assert_eq!(harbour.seen(id).disabled_at, None);
    harbour.open("Checkout is down");
    let [event] = &harbour.claimed()[..] else { panic!("the event") };
    assert!(harbour.world.fail(&event.receipt(), "answered 410", harbour.now, &mut harbour.ids).unwrap());
    assert_eq!(harbour.seen(id).disabled_reason.as_deref(), Some("answered 410"));
}

/// Ten thousand wait: one more disables, in the commit that would write it, which may page the very admin who gets the mail.
#[test]
fn too_many_wait() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let id = harbour.hook(&["update_posted"]);
    let incident = harbour.open("Checkout is down");
    let post = |harbour: &mut Harbour, incident| {
        harbour.run(PostUpdate::internal(incident, valid("Looking.")), &ada).unwrap();
    };
    // In a store of maps, each update takes longer than the one before: the inbox is filled by hand.
    post(&mut harbour, incident);
    let inbox = harbour.world.world(harbour.org).inbox(Recipient::Webhook(id)).unwrap().unwrap();
    let full = dogwatch_core::outbox::Inbox { last: inbox.first + 9_998, ..inbox };
    let change = dogwatch_core::world::Change::edited(inbox, full);
    harbour.world.apply(vec![dogwatch_core::world::Write::Inbox(change)]);
    post(&mut harbour, incident);
    assert_eq!(harbour.seen(id).disabled_at, None);
    post(&mut harbour, incident);
    assert_eq!(harbour.seen(id).disabled_reason.as_deref(), Some("10000 events wait for it"));
    // Enabled again, it starts with what happens then, however many wait.
    harbour.run(EnableWebhook::new(id), &ada).unwrap();
    post(&mut harbour, incident);
    assert_eq!(harbour.seen(id).disabled_at, None);
    // A webhook is disabled by nobody, whoever gave the command.
    let audit = harbour.world.query(&ListOrgAudit::new(), &ada).unwrap().entries;
    let of_webhook: Vec<_> = audit.iter().filter(|one| one.target.kind == "webhook").map(|one| one.actor_id).collect();
    assert_eq!(of_webhook, [Some(user(&ada)), None, Some(user(&ada))]);
}

#[test]
fn rules_and_limits() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, harbour.ben);
    let plain: HttpUrl = valid("http://hooks.example.com/");
    let create = CreateWebhook::new(valid("Hook"), valid("https://hooks.example.com/"));
    assert_eq!(word(&harbour.run(create.clone(), &ben)), "not_authorized");
    assert_eq!(word(&harbour.run(CreateWebhook { url: plain.clone(), ..create.clone() }, &ada)), "validation_error");
    let id = harbour.hook(&["*"]);
    let unknown = WebhookId::from_bytes([9; 16]);
    let twice = WebhookEvents::Some(vec![EventName::PageFailed; 2]);
    for events in [WebhookEvents::Some(Vec::new()), twice] {
        assert_eq!(word(&harbour.run(CreateWebhook { events, ..create.clone() }, &ada)), "validation_error");
    }
    for (outcome, expected) in [
        (word(&harbour.run(EditWebhook { url: Some(plain), ..EditWebhook::new(unknown) }, &ada)), "validation_error"),
        (word(&harbour.run(EditWebhook::new(unknown), &ada)), "not_found"),
        (word(&harbour.run(DeleteWebhook::new(unknown), &ada)), "not_found"),
        (word(&harbour.run(TestWebhook::new(unknown), &ada)), "not_found"),
        (word(&harbour.run(EnableWebhook::new(unknown), &ada)), "not_found"),
        (word(&harbour.run(RotateWebhookSecret::new(unknown), &ada)), "not_found"),
        (word(&harbour.run(EditWebhook::new(id), &ben)), "not_authorized"),
        (word(&harbour.run(DeleteWebhook::new(id), &ben)), "not_authorized"),
        (word(&harbour.run(TestWebhook::new(id), &ben)), "not_authorized"),
        (word(&harbour.run(EnableWebhook::new(id), &ben)), "not_authorized"),
        (word(&harbour.run(RotateWebhookSecret::new(id), &ben)), "not_authorized"),
        (word(&harbour.world.query(&ListWebhooks, &ben)), "not_authorized"),
        (word(&harbour.world.query(&GetWebhook::new(id), &ben)), "not_authorized"),
        (word(&harbour.world.query(&ListWebhookDeliveries::new(id), &ben)), "not_authorized"),
        (word(&harbour.run(TestWebhook::new(id), &ada)), "ok"),
        (word(&harbour.run(TestWebhook::new(id), &ada)), "too_many_requests"),
    ] {
        assert_eq!(outcome, expected);
    }
    harbour.now = harbour.now.plus(Duration::from_secs(60));
    assert_eq!(word(&harbour.run(TestWebhook::new(id), &ada)), "ok");
    for _ in 0..49 {
        harbour.hook(&["*"]);
    }
    assert_eq!(word(&harbour.run(create.clone(), &ada)), "limit_reached");
    harbour.run(DeleteWebhook::new(id), &ada).unwrap();
    assert_eq!(word(&harbour.run(create, &ada)), "ok");
    // What waited for the one that is gone is not sent, and its inbox goes with it.
    assert!(harbour.claimed().iter().all(|one| one.recipient != Recipient::Webhook(id)));
    assert_eq!(harbour.world.world(harbour.org).inbox(Recipient::Webhook(id)).unwrap(), None);
}

#[test]
fn secrets() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let (id, key) = (harbour.hook(&["*"]), MasterKey::from_bytes([7; 32]));
    let stored = |harbour: &Harbour| harbour.world.world(harbour.org).webhook(id).unwrap().unwrap();
    let first = stored(&harbour).secrets(&key, harbour.now);
    assert_eq!(first.len(), 1);
    harbour.run(RotateWebhookSecret::new(id), &ada).unwrap();
    let both = stored(&harbour).secrets(&key, harbour.now);
    assert_eq!((both.len(), &both[1]), (2, &first[0]), "the old one signs, too");
    assert_ne!(both[0], first[0]);
    let rotated = harbour.now;
    harbour.now = rotated.plus(OLD_SECRET);
    assert_eq!(stored(&harbour).secrets(&key, harbour.now), both[..1], "for a day");
    harbour.now = rotated;
    harbour.run(RotateWebhookSecret::new(id), &ada).unwrap();
    let last = stored(&harbour).secrets(&key, harbour.now);
    assert_eq!((last.len(), &last[1]), (2, &both[0]), "the last two");
}
