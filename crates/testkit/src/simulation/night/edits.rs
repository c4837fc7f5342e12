//! What members change in a simulated night: overrides, rotation layers, policies, the team.

use std::time::Duration;

use dogwatch_core::UserId;
use dogwatch_core::escalation::{
    AckTimeout, AddPolicyLayer, EditPolicyLayer, GetPolicy, OrderPolicyLayers, Position, RemovePolicyLayer, Target,
};
use dogwatch_core::id::{PolicyId, PolicyLayerId, ScheduleId};
use dogwatch_core::oncall::{AddRotationLayer, CreateOverride, EditRotationLayer, LayerSettings, RotationLength};
use dogwatch_core::team::RemoveMember;

use super::Night;

impl Night {
    /// A member changes who is on call, a policy, a status page, or the team. The rules may refuse the change.
    pub(super) fn edit(&mut self) {
        let (admin, now) = (self.admin, self.now());
        let schedule = *self.random.pick(&self.schedules).unwrap();
        let policy = *self.random.pick(&self.policies).unwrap();
        let hours = |hours: i64| now.plus(Duration::from_secs(3_600 * u64::try_from(hours).unwrap()));
        match self.random.below(18) {
            0 | 1 => {
                let (from, length) = (self.random.between(0, 2), self.random.between(1, 8));
                let user = self.somebody();
                let command = CreateOverride::new(schedule, user, hours(from), hours(from + length));
                let _ = self.engine().execute(command, &admin);
            }
            2 => {
                let people = self.several();
                let settings = LayerSettings::new(RotationLength::DAILY, "09:00".parse().unwrap(), now, people);
                let name = format!("layer {}", self.rotations.len()).parse().unwrap();
                let add = AddRotationLayer { schedule_id: schedule, name, settings };
                if let Ok(layer) = self.engine().execute(add, &admin) {
                    self.rotations.push((schedule, layer.id));
                }
            }
            3 => {
                let (Some((schedule, layer)), people) = (self.random.pick(&self.rotations).copied(), self.several())
                else {
                    return;
                };
                let edit =
                    EditRotationLayer { participant_ids: Some(people), ..EditRotationLayer::new(schedule, layer) };
                let _ = self.engine().execute(edit, &admin);
            }
            4..=7 => {
                let position = Position::new(self.random.between(1, 5)).unwrap();
                let (ack_timeout, target) = (self.timeout(), self.target(schedule));
                let _ =
                    self.engine().execute(AddPolicyLayer { policy_id: policy, position, ack_timeout, target }, &admin);
            }
            8 => {
                let layers = self.layers(policy);
                let Some(layer) = self.random.pick(&layers).copied() else { return };
                let edit = EditPolicyLayer {
                    position: Some(Position::new(self.random.between(1, 5)).unwrap()),
                    ack_timeout: Some(self.timeout()),
                    target: Some(self.target(schedule)),
                    ..EditPolicyLayer::new(policy, layer)
                };
                let _ = self.engine().execute(edit, &admin);
            }
            9 => {
                let layers = self.layers(policy);
                let Some(layer) = self.random.pick(&layers).copied() else { return };
                let _ = self.engine().execute(RemovePolicyLayer { policy_id: policy, layer_id: layer }, &admin);
            }
            10 => {
                let mut layer_ids = self.layers(policy);
                layer_ids.reverse();
                let _ = self.engine().execute(OrderPolicyLayers { policy_id: policy, layer_ids }, &admin);
            }
            11..=16 => self.edit_page(),
            _ => {
                let user = self.somebody();
                if self.random.one_in(3) && self.engine().execute(RemoveMember { user_id: user }, &admin).is_ok() {
                    self.auditor.members.remove(&user);
                    self.join();
                }
            }
        }
    }

    fn layers(&self, policy: PolicyId) -> Vec<PolicyLayerId> {
        let policy = self.engine().query(&GetPolicy { id: policy }, &self.admin).unwrap();
        policy.layers.iter().flatten().map(|layer| layer.id).collect()
    }

    fn timeout(&mut self) -> AckTimeout {
        AckTimeout::from_minutes(*self.random.pick(&[1, 2, 5, 5, 15, 60, 10_080]).unwrap()).unwrap()
    }

    fn several(&mut self) -> Vec<UserId> {
        let count = self.random.between(1, 3);
        let mut people: Vec<_> = (0..count).map(|_| self.somebody()).collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    fn target(&mut self, schedule: ScheduleId) -> Target {
        if self.random.one_in(3) { Target::Schedule(schedule) } else { Target::users(self.several()).unwrap() }
    }
}
