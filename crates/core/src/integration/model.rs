//! The entities: an integration, its signals and groups of them, and what has come in lately.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::id::{
    AlertGroupId, ComponentId, Id, IncidentId, IntegrationId, OrgId, PolicyId, ScheduleId, SignalId, UserId,
};
use crate::incident::Severity;
use crate::secret::SecretHash;
use crate::text::{AlertSource, DedupKey, IncidentDescription, Name, Summary, Title, TopicArn};
use crate::time::Timestamp;
use crate::validation::Problem;
use crate::words::words;

words! {
    /// What an integration understands.
    IntegrationKind, "kind", "must be `pagerduty`, `alertmanager`, `generic`, `heartbeat` or `cloudwatch`" {
        /// `pagerduty`: PagerDuty's Events API, version 2.
        PagerDuty = "pagerduty",
        /// `alertmanager`: the webhook of Prometheus' Alertmanager, and of Grafana.
        Alertmanager = "alertmanager",
        /// `generic`: a small JSON of our own.
        Generic = "generic",
        /// `heartbeat`: being alive; an incident opens when that ends.
        Heartbeat = "heartbeat",
        /// `cloudwatch`: alarms of Amazon CloudWatch, over SNS.
        CloudWatch = "cloudwatch",
    }
}

words! {
    /// What becomes of an alert with a severity.
    SeverityOutcome, "outcome", "must be `incident` or `drop`" {
        /// `incident`: it opens an incident, or joins one.
        Incident = "incident",
        /// `drop`: it is accepted and forgotten.
        Drop = "drop",
    }
}

/// What becomes of alerts, by severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct Severities {
    /// Of those that are critical.
    pub critical: SeverityOutcome,
    /// Of those that are high.
    pub high: SeverityOutcome,
    /// Of those that are medium.
    pub medium: SeverityOutcome,
    /// Of those that are low.
    pub low: SeverityOutcome,
}

impl Severities {
    /// Every alert is one for an incident.
    pub const ALL: Self = Self {
        critical: SeverityOutcome::Incident,
        high: SeverityOutcome::Incident,
        medium: SeverityOutcome::Incident,
        low: SeverityOutcome::Incident,
    };

    /// What becomes of an alert with this severity.
    #[must_use]
    pub const fn outcome(&self, severity: Severity) -> SeverityOutcome {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
        }
    }
}

/// What an edit says of severities; `None` leaves one alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SomeSeverities {
    /// What becomes of alerts that are critical.
    pub critical: Option<SeverityOutcome>,
    /// Of those that are high.
    pub high: Option<SeverityOutcome>,
    /// Of those that are medium.
    pub medium: Option<SeverityOutcome>,
    /// Of those that are low.
    pub low: Option<SeverityOutcome>,
}

impl From<Severities> for SomeSeverities {
    fn from(all: Severities) -> Self {
        Self { critical: Some(all.critical), high: Some(all.high), medium: Some(all.medium), low: Some(all.low) }
    }
}

impl SomeSeverities {
    /// What holds after the edit, where `now` held before.
    #[must_use]
    pub fn over(self, now: Severities) -> Severities {
        Severities {
            critical: self.critical.unwrap_or(now.critical),
            high: self.high.unwrap_or(now.high),
            medium: self.medium.unwrap_or(now.medium),
            low: self.low.unwrap_or(now.low),
        }
    }
}

impl Default for Severities {
    fn default() -> Self {
        Self::ALL
    }
}

/// How often a heartbeat comes: every `period`, and `grace` later it is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Seconds between two beats: 1–2,678,400.
    period: u32,
    /// Seconds more before one is missed: 0–86,400.
    grace: u32,
}

impl Heartbeat {
    /// The longest period: 31 days, in seconds.
    pub const LONGEST_PERIOD: i64 = 2_678_400;
    /// The longest grace: a day, in seconds.
    pub const LONGEST_GRACE: i64 = 86_400;

    /// A beat every 1–2,678,400 seconds, with a grace of 0–86,400 seconds.
    ///
    /// # Errors
    /// A [`Problem`] of `periodSeconds` or `graceSeconds`.
    pub fn new(period: i64, grace: i64) -> Result<Self, Problem> {
        Ok(Self {
            period: seconds("periodSeconds", period, 1, Self::LONGEST_PERIOD)?,
            grace: seconds("graceSeconds", grace, 0, Self::LONGEST_GRACE)?,
        })
    }

    /// Seconds between two beats.
    #[must_use]
    pub const fn period(self) -> u32 {
        self.period
    }

    /// Seconds more before one is missed.
    #[must_use]
    pub const fn grace(self) -> u32 {
        self.grace
    }

    /// When it is missed, after a beat at this instant.
    #[must_use]
    pub fn missed_after(self, beat: Timestamp) -> Timestamp {
        beat.plus(Duration::from_secs(u64::from(self.period) + u64::from(self.grace)))
    }
}

/// A number of seconds within bounds.
pub(super) fn seconds(field: &'static str, seconds: i64, least: i64, most: i64) -> Result<u32, Problem> {
    let fits = u32::try_from(seconds).ok().filter(|_| (least..=most).contains(&seconds));
    fits.ok_or_else(|| Problem::new(field, format!("must be a number from {least} to {most}")))
}

/// A monitoring system that may report, as it is stored. A deleted one stays stored, marked as deleted: incidents name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// The integration's id: `int_` and 32 hexadecimal digits.
    pub id: IntegrationId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its name: 1–100 characters, unique.
    pub name: Name,
    /// What it understands.
    pub kind: IntegrationKind,
    /// The component that its incidents affect.
    pub component_id: Option<ComponentId>,
    /// The schedule whose owner owns its incidents; the policy that targets it pages.
    pub owner_schedule_id: Option<ScheduleId>,
    /// The policy that pages in place of that.
    pub policy_id: Option<PolicyId>,
    /// What becomes of alerts, by severity.
    pub severities: Severities,
    /// Seconds that an alert lasts before its incident is opened: 0–3,600.
    pub pause: u32,
    /// Seconds that it is quiet before its incident is resolved: 0–86,400.
    pub resolve_after: u32,
    /// How often a heartbeat comes; of that kind only.
    pub heartbeat: Option<Heartbeat>,
    /// The SHA-256 of its token.
    pub token: SecretHash,
    /// When it last got a new token; `None` while it has its first.
    pub rotated_at: Option<Timestamp>,
    /// The admin who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was deleted; `None` while it is there.
    pub deleted_at: Option<Timestamp>,
}

impl Integration {
    /// Whether it has not been deleted.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.deleted_at.is_none()
    }
}

/// What a signal or a group is found by: half of the SHA-256 of its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertKey([u8; 16]);

impl AlertKey {
    /// What is found by this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::hashed(0, text)
    }

    /// What is found by the text for several alerts. It is never that of an alert by itself.
    #[must_use]
    pub fn of_group(text: &str) -> Self {
        Self::hashed(2, text)
    }

    fn hashed(domain: u8, text: &str) -> Self {
        let digest: [u8; 32] = Sha256::new_with_prefix([domain]).chain_update(text.as_bytes()).finalize().into();
        let mut key = [0; 16];
        key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(key)
    }

    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlertKey({:032x})", u128::from_be_bytes(self.0))
    }
}

/// One alert of an integration, from its first report until its incident is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// The signal's id.
    pub id: SignalId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The integration that reported it.
    pub integration_id: IntegrationId,
    /// What it is found by.
    pub key: AlertKey,
    /// The key that the sender gave it, made to fit 255 characters.
    pub dedup_key: DedupKey,
    /// What its group is found by.
    pub group_key: AlertKey,
    /// Its group.
    pub group_id: AlertGroupId,
    /// The worst severity that it had.
    pub severity: Severity,
    /// What the last report said: at most 1,024 characters.
    pub summary: Summary,
    /// Where it comes from: at most 255 characters.
    pub source: AlertSource,
    /// When it was first reported.
    pub first_at: Timestamp,
    /// When it was last reported.
    pub last_at: Timestamp,
    /// How often it was reported as firing.
    pub count: u64,
    /// Since when it is over; `None` while it fires.
    pub resolved_at: Option<Timestamp>,
    /// Hashes of the ids of the last reports that carry one, oldest first: 16 at most.
    pub reports: Vec<u64>,
}

impl Signal {
    /// The group of a signal that is forgotten: its own id, which no group has.
    pub(super) fn group_of_forgotten(id: SignalId) -> AlertGroupId {
        AlertGroupId::from_bytes(id.to_bytes())
    }

    /// Whether it was over before its incident was opened: then nothing is kept of it but the reports that have acted, in no group.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.group_id == Self::group_of_forgotten(self.id)
    }
}

/// Signals that belong together, and their incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertGroup {
    /// The group's id.
    pub id: AlertGroupId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The integration.
    pub integration_id: IntegrationId,
    /// What it is found by.
    pub key: AlertKey,
    /// How many of its signals fire; 0 once it is closed.
    pub firing: u32,
    /// What it waits for.
    pub state: GroupState,
}

/// What the incident of a group will begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAlert {
    /// The title of the incident.
    pub title: Title,
    /// Its description.
    pub description: Option<IncidentDescription>,
    /// Its severity: the worst of all signals so far.
    pub severity: Severity,
}

/// The state of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupState {
    /// Its incident opens if a signal still fires at that instant.
    Pausing {
        /// When the incident opens.
        opens_at: Timestamp,
        /// What the incident will begin with.
        first: Box<FirstAlert>,
    },
    /// Its incident is open, and at least one signal fires.
    Open {
        /// The incident.
        incident_id: IncidentId,
    },
    /// No signal fires; the incident is resolved if that lasts.
    Quiet {
        /// The incident.
        incident_id: IncidentId,
        /// When the incident is resolved.
        resolves_at: Timestamp,
    },
    /// The incident is resolved, by whomever. What comes next is another group.
    Closed {
        /// The incident.
        incident_id: IncidentId,
    },
}

impl GroupState {
    /// The incident, once there is one.
    #[must_use]
    pub const fn incident(&self) -> Option<IncidentId> {
        match self {
            Self::Pausing { .. } => None,
            Self::Open { incident_id } | Self::Quiet { incident_id, .. } | Self::Closed { incident_id } => {
                Some(*incident_id)
            }
        }
    }

    /// When it goes on by itself; `None` when it waits for nothing.
    #[must_use]
    pub const fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Pausing { opens_at, .. } => Some(*opens_at),
            Self::Quiet { resolves_at, .. } => Some(*resolves_at),
            Self::Open { .. } | Self::Closed { .. } => None,
        }
    }
}

/// A storm: so many new groups that they are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// When it began.
    pub began: Timestamp,
    /// When the last new signal joined it.
    pub last: Timestamp,
}

impl Storm {
    /// What its group is found by: no text leads there.
    #[must_use]
    pub fn key(&self) -> AlertKey {
        AlertKey::hashed(1, &self.began.as_millis().to_string())
    }
}

/// What came in lately over an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The integration.
    pub integration_id: IntegrationId,
    /// When something last came in, to the minute; of a heartbeat, when the last beat came.
    pub last_signal_at: Option<Timestamp>,
    /// When groups began in the last ten minutes, oldest first: 60 at most.
    pub begun: Vec<Timestamp>,
    /// The last storm.
    pub storm: Option<Storm>,
    /// When the next beat is missed; `None` before the first, and after one was missed.
    pub silent_at: Option<Timestamp>,
    /// The topic of SNS whose subscription was confirmed first; no other may report.
    pub topic: Option<TopicArn>,
}

impl Traffic {
    /// Nothing has come in yet.
    #[must_use]
    pub const fn none(org_id: OrgId, integration_id: IntegrationId) -> Self {
        Self {
            org_id,
            integration_id,
            last_signal_at: None,
            begun: Vec::new(),
            storm: None,
            silent_at: None,
            topic: None,
        }
    }
}
