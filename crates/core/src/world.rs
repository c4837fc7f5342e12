//! The port through which rules see the world, and the form in which they say what to change.
//!
//! [`Root`] is all of a store; [`World`] is one organization of it, and the only thing a rule is given. A rule cannot
//! name another organization's data because nothing in `World` takes an organization. What to write comes back as
//! [`Write`]s: whole things before and after, so that whoever stores them can keep every index without reading again.

use crate::component::Component;
use crate::error::Error;
use crate::escalation::{PastPolicyLayer, Policy, PolicyLayer, Timer};
use crate::id::{ApiKeyId, ComponentId, IncidentId, InvitationId, OrgId, PolicyId, ScheduleId, UpdateId, UserId};
use crate::incident::{AuditEvent, Incident, IncidentFilter, IncidentUpdate};
use crate::oncall::{Override, PastOrder, PastTerms, RotationLayer, Schedule};
use crate::organization::{ApiKey, Invitation, Member, Organization};
use crate::outbox::{Inbox, Notification, ReadyLine, Recipient};
use crate::secret::SecretHash;
use crate::text::{EmailAddress, Name, PolicyName, ScheduleName};
use crate::time::Timestamp;

/// How many of each limited thing an organization has, and its last incident number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Whose counts these are.
    pub org: OrgId,
    /// Incidents ever created; also the last `sequentialId`.
    pub incidents: u64,
    /// Members who have not been removed.
    pub members: u32,
    /// Invitations that are pending.
    pub invitations: u32,
    /// Components that have not been deleted.
    pub components: u32,
    /// API keys that have not been revoked.
    pub api_keys: u32,
    /// On-call schedules.
    pub schedules: u32,
    /// Escalation policies.
    pub policies: u32,
}

impl Tally {
    /// The counts of an organization without anything.
    #[must_use]
    pub const fn empty(org: OrgId) -> Self {
        Self { org, incidents: 0, members: 0, invitations: 0, components: 0, api_keys: 0, schedules: 0, policies: 0 }
    }
}

/// What the hash of an API key leads to: all that is needed to let its holder in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHolder {
    /// The organization of the key.
    pub org: OrgId,
    /// The user as whom the key acts.
    pub user: UserId,
    /// The key.
    pub key: ApiKeyId,
    /// When the key stops working.
    pub expires_at: Option<Timestamp>,
}

/// All organizations of a store.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
pub trait Root {
    /// The view of one organization, which need not exist.
    fn organization(&self, org: OrgId) -> Box<dyn World + '_>;
    /// Whom an API key belongs to.
    fn key_holder(&self, hash: SecretHash) -> Result<Option<KeyHolder>, Error>;
    /// In which organization an invitation with this token is pending.
    fn organization_inviting(&self, token: SecretHash) -> Result<Option<OrgId>, Error>;
    /// All organizations, oldest first.
    fn organizations(&self) -> Result<Vec<Organization>, Error>;
    /// Timers that are due at an instant, earliest first, beginning behind `after`, at most `limit`.
    fn timers_due(&self, now: Timestamp, after: Option<&Timer>, limit: usize) -> Result<Vec<Timer>, Error>;
    /// When the first timer of all is due.
    fn next_due(&self) -> Result<Option<Timestamp>, Error>;
    /// Lines of notifications that can be claimed at an instant, longest ready first, beginning behind `after`, at most
    /// `limit`.
    fn lines_ready(&self, now: Timestamp, after: Option<&ReadyLine>, limit: usize) -> Result<Vec<ReadyLine>, Error>;
    /// The first instant after `now` at which another line of notifications can be claimed.
    fn next_ready(&self, now: Timestamp) -> Result<Option<Timestamp>, Error>;
}

/// One organization, read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The cost of each is that of its
/// answer, however much else there is.
pub trait World {
    /// Which organization this is.
    fn org_id(&self) -> OrgId;
    /// The organization itself, if it exists.
    fn organization(&self) -> Result<Option<Organization>, Error>;
    /// Its counts.
    fn tally(&self) -> Result<Tally, Error>;

    /// A member, also a removed one.
    fn member(&self, id: UserId) -> Result<Option<Member>, Error>;
    /// Whether the user is a member who has not been removed.
    fn is_member(&self, id: UserId) -> Result<bool, Error>;
    /// The members who have not been removed, by the time they joined.
    fn members(&self) -> Result<Vec<Member>, Error>;
    /// Whether a member or a pending invitation has this e-mail.
    fn email_taken(&self, email: &EmailAddress) -> Result<bool, Error>;

    /// A pending invitation.
    fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, Error>;
    /// The pending invitation with this token.
    fn invitation_by_token(&self, token: SecretHash) -> Result<Option<Invitation>, Error>;
    /// The pending invitations, oldest first.
    fn invitations(&self) -> Result<Vec<Invitation>, Error>;

    /// An API key that has not been revoked.
    fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, Error>;
    /// The API keys of a user, oldest first.
    fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>, Error>;
    /// The API keys of all users, oldest first.
    fn api_keys(&self) -> Result<Vec<ApiKey>, Error>;

    /// A component, also a deleted one.
    fn component(&self, id: ComponentId) -> Result<Option<Component>, Error>;
    /// The component that has this name now.
    fn component_named(&self, name: &Name) -> Result<Option<ComponentId>, Error>;
    /// The components that have not been deleted, by name.
    fn components(&self) -> Result<Vec<Component>, Error>;
    /// Whether an unresolved incident is tagged with the component, or a status page selects it.
    fn component_in_use(&self, id: ComponentId) -> Result<bool, Error>;
    /// Whether a published status page shows at least one of the components.
    fn has_public_surface(&self, components: &[ComponentId]) -> Result<bool, Error>;

    /// An incident.
    fn incident(&self, id: IncidentId) -> Result<Option<Incident>, Error>;
    /// Incidents that pass the filter, newest first, beginning behind `after`, at most `limit`.
    fn incidents(
        &self,
        filter: &IncidentFilter,
        after: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Incident>, Error>;
    /// An update of an incident.
    fn update(&self, incident: IncidentId, id: UpdateId) -> Result<Option<IncidentUpdate>, Error>;
    /// The updates of an incident, oldest first.
    fn updates(&self, incident: IncidentId) -> Result<Vec<IncidentUpdate>, Error>;
    /// The events of an incident's audit trail that have moved out of it, oldest first.
    fn earlier_events(&self, incident: IncidentId) -> Result<Vec<AuditEvent>, Error>;

    /// A schedule.
    fn schedule(&self, id: ScheduleId) -> Result<Option<Schedule>, Error>;
    /// The schedule that has this name now.
    fn schedule_named(&self, name: &ScheduleName) -> Result<Option<ScheduleId>, Error>;
    /// The schedules, by name.
    fn schedules(&self) -> Result<Vec<Schedule>, Error>;
    /// The layers of a schedule as they are now, in any order.
    fn layers(&self, schedule: ScheduleId) -> Result<Vec<RotationLayer>, Error>;
    /// What held for the layers of a schedule and ended after `after`.
    fn past_terms(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<PastTerms>, Error>;
    /// The orders in which the layers of a schedule stood, and which ended after `after`.
    fn past_orders(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<PastOrder>, Error>;
    /// The overrides of a schedule that end after `after`.
    fn overrides(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<Override>, Error>;
    /// The schedules with a layer in which the user takes part now; one may appear several times.
    fn rotations_of(&self, user: UserId) -> Result<Vec<ScheduleId>, Error>;
    /// The overrides by the user that end after `after`.
    fn overrides_of(&self, user: UserId, after: Timestamp) -> Result<Vec<Override>, Error>;

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

    /// A recipient's line of notifications.
    fn inbox(&self, recipient: Recipient) -> Result<Option<Inbox>, Error>;
    /// A notification in a line, by its number.
    fn notification(&self, recipient: Recipient, number: u64) -> Result<Option<Notification>, Error>;
    /// The notifications in a line behind a number, in order, at most `limit`.
    fn notifications(&self, recipient: Recipient, after: u64, limit: usize) -> Result<Vec<Notification>, Error>;
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

/// Events that move out of an incident; at least one. Its audit trail is what has moved out, and then what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The organization of the incident.
    pub org: OrgId,
    /// The incident.
    pub incident: IncidentId,
    /// What happened, in order.
    pub events: Vec<AuditEvent>,
}

/// One change that a decision asks for. All changes of a decision happen, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Of an organization.
    Organization(Change<Organization>),
    /// Of an organization's counts.
    Tally(Change<Tally>),
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
    PastTerms(Box<Change<PastTerms>>),
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
