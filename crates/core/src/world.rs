//! The ports through which rules see the world, and the form in which they say what to change.
//!
//! [`State`] is all of a store; [`World`] is one organization of it, and all that a rule of a member is given. It is the sum of
//! small ports, one beside the entities of each room. A rule cannot name another organization's data because nothing in
//! `World` takes an organization. [`GlobalPort`] is what is unique over all organizations, and nothing else. What to write comes
//! back as [`Write`]s: whole things before and after, so that whoever stores them can keep every index without reading again.

use crate::api_key::{ApiKey, ApiKeyPort, KeyHolder};
use crate::component::{Component, ComponentPort};
use crate::error::Error;
use crate::escalation::{EscalationPort, PastPolicyLayer, Policy, PolicyLayer};
use crate::id::OrgId;
use crate::incident::{AuditEntry, Incident, IncidentPort, IncidentUpdate};
use crate::oncall::{OnCallPort, Override, PastOrder, PastRotation, RotationLayer, Schedule};
use crate::organization::{Counts, Organization, OrganizationPort};
use crate::outbox::{DeliveryPort, Inbox, Notification, OutboxPort};
use crate::secret::SecretHash;
use crate::team::{Invitation, Member, TeamPort};
use crate::ticks::TickPort;

/// What is unique over all organizations: keys and tokens.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
pub trait GlobalPort {
    /// Whom an API key belongs to.
    fn key_holder(&self, hash: SecretHash) -> Result<Option<KeyHolder>, Error>;
    /// In which organization an invitation with this token is pending.
    fn organization_inviting(&self, token: SecretHash) -> Result<Option<OrgId>, Error>;
}

/// All organizations of a store.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
pub trait State: GlobalPort + TickPort + DeliveryPort {
    /// The world of one organization, which need not exist.
    fn world(&self, org: OrgId) -> Box<dyn World + '_>;
    /// All organizations, oldest first.
    fn organizations(&self) -> Result<Vec<Organization>, Error>;
}

/// One organization, read only: the sum of the ports of all rooms. What has all of them is a world.
pub trait World:
    OrganizationPort + TeamPort + ApiKeyPort + ComponentPort + IncidentPort + OnCallPort + EscalationPort + OutboxPort
{
}

impl<T> World for T where
    T: OrganizationPort
        + TeamPort
        + ApiKeyPort
        + ComponentPort
        + IncidentPort
        + OnCallPort
        + EscalationPort
        + OutboxPort
        + ?Sized
{
}

/// One thing before and after. Created: no `before`. Gone: no `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<T> {
    /// As it was.
    pub before: Option<T>,
    /// As it shall be.
    pub after: Option<T>,
}

impl<T> Change<T> {
    /// A new thing.
    #[must_use]
    pub const fn created(after: T) -> Self {
        Self { before: None, after: Some(after) }
    }

    /// A thing that changes.
    #[must_use]
    pub const fn edited(before: T, after: T) -> Self {
        Self { before: Some(before), after: Some(after) }
    }

    /// A thing that goes.
    #[must_use]
    pub const fn gone(before: T) -> Self {
        Self { before: Some(before), after: None }
    }
}

/// One change that a decision asks for. All changes of a decision happen, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Of an organization.
    Organization(Change<Organization>),
    /// Of an organization's counts.
    Counts(Change<Counts>),
    /// Of a member. A removed member stays, marked as removed.
    Member(Change<Member>),
    /// Of an invitation; a used or revoked one is gone.
    Invitation(Change<Invitation>),
    /// Of an API key; a revoked one is gone.
    ApiKey(Change<ApiKey>),
    /// Of a component. A deleted component stays, marked as deleted.
    Component(Change<Component>),
    /// Of an incident.
    Incident(Box<Change<Incident>>),
    /// Of an update of an incident.
    Update(Box<Change<IncidentUpdate>>),
    /// Events that move out of an incident. It is only ever added.
    Audit(AuditEntry),
    /// Of a schedule.
    Schedule(Box<Change<Schedule>>),
    /// Of a rotation layer; a removed one is gone.
    Layer(Box<Change<RotationLayer>>),
    /// What held for a layer. It is only ever added, or gone with its schedule.
    PastRotation(Box<Change<PastRotation>>),
    /// An order of layers that was. It is only ever added, or gone with its schedule.
    PastOrder(Change<PastOrder>),
    /// Of an override; one that never began and was deleted is gone.
    Override(Box<Change<Override>>),
    /// Of an escalation policy.
    Policy(Change<Policy>),
    /// Of a policy layer; a removed one is gone.
    PolicyLayer(Change<PolicyLayer>),
    /// A layer as it was. It is only ever added, or gone with its policy.
    PastPolicyLayer(Change<PastPolicyLayer>),
    /// Of a notification; a delivered one has left its line.
    Notification(Change<Notification>),
    /// Of a line of notifications; that of an invitation is gone with it.
    Inbox(Change<Inbox>),
}
