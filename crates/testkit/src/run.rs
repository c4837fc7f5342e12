//! A run: carries out operations on an engine and on the model, and compares the two.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use dogwatch_core::id::{ComponentId, Id, IncidentId, PolicyId, ScheduleId};
use dogwatch_core::organization::CreateOrganization;
use dogwatch_core::outbox::Receipt;
use dogwatch_core::team::Role;
use dogwatch_core::{Actor, Patch, Timestamp, UserId};
use dogwatch_store::{Engine, Error, ManualClock};

use crate::fixture;
use crate::fixture::valid;
use crate::model::{Expected, Millis};
use crate::ops::{Field, Pick, Step};
use crate::rooms::Org;
use crate::subject::Subject;

/// Opens the engine: at the beginning, and again after each restart. It gets the clock, and a seed that differs each time.
pub type Open<'a> = &'a mut dyn FnMut(ManualClock, [u8; 32]) -> Engine;

/// What the steps are carried out on.
enum On<'a> {
    /// An engine, which restarts.
    Engine(Open<'a>),
    /// The rules in memory.
    Rules,
}

/// The instant at which a run begins.
pub(crate) const BEGINNING: Millis = 1_775_556_000_000;

/// Carries out the steps and panics at the first difference between engine and model.
pub fn run(steps: &[Step], open: Open<'_>) {
    let mut run = Run::begin(open);
    for step in steps {
        run.step(step);
    }
    run.restart();
}

/// As [`run`], on the rules alone: nothing is stored, and a restart does nothing.
pub fn run_rules(steps: &[Step]) {
    let mut run = Run::begin_on(On::Rules);
    for step in steps {
        run.step(step);
    }
    run.end_transaction();
    run.compare_all();
}

/// An engine and the model that it is compared with.
pub struct Run<'a> {
    on: On<'a>,
    subject: Option<Subject>,
    pub(crate) clock: ManualClock,
    restarts: u8,
    /// The model's two organizations.
    pub orgs: [Org; 2],
    pub(crate) claims: Vec<Claimed>,
    transaction: Option<OpenTransaction>,
}

/// A transaction that some of the next steps are part of.
struct OpenTransaction {
    /// The number of steps that are still to be part of it.
    left: usize,
    /// Whether it is kept in the end, or undone.
    keep: bool,
    /// The model before it.
    before: [Org; 2],
}

/// A notification that was claimed: the receipt, and its organization, its place among the notifications of the model, and the attempt.
#[derive(Clone, Copy)]
pub(crate) struct Claimed {
    pub(crate) receipt: Receipt,
    pub(crate) org: usize,
    pub(crate) notification: usize,
    pub(crate) attempt: u32,
    /// Its place in its inbox then.
    pub(crate) place: Option<usize>,
}

pub(crate) fn role(admin: bool) -> Role {
    if admin { Role::Admin } else { Role::Member }
}

pub(crate) fn millis(at: Timestamp) -> Millis {
    at.as_millis()
}

/// The code of an error; a `validation_error`, whose code is empty on the wire, is named by its type.
fn code(error: &Error) -> &'static str {
    match error.code().as_str() {
        "" => "validation_error",
        code => code,
    }
}

/// Panics unless both succeeded or both failed with the same code; gives both values if they succeeded.
pub(crate) fn agree<T, E>(got: Result<T, Error>, expected: Expected<E>, what: &dyn Debug) -> Option<(T, E)> {
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
        Self::begin_on(On::Engine(open))
    }

    fn begin_on(mut on: On<'a>) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(BEGINNING).unwrap());
        let subject = match &mut on {
            On::Engine(open) => Subject::engine(open(clock.clone(), [0; 32])),
            On::Rules => Subject::rules(clock.clone(), [0; 32]),
        };
        let mut run = Self {
            on,
            subject: Some(subject),
            clock,
            restarts: 0,
            orgs: [Org::default(), Org::default()],
            claims: Vec::new(),
            transaction: None,
        };
        for org in 0..2 {
            let created = {
                let external_id = Some(valid(&format!("org-{org}")));
                let create = CreateOrganization { external_id, ..fixture::create_organization() };
                run.subject().execute(create, &Actor::Operator).unwrap()
            };
            run.orgs[org].id = created.organization.id.to_string();
            run.joined(org, created.admin);
        }
        run
    }

    /// The engine, which is open. A transaction of the run is kept and ends: the engine would wait for it.
    pub fn engine(&self) -> &Engine {
        self.subject().end(true);
        self.subject().as_engine().expect("this run has an engine")
    }

    /// The engine or the rules.
    pub fn subject(&self) -> &Subject {
        self.subject.as_ref().unwrap()
    }

    /// Begins a transaction of the next steps, unless one is open.
    pub(crate) fn begin_transaction(&mut self, steps: usize, keep: bool) {
        if self.transaction.is_none() {
            self.transaction = Some(OpenTransaction { left: steps, keep, before: self.orgs.clone() });
            self.subject().begin();
        }
    }

    /// Counts a step of the transaction that is open, and ends it behind its last.
    pub(crate) fn count_in_transaction(&mut self) {
        let ended = !self.subject().in_transaction();
        let Some(open) = &mut self.transaction else { return };
        if ended {
            self.transaction = None;
        } else if open.left == 0 {
            self.end_transaction();
        } else {
            open.left -= 1;
        }
    }

    /// Ends the transaction that is open, on both sides.
    fn end_transaction(&mut self) {
        let Some(open) = self.transaction.take() else { return };
        if !self.subject().in_transaction() {
            return;
        }
        self.subject().end(open.keep);
        if !open.keep {
            self.orgs = open.before;
        }
    }

    pub(crate) fn now(&self) -> Millis {
        millis(self.subject().now())
    }

    /// Closes the engine, opens it again, and compares everything.
    pub fn restart(&mut self) {
        self.end_transaction();
        self.restarts += 1;
        // The rules in memory have nothing to open again: everything is compared at the end of their run.
        let On::Engine(open) = &mut self.on else { return };
        self.subject = None;
        self.subject = Some(Subject::engine(open(self.clock.clone(), [self.restarts; 32])));
        self.compare_all();
    }

    /// A member of the model as an actor of the engine.
    pub fn actor(&self, org: usize, member: usize) -> Actor {
        Actor::member(valid(&self.orgs[org].id), valid(&self.orgs[org].members[member].id))
    }

    /// The id of the entity that is picked, and its place in its list if it is in the actor's organization.
    pub(crate) fn resolve<T>(
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

    pub(crate) fn incident(&self, pick: Pick, actor: usize) -> (IncidentId, Option<usize>) {
        let unknown = IncidentId::from_bytes([0xEE; 16]);
        let (id, index) = self.resolve(pick, actor, |org| &org.incidents, |incident| &incident.id, unknown);
        (valid(&id), index)
    }

    pub(crate) fn user(&self, pick: Pick, actor: usize) -> (String, Option<usize>) {
        let unknown = UserId::from_bytes([0xEE; 16]);
        self.resolve(pick, actor, |org| &org.members, |member| &member.id, unknown)
    }

    pub(crate) fn component(&self, pick: Pick, actor: usize) -> (String, Option<usize>) {
        let unknown = ComponentId::from_bytes([0xEE; 16]);
        self.resolve(pick, actor, |org| &org.components, |component| &component.id, unknown)
    }

    pub(crate) fn schedule(&self, pick: Pick, actor: usize) -> (ScheduleId, Option<usize>) {
        let unknown = ScheduleId::from_bytes([0xEE; 16]);
        let (id, index) = self.resolve(pick, actor, |org| &org.schedules, |schedule| &schedule.id, unknown);
        (valid(&id), index)
    }

    pub(crate) fn policy(&self, pick: Pick, actor: usize) -> (PolicyId, Option<usize>) {
        let unknown = PolicyId::from_bytes([0xEE; 16]);
        let (id, index) = self.resolve(pick, actor, |org| &org.policies, |policy| &policy.id, unknown);
        (valid(&id), index)
    }

    pub(crate) fn components(&self, picks: &[Pick], actor: usize) -> Vec<(String, Option<usize>)> {
        picks.iter().map(|pick| self.component(*pick, actor)).collect()
    }

    /// Verifies the store, and compares with the model everything that an admin of each organization can see.
    pub fn compare_all(&self) {
        if let Some(engine) = self.subject().as_engine() {
            let report = engine.verify(&mut |_| ());
            assert!(report.is_clean(), "{report:#?}");
        }
        self.compare_deadline();
        for org in 0..2 {
            let model = &self.orgs[org];
            let admin = model.members.iter().position(|member| !member.removed && member.admin);
            let admin = admin.expect("every organization has an admin, always");
            let actor = self.actor(org, admin);
            self.compare_rooms(org, &actor);
        }
    }
}

pub(crate) fn org_index(orgs: &[Org; 2], id: &str) -> usize {
    usize::from(orgs[1].id == id)
}

/// An instant around the beginning of the run, by its number, for the bounds of a list of incidents.
pub(crate) fn instant(n: usize) -> Millis {
    BEGINNING + [-3_600_000, -1, 0, 1, 999, 60_000, 300_000, 86_400_000][n % 8] * i64::try_from(n / 8 + 1).unwrap()
}

pub(crate) fn patch<T: FromStr>(field: &Field<String>) -> Patch<T>
where
    T::Err: Debug,
{
    match field {
        Field::Keep => Patch::Keep,
        Field::Clear => Patch::Clear,
        Field::Set(text) => Patch::Set(valid(text)),
    }
}

pub(crate) fn set(target: &mut Option<String>, field: &Field<String>) {
    match field {
        Field::Keep => {}
        Field::Clear => *target = None,
        Field::Set(text) => *target = Some(text.clone()),
    }
}
