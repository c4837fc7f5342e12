//! Keys, built by hand: a table's tag, the organization, then parts in big-endian order.
//!
//! Every list of the contract is one ascending scan, or a merge of a few. Where the newest comes first, the id is written with its bits
//! inverted: an id begins with its millisecond, so newer ids sort first. `FORMAT.md` describes every table.

use dogwatch_core::id::{ApiKeyId, AuditEventId, ComponentId, Id, IncidentId, InvitationId, PolicyId};
use dogwatch_core::incident::{IncidentFilter, Severity, Status};
use dogwatch_core::outbox::{ReadyInbox, Recipient};
use dogwatch_core::secret::SecretHash;
use dogwatch_core::ticks::Timer;
use dogwatch_core::{OrgId, Timestamp, UserId};

/// The tables. The tag is the first byte of every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Table {
    /// What the store is.
    Meta = 0x00,
    /// Organizations.
    Organization = b'O',
    /// Who holds an API key, by the hash of its secret.
    KeyHolder = b'K',
    /// Where an invitation is pending, by the hash of its token.
    Token = b'T',
    /// Counts of an organization.
    Counts = b't',
    /// Members, removed ones included.
    Member = b'm',
    /// Members who have not been removed.
    ActiveMember = b'M',
    /// E-mails of members and pending invitations.
    Email = b'e',
    /// Pending invitations.
    Invitation = b'i',
    /// API keys.
    ApiKey = b'a',
    /// API keys by user.
    ApiKeyByUser = b'A',
    /// Components, deleted ones included.
    Component = b'c',
    /// Names of components that have not been deleted.
    ComponentName = b'n',
    /// Incidents, newest first.
    Incident = b'I',
    /// Incidents by status and severity, newest first.
    ByStatusAndSeverity = b'X',
    /// Unresolved incidents by component, newest first.
    OpenByComponent = b'C',
    /// Updates of incidents.
    Update = b'u',
    /// Audit trails of incidents.
    Audit = b'h',
    /// Long texts, in pieces.
    Text = b'x',
    /// On-call schedules.
    Schedule = b'd',
    /// Names of schedules.
    ScheduleName = b'D',
    /// Rotation layers as they are now.
    Layer = b'l',
    /// What held for layers once, by its end.
    PastTerms = b'p',
    /// In which order layers stood once, by its end.
    PastOrder = b'o',
    /// Overrides, by their end.
    Override = b'v',
    /// The rotations that a user takes part in now.
    RotationByUser = b'r',
    /// Overrides by user and end.
    OverrideByUser = b'w',
    /// Escalation policies.
    Policy = b'P',
    /// Names of escalation policies.
    PolicyName = b'N',
    /// Policy layers as they are now.
    PolicyLayer = b'L',
    /// Policy layers of earlier revisions that runs have started on.
    PastPolicyLayer = b'q',
    /// Policy layers by the schedule they target, then by position.
    PolicyBySchedule = b'g',
    /// Policy layers by the users they name.
    PolicyByUser = b'G',
    /// Unresolved incidents by policy.
    OpenByPolicy = b'E',
    /// Runs that wait, of all organizations, by the instant at which they are due.
    Timer = b'Z',
    /// Notifications that wait for delivery, a line for each recipient.
    Notification = b'y',
    /// Where each line begins and ends, and from when on it can be claimed.
    Inbox = b'b',
    /// Lines that hold something, of all organizations, by the instant from which on they can be claimed.
    Ready = b'R',
    /// Notifications that were delivered, of all organizations, by that instant.
    Delivered = b'z',
    /// Answers that are recorded under an idempotency key.
    Once = b'k',
    /// The same, of all organizations, by the instant of their recording.
    OnceByTime = b'Q',
}

impl Table {
    pub(crate) const ALL: [Self; 41] = [
        Self::Meta,
        Self::Organization,
        Self::KeyHolder,
        Self::Token,
        Self::Counts,
        Self::Member,
        Self::ActiveMember,
        Self::Email,
        Self::Invitation,
        Self::ApiKey,
        Self::ApiKeyByUser,
        Self::Component,
        Self::ComponentName,
        Self::Incident,
        Self::ByStatusAndSeverity,
        Self::OpenByComponent,
        Self::Update,
        Self::Audit,
        Self::Text,
        Self::Schedule,
        Self::ScheduleName,
        Self::Layer,
        Self::PastTerms,
        Self::PastOrder,
        Self::Override,
        Self::RotationByUser,
        Self::OverrideByUser,
        Self::Policy,
        Self::PolicyName,
        Self::PolicyLayer,
        Self::PastPolicyLayer,
        Self::PolicyBySchedule,
        Self::PolicyByUser,
        Self::OpenByPolicy,
        Self::Timer,
        Self::Notification,
        Self::Inbox,
        Self::Ready,
        Self::Delivered,
        Self::Once,
        Self::OnceByTime,
    ];

    /// The table that a key belongs to, by its tag.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        let tag = *key.first()?;
        Self::ALL.into_iter().find(|table| *table as u8 == tag)
    }

    /// A key of this table.
    pub(crate) fn key(self, parts: &[&[u8]]) -> Vec<u8> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
        let mut key = Vec::with_capacity(length);
        // The discriminant is the tag.
        key.push(self as u8);
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    /// A key of this table in an organization.
    pub(crate) fn of(self, org: OrgId, parts: &[&[u8]]) -> Vec<u8> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + 17;
        let mut key = Vec::with_capacity(length);
        key.push(self as u8);
        key.extend_from_slice(&org.to_bytes());
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    /// The record of a thing with an id.
    pub(crate) fn record(self, org: OrgId, id: impl Id) -> Vec<u8> {
        self.of(org, &[&id.to_bytes()])
    }

    /// A row under the hash of a secret.
    pub(crate) fn hashed(self, hash: SecretHash) -> Vec<u8> {
        self.key(&[&hash.to_bytes()])
    }
}

/// The end of the keys that begin with a prefix.
pub(crate) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // Only a prefix of nothing but 0xFF gets here, and no tag is 0xFF.
    vec![0xFF; prefix.len() + 1]
}

/// An id so that newer ones sort first.
pub(crate) fn newest_first(id: IncidentId) -> [u8; 16] {
    id.to_bytes().map(|byte| !byte)
}

/// The id that [`newest_first`] wrote at the end of a key.
pub(crate) fn incident_at_end(key: &[u8]) -> Option<IncidentId> {
    key.last_chunk::<16>().map(|bytes| IncidentId::from_bytes(bytes.map(|byte| !byte)))
}

pub(crate) const fn status_byte(status: Status) -> u8 {
    match status {
        Status::Investigating => 1,
        Status::Identified => 2,
        Status::Monitoring => 3,
        Status::Resolved => 4,
    }
}

pub(crate) const fn severity_byte(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 1,
        Severity::High => 2,
        Severity::Medium => 3,
        Severity::Low => 4,
    }
}

pub(crate) fn incident(org: OrgId, id: IncidentId) -> Vec<u8> {
    Table::Incident.of(org, &[&newest_first(id)])
}

pub(crate) fn by_status_and_severity(org: OrgId, status: Status, severity: Severity, id: IncidentId) -> Vec<u8> {
    Table::ByStatusAndSeverity.of(org, &[&[status_byte(status), severity_byte(severity)], &newest_first(id)])
}

pub(crate) fn open_by_component(org: OrgId, component: ComponentId, id: IncidentId) -> Vec<u8> {
    Table::OpenByComponent.of(org, &[&component.to_bytes(), &newest_first(id)])
}

pub(crate) fn open_by_policy(org: OrgId, policy: PolicyId, id: IncidentId) -> Vec<u8> {
    Table::OpenByPolicy.of(org, &[&policy.to_bytes(), &newest_first(id)])
}

pub(crate) fn api_key_by_user(org: OrgId, user: UserId, key: ApiKeyId) -> Vec<u8> {
    Table::ApiKeyByUser.of(org, &[&user.to_bytes(), &key.to_bytes()])
}

/// An instant as a part of a key: later ones sort behind.
pub(crate) fn instant(at: Timestamp) -> [u8; 8] {
    at.as_millis().to_be_bytes()
}

pub(crate) fn timer(timer: &Timer) -> Vec<u8> {
    Table::Timer.key(&[&instant(timer.due), &timer.org.to_bytes(), &timer.incident.to_bytes()])
}

pub(crate) fn ready(line: &ReadyInbox) -> Vec<u8> {
    Table::Ready.key(&[&instant(line.ready_at), &line.org.to_bytes(), &recipient(line.recipient)])
}

/// The line that a key of [`ready`] is for.
pub(crate) fn ready_line(key: &[u8]) -> Option<ReadyInbox> {
    let (ready_at, org, _) = by_time::<OrgId, UserId>(key)?;
    Some(ReadyInbox { ready_at, org, recipient: recipient_of(key.get(1 + 8 + 16..)?)? })
}

/// What follows the id of somebody who is invited, so that no line of theirs is taken for a user's.
const INVITED: u8 = b'i';

/// A recipient as a part of a key: the id of a user, or that of an invitation and a mark.
pub(crate) fn recipient(recipient: Recipient) -> Vec<u8> {
    match recipient {
        Recipient::Member(user) => user.to_bytes().to_vec(),
        Recipient::Invited(invitation) => [&invitation.to_bytes()[..], &[INVITED]].concat(),
    }
}

/// The recipient that [`recipient`] wrote.
pub(crate) fn recipient_of(part: &[u8]) -> Option<Recipient> {
    let (id, mark) = part.split_first_chunk::<16>()?;
    match mark {
        [] => Some(Recipient::Member(UserId::from_bytes(*id))),
        [INVITED] => Some(Recipient::Invited(InvitationId::from_bytes(*id))),
        _ => None,
    }
}

pub(crate) fn inbox(org: OrgId, line: Recipient) -> Vec<u8> {
    Table::Inbox.of(org, &[&recipient(line)])
}

pub(crate) fn notification(org: OrgId, line: Recipient, number: u64) -> Vec<u8> {
    Table::Notification.of(org, &[&recipient(line), &number.to_be_bytes()])
}

pub(crate) fn delivered(at: Timestamp, org: OrgId, line: Recipient, number: u64) -> Vec<u8> {
    Table::Delivered.key(&[&instant(at), &org.to_bytes(), &recipient(line), &number.to_be_bytes()])
}

/// The instant and the two ids of a key in a table of all organizations that is sorted by time.
pub(crate) fn by_time<A: Id, B: Id>(key: &[u8]) -> Option<(Timestamp, A, B)> {
    let (at, rest) = key.get(1..)?.split_first_chunk::<8>()?;
    let (first, second) = rest.split_first_chunk::<16>()?;
    let at = Timestamp::from_millis(i64::from_be_bytes(*at))?;
    Some((at, A::from_bytes(*first), B::from_bytes(*second.first_chunk::<16>()?)))
}

pub(crate) fn audit(org: OrgId, incident: IncidentId, first: AuditEventId) -> Vec<u8> {
    Table::Audit.of(org, &[&incident.to_bytes(), &first.to_bytes()])
}

/// A piece of a long text that belongs to an incident or an update.
pub(crate) fn text(org: OrgId, owner: [u8; 16], piece: u8) -> Vec<u8> {
    Table::Text.of(org, &[&owner, &[piece]])
}

/// The scans that answer a list of incidents: the keys from a start up to an end, each newest first. A key ends with the
/// incident's id.
pub(crate) fn incident_lists(
    org: OrgId,
    filter: &IncidentFilter,
    after: Option<IncidentId>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let range = |prefix| incident_range(prefix, filter, after);
    if filter.status.is_none() && filter.severity.is_none() {
        return vec![range(Table::Incident.of(org, &[]))];
    }
    let statuses = Status::ALL.into_iter().filter(|status| filter.status.is_none_or(|wanted| wanted == *status));
    let severities = |status| {
        let wanted = |severity: &Severity| filter.severity.is_none_or(|wanted| wanted == *severity);
        let severities = Severity::ALL.into_iter().filter(wanted);
        severities.map(move |severity| [status_byte(status), severity_byte(severity)])
    };
    statuses.flat_map(severities).map(|both| range(Table::ByStatusAndSeverity.of(org, &[&both]))).collect()
}

/// Of the incidents whose keys begin so, those that a filter's span and a cursor leave.
fn incident_range(prefix: Vec<u8>, filter: &IncidentFilter, after: Option<IncidentId>) -> (Vec<u8>, Vec<u8>) {
    let mut start = prefix.clone();
    if let Some(to) = filter.to {
        start.extend_from_slice(&inverted_millis(to));
    }
    if let Some(after) = after {
        let mut behind = prefix.clone();
        behind.extend_from_slice(&newest_first(after));
        behind.push(0);
        start = start.max(behind);
    }
    let end = match filter.from {
        None => end_of(&prefix),
        Some(from) => {
            let mut last = prefix;
            last.extend_from_slice(&inverted_millis(from));
            end_of(&last)
        }
    };
    (start, end)
}

/// The first six bytes of the inverted ids that were made at an instant.
fn inverted_millis(at: Timestamp) -> [u8; 6] {
    let [_, _, rest @ ..] = at.as_millis().to_be_bytes();
    rest.map(|byte| !byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_differ() {
        let mut tags: Vec<_> = Table::ALL.iter().map(|table| *table as u8).collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), Table::ALL.len());
    }

    #[test]
    fn every_table_is_documented() {
        let format = include_str!("../FORMAT.md");
        for table in Table::ALL {
            let tag = match table {
                Table::Meta => "`00`".to_owned(),
                other => format!("`{}`", char::from(other as u8)),
            };
            let line = format.lines().find(|line| line.starts_with(&format!("| {tag} |")));
            assert!(
                line.is_some_and(|line| line.contains(&format!("{table:?}"))),
                "{table:?} has no line in FORMAT.md"
            );
        }
    }

    /// A cursor may come from a list with another filter: what is newer than `to` stays out all the same.
    #[test]
    fn a_cursor_does_not_widen_a_list() {
        let org = OrgId::from_bytes([1; 16]);
        let at = |millis: i64| Timestamp::from_millis(millis).unwrap();
        let made_at = |millis: i64| dogwatch_core::IdSource::from_seed([1; 32]).fresh::<IncidentId>(at(millis));
        let filter = IncidentFilter { from: Some(at(10)), to: Some(at(20)), ..Default::default() };
        for (cursor, incident, listed) in [
            (None, 20, true),
            (None, 21, false),
            (None, 10, true),
            (None, 9, false),
            (Some(30), 25, false),
            (Some(30), 20, true),
            (Some(15), 16, false),
            (Some(15), 14, true),
            (Some(15), 15, false),
            (Some(5), 10, false),
        ] {
            let lists = incident_lists(org, &filter, cursor.map(made_at));
            let key = super::incident(org, made_at(incident));
            let found = lists.iter().any(|(start, end)| *start <= key && key < *end);
            assert_eq!(found, listed, "cursor {cursor:?}, incident {incident}");
        }
    }

    /// Every incident stands in one list of each filter that it fits, and in none of another.
    #[test]
    fn the_lists_of_a_filter() {
        let (org, id) = (OrgId::from_bytes([1; 16]), IncidentId::from_bytes([2; 16]));
        let statuses = || Status::ALL.into_iter().map(Some).chain([None]);
        let severities = || Severity::ALL.into_iter().map(Some).chain([None]);
        for (status, severity) in statuses().flat_map(|status| severities().map(move |severity| (status, severity))) {
            let filter = IncidentFilter { status, severity, ..Default::default() };
            let lists = incident_lists(org, &filter, None);
            for (is, of) in Status::ALL.into_iter().flat_map(|is| Severity::ALL.map(|of| (is, of))) {
                let keys = [super::incident(org, id), by_status_and_severity(org, is, of, id)];
                let found = |(start, end): &&(Vec<u8>, Vec<u8>)| keys.iter().any(|key| start <= key && key < end);
                let fits = status.is_none_or(|wanted| wanted == is) && severity.is_none_or(|wanted| wanted == of);
                assert_eq!(lists.iter().filter(found).count(), usize::from(fits), "{filter:?}: {is:?} {of:?}");
            }
        }
    }

    #[test]
    fn ends() {
        for (prefix, end) in [
            (&b"ab"[..], &b"ac"[..]),
            (b"a\xFF", b"b"),
            (b"a\xFF\xFF", b"b"),
            (b"\x00", b"\x01"),
            (b"\xFF", b"\xFF\xFF"),
        ] {
            assert_eq!(end_of(prefix), end, "{prefix:?}");
        }
    }
}
