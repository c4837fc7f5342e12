//! dogwatch itself.

use std::path::Path;
use std::time::Duration;

use super::{Failure, Id, Session, Subject, rota};
use dogwatch_store::Engine;
use dogwatch_store::rules::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_store::rules::id::Id as _;
use dogwatch_store::rules::id::{IncidentId, PolicyId, ScheduleId};
use dogwatch_store::rules::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, GetIncident, IncidentFilter, ListIncidents, PostUpdate,
    Severity, Status,
};
use dogwatch_store::rules::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, LayerSettings, ResolveOnCall, RotationLength,
};
use dogwatch_store::rules::organization::OrganizationCreated;
use dogwatch_store::rules::team::{AddMember, Role};
use dogwatch_store::rules::{Actor, UserId};
use dogwatch_testkit::fixture::organization;

pub(crate) const NAME: &str = "dogwatch";
/// How many commands are on their way at once while incidents are brought in.
const AHEAD: usize = 2_000;

pub(crate) struct Ours {
    engine: Engine,
    ada: Actor,
    owner: UserId,
    policy: PolicyId,
    schedule: ScheduleId,
}

impl Ours {
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        Self::on(Engine::open(folder)?)
    }

    /// On an engine that holds nothing.
    pub(crate) fn on(engine: Engine) -> Result<Self, Failure> {
        let created = organization(&engine);
        let (ada, owner) = (created.actor(), created.admin.member.id);
        let policy = policy(&engine, &ada, owner)?;
        let schedule = schedule(&engine, &created)?;
        Ok(Self { engine, ada, owner, policy, schedule })
    }

    fn incident(&self, policy: Option<PolicyId>) -> Result<CreateIncident, Failure> {
        Ok(CreateIncident {
            description: Some(super::sql::DESCRIPTION.parse()?),
            escalation_policy_id: policy,
            ..CreateIncident::new(super::sql::TITLE.parse()?, Severity::High, self.owner)
        })
    }

    fn bring_in(&self, count: usize, policy: Option<PolicyId>) -> Result<Vec<Id>, Failure> {
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let ahead = (count - ids.len()).min(AHEAD);
            let open = |_| Ok::<_, Failure>(self.engine.submit(self.incident(policy)?, &self.ada)?);
            let pending: Vec<_> = (0..ahead).map(open).collect::<Result<_, _>>()?;
            for pending in pending {
                ids.push(pending.wait()?.id.to_bytes());
            }
        }
        Ok(ids)
    }
}

/// Three layers of five minutes.
fn policy(engine: &Engine, ada: &Actor, user: UserId) -> Result<PolicyId, Failure> {
    let policy = engine.execute(CreatePolicy { name: "Night".parse()?, description: None }, ada)?.id;
    for position in 1..=3 {
        let (target, ack_timeout) = (Target::users(vec![user])?, AckTimeout::from_minutes(5)?);
        let position = Position::new(position)?;
        engine.execute(AddPolicyLayer { policy_id: policy, position, ack_timeout, target }, ada)?;
    }
    Ok(policy)
}

/// A daily rotation, and two overrides that are not in force.
fn schedule(engine: &Engine, created: &OrganizationCreated) -> Result<ScheduleId, Failure> {
    let (ada, org) = (created.actor(), created.organization.id);
    let join = |n: usize| {
        let (email, last_name) = (format!("user{n}@example.com").parse()?, n.to_string().parse()?);
        let add = AddMember::new(org, email, "User".parse()?, last_name, Role::Member);
        Ok::<_, Failure>(engine.execute(add, &Actor::Operator)?.member.id)
    };
    let users: Vec<_> = (0..rota::PARTICIPANTS).map(join).collect::<Result<_, _>>()?;
    let create = CreateSchedule { name: "Night".parse()?, description: None, timezone: rota::ZONE.to_owned() };
    let schedule = engine.execute(create, &ada)?.id;
    let now = engine.now();
    let settings = LayerSettings::new(RotationLength::DAILY, "09:00".parse()?, now, users.clone());
    engine.execute(AddRotationLayer { schedule_id: schedule, name: "Daily".parse()?, settings }, &ada)?;
    for (day, user) in (1..).zip(&users[..2]) {
        let starts = now.plus(Duration::from_secs(day * 86_400));
        let swap = CreateOverride::new(schedule, *user, starts, starts.plus(Duration::from_secs(3_600)));
        engine.execute(swap, &ada)?;
    }
    Ok(schedule)
}

impl Subject for Ours {
    fn name(&self) -> &'static str {
        NAME
    }

    fn session(&self) -> Result<Box<dyn Session + Send + '_>, Failure> {
        Ok(Box::new(self))
    }

    fn fill(&self, count: usize) -> Result<Vec<Id>, Failure> {
        self.bring_in(count, None)
    }

    fn escalate(&self, count: usize) -> Result<(), Failure> {
        self.bring_in(count, Some(self.policy)).map(drop)
    }
}

impl Session for &Ours {
    fn create(&mut self) -> Result<Id, Failure> {
        Ok(self.engine.execute(self.incident(None)?, &self.ada)?.id.to_bytes())
    }

    fn change_status(&mut self, incident: Id) -> Result<(), Failure> {
        let change = ChangeStatus::new(IncidentId::from_bytes(incident), Status::Identified);
        self.engine.execute(change, &self.ada)?;
        Ok(())
    }

    fn post_update(&mut self, incident: Id) -> Result<(), Failure> {
        let (id, body) = (IncidentId::from_bytes(incident), super::sql::UPDATE.parse()?);
        self.engine.execute(PostUpdate::internal(id, body), &self.ada)?;
        Ok(())
    }

    fn acknowledge(&mut self, incident: Id) -> Result<(), Failure> {
        self.engine.execute(AcknowledgeIncident::new(IncidentId::from_bytes(incident)), &self.ada)?;
        Ok(())
    }

    fn get(&mut self, incident: Id) -> Result<usize, Failure> {
        let detail = self.engine.query(&GetIncident { id: IncidentId::from_bytes(incident) }, &self.ada)?;
        Ok(detail.status_history.len() + detail.audit_trail.len())
    }

    fn page(&mut self, investigating: bool) -> Result<usize, Failure> {
        let status = investigating.then_some(Status::Investigating);
        let list = ListIncidents { filter: IncidentFilter { status, ..Default::default() }, ..Default::default() };
        Ok(self.engine.query(&list, &self.ada)?.incidents.len())
    }

    fn on_call(&mut self) -> Result<bool, Failure> {
        let resolve = ResolveOnCall { schedule_id: self.schedule, at: self.engine.now() };
        Ok(self.engine.query(&resolve, &self.ada)?.current_oncall().is_some())
    }

    fn tick(&mut self) -> Result<usize, Failure> {
        Ok(self.engine.tick(self.engine.now().plus(super::sql::AHEAD))?.fired)
    }
}
