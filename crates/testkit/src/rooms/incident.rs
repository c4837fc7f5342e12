//! Incidents and their updates: the operations, the model, and both sides of each operation.

use dogwatch_core::id::{Id, UpdateId};
use dogwatch_core::incident::{
    ChangeStatus, CreateIncident, Cursor, EditIncident, GetIncident, IncidentFilter, IncidentView, ListIncidents,
    ListLimit, ListUpdates, Owner, PostUpdate, RedactUpdate, SetComponents, Severity, Status, UpdateView,
    UpdateVisibility,
};
use dogwatch_core::{Actor, Timestamp};
use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};

use super::Org;
use crate::fixture::valid;
use crate::model::{By, Expected, Millis, ensure};
use crate::ops::{Field, Pick, field, maybe, name, pick, picks, text};
use crate::render;
use crate::run::{Run, agree, instant, patch, set};

use super::escalation::model::RunModel;

/// The statuses, in the order of the lifecycle.
pub(crate) const STATUSES: [&str; 4] = ["investigating", "identified", "monitoring", "resolved"];
/// The severities.
pub(crate) const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];
pub(super) const RESOLVED: usize = 3;
const FIVE_MINUTES: Millis = 5 * 60 * 1_000;

/// An operation on incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum IncidentOp {
    Create {
        title: String,
        severity: usize,
        description: Option<String>,
        owner: Option<Pick>,
        schedule: Option<Pick>,
        policy: Option<Pick>,
        components: Vec<Pick>,
    },
    Edit {
        incident: Pick,
        title: Option<String>,
        description: Field<String>,
        severity: Option<usize>,
    },
    /// Changes the status to `to`; `None`: one step forward.
    ChangeStatus {
        incident: Pick,
        to: Option<usize>,
        note: Option<String>,
    },
    PostUpdate {
        incident: Pick,
        body: Option<String>,
        status: Option<usize>,
        public: bool,
    },
    Redact {
        incident: Pick,
        update: usize,
    },
    SetComponents {
        incident: Pick,
        components: Vec<Pick>,
    },
}

/// A query for a list of incidents. The bounds `from` and `to` are numbers of instants around the beginning of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the parameters of the contract")]
pub struct ListOp {
    pub status: Option<usize>,
    pub severity: Option<usize>,
    pub from: Option<usize>,
    pub to: Option<usize>,
    pub limit: usize,
}

pub(super) fn operation(source: &mut Unstructured<'_>, org: usize) -> Result<IncidentOp> {
    Ok(match source.int_in_range(0..=16)? {
        0..=4 => IncidentOp::Create {
            title: name(source)?,
            severity: source.int_in_range(0..=3)?,
            description: text(source)?,
            owner: if source.ratio(9_u8, 10)? { Some(pick(source, org)?) } else { None },
            schedule: if source.ratio(1_u8, 4)? { Some(pick(source, org)?) } else { None },
            policy: if source.ratio(1_u8, 3)? { Some(pick(source, org)?) } else { None },
            components: picks(source, org)?,
        },
        5 | 6 => IncidentOp::Edit {
            incident: pick(source, org)?,
            title: if source.arbitrary()? { Some(name(source)?) } else { None },
            description: field(source, text)?,
            severity: if source.arbitrary()? { Some(source.int_in_range(0..=3)?) } else { None },
        },
        7..=10 => {
            let to = if source.ratio(1_u8, 4)? { Some(source.int_in_range(0..=3)?) } else { None };
            IncidentOp::ChangeStatus { incident: pick(source, org)?, to, note: text(source)? }
        }
        11..=13 => {
            let status = if source.ratio(1_u8, 3)? { Some(source.int_in_range(0..=3)?) } else { None };
            let body = Some(text(source)?.filter(|body| !body.is_empty()).unwrap_or_else(|| "words".to_owned()));
            let public = source.ratio(1_u8, 4)?;
            let body = if status.is_some() && !public && source.arbitrary()? { None } else { body };
            IncidentOp::PostUpdate { incident: pick(source, org)?, body, status, public }
        }
        14 | 15 => IncidentOp::Redact { incident: pick(source, org)?, update: source.int_in_range(0..=5)? },
        _ => IncidentOp::SetComponents { incident: pick(source, org)?, components: picks(source, org)? },
    })
}

/// Draws a query for a list of incidents.
pub(super) fn list(source: &mut Unstructured<'_>) -> Result<ListOp> {
    Ok(ListOp {
        status: maybe(source, 3)?,
        severity: maybe(source, 3)?,
        from: maybe(source, 20)?,
        to: maybe(source, 20)?,
        limit: source.int_in_range(1..=7)?,
    })
}

/// An update, as the model keeps it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Update {
    pub id: String,
    pub body: Option<String>,
    pub status: Option<usize>,
    pub public: bool,
    pub by: By,
    pub at: Millis,
    pub redacted: Option<(Millis, usize)>,
}

/// An incident, as the model keeps it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Incident {
    pub id: String,
    pub number: u64,
    pub title: String,
    pub description: Option<String>,
    pub severity: usize,
    pub status: usize,
    pub owner: Option<usize>,
    pub components: Vec<usize>,
    pub by: By,
    pub created: Millis,
    pub updated: Millis,
    /// The status history, oldest first: status, instant, and the place of the update that brought it.
    pub history: Vec<(usize, Millis, Option<usize>)>,
    pub updates: Vec<Update>,
    /// The audit trail, oldest first: event, instant, actor (`None`: time), details.
    pub trail: Vec<(&'static str, Millis, Option<By>, String)>,
    /// Of how many of these events the webhooks were told.
    pub told: usize,
    pub acknowledged: Option<(Millis, By)>,
    pub handed_off: Option<Millis>,
    pub run: Option<RunModel>,
}

/// The fields of a new incident.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct NewIncident<'a> {
    pub title: &'a str,
    pub severity: usize,
    pub description: Option<&'a String>,
    /// `None`: not given. `Some(None)`: an id that nobody in the organization has.
    pub owner: Option<Option<usize>>,
    pub schedule: Option<Option<usize>>,
    pub policy: Option<Option<usize>>,
    /// Component ids as text, each with its place in the organization's list if it is there.
    pub components: &'a [(String, Option<usize>)],
}

impl Org {
    /// Opens an incident and gives its place; its id is learnt later.
    pub fn create_incident(&mut self, actor: usize, now: Millis, new: &NewIncident<'_>) -> Expected<usize> {
        self.actor(actor)?;
        ensure(new.owner.is_some() || new.schedule.is_some(), "owner_required")?;
        let here = |schedule: Option<usize>| schedule.filter(|one| !self.schedules[*one].deleted);
        let schedule = new.schedule.map(|schedule| here(schedule).ok_or("not_found")).transpose()?;
        let policy = self.attached(new.policy, schedule)?;
        ensure(new.owner.is_none_or(|owner| self.is_member(owner)), "invalid_target_user")?;
        let owner = match new.owner {
            Some(owner) => owner,
            None => schedule.and_then(|schedule| self.on_call(schedule, now)),
        };
        let components = self.component_set(new.components)?;
        let description = new.description.cloned();
        Ok(self.open_incident(actor.into(), now, new.title, new.severity, description, (owner, policy, components)))
    }

    /// Opens an incident and gives its place. `about` is its owner, its policy, and its components.
    pub(super) fn open_incident(
        &mut self,
        by: By,
        now: Millis,
        title: &str,
        severity: usize,
        description: Option<String>,
        about: (Option<usize>, Option<usize>, Vec<usize>),
    ) -> usize {
        let (owner, policy, components) = about;
        self.incidents.push(Incident {
            id: String::new(),
            number: u64::try_from(self.incidents.len()).unwrap() + 1,
            title: title.to_owned(),
            description,
            severity,
            status: 0,
            owner,
            components,
            by,
            created: now,
            updated: now,
            history: vec![(0, now, None)],
            updates: Vec::new(),
            trail: vec![("incident_created", now, Some(by), String::new())],
            told: 0,
            acknowledged: None,
            handed_off: None,
            run: None,
        });
        let index = self.incidents.len() - 1;
        if let Some(policy) = policy {
            self.start_run(index, policy, now);
        }
        index
    }

    /// The incident to edit, if the edit is allowed, else the code of the refusal.
    pub fn edit_incident(&self, actor: usize, index: Option<usize>, any_field: bool) -> Expected<usize> {
        self.actor(actor)?;
        let index = index.ok_or("not_found")?;
        ensure(!any_field || self.incidents[index].status != RESOLVED, "incident_resolved")?;
        Ok(index)
    }

    /// Replaces the components of an incident.
    pub fn set_components(
        &mut self,
        actor: usize,
        now: Millis,
        index: Option<usize>,
        components: &[(String, Option<usize>)],
    ) -> Expected<usize> {
        self.actor(actor)?;
        let index = index.ok_or("not_found")?;
        ensure(self.incidents[index].status != RESOLVED, "incident_resolved")?;
        let new = self.component_set(components)?;
        let incident = &mut self.incidents[index];
        let same = new.len() == incident.components.len() && new.iter().all(|one| incident.components.contains(one));
        if !same {
            incident.components = new;
            incident.event("components_changed", now, actor);
        }
        Ok(index)
    }

    /// Posts an update or changes the status; the update's id is learnt later. `update` is body, new status, and whether it is
    /// public; `resolved` is the code if the incident is resolved.
    pub fn post(
        &mut self,
        actor: usize,
        now: Millis,
        index: Option<usize>,
        update: (Option<&String>, Option<usize>, bool),
        resolved: &'static str,
    ) -> Expected<usize> {
        let (_, status, public) = update;
        self.actor(actor)?;
        let index = index.ok_or("not_found")?;
        let public_surface = self.has_public_surface(&self.incidents[index].components);
        let incident = &self.incidents[index];
        ensure(incident.status != RESOLVED, resolved)?;
        ensure(status.is_none_or(|status| status == incident.status + 1), "invalid_status_transition")?;
        ensure(!public || public_surface, "no_public_surface")?;
        self.add_update(index, actor.into(), now, update);
        Ok(index)
    }

    /// Adds an update to an incident, and changes its status if the update does.
    pub(super) fn add_update(
        &mut self,
        index: usize,
        by: By,
        now: Millis,
        (body, status, public): (Option<&String>, Option<usize>, bool),
    ) {
        let incident = &mut self.incidents[index];
        let at = now.max(incident.updated);
        let body = body.cloned();
        incident.updates.push(Update { id: String::new(), body, status, public, by, at, redacted: None });
        if let Some(status) = status {
            incident.status = status;
            incident.history.push((status, at, Some(incident.updates.len() - 1)));
            incident.event("status_changed", now, by);
            if status == RESOLVED {
                incident.stop(now, by);
            }
        }
        incident.event("update_posted", now, by);
        if status == Some(RESOLVED) {
            let since = incident.handed_off;
            self.edit_pages(index, since, now);
            self.close_groups(index);
        }
    }

    /// Redacts an update.
    pub fn redact(
        &mut self,
        actor: usize,
        now: Millis,
        index: Option<usize>,
        update: Option<usize>,
    ) -> Expected<usize> {
        let admin = self.actor(actor)?.admin;
        let index = index.ok_or("not_found")?;
        let incident = &mut self.incidents[index];
        let update = incident.updates.get_mut(update.ok_or("not_found")?).ok_or("not_found")?;
        let in_time = now - update.at <= FIVE_MINUTES || update.redacted.is_some();
        ensure(admin || (update.by == By::Member(actor) && in_time), "redaction_not_permitted")?;
        if update.redacted.is_none() {
            let at = now.max(incident.updated);
            update.body = None;
            update.redacted = Some((at, actor));
            incident.event("update_redacted", now, actor);
        }
        Ok(index)
    }

    /// The incidents that a list query finds, newest first.
    pub fn list(
        &self,
        status: Option<usize>,
        severity: Option<usize>,
        from: Option<Millis>,
        to: Option<Millis>,
    ) -> Vec<&Incident> {
        let admits = |incident: &&Incident| {
            status.is_none_or(|status| status == incident.status)
                && severity.is_none_or(|severity| severity == incident.severity)
                && from.is_none_or(|from| from <= incident.created)
                && to.is_none_or(|to| to >= incident.created)
        };
        let mut found: Vec<_> = self.incidents.iter().filter(admits).collect();
        found.sort_by_key(|incident| std::cmp::Reverse((incident.created, incident.id.clone())));
        found
    }
}

impl Incident {
    /// Adds an event by somebody to the audit trail, and moves `updated`.
    pub fn event(&mut self, event: &'static str, now: Millis, by: impl Into<By>) {
        self.updated = self.updated.max(now);
        self.trail.push((event, self.updated, Some(by.into()), String::new()));
    }

    /// The text that a reply about the incident must render to.
    #[must_use]
    pub fn shown(&self, org: &Org) -> String {
        let user = |index: usize| &org.members[index].id;
        let run = self.run.as_ref();
        let mut text = format!(
            "#{} {} {:?} {} {} {} owner={} by={} created={} updated={} resolved={:?} acknowledged={:?} policy={} at={:?} \
             next={:?} components=",
            self.number,
            self.id,
            self.title,
            render::maybe(self.description.as_deref()),
            SEVERITIES[self.severity],
            STATUSES[self.status],
            self.owner.map(|owner| user(owner).clone()).unwrap_or_default(),
            org.author(self.by),
            self.created,
            self.updated,
            self.history.get(RESOLVED).map(|(_, at, _)| *at),
            self.acknowledged.map(|(at, by)| (at, org.author(by).clone())),
            run.map(|run| org.policies[run.policy].id.clone()).unwrap_or_default(),
            run.and_then(|run| run.current.map(|current| run.layers[current].position)),
            run.and_then(|run| run.due),
        );
        for component in &self.components {
            let component = &org.components[*component];
            write!(text, "{}:{:?},", component.id, component.name).unwrap();
        }
        text
    }

    /// The text that a reply about its status history and audit trail must render to.
    #[must_use]
    pub fn shown_past(&self, org: &Org) -> String {
        let mut text = String::new();
        for (status, at, update) in &self.history {
            let note = update.filter(|_| *status == RESOLVED).and_then(|update| self.updates[update].body.as_ref());
            writeln!(text, "{at} {} {note:?}", STATUSES[*status]).unwrap();
        }
        for (event, at, actor, details) in &self.trail {
            let actor = actor.map(|by| org.author(by).clone()).unwrap_or_default();
            writeln!(text, "{at} {event} {actor}{details}").unwrap();
        }
        text
    }
}

impl Update {
    /// The text that a reply about the update must render to.
    #[must_use]
    pub fn shown(&self, org: &Org, incident: &Incident) -> String {
        let name = org.author_name(self.by);
        format!(
            "{} in {} {} {:?} {} by {} {name} at {} redacted {:?}",
            self.id,
            incident.id,
            render::maybe(self.body.as_deref()),
            self.status.map(|status| STATUSES[status]),
            if self.public { "public" } else { "internal" },
            org.author(self.by),
            self.at,
            self.redacted.map(|(at, by)| (at, org.members[by].id.clone())),
        )
    }
}

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
                agree(self.subject().execute(SetComponents { id, component_ids }, actor), expected, op)
            }
            IncidentOp::ChangeStatus { incident, to, note } => {
                let (id, index) = self.incident(*incident, org);
                let next = index.map_or(0, |index| (self.orgs[org].incidents[index].status + 1).min(3));
                let status = to.unwrap_or(next);
                // A note goes with `resolved` only; with another status, the input is refused before it gets here.
                let note = note.as_ref().filter(|_| status == 3);
                let body = note.filter(|note| !note.is_empty());
                let (now, update) = (self.now(), (body, Some(status), false));
                let expected = self.orgs[org].post(me, now, index, update, "invalid_status_transition");
                let note = note.map(|note| valid(note));
                let command = ChangeStatus { note, ..ChangeStatus::new(id, Status::ALL[status]) };
                let changed = agree(self.subject().execute(command, actor), expected, op);
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
            owner: Owner::of(owner.as_ref().map(|(id, _)| valid(id)), schedule.map(|(id, _)| id)),
            escalation_policy_id: policy.map(|(id, _)| id),
            component_ids: components.iter().map(|(id, _)| valid(id)).collect(),
        };
        let created = agree(self.subject().execute(command, actor), expected, op);
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
        let edited = agree(self.subject().execute(command, actor), expected, op);
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
        let command = PostUpdate { id, body: body.as_deref().map(valid), status_change: status, visibility };
        if let Some((view, index)) = agree(self.subject().execute(command, actor), expected, op) {
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
        if let Some((view, index)) = agree(self.subject().execute(command, actor), expected, op) {
            self.compare_update(&view, org, index);
            self.compare_incident(org, actor, index);
        }
    }

    /// Learns the id of the update that was just posted.
    fn learn_last_update(&mut self, org: usize, actor: &Actor, index: usize) {
        let incident = valid(&self.orgs[org].incidents[index].id);
        let last = self.subject().query(&ListUpdates::new(incident), actor).unwrap().updates.pop().unwrap();
        self.orgs[org].incidents[index].updates.last_mut().unwrap().id = last.id.to_string();
    }

    fn compare_update(&self, view: &UpdateView, org: usize, index: usize) {
        let model = &self.orgs[org];
        let incident = &model.incidents[index];
        let update = incident.updates.iter().find(|update| update.id == view.id.to_string()).unwrap();
        assert_eq!(render::update(view), update.shown(model, incident));
    }
}

impl Run<'_> {
    /// Compares one incident, its status history, audit trail and updates with the model's.
    pub(super) fn compare_incident(&self, org: usize, actor: &Actor, index: usize) {
        let model = &self.orgs[org];
        let incident = &model.incidents[index];
        let id = valid(&incident.id);
        let mut detail = self.subject().query(&GetIncident { id }, actor).unwrap();
        assert_eq!(render::incident(&detail.incident), incident.shown(model));
        let trail = render::whole_trail(id, |query| self.subject().query(query, actor).unwrap());
        assert_eq!(detail.audit_trail, trail[trail.len().saturating_sub(200)..], "the last 200");
        detail.audit_trail = trail;
        assert_eq!(render::past(&detail), incident.shown_past(model));
        let updates = self.subject().query(&ListUpdates::new(id), actor).unwrap().updates;
        let expected: Vec<_> = incident.updates.iter().map(|update| update.shown(model, incident)).collect();
        assert_eq!(updates.iter().map(render::update).collect::<Vec<_>>(), expected);
        let mut query = ListUpdates { limit: Some(ListLimit::new(3).unwrap()), ..ListUpdates::new(id) };
        for page in updates.chunks(3) {
            let found = self.subject().query(&query, actor).unwrap();
            assert_eq!(found.updates, page);
            query.cursor = found.next_cursor;
        }
        assert_eq!(query.cursor, None);
        self.compare_signals(org, actor, index);
    }

    /// Walks a list of incidents, `limit` at a time, and compares it with the model's.
    pub(super) fn compare_list(
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
        // On the rules alone each incident is compared in full once, in the list of all; a filter only says which.
        let whole = self.subject().as_engine().is_some() || filter == (None, None, None, None);
        let shown = |incident: &&Incident| if whole { incident.shown(&self.orgs[org]) } else { incident.id.clone() };
        let mut rest = expected.iter().map(shown).collect::<Vec<_>>();
        loop {
            let page = self.subject().query(&query, actor).unwrap();
            let count = rest.len().min(limit);
            let shown = |it: &IncidentView| if whole { render::incident(it) } else { it.id.to_string() };
            let shown: Vec<_> = page.incidents.iter().map(shown).collect();
            assert_eq!(shown, rest.drain(..count).collect::<Vec<_>>(), "{query:?}");
            assert_eq!(page.next_cursor.is_some(), !rest.is_empty(), "{query:?}");
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor.to_string().parse::<Cursor>().unwrap()),
                None => break,
            }
        }
    }

    /// Asks for a list of incidents, which any member may do, and compares it with the model's.
    pub(super) fn list_op(&self, list: &ListOp, org: usize, me: usize, actor: &Actor) {
        let expected = self.orgs[org].actor(me).map(|_| ());
        let got = self.subject().query(&ListIncidents::default(), actor);
        if agree(got, expected, list).is_some() {
            let (from, to) = (list.from.map(instant), list.to.map(instant));
            self.compare_list(org, actor, (list.status, list.severity, from, to), list.limit);
        }
    }
}
