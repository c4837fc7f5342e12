//! What admins do to integrations in a simulated night: other settings, new tokens, and deleting them.

use dogwatch_core::Patch;
use dogwatch_core::id::IntegrationId;
use dogwatch_core::integration::{
    DeleteIntegration, EditIntegration, GetIntegration, Heartbeat, IntegrationKind, IntegrationView, ListIntegrations,
    NewToken, RotateIntegrationToken, Settings, SeverityOutcome,
};
use dogwatch_core::{Code, Secret};
use dogwatch_store::{Error, Pending};

use super::super::auditor::ensure;
use super::super::{Change, Complaint, Random};
use super::Night;
use super::monitors::Monitor;

/// The most integrations that are deleted in a night.
const MOST_DELETED: usize = 3;

/// A change that was handed in, and waits for its answer.
pub(super) enum Handed {
    Edit(Pending<IntegrationView>),
    Rotate(Pending<NewToken>),
    Delete(Pending<IntegrationId>),
}

impl Handed {
    /// The new token, if it is one.
    fn wait(self) -> Result<Option<Secret>, Error> {
        Ok(match self {
            Self::Edit(pending) => pending.wait().map(|_| None)?,
            Self::Rotate(pending) => Some(pending.wait()?.token),
            Self::Delete(pending) => pending.wait().map(|_| None)?,
        })
    }
}

impl Night {
    /// An admin changes an integration, and waits for the answer.
    pub(super) fn change_integration(&mut self) -> Result<(), Complaint> {
        self.replace_deleted()?;
        if self.random.one_in(10) {
            self.take_a_name()?;
        }
        let place = self.some_to_change();
        let change = self.change_of(place);
        let handed = self.hand_in_change(place, &change);
        self.change_answered(place, change, handed);
        self.audit(&[], None)
    }

    /// An integration to change: that over which something came in last, as it may wait; a heartbeat, as it always does; or any.
    fn some_to_change(&mut self) -> usize {
        let beats = |monitor: &Monitor| monitor.kind == IntegrationKind::Heartbeat && !monitor.deleted;
        let heartbeat = self.monitors.iter().position(beats);
        match self.random.below(4) {
            0 | 1 => self.reported,
            2 => heartbeat.unwrap_or_else(|| self.some_monitor()),
            _ => self.some_monitor(),
        }
    }

    /// What an admin does next to an integration.
    pub(super) fn change_of(&mut self, place: usize) -> Change {
        let deleted = self.monitors.iter().filter(|monitor| monitor.deleted).count();
        match self.random.below(12) {
            0 if deleted < MOST_DELETED => Change::Delete,
            1..=3 => {
                let monitor = &mut self.monitors[place];
                monitor.rotations += 1;
                Change::Rotate(monitor.rotations)
            }
            _ => Change::Edit(Box::new(self.other_settings(place))),
        }
    }

    /// One or two other settings; of what is no heartbeat, perhaps a period, which is refused.
    fn other_settings(&mut self, place: usize) -> EditIntegration {
        let mut edit = EditIntegration::new(self.monitors[place].id);
        let beats = self.monitors[place].kind == IntegrationKind::Heartbeat;
        if beats && self.random.one_in(2) {
            edit.period_seconds = self.random.pick(&[60, 300, 600]).copied();
        }
        for _ in 0..self.random.between(1, 2) {
            match self.random.below(12) {
                0..=2 => edit.pause_seconds = self.random.pick(&[0, 60, 600, 1_800]).copied(),
                3..=5 => edit.resolve_after_seconds = self.random.pick(&[0, 30, 300, 1_800]).copied(),
                6 => {
                    let outcome = if self.random.one_in(3) { SeverityOutcome::Drop } else { SeverityOutcome::Incident };
                    let of = &mut edit.severities;
                    let which = [&mut of.critical, &mut of.high, &mut of.medium, &mut of.low];
                    let place = usize::try_from(self.random.below(4)).unwrap();
                    which.into_iter().skip(place).take(1).for_each(|it| *it = Some(outcome));
                }
                7 => edit.component_id = set_or_clear(&mut self.random, &self.components),
                8 => edit.owner_schedule_id = set_or_clear(&mut self.random, &self.schedules),
                9 => edit.escalation_policy_id = set_or_clear(&mut self.random, &self.policies),
                10 => {
                    let monitor = &mut self.monitors[place];
                    monitor.names += 1;
                    monitor.name = format!("{} {}", monitor.first_name, monitor.names);
                    edit.name = monitor.name.parse().ok();
                }
                _ if beats || self.random.one_in(3) => {
                    edit.period_seconds = self.random.pick(&[60, 300, 600]).copied();
                    edit.grace_seconds = self.random.pick(&[0, 90]).copied().filter(|_| self.random.one_in(2));
                }
                _ => {}
            }
        }
        edit
    }

    /// Hands a change in; an error when that is not possible.
    pub(super) fn hand_in_change(&self, place: usize, change: &Change) -> Result<Handed, Error> {
        let (engine, admin, id) = (self.engine(), &self.admin, self.monitors[place].id);
        match change {
            Change::Edit(edit) => engine.submit((**edit).clone(), admin).map(Handed::Edit),
            Change::Rotate(_) => engine.submit(RotateIntegrationToken::new(id), admin).map(Handed::Rotate),
            Change::Delete => engine.submit(DeleteIntegration::new(id), admin).map(Handed::Delete),
        }
    }

    /// Waits for the answer to a change that was handed in. A new token whose answer is lost is known to nobody.
    pub(super) fn change_answered(&mut self, place: usize, change: Change, handed: Result<Handed, Error>) -> bool {
        let Ok(handed) = handed else { return true };
        let monitor = &mut self.monitors[place];
        let done = match (handed.wait(), &change) {
            (Ok(token), change) => {
                if let (Some(token), Change::Rotate(number)) = (token, change) {
                    monitor.newest = Some((token, *number));
                }
                monitor.deleted |= matches!(change, Change::Delete);
                Some(true)
            }
            // A fault has kept it from being decided: it certainly did not happen.
            (Err(Error::Refused(error)), _) if error.code() == Code::Internal => return true,
            (Err(Error::Refused(_)), _) => Some(false),
            (Err(_), _) => None,
        };
        self.auditor.monitors.changed(monitor.id, change, done);
        done.is_some()
    }

    /// An integration cannot take the name of another one.
    fn take_a_name(&mut self) -> Result<(), Complaint> {
        let listed = self.engine().query(&ListIntegrations, &self.admin).map_err(|error| error.to_string())?;
        let [first, .., last] = &listed[..] else { return Ok(()) };
        let edit = EditIntegration { name: Some(last.setting.name.clone()), ..EditIntegration::new(first.setting.id) };
        let taken = self.engine().execute(edit, &self.admin);
        let refused = matches!(&taken, Err(error) if error.code() == Code::NameConflict);
        ensure!(refused, "an integration took the name of another one: {taken:?}");
        Ok(())
    }

    /// Finds out which integrations are gone, after answers were lost.
    pub(super) fn refresh_monitors(&mut self) -> Result<(), Complaint> {
        let listed = self.engine().query(&ListIntegrations, &self.admin).map_err(|error| error.to_string())?;
        for monitor in &mut self.monitors {
            monitor.deleted = !listed.iter().any(|view| view.setting.id == monitor.id);
        }
        Ok(())
    }

    /// In the place of each integration that was deleted comes one like it, which may have its name. Its monitor goes on in vain.
    fn replace_deleted(&mut self) -> Result<(), Complaint> {
        for place in 0..self.monitors.len() {
            let monitor = &mut self.monitors[place];
            if !monitor.deleted || monitor.replaced {
                continue;
            }
            monitor.replaced = true;
            let (id, kind) = (monitor.id, monitor.kind);
            let gone = self.engine().query(&GetIntegration::new(id), &self.admin);
            ensure!(gone.is_err(), "{id} was deleted, and is shown: {gone:?}");
            let heartbeat = Heartbeat::new(60, 90).ok().filter(|_| kind == IntegrationKind::Heartbeat);
            let name = self.monitors[place].name.clone();
            self.set_up(&name, kind, &Settings { heartbeat, ..Settings::default() });
        }
        Ok(())
    }
}

/// One of these, or none.
fn set_or_clear<T: Copy>(random: &mut Random, of: &[T]) -> Patch<T> {
    let some = if random.one_in(3) { None } else { random.pick(of).copied() };
    some.map_or(Patch::Clear, Patch::Set)
}
