//! The rules of incident response, pure: the same world, actor, instant and ids give the same decision, always.
//!
//! A [`Command`] says what somebody wants, a [`Query`] what somebody wants to know. [`decide`] and [`ask`] apply the rules
//! to a world that they only read; a [`Decision`] says what to reply and what to write. There is no I/O here, no clock, no
//! thread and no source of randomness that the caller did not seed. To store what is decided, use `dogwatch-store`; to try
//! the rules without storing anything, [`memory::MemoryWorld`] is a world that lives in a map.
//!
//! What the rules are is written in `docs/contract.md`; items here name its sections.
//!
//! ```
//! use dogwatch_core::{
//!     Actor, ChangeStatus, Code, CreateIncident, CreateOrganization, IdSource, Severity, Status, Timestamp,
//!     memory::MemoryWorld,
//! };
//!
//! let mut world = MemoryWorld::new();
//! let mut ids = IdSource::from_seed([7; 32]);
//! let now = Timestamp::parse("2026-04-07T10:00:00Z").unwrap();
//!
//! let created = world.execute(
//!     CreateOrganization {
//!         name: "Harbour".parse().unwrap(),
//!         admin_email: "ada@example.com".parse().unwrap(),
//!         first_name: "Ada".parse().unwrap(),
//!         last_name: "Byron".parse().unwrap(),
//!     },
//!     &Actor::Operator, now, &mut ids,
//! )?;
//! let ada = created.actor();
//! let owner = created.admin.member.id;
//! let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::Critical, owner);
//! let incident = world.execute(open, &ada, now, &mut ids)?;
//! assert_eq!(incident.sequential_id, 1);
//!
//! let refused = world.execute(ChangeStatus::to(incident.id, Status::Resolved), &ada, now, &mut ids);
//! assert_eq!(refused.unwrap_err().code(), Code::InvalidStatusTransition);
//! # Ok::<(), dogwatch_core::Error>(())
//! ```

/// Whether a known bug was put in; never without the feature `sabotage`.
macro_rules! sabotaged {
    ($bug:ident) => {{
        #[cfg(feature = "sabotage")]
        let is_in = $crate::sabotage::is_in($crate::sabotage::Bug::$bug);
        #[cfg(not(feature = "sabotage"))]
        let is_in = false;
        is_in
    }};
}

mod actor;
mod checks;
mod code;
mod command;
mod component;
mod error;
mod escalation;
pub mod id;
mod incident;
pub mod limits;
pub mod memory;
mod oncall;
mod organization;
mod outbox;
mod patch;
#[cfg(feature = "sabotage")]
#[doc(hidden)]
pub mod sabotage;
mod secret;
pub mod text;
mod time;
mod validation;
mod words;
mod world;
mod zone;

pub use actor::{Access, Actor};
pub use code::{Code, CodeRow, Kind};
pub use command::{Command, Context, Decision, Query, View, ask, authenticate, decide, first_admin, permit};
pub use component::{
    Component, ComponentRef, CreateComponent, DeleteComponent, EditComponent, GetComponent, ListComponents,
};
pub use error::Error;
pub use escalation::{
    AckTimeout, AddPolicyLayer, Chain, CreatePolicy, DeletePolicy, EditPolicy, EditPolicyLayer, Escalation, Fired,
    GetPolicy, Input, ListPolicies, Lookups, OrderPolicyLayers, Output, PastPolicyLayer, Policy, PolicyLayer,
    PolicyLayerView, PolicyView, Position, Preview, PreviewPolicy, PreviewedLayer, Reach, RemovePolicyLayer, Run,
    RunLayer, RunState, Target, TargetUsers, Timer, fire_due,
};
pub use id::{
    ApiKeyId, AuditEventId, ComponentId, IdSource, IncidentId, InvitationId, NotificationId, OrgId, OverrideId,
    PolicyId, PolicyLayerId, RotationLayerId, ScheduleId, StatusEntryId, UpdateId, UserId,
};
pub use incident::{
    AcknowledgeIncident, ActorRef, AuditEvent, ChangeStatus, CreateIncident, Cursor, EditIncident, EditedField, Event,
    GetIncident, HandOffIncident, Incident, IncidentDetail, IncidentFilter, IncidentPage, IncidentUpdate, IncidentView,
    ListIncidents, ListUpdates, PageLimit, PostUpdate, REDACTION_WINDOW, RedactUpdate, SetComponents, Severity, Status,
    StatusEntry, StatusHistoryEntry, UpdateView, UpdateVisibility,
};
pub use oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, DeleteOverride, DeleteSchedule, EditRotationLayer, EditSchedule,
    FinalShift, Gap, GetSchedule, HandoffTime, LayerSettings, LayerShifts, ListOverrides, ListSchedules, OnCall,
    OnCallNow, OnCallRow, OnCallTarget, OrderRotationLayers, Override, PastOrder, PastTerms, Phase,
    RemoveRotationLayer, ResolveOnCall, Resolved, Roster, RotationLayer, RotationLayerView, RotationLength,
    RotationType, Schedule, ScheduleView, Shift, Shifts, ShiftsOnCall, Terms, TermsInput,
};
pub use organization::{
    AcceptInvitation, AddMember, ApiKey, ApiKeyView, ChangeRole, CreateApiKey, CreateOrganization, GetMember,
    Invitation, InvitationSent, InvitationView, InviteMember, Joined, ListApiKeys, ListTeam, Member, NewApiKey,
    Organization, OrganizationCreated, RemoveMember, RevokeApiKey, RevokeInvitation, Role, Team,
};
pub use outbox::{
    Inbox, LONGEST_LEASE, ListNotifications, Message, Notification, NotificationKind, PageReason, ReadyLine, Receipt,
    Recipient, claim, confirm, give_back,
};
pub use patch::Patch;
pub use secret::{Secret, SecretHash};
pub use time::Timestamp;
pub use validation::{FieldProblem, Problem, Validation};
pub use zone::{LocalTime, Zone};

pub use world::{AuditEntry, Change, KeyHolder, Root, Tally, World, Write};
