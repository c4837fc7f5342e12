//! A small organization to try the rules on, with a clock that moves by hand.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod monitor;
pub(crate) mod night;
pub(crate) mod pier;

use std::time::Duration;

use dogwatch_core::component::CreateComponent;
use dogwatch_core::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_core::id::{ComponentId, IncidentId, PolicyId, ScheduleId};
use dogwatch_core::incident::{CreateIncident, GetIncident, IncidentDetail, Severity, Status};
use dogwatch_core::memory::MemoryState;
use dogwatch_core::oncall::CreateSchedule;
use dogwatch_core::organization::CreateOrganization;
use dogwatch_core::team::{AddMember, Role};
use dogwatch_core::{Actor, Command, Error, IdSource, OrgId, Query, Timestamp, UserId};

/// Parses what a test knows to be valid.
pub(crate) fn valid<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

/// What a command came to, in a word: `ok`, or the code of its error.
pub(crate) fn word<T>(outcome: &Result<T, Error>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(error) if error.code().as_str().is_empty() => "validation_error",
        Err(error) => error.code().as_str(),
    }
}

/// A world with one organization: Ada is its admin, Ben and Cleo are members.
pub(crate) struct Harbour {
    pub(crate) world: MemoryState,
    pub(crate) ids: IdSource,
    pub(crate) now: Timestamp,
    pub(crate) org: OrgId,
    pub(crate) ada: Actor,
    pub(crate) ben: Actor,
    pub(crate) cleo: Actor,
}

impl Clone for Harbour {
    /// The same world; ids go on from another seed, so that they differ from those of the original.
    fn clone(&self) -> Self {
        let (world, ids) = (self.world.clone(), IdSource::from_seed([43; 32]));
        Self { world, ids, now: self.now, org: self.org, ada: self.ada, ben: self.ben, cleo: self.cleo }
    }
}

impl Harbour {
    pub(crate) fn new() -> Self {
        Self::since("2026-04-07T10:00:00Z")
    }

    /// Created at this instant.
    pub(crate) fn since(now: &str) -> Self {
        let mut ids = IdSource::from_seed([42; 32]);
        let now = valid(now);
        let mut world = MemoryState::new();
        let create = CreateOrganization::new(valid("Harbour"), valid("ada@example.com"), valid("Ada"), valid("Byron"));
        let created = world.execute(create, &Actor::Operator, now, &mut ids).unwrap();
        let ada = created.actor();
        let org = created.organization.id;
        let mut harbour = Self { world, ids, now, org, ada, ben: ada, cleo: ada };
        harbour.ben = harbour.join("ben@example.com", "Ben", Role::Member);
        harbour.cleo = harbour.join("cleo@example.com", "Cleo", Role::Member);
        harbour
    }

    pub(crate) fn join(&mut self, email: &str, first: &str, role: Role) -> Actor {
        let (org, last_name) = (self.org, valid("Marlow"));
        let add = AddMember::new(org, valid(email), valid(first), last_name, role);
        let joined = self.run(add, &Actor::Operator).unwrap();
        Actor::member(org, joined.member.id)
    }

    pub(crate) fn run<C: Command>(&mut self, command: C, actor: &Actor) -> Result<C::Reply, Error> {
        self.world.execute(command, actor, self.now, &mut self.ids)
    }

    /// Runs a command that must leave the world as it was.
    pub(crate) fn run_unchanged<C: Command>(&mut self, command: C, actor: &Actor) -> Result<C::Reply, Error> {
        let before = self.world.clone();
        let outcome = self.run(command, actor);
        assert!(self.world == before, "the command changed something");
        outcome
    }

    pub(crate) fn ask<Q: Query>(&self, query: &Q, actor: &Actor) -> Result<Q::Reply, Error> {
        self.world.query(query, actor)
    }

    pub(crate) fn advance(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    pub(crate) fn component(&mut self, name: &str) -> ComponentId {
        let create = CreateComponent { name: valid(name), description: None, group_label: None };
        let ada = self.ada;
        self.run(create, &ada).unwrap().id
    }

    /// A schedule without layers.
    pub(crate) fn schedule(&mut self, name: &str) -> ScheduleId {
        let create = CreateSchedule { name: valid(name), description: None, timezone: "UTC".to_owned() };
        let ada = self.ada;
        self.run(create, &ada).unwrap().id
    }

    /// A policy without layers.
    pub(crate) fn policy(&mut self, name: &str) -> PolicyId {
        let ada = self.ada;
        self.run(CreatePolicy { name: valid(name), description: None }, &ada).unwrap().id
    }

    /// Opens an incident as Ben.
    pub(crate) fn incident(&mut self) -> IncidentId {
        let ben = self.ben;
        let open = CreateIncident::new(valid("Checkout is down"), Severity::High, user(&ben));
        self.run(open, &ben).unwrap().id
    }

    /// Opens an incident as Ben and moves it to a status.
    pub(crate) fn incident_at(&mut self, status: Status) -> IncidentId {
        let (id, ben) = (self.incident(), self.ben);
        for to in [Status::Identified, Status::Monitoring, Status::Resolved] {
            if to <= status {
                self.run(dogwatch_core::incident::ChangeStatus::new(id, to), &ben).unwrap();
            }
        }
        id
    }

    pub(crate) fn detail(&self, id: IncidentId) -> IncidentDetail {
        self.ask(&GetIncident { id }, &self.ada).unwrap()
    }

    /// The words of an incident's audit trail.
    pub(crate) fn trail(&self, id: IncidentId) -> String {
        let words: Vec<_> = self.detail(id).audit_trail.iter().map(|event| event.event.as_str()).collect();
        words.join(" ")
    }
}

/// The command that adds a layer.
pub(crate) fn policy_layer(policy: PolicyId, position: i64, minutes: i64, target: Target) -> AddPolicyLayer {
    let (position, ack_timeout) = (Position::new(position).unwrap(), AckTimeout::from_minutes(minutes).unwrap());
    AddPolicyLayer { policy_id: policy, position, ack_timeout, target }
}

pub(crate) fn user(actor: &Actor) -> UserId {
    match actor {
        Actor::Member { user_id: user, .. } => *user,
        Actor::Operator | Actor::Anybody => panic!("not a member"),
    }
}
