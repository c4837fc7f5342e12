//! Members in a simulated night: they join, open incidents, and do what one does with them.

use dogwatch_core::contact::{AddContactMethod, ContactAddress};
use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, EditIncident, GetIncident, HandOffIncident, IncidentView, Owner,
    PostUpdate, SetComponents, Status,
};
use dogwatch_core::team::{AddMember, ListTeam, Role};
use dogwatch_core::{Actor, Code, UserId};
use dogwatch_store::{Error, Transaction};

use super::super::auditor::ensure;
use super::super::monitors::newest;
use super::super::{Complaint, Opening};
use super::Night;

impl Night {
    pub(super) fn join(&mut self) {
        let number = self.people.len();
        let add = AddMember::new(
            self.org,
            format!("user{number}@example.com").parse().unwrap(),
            "User".parse().unwrap(),
            format!("{number}").parse().unwrap(),
            Role::Admin,
        );
        if let Ok(joined) = self.engine().execute(add, &Actor::Operator) {
            self.people.push(joined.member.id);
            self.auditor.joined(joined.member.id);
            // Every other one is told over something else, too, once somebody has seen the code.
            if number.is_multiple_of(2) {
                let url = format!("https://hooks.example.com/{number}").parse().unwrap();
                let add = AddContactMethod::new("Hook".parse().unwrap(), ContactAddress::Webhook(url));
                let _ = self.engine().execute(add, &Actor::member(self.org, joined.member.id));
            }
        }
    }

    pub(super) fn refresh_members(&mut self) -> Result<(), Complaint> {
        let team = self.engine().query(&ListTeam, &self.admin).map_err(|error| error.to_string())?;
        self.auditor.members = team.members.iter().map(|member| member.id).collect();
        Ok(())
    }

    /// A member, or a former one.
    pub(super) fn somebody(&mut self) -> UserId {
        *self.random.pick(&self.people).unwrap()
    }

    pub(super) fn actor(&mut self) -> Actor {
        let user = self.somebody();
        if self.auditor.members.contains(&user) { Actor::member(self.org, user) } else { self.admin }
    }

    /// One of the incidents that are open; `None` if there are none.
    pub(super) fn some_incident(&mut self) -> Option<IncidentId> {
        let open = self.auditor.open_incidents();
        self.random.pick(&open).copied()
    }

    pub(super) fn creation(&mut self) -> (CreateIncident, Opening) {
        let title = format!("incident {}", self.report.incidents + 1);
        self.report.incidents += 1;
        let named = if self.random.one_in(3) { None } else { self.random.pick(&self.policies).copied() };
        let schedule = if self.random.one_in(3) { self.random.pick(&self.schedules).copied() } else { None };
        let owner = self.somebody();
        let owner = Some(owner).filter(|owner| schedule.is_none() || self.auditor.members.contains(owner));
        let owner = owner.map(|owner| if self.auditor.members.contains(&owner) { owner } else { self.people[0] });
        let owner = if schedule.is_some() && self.random.one_in(2) { None } else { owner };
        let create = CreateIncident {
            title: title.parse().unwrap(),
            severity: self.severity(),
            description: None,
            owner: Owner::of(owner, schedule),
            escalation_policy_id: named,
            // Were it more, all would be out all night.
            component_ids: if self.random.one_in(5) { self.some_components(2) } else { Vec::new() },
        };
        let opening = self.auditor.opening(self.engine(), named, schedule, owner);
        self.opening.push((title, opening.clone()));
        (create, opening)
    }

    pub(super) fn create(&mut self) -> Result<(), Complaint> {
        let ((create, opening), actor) = (self.creation(), self.actor());
        let transaction = self.random.one_in(3);
        let created = if transaction { self.transact(create, &actor) } else { self.engine().execute(create, &actor) };
        let created = created.map_err(|error| error.to_string())?;
        self.opening.clear();
        self.auditor.opened(created.id, opening);
        self.audit(&[created.id], None)?;
        self.same_as_shown(&created)
    }

    /// Opens an incident in a transaction that is undone, which leaves nothing, and then in one that is kept.
    pub(super) fn transact(&self, create: CreateIncident, actor: &Actor) -> Result<IncidentView, Error> {
        let undone = create.clone();
        let undo = |tx: &mut Transaction<'_, '_>| -> Result<(), Error> {
            tx.execute(undone)?;
            Err(dogwatch_core::Error::refused(Code::NotFound, "undone").into())
        };
        assert!(self.engine().transact(actor, undo).is_err());
        self.engine().transact(actor, |tx| {
            let id = tx.execute(create)?.id;
            tx.execute(PostUpdate::internal(id, "opened".parse()?))?;
            Ok(tx.query(&GetIncident::new(id))?.incident)
        })
    }

    /// Checks that a query shows the incident that a command replied.
    pub(super) fn same_as_shown(&self, view: &IncidentView) -> Result<(), Complaint> {
        let shown = self.engine().query(&GetIncident { id: view.id }, &self.admin).map_err(|e| e.to_string())?;
        ensure!(shown.incident == *view, "the reply was {view:?}, but it shows {:?}", shown.incident);
        Ok(())
    }

    /// A member acknowledges an incident, hands it off, changes it or its status, or posts an update.
    pub(super) fn respond(&mut self) -> Result<(), Complaint> {
        let (Some(id), actor) = (self.some_incident(), self.actor()) else { return Ok(()) };
        let (target, severity, tags) = (self.somebody(), Some(self.severity()), self.some_components(1));
        let engine = self.engine();
        let view = match self.random.clone().below(12) {
            0..=2 => engine.execute(AcknowledgeIncident::new(id), &actor).ok(),
            3 | 4 => engine.execute(HandOffIncident { id, target_user_id: target }, &actor).ok(),
            5 => engine.execute(EditIncident { severity, ..EditIncident::new(id) }, &actor).ok(),
            6 => engine.execute(SetComponents { id, component_ids: tags }, &actor).ok(),
            7 => {
                let posted = engine.execute(PostUpdate::public(id, "news".parse().unwrap()), &actor);
                let public = self.auditor.pages_seen.is_public(id);
                ensure!(posted.is_ok() == public, "{id} is public: {public}, but an update came to {posted:?}");
                None
            }
            8..=10 => {
                let status = engine.query(&GetIncident { id }, &actor).unwrap().incident.status;
                engine.execute(ChangeStatus::new(id, status.next().unwrap_or(Status::Resolved)), &actor).ok()
            }
            _ => {
                engine.execute(PostUpdate::internal(id, "news".parse().unwrap()), &actor).unwrap();
                None
            }
        };
        self.random.bits();
        self.audit(&[id], None)?;
        view.map_or(Ok(()), |view| self.same_as_shown(&view))
    }

    /// Finds the incidents whose creation was handed in and took effect.
    pub(super) fn find_openings(&mut self) -> Result<(), Complaint> {
        let opening = std::mem::take(&mut self.opening);
        if opening.is_empty() {
            return Ok(());
        }
        for incident in newest(self.engine(), &self.admin, self.now())? {
            if self.auditor.knows(incident.id) || incident.created_by.user().is_none() {
                continue;
            }
            let found = opening.iter().find(|(title, _)| *title == incident.title.as_str());
            let (_, opening) = found.ok_or_else(|| format!("nobody created {incident:?}"))?;
            self.auditor.opened(incident.id, opening.clone());
        }
        Ok(())
    }
}
