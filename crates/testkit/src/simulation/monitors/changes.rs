//! What a change of an integration does, by section 14 of the contract: it holds for what comes in later, and waits that have begun end
//! when they would have.

use dogwatch_core::integration::{EditIntegration, IntegrationSetting};

use super::posts::Change;
use super::world::World;

impl World {
    /// Takes a change; whether what was answered can be true: whether it was done. Without an answer, anything can.
    pub(super) fn changes(&mut self, change: &Change, done: Option<bool>) -> bool {
        let can = !self.deleted && self.may_be(change);
        if !can || done == Some(false) {
            return done.is_none_or(|done| done == can);
        }
        match change {
            Change::Edit(edit) => {
                edit_setting(&mut self.setting, edit);
                self.set_anew = true;
                // A beat that is waited for is missed by the new period.
                if self.silent_at.is_some() {
                    self.silent_at = self.last_at.and_then(|last| self.missed_after(last));
                }
            }
            // The old token does not work any more, and whoever has the new one confirms a topic anew.
            Change::Rotate(token) => (self.token, self.topic) = (*token, None),
            // Nothing comes in any more, and no beat is waited for; groups go on by themselves.
            Change::Delete => (self.deleted, self.silent_at) = (true, None),
        }
        true
    }

    /// A period is for heartbeats only.
    fn may_be(&self, change: &Change) -> bool {
        match change {
            Change::Edit(edit) => {
                self.is_heartbeat() || (edit.period_seconds.is_none() && edit.grace_seconds.is_none())
            }
            Change::Rotate(_) | Change::Delete => true,
        }
    }
}

/// What an edit names becomes as it says, and all else stays.
fn edit_setting(setting: &mut IntegrationSetting, edit: &EditIntegration) {
    let number = |edited: Option<i64>, now: u32| edited.map_or(now, |it| u32::try_from(it).unwrap());
    setting.name = edit.name.clone().unwrap_or_else(|| setting.name.clone());
    setting.component_id = edit.component_id.apply(setting.component_id);
    setting.owner_schedule_id = edit.owner_schedule_id.apply(setting.owner_schedule_id);
    setting.escalation_policy_id = edit.escalation_policy_id.apply(setting.escalation_policy_id);
    setting.pause_seconds = number(edit.pause_seconds, setting.pause_seconds);
    setting.resolve_after_seconds = number(edit.resolve_after_seconds, setting.resolve_after_seconds);
    setting.period_seconds = setting.period_seconds.map(|now| number(edit.period_seconds, now));
    setting.grace_seconds = setting.grace_seconds.map(|now| number(edit.grace_seconds, now));
    let (now, edited) = (&mut setting.severities, &edit.severities);
    for (now, edited) in [
        (&mut now.critical, edited.critical),
        (&mut now.high, edited.high),
        (&mut now.medium, edited.medium),
        (&mut now.low, edited.low),
    ] {
        *now = edited.unwrap_or(*now);
    }
}
