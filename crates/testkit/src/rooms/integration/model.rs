//! The model of integrations (contract, section 14): the resource itself. What comes in is in [`super::receive`].

use crate::model::{Expected, Millis, ensure};
use crate::ops::Field;
use crate::rooms::Org;

use super::receive::{Group, SignalModel, State};

/// The kinds of integrations.
pub(crate) const KINDS: [&str; 5] = ["pagerduty", "alertmanager", "generic", "heartbeat", "cloudwatch"];
/// The kind whose alerts have no groups.
pub(super) const PAGERDUTY: usize = 0;
/// The kind whose sender only says that it is alive.
pub(super) const HEARTBEAT: usize = 3;
/// The kind that reports over a topic of SNS.
pub(super) const CLOUDWATCH: usize = 4;

/// An integration.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct IntegrationModel {
    pub id: String,
    pub name: String,
    pub kind: usize,
    pub component: Option<usize>,
    pub schedule: Option<usize>,
    pub policy: Option<usize>,
    /// Which severities are dropped, the worst first.
    pub drops: [bool; 4],
    pub pause: i64,
    pub quiet: i64,
    /// Period and grace, of a heartbeat.
    pub beats: Option<(i64, i64)>,
    pub created: Millis,
    /// The tokens that it had, the present one last.
    pub tokens: Vec<String>,
    pub deleted: bool,
    /// When something last came in.
    pub last: Option<Millis>,
    pub groups: Vec<Group>,
    /// Signals that were over before their incident was opened, and whose reports have acted.
    pub forgotten: Vec<SignalModel>,
    /// How many signals it has had.
    pub signals: usize,
    /// When groups began that are no storm, oldest first.
    pub begun: Vec<Millis>,
    /// The last storm: when it began, and when it was last joined.
    pub storm: Option<(Millis, Millis)>,
    /// When the last beat came, while the next one is waited for.
    pub beat: Option<Millis>,
    /// The topic that was confirmed first since the token was made.
    pub topic: Option<usize>,
}

impl IntegrationModel {
    /// When the next beat is missed.
    #[must_use]
    pub fn silent_at(&self) -> Option<Millis> {
        let (period, grace) = self.beats.filter(|_| !self.deleted)?;
        self.beat.map(|beat| beat + (period + grace) * 1_000)
    }

    /// When something of it goes on by itself.
    #[must_use]
    pub fn due(&self) -> Option<Millis> {
        self.groups.iter().filter_map(Group::due).chain(self.silent_at()).min()
    }

    /// The text that a reply about it must render to, but for when something last came in.
    #[must_use]
    pub fn shown(&self, org: &Org) -> String {
        let Self { id, name, kind, drops, pause, quiet, beats, created, .. } = self;
        let component = self.component.map(|one| org.components[one].id.clone());
        let schedule = self.schedule.map(|one| org.schedules[one].id.clone());
        let policy = self.policy.map(|one| org.policies[one].id.clone());
        let kind = KINDS[*kind];
        format!(
            "{id} {name:?} {kind} {component:?} {schedule:?} {policy:?} {drops:?} {pause} {quiet} {beats:?} {created}"
        )
    }
}

/// What an integration shall have; on creation, what is not given is absent. A place is `None` where nobody in the organization has
/// the id.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub(crate) struct IntegrationInput {
    pub component: Field<Option<usize>>,
    pub schedule: Field<Option<usize>>,
    pub policy: Field<Option<usize>>,
    pub drops: [Option<bool>; 4],
    pub pause: Option<i64>,
    pub quiet: Option<i64>,
    pub period: Option<i64>,
    pub grace: Option<i64>,
}

impl IntegrationInput {
    fn fits(&self) -> Expected<()> {
        let within = |value: Option<i64>, least, most| value.is_none_or(|value| (least..=most).contains(&value));
        ensure(within(self.pause, 0, 3_600) && within(self.quiet, 0, 86_400), "validation_error")?;
        ensure(within(self.period, 1, 2_678_400) && within(self.grace, 0, 86_400), "validation_error")
    }
}

/// A reference as it is after an edit, or the code of the refusal.
fn refers(
    field: &Field<Option<usize>>,
    before: Option<usize>,
    here: impl Fn(usize) -> bool,
    code: &'static str,
) -> Expected<Option<usize>> {
    match field {
        Field::Keep => Ok(before),
        Field::Clear => Ok(None),
        Field::Set(place) => place.filter(|place| here(*place)).ok_or(code).map(Some),
    }
}

impl Org {
    /// The integration at this place, if it is there.
    pub(super) fn integration_here(&self, index: Option<usize>) -> Expected<usize> {
        index.filter(|index| !self.integrations[*index].deleted).ok_or("not_found")
    }

    fn integration_name_free(&self, name: &str, own: Option<usize>) -> Expected<()> {
        let mut others = self.integrations.iter().enumerate().filter(|(index, _)| Some(*index) != own);
        ensure(!others.any(|(_, one)| !one.deleted && one.name == name), "name_conflict")
    }

    /// What an integration names after an edit.
    fn named(&self, one: &IntegrationModel, new: &IntegrationInput) -> Expected<[Option<usize>; 3]> {
        let component = |index: usize| !self.components[index].deleted;
        let schedule = |index| self.schedule_here(Some(index)).is_some();
        let policy = |index| self.policy_here(Some(index)).is_some();
        Ok([
            refers(&new.component, one.component, component, "invalid_component_id")?,
            refers(&new.schedule, one.schedule, schedule, "not_found")?,
            refers(&new.policy, one.policy, policy, "not_found")?,
        ])
    }

    /// Creates an integration and gives its place; its id and its token are learnt later.
    pub(super) fn create_integration(
        &mut self,
        actor: usize,
        now: Millis,
        (name, kind): (&str, usize),
        new: &IntegrationInput,
    ) -> Expected<usize> {
        self.admin(actor)?;
        new.fits()?;
        ensure(new.period.is_some() == (kind == HEARTBEAT), "validation_error")?;
        self.integration_name_free(name, None)?;
        let mut one = IntegrationModel {
            id: String::new(),
            name: name.to_owned(),
            kind,
            component: None,
            schedule: None,
            policy: None,
            drops: new.drops.map(|drops| drops.unwrap_or(false)),
            pause: new.pause.unwrap_or(0),
            quiet: new.quiet.unwrap_or(300),
            beats: new.period.map(|period| (period, new.grace.unwrap_or(0))),
            created: now,
            tokens: Vec::new(),
            deleted: false,
            last: None,
            groups: Vec::new(),
            forgotten: Vec::new(),
            signals: 0,
            begun: Vec::new(),
            storm: None,
            beat: None,
            topic: None,
        };
        [one.component, one.schedule, one.policy] = self.named(&one, new)?;
        ensure(self.integrations.iter().filter(|one| !one.deleted).count() < 200, "limit_reached")?;
        self.integrations.push(one);
        Ok(self.integrations.len() - 1)
    }

    /// Changes an integration and gives its place.
    pub(super) fn edit_integration(
        &mut self,
        actor: usize,
        index: Option<usize>,
        name: Option<&String>,
        new: &IntegrationInput,
    ) -> Expected<usize> {
        self.admin(actor)?;
        new.fits()?;
        let index = self.integration_here(index)?;
        let mut one = self.integrations[index].clone();
        ensure(one.kind == HEARTBEAT || (new.period, new.grace) == (None, None), "validation_error")?;
        if let Some(name) = name {
            self.integration_name_free(name, Some(index))?;
            one.name.clone_from(name);
        }
        [one.component, one.schedule, one.policy] = self.named(&one, new)?;
        for (drops, new) in one.drops.iter_mut().zip(new.drops) {
            *drops = new.unwrap_or(*drops);
        }
        one.pause = new.pause.unwrap_or(one.pause);
        one.quiet = new.quiet.unwrap_or(one.quiet);
        one.beats = one.beats.map(|(period, grace)| (new.period.unwrap_or(period), new.grace.unwrap_or(grace)));
        self.integrations[index] = one;
        Ok(index)
    }

    /// Deletes an integration: its groups go on by themselves.
    pub(super) fn delete_integration(&mut self, actor: usize, index: Option<usize>) -> Expected<()> {
        self.admin(actor)?;
        let index = self.integration_here(index)?;
        self.integrations[index].deleted = true;
        Ok(())
    }

    /// Gives an integration another token, which is learnt later; a topic has to be confirmed anew.
    pub(super) fn rotate_integration(&mut self, actor: usize, index: Option<usize>) -> Expected<usize> {
        self.admin(actor)?;
        let index = self.integration_here(index)?;
        self.integrations[index].topic = None;
        Ok(index)
    }

    /// The integration of a kind whose token this is.
    pub(super) fn holder(&self, token: &str, kind: usize) -> Expected<usize> {
        let has = |one: &IntegrationModel| {
            !one.deleted && one.kind == kind && one.tokens.last().is_some_and(|last| last == token)
        };
        self.integrations.iter().position(has).ok_or("invalid_api_key")
    }

    /// The signals of an incident that an integration has opened, as texts, with their first instants.
    pub(crate) fn shown_signals(&self, incident: usize) -> Vec<(Millis, String)> {
        let groups = self.integrations.iter().flat_map(|one| &one.groups);
        let of_it = groups.filter(|group| group.incident == Some(incident));
        let shown = of_it.flat_map(|group| &group.signals).map(|signal| (signal.first, signal.shown()));
        let mut shown: Vec<_> = shown.collect();
        shown.sort();
        shown
    }

    /// Nothing joins the groups of an incident any more once it is resolved, by whomever.
    pub(crate) fn close_groups(&mut self, incident: usize) {
        let groups = self.integrations.iter_mut().flat_map(|one| &mut one.groups);
        groups.filter(|group| group.incident == Some(incident)).for_each(|group| group.state = State::Closed);
    }
}
