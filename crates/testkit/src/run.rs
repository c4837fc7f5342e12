//! Carries out operations on an engine and on the model, and compares.

mod components;
mod escalation;
mod incidents;
mod people;

use std::fmt::{Debug, Display};
use std::str::FromStr;

use dogwatch_core::api_key::{ListApiKeys, NewApiKey};
use dogwatch_core::component::{Component, GetComponent, ListComponents};
use dogwatch_core::id::Id;
use dogwatch_core::id::{ComponentId, IncidentId, PolicyId, ScheduleId};
use dogwatch_core::incident::{
    Cursor, GetIncident, IncidentFilter, ListIncidents, ListLimit, ListUpdates, Severity, Status,
};
use dogwatch_core::outbox::Receipt;
use dogwatch_core::team::{Joined, ListTeam, Role};
use dogwatch_core::{Actor, Patch, Timestamp, UserId};
use dogwatch_store::{Engine, Error, ManualClock};

use crate::fixture;
use crate::model::{self, Expected, Millis, Org};
use crate::ops::{Field, Op, Pick, Step};
use crate::render;

/// Opens the engine: for the first time, and again after a restart. It gets a seed that differs each time.
pub type Open<'a> = &'a mut dyn FnMut(ManualClock, [u8; 32]) -> Engine;

/// The instant at which a run begins.
const BEGINNING: Millis = 1_775_556_000_000;

/// Carries out the steps and panics at the first difference between engine and model.
pub fn run(steps: &[Step], open: Open<'_>) {
    let mut run = Run::begin(open);
    for step in steps {
        run.step(step);
    }
    run.restart();
}

/// One engine and its model.
pub struct Run<'a> {
    open: Open<'a>,
    engine: Option<Engine>,
    clock: ManualClock,
    restarts: u8,
    /// The model's two organizations.
    pub orgs: [Org; 2],
    claims: Vec<Claimed>,
}

/// A notification that was handed out: the receipt, and organization, letter and attempt in the model.
struct Claimed {
    receipt: Receipt,
    org: usize,
    letter: usize,
    attempt: u32,
}

fn valid<T: FromStr>(text: &str) -> T
where
    T::Err: Debug,
{
    text.parse().unwrap()
}

fn role(admin: bool) -> Role {
    if admin { Role::Admin } else { Role::Member }
}

fn millis(at: Timestamp) -> Millis {
    at.as_millis()
}

/// The code of an error; `validation_error` has none on the wire.
fn code(error: &Error) -> &'static str {
    match error.code().as_str() {
        "" => "validation_error",
        code => code,
    }
}

/// Panics unless both succeeded or both failed with the same code; gives what they came to.
fn agree<T, E>(got: Result<T, Error>, expected: Expected<E>, what: &dyn Debug) -> Option<(T, E)> {
    match (got, expected) {
        (Ok(got), Ok(expected)) => Some((got, expected)),
        (Err(error), Err(expected)) => {
            assert_eq!(code(&error), expected, "{what:?}: {error:?}");
            None
        }
        (Ok(_), Err(expected)) => panic!("{what:?}: succeeded, but should fail with {expected}"),
        (Err(error), Ok(_)) => panic!("{what:?}: failed with {error:?}, but should succeed"),
    }
}

impl<'a> Run<'a> {
    /// Opens the engine and creates two organizations that look alike.
    pub fn begin(open: Open<'a>) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(BEGINNING).unwrap());
        let engine = open(clock.clone(), [0; 32]);
        let mut run = Self {
            open,
            engine: Some(engine),
            clock,
            restarts: 0,
            orgs: [Org::default(), Org::default()],
            claims: Vec::new(),
        };
        for org in 0..2 {
            let created = fixture::organization(run.engine());
            run.orgs[org].id = created.organization.id.to_string();
            run.joined(org, created.admin);
        }
        run
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn now(&self) -> Millis {
        millis(self.engine().now())
    }

    /// Closes the engine, opens it again, and compares everything.
    pub fn restart(&mut self) {
        self.engine = None;
        self.restarts += 1;
        self.engine = Some((self.open)(self.clock.clone(), [self.restarts; 32]));
        self.compare_all();
    }

    /// An actor of the model as one of the engine.
    pub fn actor(&self, org: usize, member: usize) -> Actor {
        Actor::member(valid(&self.orgs[org].id), valid(&self.orgs[org].members[member].id))
    }

    fn joined(&mut self, org: usize, joined: Joined) {
        let member = joined.member;
        let org = &mut self.orgs[org];
        org.members.push(model::Member {
            id: member.id.to_string(),
            email: member.email.to_string(),
            first: member.first_name.to_string(),
            last: member.last_name.to_string(),
            admin: member.role == Role::Admin,
            joined: millis(member.joined_at),
            removed: false,
        });
        let user = org.members.len() - 1;
        self.key_made(org_index(&self.orgs, &member.org_id.to_string()), user, &joined.api_key);
    }

    fn key_made(&mut self, org: usize, user: usize, made: &NewApiKey) {
        self.orgs[org].keys.push(model::Key {
            id: made.key.id.to_string(),
            secret: made.secret.reveal().to_owned(),
            user,
            name: made.key.name.to_string(),
            created: millis(made.key.created_at),
            expires: made.key.expires_at.map(millis),
            live: true,
        });
    }

    /// The id of what is picked, and its place if it is in the actor's organization.
    fn resolve<T>(
        &self,
        pick: Pick,
        actor: usize,
        list: impl Fn(&Org) -> &Vec<T>,
        id: impl Fn(&T) -> &String,
        unknown: impl Display,
    ) -> (String, Option<usize>) {
        let things = list(&self.orgs[pick.org]);
        match pick.index.filter(|_| !things.is_empty()) {
            Some(index) => {
                let index = index % things.len();
                (id(&things[index]).clone(), Some(index).filter(|_| pick.org == actor))
            }
            None => (unknown.to_string(), None),
        }
    }

    fn incident(&self, pick: Pick, actor: usize) -> (IncidentId, Option<usize>) {
        let unknown = IncidentId::from_bytes([0xEE; 16]);
        let (id, index) = self.resolve(pick, actor, |org| &org.incidents, |incident| &incident.id, unknown);
        (valid(&id), index)
    }

    fn user(&self, pick: Pick, actor: usize) -> (String, Option<usize>) {
        let unknown = UserId::from_bytes([0xEE; 16]);
        self.resolve(pick, actor, |org| &org.members, |member| &member.id, unknown)
    }

    fn component(&self, pick: Pick, actor: usize) -> (String, Option<usize>) {
        let unknown = ComponentId::from_bytes([0xEE; 16]);
        self.resolve(pick, actor, |org| &org.components, |component| &component.id, unknown)
    }

    fn schedule(&self, pick: Pick, actor: usize) -> (ScheduleId, Option<usize>) {
        let unknown = ScheduleId::from_bytes([0xEE; 16]);
        let (id, index) = self.resolve(pick, actor, |org| &org.schedules, |schedule| &schedule.id, unknown);
        (valid(&id), index)
    }

    fn policy(&self, pick: Pick, actor: usize) -> (PolicyId, Option<usize>) {
        let unknown = PolicyId::from_bytes([0xEE; 16]);
        let (id, index) = self.resolve(pick, actor, |org| &org.policies, |policy| &policy.id, unknown);
        (valid(&id), index)
    }

    fn components(&self, picks: &[Pick], actor: usize) -> Vec<(String, Option<usize>)> {
        picks.iter().map(|pick| self.component(*pick, actor)).collect()
    }

    /// Carries out one step on both sides.
    pub fn step(&mut self, step: &Step) {
        let org = step.actor.org;
        let me = step.actor.index.unwrap_or(0) % self.orgs[org].members.len();
        let actor = self.actor(org, me);
        match &step.op {
            Op::People(op) => self.people(op, org, me, &actor),
            Op::Component(op) => self.component_op(op, org, me, &actor),
            Op::Incident(op) => self.incident_op(op, org, me, &actor),
            Op::Escalation(op) => self.escalation(op, org, me, &actor),
            Op::List(list) => {
                let expected = self.orgs[org].actor(me).map(|_| ());
                let got = self.engine().query(&ListIncidents::default(), &actor);
                if agree(got, expected, list).is_some() {
                    let (from, to) = (list.from.map(instant), list.to.map(instant));
                    self.compare_list(org, &actor, (list.status, list.severity, from, to), list.limit);
                }
            }
            Op::AdvanceClock(millis) => {
                let now = (self.now() + millis).max(BEGINNING - 100_000_000);
                self.clock.set(Timestamp::from_millis(now).unwrap());
            }
            Op::Restart => self.restart(),
        }
    }

    /// Compares one incident with all that belongs to it.
    fn compare_incident(&self, org: usize, actor: &Actor, index: usize) {
        let model = &self.orgs[org];
        let incident = &model.incidents[index];
        let id = valid(&incident.id);
        let detail = self.engine().query(&GetIncident { id }, actor).unwrap();
        assert_eq!(render::incident(&detail.incident), incident.shown(model));
        assert_eq!(render::past(&detail), incident.shown_past(model));
        let updates = self.engine().query(&ListUpdates { incident_id: id }, actor).unwrap();
        let expected: Vec<_> = incident.updates.iter().map(|update| update.shown(model, incident)).collect();
        assert_eq!(updates.iter().map(render::update).collect::<Vec<_>>(), expected);
    }

    /// Walks a list page by page and compares it with the model's.
    fn compare_list(
        &self,
        org: usize,
        actor: &Actor,
        filter: (Option<usize>, Option<usize>, Option<Millis>, Option<Millis>),
        limit: usize,
    ) {
        let (status, severity, from, to) = filter;
        let at = |millis: Millis| Timestamp::from_millis(millis).unwrap();
        let mut query = ListIncidents {
            filter: IncidentFilter {
                status: status.map(|status| Status::ALL[status]),
                severity: severity.map(|severity| Severity::ALL[severity]),
                from: from.map(at),
                to: to.map(at),
            },
            limit: ListLimit::new(i64::try_from(limit).unwrap()).unwrap(),
            cursor: None,
        };
        let expected: Vec<_> = self.orgs[org].list(status, severity, from, to);
        let mut rest = expected.iter().map(|incident| incident.shown(&self.orgs[org])).collect::<Vec<_>>();
        loop {
            let page = self.engine().query(&query, actor).unwrap();
            let count = rest.len().min(limit);
            let shown: Vec<_> = page.incidents.iter().map(render::incident).collect();
            assert_eq!(shown, rest.drain(..count).collect::<Vec<_>>(), "{query:?}");
            assert_eq!(page.next_cursor.is_some(), !rest.is_empty(), "{query:?}");
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor.to_string().parse::<Cursor>().unwrap()),
                None => break,
            }
        }
    }

    /// Compares everything that can be seen.
    pub fn compare_all(&self) {
        let report = self.engine().verify(&mut |_| ());
        assert!(report.is_clean(), "{report:#?}");
        self.compare_deadline();
        for org in 0..2 {
            let model = &self.orgs[org];
            let admin = model.members.iter().position(|member| !member.removed && member.admin);
            let admin = admin.expect("every organization has an admin, always");
            let actor = self.actor(org, admin);
            self.compare_team(model, &actor);
            self.compare_policies(org, &actor);
            for index in 0..model.incidents.len() {
                self.compare_incident(org, &actor, index);
            }
            for status in [None, Some(0), Some(1), Some(2), Some(3)] {
                for severity in [None, Some(0), Some(1), Some(2), Some(3)] {
                    self.compare_list(org, &actor, (status, severity, None, None), 5);
                }
            }
        }
    }

    fn compare_team(&self, model: &Org, actor: &Actor) {
        let team = self.engine().query(&ListTeam, actor).unwrap();
        let mut expected: Vec<_> = model.members.iter().filter(|member| !member.removed).collect();
        expected.sort_by_key(|member| (member.joined, member.id.clone()));
        let member = |m: &model::Member| (m.id.clone(), m.email.clone(), m.first.clone(), role(m.admin), m.joined);
        let members = team
            .members
            .iter()
            .map(|m| (m.id.to_string(), m.email.to_string(), m.first_name.to_string(), m.role, millis(m.joined_at)));
        assert_eq!(members.collect::<Vec<_>>(), expected.into_iter().map(member).collect::<Vec<_>>());

        let mut expected: Vec<_> = model.invitations.iter().filter(|invitation| invitation.pending).collect();
        expected.sort_by_key(|invitation| (invitation.created, invitation.id.clone()));
        let pending = team.invitations.iter().map(|i| (i.id.to_string(), i.email_address.to_string(), i.role));
        let expected = expected.iter().map(|i| (i.id.clone(), i.email.clone(), role(i.admin)));
        assert_eq!(pending.collect::<Vec<_>>(), expected.collect::<Vec<_>>());

        let keys = self.engine().query(&ListApiKeys, actor).unwrap();
        let mut expected: Vec<_> = model.keys.iter().filter(|key| key.live).collect();
        expected.sort_by_key(|key| (key.created, key.id.clone()));
        let keys = keys.iter().map(|k| (k.id.to_string(), k.name.to_string(), k.user_id.to_string()));
        let expected = expected.iter().map(|k| (k.id.clone(), k.name.clone(), model.members[k.user].id.clone()));
        assert_eq!(keys.collect::<Vec<_>>(), expected.collect::<Vec<_>>());

        let components = self.engine().query(&ListComponents, actor).unwrap();
        let mut expected: Vec<_> = model.components.iter().filter(|component| !component.deleted).collect();
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(components.len(), expected.len());
        for (component, expected) in components.iter().zip(expected) {
            compare_component(expected, component);
            assert_eq!(self.engine().query(&GetComponent { id: component.id }, actor).unwrap(), *component);
        }
    }
}

fn org_index(orgs: &[Org; 2], id: &str) -> usize {
    usize::from(orgs[1].id == id)
}

/// Some instant around the beginning, for the bounds of a list.
fn instant(n: usize) -> Millis {
    BEGINNING + [-3_600_000, -1, 0, 1, 999, 60_000, 300_000, 86_400_000][n % 8] * i64::try_from(n / 8 + 1).unwrap()
}

fn patch<T: FromStr>(field: &Field<String>) -> Patch<T>
where
    T::Err: Debug,
{
    match field {
        Field::Keep => Patch::Keep,
        Field::Clear => Patch::Clear,
        Field::Set(text) => Patch::Set(valid(text)),
    }
}

fn set(target: &mut Option<String>, field: &Field<String>) {
    match field {
        Field::Keep => {}
        Field::Clear => *target = None,
        Field::Set(text) => *target = Some(text.clone()),
    }
}

fn compare_component(expected: &model::Component, got: &Component) {
    let got = (
        got.id.to_string(),
        got.name.to_string(),
        got.description.as_ref().map(ToString::to_string),
        got.group_label.as_ref().map(ToString::to_string),
        millis(got.created_at),
        millis(got.updated_at),
    );
    let expected = expected.clone();
    assert_eq!(
        got,
        (expected.id, expected.name, expected.description, expected.label, expected.created, expected.updated)
    );
}
