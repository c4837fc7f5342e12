//! Creating, changing and deleting integrations, and rotating their tokens.

use super::model::seconds;
use super::{Heartbeat, Integration, IntegrationKind, IntegrationView, Severities, SomeSeverities, Traffic};
use crate::caller::ByAdmin;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::id::{ComponentId, IntegrationId, PolicyId, ScheduleId};
use crate::patch::Patch;
use crate::secret::Secret;
use crate::text::Name;
use crate::validation::{Problem, Validation};
use crate::world::{Change, World, Write};
use crate::{checks, component, limits};

seal!(CreateIntegration, EditIntegration, DeleteIntegration, RotateIntegrationToken);

/// The integration with this id, unless it was deleted. Code: `not_found`.
pub(super) fn find(world: &dyn World, id: IntegrationId) -> Result<Integration, Error> {
    world.integration(id)?.filter(Integration::is_live).ok_or_else(|| Error::not_found("integration"))
}

/// Refuses a name that another integration has. Code: `name_conflict`.
fn name_is_free(world: &dyn World, own: Option<IntegrationId>, name: &Name) -> Result<(), Error> {
    let holder = world.integrations()?.into_iter().find(|it| it.name == *name).map(|it| it.id);
    checks::name_is_free(holder, own, "integration", name)
}

/// Refuses what is not there. Codes, in the order of the checks: `invalid_component_id`, `not_found` (schedule, then policy).
fn check_named(
    world: &dyn World,
    component_id: Option<ComponentId>,
    schedule: Option<ScheduleId>,
    policy: Option<PolicyId>,
) -> Result<(), Error> {
    if let Some(id) = component_id {
        component::check_exists(world, id)?;
    }
    if let Some(id) = schedule {
        world.schedule(id)?.ok_or_else(|| Error::not_found("schedule"))?;
    }
    if let Some(id) = policy {
        world.policy(id)?.ok_or_else(|| Error::not_found("policy"))?;
    }
    Ok(())
}

/// What an integration may refer to.
pub(crate) enum Named {
    /// A component.
    Component(ComponentId),
    /// A schedule.
    Schedule(ScheduleId),
    /// An escalation policy.
    Policy(PolicyId),
}

/// Whether an integration refers to something: then it stays.
pub(crate) fn refers(world: &dyn World, to: &Named) -> Result<bool, Error> {
    Ok(world.integrations()?.iter().any(|it| match to {
        Named::Component(id) => it.component_id == Some(*id),
        Named::Schedule(id) => it.owner_schedule_id == Some(*id),
        Named::Policy(id) => it.policy_id == Some(*id),
    }))
}

/// How an integration turns alerts into incidents. By default, every alert becomes one at once, which is resolved after five minutes of
/// quiet; nobody owns it, and nobody is paged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The component that its incidents affect.
    pub component_id: Option<ComponentId>,
    /// The schedule whose owner owns its incidents; the policy that targets it pages.
    pub owner_schedule_id: Option<ScheduleId>,
    /// The policy that pages in place of that.
    pub escalation_policy_id: Option<PolicyId>,
    /// What becomes of alerts, by severity.
    pub severities: Severities,
    /// Seconds that an alert lasts before its incident is opened: 0–3,600.
    pub pause_seconds: i64,
    /// Seconds that it is quiet before its incident is resolved: 0–86,400.
    pub resolve_after_seconds: i64,
    /// How often a heartbeat comes; of that kind only, and there it is required.
    pub heartbeat: Option<Heartbeat>,
}

impl Settings {
    /// The longest pause, in seconds.
    pub const LONGEST_PAUSE: i64 = 3_600;
    /// The longest quiet time, in seconds.
    pub const LONGEST_QUIET: i64 = 86_400;

    /// A pause of 0–3,600 seconds.
    ///
    /// # Errors
    /// A [`Problem`] of `pauseSeconds`.
    pub fn pause(of: i64) -> Result<u32, Problem> {
        seconds("pauseSeconds", of, 0, Self::LONGEST_PAUSE)
    }

    /// A quiet time of 0–86,400 seconds.
    ///
    /// # Errors
    /// A [`Problem`] of `resolveAfterSeconds`.
    pub fn quiet(of: i64) -> Result<u32, Problem> {
        seconds("resolveAfterSeconds", of, 0, Self::LONGEST_QUIET)
    }

    /// A heartbeat says how often it comes, and nothing else does.
    ///
    /// # Errors
    /// A [`Problem`] of `periodSeconds`.
    pub fn check_heartbeat(kind: IntegrationKind, says: bool) -> Result<(), Problem> {
        match (kind == IntegrationKind::Heartbeat, says) {
            (true, false) => Err(Problem::new("periodSeconds", "is required for a heartbeat")),
            (false, true) => Err(Problem::new("periodSeconds", "is for heartbeats only")),
            _ => Ok(()),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            component_id: None,
            owner_schedule_id: None,
            escalation_policy_id: None,
            severities: Severities::ALL,
            pause_seconds: 0,
            resolve_after_seconds: 300,
            heartbeat: None,
        }
    }
}

/// An integration whose token has just been made. The token is shown here and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct NewToken {
    /// The integration.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub integration: IntegrationView,
    /// What its sender presents: 32 characters of `[A-Za-z0-9]`.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::json::reveal"))]
    pub token: Secret,
}

/// Creates an integration (contract, section 14). Codes, in the order of the checks: `validation_error` (a number of seconds out of
/// bounds; a heartbeat that does not say how often it comes, or anything else that does), `name_conflict`, `invalid_component_id`,
/// `not_found` (schedule, then policy), `limit_reached` (200 of an organization).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateIntegration {
    /// Its name: 1–100 characters, unique.
    pub name: Name,
    /// What it understands.
    pub kind: IntegrationKind,
    /// How it turns alerts into incidents.
    pub settings: Settings,
}

impl CreateIntegration {
    /// An integration with settings as they are by default, which a heartbeat cannot have.
    #[must_use]
    pub fn new(name: Name, kind: IntegrationKind) -> Self {
        Self { name, kind, settings: Settings::default() }
    }
}

impl Command for CreateIntegration {
    type Caller = ByAdmin;
    type Reply = NewToken;
    const CODES: &'static [Code] =
        &[Code::Validation, Code::NameConflict, Code::InvalidComponentId, Code::NotFound, Code::LimitReached];

    fn decide(self, by: ByAdmin, cx: &mut Context<'_>) -> Result<NewToken, Error> {
        let settings = self.settings;
        let mut check = Validation::new();
        let pause = check.field("pauseSeconds", Settings::pause(settings.pause_seconds));
        let resolve_after = check.field("resolveAfterSeconds", Settings::quiet(settings.resolve_after_seconds));
        check.field("periodSeconds", Settings::check_heartbeat(self.kind, settings.heartbeat.is_some()));
        let (pause, resolve_after) = check.finish(|| pause.zip(resolve_after))?;
        name_is_free(cx.world, None, &self.name)?;
        check_named(cx.world, settings.component_id, settings.owner_schedule_id, settings.escalation_policy_id)?;
        checks::room_for_one(cx.world.integrations()?.len(), limits::INTEGRATIONS, "integrations")?;
        let token = Secret::integration_token(cx.ids);
        let integration = Integration {
            id: cx.ids.fresh(cx.now),
            org_id: cx.world.org_id(),
            name: self.name,
            kind: self.kind,
            component_id: settings.component_id,
            owner_schedule_id: settings.owner_schedule_id,
            policy_id: settings.escalation_policy_id,
            severities: settings.severities,
            pause,
            resolve_after,
            heartbeat: settings.heartbeat,
            token: token.hash(),
            rotated_at: None,
            created_by: by.user_id,
            created_at: cx.now,
            deleted_at: None,
        };
        let view = IntegrationView::of(&integration, None);
        cx.write(Write::Integration(Box::new(Change::created(integration))));
        Ok(NewToken { integration: view, token })
    }
}

/// Changes an integration (contract, section 14). What has come in goes on; waits that have begun end when they would have. Codes, in the
/// order of the checks: `validation_error` (a number of seconds out of bounds), `not_found`, `validation_error` (a period or a grace of
/// something that is no heartbeat), `name_conflict`, `invalid_component_id`, `not_found` (schedule, then policy). Changing nothing succeeds and
/// writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditIntegration {
    /// The integration.
    pub id: IntegrationId,
    /// Its new name; `None` keeps the old one.
    pub name: Option<Name>,
    /// The component that its incidents affect from now on.
    pub component_id: Patch<ComponentId>,
    /// The schedule whose owner owns its incidents from now on.
    pub owner_schedule_id: Patch<ScheduleId>,
    /// The policy that pages from now on.
    pub escalation_policy_id: Patch<PolicyId>,
    /// What becomes of alerts from now on.
    pub severities: SomeSeverities,
    /// Seconds that an alert lasts before its incident is opened: 0–3,600; `None` keeps them.
    pub pause_seconds: Option<i64>,
    /// Seconds that it is quiet before its incident is resolved: 0–86,400; `None` keeps them.
    pub resolve_after_seconds: Option<i64>,
    /// Seconds between two beats of a heartbeat; `None` keeps them.
    pub period_seconds: Option<i64>,
    /// Seconds more before a beat is missed; `None` keeps them.
    pub grace_seconds: Option<i64>,
}

impl EditIntegration {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(id: IntegrationId) -> Self {
        Self {
            id,
            name: None,
            component_id: Patch::Keep,
            owner_schedule_id: Patch::Keep,
            escalation_policy_id: Patch::Keep,
            severities: SomeSeverities { critical: None, high: None, medium: None, low: None },
            pause_seconds: None,
            resolve_after_seconds: None,
            period_seconds: None,
            grace_seconds: None,
        }
    }
}

impl Command for EditIntegration {
    type Caller = ByAdmin;
    type Reply = IntegrationView;
    const CODES: &'static [Code] = &[Code::Validation, Code::NotFound, Code::NameConflict, Code::InvalidComponentId];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<IntegrationView, Error> {
        let mut check = Validation::new();
        let pause = check.optional("pauseSeconds", self.pause_seconds.map(Settings::pause));
        let resolve_after = check.optional("resolveAfterSeconds", self.resolve_after_seconds.map(Settings::quiet));
        check.optional("periodSeconds", self.period_seconds.map(|period| Heartbeat::new(period, 0)));
        check.optional("graceSeconds", self.grace_seconds.map(|grace| Heartbeat::new(1, grace)));
        check.finish(|| Some(()))?;
        let before = find(cx.world, self.id)?;
        let mut after = before.clone();
        if self.period_seconds.is_some() || self.grace_seconds.is_some() {
            let beats = before.heartbeat.ok_or_else(|| Error::invalid("periodSeconds", "is for heartbeats only"))?;
            let period = self.period_seconds.unwrap_or(i64::from(beats.period()));
            let grace = self.grace_seconds.unwrap_or(i64::from(beats.grace()));
            after.heartbeat = Some(Heartbeat::new(period, grace)?);
        }
        after.name = self.name.unwrap_or(after.name);
        after.component_id = self.component_id.apply(after.component_id);
        after.owner_schedule_id = self.owner_schedule_id.apply(after.owner_schedule_id);
        after.policy_id = self.escalation_policy_id.apply(after.policy_id);
        after.severities = self.severities.over(after.severities);
        after.pause = pause.flatten().unwrap_or(after.pause);
        after.resolve_after = resolve_after.flatten().unwrap_or(after.resolve_after);
        name_is_free(cx.world, Some(self.id), &after.name)?;
        check_named(cx.world, after.component_id, after.owner_schedule_id, after.policy_id)?;
        let traffic = cx.world.traffic(self.id)?;
        let view = IntegrationView::of(&after, traffic.as_ref());
        if after != before {
            if after.heartbeat != before.heartbeat {
                expect(cx, traffic, after.heartbeat);
            }
            cx.write(Write::Integration(Box::new(Change::edited(before, after))));
        }
        Ok(view)
    }
}

/// Has the next beat be missed when these beats say so, if one is waited for.
fn expect(cx: &mut Context<'_>, traffic: Option<Traffic>, beats: Option<Heartbeat>) {
    let Some(before) = traffic.filter(|traffic| traffic.silent_at.is_some()) else { return };
    let silent_at = beats.zip(before.last_signal_at).map(|(beats, last)| beats.missed_after(last));
    let after = Traffic { silent_at, ..before.clone() };
    cx.write(Write::Traffic(Box::new(Change::edited(before, after))));
}

/// Deletes an integration (contract, section 14). Its token does not work any more; what has come in goes on, and its incidents stay.
/// Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteIntegration {
    /// The integration.
    pub id: IntegrationId,
}

impl DeleteIntegration {
    /// The deletion of this integration.
    #[must_use]
    pub const fn new(id: IntegrationId) -> Self {
        Self { id }
    }
}

impl Command for DeleteIntegration {
    type Caller = ByAdmin;
    type Reply = IntegrationId;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<IntegrationId, Error> {
        let before = find(cx.world, self.id)?;
        let traffic = cx.world.traffic(self.id)?;
        expect(cx, traffic, None);
        let after = Integration { deleted_at: Some(cx.now), ..before.clone() };
        cx.write(Write::Integration(Box::new(Change::edited(before, after))));
        Ok(self.id)
    }
}

/// Gives an integration a new token (contract, section 14). The old one does not work any more. Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotateIntegrationToken {
    /// The integration.
    pub id: IntegrationId,
}

impl RotateIntegrationToken {
    /// A new token for this integration.
    #[must_use]
    pub const fn new(id: IntegrationId) -> Self {
        Self { id }
    }
}

impl Command for RotateIntegrationToken {
    type Caller = ByAdmin;
    type Reply = NewToken;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<NewToken, Error> {
        let before = find(cx.world, self.id)?;
        let token = Secret::integration_token(cx.ids);
        let after = Integration { token: token.hash(), rotated_at: Some(cx.now), ..before.clone() };
        let traffic = cx.world.traffic(self.id)?;
        let integration = IntegrationView::of(&after, traffic.as_ref());
        // Whoever gets the new token confirms a topic anew.
        if let Some(traffic) = traffic.filter(|traffic| traffic.topic.is_some()) {
            let unpinned = Traffic { topic: None, ..traffic.clone() };
            cx.write(Write::Traffic(Box::new(Change::edited(traffic, unpinned))));
        }
        cx.write(Write::Integration(Box::new(Change::edited(before, after))));
        Ok(NewToken { integration, token })
    }
}
