//! What a policy is, with its layers, and what an incident knows of its escalation, as they are stored.

use super::{AckTimeout, Run};
use crate::id::{OrgId, PolicyId, PolicyLayerId, ScheduleId, UserId};
use crate::text::{Description, PolicyName};
use crate::time::Timestamp;
use crate::validation::Problem;

/// An escalation policy as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Names the policy.
    pub id: PolicyId,
    /// The organization.
    pub org_id: OrgId,
    /// Unique among the policies of the organization.
    pub name: PolicyName,
    /// What it is for.
    pub description: Option<Description>,
    /// Who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its own fields were last changed.
    pub updated_at: Timestamp,
    /// Which edition of the layers holds now.
    pub revision: u32,
    /// Whether a run has started on this edition. Then an edit keeps it.
    pub in_use: bool,
}

/// Where a policy layer stands: 1 or more.
///
/// ```
/// use dogwatch_core::escalation::Position;
/// assert_eq!(Position::new(3).unwrap().get(), 3);
/// assert!(Position::new(0).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u32);

impl Position {
    /// The last one, 2,147,483,647.
    pub const MAX: Self = Self(i32::MAX as u32);

    /// The position, if it is one.
    ///
    /// # Errors
    /// A [`Problem`] unless it is a number from 1 to 2,147,483,647.
    pub fn new(position: i64) -> Result<Self, Problem> {
        let fits = u32::try_from(position).ok().filter(|position| (1..=Self::MAX.0).contains(position));
        fits.map(Self).ok_or_else(|| Problem::new(format!("must be a number from 1 to {}", Self::MAX.0)))
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The next one, if there is one.
    pub(super) fn next(self) -> Option<Self> {
        (self < Self::MAX).then_some(Self(self.0 + 1))
    }
}

/// Whom a policy layer pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Whoever is on call in a schedule when the layer fires.
    Schedule(ScheduleId),
    /// These users, in this order.
    Users(TargetUsers),
}

impl Target {
    /// Users as they come from outside.
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
}

/// The users that a policy layer pages: 1–50, none of them twice. Empty once all of them have left the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetUsers(Vec<UserId>);

impl TargetUsers {
    /// The most users of a target.
    pub const MAX: usize = 50;

    /// Users as they come from outside.
    ///
    /// # Errors
    /// A [`Problem`] unless there are 1–50, none of them twice.
    pub fn new(users: Vec<UserId>) -> Result<Self, Problem> {
        if users.is_empty() {
            return Err(Problem::new(format!("must hold 1 to {} users", Self::MAX)));
        }
        Self::restore(users)
    }

    /// Users as they were stored: none are left when all of them have left the organization.
    ///
    /// # Errors
    /// A [`Problem`] when there are more than 50, or one of them twice.
    pub fn restore(users: Vec<UserId>) -> Result<Self, Problem> {
        if users.len() > Self::MAX {
            return Err(Problem::new(format!("must hold 1 to {} users", Self::MAX)));
        }
        let distinct: std::collections::BTreeSet<_> = users.iter().collect();
        if distinct.len() != users.len() {
            return Err(Problem::new("must not hold a user twice"));
        }
        Ok(Self(users))
    }

    /// The users, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[UserId] {
        &self.0
    }

    /// Takes a user out who has left the organization.
    pub(super) fn leave(&mut self, user: UserId) {
        self.0.retain(|other| *other != user);
    }
}

/// A policy layer as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLayer {
    /// Names the layer.
    pub id: PolicyLayerId,
    /// The policy.
    pub policy_id: PolicyId,
    /// The organization.
    pub org_id: OrgId,
    /// Where it stands; no two layers of a policy at the same place.
    pub position: Position,
    /// How long it waits for somebody to acknowledge.
    pub ack_timeout: AckTimeout,
    /// Whom it pages.
    pub target: Target,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A layer as it was in an earlier revision on which a run has started. It never changes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastPolicyLayer {
    /// The revision.
    pub revision: u32,
    /// The layer as it was.
    pub layer: PolicyLayer,
}

/// What an incident knows of its escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escalation {
    /// The attached policy.
    pub policy_id: PolicyId,
    /// The revision of its layers on which the run started.
    pub revision: u32,
    /// The run.
    pub run: Run,
}
