//! What rules see of policies.

use super::{PastPolicyLayer, Policy, PolicyLayer};
use crate::error::Error;
use crate::id::{PolicyId, ScheduleId, UserId};
use crate::text::PolicyName;

/// Escalation policies and their layers of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The cost of each is that of its answer,
/// however much else there is.
pub trait EscalationPort {
    /// An escalation policy.
    fn policy(&self, id: PolicyId) -> Result<Option<Policy>, Error>;
    /// The policy that has this name now.
    fn policy_named(&self, name: &PolicyName) -> Result<Option<PolicyId>, Error>;
    /// The policies, by name.
    fn policies(&self) -> Result<Vec<Policy>, Error>;
    /// The layers of a policy as they are now, in any order.
    fn policy_layers(&self, policy: PolicyId) -> Result<Vec<PolicyLayer>, Error>;
    /// The layers of one earlier revision of a policy that a run has started on, or of all of them.
    fn past_policy_layers(&self, policy: PolicyId, revision: Option<u32>) -> Result<Vec<PastPolicyLayer>, Error>;
    /// The policies with a layer that names the user now; one may appear several times.
    fn policies_of(&self, user: UserId) -> Result<Vec<PolicyId>, Error>;
    /// The policy with the first layer that targets the schedule: smallest position, then oldest policy.
    fn policy_for_schedule(&self, schedule: ScheduleId) -> Result<Option<PolicyId>, Error>;
    /// Whether the policy is attached to an unresolved incident.
    fn policy_in_use(&self, id: PolicyId) -> Result<bool, Error>;
}
