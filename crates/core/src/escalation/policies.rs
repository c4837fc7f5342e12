//! Creating, changing and deleting policies (contract, section 9).

use super::query::PolicyView;
use super::{Policy, find};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::id::PolicyId;
use crate::integration::{Named, refers};
use crate::patch::Patch;
use crate::text::{Description, PolicyName};
use crate::world::{Change, Write};
use crate::{checks, limits};

seal!(CreatePolicy, EditPolicy, DeletePolicy);

/// Creates an escalation policy, without layers (contract, section 9). Codes, in the order of the checks: `name_conflict`,
/// `limit_reached`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePolicy {
    /// Its name: 1–255 characters, unique among the policies of the organization.
    pub name: PolicyName,
    /// What it is for: at most 1,000 characters.
    pub description: Option<Description>,
}

impl CreatePolicy {
    /// A policy with a name, and nothing else that is optional.
    #[must_use]
    pub const fn new(name: PolicyName) -> Self {
        Self { name, description: None }
    }
}

impl Command for CreatePolicy {
    type Caller = ByMember;
    type Reply = PolicyView;
    const CODES: &'static [Code] = &[Code::NameConflict, Code::LimitReached];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<PolicyView, Error> {
        checks::name_is_free(cx.world.policy_named(&self.name)?, None, "escalation policy", &self.name)?;
        cx.count(|counts| checks::one_more(&mut counts.policies, limits::POLICIES, "escalation policies"))?;
        let policy = Policy {
            id: cx.ids.fresh(cx.now),
            org_id: cx.world.org_id(),
            name: self.name,
            description: self.description,
            created_by: by.user_id,
            created_at: cx.now,
            updated_at: cx.now,
            revision: 0,
            in_use: false,
        };
        cx.write(Write::Policy(Change::created(policy.clone())));
        Ok(PolicyView::of(&policy))
    }
}

/// Changes a policy's own fields; its layers have commands of their own (contract, section 9). Codes, in the order of the
/// checks: `not_found`, `name_conflict`. Changing nothing succeeds and writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditPolicy {
    /// The policy to change.
    pub id: PolicyId,
    /// Its new name: 1–255 characters, unique among the policies of the organization; `None` keeps the old one.
    pub name: Option<PolicyName>,
    /// What it is for: at most 1,000 characters.
    pub description: Patch<Description>,
}

impl EditPolicy {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(id: PolicyId) -> Self {
        Self { id, name: None, description: Patch::Keep }
    }
}

impl Command for EditPolicy {
    type Caller = ByMember;
    type Reply = PolicyView;
    const CODES: &'static [Code] = &[Code::NotFound, Code::NameConflict];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<PolicyView, Error> {
        let before = find(cx.world, self.id)?;
        let mut after = before.clone();
        if let Some(name) = self.name {
            checks::name_is_free(cx.world.policy_named(&name)?, Some(self.id), "escalation policy", &name)?;
            after.name = name;
        }
        after.description = self.description.apply(after.description);
        if after != before {
            after.updated_at = cx.now.max(before.updated_at);
            cx.write(Write::Policy(Change::edited(before, after.clone())));
        }
        Ok(PolicyView::of(&after))
    }
}

/// Deletes a policy with its layers (contract, section 9). Resolved incidents keep its id. Codes, in the order of the checks:
/// `not_found`, `policy_in_use` (attached to an unresolved incident).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletePolicy {
    /// The policy to delete.
    pub id: PolicyId,
}

impl DeletePolicy {
    /// The deletion of this policy.
    #[must_use]
    pub const fn new(id: PolicyId) -> Self {
        Self { id }
    }
}

impl Command for DeletePolicy {
    type Caller = ByMember;
    type Reply = PolicyId;
    const CODES: &'static [Code] = &[Code::NotFound, Code::PolicyInUse];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<PolicyId, Error> {
        let policy = find(cx.world, self.id)?;
        if cx.world.policy_in_use(self.id)? {
            return Err(Error::refused(Code::PolicyInUse, "the policy is attached to an unresolved incident"));
        }
        if refers(cx.world, &Named::Policy(self.id))? {
            return Err(Error::refused(Code::PolicyInUse, "an integration names the policy"));
        }
        for layer in cx.world.policy_layers(self.id)? {
            cx.write(Write::PolicyLayer(Change::gone(layer)));
        }
        for layer in cx.world.past_policy_layers(self.id, None)? {
            cx.write(Write::PastPolicyLayer(Change::gone(layer)));
        }
        cx.count(|counts| {
            counts.policies = counts.policies.saturating_sub(1);
            Ok(())
        })?;
        cx.write(Write::Policy(Change::gone(policy)));
        Ok(self.id)
    }
}
