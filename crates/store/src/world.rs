//! Core's view of the world, read from rows.
//!
//! An [`OrgView`] builds every key from its own organization, so what it can reach is that organization and nothing else.

use dogwatch_core::api_key::{ApiKey, ApiKeyPort, KeyHolder};
use dogwatch_core::component::{Component, ComponentPort};
use dogwatch_core::escalation::{EscalationPort, PastPolicyLayer, Policy, PolicyLayer};
use dogwatch_core::id::{
    ApiKeyId, ComponentId, Id, IncidentId, InvitationId, PolicyId, PolicyLayerId, ScheduleId, UpdateId,
};
use dogwatch_core::incident::{AuditEvent, Incident, IncidentFilter, IncidentPort, IncidentUpdate};
use dogwatch_core::oncall::{OnCallPort, Override, PastOrder, PastTerms, RotationLayer, Schedule};
use dogwatch_core::organization::{Counts, Organization, OrganizationPort};
use dogwatch_core::outbox::{DeliveryPort, Inbox, Notification, OutboxPort, ReadyInbox, Recipient};
use dogwatch_core::secret::SecretHash;
use dogwatch_core::team::{Invitation, Member, TeamPort};
use dogwatch_core::text::{EmailAddress, Name, PolicyName, ScheduleName};
use dogwatch_core::ticks::{TickPort, Timer};
use dogwatch_core::world::{GlobalPort, State, World};
use dogwatch_core::{Error, OrgId, Timestamp, UserId};
use std::iter::Peekable;

use crate::backend::Pair;
use crate::keys::{self, Table, end_of};
use crate::overlay::Overlay;
use crate::record::{Corrupt, Stored, decode};
use crate::records::json::hex;
use crate::records::{
    ApiKeyV1, AuditV1, ComponentV1, CountsV2, HolderV1, InboxV1, IncidentV3, InvitationV1, LayerV1, MemberV1, NamedV1,
    NotificationV2, OrganizationV1, OverrideV1, PastOrderV1, PastTermsV1, PlaceV1, PolicyLayerV1, PolicyV1, ScheduleV1,
    UpdateV1, audit_of, email_key, incident_of, update_of,
};

/// All organizations, as seen through an overlay.
#[derive(Clone, Copy)]
pub(crate) struct StoreView<'a> {
    rows: Overlay<'a>,
}

impl<'a> StoreView<'a> {
    pub(crate) fn new(rows: Overlay<'a>) -> Self {
        Self { rows }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.rows.get(key).map_err(|error| Error::broken(error.to_string()))
    }

    fn record<T: Stored>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        self.get(key)?.map(|value| decode(key, &value).map_err(|why| corrupt(key, why))).transpose()
    }

    pub(crate) fn scan(&self, start: &[u8], end: &[u8]) -> impl Iterator<Item = Result<Pair, Error>> + use<'a> {
        self.rows.scan(start, end).map(|pair| pair.map_err(|error| Error::broken(error.to_string())))
    }

    pub(crate) fn under(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Pair, Error>> + use<'a> {
        self.scan(prefix, &end_of(prefix))
    }

    /// All records under a prefix, each made into a thing by `build` with the id at the end of its key.
    fn records<T: Stored, I: Id, R>(
        &self,
        prefix: &[u8],
        build: impl Fn(T, I) -> Result<R, Corrupt>,
    ) -> Result<Vec<R>, Error> {
        self.records_between(prefix, &end_of(prefix), build)
    }

    /// As [`StoreView::records`], of those whose key goes on with an instant after `after`.
    fn records_after<T: Stored, I: Id, R>(
        &self,
        prefix: &[u8],
        after: Timestamp,
        build: impl Fn(T, I) -> Result<R, Corrupt>,
    ) -> Result<Vec<R>, Error> {
        let mut start = prefix.to_vec();
        start.extend_from_slice(&keys::instant(after));
        self.records_between(&end_of(&start), &end_of(prefix), build)
    }

    fn records_between<T: Stored, I: Id, R>(
        &self,
        start: &[u8],
        end: &[u8],
        build: impl Fn(T, I) -> Result<R, Corrupt>,
    ) -> Result<Vec<R>, Error> {
        let read = |(key, value): Pair| {
            let made = decode(&key, &value).and_then(|record| build(record, id_at_end(&key)?));
            made.map_err(|why| corrupt(&key, why))
        };
        self.scan(start, end).map(|pair| read(pair?)).collect()
    }
}

/// Lists of incidents, each newest first, as one.
fn newest_first<L: Iterator<Item = Result<Pair, Error>>>(
    mut lists: Vec<Peekable<L>>,
) -> impl Iterator<Item = Result<Pair, Error>> {
    std::iter::from_fn(move || {
        // Inverted ids end the keys: the newest is the least. What cannot be read comes first of all.
        let next = |list: &mut Peekable<L>| match list.peek() {
            Some(Ok((key, _))) => Some(key.last_chunk::<16>().copied()),
            Some(Err(_)) => Some(None),
            None => None,
        };
        let heads = lists.iter_mut().enumerate().filter_map(|(at, list)| Some((next(list)?, at)));
        let (_, first) = heads.min()?;
        lists.get_mut(first)?.next()
    })
}

/// A record that is not what was written. The key is for the log of whoever runs the engine.
pub(crate) fn corrupt(key: &[u8], why: Corrupt) -> Error {
    Error::broken(format!("corrupt record at key {}: {why}", hex(key)))
}

fn id_at_end<T: Id>(key: &[u8]) -> Result<T, Corrupt> {
    key.last_chunk::<16>().map(|bytes| T::from_bytes(*bytes)).ok_or(Corrupt::Key)
}

impl GlobalPort for StoreView<'_> {
    fn key_holder(&self, hash: SecretHash) -> Result<Option<KeyHolder>, Error> {
        let key = Table::KeyHolder.hashed(hash);
        let holder = self.record::<HolderV1>(&key)?.map(KeyHolder::try_from).transpose();
        holder.map_err(|why| corrupt(&key, why))
    }

    fn organization_inviting(&self, token: SecretHash) -> Result<Option<OrgId>, Error> {
        let place = self.record::<PlaceV1>(&Table::Token.hashed(token))?;
        Ok(place.map(|place| OrgId::from_bytes(place.org)))
    }
}

impl TickPort for StoreView<'_> {
    fn timers_due(&self, now: Timestamp, after: Option<&Timer>, limit: usize) -> Result<Vec<Timer>, Error> {
        let start = after.map_or_else(|| Table::Timer.key(&[]), |after| end_of(&keys::timer(after)));
        let end = end_of(&Table::Timer.key(&[&keys::instant(now)]));
        let timer = |key: &[u8]| {
            let (due, org, incident) = keys::by_time(key).ok_or_else(|| corrupt(key, Corrupt::Key))?;
            Ok(Timer { due, org, incident })
        };
        self.scan(&start, &end).take(limit).map(|pair| timer(&pair?.0)).collect()
    }

    fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        self.first_instant(Table::Timer, &Table::Timer.key(&[]))
    }
}

impl DeliveryPort for StoreView<'_> {
    fn ready_inboxes(
        &self,
        now: Timestamp,
        after: Option<&ReadyInbox>,
        limit: usize,
    ) -> Result<Vec<ReadyInbox>, Error> {
        let start = after.map_or_else(|| Table::Ready.key(&[]), |after| end_of(&keys::ready(after)));
        let end = end_of(&Table::Ready.key(&[&keys::instant(now)]));
        let line = |key: &[u8]| keys::ready_line(key).ok_or_else(|| corrupt(key, Corrupt::Key));
        self.scan(&start, &end).take(limit).map(|pair| line(&pair?.0)).collect()
    }

    fn next_ready(&self, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        self.first_instant(Table::Ready, &end_of(&Table::Ready.key(&[&keys::instant(now)])))
    }
}

impl State for StoreView<'_> {
    fn world(&self, org: OrgId) -> Box<dyn World + '_> {
        Box::new(OrgView { store: *self, org })
    }

    fn organizations(&self) -> Result<Vec<Organization>, Error> {
        self.records(&Table::Organization.key(&[]), OrganizationV1::of)
    }
}

impl StoreView<'_> {
    /// The first instant in a table that is sorted by time, from a key on.
    fn first_instant(&self, table: Table, start: &[u8]) -> Result<Option<Timestamp>, Error> {
        let Some(first) = self.scan(start, &end_of(&table.key(&[]))).next() else { return Ok(None) };
        let (key, _) = first?;
        let (at, _, _) = keys::by_time::<OrgId, UserId>(&key).ok_or_else(|| corrupt(&key, Corrupt::Key))?;
        Ok(Some(at))
    }
}

/// One organization, as seen through an overlay.
struct OrgView<'a> {
    store: StoreView<'a>,
    org: OrgId,
}

impl OrgView<'_> {
    /// The thing under a key, made by `build` from its record.
    fn thing<T: Stored, R>(&self, key: &[u8], build: impl FnOnce(T) -> Result<R, Corrupt>) -> Result<Option<R>, Error> {
        let record = self.store.record::<T>(key)?;
        record.map(build).transpose().map_err(|why| corrupt(key, why))
    }

    /// Reads a row for a thing that has some of its text elsewhere. A failed read shows as a missing piece.
    fn read(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.store.rows.get(key).ok().flatten()
    }
}

impl OrgView<'_> {
    /// The things of a table of names, by name.
    fn named<R>(&self, table: Table, thing: impl Fn([u8; 16]) -> Result<Option<R>, Error>) -> Result<Vec<R>, Error> {
        let read = |(key, value): Pair| {
            let named: NamedV1 = decode(&key, &value).map_err(|why| corrupt(&key, why))?;
            thing(named.id)?.ok_or_else(|| corrupt(&key, Corrupt::Missing))
        };
        self.store.under(&table.of(self.org, &[])).map(|pair| read(pair?)).collect()
    }
}

impl OrganizationPort for OrgView<'_> {
    fn org_id(&self) -> OrgId {
        self.org
    }

    fn organization(&self) -> Result<Option<Organization>, Error> {
        self.thing(&Table::Organization.of(self.org, &[]), |row: OrganizationV1| row.of(self.org))
    }

    fn counts(&self) -> Result<Counts, Error> {
        let tally = self.thing(&Table::Counts.of(self.org, &[]), |row: CountsV2| Ok(row.of(self.org)))?;
        Ok(tally.unwrap_or(Counts::empty(self.org)))
    }
}

impl TeamPort for OrgView<'_> {
    fn member(&self, id: UserId) -> Result<Option<Member>, Error> {
        self.thing(&Table::Member.record(self.org, id), |row: MemberV1| row.of(self.org, id))
    }

    fn is_member(&self, id: UserId) -> Result<bool, Error> {
        Ok(self.store.get(&Table::ActiveMember.record(self.org, id))?.is_some())
    }

    fn members(&self) -> Result<Vec<Member>, Error> {
        let prefix = Table::ActiveMember.of(self.org, &[]);
        let member = |key: &[u8]| {
            let id = id_at_end(key).map_err(|why| corrupt(key, why))?;
            self.member(id)?.ok_or_else(|| corrupt(key, Corrupt::Missing))
        };
        self.store.under(&prefix).map(|pair| member(&pair?.0)).collect()
    }

    fn email_taken(&self, email: &EmailAddress) -> Result<bool, Error> {
        Ok(self.store.get(&email_key(self.org, email))?.is_some())
    }

    fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, Error> {
        self.thing(&Table::Invitation.record(self.org, id), |row: InvitationV1| row.of(self.org, id))
    }

    fn invitation_by_token(&self, token: SecretHash) -> Result<Option<Invitation>, Error> {
        let place = self.store.record::<PlaceV1>(&Table::Token.hashed(token))?;
        match place.filter(|place| place.org == self.org.to_bytes()) {
            Some(place) => self.invitation(InvitationId::from_bytes(place.invitation)),
            None => Ok(None),
        }
    }

    fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        self.store.records(&Table::Invitation.of(self.org, &[]), |row: InvitationV1, id| row.of(self.org, id))
    }
}

impl ApiKeyPort for OrgView<'_> {
    fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
        self.thing(&Table::ApiKey.record(self.org, id), |row: ApiKeyV1| row.of(self.org, id))
    }

    fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>, Error> {
        let key_of = |key: &[u8]| {
            let id = id_at_end(key).map_err(|why| corrupt(key, why))?;
            self.api_key(id)?.ok_or_else(|| corrupt(key, Corrupt::Missing))
        };
        self.store.under(&Table::ApiKeyByUser.record(self.org, user)).map(|pair| key_of(&pair?.0)).collect()
    }

    fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        self.store.records(&Table::ApiKey.of(self.org, &[]), |row: ApiKeyV1, id| row.of(self.org, id))
    }
}

impl ComponentPort for OrgView<'_> {
    fn component(&self, id: ComponentId) -> Result<Option<Component>, Error> {
        let key = Table::Component.record(self.org, id);
        self.thing(&key, |row: ComponentV1| row.of(self.org, id, &|key| self.read(key)))
    }

    fn component_named(&self, name: &Name) -> Result<Option<ComponentId>, Error> {
        let named = self.store.record::<NamedV1>(&Table::ComponentName.of(self.org, &[name.as_str().as_bytes()]))?;
        Ok(named.map(|named| ComponentId::from_bytes(named.id)))
    }

    fn components(&self) -> Result<Vec<Component>, Error> {
        self.named(Table::ComponentName, |id| self.component(ComponentId::from_bytes(id)))
    }

    fn component_in_use(&self, id: ComponentId) -> Result<bool, Error> {
        let first = self.store.under(&Table::OpenByComponent.record(self.org, id)).next();
        Ok(first.transpose()?.is_some())
    }

    fn has_public_surface(&self, _: &[ComponentId]) -> Result<bool, Error> {
        // There is no table of status pages yet, so none is published.
        Ok(false)
    }
}

impl IncidentPort for OrgView<'_> {
    fn incident(&self, id: IncidentId) -> Result<Option<Incident>, Error> {
        let key = keys::incident(self.org, id);
        self.thing(&key, |row: IncidentV3| incident_of(row, self.org, id, &|key| self.read(key)))
    }

    fn incidents(
        &self,
        filter: &IncidentFilter,
        after: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Incident>, Error> {
        let lists = keys::incident_lists(self.org, filter, after);
        let lists = lists.iter().map(|(start, end)| self.store.scan(start, end).peekable()).collect();
        let incident = |key: &[u8], value: &[u8]| {
            let id = keys::incident_at_end(key).ok_or_else(|| corrupt(key, Corrupt::Key))?;
            if value.is_empty() {
                return self.incident(id)?.ok_or_else(|| corrupt(key, Corrupt::Missing));
            }
            // The list without a filter runs over the records themselves.
            let made = decode(key, value).and_then(|row| incident_of(row, self.org, id, &|key| self.read(key)));
            made.map_err(|why| corrupt(key, why))
        };
        let mut incidents = Vec::with_capacity(limit);
        for pair in newest_first(lists).take(limit) {
            let (key, value) = pair?;
            incidents.push(incident(&key, &value)?);
        }
        Ok(incidents)
    }

    fn update(&self, incident: IncidentId, id: UpdateId) -> Result<Option<IncidentUpdate>, Error> {
        let key = Table::Update.of(self.org, &[&incident.to_bytes(), &id.to_bytes()]);
        self.thing(&key, |row: UpdateV1| update_of(row, self.org, incident, id, &|key| self.read(key)))
    }

    fn updates(&self, incident: IncidentId) -> Result<Vec<IncidentUpdate>, Error> {
        let prefix = Table::Update.record(self.org, incident);
        self.store.records(&prefix, |row: UpdateV1, id| update_of(row, self.org, incident, id, &|key| self.read(key)))
    }

    fn earlier_events(&self, incident: IncidentId) -> Result<Vec<AuditEvent>, Error> {
        let prefix = Table::Audit.record(self.org, incident);
        let rows: Vec<Vec<AuditEvent>> =
            self.store.records(&prefix, |row: AuditV1, _: dogwatch_core::id::AuditEventId| audit_of(row))?;
        Ok(rows.into_iter().flatten().collect())
    }
}

impl OnCallPort for OrgView<'_> {
    fn schedule(&self, id: ScheduleId) -> Result<Option<Schedule>, Error> {
        let key = Table::Schedule.record(self.org, id);
        self.thing(&key, |row: ScheduleV1| row.of(self.org, id, &|key| self.read(key)))
    }

    fn schedule_named(&self, name: &ScheduleName) -> Result<Option<ScheduleId>, Error> {
        let key = Table::ScheduleName.of(self.org, &[name.as_str().as_bytes()]);
        Ok(self.store.record::<NamedV1>(&key)?.map(|named| ScheduleId::from_bytes(named.id)))
    }

    fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        self.named(Table::ScheduleName, |id| self.schedule(ScheduleId::from_bytes(id)))
    }

    fn layers(&self, schedule: ScheduleId) -> Result<Vec<RotationLayer>, Error> {
        self.store.records(&Table::Layer.record(self.org, schedule), |row: LayerV1, id| row.of(self.org, schedule, id))
    }

    fn past_terms(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<PastTerms>, Error> {
        let prefix = Table::PastTerms.record(self.org, schedule);
        self.store.records_after(&prefix, after, |row: PastTermsV1, layer| row.of(self.org, schedule, layer))
    }

    fn past_orders(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<PastOrder>, Error> {
        let prefix = Table::PastOrder.record(self.org, schedule);
        // The key of an order ends with its end; what looks like an id there is not used.
        self.store.records_after(&prefix, after, |row: PastOrderV1, _: ScheduleId| row.of(self.org, schedule))
    }

    fn overrides(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<Override>, Error> {
        let prefix = Table::Override.record(self.org, schedule);
        self.store.records_after(&prefix, after, |row: OverrideV1, id| row.of(self.org, id))
    }

    fn rotations_of(&self, user: UserId) -> Result<Vec<ScheduleId>, Error> {
        let schedule = |key: &[u8]| {
            // … user, schedule, layer
            let (rest, _) = key.split_last_chunk::<16>().ok_or_else(|| corrupt(key, Corrupt::Key))?;
            id_at_end(rest).map_err(|why| corrupt(key, why))
        };
        self.store.under(&Table::RotationByUser.record(self.org, user)).map(|pair| schedule(&pair?.0)).collect()
    }

    fn overrides_of(&self, user: UserId, after: Timestamp) -> Result<Vec<Override>, Error> {
        let prefix = Table::OverrideByUser.record(self.org, user);
        self.store.records_after(&prefix, after, |row: OverrideV1, id| row.of(self.org, id))
    }
}

impl EscalationPort for OrgView<'_> {
    fn policy(&self, id: PolicyId) -> Result<Option<Policy>, Error> {
        let key = Table::Policy.record(self.org, id);
        self.thing(&key, |row: PolicyV1| row.of(self.org, id, &|key| self.read(key)))
    }

    fn policy_named(&self, name: &PolicyName) -> Result<Option<PolicyId>, Error> {
        let key = Table::PolicyName.of(self.org, &[name.as_str().as_bytes()]);
        Ok(self.store.record::<NamedV1>(&key)?.map(|named| PolicyId::from_bytes(named.id)))
    }

    fn policies(&self) -> Result<Vec<Policy>, Error> {
        self.named(Table::PolicyName, |id| self.policy(PolicyId::from_bytes(id)))
    }

    fn policy_layers(&self, policy: PolicyId) -> Result<Vec<PolicyLayer>, Error> {
        let prefix = Table::PolicyLayer.record(self.org, policy);
        self.store.records(&prefix, |row: PolicyLayerV1, id| row.of(self.org, policy, id))
    }

    fn past_policy_layers(&self, policy: PolicyId, revision: Option<u32>) -> Result<Vec<PastPolicyLayer>, Error> {
        let mut prefix = Table::PastPolicyLayer.record(self.org, policy);
        prefix.extend(revision.into_iter().flat_map(u32::to_be_bytes));
        let past = |key: &[u8], value: &[u8]| {
            let (rest, id) = key.split_last_chunk::<16>().ok_or(Corrupt::Key)?;
            let revision = u32::from_be_bytes(*rest.last_chunk::<4>().ok_or(Corrupt::Key)?);
            let row: PolicyLayerV1 = decode(key, value)?;
            Ok(PastPolicyLayer { revision, layer: row.of(self.org, policy, PolicyLayerId::from_bytes(*id))? })
        };
        let read = |(key, value): Pair| past(&key, &value).map_err(|why| corrupt(&key, why));
        self.store.under(&prefix).map(|pair| read(pair?)).collect()
    }

    fn policies_of(&self, user: UserId) -> Result<Vec<PolicyId>, Error> {
        self.store.under(&Table::PolicyByUser.record(self.org, user)).map(|pair| policy_in_key(&pair?.0)).collect()
    }

    fn policy_for_schedule(&self, schedule: ScheduleId) -> Result<Option<PolicyId>, Error> {
        let first = self.store.under(&Table::PolicyBySchedule.record(self.org, schedule)).next();
        first.map(|pair| policy_in_key(&pair?.0)).transpose()
    }

    fn policy_in_use(&self, id: PolicyId) -> Result<bool, Error> {
        Ok(self.store.under(&Table::OpenByPolicy.record(self.org, id)).next().transpose()?.is_some())
    }
}

impl OutboxPort for OrgView<'_> {
    fn inbox(&self, recipient: Recipient) -> Result<Option<Inbox>, Error> {
        self.thing(&keys::inbox(self.org, recipient), |row: InboxV1| row.of(self.org, recipient))
    }

    fn notification(&self, recipient: Recipient, number: u64) -> Result<Option<Notification>, Error> {
        let key = keys::notification(self.org, recipient, number);
        self.thing(&key, |row: NotificationV2| row.of(self.org, recipient, number))
    }

    fn notifications(&self, recipient: Recipient, after: u64, limit: usize) -> Result<Vec<Notification>, Error> {
        let one = |key: &[u8], value: &[u8]| {
            let number = u64::from_be_bytes(*key.last_chunk::<8>().ok_or(Corrupt::Key)?);
            decode::<NotificationV2>(key, value)?.of(self.org, recipient, number)
        };
        let read = |(key, value): Pair| one(&key, &value).map_err(|why| corrupt(&key, why));
        let start = keys::notification(self.org, recipient, after.saturating_add(1));
        let end = end_of(&Table::Notification.of(self.org, &[&keys::recipient(recipient)]));
        self.store.scan(&start, &end).take(limit).map(|pair| read(pair?)).collect()
    }
}

/// The policy in a key that ends with policy and layer.
fn policy_in_key(key: &[u8]) -> Result<PolicyId, Error> {
    let (rest, _) = key.split_last_chunk::<16>().ok_or_else(|| corrupt(key, Corrupt::Key))?;
    id_at_end(rest).map_err(|why| corrupt(key, why))
}
