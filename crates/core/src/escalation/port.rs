//! How the rules read escalation policies.

use super::{PastPolicyLayer, Policy, PolicyLayer};
use crate::error::Error;
use crate::id::{PolicyId, ScheduleId, UserId};
use crate::text::PolicyName;

/// The escalation policies of one organization and their layers, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait EscalationPort {
    /// The policy with this id.
    fn policy(&self, id: PolicyId) -> Result<Option<Policy>, Error> {
        let _ = id;
        Ok(None)
    }
    /// The policy that has this name now.
    fn policy_named(&self, name: &PolicyName) -> Result<Option<PolicyId>, Error> {
        let _ = name;
        Ok(None)
    }
    /// All policies, by name.
    fn policies(&self) -> Result<Vec<Policy>, Error> {
        Ok(Vec::new())
    }
    /// The layers of a policy as they are now, in any order.
    fn policy_layers(&self, policy: PolicyId) -> Result<Vec<PolicyLayer>, Error> {
        let _ = policy;
        Ok(Vec::new())
    }
    /// The layers of an earlier revision of a policy on which a run has started, or with `None` of all such revisions.
    fn past_policy_layers(&self, policy: PolicyId, revision: Option<u32>) -> Result<Vec<PastPolicyLayer>, Error> {
        let _ = (policy, revision);
        Ok(Vec::new())
    }
    /// The policies of the layers whose target lists the user now, one for each, at most `most`.
    fn policies_of(&self, user: UserId, most: usize) -> Result<Vec<PolicyId>, Error> {
        let _ = (user, most);
        Ok(Vec::new())
    }
    /// The policy with a layer that targets the schedule; several: smallest position of such a layer, then oldest policy.
    fn policy_for_schedule(&self, schedule: ScheduleId) -> Result<Option<PolicyId>, Error> {
        let _ = schedule;
        Ok(None)
    }
    /// Whether the policy is attached to an unresolved incident.
    fn policy_in_use(&self, id: PolicyId) -> Result<bool, Error> {
        let _ = id;
        Ok(false)
    }
}
