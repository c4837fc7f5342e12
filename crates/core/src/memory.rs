//! A store that lives in maps: for trying the rules, for tests, for simulation.
//!
//! It is written to be obviously right, not fast: every lookup that a store answers from an index is a search here. Nothing
//! survives the value. A store that keeps what it is given is `dogwatch-store`.

use crate::api_key::{ApiKey, ApiKeyPort, KeyHolder};
use crate::caller::Actor;
use crate::command::{Command, Query, ask, decide};
use crate::component::{Component, ComponentPort};
use crate::contact::{ContactMethod, ContactPort, ContactSettings};
use crate::error::Error;
use crate::escalation::{EscalationPort, Lookups, PastPolicyLayer, Policy, PolicyLayer, Target};
use crate::id::{
    AlertGroupId, ApiKeyId, AuditEventId, ComponentId, ContactMethodId, IdSource, IncidentId, IntegrationId,
    InvitationId, MaintenanceId, NotificationId, OrgAuditId, OrgId, OverrideId, PageId, PolicyId, PolicyLayerId,
    RotationLayerId, ScheduleId, SignalId, StatusPageId, UpdateId, UserId, WebhookId,
};
use crate::incident::{AuditEvent, Incident, IncidentFilter, IncidentPort, IncidentUpdate, Severity, UpdateVisibility};
use crate::integration::{AlertGroup, AlertKey, Integration, IntegrationPort, Signal, Traffic};
use crate::oncall::{OnCallPort, Override, Past, PastOrder, PastRotation, Remains, RotationLayer, Schedule, Standing};
use crate::org_audit::{OrgAuditEntry, OrgAuditPort};
use crate::organization::{Counts, Organization, OrganizationPort};
use crate::outbox::{
    DeliveryPort, Inbox, Notification, OutboxPort, ReadyInbox, Receipt, Recipient, Retried, Transport, claim, confirm,
    fail, fall_due, give_back, retry,
};
use crate::removal::{Removal, RemovalPort, Removed};
use crate::secret::SecretHash;
use crate::status_page::{Maintenance, StatusChange, StatusPage, StatusPagePort};
use crate::team::{Invitation, Member, TeamPort};
use crate::text::{EmailAddress, ExternalId, Name, PolicyName, ScheduleName, Slug};
use crate::ticks::{Fired, TickPort, Timer, Waiting, fire_due};
use crate::time::Timestamp;
use crate::webhook::{Webhook, WebhookPort};
use crate::world::{Change, GlobalPort, State, World, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// All organizations, in memory. See the [crate's example](crate).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryState {
    organizations: BTreeMap<OrgId, OrgData>,
}

/// What one organization has: a map for each kind of entity. Parts of an entity are sorted behind the id of the whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OrgData {
    organization: Option<Organization>,
    counts: Option<Counts>,
    members: BTreeMap<UserId, Member>,
    invitations: BTreeMap<InvitationId, Invitation>,
    api_keys: BTreeMap<ApiKeyId, ApiKey>,
    components: BTreeMap<ComponentId, Component>,
    incidents: BTreeMap<IncidentId, Incident>,
    updates: BTreeMap<(IncidentId, UpdateId), IncidentUpdate>,
    audit: BTreeMap<IncidentId, Vec<AuditEvent>>,
    schedules: BTreeMap<ScheduleId, Schedule>,
    layers: BTreeMap<RotationLayerId, RotationLayer>,
    past_rotations: BTreeMap<(ScheduleId, Timestamp, RotationLayerId), PastRotation>,
    past_orders: BTreeMap<(ScheduleId, Timestamp), PastOrder>,
    overrides: BTreeMap<OverrideId, Override>,
    removals: BTreeMap<Removed, Removal>,
    policies: BTreeMap<PolicyId, Policy>,
    policy_layers: BTreeMap<PolicyLayerId, PolicyLayer>,
    past_policy_layers: BTreeMap<(PolicyId, u32, PolicyLayerId), PastPolicyLayer>,
    contact_methods: BTreeMap<(UserId, ContactMethodId), ContactMethod>,
    contact_settings: BTreeMap<UserId, ContactSettings>,
    webhooks: BTreeMap<WebhookId, Webhook>,
    status_pages: BTreeMap<StatusPageId, StatusPage>,
    maintenances: BTreeMap<(StatusPageId, MaintenanceId), Maintenance>,
    status_changes: BTreeMap<(StatusPageId, ComponentId, Timestamp), StatusChange>,
    integrations: BTreeMap<IntegrationId, Integration>,
    traffic: BTreeMap<IntegrationId, Traffic>,
    signals: BTreeMap<SignalId, Signal>,
    alert_groups: BTreeMap<AlertGroupId, AlertGroup>,
    notifications: BTreeMap<NotificationId, Notification>,
    inboxes: BTreeMap<Recipient, Inbox>,
    org_audit: BTreeMap<OrgAuditId, OrgAuditEntry>,
}

impl MemoryState {
    /// A store without any organization.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides a command and applies its writes.
    ///
    /// # Errors
    /// Those of [`decide`]; then nothing has changed.
    pub fn execute<C: Command>(
        &mut self,
        command: C,
        actor: &Actor,
        now: Timestamp,
        ids: &mut IdSource,
    ) -> Result<C::Reply, Error> {
        let decision = decide(command, actor, self, now, ids)?;
        self.apply(decision.writes);
        Ok(decision.reply)
    }

    /// Answers a query.
    ///
    /// # Errors
    /// Those of [`ask`].
    pub fn query<Q: Query>(&self, query: &Q, actor: &Actor) -> Result<Q::Reply, Error> {
        ask(query, actor, self)
    }

    /// Fires every timer that is due at `now`, each once; gives the number of those that have gone on: one may end another.
    ///
    /// # Errors
    /// Those of [`fire_due`].
    pub fn tick(&mut self, now: Timestamp, ids: &mut IdSource) -> Result<usize, Error> {
        let due = self.timers_due(now, None, usize::MAX)?;
        let mut lookups = Lookups::at(now);
        let mut fired = 0;
        for timer in &due {
            let decision = fire_due(timer, self, &mut lookups, ids)?;
            self.apply(decision.writes);
            fired += usize::from(decision.reply == Fired::Yes);
        }
        Ok(fired)
    }

    /// Claims notifications that can be claimed at `now`: the first of each inbox, from at most `limit` inboxes.
    ///
    /// # Errors
    /// Those of [`claim`].
    pub fn claim(
        &mut self,
        limit: usize,
        lease: Duration,
        now: Timestamp,
        ids: &mut IdSource,
    ) -> Result<Vec<Notification>, Error> {
        for later in self.later_due(now, usize::MAX)? {
            let decision = fall_due(later, self, now, ids)?;
            self.apply(decision.writes);
        }
        let mut claimed = Vec::new();
        let mut all = Vec::new();
        for transport in Transport::ALL {
            all.extend(self.ready_inboxes(transport, now, None, usize::MAX)?);
        }
        for ready in all {
            if claimed.len() >= limit {
                break;
            }
            let decision = claim(&ready, lease, self, now, ids)?;
            self.apply(decision.writes);
            claimed.extend(decision.reply.notification);
        }
        Ok(claimed)
    }

    /// Confirms a delivery; `false` when there was nothing to confirm. See [`confirm`] for `sent_as`.
    ///
    /// # Errors
    /// Those of [`confirm`].
    pub fn confirm(
        &mut self,
        receipt: &Receipt,
        sent_as: Option<&str>,
        now: Timestamp,
        ids: &mut IdSource,
    ) -> Result<bool, Error> {
        let decision = confirm(receipt, sent_as, self, now, ids)?;
        self.apply(decision.writes);
        Ok(decision.reply)
    }

    /// Gives a claimed notification back, to be claimed again when `after` has passed; `false` when it is not held any more.
    ///
    /// # Errors
    /// Those of [`give_back`].
    pub fn give_back(
        &mut self,
        receipt: &Receipt,
        after: Duration,
        now: Timestamp,
        ids: &mut IdSource,
    ) -> Result<bool, Error> {
        let decision = give_back(receipt, after, self, now, ids)?;
        self.apply(decision.writes);
        Ok(decision.reply)
    }

    /// Ends the claim of a notification that could not be sent now.
    ///
    /// # Errors
    /// Those of [`retry`].
    pub fn retry(
        &mut self,
        receipt: &Receipt,
        reason: &str,
        asked: Option<Duration>,
        now: Timestamp,
        ids: &mut IdSource,
    ) -> Result<Retried, Error> {
        let decision = retry(receipt, reason, asked, self, now, ids)?;
        self.apply(decision.writes);
        Ok(decision.reply)
    }

    /// Ends a claimed notification that cannot be delivered, for good; `false` when it is not held any more.
    ///
    /// # Errors
    /// Those of [`fail`].
    pub fn fail(&mut self, receipt: &Receipt, reason: &str, now: Timestamp, ids: &mut IdSource) -> Result<bool, Error> {
        let decision = fail(receipt, reason, self, now, ids)?;
        self.apply(decision.writes);
        Ok(decision.reply)
    }

    /// Forgets the audits of all organizations, for programs that keep none, and to compare two states but for them.
    pub fn forget_audits(&mut self) {
        self.organizations.values_mut().for_each(|data| data.org_audit.clear());
    }

    /// Applies the writes of one decision.
    pub fn apply(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Organization(change) => {
                    if let Some(organization) = change.after {
                        let org = organization.id;
                        self.of(org).organization = Some(organization);
                    }
                }
                Write::Counts(change) => {
                    if let Some(counts) = change.after {
                        self.of(counts.org_id).counts = Some(counts);
                    }
                }
                Write::Member(change) => self.put(change, |m| (m.org_id, m.id), |data| &mut data.members),
                Write::Invitation(change) => self.put(change, |i| (i.org_id, i.id), |data| &mut data.invitations),
                Write::ApiKey(change) => self.put(change, |k| (k.org_id, k.id), |data| &mut data.api_keys),
                Write::Component(change) => self.put(change, |c| (c.org_id, c.id), |data| &mut data.components),
                Write::Incident(change) => self.put(*change, |i| (i.org_id, i.id), |data| &mut data.incidents),
                Write::Update(change) => {
                    self.put(*change, |u| (u.org_id, (u.incident_id, u.id)), |data| &mut data.updates);
                }
                Write::Schedule(change) => self.put(*change, |s| (s.org_id, s.id), |data| &mut data.schedules),
                Write::RotationLayer(change) => self.put(*change, |l| (l.org_id, l.id), |data| &mut data.layers),
                Write::PastRotation(change) => {
                    self.put(
                        *change,
                        |p| (p.org_id, (p.schedule_id, p.until, p.layer_id)),
                        |data| &mut data.past_rotations,
                    );
                }
                Write::PastOrder(change) => {
                    self.put(change, |p| (p.org_id, (p.schedule_id, p.until)), |data| &mut data.past_orders);
                }
                Write::Removal(change) => self.put(change, |r| (r.org_id, r.what), |data| &mut data.removals),
                Write::Override(change) => self.put(*change, |o| (o.org_id, o.id), |data| &mut data.overrides),
                Write::Policy(change) => self.put(change, |p| (p.org_id, p.id), |data| &mut data.policies),
                Write::PolicyLayer(change) => self.put(change, |l| (l.org_id, l.id), |data| &mut data.policy_layers),
                Write::PastPolicyLayer(change) => {
                    let key = |past: &PastPolicyLayer| {
                        (past.layer.org_id, (past.layer.policy_id, past.revision, past.layer.id))
                    };
                    self.put(change, key, |data| &mut data.past_policy_layers);
                }
                Write::Notification(change) => {
                    self.put(*change, |n| (n.org_id, n.id), |data| &mut data.notifications);
                }
                Write::ContactMethod(change) => {
                    self.put(*change, |m| (m.org_id, (m.user_id, m.id)), |data| &mut data.contact_methods);
                }
                Write::ContactSettings(change) => {
                    self.put(*change, |s| (s.org_id, s.user_id), |data| &mut data.contact_settings);
                }
                Write::Webhook(change) => self.put(*change, |w| (w.org_id, w.id), |data| &mut data.webhooks),
                Write::StatusPage(change) => self.put(*change, |p| (p.org_id, p.id), |data| &mut data.status_pages),
                Write::Maintenance(change) => {
                    self.put(*change, |m| (m.org_id, (m.status_page_id, m.id)), |data| &mut data.maintenances);
                }
                Write::StatusChange(it) => {
                    let key = (it.status_page_id, it.component_id, it.at);
                    self.of(it.org_id).status_changes.insert(key, it);
                }
                Write::Integration(change) => self.put(*change, |i| (i.org_id, i.id), |data| &mut data.integrations),
                Write::Traffic(change) => self.put(*change, |t| (t.org_id, t.integration_id), |data| &mut data.traffic),
                Write::Signal(change) => self.put(*change, |s| (s.org_id, s.id), |data| &mut data.signals),
                Write::AlertGroup(change) => self.put(*change, |g| (g.org_id, g.id), |data| &mut data.alert_groups),
                Write::Inbox(change) => self.put(change, |i| (i.org_id, i.recipient), |data| &mut data.inboxes),
                Write::OrgAudit(entry) => drop(self.of(entry.org_id).org_audit.insert(entry.id, *entry)),
                Write::Audit(entry) => {
                    self.of(entry.org_id).audit.entry(entry.incident_id).or_default().extend(entry.events);
                }
            }
        }
    }

    /// The data of an organization, which begins to exist with its first write.
    fn of(&mut self, org: OrgId) -> &mut OrgData {
        self.organizations.entry(org).or_default()
    }

    /// Applies one change to a map: deletes the entity before, inserts the entity after.
    fn put<K: Ord, V>(
        &mut self,
        change: Change<V>,
        key: impl Fn(&V) -> (OrgId, K),
        map: impl Fn(&mut OrgData) -> &mut BTreeMap<K, V>,
    ) {
        if let Some(before) = change.before {
            let (org, key) = key(&before);
            map(self.of(org)).remove(&key);
        }
        if let Some(after) = change.after {
            let (org, key) = key(&after);
            map(self.of(org)).insert(key, after);
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl GlobalPort for MemoryState {
    fn key_holder(&self, hash: SecretHash) -> Result<Option<KeyHolder>, Error> {
        let mut keys = self.organizations.values().flat_map(|data| data.api_keys.values());
        let found = keys.find(|key| key.hash == hash);
        Ok(found.map(|key| KeyHolder {
            org_id: key.org_id,
            user_id: key.user_id,
            key: key.id,
            expires_at: key.expires_at,
        }))
    }

    fn organization_inviting(&self, token: SecretHash) -> Result<Option<OrgId>, Error> {
        let mut invitations = self.organizations.values().flat_map(|data| data.invitations.values());
        Ok(invitations.find(|invitation| invitation.token == token).map(|invitation| invitation.org_id))
    }

    fn organization_with(&self, external_id: &ExternalId) -> Result<Option<OrgId>, Error> {
        let mut organizations = self.organizations.values().filter_map(|data| data.organization.as_ref());
        Ok(organizations.find(|it| it.external_id.as_ref() == Some(external_id)).map(|it| it.id))
    }

    fn integration_with(&self, token: SecretHash) -> Result<Option<(OrgId, IntegrationId)>, Error> {
        let mut all = self.organizations.values().flat_map(|data| data.integrations.values());
        Ok(all.find(|it| it.is_live() && it.token == token).map(|it| (it.org_id, it.id)))
    }

    fn status_page_at(&self, slug: &Slug) -> Result<Option<(OrgId, StatusPageId)>, Error> {
        let mut pages = self.organizations.values().flat_map(|data| data.status_pages.values());
        Ok(pages.find(|page| page.slug == *slug).map(|page| (page.org_id, page.id)))
    }
}

#[deny(clippy::missing_trait_methods)]
impl TickPort for MemoryState {
    fn timers_due(&self, now: Timestamp, after: Option<&Timer>, limit: usize) -> Result<Vec<Timer>, Error> {
        let mut due: Vec<_> = self.timers().filter(|timer| timer.due <= now && Some(timer) > after).collect();
        due.sort();
        due.truncate(limit);
        Ok(due)
    }

    fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.timers().map(|timer| timer.due).min())
    }
}

#[deny(clippy::missing_trait_methods)]
impl DeliveryPort for MemoryState {
    fn ready_inboxes(
        &self,
        transport: Transport,
        now: Timestamp,
        after: Option<&ReadyInbox>,
        limit: usize,
    ) -> Result<Vec<ReadyInbox>, Error> {
        let over = self.ready().filter(|inbox| inbox.recipient.transport() == transport);
        let mut ready: Vec<_> = over.filter(|inbox| inbox.ready_at <= now && Some(inbox) > after).collect();
        ready.sort();
        ready.truncate(limit);
        Ok(ready)
    }

    fn later_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Notification>, Error> {
        let mut due: Vec<_> = self.later().filter(|one| one.due_at <= now).cloned().collect();
        due.sort_by_key(|one| (one.due_at, one.org_id, one.id));
        due.truncate(limit);
        Ok(due)
    }

    fn next_ready(&self, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let later = self.later().map(|one| one.due_at);
        Ok(self.ready().map(|inbox| inbox.ready_at).chain(later).filter(|at| *at > now).min())
    }
}

impl State for MemoryState {
    fn world(&self, org: OrgId) -> Box<dyn World + '_> {
        Box::new(MemoryWorld { org, data: self.organizations.get(&org), state: self })
    }

    fn organizations(&self) -> Result<Vec<Organization>, Error> {
        Ok(self.organizations.values().filter_map(|data| data.organization.clone()).collect())
    }
}

impl MemoryState {
    /// The timers of all that waits, in any order.
    fn timers(&self) -> impl Iterator<Item = Timer> {
        let incidents = self.organizations.values().flat_map(|data| data.incidents.values());
        let runs = incidents.filter_map(|incident| {
            let due = incident.next_escalation_at()?;
            Some(Timer { due, org_id: incident.org_id, waiting: Waiting::Run(incident.id) })
        });
        let maintenances = self.organizations.values().flat_map(|data| data.maintenances.values());
        let maintenances = maintenances.filter_map(|it| {
            let waiting = Waiting::Maintenance(it.status_page_id, it.id);
            Some(Timer { due: it.due()?, org_id: it.org_id, waiting })
        });
        let groups = self.organizations.values().flat_map(|data| data.alert_groups.values()).filter_map(|it| {
            let waiting = Waiting::AlertGroup(it.integration_id, it.key);
            Some(Timer { due: it.state.due()?, org_id: it.org_id, waiting })
        });
        let heartbeats = self.organizations.values().flat_map(|data| data.traffic.values()).filter_map(|it| {
            let waiting = Waiting::Heartbeat(it.integration_id);
            Some(Timer { due: it.silent_at?, org_id: it.org_id, waiting })
        });
        let removals = self.organizations.values().flat_map(|data| data.removals.values());
        let removals =
            removals.map(|it| Timer { due: it.since, org_id: it.org_id, waiting: Waiting::Removal(it.what) });
        runs.chain(maintenances).chain(groups).chain(heartbeats).chain(removals)
    }

    /// The notifications that are not due yet, in any order.
    fn later(&self) -> impl Iterator<Item = &Notification> {
        let all = self.organizations.values().flat_map(|data| data.notifications.values());
        all.filter(|one| one.number == 0 && one.ended.is_none())
    }

    /// The inboxes that are not empty, in any order.
    fn ready(&self) -> impl Iterator<Item = ReadyInbox> {
        let inboxes = self.organizations.values().flat_map(|data| data.inboxes.values());
        let waiting = inboxes.filter(|inbox| !inbox.is_empty());
        waiting.map(|inbox| ReadyInbox { ready_at: inbox.ready_at, org_id: inbox.org_id, recipient: inbox.recipient })
    }
}

/// One organization of a [`MemoryState`]; without data, one that does not exist.
struct MemoryWorld<'a> {
    org: OrgId,
    data: Option<&'a OrgData>,
    /// For what is unique over all organizations.
    state: &'a MemoryState,
}

impl<'a> MemoryWorld<'a> {
    /// All entities in one of the maps, in the order of their keys.
    fn all<K: 'a, V: 'a>(&self, map: impl Fn(&'a OrgData) -> &'a BTreeMap<K, V>) -> impl Iterator<Item = &'a V> {
        self.data.map(map).into_iter().flat_map(BTreeMap::values)
    }

    /// The entity under a key of one of the maps.
    fn get<K: Ord + 'a, V: Clone + 'a>(&self, map: impl Fn(&'a OrgData) -> &'a BTreeMap<K, V>, key: &K) -> Option<V> {
        self.data.and_then(|data| map(data).get(key).cloned())
    }
}

#[deny(clippy::missing_trait_methods)]
impl OrganizationPort for MemoryWorld<'_> {
    fn org_id(&self) -> OrgId {
        self.org
    }

    fn organization(&self) -> Result<Option<Organization>, Error> {
        Ok(self.data.and_then(|data| data.organization.clone()))
    }

    fn counts(&self) -> Result<Counts, Error> {
        Ok(self.data.and_then(|data| data.counts).unwrap_or(Counts::empty(self.org)))
    }
}

#[deny(clippy::missing_trait_methods)]
impl TeamPort for MemoryWorld<'_> {
    fn member(&self, id: UserId) -> Result<Option<Member>, Error> {
        Ok(self.get(|data| &data.members, &id))
    }

    fn is_member(&self, id: UserId) -> Result<bool, Error> {
        Ok(self.member(id)?.is_some_and(|member| member.is_active()))
    }

    fn members(&self) -> Result<Vec<Member>, Error> {
        Ok(self.all(|data| &data.members).filter(|member| member.is_active()).cloned().collect())
    }

    fn member_with(&self, external_id: &ExternalId) -> Result<Option<UserId>, Error> {
        let mut members = self.all(|data| &data.members).filter(|member| member.is_active());
        Ok(members.find(|member| member.external_id.as_ref() == Some(external_id)).map(|member| member.id))
    }

    fn email_taken(&self, email: &EmailAddress) -> Result<bool, Error> {
        let folded = email.folded();
        let mut members = self.all(|data| &data.members).filter(|member| member.is_active());
        let mut invitations = self.all(|data| &data.invitations);
        Ok(members.any(|m| m.email.folded() == folded) || invitations.any(|i| i.email.folded() == folded))
    }

    fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, Error> {
        Ok(self.get(|data| &data.invitations, &id))
    }

    fn invitation_by_token(&self, token: SecretHash) -> Result<Option<Invitation>, Error> {
        Ok(self.all(|data| &data.invitations).find(|invitation| invitation.token == token).cloned())
    }

    fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        Ok(self.all(|data| &data.invitations).cloned().collect())
    }
}

#[deny(clippy::missing_trait_methods)]
impl ApiKeyPort for MemoryWorld<'_> {
    fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
        Ok(self.get(|data| &data.api_keys, &id))
    }

    fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>, Error> {
        Ok(self.all(|data| &data.api_keys).filter(|key| key.user_id == user).cloned().collect())
    }

    fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        Ok(self.all(|data| &data.api_keys).cloned().collect())
    }
}

#[deny(clippy::missing_trait_methods)]
impl ComponentPort for MemoryWorld<'_> {
    fn component(&self, id: ComponentId) -> Result<Option<Component>, Error> {
        Ok(self.get(|data| &data.components, &id))
    }

    fn component_named(&self, name: &Name) -> Result<Option<ComponentId>, Error> {
        let mut live = self.all(|data| &data.components).filter(|component| component.is_live());
        Ok(live.find(|component| component.name == *name).map(|component| component.id))
    }

    fn components(&self) -> Result<Vec<Component>, Error> {
        let live = self.all(|data| &data.components).filter(|component| component.is_live());
        let mut components: Vec<_> = live.cloned().collect();
        components.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(components)
    }

    fn component_in_use(&self, id: ComponentId) -> Result<bool, Error> {
        let mut open = self.all(|data| &data.incidents).filter(|incident| !incident.is_resolved());
        Ok(open.any(|incident| incident.component_ids.contains(&id)))
    }
}

#[deny(clippy::missing_trait_methods)]
impl OrgAuditPort for MemoryWorld<'_> {
    fn org_audit(&self, after: Option<OrgAuditId>, limit: usize) -> Result<Vec<OrgAuditEntry>, Error> {
        let newest = self.data.into_iter().flat_map(|data| data.org_audit.values().rev());
        Ok(newest.filter(|entry| after.is_none_or(|after| entry.id < after)).take(limit).cloned().collect())
    }
}

#[deny(clippy::missing_trait_methods)]
impl IncidentPort for MemoryWorld<'_> {
    fn incident(&self, id: IncidentId) -> Result<Option<Incident>, Error> {
        Ok(self.get(|data| &data.incidents, &id))
    }

    fn incidents(
        &self,
        filter: &IncidentFilter,
        after: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Arc<Incident>>, Error> {
        let mut found: Vec<_> = self.all(|data| &data.incidents).filter(|incident| filter.admits(incident)).collect();
        found.sort_by_key(|incident| std::cmp::Reverse((incident.created_at(), incident.id)));
        let rest = found.into_iter().filter(|incident| after.is_none_or(|after| incident.id < after));
        Ok(rest.take(limit).cloned().map(Arc::new).collect())
    }

    fn update(&self, incident: IncidentId, id: UpdateId) -> Result<Option<IncidentUpdate>, Error> {
        Ok(self.get(|data| &data.updates, &(incident, id)))
    }

    fn updates(
        &self,
        incident: IncidentId,
        after: Option<UpdateId>,
        limit: usize,
    ) -> Result<Vec<IncidentUpdate>, Error> {
        let updates = self.all(|data| &data.updates).filter(|update| update.incident_id == incident);
        Ok(updates.filter(|update| after.is_none_or(|after| after < update.id)).take(limit).cloned().collect())
    }

    fn earlier_events(
        &self,
        incident: IncidentId,
        after: Option<AuditEventId>,
        limit: usize,
    ) -> Result<Vec<AuditEvent>, Error> {
        let events = self.data.and_then(|data| data.audit.get(&incident)).into_iter().flatten();
        Ok(events.filter(|event| after.is_none_or(|after| after < event.id)).take(limit).cloned().collect())
    }

    fn last_earlier_events(&self, incident: IncidentId, limit: usize) -> Result<Vec<AuditEvent>, Error> {
        let events = self.data.and_then(|data| data.audit.get(&incident)).map(Vec::as_slice).unwrap_or_default();
        Ok(events.get(events.len().saturating_sub(limit)..).unwrap_or_default().to_vec())
    }
}

#[deny(clippy::missing_trait_methods)]
impl OnCallPort for MemoryWorld<'_> {
    fn schedule(&self, id: ScheduleId) -> Result<Option<Schedule>, Error> {
        Ok(self.get(|data| &data.schedules, &id))
    }

    fn schedule_named(&self, name: &ScheduleName) -> Result<Option<ScheduleId>, Error> {
        Ok(self.all(|data| &data.schedules).find(|schedule| schedule.name == *name).map(|schedule| schedule.id))
    }

    fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        let mut schedules: Vec<_> = self.all(|data| &data.schedules).cloned().collect();
        schedules.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(schedules)
    }

    fn layers(&self, schedule: ScheduleId) -> Result<Vec<RotationLayer>, Error> {
        Ok(self.all(|data| &data.layers).filter(|layer| layer.schedule_id == schedule).cloned().collect())
    }

    fn past_rotations(&self, schedule: ScheduleId, past: Past) -> Result<Vec<PastRotation>, Error> {
        let all = self.all(|data| &data.past_rotations);
        Ok(past.pick_rotations(all.filter(|past| past.schedule_id == schedule).cloned()))
    }

    fn past_orders(&self, schedule: ScheduleId, past: Past) -> Result<Vec<PastOrder>, Error> {
        let all = self.all(|data| &data.past_orders);
        Ok(past.pick_orders(all.filter(|past| past.schedule_id == schedule).cloned()))
    }

    fn overrides(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<Override>, Error> {
        let overrides = self.all(|data| &data.overrides);
        Ok(overrides.filter(|one| one.schedule_id == schedule && one.ends_at > after).cloned().collect())
    }

    fn remains(&self, schedule: ScheduleId, most: usize) -> Result<Remains, Error> {
        Remains::first_of_all(self, schedule, most)
    }

    fn standing(&self, _: ScheduleId) -> Result<Option<Standing>, Error> {
        Ok(None)
    }

    fn keep_standing(&self, _: ScheduleId, _: &Standing) {}

    fn rotations_of(&self, user: UserId, most: usize) -> Result<Vec<ScheduleId>, Error> {
        let layers = self.all(|data| &data.layers);
        Ok(layers
            .filter(|layer| layer.rotation.participants().contains(&user))
            .map(|layer| layer.schedule_id)
            .take(most)
            .collect())
    }

    fn overrides_of(&self, user: UserId, after: Timestamp, most: usize) -> Result<Vec<Override>, Error> {
        let overrides = self.all(|data| &data.overrides);
        Ok(overrides.filter(|one| one.user_id == user && one.ends_at > after).take(most).cloned().collect())
    }
}

#[deny(clippy::missing_trait_methods)]
impl RemovalPort for MemoryWorld<'_> {
    fn removal(&self, what: Removed) -> Result<Option<Removal>, Error> {
        Ok(self.get(|data| &data.removals, &what))
    }

    fn leaving(&self) -> Result<Vec<Removal>, Error> {
        Ok(self.all(|data| &data.removals).filter(|it| matches!(it.what, Removed::Member(_))).copied().collect())
    }
}

#[deny(clippy::missing_trait_methods)]
impl EscalationPort for MemoryWorld<'_> {
    fn policy(&self, id: PolicyId) -> Result<Option<Policy>, Error> {
        Ok(self.get(|data| &data.policies, &id))
    }

    fn policy_named(&self, name: &PolicyName) -> Result<Option<PolicyId>, Error> {
        Ok(self.all(|data| &data.policies).find(|policy| policy.name == *name).map(|policy| policy.id))
    }

    fn policies(&self) -> Result<Vec<Policy>, Error> {
        let mut policies: Vec<_> = self.all(|data| &data.policies).cloned().collect();
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(policies)
    }

    fn policy_layers(&self, policy: PolicyId) -> Result<Vec<PolicyLayer>, Error> {
        Ok(self.all(|data| &data.policy_layers).filter(|layer| layer.policy_id == policy).cloned().collect())
    }

    fn past_policy_layers(&self, policy: PolicyId, revision: Option<u32>) -> Result<Vec<PastPolicyLayer>, Error> {
        let past = self.all(|data| &data.past_policy_layers).filter(|past| past.layer.policy_id == policy);
        Ok(past.filter(|past| revision.is_none_or(|revision| past.revision == revision)).cloned().collect())
    }

    fn policies_of(&self, user: UserId, most: usize) -> Result<Vec<PolicyId>, Error> {
        let names =
            |layer: &&PolicyLayer| matches!(&layer.target, Target::Users(users) if users.as_slice().contains(&user));
        Ok(self.all(|data| &data.policy_layers).filter(names).map(|layer| layer.policy_id).take(most).collect())
    }

    fn policy_for_schedule(&self, schedule: ScheduleId) -> Result<Option<PolicyId>, Error> {
        let layers = self.all(|data| &data.policy_layers).filter(|layer| layer.target == Target::Schedule(schedule));
        let created = |policy| self.get(|data| &data.policies, &policy).map(|policy| policy.created_at);
        let first = layers.min_by_key(|layer| (layer.position, created(layer.policy_id), layer.policy_id));
        Ok(first.map(|layer| layer.policy_id))
    }

    fn policy_in_use(&self, id: PolicyId) -> Result<bool, Error> {
        let mut open = self.all(|data| &data.incidents).filter(|incident| !incident.is_resolved());
        Ok(open.any(|incident| incident.policy() == Some(id)))
    }
}

#[deny(clippy::missing_trait_methods)]
impl ContactPort for MemoryWorld<'_> {
    fn contact_method(&self, user: UserId, id: ContactMethodId) -> Result<Option<ContactMethod>, Error> {
        Ok(self.get(|data| &data.contact_methods, &(user, id)))
    }

    fn contact_methods(&self, user: UserId) -> Result<Vec<ContactMethod>, Error> {
        let own = |method: &&ContactMethod| method.user_id == user;
        Ok(self.all(|data| &data.contact_methods).filter(own).cloned().collect())
    }

    fn contact_settings(&self, user: UserId) -> Result<Option<ContactSettings>, Error> {
        Ok(self.get(|data| &data.contact_settings, &user))
    }
}

#[deny(clippy::missing_trait_methods)]
impl WebhookPort for MemoryWorld<'_> {
    fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, Error> {
        Ok(self.get(|data| &data.webhooks, &id))
    }

    fn webhooks(&self) -> Result<Vec<Webhook>, Error> {
        Ok(self.all(|data| &data.webhooks).cloned().collect())
    }

    fn webhook_deliveries(&self, id: WebhookId, limit: usize) -> Result<Vec<Notification>, Error> {
        let sent_to = |one: &&Notification| one.recipient == Recipient::Webhook(id);
        let mut found: Vec<_> = self.all(|data| &data.notifications).filter(sent_to).cloned().collect();
        found.sort_by_key(|one| std::cmp::Reverse(one.id));
        found.truncate(limit);
        Ok(found)
    }
}

#[deny(clippy::missing_trait_methods)]
impl IntegrationPort for MemoryWorld<'_> {
    fn integration(&self, id: IntegrationId) -> Result<Option<Integration>, Error> {
        Ok(self.get(|data| &data.integrations, &id))
    }

    fn integrations(&self) -> Result<Vec<Integration>, Error> {
        Ok(self.all(|data| &data.integrations).filter(|it| it.is_live()).cloned().collect())
    }

    fn traffic(&self, id: IntegrationId) -> Result<Option<Traffic>, Error> {
        Ok(self.get(|data| &data.traffic, &id))
    }

    fn newest_signal(&self, integration: IntegrationId, key: AlertKey) -> Result<Option<Signal>, Error> {
        let found = self.all(|data| &data.signals).filter(|it| it.integration_id == integration && it.key == key);
        Ok(found.max_by_key(|it| it.id).cloned())
    }

    fn newest_group(&self, integration: IntegrationId, key: AlertKey) -> Result<Option<AlertGroup>, Error> {
        let found = self.all(|data| &data.alert_groups).filter(|it| it.integration_id == integration && it.key == key);
        Ok(found.max_by_key(|it| it.id).cloned())
    }

    fn group_of(&self, incident: IncidentId) -> Result<Option<AlertGroup>, Error> {
        Ok(self.all(|data| &data.alert_groups).find(|it| it.state.incident() == Some(incident)).cloned())
    }

    fn signals(&self, group: AlertGroupId, after: Option<SignalId>, limit: usize) -> Result<Vec<Signal>, Error> {
        let of_group = self.all(|data| &data.signals).filter(|it| it.group_id == group && Some(it.id) > after);
        Ok(of_group.take(limit).cloned().collect())
    }
}

#[deny(clippy::missing_trait_methods)]
impl StatusPagePort for MemoryWorld<'_> {
    fn status_page(&self, id: StatusPageId) -> Result<Option<StatusPage>, Error> {
        Ok(self.get(|data| &data.status_pages, &id))
    }

    fn status_pages(&self) -> Result<Vec<StatusPage>, Error> {
        Ok(self.all(|data| &data.status_pages).cloned().collect())
    }

    fn page_with_slug(&self, slug: &Slug) -> Result<Option<StatusPageId>, Error> {
        Ok(self.state.status_page_at(slug)?.map(|(_, page)| page))
    }

    fn pages_showing(&self, component: ComponentId) -> Result<Vec<StatusPageId>, Error> {
        Ok(self.all(|data| &data.status_pages).filter(|page| page.shows(component)).map(|page| page.id).collect())
    }

    fn maintenance(&self, page: StatusPageId, id: MaintenanceId) -> Result<Option<Maintenance>, Error> {
        Ok(self.get(|data| &data.maintenances, &(page, id)))
    }

    fn maintenances(&self, page: StatusPageId) -> Result<Vec<Maintenance>, Error> {
        Ok(self.all(|data| &data.maintenances).filter(|it| it.status_page_id == page).cloned().collect())
    }

    fn maintenances_under_way(&self, page: StatusPageId) -> Result<Vec<Maintenance>, Error> {
        Ok(self.maintenances(page)?.into_iter().filter(Maintenance::is_under_way).collect())
    }

    fn worst_open(&self, component: ComponentId, but: Option<IncidentId>) -> Result<Option<Severity>, Error> {
        let open = self.all(|data| &data.incidents).filter(|it| !it.is_resolved() && Some(it.id) != but);
        Ok(open.filter(|it| it.component_ids.contains(&component)).map(|it| it.severity).min())
    }

    fn status_changes(
        &self,
        page: StatusPageId,
        component: ComponentId,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<StatusChange>, Error> {
        let all = self.all(|data| &data.status_changes);
        let mut found: Vec<_> =
            all.filter(|it| it.status_page_id == page && it.component_id == component).copied().collect();
        found.reverse();
        if let Some(before) = found.iter().position(|it| since.is_some_and(|since| it.at <= since)) {
            found.truncate(before + 1);
        }
        found.truncate(limit);
        Ok(found)
    }

    fn open_affecting(&self, components: &[ComponentId], limit: usize) -> Result<Vec<Arc<Incident>>, Error> {
        let open = self.all(|data| &data.incidents).filter(|it| !it.is_resolved());
        let mut found: Vec<_> = open.filter(|it| it.component_ids.iter().any(|id| components.contains(id))).collect();
        found.sort_by_key(|it| std::cmp::Reverse(it.id));
        Ok(found.into_iter().take(limit).cloned().map(Arc::new).collect())
    }

    fn resolved_affecting(
        &self,
        components: &[ComponentId],
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Arc<Incident>>, Error> {
        let resolved = self.all(|data| &data.incidents).filter(|it| it.resolved_at().is_some_and(|at| at >= since));
        let mut found: Vec<_> =
            resolved.filter(|it| it.component_ids.iter().any(|id| components.contains(id))).collect();
        found.sort_by_key(|it| std::cmp::Reverse((it.resolved_at(), it.id)));
        Ok(found.into_iter().take(limit).cloned().map(Arc::new).collect())
    }

    fn public_updates(&self, incident: IncidentId, limit: usize) -> Result<Vec<IncidentUpdate>, Error> {
        let updates = self.all(|data| &data.updates).filter(|update| update.incident_id == incident);
        let mut public: Vec<_> = updates.filter(|it| it.visibility == UpdateVisibility::Public).cloned().collect();
        public.reverse();
        public.truncate(limit);
        Ok(public)
    }
}

#[deny(clippy::missing_trait_methods)]
impl OutboxPort for MemoryWorld<'_> {
    fn inbox(&self, recipient: Recipient) -> Result<Option<Inbox>, Error> {
        Ok(self.get(|data| &data.inboxes, &recipient))
    }

    fn notification(&self, recipient: Recipient, number: u64) -> Result<Option<Notification>, Error> {
        let mut all = self.all(|data| &data.notifications);
        Ok(all.find(|one| one.recipient == recipient && one.number == number && one.ended.is_none()).cloned())
    }

    fn notifications(&self, recipient: Recipient, after: u64, limit: usize) -> Result<Vec<Notification>, Error> {
        let waiting = |one: &&Notification| one.recipient == recipient && one.number > after && one.ended.is_none();
        let mut found: Vec<_> = self.all(|data| &data.notifications).filter(waiting).cloned().collect();
        found.sort_by_key(|one| one.number);
        found.truncate(limit);
        Ok(found)
    }

    fn pages_of(&self, incident: IncidentId, most: usize) -> Result<Vec<Notification>, Error> {
        let of_incident = |one: &&Notification| one.incident() == Some(incident);
        let all: Vec<_> = self.all(|data| &data.notifications).filter(of_incident).cloned().collect();
        let newest: BTreeSet<_> = all.iter().filter_map(Notification::page).collect();
        let newest: BTreeSet<_> = newest.into_iter().rev().take(most).collect();
        Ok(all.into_iter().filter(|one| one.page().is_some_and(|page| newest.contains(&page))).collect())
    }

    fn editable(&self, incident: IncidentId, most: usize) -> Result<Vec<Notification>, Error> {
        let can_be = |one: &Notification| one.page().is_some() && one.sent_as.is_some();
        let of_incident = |one: &&Notification| one.incident() == Some(incident) && can_be(one);
        let mut found: Vec<_> = self.all(|data| &data.notifications).filter(of_incident).collect();
        found.sort_by_key(|one| std::cmp::Reverse(one.page()));
        Ok(found.into_iter().take(most).cloned().collect())
    }

    fn deliveries_of(&self, incident: IncidentId, page: PageId) -> Result<Vec<Notification>, Error> {
        let of_page = |one: &&Notification| one.incident() == Some(incident) && one.page() == Some(page);
        Ok(self.all(|data| &data.notifications).filter(of_page).cloned().collect())
    }
}
