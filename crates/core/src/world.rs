//! The ports through which rules read what is stored, and the form in which they say what to change.
//!
//! [`State`] is all of a store; [`World`] is one organization of it, and all that a rule of a member is given. It is the sum of
//! small ports, each declared beside the things that it reads. A rule cannot name another organization's data, because nothing
//! in `World` takes an organization. [`GlobalPort`] finds what is unique over all organizations, and nothing else. What to
//! write comes back as [`Write`]s: whole entities before and after, so that whoever stores them can keep every index without
//! reading again.
//!
//! To implement these ports over maps, see [`crate::memory`]; `dogwatch-store` implements them over a folder on disk.

use crate::api_key::{ApiKey, ApiKeyPort, KeyHolder};
use crate::component::{Component, ComponentPort};
use crate::contact::{ContactMethod, ContactPort, ContactSettings};
use crate::error::Error;
use crate::escalation::{EscalationPort, PastPolicyLayer, Policy, PolicyLayer};
use crate::id::{IntegrationId, OrgId, StatusPageId};
use crate::incident::{AuditEntry, Incident, IncidentPort, IncidentUpdate};
use crate::integration::{AlertGroup, Integration, IntegrationPort, Signal, Traffic};
use crate::oncall::{OnCallPort, Override, PastOrder, PastRotation, RotationLayer, Schedule};
use crate::org_audit::{OrgAuditEntry, OrgAuditPort};
use crate::organization::{Counts, Organization, OrganizationPort};
use crate::outbox::{DeliveryPort, Inbox, Notification, OutboxPort};
use crate::removal::{Removal, RemovalPort};
use crate::secret::SecretHash;
use crate::status_page::{Maintenance, StatusChange, StatusPage, StatusPagePort};
use crate::team::{Invitation, Member, TeamPort};
use crate::text::{ExternalId, Slug};
use crate::ticks::TickPort;
use crate::webhook::{Webhook, WebhookPort};

/// What is unique over all organizations: the hashes of API keys, of invitation tokens and of tokens of integrations, external ids of
/// organizations, and slugs of status pages. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait GlobalPort {
    /// The holder of the API key with this hash.
    fn key_holder(&self, hash: SecretHash) -> Result<Option<KeyHolder>, Error> {
        let _ = hash;
        Ok(None)
    }
    /// The organization in which an invitation is pending whose token has this hash.
    fn organization_inviting(&self, token: SecretHash) -> Result<Option<OrgId>, Error> {
        let _ = token;
        Ok(None)
    }
    /// The organization with this external id.
    fn organization_with(&self, external_id: &ExternalId) -> Result<Option<OrgId>, Error> {
        let _ = external_id;
        Ok(None)
    }
    /// The integration whose token has this hash, unless it was deleted, and its organization.
    fn integration_with(&self, token: SecretHash) -> Result<Option<(OrgId, IntegrationId)>, Error> {
        let _ = token;
        Ok(None)
    }
    /// The status page with this slug, published or not, and its organization.
    fn status_page_at(&self, slug: &Slug) -> Result<Option<(OrgId, StatusPageId)>, Error> {
        let _ = slug;
        Ok(None)
    }
}

/// All organizations of a store. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
pub trait State: GlobalPort + TickPort + DeliveryPort {
    /// One organization, which need not exist.
    fn world(&self, org: OrgId) -> Box<dyn World + '_>;
    /// All organizations, oldest first.
    fn organizations(&self) -> Result<Vec<Organization>, Error>;
}

/// One organization, read only: the sum of the ports of all rooms. Whatever implements all of them is a world.
// Invariant [one-org]: no method of a port takes an organization.
pub trait World:
    OrganizationPort
    + TeamPort
    + ApiKeyPort
    + ComponentPort
    + ContactPort
    + IncidentPort
    + OnCallPort
    + EscalationPort
    + OutboxPort
    + OrgAuditPort
    + WebhookPort
    + StatusPagePort
    + IntegrationPort
    + RemovalPort
{
}

impl<T> World for T where
    T: OrganizationPort
        + TeamPort
        + ApiKeyPort
        + ComponentPort
        + ContactPort
        + IncidentPort
        + OnCallPort
        + EscalationPort
        + OutboxPort
        + OrgAuditPort
        + WebhookPort
        + StatusPagePort
        + IntegrationPort
        + RemovalPort
        + ?Sized
{
}

/// One stored entity before and after. A new entity has no `before`, a deleted one no `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<T> {
    /// The entity as it is stored now, or as an earlier write of the same decision leaves it: writes are applied in order.
    pub before: Option<T>,
    /// The entity as it shall be stored.
    pub after: Option<T>,
}

impl<T> Change<T> {
    /// An entity that is new.
    #[must_use]
    pub const fn created(after: T) -> Self {
        Self { before: None, after: Some(after) }
    }

    /// An entity that changes.
    #[must_use]
    pub const fn edited(before: T, after: T) -> Self {
        Self { before: Some(before), after: Some(after) }
    }

    /// An entity that is deleted.
    #[must_use]
    pub const fn gone(before: T) -> Self {
        Self { before: Some(before), after: None }
    }
}

/// One change that a decision asks for. All changes of a decision happen, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// An organization. It is never deleted.
    Organization(Change<Organization>),
    /// The counts of an organization.
    Counts(Change<Counts>),
    /// A member. A removed one stays stored, marked as removed.
    Member(Change<Member>),
    /// An invitation. A used or revoked one is deleted.
    Invitation(Change<Invitation>),
    /// An API key. A revoked one is deleted.
    ApiKey(Change<ApiKey>),
    /// A component. A deleted one stays stored, marked as deleted.
    Component(Change<Component>),
    /// An incident. It is never deleted.
    Incident(Box<Change<Incident>>),
    /// An update of an incident. It is never deleted; a redacted one loses its body.
    Update(Box<Change<IncidentUpdate>>),
    /// Events of an audit trail that move out of their incident. Such entries are only ever added.
    Audit(AuditEntry),
    /// An entry of an organization's audit. It is only ever added.
    OrgAudit(Box<OrgAuditEntry>),
    /// A schedule.
    Schedule(Box<Change<Schedule>>),
    /// A rotation layer. A removed one is deleted.
    RotationLayer(Box<Change<RotationLayer>>),
    /// A rotation that a layer had until a change of it. It is only ever added, or deleted with its schedule.
    PastRotation(Box<Change<PastRotation>>),
    /// The order of a schedule's layers until a change of it. It is only ever added, or deleted with its schedule.
    PastOrder(Change<PastOrder>),
    /// An override. Deleted before it begins, it is gone; deleted while it runs, it ends and stays.
    Override(Box<Change<Override>>),
    /// An escalation policy.
    Policy(Change<Policy>),
    /// A policy layer. A removed one is deleted.
    PolicyLayer(Change<PolicyLayer>),
    /// A policy layer of an earlier revision. It is only ever added, or deleted with its policy.
    PastPolicyLayer(Change<PastPolicyLayer>),
    /// A contact method. A removed one is deleted.
    ContactMethod(Box<Change<ContactMethod>>),
    /// What a member has set about how they are told. Without anything set there is none.
    ContactSettings(Box<Change<ContactSettings>>),
    /// A webhook of the organization. A deleted one is gone.
    Webhook(Box<Change<Webhook>>),
    /// A status page.
    StatusPage(Box<Change<StatusPage>>),
    /// A maintenance of a status page.
    Maintenance(Box<Change<Maintenance>>),
    /// The status of a component on a status page, from an instant on. It is never deleted; one at the same instant replaces it.
    StatusChange(StatusChange),
    /// An integration. A deleted one stays stored, marked as deleted.
    Integration(Box<Change<Integration>>),
    /// What came in lately over an integration.
    Traffic(Box<Change<Traffic>>),
    /// A signal. One that was over before its incident was opened is deleted.
    Signal(Box<Change<Signal>>),
    /// A group of signals. One whose signals were all over before its incident was opened is deleted.
    AlertGroup(Box<Change<AlertGroup>>),
    /// What is left of a removal. One that is finished is gone.
    Removal(Change<Removal>),
    /// A notification. One that has ended has left its inbox, but stays stored; a withdrawn one is deleted.
    Notification(Box<Change<Notification>>),
    /// The inbox of a recipient. That of an invitation is deleted once its notification is delivered or withdrawn.
    Inbox(Change<Inbox>),
}
