//! dogwatch itself.

use std::path::Path;

use super::{Failure, Id, Session, Subject};
use dogwatch_store::Engine;
use dogwatch_store::core::id::Id as _;
use dogwatch_store::core::{
    AcknowledgeIncident, Actor, ChangeStatus, CreateIncident, GetIncident, IncidentFilter, IncidentId, ListIncidents,
    PostUpdate, Severity, Status, UpdateVisibility, UserId,
};
use dogwatch_testkit::fixture::organization;

pub(crate) struct Ours {
    engine: Engine,
    ada: Actor,
    owner: UserId,
}

impl Ours {
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let engine = Engine::open(folder)?;
        let created = organization(&engine);
        Ok(Self { engine, ada: created.actor(), owner: created.admin.member.id })
    }
}

impl Subject for Ours {
    fn name(&self) -> &'static str {
        "dogwatch"
    }

    fn session(&self) -> Result<Box<dyn Session + Send + '_>, Failure> {
        Ok(Box::new(self))
    }
}

impl Session for &Ours {
    fn create(&mut self) -> Result<Id, Failure> {
        let open = CreateIncident {
            description: Some(super::sql::DESCRIPTION.parse()?),
            ..CreateIncident::new(super::sql::TITLE.parse()?, Severity::High, self.owner)
        };
        Ok(self.engine.execute(open, &self.ada)?.id.to_bytes())
    }

    fn change_status(&mut self, incident: Id) -> Result<(), Failure> {
        let change = ChangeStatus::to(IncidentId::from_bytes(incident), Status::Identified);
        self.engine.execute(change, &self.ada)?;
        Ok(())
    }

    fn post_update(&mut self, incident: Id) -> Result<(), Failure> {
        let (id, body) = (IncidentId::from_bytes(incident), super::sql::UPDATE.parse()?);
        self.engine.execute(PostUpdate::new(id, Some(body), None, UpdateVisibility::Internal)?, &self.ada)?;
        Ok(())
    }

    fn acknowledge(&mut self, incident: Id) -> Result<(), Failure> {
        self.engine.execute(AcknowledgeIncident { id: IncidentId::from_bytes(incident) }, &self.ada)?;
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
}
