//! Operations on incidents and their updates.

use dogwatch_core::Actor;
use dogwatch_core::id::Id;
use dogwatch_core::id::UpdateId;
use dogwatch_core::incident::{
    ChangeStatus, CreateIncident, EditIncident, IncidentView, ListUpdates, PostUpdate, RedactUpdate, SetComponents,
    Severity, Status, UpdateView, UpdateVisibility,
};

use super::{Run, agree, patch, set, valid};
use crate::model::NewIncident;
use crate::ops::{Field, IncidentOp, Pick};
use crate::render;

impl Run<'_> {
    pub(super) fn incident_op(&mut self, op: &IncidentOp, org: usize, me: usize, actor: &Actor) {
        let changed = match op {
            IncidentOp::Create { .. } => self.create_incident(op, org, me, actor),
            IncidentOp::Edit { .. } => self.edit_incident(op, org, me, actor),
            IncidentOp::SetComponents { incident, components } => {
                let (id, index) = self.incident(*incident, org);
                let components = self.components(components, org);
                let now = self.now();
                let expected = self.orgs[org].set_components(me, now, index, &components);
                let component_ids = components.iter().map(|(id, _)| valid(id)).collect();
                agree(self.engine().execute(SetComponents { id, component_ids }, actor), expected, op)
            }
            IncidentOp::ChangeStatus { incident, to, note } => {
                let (id, index) = self.incident(*incident, org);
                let next = index.map_or(0, |index| (self.orgs[org].incidents[index].status + 1).min(3));
                let status = to.unwrap_or(next);
                // A note goes with the last step only; with another, the input is refused before it gets here.
                let note = note.as_ref().filter(|_| status == 3);
                let body = note.filter(|note| !note.is_empty());
                let (now, update) = (self.now(), (body, Some(status), false));
                let expected = self.orgs[org].post(me, now, index, update, "invalid_status_transition");
                let note = note.map(|note| valid(note));
                let command = ChangeStatus::new(id, Status::ALL[status], note).unwrap();
                let changed = agree(self.engine().execute(command, actor), expected, op);
                if let Some((_, index)) = changed {
                    self.learn_last_update(org, actor, index);
                }
                changed
            }
            IncidentOp::PostUpdate { .. } => return self.post_update(op, org, me, actor),
            IncidentOp::Redact { incident, update } => return self.redact(op, (*incident, *update), (org, me, actor)),
        };
        if let Some((view, index)) = changed {
            let model = &self.orgs[org];
            assert_eq!(render::incident(&view), model.incidents[index].shown(model), "{op:?}");
            self.compare_incident(org, actor, index);
        }
    }

    fn create_incident(
        &mut self,
        op: &IncidentOp,
        org: usize,
        me: usize,
        actor: &Actor,
    ) -> Option<(IncidentView, usize)> {
        let IncidentOp::Create { title, severity, description, owner, schedule, policy, components } = op else {
            panic!("not a creation: {op:?}")
        };
        let owner = owner.map(|owner| self.user(owner, org));
        let components = self.components(components, org);
        let schedule = schedule.map(|schedule| self.schedule(schedule, org));
        let policy = policy.map(|policy| self.policy(policy, org));
        let new = NewIncident {
            title,
            severity: *severity,
            description: description.as_ref(),
            owner: owner.as_ref().map(|(_, index)| *index),
            schedule: schedule.map(|(_, index)| index),
            policy: policy.map(|(_, index)| index),
            components: &components,
        };
        let now = self.now();
        let expected = self.orgs[org].create_incident(me, now, &new);
        let command = CreateIncident {
            title: valid(title),
            severity: Severity::ALL[*severity],
            description: description.as_deref().map(valid),
            owner_id: owner.as_ref().map(|(id, _)| valid(id)),
            owner_schedule_id: schedule.map(|(id, _)| id),
            escalation_policy_id: policy.map(|(id, _)| id),
            component_ids: components.iter().map(|(id, _)| valid(id)).collect(),
        };
        let created = agree(self.engine().execute(command, actor), expected, op);
        if let Some((view, index)) = &created {
            self.orgs[org].incidents[*index].id = view.id.to_string();
        }
        created
    }

    fn edit_incident(
        &mut self,
        op: &IncidentOp,
        org: usize,
        me: usize,
        actor: &Actor,
    ) -> Option<(IncidentView, usize)> {
        let IncidentOp::Edit { incident, title, description, severity } = op else { panic!("not an edit: {op:?}") };
        let (id, index) = self.incident(*incident, org);
        let any = title.is_some() || *description != Field::Keep || severity.is_some();
        let expected = self.orgs[org].edit_incident(me, index, any);
        let command = EditIncident {
            id,
            title: title.as_deref().map(valid),
            description: patch(description),
            severity: severity.map(|severity| Severity::ALL[severity]),
        };
        let edited = agree(self.engine().execute(command, actor), expected, op);
        let now = self.now();
        if let Some((_, index)) = &edited {
            let incident = &mut self.orgs[org].incidents[*index];
            let before = (incident.title.clone(), incident.description.clone(), incident.severity);
            if let Some(title) = title {
                incident.title.clone_from(title);
            }
            set(&mut incident.description, description);
            incident.severity = severity.unwrap_or(incident.severity);
            if before != (incident.title.clone(), incident.description.clone(), incident.severity) {
                incident.event("incident_edited", now, me);
            }
        }
        edited
    }

    fn post_update(&mut self, op: &IncidentOp, org: usize, me: usize, actor: &Actor) {
        let IncidentOp::PostUpdate { incident, body, status, public } = op else { panic!("not an update: {op:?}") };
        let (id, index) = self.incident(*incident, org);
        let (now, update) = (self.now(), (body.as_ref(), *status, *public));
        let expected = self.orgs[org].post(me, now, index, update, "incident_resolved");
        let visibility = if *public { UpdateVisibility::Public } else { UpdateVisibility::Internal };
        let status = status.map(|status| Status::ALL[status]);
        let command = PostUpdate::new(id, body.as_deref().map(valid), status, visibility).unwrap();
        if let Some((view, index)) = agree(self.engine().execute(command, actor), expected, op) {
            self.learn_last_update(org, actor, index);
            self.compare_update(&view, org, index);
            self.compare_incident(org, actor, index);
        }
    }

    fn redact(&mut self, op: &IncidentOp, what: (Pick, usize), who: (usize, usize, &Actor)) {
        let ((pick, update), (org, me, actor)) = (what, who);
        let (incident, index) = self.incident(pick, org);
        // An update of the other organization is named by its real id, too.
        let incidents = &self.orgs[pick.org].incidents;
        let place = pick.index.filter(|_| !incidents.is_empty()).map(|index| index % incidents.len());
        let posted = place.and_then(|place| incidents[place].updates.get(update));
        let unknown = UpdateId::from_bytes([0xEE; 16]);
        let command =
            RedactUpdate { incident_id: incident, update_id: posted.map_or(unknown, |update| valid(&update.id)) };
        let (now, posted) = (self.now(), posted.is_some().then_some(update));
        let expected = self.orgs[org].redact(me, now, index, posted);
        if let Some((view, index)) = agree(self.engine().execute(command, actor), expected, op) {
            self.compare_update(&view, org, index);
            self.compare_incident(org, actor, index);
        }
    }

    /// Learns the id of the update that was just posted.
    fn learn_last_update(&mut self, org: usize, actor: &Actor, index: usize) {
        let incident = valid(&self.orgs[org].incidents[index].id);
        let last = self.engine().query(&ListUpdates { incident_id: incident }, actor).unwrap().pop().unwrap();
        self.orgs[org].incidents[index].updates.last_mut().unwrap().id = last.id.to_string();
    }

    fn compare_update(&self, view: &UpdateView, org: usize, index: usize) {
        let model = &self.orgs[org];
        let incident = &model.incidents[index];
        let update = incident.updates.iter().find(|update| update.id == view.id.to_string()).unwrap();
        assert_eq!(render::update(view), update.shown(model, incident));
    }
}
