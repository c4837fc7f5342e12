//! The model of escalation (contract, section 9), and of schedules as far as escalation needs them: overrides only, no rotation
//! layers.
//!
//! The outbox is a list of [`NotificationModel`]s, which are notifications; those with the same [`RecipientModel`], the recipient, form an inbox.

use std::collections::BTreeMap;

use crate::model::{By, Expected, Millis, Overdue, Waits, ensure};
use crate::rooms::Org;
use crate::rooms::incident::{Incident, RESOLVED};

const MINUTE: Millis = 60_000;

/// A schedule without rotation layers: only an override puts a user on call.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Schedule {
    pub id: String,
    pub name: String,
    pub deleted: bool,
    pub changed: Millis,
    /// The overrides, in the order of creation: user, start, end.
    pub overrides: Vec<(usize, Millis, Millis)>,
}

/// The target of a policy layer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the two targets of the contract")]
pub enum Target {
    Schedule(usize),
    Users(Vec<usize>),
}

/// A policy layer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Layer {
    pub id: String,
    pub position: u32,
    pub minutes: i64,
    pub target: Target,
}

/// An escalation policy.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Policy {
    pub id: String,
    pub name: String,
    pub created: Millis,
    pub deleted: bool,
    /// The layers, by position.
    pub layers: Vec<Layer>,
}

/// An escalation run: the snapshot of its layers, the place of the current one, and when that one times out.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the words of the contract")]
pub struct RunModel {
    pub policy: usize,
    pub layers: Vec<Layer>,
    pub current: Option<usize>,
    pub due: Option<Millis>,
}

/// The recipient of an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the words of the contract")]
pub enum RecipientModel {
    Member(usize),
    Invited(usize),
    /// A member, and one of their contact methods.
    Method(usize, usize),
    Webhook(usize),
}

impl RecipientModel {
    /// The member; `None` for somebody who is invited, and for a webhook.
    #[must_use]
    pub fn user(self) -> Option<usize> {
        match self {
            Self::Member(user) | Self::Method(user, _) => Some(user),
            Self::Invited(_) | Self::Webhook(_) => None,
        }
    }
}

/// What a notification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the contract")]
pub enum Content {
    /// A page, with its reason and its incident.
    Page(&'static str, usize),
    Invitation,
    Code,
    Test,
    /// An event: an incident, and the place in its audit trail.
    Event(usize, usize),
    /// A webhook was disabled: its place among those times.
    Disabled(usize),
    /// What has become of the incident of a page, with the page's reason.
    Edit(&'static str, usize),
}

/// A notification in the outbox.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct NotificationModel {
    pub content: Content,
    pub recipient: RecipientModel,
    pub at: Millis,
    pub due: Millis,
    /// Which of the pages it is a part of; other notifications are alone.
    pub page: usize,
    /// Its place among all that was ever put into an inbox; `None` until it is due.
    pub place: Option<usize>,
    pub attempts: u32,
    pub failures: u32,
    pub error: String,
    /// The last byte of its id, once it was claimed.
    pub last_byte: u8,
    /// Whether it was withdrawn, or has ended.
    pub done: bool,
    /// Whether it was sent in a way that can be changed.
    pub editable: bool,
    /// Whether it waited for a webhook when that was enabled again; whether it is a page of before an acknowledgement that was cleared.
    pub skipped: bool,
    /// How a page has ended; `waiting` until then.
    pub state: &'static str,
}

/// The settings of a policy layer to add, or those that an edit gives.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct NewLayer {
    pub position: Option<u32>,
    pub minutes: Option<i64>,
    /// `None`: not given. `Some(None)`: a target that does not exist in the organization.
    pub target: Option<Option<Target>>,
}

impl Org {
    pub(crate) fn schedule_here(&self, index: Option<usize>) -> Option<usize> {
        index.filter(|index| !self.schedules[*index].deleted)
    }

    pub(crate) fn policy_here(&self, index: Option<usize>) -> Option<usize> {
        index.filter(|index| !self.policies[*index].deleted)
    }

    /// The user who is on call in a schedule.
    #[must_use]
    pub fn on_call(&self, schedule: usize, now: Millis) -> Option<usize> {
        let schedule = &self.schedules[schedule];
        let holds = |(_, starts, ends): &&(usize, Millis, Millis)| *starts <= now && now < *ends;
        schedule.overrides.iter().rev().find(holds).filter(|_| !schedule.deleted).map(|(user, ..)| *user)
    }

    /// Creates a schedule and gives its place; its id is learnt later.
    pub fn create_schedule(&mut self, actor: usize, now: Millis, name: &str) -> Expected<usize> {
        self.actor(actor)?;
        ensure(!self.schedules.iter().any(|one| !one.deleted && one.name == name), "name_conflict")?;
        self.schedules.push(Schedule { name: name.to_owned(), changed: now, ..Schedule::default() });
        Ok(self.schedules.len() - 1)
    }

    /// Deletes a schedule.
    pub fn delete_schedule(&mut self, actor: usize, index: Option<usize>) -> Expected<()> {
        self.actor(actor)?;
        let index = self.schedule_here(index).ok_or("not_found")?;
        let layers = self.policies.iter().filter(|policy| !policy.deleted).flat_map(|policy| &policy.layers);
        let targeted = layers.into_iter().any(|layer| layer.target == Target::Schedule(index));
        let named = self.integrations.iter().any(|one| !one.deleted && one.schedule == Some(index));
        ensure(!targeted && !named, "schedule_in_use")?;
        self.schedules[index].deleted = true;
        Ok(())
    }

    /// Creates an override from now on, which ends `span` milliseconds from now.
    pub fn stand_in(
        &mut self,
        actor: usize,
        now: Millis,
        index: Option<usize>,
        user: Option<usize>,
        span: Millis,
    ) -> Expected<()> {
        self.actor(actor)?;
        let index = self.schedule_here(index).ok_or("not_found")?;
        ensure(self.is_member(user), "invalid_participant")?;
        let schedule = &mut self.schedules[index];
        let starts = now.max(schedule.changed);
        ensure(now + span > starts, "validation_error")?;
        schedule.changed = starts;
        schedule.overrides.push((user.unwrap(), starts, now + span));
        Ok(())
    }

    /// A member leaves: their overrides end, policy layers no longer name them.
    pub(crate) fn leave(&mut self, user: usize, now: Millis) {
        for schedule in &mut self.schedules {
            if schedule.overrides.iter().any(|one| one.0 == user && one.2 > now) {
                // A schedule's own time does not run backwards.
                schedule.changed = schedule.changed.max(now);
            }
            let ends = schedule.changed.max(now);
            for one in schedule.overrides.iter_mut().filter(|one| one.0 == user && one.2 > ends) {
                one.2 = ends.max(one.1);
            }
        }
        for layer in self.policies.iter_mut().flat_map(|policy| &mut policy.layers) {
            if let Target::Users(users) = &mut layer.target {
                users.retain(|other| *other != user);
            }
        }
    }

    /// Creates a policy and gives its place; its id is learnt later.
    pub fn create_policy(&mut self, actor: usize, now: Millis, name: &str) -> Expected<usize> {
        self.actor(actor)?;
        self.policy_name_free(name, None)?;
        let policy =
            Policy { id: String::new(), name: name.to_owned(), created: now, deleted: false, layers: Vec::new() };
        self.policies.push(policy);
        Ok(self.policies.len() - 1)
    }

    fn policy_name_free(&self, name: &str, own: Option<usize>) -> Expected<()> {
        let mut others = self.policies.iter().enumerate().filter(|(index, _)| Some(*index) != own);
        ensure(!others.any(|(_, policy)| !policy.deleted && policy.name == name), "name_conflict")
    }

    /// Renames a policy.
    pub fn rename_policy(&mut self, actor: usize, index: Option<usize>, name: &str) -> Expected<usize> {
        self.actor(actor)?;
        let index = self.policy_here(index).ok_or("not_found")?;
        self.policy_name_free(name, Some(index))?;
        name.clone_into(&mut self.policies[index].name);
        Ok(index)
    }

    /// Deletes a policy.
    pub fn delete_policy(&mut self, actor: usize, index: Option<usize>) -> Expected<()> {
        self.actor(actor)?;
        let index = self.policy_here(index).ok_or("not_found")?;
        let uses = |one: &Incident| one.status != RESOLVED && one.run.as_ref().is_some_and(|run| run.policy == index);
        let named = self.integrations.iter().any(|one| !one.deleted && one.policy == Some(index));
        ensure(!self.incidents.iter().any(uses) && !named, "policy_in_use")?;
        self.policies[index].deleted = true;
        Ok(())
    }

    fn target_here(&self, target: Option<Target>) -> Expected<Target> {
        let here = match &target {
            None => false,
            Some(Target::Schedule(index)) => self.schedule_here(Some(*index)).is_some(),
            Some(Target::Users(users)) => users.iter().all(|user| self.is_member(Some(*user))),
        };
        target.filter(|_| here).ok_or("invalid_target")
    }

    /// Adds a policy layer and gives the places of the policy and of the layer; the layer's id is learnt later.
    pub fn add_layer(&mut self, actor: usize, index: Option<usize>, new: NewLayer) -> Expected<(usize, usize)> {
        self.actor(actor)?;
        let index = self.policy_here(index).ok_or("not_found")?;
        let target = self.target_here(new.target.unwrap())?;
        ensure(self.policies[index].layers.len() < 20, "limit_reached")?;
        let layer = Layer { id: String::new(), position: new.position.unwrap(), minutes: new.minutes.unwrap(), target };
        Ok((index, self.policies[index].insert(&layer)))
    }

    /// Edits a policy layer.
    pub fn edit_layer(
        &mut self,
        actor: usize,
        (policy, layer): (Option<usize>, Option<usize>),
        new: NewLayer,
    ) -> Expected<usize> {
        self.actor(actor)?;
        let index = self.policy_here(policy).ok_or("not_found")?;
        let place = layer.ok_or("not_found")?;
        let target = new.target.map(|target| self.target_here(target)).transpose()?;
        let policy = &mut self.policies[index];
        let layer = &mut policy.layers[place];
        layer.minutes = new.minutes.unwrap_or(layer.minutes);
        layer.target = target.unwrap_or_else(|| layer.target.clone());
        if let Some(position) = new.position.filter(|position| *position != layer.position) {
            let mut layer = policy.layers.remove(place);
            layer.position = position;
            policy.insert(&layer);
        }
        Ok(index)
    }

    /// Removes a policy layer.
    pub fn remove_layer(&mut self, actor: usize, policy: Option<usize>, layer: Option<usize>) -> Expected<usize> {
        self.actor(actor)?;
        let index = self.policy_here(policy).ok_or("not_found")?;
        self.policies[index].layers.remove(layer.ok_or("not_found")?);
        Ok(index)
    }

    /// Rotates the layers of a policy by `by` places, and numbers them from 1.
    pub fn order_layers(&mut self, actor: usize, policy: Option<usize>, by: usize) -> Expected<usize> {
        self.actor(actor)?;
        let index = self.policy_here(policy).ok_or("not_found")?;
        let layers = &mut self.policies[index].layers;
        if !layers.is_empty() {
            let by = by % layers.len();
            layers.rotate_left(by);
        }
        layers.iter_mut().zip(1..).for_each(|(layer, position)| layer.position = position);
        Ok(index)
    }

    /// The policy that a new incident gets: the named one, else one with a layer that targets the schedule (section 6).
    pub(crate) fn attached(&self, policy: Option<Option<usize>>, schedule: Option<usize>) -> Expected<Option<usize>> {
        if let Some(policy) = policy {
            return self.policy_here(policy).ok_or("not_found").map(Some);
        }
        let Some(schedule) = schedule else { return Ok(None) };
        let mut found: Vec<_> = Vec::new();
        for (index, policy) in self.policies.iter().enumerate().filter(|(_, policy)| !policy.deleted) {
            let targeting = policy.layers.iter().filter(|layer| layer.target == Target::Schedule(schedule));
            found.extend(targeting.map(|layer| (layer.position, policy.created, policy.id.clone(), index)));
        }
        found.sort();
        Ok(found.first().map(|(.., index)| *index))
    }

    /// The members whom a target reaches at an instant.
    fn reached(&self, target: &Target, now: Millis) -> Vec<usize> {
        let users = match target {
            Target::Schedule(schedule) => self.on_call(*schedule, now).into_iter().collect(),
            Target::Users(users) => users.clone(),
        };
        users.into_iter().filter(|user| self.is_member(Some(*user))).collect()
    }

    fn page(&mut self, incident: usize, user: usize, reason: &'static str, now: Millis) {
        let at = self.incidents[incident].updated.max(now);
        let page = self.notifications.len();
        for (recipient, minutes) in self.ways(user) {
            let due = at + Millis::from(minutes) * MINUTE;
            self.add_notification(recipient, Content::Page(reason, incident), (at, due, page));
            if minutes == 0 {
                self.put_in(self.notifications.len() - 1, now);
            }
        }
    }

    /// Puts a notification at the end of an inbox.
    pub fn notify(&mut self, recipient: RecipientModel, content: Content, now: Millis, at: Millis) {
        self.add_notification(recipient, content, (at, at, self.notifications.len()));
        self.put_in(self.notifications.len() - 1, now);
    }

    fn add_notification(
        &mut self,
        recipient: RecipientModel,
        content: Content,
        (at, due, page): (Millis, Millis, usize),
    ) {
        let (attempts, failures, error, done, state) = (0, 0, String::new(), false, "waiting");
        let (place, last_byte) = (None, 0);
        let one = NotificationModel {
            content,
            recipient,
            at,
            due,
            page,
            place,
            attempts,
            failures,
            error,
            last_byte,
            done,
            editable: false,
            skipped: false,
            state,
        };
        self.notifications.push(one);
    }

    /// Puts a notification into its inbox, whose time has come.
    pub fn put_in(&mut self, index: usize, now: Millis) {
        let recipient = self.notifications[index].recipient;
        // An inbox that was empty can be claimed from now on.
        if self.first_notification(recipient).is_none() {
            self.ready.insert(recipient, now);
        }
        let places = self.notifications.iter().filter_map(|one| one.place);
        self.notifications[index].place = Some(places.max().map_or(0, |last| last + 1));
    }

    /// Has the pages of an incident since its last handoff that can be changed show what has become of it.
    pub(crate) fn edit_pages(&mut self, incident: usize, since: Option<Millis>, now: Millis) {
        let shows = |one: &NotificationModel| {
            one.editable
                && matches!(one.content, Content::Page(_, of) if of == incident)
                && since.is_none_or(|since| since <= one.at)
        };
        let all = self.notifications.iter().enumerate();
        let pages: Vec<_> = all.filter(|(_, one)| shows(one)).map(|(index, _)| index).collect();
        // The newest page is told first.
        pages.into_iter().rev().for_each(|page| self.edit_page(page, now));
    }

    /// As [`Org::edit_pages`], for one.
    pub(crate) fn edit_page(&mut self, page: usize, now: Millis) {
        let (content, recipient) = (self.notifications[page].content, self.notifications[page].recipient);
        if let Content::Page(reason, incident) = content
            && !self.is_gone(recipient)
        {
            self.notify(recipient, Content::Edit(reason, incident), now, now);
        }
    }

    /// The notifications that are due and in no inbox yet: when, when they were written, and where they are in the list.
    #[must_use]
    pub fn fall_due(&self, now: Millis) -> Vec<(Millis, Millis, usize)> {
        let later = self.notifications.iter().enumerate().filter(|(_, one)| one.place.is_none() && one.due <= now);
        later.map(|(index, one)| (one.due, one.at, index)).collect()
    }

    /// Withdraws the notification of an invitation.
    pub fn withdraw(&mut self, invitation: usize) {
        let waiting = self
            .notifications
            .iter_mut()
            .filter(|notification| notification.recipient == RecipientModel::Invited(invitation));
        waiting.for_each(|notification| notification.done = true);
    }

    /// Fires the first layer from a place on that reaches anybody; if none does, the run is exhausted.
    fn fire(&mut self, incident: usize, from: usize, now: Millis) {
        let layers = self.incidents[incident].run.as_ref().unwrap().layers.clone();
        for (place, layer) in layers.iter().enumerate().skip(from) {
            let users = self.reached(&layer.target, now);
            if users.is_empty() {
                self.incidents[incident].happened("layer_skipped", now, None, format!(" {}", layer.position));
                continue;
            }
            let ids: Vec<_> = users.iter().map(|user| self.members[*user].id.clone()).collect();
            users.into_iter().for_each(|user| self.page(incident, user, "escalation", now));
            let details = format!(" {} {}", layer.position, ids.join(" "));
            self.incidents[incident].happened("layer_paged", now, None, details);
            let run = self.incidents[incident].run.as_mut().unwrap();
            (run.current, run.due) = (Some(place), Some(now + layer.minutes * MINUTE));
            return;
        }
        self.incidents[incident].happened("escalation_exhausted", now, None, String::new());
        self.incidents[incident].run.as_mut().unwrap().due = None;
    }

    /// Starts the run of a new incident.
    pub(crate) fn start_run(&mut self, incident: usize, policy: usize, now: Millis) {
        let layers = self.policies[policy].layers.clone();
        self.incidents[incident].run = Some(RunModel { policy, layers, current: None, due: None });
        self.fire(incident, 0, now);
    }

    /// Acknowledges an incident.
    pub fn acknowledge(&mut self, actor: usize, now: Millis, index: Option<usize>) -> Expected<usize> {
        self.actor(actor)?;
        let index = index.ok_or("not_found")?;
        let incident = &mut self.incidents[index];
        if incident.acknowledged.is_none() && incident.status != RESOLVED {
            self.be_acknowledged(index, actor.into(), now);
        }
        Ok(index)
    }

    /// An incident is acknowledged by somebody.
    pub(crate) fn be_acknowledged(&mut self, index: usize, by: By, now: Millis) {
        let incident = &mut self.incidents[index];
        incident.acknowledged = Some((now.max(incident.updated), by));
        incident.event("incident_acknowledged", now, by);
        incident.stop(now, by);
        let since = incident.handed_off;
        self.edit_pages(index, since, now);
    }

    /// An acknowledgement does not hold any more: the current layer is paged again, and the pages of before stay superseded.
    pub(crate) fn be_paged_again(&mut self, index: usize, now: Millis) {
        self.incidents[index].acknowledged = None;
        // As with a handoff, those of the same instant are not of before.
        let at = self.incidents[index].updated.max(now);
        let of_before =
            |one: &NotificationModel| matches!(one.content, Content::Page(_, of) if of == index && one.at < at);
        let pages = |one: &&mut NotificationModel| of_before(one);
        self.notifications.iter_mut().filter(pages).for_each(|one| one.skipped = true);
        if let Some(current) = self.incidents[index].run.as_ref().and_then(|run| run.current) {
            self.fire(index, current, now);
        }
    }

    /// Hands an incident off.
    pub fn hand_off(
        &mut self,
        actor: usize,
        now: Millis,
        index: Option<usize>,
        target: Option<usize>,
    ) -> Expected<usize> {
        self.actor(actor)?;
        let index = index.ok_or("not_found")?;
        ensure(self.incidents[index].status != RESOLVED, "incident_resolved")?;
        ensure(self.is_member(target), "invalid_target_user")?;
        let target = target.unwrap();
        self.page(index, target, "handoff", now);
        let new = self.members[target].id.clone();
        let incident = &mut self.incidents[index];
        let previous = incident.owner.replace(target).map(|owner| self.members[owner].id.clone());
        incident.acknowledged = None;
        let since = incident.handed_off;
        incident.handed_off = Some(incident.updated.max(now));
        if let Some(run) = &mut incident.run {
            run.due = run.current.map(|current| now + run.layers[current].minutes * MINUTE);
        }
        let details = format!(" {} {new}", previous.unwrap_or_default());
        incident.happened("incident_handed_off", now, Some(actor.into()), details);
        self.edit_pages(index, since, now);
        Ok(index)
    }

    /// The incidents whose current layer has timed out.
    #[must_use]
    pub fn overdue(&self, now: Millis) -> Vec<Overdue> {
        let due = |(index, incident): (usize, &Incident)| {
            let due = incident.run.as_ref()?.due.filter(|due| *due <= now)?;
            Some((due, (0, incident.id.clone()), Waits::Run(index)))
        };
        self.incidents.iter().enumerate().filter_map(due).collect()
    }

    /// Times out the current layer of an incident, and fires the next one.
    pub fn time_out(&mut self, incident: usize, now: Millis) {
        let run = self.incidents[incident].run.as_ref().unwrap();
        let current = run.current.unwrap();
        let position = run.layers[current].position;
        self.incidents[incident].happened("layer_timed_out", now, None, format!(" {position}"));
        self.fire(incident, current + 1, now);
    }

    /// The inboxes that can be claimed: the number of the transport, since when, the digits of the recipient's id, and the
    /// recipient.
    #[must_use]
    pub fn claimable(&self, now: Millis) -> Vec<(usize, Millis, String, RecipientModel)> {
        let inboxes = self
            .ready
            .iter()
            .filter(|(recipient, ready)| **ready <= now && self.first_notification(**recipient).is_some());
        let id = |recipient: RecipientModel| match recipient {
            RecipientModel::Member(user) => self.members[user].id.replace("user_", ""),
            RecipientModel::Invited(invitation) => self.invitations[invitation].id.replace("orginv_", ""),
            RecipientModel::Method(_, method) => self.contacts[method].id.replace('-', ""),
            RecipientModel::Webhook(webhook) => self.webhooks[webhook].id.replace('-', ""),
        };
        let kind = |recipient: RecipientModel| match recipient {
            RecipientModel::Member(_) | RecipientModel::Invited(_) => 0,
            // The addresses are one of each kind, in the order of the kinds.
            RecipientModel::Method(_, method) => self.contacts[method].address,
            RecipientModel::Webhook(_) => 4,
        };
        inboxes.map(|(recipient, ready)| (kind(*recipient), *ready, id(*recipient), *recipient)).collect()
    }

    /// The place of the first notification that waits in an inbox.
    #[must_use]
    pub fn first_notification(&self, recipient: RecipientModel) -> Option<usize> {
        let waits = |one: &NotificationModel| one.recipient == recipient && !one.done && one.place.is_some();
        let waiting = self.notifications.iter().enumerate().filter(|(_, one)| waits(one));
        waiting.min_by_key(|(_, one)| one.place).map(|(index, _)| index)
    }

    /// The text that a reply about a notification must render to.
    #[must_use]
    pub fn shown_notification(&self, notification: &NotificationModel) -> String {
        let method = match notification.recipient {
            RecipientModel::Method(_, method) => format!(" over {}", self.contacts[method].id),
            _ => String::new(),
        };
        let what = match (notification.recipient, notification.content) {
            (RecipientModel::Member(user) | RecipientModel::Method(user, _), Content::Page(reason, incident)) => {
                format!("{reason} {} for {}{method}", self.incidents[incident].id, self.members[user].id)
            }
            (RecipientModel::Method(user, _), Content::Code) => format!("code for {}{method}", self.members[user].id),
            (RecipientModel::Member(user) | RecipientModel::Method(user, _), Content::Test) => {
                format!("test for {}{method}", self.members[user].id)
            }
            (RecipientModel::Invited(invitation), Content::Invitation) => {
                let invitation = &self.invitations[invitation];
                format!("invitation {} for {} with {}", invitation.id, invitation.email, invitation.token)
            }
            (RecipientModel::Webhook(webhook), Content::Event(incident, _)) => {
                format!("event of {} to {}", self.incidents[incident].id, self.webhooks[webhook].id)
            }
            (RecipientModel::Webhook(webhook), Content::Test) => format!("test to {}", self.webhooks[webhook].id),
            (RecipientModel::Method(user, _), Content::Edit(..)) => {
                format!("edit for {}{method}", self.members[user].id)
            }
            (RecipientModel::Member(user), Content::Disabled(time)) => {
                let (webhook, name, reason) = &self.disablings[time];
                let (user, webhook) = (&self.members[user].id, &self.webhooks[*webhook].id);
                format!("{webhook} {name:?} disabled: {reason}, for {user}")
            }
            other => panic!("{other:?}"),
        };
        let NotificationModel { at, attempts, failures, .. } = notification;
        format!("{what} at {at}, {attempts} attempts, {failures} failed")
    }

    /// Whether nobody needs a page any more: see section 9.
    #[must_use]
    pub fn is_superseded(&self, notification: &NotificationModel) -> bool {
        if let RecipientModel::Webhook(webhook) = notification.recipient {
            let webhook = &self.webhooks[webhook];
            let skipped = webhook.disabled.is_some() || notification.skipped;
            return webhook.deleted || skipped && notification.content != Content::Test;
        }
        let (Some(user), Content::Page(_, incident)) = (notification.recipient.user(), notification.content) else {
            return false;
        };
        let incident = &self.incidents[incident];
        let handed = incident.handed_off.is_some_and(|at| at > notification.at) && incident.owner != Some(user);
        incident.status == RESOLVED || incident.acknowledged.is_some() || handed || notification.skipped
    }

    /// The text that the pages of an incident must render to.
    #[must_use]
    pub fn shown_pages(&self, incident: usize) -> Vec<String> {
        let mut pages: BTreeMap<usize, (String, Vec<(Millis, String)>)> = BTreeMap::new();
        for one in &self.notifications {
            let (Some(user), Content::Page(reason, of)) = (one.recipient.user(), one.content) else { continue };
            if of != incident {
                continue;
            }
            let method = match one.recipient {
                RecipientModel::Method(_, method) => self.contacts[method].id.clone(),
                _ => "built-in".to_owned(),
            };
            let (state, due, tried, error) = (one.state, one.due, one.attempts, &one.error);
            let head = format!("{reason} for {} at {}", self.members[user].id, one.at);
            let delivery = format!("{state} over {method} due {due} tried {tried} {error:?}");
            pages.entry(one.page).or_insert((head, Vec::new())).1.push((due, delivery));
        }
        let mut shown = Vec::new();
        for (head, mut deliveries) in pages.into_values() {
            deliveries.sort_by_key(|(due, _)| *due);
            let deliveries: Vec<_> = deliveries.into_iter().map(|(_, delivery)| delivery).collect();
            shown.push(format!("{head}: {}", deliveries.join(", ")));
        }
        shown.sort();
        shown
    }

    /// Ends the claim of a notification that could not be sent now; gives when it can be claimed again, or `None` when it has failed.
    pub fn retry(&mut self, index: usize, reason: &str, asked: Millis, now: Millis) -> Option<Millis> {
        if let RecipientModel::Webhook(_) = self.notifications[index].recipient {
            return self.retry_webhook(index, reason, asked, now);
        }
        let one = &mut self.notifications[index];
        let edit = matches!(one.content, Content::Edit(..));
        let end = if edit { one.at } else { one.due } + 60 * MINUTE;
        if end <= now && one.failures >= 2 {
            self.fail(index, reason, now);
            return None;
        }
        one.failures += 1;
        reason.clone_into(&mut one.error);
        let wait = [5, 15, 30, 60, 120].get(one.failures as usize - 1).copied().unwrap_or(300) * 1_000;
        let again = now + asked.max(wait);
        let again = if now < end { again.min(end) } else { again };
        if edit {
            // It leaves the inbox until then.
            (one.place, one.due) = (None, again);
        }
        self.ready.insert(one.recipient, if edit { now } else { again });
        Some(again)
    }

    /// Ends a notification that cannot be delivered.
    pub fn fail(&mut self, index: usize, reason: &str, now: Millis) {
        let one = &mut self.notifications[index];
        (one.done, one.state) = (true, "failed");
        one.failures += 1;
        reason.clone_into(&mut one.error);
        self.ready.insert(one.recipient, now);
        let (recipient, content, at, page) = (one.recipient, one.content, one.at, one.page);
        if let (RecipientModel::Webhook(webhook), Content::Event(..)) = (recipient, content) {
            self.disable(webhook, reason, now);
        }
        if let (Some(user), Content::Page(why, incident)) = (recipient.user(), content) {
            let user = self.members[user].id.clone();
            self.incidents[incident].happened("page_failed", now, None, format!(" for {user}: {reason}"));
            let mut parts = self.notifications.iter().filter(|other| other.page == page);
            if parts.all(|other| !["waiting", "delivered"].contains(&other.state)) {
                let details = format!(" {why} for {user} at {at}");
                self.incidents[incident].happened("page_undeliverable", now, None, details);
            }
        }
    }

    /// The text that a preview must render to: for each layer its id, position, instant and users; then the end.
    pub fn preview(&self, actor: usize, policy: Option<usize>, at: Millis) -> Expected<String> {
        self.actor(actor)?;
        let policy = &self.policies[self.policy_here(policy).ok_or("not_found")?];
        let (mut now, mut text) = (at, String::new());
        for layer in &policy.layers {
            let users: Vec<_> =
                self.reached(&layer.target, now).into_iter().map(|user| self.members[user].id.clone()).collect();
            text += &format!("{} {} {now} {}; ", layer.id, layer.position, users.join(" "));
            if !users.is_empty() {
                now += layer.minutes * MINUTE;
            }
        }
        Ok(format!("{text}end {now}"))
    }
}

impl Policy {
    /// Inserts a layer at its position, moves the layers in the way one back, and gives its place.
    fn insert(&mut self, layer: &Layer) -> usize {
        let mut position = layer.position;
        // The layer at the position, and those directly behind it, are in the way.
        for other in self.layers.iter_mut().filter(|other| other.position >= layer.position) {
            if other.position == position {
                other.position += 1;
                position += 1;
            }
        }
        self.layers.push(layer.clone());
        self.layers.sort_by_key(|layer| layer.position);
        self.layers.iter().position(|other| other == layer).unwrap()
    }

    /// The text that a reply about the policy and its layers must render to.
    #[must_use]
    pub fn shown(&self, org: &Org) -> String {
        let target = |target: &Target| match target {
            Target::Schedule(schedule) => org.schedules[*schedule].id.clone(),
            Target::Users(users) => {
                users.iter().map(|user| org.members[*user].id.clone()).collect::<Vec<_>>().join(" ")
            }
        };
        let layers = self.layers.iter().map(|layer| {
            format!("{} at {} for {} pages {}; ", layer.id, layer.position, layer.minutes, target(&layer.target))
        });
        format!("{} {:?}: {}", self.id, self.name, layers.collect::<String>())
    }
}

impl Incident {
    /// Adds an event with details to the audit trail, and moves `updated`.
    pub(super) fn happened(&mut self, event: &'static str, now: Millis, actor: Option<By>, details: String) {
        self.updated = self.updated.max(now);
        self.trail.push((event, self.updated, actor, details));
    }

    /// Stops a run that waits, when somebody acknowledges or resolves the incident.
    pub(crate) fn stop(&mut self, now: Millis, actor: impl Into<By>) {
        if self.run.as_mut().is_some_and(|run| run.due.take().is_some()) {
            self.event("escalation_stopped", now, actor);
        }
    }
}
