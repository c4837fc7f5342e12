//! A policy with its layers, and what an incident knows of its escalation, as they are stored.

use super::{AckTimeout, Run};
use crate::id::{OrgId, PolicyId, PolicyLayerId, ScheduleId, UserId};
use crate::text::{Description, PolicyName};
use crate::time::Timestamp;
use crate::validation::Problem;

/// An escalation policy as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The policy's id.
    pub id: PolicyId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its name: 1–255 characters, unique among the policies of the organization.
    pub name: PolicyName,
    /// What it is for: at most 1,000 characters.
    pub description: Option<Description>,
    /// The user who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its own fields were last changed.
    pub updated_at: Timestamp,
    /// The number of the present revision of its layers: 0 at first, one more with each edit of a revision in use.
    pub revision: u32,
    /// Whether a run has started on this revision. If so, an edit keeps its layers and begins a new revision.
    pub in_use: bool,
}

/// The position of a policy layer: 1–2,147,483,647. Layers fire in ascending order; positions need not be contiguous (contract,
/// section 9).
///
/// ```
/// use dogwatch_core::escalation::Position;
/// assert_eq!(Position::new(3).unwrap().get(), 3);
/// assert!(Position::new(0).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u32);

impl Position {
    /// The greatest position, 2,147,483,647.
    pub const MAX: Self = Self(i32::MAX as u32);

    /// A position of 1–2,147,483,647.
    ///
    /// # Errors
    /// A [`Problem`] for any other number.
    pub fn new(position: i64) -> Result<Self, Problem> {
        let fits = u32::try_from(position).ok().filter(|position| (1..=Self::MAX.0).contains(position));
        fits.map(Self).ok_or_else(|| Problem::new("position", format!("must be a number from 1 to {}", Self::MAX.0)))
    }

    /// The position as a number, 1–2,147,483,647.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The position behind this one; `None` behind the greatest.
    pub(super) fn next(self) -> Option<Self> {
        (self < Self::MAX).then_some(Self(self.0 + 1))
    }
}

/// The target of a policy layer: whom it pages (contract, section 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Everybody on call in a schedule when the layer fires.
    Schedule(ScheduleId),
    /// These users, in this order, as far as they are members when the layer fires.
    Users(TargetUsers),
}

impl Target {
    /// A target of users: checks their number, and that none is listed twice.
    ///
    /// ```
    /// use dogwatch_core::UserId;
    /// use dogwatch_core::escalation::Target;
    /// let ben = UserId::parse("user_0190a8f3b4c07d2e8f1a2b3c4d5e6f70").unwrap();
    /// assert!(Target::users(vec![ben]).is_ok());
    /// assert!(Target::users(vec![ben, ben]).is_err());
    /// assert!(Target::users(vec![]).is_err());
    /// ```
    ///
    /// # Errors
    /// A [`Problem`] unless there are 1–50, none of them twice.
    pub fn users(users: Vec<UserId>) -> Result<Self, Problem> {
        TargetUsers::new(users).map(Self::Users)
    }

    /// A target of one user.
    #[must_use]
    pub fn user(user: UserId) -> Self {
        Self::Users(TargetUsers(vec![user]))
    }
}

/// The users that a policy layer pages: 1–50, none of them twice. Empty when all of them have left the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetUsers(Vec<UserId>);

impl TargetUsers {
    /// The most users of a target.
    pub const MAX: usize = 50;

    /// Users of a new target: checks their number, and that none is listed twice.
    ///
    /// # Errors
    /// A [`Problem`] unless there are 1–50, none of them twice.
    pub fn new(users: Vec<UserId>) -> Result<Self, Problem> {
        if users.is_empty() {
            return Err(Problem::new("target users", format!("must hold 1 to {} users", Self::MAX)));
        }
        Self::restore(users)
    }

    /// Users as they were stored. There may be none, when all of them have left the organization.
    ///
    /// # Errors
    /// A [`Problem`] when there are more than 50, or one of them twice.
    pub fn restore(users: Vec<UserId>) -> Result<Self, Problem> {
        if users.len() > Self::MAX {
            return Err(Problem::new("target users", format!("must hold 1 to {} users", Self::MAX)));
        }
        let distinct: std::collections::BTreeSet<_> = users.iter().collect();
        if distinct.len() != users.len() {
            return Err(Problem::new("target users", "must not hold a user twice"));
        }
        Ok(Self(users))
    }

    /// The users, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[UserId] {
        &self.0
    }

    /// Takes out a user who has left the organization.
    pub(super) fn leave(&mut self, user: UserId) {
        self.0.retain(|other| *other != user);
    }
}

/// A policy layer as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLayer {
    /// The layer's id.
    pub id: PolicyLayerId,
    /// The policy that it is a layer of.
    pub policy_id: PolicyId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its position, unique among the layers of the policy.
    pub position: Position,
    /// Minutes that it waits for somebody to acknowledge before the next layer fires, 1–10,080.
    pub ack_timeout: AckTimeout,
    /// Whom it pages.
    pub target: Target,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed; at first, when it was created.
    pub updated_at: Timestamp,
}

/// A policy layer as it was in an earlier revision on which a run has started. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastPolicyLayer {
    /// The revision; see [`Policy::revision`].
    pub revision: u32,
    /// The layer as it was in it.
    pub layer: PolicyLayer,
}

/// The escalation of an incident: the policy attached to it, and the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escalation {
    /// The attached policy.
    pub policy_id: PolicyId,
    /// The revision of its layers on which the run started; see [`Policy::revision`].
    pub revision: u32,
    /// The run.
    pub run: Run,
}
