//! The audit of an organization (contract, section 10): who changed its settings when, with what was before and after.
//!
//! Settings are members and their roles, invitations, API keys, components, schedules with their layers and overrides, policies with their
//! layers, webhooks, status pages with their maintenances, and integrations. Each change of one is an [`OrgAuditEntry`] in the same decision as the change; entries are only ever added. An
//! incident has an audit trail of its own. No entry holds a secret or the hash of one.

use crate::api_key::{ApiKey, ApiKeyView};
use crate::caller::ByAdmin;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::component::Component;
use crate::cursor::cursors;
use crate::error::Error;
use crate::escalation::{Policy, PolicyLayer, PolicyLayerView};
use crate::id::{Id, IdSource, OrgAuditId, OrgId, PolicyId, RotationLayerId, ScheduleId, UserId};
use crate::incident::ListLimit;
use crate::integration::{Integration, IntegrationSetting};
use crate::oncall::{HandoffTime, Override, RotationLayer, RotationLength, Schedule};
use crate::secret::SecretHash;
use crate::status_page::{Maintenance, MaintenanceView, StatusPage};
use crate::team::{Invitation, InvitationView, Member};
use crate::text::{Description, PolicyName, ScheduleName};
use crate::time::Timestamp;
use crate::webhook::{Webhook, WebhookView};
use crate::words::words;
use crate::world::{Change, World, Write};
use crate::zone::Zone;

seal!(ListOrgAudit);

words! {
    /// What happened to a setting.
    OrgAuditAction, "action", "must be `created`, `changed` or `deleted`" {
        /// It is new.
        Created = "created",
        /// It was there before.
        Changed = "changed",
        /// It is not there any more.
        Deleted = "deleted",
    }
}

/// One change of a setting, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgAuditEntry {
    /// The entry's id, which carries the instant of the change.
    pub id: OrgAuditId,
    /// The organization.
    pub org_id: OrgId,
    /// The member who changed it; `None` for the operator, for whoever accepted an invitation, and where time was the actor.
    pub actor_id: Option<UserId>,
    /// The setting before; `None` when it is new.
    pub before: Option<Setting>,
    /// The setting after; `None` when it is gone.
    pub after: Option<Setting>,
}

/// A setting of an organization, as it is stored, without hashes of secrets: in their place are zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A member.
    Member(Box<Member>),
    /// A pending invitation.
    Invitation(Box<Invitation>),
    /// An API key.
    ApiKey(Box<ApiKey>),
    /// A component.
    Component(Box<Component>),
    /// A schedule.
    Schedule(Box<Schedule>),
    /// A layer of a schedule.
    RotationLayer(Box<RotationLayer>),
    /// An override of a schedule.
    Override(Box<Override>),
    /// An escalation policy.
    Policy(Box<Policy>),
    /// A layer of an escalation policy.
    PolicyLayer(Box<PolicyLayer>),
    /// A webhook.
    Webhook(Box<Webhook>),
    /// A status page.
    StatusPage(Box<StatusPage>),
    /// A maintenance of a status page.
    Maintenance(Box<Maintenance>),
    /// An integration.
    Integration(Box<Integration>),
}

/// A setting as it is shown: what callers see of it, and nothing of what only the rules need.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
#[non_exhaustive]
pub enum SettingView {
    /// A member.
    Member(Box<Member>),
    /// A pending invitation.
    Invitation(Box<InvitationView>),
    /// An API key.
    ApiKey(Box<ApiKeyView>),
    /// A component.
    Component(Box<Component>),
    /// A schedule.
    Schedule(Box<ScheduleSetting>),
    /// A layer of a schedule.
    RotationLayer(Box<RotationLayerSetting>),
    /// An override of a schedule.
    Override(Box<Override>),
    /// An escalation policy.
    Policy(Box<PolicySetting>),
    /// A layer of an escalation policy.
    PolicyLayer(Box<PolicyLayerView>),
    /// A webhook.
    Webhook(Box<WebhookView>),
    /// A status page.
    StatusPage(Box<StatusPage>),
    /// A maintenance of a status page.
    Maintenance(Box<MaintenanceView>),
    /// An integration.
    Integration(Box<IntegrationSetting>),
}

/// A schedule, without its layers: they are settings of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct ScheduleSetting {
    /// The schedule's id.
    pub id: ScheduleId,
    /// Its name.
    pub name: ScheduleName,
    /// What it is for.
    pub description: Option<Description>,
    /// The time zone of its dates and handoff times.
    #[cfg_attr(feature = "serde", serde(rename = "timezone"))]
    pub zone: Zone,
    /// Its layers, by position.
    pub layer_ids: Vec<RotationLayerId>,
    /// The user who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its own fields were last changed.
    pub updated_at: Timestamp,
}

/// A layer of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct RotationLayerSetting {
    /// The layer's id.
    pub id: RotationLayerId,
    /// The schedule that it is a layer of.
    pub schedule_id: ScheduleId,
    /// Its name.
    pub name: ScheduleName,
    /// The length of a turn: type and number of days.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub length: RotationLength,
    /// The local time at which turns begin.
    pub handoff_time: HandoffTime,
    /// The first instant at which it holds.
    pub effective_from: Timestamp,
    /// The first instant at which it does not hold any more; `None`: it holds for good.
    pub effective_until: Option<Timestamp>,
    /// Who takes turns, in order.
    pub participant_ids: Vec<UserId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// An escalation policy, without its layers: they are settings of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct PolicySetting {
    /// The policy's id.
    pub id: PolicyId,
    /// Its name.
    pub name: PolicyName,
    /// What it is for.
    pub description: Option<Description>,
    /// The user who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its own fields were last changed.
    pub updated_at: Timestamp,
}

impl Setting {
    /// The kind of setting and its id, as they are shown.
    #[must_use]
    pub fn named(&self) -> (&'static str, String) {
        match self {
            Self::Member(it) => ("member", it.id.to_string()),
            Self::Invitation(it) => ("invitation", it.id.to_string()),
            Self::ApiKey(it) => ("apiKey", it.id.to_string()),
            Self::Component(it) => ("component", it.id.to_string()),
            Self::Schedule(it) => ("schedule", it.id.to_string()),
            Self::RotationLayer(it) => ("rotationLayer", it.id.to_string()),
            Self::Override(it) => ("override", it.id.to_string()),
            Self::Policy(it) => ("policy", it.id.to_string()),
            Self::PolicyLayer(it) => ("policyLayer", it.id.to_string()),
            Self::Webhook(it) => ("webhook", it.id.to_string()),
            Self::StatusPage(it) => ("statusPage", it.id.to_string()),
            Self::Maintenance(it) => ("maintenance", it.id.to_string()),
            Self::Integration(it) => ("integration", it.id.to_string()),
        }
    }

    /// The setting as it is shown.
    #[must_use]
    pub fn shown(&self) -> SettingView {
        match self {
            Self::Member(it) => SettingView::Member(it.clone()),
            Self::Invitation(it) => SettingView::Invitation(Box::new(InvitationView::from(&**it))),
            Self::ApiKey(it) => SettingView::ApiKey(Box::new(ApiKeyView::from(&**it))),
            Self::Component(it) => SettingView::Component(it.clone()),
            Self::Schedule(it) => SettingView::Schedule(Box::new(ScheduleSetting {
                id: it.id,
                name: it.name.clone(),
                description: it.description.clone(),
                zone: it.zone.clone(),
                layer_ids: it.order.clone(),
                created_by: it.created_by,
                created_at: it.created_at,
                updated_at: it.updated_at,
            })),
            Self::RotationLayer(it) => {
                let settings = it.rotation.settings();
                SettingView::RotationLayer(Box::new(RotationLayerSetting {
                    id: it.id,
                    schedule_id: it.schedule_id,
                    name: it.name.clone(),
                    length: settings.length,
                    handoff_time: settings.handoff,
                    effective_from: settings.effective_from,
                    effective_until: settings.effective_until,
                    participant_ids: settings.participants.to_vec(),
                    created_at: it.created_at,
                    updated_at: it.updated_at,
                }))
            }
            Self::Override(it) => SettingView::Override(it.clone()),
            Self::Policy(it) => SettingView::Policy(Box::new(PolicySetting {
                id: it.id,
                name: it.name.clone(),
                description: it.description.clone(),
                created_by: it.created_by,
                created_at: it.created_at,
                updated_at: it.updated_at,
            })),
            Self::PolicyLayer(it) => SettingView::PolicyLayer(Box::new(PolicyLayerView::from(&**it))),
            Self::Webhook(it) => SettingView::Webhook(Box::new(WebhookView::from(&**it))),
            Self::StatusPage(it) => SettingView::StatusPage(it.clone()),
            Self::Maintenance(it) => SettingView::Maintenance(Box::new(MaintenanceView::from(&**it))),
            Self::Integration(it) => SettingView::Integration(Box::new(IntegrationSetting::from(&**it))),
        }
    }

    const fn org_id(&self) -> OrgId {
        match self {
            Self::Member(it) => it.org_id,
            Self::Invitation(it) => it.org_id,
            Self::ApiKey(it) => it.org_id,
            Self::Component(it) => it.org_id,
            Self::Schedule(it) => it.org_id,
            Self::RotationLayer(it) => it.org_id,
            Self::Override(it) => it.org_id,
            Self::Policy(it) => it.org_id,
            Self::PolicyLayer(it) => it.org_id,
            Self::Webhook(it) => it.org_id,
            Self::StatusPage(it) => it.org_id,
            Self::Maintenance(it) => it.org_id,
            Self::Integration(it) => it.org_id,
        }
    }
}

/// The settings that a write changes, before and after; none for a write of something else. Who or what is marked as gone is gone.
fn settings(write: &Write) -> Option<(Option<Setting>, Option<Setting>)> {
    fn both<T>(change: &Change<T>, of: impl Fn(&T) -> Option<Setting>) -> Option<(Option<Setting>, Option<Setting>)> {
        Some((change.before.as_ref().and_then(&of), change.after.as_ref().and_then(&of)))
    }
    let no_hash = SecretHash::from_bytes([0; 32]);
    match write {
        Write::Member(it) => both(it, |it| it.is_active().then(|| Setting::Member(Box::new(it.clone())))),
        Write::Invitation(it) => {
            both(it, |it| Some(Setting::Invitation(Box::new(Invitation { token: no_hash, ..it.clone() }))))
        }
        Write::ApiKey(it) => both(it, |it| Some(Setting::ApiKey(Box::new(ApiKey { hash: no_hash, ..it.clone() })))),
        Write::Component(it) => both(it, |it| it.is_live().then(|| Setting::Component(Box::new(it.clone())))),
        Write::Schedule(it) => both(it, |it| Some(Setting::Schedule(Box::new(it.clone())))),
        Write::RotationLayer(it) => both(it, |it| Some(Setting::RotationLayer(Box::new(it.clone())))),
        Write::Override(it) => both(it, |it| Some(Setting::Override(Box::new(it.clone())))),
        Write::Policy(it) => both(it, |it| Some(Setting::Policy(Box::new(it.clone())))),
        Write::PolicyLayer(it) => both(it, |it| Some(Setting::PolicyLayer(Box::new(it.clone())))),
        Write::Webhook(it) => both(it, |it| Some(Setting::Webhook(Box::new(it.clone())))),
        Write::StatusPage(it) => both(it, |it| Some(Setting::StatusPage(Box::new(it.clone())))),
        Write::Maintenance(it) => both(it, |it| Some(Setting::Maintenance(Box::new(it.clone())))),
        Write::Integration(it) => both(it, |it| {
            it.is_live().then(|| Setting::Integration(Box::new(Integration { token: no_hash, ..it.clone() })))
        }),
        _ => None,
    }
}

/// Adds the entries for what a member, or somebody else, changes with these writes. What callers do not see is no change. `newest` is the
/// last entry of an organization: in an audit, time does not run backwards, whatever the clock does.
// Invariant [own-time].
pub(crate) fn note(
    writes: &mut Vec<Write>,
    actor_id: Option<UserId>,
    now: Timestamp,
    ids: &mut IdSource,
    newest: impl Fn(OrgId) -> Result<Option<OrgAuditId>, Error>,
) -> Result<(), Error> {
    let changed = writes.iter().filter_map(settings).filter(|(before, after)| {
        let shown = |setting: &Option<Setting>| setting.as_ref().map(Setting::shown);
        shown(before) != shown(after)
    });
    let (mut entries, mut last) = (Vec::new(), None);
    for (before, after) in changed {
        let Some(org_id) = after.as_ref().or(before.as_ref()).map(Setting::org_id) else { continue };
        let floor = match last.filter(|(org, _)| *org == org_id) {
            Some((_, id)) => Some(id),
            None => newest(org_id)?,
        };
        let at = floor.map_or(now, |id| now.max(id.made_at()));
        let id: OrgAuditId = ids.fresh_after(at, floor.map_or([0; 16], |id| id.to_bytes()));
        last = Some((org_id, id));
        let actor_id = actor_id.filter(|_| !disables(before.as_ref(), after.as_ref()));
        entries.push(Write::OrgAudit(Box::new(OrgAuditEntry { id, org_id, actor_id, before, after })));
    }
    writes.extend(entries);
    Ok(())
}

/// Whether a webhook is disabled, which no member does.
fn disables(before: Option<&Setting>, after: Option<&Setting>) -> bool {
    match (before, after) {
        (Some(Setting::Webhook(before)), Some(Setting::Webhook(after))) => {
            before.disabled.is_none() && after.disabled.is_some()
        }
        _ => false,
    }
}

/// The id of the last entry of an organization's audit.
pub(crate) fn newest(world: &dyn World) -> Result<Option<OrgAuditId>, Error> {
    Ok(world.org_audit(None, 1)?.first().map(|entry| entry.id))
}

/// The audit of one organization, as queries see it. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores no audit implements nothing.
pub trait OrgAuditPort {
    /// The entries of the audit, newest first: those behind `after`, or from the newest on with `None`; at most `limit`.
    fn org_audit(&self, after: Option<OrgAuditId>, limit: usize) -> Result<Vec<OrgAuditEntry>, Error> {
        let _ = (after, limit);
        Ok(Vec::new())
    }
}

cursors! {
    /// Where the list of an audit goes on: the `nextCursor` of one reply is the `cursor` of the next query. Opaque.
    OrgAuditCursor(OrgAuditId) = "org1_";
}

/// The audit of the organization, newest first (contract, section 10). For admins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListOrgAudit {
    /// The most entries of the reply: 1–100, by default 20.
    pub limit: ListLimit,
    /// The `next_cursor` of the reply before, for the entries behind it; `None` begins with the newest.
    pub cursor: Option<OrgAuditCursor>,
}

impl ListOrgAudit {
    /// The question for the newest entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// What was changed: the kind of setting, and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct OrgAuditTarget {
    /// `member`, `invitation`, `apiKey`, `component`, `schedule`, `rotationLayer`, `override`, `policy`, `policyLayer`, `webhook`,
    /// `statusPage`, `maintenance` or `integration`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
}

/// An entry as admins see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct OrgAuditView {
    /// The entry's id.
    pub id: OrgAuditId,
    /// When it was changed.
    pub at: Timestamp,
    /// The member who changed it; `None` for the operator, for whoever accepted an invitation, and where time was the actor.
    pub actor_id: Option<UserId>,
    /// What happened to it.
    pub action: OrgAuditAction,
    /// What was changed.
    pub target: OrgAuditTarget,
    /// How it was; `None` when it is new.
    pub before: Option<SettingView>,
    /// How it is since; `None` when it is gone.
    pub after: Option<SettingView>,
}

impl OrgAuditView {
    fn of(entry: &OrgAuditEntry) -> Option<Self> {
        let (action, setting) = match (&entry.before, &entry.after) {
            (None, Some(after)) => (OrgAuditAction::Created, after),
            (Some(_), Some(after)) => (OrgAuditAction::Changed, after),
            (Some(before), None) => (OrgAuditAction::Deleted, before),
            (None, None) => return None,
        };
        let (kind, id) = setting.named();
        Some(Self {
            id: entry.id,
            at: entry.id.made_at(),
            actor_id: entry.actor_id,
            action,
            target: OrgAuditTarget { kind, id },
            before: entry.before.as_ref().map(Setting::shown),
            after: entry.after.as_ref().map(Setting::shown),
        })
    }
}

/// The reply to [`ListOrgAudit`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct OrgAuditList {
    /// The entries, newest first.
    pub entries: Vec<OrgAuditView>,
    /// The cursor with which to ask for the rest; `None` when there is no more.
    pub next_cursor: Option<OrgAuditCursor>,
}

impl Query for ListOrgAudit {
    type Caller = ByAdmin;
    type Reply = OrgAuditList;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByAdmin, view: &View<'_>) -> Result<OrgAuditList, Error> {
        let limit = self.limit.get();
        // One more than asked for tells whether the list goes on.
        let mut found = view.world.org_audit(self.cursor.map(OrgAuditCursor::last_seen), limit.saturating_add(1))?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| more).map(|last| OrgAuditCursor::behind(last.id));
        Ok(OrgAuditList { entries: found.iter().filter_map(OrgAuditView::of).collect(), next_cursor })
    }
}
