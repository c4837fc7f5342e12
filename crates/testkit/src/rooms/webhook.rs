//! Webhooks of the organization: the operations, the model, and both sides of each operation.

use dogwatch_core::Actor;
use dogwatch_core::id::{Id, WebhookId};
use dogwatch_core::outbox::{Message, Notification};
use dogwatch_core::webhook::{
    CreateWebhook, DeleteWebhook, EditWebhook, EnableWebhook, GetWebhook, ListWebhookDeliveries, ListWebhooks,
    RotateWebhookSecret, TestWebhook, WebhookDeliveryView, WebhookEvents, WebhookView,
};
use dogwatch_store::Engine;

use arbitrary::{Result, Unstructured};

use super::Org;
use super::escalation::{Content, NotificationModel, RecipientModel};
use crate::fixture::{did, valid};
use crate::model::{Expected, Millis, ensure};
use crate::ops::{Pick, name, pick};
use crate::render;
use crate::run::{Run, agree, millis};

const MINUTE: Millis = 60_000;
/// Sets of events, of which a webhook wants one.
const EVENTS: [&[&str]; 4] = [
    &["*"],
    &["incident_created"],
    &["status_changed", "incident_acknowledged", "update_posted"],
    &["page_failed", "page_undeliverable", "page_delivered"],
];

/// An operation on webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum WebhookOp {
    Create { name: String, events: usize, internal: bool },
    Edit { webhook: Pick, name: Option<String>, events: Option<usize> },
    Delete { webhook: Pick },
    Rotate { webhook: Pick },
    Test { webhook: Pick },
    Enable { webhook: Pick },
    Look { webhook: Pick },
}

pub(super) fn operation(source: &mut Unstructured<'_>, org: usize) -> Result<WebhookOp> {
    let events = |source: &mut Unstructured<'_>| source.int_in_range(0..=EVENTS.len() - 1);
    Ok(match source.int_in_range(0..=15)? {
        0..=5 => WebhookOp::Create { name: name(source)?, events: events(source)?, internal: source.arbitrary()? },
        6 | 7 => WebhookOp::Edit {
            webhook: pick(source, org)?,
            name: if source.arbitrary()? { Some(name(source)?) } else { None },
            events: if source.arbitrary()? { Some(events(source)?) } else { None },
        },
        8 => WebhookOp::Delete { webhook: pick(source, org)? },
        9 => WebhookOp::Rotate { webhook: pick(source, org)? },
        10..=12 => WebhookOp::Test { webhook: pick(source, org)? },
        13 => WebhookOp::Enable { webhook: pick(source, org)? },
        _ => WebhookOp::Look { webhook: pick(source, org)? },
    })
}

/// A webhook, as the model keeps it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct WebhookModel {
    pub id: String,
    pub name: String,
    pub events: usize,
    pub internal: bool,
    pub created: Millis,
    pub rotations: u32,
    pub tested: Option<Millis>,
    /// Since when nothing is sent, and why.
    pub disabled: Option<(Millis, String)>,
    pub deleted: bool,
}

impl WebhookModel {
    fn wants(&self, event: &str) -> bool {
        self.disabled.is_none() && !self.deleted && EVENTS[self.events].iter().any(|name| ["*", event].contains(name))
    }

    fn shown(&self) -> String {
        let Self { id, name, events, internal, created, rotations, disabled, .. } = self;
        format!("{id} {name:?} {:?} {internal} {created} {rotations} {disabled:?}", EVENTS[*events])
    }
}

fn shown(view: &WebhookView) -> String {
    let disabled = view.disabled_at.map(millis).zip(view.disabled_reason.clone());
    let WebhookView { id, name, events, include_internal, created_at, generation, .. } = view;
    let (name, created) = (name.as_str(), millis(*created_at));
    format!("{id} {name:?} {:?} {include_internal} {created} {generation} {disabled:?}", events.names())
}

impl Org {
    fn webhook_here(&self, actor: usize, index: Option<usize>) -> Expected<usize> {
        self.admin(actor)?;
        index.filter(|index| !self.webhooks[*index].deleted).ok_or("not_found")
    }

    /// Writes what webhooks are told of the events that have happened since they were last.
    pub(crate) fn tell_webhooks(&mut self, now: Millis) {
        for incident in 0..self.incidents.len() {
            let events: Vec<_> = self.incidents[incident].trail.iter().map(|(event, ..)| *event).collect();
            let told = std::mem::replace(&mut self.incidents[incident].told, events.len());
            for (place, event) in events.into_iter().enumerate().skip(told) {
                for webhook in 0..self.webhooks.len() {
                    if self.webhooks[webhook].wants(event) {
                        self.notify(RecipientModel::Webhook(webhook), Content::Event(incident, place), now, now);
                    }
                }
            }
        }
    }

    /// Enables a webhook: what waits is skipped, and can be claimed, unless somebody holds it.
    fn enable(&mut self, webhook: usize, now: Millis) {
        if self.webhooks[webhook].disabled.take().is_none() {
            return;
        }
        let recipient = RecipientModel::Webhook(webhook);
        let waiting = self.notifications.iter_mut().filter(|one| one.recipient == recipient && !one.done);
        waiting.for_each(|one| one.skipped = true);
        if let Some(first) = self.first_notification(recipient) {
            let (first, ready) = (&self.notifications[first], self.ready[&recipient]);
            if first.attempts == first.failures {
                self.ready.insert(recipient, ready.min(now));
            }
        }
    }

    /// Disables a webhook, and tells the admins.
    pub(super) fn disable(&mut self, webhook: usize, reason: &str, now: Millis) {
        let before = &mut self.webhooks[webhook];
        if before.deleted || before.disabled.is_some() {
            return;
        }
        before.disabled = Some((now, reason.to_owned()));
        self.disablings.push((webhook, before.name.clone(), reason.to_owned()));
        let content = Content::Disabled(self.disablings.len() - 1);
        for admin in 0..self.members.len() {
            if self.members[admin].admin && !self.members[admin].removed {
                self.notify(RecipientModel::Member(admin), content, now, now);
            }
        }
    }

    /// Ends the claim of what a webhook could not be told now; gives when it is tried again.
    pub(super) fn retry_webhook(&mut self, index: usize, reason: &str, asked: Millis, now: Millis) -> Option<Millis> {
        let one = &mut self.notifications[index];
        let waits = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        let wait = waits.get(one.failures as usize).filter(|_| one.content != Content::Test);
        let Some(wait) = wait.map(|seconds| seconds * 1_000) else {
            self.fail(index, reason, now);
            return None;
        };
        one.failures += 1;
        reason.clone_into(&mut one.error);
        // Up to a tenth more, by the last byte of the id.
        let again = now + (wait + wait * Millis::from(one.last_byte) / 2_550).max(asked.min(86_400_000));
        self.ready.insert(one.recipient, again);
        Some(again)
    }
}

/// Creates webhooks in an organization: one that wants everything and had another secret before, and one that was deleted.
pub(super) fn fill(engine: &Engine, admin: &Actor) {
    let url = || valid("https://hooks.example.com/all");
    let all = did(engine, CreateWebhook::new(valid("All"), url()), admin).id;
    did(engine, RotateWebhookSecret::new(all), admin);
    did(engine, TestWebhook::new(all), admin);
    let mut some = CreateWebhook::new(valid("Some"), url());
    some.events = WebhookEvents::new(EVENTS[2]).unwrap();
    let some = did(engine, some, admin).id;
    did(engine, DeleteWebhook::new(some), admin);
}

impl Run<'_> {
    fn webhook(&self, pick: Pick, org: usize) -> (WebhookId, Option<usize>) {
        let unknown = WebhookId::from_bytes([0xEE; 16]);
        let (id, index) = self.resolve(pick, org, |org| &org.webhooks, |webhook| &webhook.id, unknown);
        (valid(&id), index)
    }

    pub(super) fn webhook_op(&mut self, op: &WebhookOp, org: usize, me: usize, actor: &Actor) {
        let now = self.now();
        match op {
            WebhookOp::Create { name, events, internal } => {
                let model = &self.orgs[org];
                let count = model.webhooks.iter().filter(|one| !one.deleted).count();
                let expected = model.admin(me).and_then(|_| ensure(count < 50, "limit_reached"));
                let command = CreateWebhook {
                    events: WebhookEvents::new(EVENTS[*events]).unwrap(),
                    include_internal: *internal,
                    ..CreateWebhook::new(valid(name), valid("https://hooks.example.com/"))
                };
                if let Some((made, ())) = agree(self.subject().execute(command, actor), expected, op) {
                    let webhook = WebhookModel {
                        id: made.id.to_string(),
                        name: name.clone(),
                        events: *events,
                        internal: *internal,
                        created: now,
                        rotations: 0,
                        tested: None,
                        disabled: None,
                        deleted: false,
                    };
                    assert_eq!(shown(&made), webhook.shown());
                    self.orgs[org].webhooks.push(webhook);
                }
            }
            WebhookOp::Edit { webhook, name, events } => {
                let (id, index) = self.webhook(*webhook, org);
                let expected = self.orgs[org].webhook_here(me, index);
                let command = EditWebhook {
                    name: name.as_deref().map(valid),
                    events: events.map(|events| WebhookEvents::new(EVENTS[events]).unwrap()),
                    ..EditWebhook::new(id)
                };
                if let Some((view, index)) = agree(self.subject().execute(command, actor), expected, op) {
                    let webhook = &mut self.orgs[org].webhooks[index];
                    webhook.name = name.clone().unwrap_or_else(|| webhook.name.clone());
                    webhook.events = events.unwrap_or(webhook.events);
                    assert_eq!(shown(&view), webhook.shown());
                }
            }
            WebhookOp::Delete { webhook } => {
                let (id, index) = self.webhook(*webhook, org);
                let expected = self.orgs[org].webhook_here(me, index);
                let outcome = self.subject().execute(DeleteWebhook::new(id), actor);
                if let Some((_, index)) = agree(outcome, expected, op) {
                    self.orgs[org].webhooks[index].deleted = true;
                }
            }
            WebhookOp::Rotate { webhook } => {
                let (id, index) = self.webhook(*webhook, org);
                let expected = self.orgs[org].webhook_here(me, index);
                let outcome = self.subject().execute(RotateWebhookSecret::new(id), actor);
                if let Some((view, index)) = agree(outcome, expected, op) {
                    self.orgs[org].webhooks[index].rotations += 1;
                    assert_eq!(shown(&view), self.orgs[org].webhooks[index].shown());
                }
            }
            WebhookOp::Test { webhook } => {
                let (id, index) = self.webhook(*webhook, org);
                let model = &self.orgs[org];
                let expected = model.webhook_here(me, index).and_then(|index| {
                    let often = model.webhooks[index].tested.is_some_and(|last| last <= now && now < last + MINUTE);
                    ensure(!often, "too_many_requests").map(|()| index)
                });
                let outcome = self.subject().execute(TestWebhook::new(id), actor);
                if let Some((_, index)) = agree(outcome, expected, op) {
                    let model = &mut self.orgs[org];
                    model.webhooks[index].tested = Some(now);
                    model.notify(RecipientModel::Webhook(index), Content::Test, now, now);
                }
            }
            WebhookOp::Enable { webhook } => {
                let (id, index) = self.webhook(*webhook, org);
                let expected = self.orgs[org].webhook_here(me, index);
                let outcome = self.subject().execute(EnableWebhook::new(id), actor);
                if let Some((view, index)) = agree(outcome, expected, op) {
                    self.orgs[org].enable(index, now);
                    assert_eq!(shown(&view), self.orgs[org].webhooks[index].shown());
                }
            }
            WebhookOp::Look { webhook } => {
                let (id, index) = self.webhook(*webhook, org);
                let expected = self.orgs[org].webhook_here(me, index);
                let outcome = self.subject().query(&GetWebhook::new(id), actor);
                if let Some((view, index)) = agree(outcome, expected, op) {
                    assert_eq!(shown(&view), self.orgs[org].webhooks[index].shown());
                }
                let outcome = self.subject().query(&ListWebhookDeliveries::new(id), actor);
                if let Some((views, index)) = agree(outcome, expected, op) {
                    self.compare_deliveries(org, index, &views);
                }
            }
        }
    }

    /// What was sent to a webhook, in any order: ids of one millisecond, and of a clock that jumps back, sort as they like.
    fn compare_deliveries(&self, org: usize, webhook: usize, views: &[WebhookDeliveryView]) {
        let model = &self.orgs[org];
        let sent_to = |one: &&NotificationModel| one.recipient == RecipientModel::Webhook(webhook);
        let expected = model.notifications.iter().filter(sent_to).map(|one| {
            let what = match one.content {
                Content::Event(incident, _) => format!("event of {}", model.incidents[incident].id),
                _ => "test".to_owned(),
            };
            format!("{what} {} at {} tried {} {:?}", one.state, one.at, one.attempts, one.error)
        });
        let mut expected: Vec<_> = expected.collect();
        let got = views.iter().map(|one| {
            let what = match one.incident_id {
                Some(incident) => format!("{} of {incident}", one.kind),
                None => one.kind.to_string(),
            };
            let error = one.last_error.as_deref().unwrap_or_default();
            format!("{what} {} at {} tried {} {error:?}", one.state, millis(one.created_at), one.attempts)
        });
        let mut got: Vec<_> = got.collect();
        assert!(views.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first");
        assert_eq!(got.len(), expected.len().min(100));
        if expected.len() <= 100 {
            got.sort();
            expected.sort();
            assert_eq!(got, expected);
        }
    }

    /// Checks that what a webhook is told is the event at its place in the audit trail, and learns the id.
    pub(super) fn learn_event(&mut self, org: usize, notification: usize, got: &Notification, admin: &Actor) {
        let one = &mut self.orgs[org].notifications[notification];
        one.last_byte = got.id.to_bytes()[15];
        if let (Content::Event(_, place), Message::Event { incident_id, event_id }) = (one.content, &got.message) {
            let trail = render::whole_trail(*incident_id, |query| self.subject().query(query, admin).unwrap());
            assert_eq!(trail[place].id, *event_id);
        }
    }

    pub(super) fn compare_webhooks(&self, org: usize, actor: &Actor) {
        let model = &self.orgs[org];
        let mut expected: Vec<_> = model.webhooks.iter().filter(|one| !one.deleted).collect();
        // An id begins with the instant at which it was made.
        expected.sort_by(|a, b| a.id.cmp(&b.id));
        let got = self.subject().query(&ListWebhooks, actor).unwrap();
        let expected: Vec<_> = expected.into_iter().map(WebhookModel::shown).collect();
        assert_eq!(got.iter().map(shown).collect::<Vec<_>>(), expected);
        for (index, webhook) in model.webhooks.iter().enumerate().filter(|(_, one)| !one.deleted) {
            let id = valid(&webhook.id);
            let views = self.subject().query(&ListWebhookDeliveries::new(id), actor).unwrap();
            self.compare_deliveries(org, index, &views);
        }
    }
}
