//! How an incident begins: its owner, its policy, and the start of its escalation run (contract, section 6).

use super::draft::Draft;
use super::{Author, Event, Incident, IncidentView, Severity, Status, StatusEntry, components};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::escalation::Policy;
use crate::id::{ComponentId, Id, IncidentId, PolicyId, ScheduleId, UserId};
use crate::text::{IncidentDescription, Title};
use crate::{escalation, oncall};

seal!(CreateIncident);

/// Opens an incident (contract, section 6).
///
/// Codes, in the order of the checks: `owner_required`, `not_found` (schedule, then policy), `invalid_target_user`,
/// `duplicate_component_id`, `invalid_component_id`, `limit_reached` (100 components).
///
/// ```
/// use dogwatch_core::UserId;
/// use dogwatch_core::incident::{CreateIncident, Severity};
/// # let ben = UserId::parse("user_0190a8f3b4c07d2e8f1a2b3c4d5e6f70")?;
/// let open = CreateIncident {
///     description: Some("All card payments fail.\nForty tickets in ten minutes.".parse()?),
///     ..CreateIncident::new("Checkout is down".parse()?, Severity::Critical, ben)
/// };
/// # Ok::<(), dogwatch_core::Error>(())
/// ```
///
/// The policy is the one that is named, else, with an owner who comes from a schedule ([`Owner::schedule`]), the one with a layer
/// that targets that schedule: of several, the one whose layer has the smallest position, then the oldest. Its run starts at
/// once (contract, section 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateIncident {
    /// What is wrong, in 1–100 characters.
    pub title: Title,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, at length: at most 10,000 characters.
    pub description: Option<IncidentDescription>,
    /// Who is responsible. `None` is refused with `owner_required`.
    pub owner: Option<Owner>,
    /// The escalation policy by which people are paged. Without one, the policy that targets the owner's schedule, if any.
    pub escalation_policy_id: Option<PolicyId>,
    /// The affected components: at most 100, none twice.
    pub component_ids: Vec<ComponentId>,
}

/// Who is responsible for a new incident (contract, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This member.
    Member(UserId),
    /// Whoever owns the schedule at this instant; nobody, when nobody is on call.
    OnCall(ScheduleId),
    /// This member, in place of whoever owns the schedule. The schedule still says which policy pages.
    InPlaceOf {
        /// The member.
        user_id: UserId,
        /// The schedule.
        schedule_id: ScheduleId,
    },
}

impl Owner {
    /// The owner of a request with an optional member and an optional schedule; `None` with neither.
    #[must_use]
    pub const fn of(user: Option<UserId>, schedule: Option<ScheduleId>) -> Option<Self> {
        match (user, schedule) {
            (Some(user_id), Some(schedule_id)) => Some(Self::InPlaceOf { user_id, schedule_id }),
            (Some(user), None) => Some(Self::Member(user)),
            (None, Some(schedule)) => Some(Self::OnCall(schedule)),
            (None, None) => None,
        }
    }

    /// The member who is named.
    #[must_use]
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::Member(user_id) | Self::InPlaceOf { user_id, .. } => Some(user_id),
            Self::OnCall(_) => None,
        }
    }

    /// The schedule that is named.
    #[must_use]
    pub const fn schedule(self) -> Option<ScheduleId> {
        match self {
            Self::OnCall(schedule_id) | Self::InPlaceOf { schedule_id, .. } => Some(schedule_id),
            Self::Member(_) => None,
        }
    }
}

impl CreateIncident {
    /// An incident with this owner, and nothing else that is optional.
    #[must_use]
    pub const fn new(title: Title, severity: Severity, owner: UserId) -> Self {
        Self::with(title, severity, Owner::Member(owner))
    }

    /// An incident whose owner is on call in this schedule when it is opened; the policy that targets the schedule pages.
    #[must_use]
    pub const fn for_schedule(title: Title, severity: Severity, schedule: ScheduleId) -> Self {
        Self::with(title, severity, Owner::OnCall(schedule))
    }

    const fn with(title: Title, severity: Severity, owner: Owner) -> Self {
        Self {
            title,
            severity,
            description: None,
            owner: Some(owner),
            escalation_policy_id: None,
            component_ids: Vec::new(),
        }
    }
}

impl Command for CreateIncident {
    type Caller = ByMember;
    type Reply = IncidentView;
    const CODES: &'static [Code] = &[
        Code::OwnerRequired,
        Code::NotFound,
        Code::InvalidTargetUser,
        Code::DuplicateComponentId,
        Code::InvalidComponentId,
        Code::LimitReached,
    ];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<IncidentView, Error> {
        let owner = self
            .owner
            .ok_or_else(|| Error::refused(Code::OwnerRequired, "an incident needs an owner or an owner schedule"))?;
        let schedule = match owner.schedule() {
            Some(id) => Some(cx.world.schedule(id)?.ok_or_else(|| Error::not_found("schedule"))?),
            None => None,
        };
        let policy = escalation::attached(cx.world, self.escalation_policy_id, owner.schedule())?;
        if let Some(user) = owner.user()
            && !cx.world.is_member(user)?
        {
            return Err(Error::refused(Code::InvalidTargetUser, "the owner is not a member"));
        }
        components::check(cx.world, &self.component_ids)?;

        let owner_id = match (owner.user(), schedule) {
            (Some(owner), _) => Some(owner),
            (None, Some(schedule)) => oncall::roster(cx.world, &schedule, cx.now)?.owner(cx.now).map(|on| on.user_id),
            (None, None) => None,
        };
        let opening = Opening {
            title: self.title,
            description: self.description,
            severity: self.severity,
            owner_id,
            policy,
            component_ids: self.component_ids,
            created_by: by.user_id.into(),
        };
        let incident = opening.open(cx)?;
        IncidentView::of(&incident, cx.world)
    }
}

/// All that a new incident begins with, checked.
pub(super) struct Opening {
    pub(super) title: Title,
    pub(super) description: Option<IncidentDescription>,
    pub(super) severity: Severity,
    pub(super) owner_id: Option<UserId>,
    pub(super) policy: Option<Policy>,
    pub(super) component_ids: Vec<ComponentId>,
    pub(super) created_by: Author,
}

impl Opening {
    /// Opens the incident, and starts the run of its policy. A decision opens one at most.
    pub(super) fn open(self, cx: &mut Context<'_>) -> Result<Incident, Error> {
        let counts = cx.count(|counts| {
            counts.incidents += 1;
            Ok(())
        })?;
        let id: IncidentId = cx.ids.fresh(cx.now);
        let mut draft = Draft::new(Incident {
            id,
            org_id: cx.world.org_id(),
            sequential_id: counts.incidents,
            title: self.title,
            description: self.description,
            severity: self.severity,
            status: Status::Investigating,
            owner_id: self.owner_id,
            escalation: None,
            component_ids: self.component_ids,
            acknowledged: None,
            handed_off_at: None,
            worsened_at: None,
            created_by: self.created_by,
            updated_at: cx.now,
            history: Vec::with_capacity(Status::ALL.len()),
            updates: 0,
            last_part: id.to_bytes(),
            recent_events: Vec::new(),
            has_earlier_events: false,
        });
        let entry =
            StatusEntry { id: draft.part(cx.ids), status: Status::Investigating, changed_at: cx.now, update_id: None };
        draft.incident.history.push(entry);
        let policy_id = self.policy.as_ref().map(|policy| policy.id);
        let created = Event::IncidentCreated { severity: self.severity, owner_id: self.owner_id, policy_id };
        draft.event(cx.ids, Some(self.created_by), created);
        if let Some(policy) = self.policy {
            draft.begin_escalation(cx, policy)?;
        }
        draft.finish(cx)
    }
}
