//! The model test, one file (a *room*) for each resource, under the name that it has in core: the operations that are tried,
//! the naive model, and both sides of each operation.
//!
//! The model is written from the contract, not from the code: plain lists, searched from end to end. What it expects is either
//! a code of the contract or a text that says what a reply must say; ids are learnt from the engine's replies.

pub(crate) mod component;
pub(crate) mod contact;
pub(crate) mod escalation;
pub(crate) mod incident;
pub mod integration;
mod org_audit;
pub(crate) mod status_page;
pub(crate) mod team;
pub(crate) mod webhook;

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use dogwatch_core::{Actor, Timestamp};
use dogwatch_store::Engine;

use crate::model::Millis;
use crate::ops::Step;
use crate::run::{BEGINNING, Run};

/// One operation, by resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// An operation on members, invitations and API keys.
    Team(team::TeamOp),
    /// An operation on components.
    Component(component::ComponentOp),
    /// An operation on contact methods and notification rules.
    Contact(contact::ContactOp),
    /// An operation on webhooks.
    Webhook(webhook::WebhookOp),
    /// An operation on status pages and maintenances.
    StatusPage(status_page::StatusPageOp),
    /// An operation on integrations, or what is reported over one.
    Integration(integration::IntegrationOp),
    /// An operation on incidents.
    Incident(incident::IncidentOp),
    /// An operation on schedules, policies, escalation runs and the outbox.
    Escalation(escalation::EscalationOp),
    /// Walks a list of incidents from end to end.
    List(incident::ListOp),
    /// Moves the clock by this many milliseconds, forward or back.
    AdvanceClock(i64),
    /// Makes the next steps one transaction, which is kept or undone.
    Transaction {
        /// The number of steps.
        steps: usize,
        /// Whether it is kept.
        keep: bool,
    },
    /// Closes the engine and opens it again.
    Restart,
}

/// One organization of the model: a list for each kind of entity.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the lists of the contract")]
pub struct Org {
    pub id: String,
    pub members: Vec<team::Member>,
    pub invitations: Vec<team::Invitation>,
    pub keys: Vec<team::Key>,
    pub components: Vec<component::Component>,
    pub contacts: Vec<contact::Contact>,
    /// What members have set, by their places in the list.
    pub settings: BTreeMap<usize, contact::Settings>,
    pub webhooks: Vec<webhook::WebhookModel>,
    /// The times when a webhook was disabled: which, its name then, and why.
    pub disablings: Vec<(usize, String, String)>,
    pub incidents: Vec<incident::Incident>,
    pub pages: Vec<status_page::PageModel>,
    pub maintenances: Vec<status_page::MaintenanceModel>,
    pub schedules: Vec<escalation::Schedule>,
    pub policies: Vec<escalation::Policy>,
    pub integrations: Vec<integration::IntegrationModel>,
    pub notifications: Vec<escalation::NotificationModel>,
    /// The instant from which on the first notification of an inbox can be claimed.
    pub ready: BTreeMap<escalation::RecipientModel, Millis>,
}

/// Draws an operation on some resource, more often on those with more to try.
pub(crate) fn operation(source: &mut Unstructured<'_>, org: usize) -> Result<Op> {
    Ok(match source.int_in_range(0..=85)? {
        0..=8 => Op::Team(team::operation(source, org)?),
        9..=12 => Op::Component(component::operation(source, org)?),
        13..=29 => Op::Incident(incident::operation(source, org)?),
        30 | 31 => Op::List(incident::list(source)?),
        32..=48 => Op::Escalation(escalation::operation(source, org)?),
        49 | 50 => {
            let spans = [0, 1, 999, 60_000, 299_999, 300_000, 300_001, 86_400_000, -1, -3_600_000];
            Op::AdvanceClock(*source.choose(&spans)?)
        }
        54..=59 => Op::Contact(contact::operation(source, org)?),
        60..=63 => Op::Webhook(webhook::operation(source, org)?),
        64..=73 => Op::StatusPage(status_page::operation(source, org)?),
        74..=85 => Op::Integration(integration::operation(source, org)?),
        51 | 52 => Op::Transaction { steps: source.int_in_range(1..=8)?, keep: source.arbitrary()? },
        _ => Op::Restart,
    })
}

/// Adds to an organization rows of those resources whose tables no other resource fills, with commands of an admin.
pub(crate) fn fill(engine: &Engine, admin: &Actor) {
    component::fill(engine, admin);
    status_page::fill(engine, admin);
    integration::fill(engine, admin);
    team::fill(engine);
    contact::fill(engine, admin);
    webhook::fill(engine, admin);
}

impl Run<'_> {
    /// Carries out one step on both sides.
    pub fn step(&mut self, step: &Step) {
        let org = step.actor.org;
        let me = step.actor.index.unwrap_or(0) % self.orgs[org].members.len();
        let actor = self.actor(org, me);
        self.count_in_transaction();
        match &step.op {
            Op::Team(op) => self.team(op, org, me, &actor),
            Op::Component(op) => self.component_op(op, org, me, &actor),
            Op::Contact(op) => self.contact_op(op, org, me, &actor),
            Op::Webhook(op) => self.webhook_op(op, org, me, &actor),
            Op::StatusPage(op) => self.status_page_op(op, org, me, &actor),
            Op::Integration(op) => self.integration_op(op, org, me, &actor),
            Op::Incident(op) => self.incident_op(op, org, me, &actor),
            Op::Escalation(op) => self.escalation(op, org, me, &actor),
            Op::List(op) => self.list_op(op, org, me, &actor),
            Op::AdvanceClock(millis) => {
                // All of a transaction happens at one instant.
                self.subject().end(true);
                let now = (self.now() + millis).max(BEGINNING - 100_000_000);
                self.clock.set(Timestamp::from_millis(now).unwrap());
            }
            Op::Transaction { steps, keep } => self.begin_transaction(*steps, *keep),
            Op::Restart => self.restart(),
        }
        let now = self.now();
        for org in &mut self.orgs {
            org.tell_webhooks(now);
            org.follow_statuses(now);
        }
    }

    /// Compares with the model what an admin of an organization sees of every resource.
    pub(crate) fn compare_rooms(&self, org: usize, actor: &Actor) {
        let model = &self.orgs[org];
        self.compare_team(model, actor);
        self.compare_components(model, actor);
        self.compare_org_audit(actor);
        self.compare_webhooks(org, actor);
        self.compare_integrations(org, actor);
        self.compare_policies(org, actor);
        self.compare_status_pages(org, actor);
        for index in 0..model.incidents.len() {
            self.compare_incident(org, actor, index);
        }
        for status in [None, Some(0), Some(1), Some(2), Some(3)] {
            for severity in [None, Some(0), Some(1), Some(2), Some(3)] {
                self.compare_list(org, actor, (status, severity, None, None), 5);
            }
        }
    }
}
