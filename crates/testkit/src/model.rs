//! A naive model of sections 4, 5, 6, 9 and 10 of the contract: lists, searched from end to end.
//!
//! It shares no code with core. Everything it expects is either a code (a word of the contract) or a text that says what a
//! reply must say; ids are learnt from the engine's replies.

mod escalation;

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub use escalation::{Layer, Letter, Line, NewLayer, Policy, Run, Schedule, Target};

/// An instant, in milliseconds since 1970.
pub type Millis = i64;

/// What the model expects of an operation: a value, or a code.
pub type Expected<T> = Result<T, &'static str>;

/// The statuses, in the order of the lifecycle.
pub const STATUSES: [&str; 4] = ["investigating", "identified", "monitoring", "resolved"];
/// The severities.
pub const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];
const RESOLVED: usize = 3;
const FIVE_MINUTES: Millis = 5 * 60 * 1_000;

/// A member.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Member {
    pub id: String,
    pub email: String,
    pub first: String,
    pub last: String,
    pub admin: bool,
    pub joined: Millis,
    pub removed: bool,
}

/// An invitation.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Invitation {
    pub id: String,
    pub token: String,
    pub email: String,
    pub admin: bool,
    pub created: Millis,
    pub pending: bool,
}

/// An API key.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub user: usize,
    pub name: String,
    pub created: Millis,
    pub expires: Option<Millis>,
    pub live: bool,
}

/// A component.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Component {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub label: Option<String>,
    pub created: Millis,
    pub updated: Millis,
    pub deleted: bool,
}

/// An update.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Update {
    pub id: String,
    pub body: Option<String>,
    pub status: Option<usize>,
    pub public: bool,
    pub by: usize,
    pub at: Millis,
    pub redacted: Option<(Millis, usize)>,
}

/// An incident.
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
    pub by: usize,
    pub created: Millis,
    pub updated: Millis,
    /// Status, instant, and the update that brought it.
    pub history: Vec<(usize, Millis, Option<usize>)>,
    pub updates: Vec<Update>,
    /// Event, instant, actor, details.
    pub trail: Vec<(&'static str, Millis, Option<usize>, String)>,
    pub acknowledged: Option<(Millis, usize)>,
    pub run: Option<Run>,
}

/// One organization.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the lists of the contract")]
pub struct Org {
    pub id: String,
    pub members: Vec<Member>,
    pub invitations: Vec<Invitation>,
    pub keys: Vec<Key>,
    pub components: Vec<Component>,
    pub incidents: Vec<Incident>,
    pub schedules: Vec<Schedule>,
    pub policies: Vec<Policy>,
    pub letters: Vec<Letter>,
    /// From when on a line can be claimed.
    pub ready: BTreeMap<Line, Millis>,
}

/// The fields of a new incident.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct NewIncident<'a> {
    pub title: &'a str,
    pub severity: usize,
    pub description: Option<&'a String>,
    /// `None`: not given. `Some(None)`: nobody's id.
    pub owner: Option<Option<usize>>,
    pub schedule: Option<Option<usize>>,
    pub policy: Option<Option<usize>>,
    /// Component ids as text, and where they are if they are here.
    pub components: &'a [(String, Option<usize>)],
}

fn ensure(rule: bool, code: &'static str) -> Expected<()> {
    if rule { Ok(()) } else { Err(code) }
}

impl Org {
    /// The acting member, if the member still is one.
    pub fn actor(&self, index: usize) -> Expected<&Member> {
        self.members.get(index).filter(|member| !member.removed).ok_or("invalid_api_key")
    }

    /// The acting admin.
    pub fn admin(&self, index: usize) -> Expected<&Member> {
        let member = self.actor(index)?;
        ensure(member.admin, "not_authorized")?;
        Ok(member)
    }

    /// Whether a member or a pending invitation has the e-mail.
    pub fn email_taken(&self, email: &str) -> bool {
        let same = |other: &str| other.to_lowercase() == email.to_lowercase();
        self.members.iter().any(|member| !member.removed && same(&member.email))
            || self.invitations.iter().any(|invitation| invitation.pending && same(&invitation.email))
    }

    fn is_member(&self, index: Option<usize>) -> bool {
        index.is_some_and(|index| !self.members[index].removed)
    }

    /// May this be invited by this actor?
    pub fn invite(&self, actor: usize, email: &str) -> Expected<()> {
        self.admin(actor)?;
        ensure(!self.email_taken(email), "name_conflict")
    }

    /// Revokes an invitation.
    pub fn revoke_invitation(&mut self, actor: usize, index: Option<usize>) -> Expected<()> {
        self.admin(actor)?;
        let index = index.filter(|index| self.invitations[*index].pending).ok_or("not_found")?;
        self.invitations[index].pending = false;
        self.withdraw(index);
        Ok(())
    }

    /// Changes a role.
    pub fn change_role(&mut self, actor: usize, user: Option<usize>, admin: bool) -> Expected<()> {
        self.admin(actor)?;
        let user = user.filter(|user| self.is_member(Some(*user))).ok_or("not_found")?;
        ensure(user != actor, "cannot_change_own_role")?;
        self.members[user].admin = admin;
        Ok(())
    }

    /// Removes a member and their keys.
    pub fn remove_member(&mut self, actor: usize, now: Millis, user: Option<usize>) -> Expected<()> {
        self.admin(actor)?;
        let user = user.filter(|user| self.is_member(Some(*user))).ok_or("not_found")?;
        ensure(user != actor, "cannot_remove_self")?;
        self.members[user].removed = true;
        self.keys.iter_mut().filter(|key| key.user == user).for_each(|key| key.live = false);
        self.leave(user, now);
        Ok(())
    }

    /// Revokes a key.
    pub fn revoke_key(&mut self, actor: usize, index: Option<usize>) -> Expected<()> {
        let admin = self.actor(actor)?.admin;
        let index = index.filter(|index| self.keys[*index].live).ok_or("not_found")?;
        ensure(admin || self.keys[index].user == actor, "not_authorized")?;
        self.keys[index].live = false;
        Ok(())
    }

    fn name_free(&self, name: &str, own: Option<usize>) -> Expected<()> {
        let mut others = self.components.iter().enumerate().filter(|(index, _)| Some(*index) != own);
        ensure(!others.any(|(_, component)| !component.deleted && component.name == name), "name_conflict")
    }

    /// May a component of this name be created?
    pub fn create_component(&self, actor: usize, name: &str) -> Expected<()> {
        self.actor(actor)?;
        self.name_free(name, None)
    }

    /// The component to edit, if the edit is allowed.
    pub fn edit_component(&self, actor: usize, index: Option<usize>, name: Option<&String>) -> Expected<usize> {
        self.actor(actor)?;
        let index = index.filter(|index| !self.components[*index].deleted).ok_or("not_found")?;
        if let Some(name) = name {
            self.name_free(name, Some(index))?;
        }
        Ok(index)
    }

    /// Deletes a component.
    pub fn delete_component(&mut self, actor: usize, index: Option<usize>) -> Expected<()> {
        self.actor(actor)?;
        let index = index.filter(|index| !self.components[*index].deleted).ok_or("not_found")?;
        let used = |incident: &Incident| incident.status != RESOLVED && incident.components.contains(&index);
        ensure(!self.incidents.iter().any(used), "component_in_use")?;
        self.components[index].deleted = true;
        Ok(())
    }

    fn component_set(&self, components: &[(String, Option<usize>)]) -> Expected<Vec<usize>> {
        for (n, (id, _)) in components.iter().enumerate() {
            ensure(!components[..n].iter().any(|(earlier, _)| earlier == id), "duplicate_component_id")?;
        }
        let here = |index: Option<usize>| index.filter(|index| !self.components[*index].deleted);
        components.iter().map(|(_, index)| here(*index).ok_or("invalid_component_id")).collect()
    }

    /// Opens an incident, without its id.
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
        self.incidents.push(Incident {
            id: String::new(),
            number: u64::try_from(self.incidents.len()).unwrap() + 1,
            title: new.title.to_owned(),
            description: new.description.cloned(),
            severity: new.severity,
            status: 0,
            owner,
            components,
            by: actor,
            created: now,
            updated: now,
            history: vec![(0, now, None)],
            updates: Vec::new(),
            trail: vec![("incident_created", now, Some(actor), String::new())],
            acknowledged: None,
            run: None,
        });
        let index = self.incidents.len() - 1;
        if let Some(policy) = policy {
            self.start_run(index, policy, now);
        }
        Ok(index)
    }

    /// The incident to edit, if the edit is allowed.
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

    /// Posts an update or changes the status, without the update's id.
    pub fn post(
        &mut self,
        actor: usize,
        now: Millis,
        index: Option<usize>,
        update: (Option<&String>, Option<usize>, bool),
        resolved: &'static str,
    ) -> Expected<usize> {
        let (body, status, public) = update;
        self.actor(actor)?;
        let index = index.ok_or("not_found")?;
        let incident = &mut self.incidents[index];
        ensure(incident.status != RESOLVED, resolved)?;
        ensure(status.is_none_or(|status| status == incident.status + 1), "invalid_status_transition")?;
        ensure(!public, "no_public_surface")?;
        let at = now.max(incident.updated);
        incident.updates.push(Update {
            id: String::new(),
            body: body.cloned(),
            status,
            public,
            by: actor,
            at,
            redacted: None,
        });
        if let Some(status) = status {
            incident.status = status;
            incident.history.push((status, at, Some(incident.updates.len() - 1)));
            incident.event("status_changed", now, actor);
            if status == RESOLVED {
                incident.stop(now, actor);
            }
        }
        incident.event("update_posted", now, actor);
        Ok(index)
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
        ensure(admin || (update.by == actor && in_time), "redaction_not_permitted")?;
        if update.redacted.is_none() {
            let at = now.max(incident.updated);
            update.body = None;
            update.redacted = Some((at, actor));
            incident.event("update_redacted", now, actor);
        }
        Ok(index)
    }

    /// The incidents of a list, newest first.
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
    /// Something happened to it.
    pub fn event(&mut self, event: &'static str, now: Millis, actor: usize) {
        self.updated = self.updated.max(now);
        self.trail.push((event, self.updated, Some(actor), String::new()));
    }

    /// What a reply must say of the incident.
    #[must_use]
    pub fn shown(&self, org: &Org) -> String {
        let user = |index: usize| &org.members[index].id;
        let run = self.run.as_ref();
        let mut text = format!(
            "#{} {} {:?} {:?} {} {} owner={} by={} created={} updated={} resolved={:?} acknowledged={:?} policy={} at={:?} \
             next={:?} components=",
            self.number,
            self.id,
            self.title,
            self.description,
            SEVERITIES[self.severity],
            STATUSES[self.status],
            self.owner.map(|owner| user(owner).clone()).unwrap_or_default(),
            user(self.by),
            self.created,
            self.updated,
            self.history.get(RESOLVED).map(|(_, at, _)| *at),
            self.acknowledged.map(|(at, by)| (at, user(by).clone())),
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

    /// What a reply must say of its history and audit trail.
    #[must_use]
    pub fn shown_past(&self, org: &Org) -> String {
        let mut text = String::new();
        for (status, at, update) in &self.history {
            let note = update.filter(|_| *status == RESOLVED).and_then(|update| self.updates[update].body.as_ref());
            writeln!(text, "{at} {} {note:?}", STATUSES[*status]).unwrap();
        }
        for (event, at, actor, details) in &self.trail {
            let actor = actor.map(|actor| org.members[actor].id.clone()).unwrap_or_default();
            writeln!(text, "{at} {event} {actor}{details}").unwrap();
        }
        text
    }
}

impl Update {
    /// What a reply must say of the update.
    #[must_use]
    pub fn shown(&self, org: &Org, incident: &Incident) -> String {
        let author = &org.members[self.by];
        format!(
            "{} in {} {:?} {:?} {} by {} {} {} at {} redacted {:?}",
            self.id,
            incident.id,
            self.body,
            self.status.map(|status| STATUSES[status]),
            if self.public { "public" } else { "internal" },
            author.id,
            author.first,
            author.last,
            self.at,
            self.redacted.map(|(at, by)| (at, org.members[by].id.clone())),
        )
    }
}
