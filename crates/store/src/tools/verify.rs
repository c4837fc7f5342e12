//! Whether a store is what was written, and fits together.
//!
//! One pass over all rows. Each thing is read from its record and made again into the rows it consists of: every one of those
//! must be there, with that value. The other way round, every row in the store must come from a thing: for each table the
//! keys that are there and the keys that things have made are summed up as hashes, and only if the sums differ is the table
//! gone through again for the rows that nobody made. So it takes little memory, however large the store.
//!
//! Beyond single things it checks counts, incident numbers, lines of the outbox, that what is named exists, and that there is
//! a page for each event that says so ([`super::pages`]).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use dogwatch_core::escalation::Target;
use dogwatch_core::id::{Id, IncidentId, RotationLayerId, ScheduleId};
use dogwatch_core::incident::{AuditEvent, Event, Incident};
use dogwatch_core::oncall::Schedule;
use dogwatch_core::organization::Counts;
use dogwatch_core::outbox::{Inbox, Message, Notification, Recipient};
use dogwatch_core::{OrgId, UserId};

use super::pages::Pages;
use super::{Counter, Progress, rows};
use crate::format;
use crate::keys::{self, Table};
use crate::record::Corrupt;
use crate::records::json::hex;
use crate::records::{Entity, Rows};
use crate::snapshot::Snapshot;
use crate::thing::Whole;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The table, as in `FORMAT.md`; empty when it concerns no single row.
    pub table: String,
    /// The key of the row, in hexadecimal digits; empty when it concerns no single row.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{} {}: {}", self.table, self.key, self.what)
        }
    }
}

/// What [`Engine::verify`](crate::Engine::verify) found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// How many rows were looked at.
    pub rows: u64,
    /// How many things they make up.
    pub things: u64,
    /// What is wrong, in the order of its finding: the first 1,000.
    pub findings: Vec<Finding>,
    /// How many findings there are.
    pub found: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.found == 0
    }

    pub(super) fn add(&mut self, key: &[u8], what: impl Into<String>) {
        self.found = self.found.saturating_add(1);
        if self.findings.len() < MOST_FINDINGS {
            let table = Table::of_key(key).map(|table| format!("{table:?}")).unwrap_or_default();
            self.findings.push(Finding { table, key: hex(key), what: what.into() });
        }
    }
}

/// How many findings are kept.
const MOST_FINDINGS: usize = 1_000;

/// A set of keys, in so far as two such sets can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    count: u64,
    hashes: u64,
}

impl Sum {
    pub(super) fn add(&mut self, it: &impl Hash) {
        self.count = self.count.wrapping_add(1);
        self.hashes = self.hashes.wrapping_add(hash(it));
    }
}

fn hash(it: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    it.hash(&mut hasher);
    hasher.finish()
}

/// What there is of an organization.
#[derive(Default)]
struct Found {
    exists: bool,
    counts: Option<Counts>,
    incidents: u64,
    /// The incident numbers, a bit for each.
    numbers: Vec<u64>,
    members: u32,
    invitations: u32,
    components: u32,
    api_keys: u32,
    schedules: u32,
    policies: u32,
}

impl Found {
    /// Notes an incident number; `false` when it was there before, or cannot be.
    fn number(&mut self, number: u64) -> bool {
        self.incidents = self.incidents.saturating_add(1);
        let (Ok(place), bit) = (usize::try_from(number / 64), 1_u64 << (number % 64)) else { return false };
        // More than a gap of a million is damage, not a reason to take memory for it.
        if number == 0 || place > self.numbers.len().saturating_add(16_384) {
            return false;
        }
        if place >= self.numbers.len() {
            self.numbers.resize(place.saturating_add(1), 0);
        }
        let Some(word) = self.numbers.get_mut(place) else { return false };
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }
}

struct Verifier<'a, 's> {
    snapshot: &'a Snapshot<'s>,
    report: Report,
    /// What is there, and what things have made, by table.
    there: BTreeMap<Table, Sum>,
    made: BTreeMap<Table, Sum>,
    found: BTreeMap<OrgId, Found>,
    users: HashSet<(OrgId, UserId)>,
    last_incident: Option<(OrgId, IncidentId)>,
    pages: Pages,
}

pub(super) fn verify(snapshot: &Snapshot<'_>, progress: Progress<'_>) -> Report {
    let mut verifier = Verifier {
        snapshot,
        report: Report::default(),
        there: BTreeMap::new(),
        made: BTreeMap::new(),
        found: BTreeMap::new(),
        users: HashSet::new(),
        last_incident: None,
        pages: Pages::default(),
    };
    verifier.all(progress);
    verifier.report
}

/// Everything that can be read, for a second look.
pub(super) fn wholes(snapshot: &Snapshot<'_>) -> impl Iterator<Item = Whole> {
    rows(snapshot).map_while(Result::ok).filter_map(|(key, value)| whole(snapshot, &key, &value).ok().flatten())
}

fn whole(snapshot: &Snapshot<'_>, key: &[u8], value: &[u8]) -> Result<Option<Whole>, Corrupt> {
    Whole::read(key, value, &|key| snapshot.read(key))
}

impl Verifier<'_, '_> {
    fn all(&mut self, progress: Progress<'_>) {
        self.begin();
        let mut counter = Counter::new(progress);
        let mut last = Vec::new();
        for pair in rows(self.snapshot) {
            match pair {
                Ok((key, value)) => {
                    self.row(&key, &value);
                    last = key;
                }
                Err(error) => {
                    self.report.add(&last, format!("what stands behind this row cannot be read: {error}"));
                    return;
                }
            }
            counter.step();
        }
        self.report.rows = counter.done;
        self.compare_tables();
        self.compare_counts();
        self.pages.compare(self.snapshot, &mut self.report);
    }

    fn begin(&mut self) {
        let key = format::dropped_key();
        match self.snapshot.get(&key) {
            Ok(None) => {}
            Ok(Some(value)) => match format::dropped_until(&value) {
                Ok(until) => self.pages.dropped_until = Some(until),
                Err(why) => self.report.add(&key, why.to_string()),
            },
            Err(error) => self.report.add(&key, error.to_string()),
        }
    }

    fn row(&mut self, key: &[u8], value: &[u8]) {
        let Some(table) = Table::of_key(key) else {
            return self.report.add(key, "there is no such table");
        };
        if table == Table::Meta {
            return;
        }
        self.there.entry(table).or_default().add(&key);
        match whole(self.snapshot, key, value) {
            Ok(None) => {}
            Ok(Some(whole)) => {
                self.report.things = self.report.things.saturating_add(1);
                self.compare_rows(key, &whole);
                self.look_at(key, &whole);
            }
            Err(why) => self.report.add(key, why.to_string()),
        }
    }

    /// Every row that a thing consists of is there.
    fn compare_rows(&mut self, key: &[u8], whole: &Whole) {
        let mut rows = Rows::default();
        if let Err(why) = whole.rows(&mut rows) {
            return self.report.add(key, format!("it cannot be written again: {why}"));
        }
        let mut itself = false;
        for (made, value) in rows.into_pairs() {
            if let Some(table) = Table::of_key(&made) {
                self.made.entry(table).or_default().add(&made.as_slice());
            }
            if made == key {
                // It was read from there.
                itself = true;
                continue;
            }
            match self.snapshot.get(&made) {
                Ok(Some(there)) if there == value => {}
                // An older version may have written it.
                Ok(Some(there)) if !value.is_empty() && there.first() != value.first() => {}
                Ok(Some(_)) => self.report.add(&made, format!("it is not as the record at {} has it", hex(key))),
                Ok(None) => self.report.add(&made, format!("it is missing; the record at {} has it", hex(key))),
                Err(error) => self.report.add(&made, error.to_string()),
            }
        }
        if !itself {
            self.report.add(key, "the record says that it stands under another key");
        }
    }

    /// Every row that is there belongs to a thing.
    fn compare_tables(&mut self) {
        let tables: BTreeSet<Table> = self.there.keys().chain(self.made.keys()).copied().collect();
        let differing: BTreeSet<Table> =
            tables.into_iter().filter(|table| self.there.get(table) != self.made.get(table)).collect();
        if differing.is_empty() {
            return;
        }
        let mut made = HashSet::new();
        for whole in wholes(self.snapshot) {
            let mut rows = Rows::default();
            if whole.rows(&mut rows).is_ok() {
                let keys = rows.into_pairs().map(|(key, _)| key);
                let of_these = |key: &Vec<u8>| Table::of_key(key).is_some_and(|table| differing.contains(&table));
                made.extend(keys.filter(of_these).map(|key| hash(&key)));
            }
        }
        for table in differing {
            for (key, _) in self.snapshot.under(&table.key(&[])).map_while(Result::ok) {
                if !made.contains(&hash(&key)) {
                    self.report.add(&key, "it belongs to nothing");
                }
            }
        }
    }

    fn compare_counts(&mut self) {
        for (org, found) in &self.found {
            let key = Table::Counts.of(*org, &[]);
            let known = found.counts.unwrap_or(Counts::empty(*org));
            let there = Counts {
                org: *org,
                incidents: found.incidents,
                members: found.members,
                invitations: found.invitations,
                components: found.components,
                api_keys: found.api_keys,
                schedules: found.schedules,
                policies: found.policies,
            };
            if !found.exists {
                self.report
                    .add(&Table::Organization.of(*org, &[]), "it is missing; there are things of this organization");
            }
            if known != there {
                self.report.add(&key, format!("it counts {known:?}, but there are {there:?}"));
            }
        }
    }

    fn of(&mut self, org: OrgId) -> &mut Found {
        self.found.entry(org).or_default()
    }

    /// A row that must exist because another names it.
    fn need(&mut self, key: &[u8], named: &[u8], what: &str) {
        match self.snapshot.get(named) {
            Ok(Some(_)) => {}
            Ok(None) => self.report.add(key, format!("it names {what} that does not exist")),
            Err(error) => self.report.add(named, error.to_string()),
        }
    }

    fn need_schedule(&mut self, key: &[u8], org: OrgId, schedule: ScheduleId) {
        self.need(key, &Table::Schedule.record(org, schedule), "a schedule");
    }

    fn need_users(&mut self, key: &[u8], org: OrgId, users: impl IntoIterator<Item = UserId>) {
        for user in users {
            if self.users.insert((org, user)) {
                self.need(key, &Table::Member.record(org, user), "a user");
            }
        }
    }

    fn need_incident(&mut self, key: &[u8], org: OrgId, incident: IncidentId) {
        // The parts of an incident stand next to one another.
        if self.last_incident.replace((org, incident)) != Some((org, incident)) {
            self.need(key, &keys::incident(org, incident), "an incident");
        }
    }

    /// What must fit together.
    fn look_at(&mut self, key: &[u8], whole: &Whole) {
        match whole {
            Whole::Organization(org) => self.of(org.id).exists = true,
            Whole::Counts(tally) => self.of(tally.org).counts = Some(*tally),
            Whole::Member(member) => self.of(member.org).members += u32::from(member.is_active()),
            Whole::Invitation(invitation) => self.of(invitation.org).invitations += 1,
            Whole::ApiKey(it) => {
                self.of(it.org).api_keys += 1;
                self.need_users(key, it.org, [it.user]);
            }
            Whole::Component(component) => self.of(component.org).components += u32::from(component.is_live()),
            Whole::Incident(incident) => self.incident(key, incident),
            Whole::Update(update) => {
                self.need_incident(key, update.org, update.incident);
                let redacted = update.redacted.map(|(_, by)| by);
                self.need_users(key, update.org, redacted.into_iter().chain([update.posted_by]));
            }
            Whole::Audit(entry) => {
                self.need_incident(key, entry.org, entry.incident);
                self.events(key, (entry.org, entry.incident), &entry.events);
            }
            Whole::Schedule(schedule) => {
                self.of(schedule.org).schedules += 1;
                self.layers(key, schedule);
            }
            Whole::RotationLayer(layer) => {
                self.need_schedule(key, layer.org, layer.schedule);
                self.need_users(key, layer.org, layer.terms.participants().iter().copied());
            }
            Whole::PastTerms(past) => {
                self.need_schedule(key, past.org, past.schedule);
                self.need_users(key, past.org, past.terms.participants().iter().copied());
            }
            Whole::PastOrder(past) => self.need_schedule(key, past.org, past.schedule),
            Whole::Override(it) => {
                self.need_schedule(key, it.org, it.schedule);
                self.need_users(key, it.org, [it.user]);
            }
            Whole::Policy(policy) => self.of(policy.org).policies += 1,
            Whole::PolicyLayer(layer) => {
                self.need(key, &Table::Policy.record(layer.org, layer.policy), "a policy");
                match &layer.target {
                    Target::Schedule(it) => self.need_schedule(key, layer.org, *it),
                    Target::Users(users) => self.need_users(key, layer.org, users.as_slice().iter().copied()),
                }
            }
            Whole::PastPolicyLayer(past) => {
                self.need(key, &Table::Policy.record(past.layer.org, past.layer.policy), "a policy");
            }
            Whole::Notification(one) => self.notification(key, one),
            Whole::Inbox(inbox) => self.inbox(key, inbox),
            Whole::IdempotentAnswer(_) => {}
        }
    }

    fn incident(&mut self, key: &[u8], incident: &Incident) {
        let org = incident.org;
        if !self.of(org).number(incident.sequential_id) {
            self.report.add(key, format!("another incident has the number {}, too", incident.sequential_id));
        }
        let acknowledged = incident.acknowledged.map(|(_, by)| by);
        self.need_users(key, org, incident.owner.into_iter().chain(acknowledged).chain([incident.created_by]));
        for component in &incident.components {
            self.need(key, &Table::Component.record(org, *component), "a component");
        }
        self.events(key, (org, incident.id), &incident.recent_events);
        self.trail(key, incident);
        // A policy may go when the last of its incidents is resolved.
        if let Some(policy) = incident.policy().filter(|_| !incident.is_resolved()) {
            self.need(key, &Table::Policy.record(org, policy), "a policy");
        }
    }

    fn events(&mut self, key: &[u8], (org, incident): (OrgId, IncidentId), events: &[AuditEvent]) {
        self.need_users(key, org, events.iter().filter_map(|event| event.actor));
        self.pages.told(org, incident, events);
    }

    /// The trail tells of the incident's beginning, each step of its status, and each update; and the updates are there.
    fn trail(&mut self, key: &[u8], incident: &Incident) {
        let (mut created, mut steps, mut posted) = (0_usize, 0_usize, 0_u32);
        let moved_out = self.snapshot.under(&Table::Audit.record(incident.org, incident.id)).map_while(Result::ok);
        let moved_out = moved_out.filter_map(|(key, value)| match whole(self.snapshot, &key, &value) {
            Ok(Some(Whole::Audit(entry))) => Some(entry.events),
            _ => None,
        });
        let mut earlier = moved_out.flatten().peekable();
        let unknown = earlier.peek().is_some() && !incident.has_earlier_events;
        for event in earlier.chain(incident.recent_events.iter().cloned()) {
            match event.event {
                Event::IncidentCreated { .. } => created = created.saturating_add(1),
                Event::StatusChanged { .. } => steps = steps.saturating_add(1),
                Event::UpdatePosted { .. } => posted = posted.saturating_add(1),
                _ => {}
            }
        }
        if unknown {
            self.report.add(key, "it does not know of earlier events that are there");
        }
        let updates =
            self.snapshot.under(&Table::Update.record(incident.org, incident.id)).map_while(Result::ok).count();
        if (created, steps) != (1, incident.history.len().saturating_sub(1)) {
            let history = incident.history.len();
            self.report.add(
                key,
                format!("its status history has {history} entries, but its trail tells of {created} beginnings and {steps} steps"),
            );
        }
        if posted != incident.updates || u32::try_from(updates) != Ok(incident.updates) {
            let counted = incident.updates;
            self.report.add(
                key,
                format!("it counts {counted} updates, but its trail tells of {posted}, and there are {updates}"),
            );
        }
    }

    /// The layers in the order of a schedule are those that it has.
    fn layers(&mut self, key: &[u8], schedule: &Schedule) {
        let prefix = Table::Layer.record(schedule.org, schedule.id);
        let there: BTreeSet<_> = self.snapshot.under(&prefix).map_while(Result::ok).map(|(key, _)| key).collect();
        let layer = |id: &RotationLayerId| Table::Layer.of(schedule.org, &[&schedule.id.to_bytes(), &id.to_bytes()]);
        let ordered: BTreeSet<_> = schedule.order.iter().map(layer).collect();
        if there != ordered {
            self.report.add(key, "the layers in its order are not the layers that there are");
        }
    }

    fn notification(&mut self, key: &[u8], one: &Notification) {
        self.pages.written(one);
        if let Message::Page { incident, .. } = one.message {
            self.need(key, &keys::incident(one.org, incident), "an incident");
        }
        let delivered = one.delivered_at.is_some();
        if let Recipient::Invited(invitation) = one.recipient {
            if delivered {
                // Its line went with it.
                return;
            }
            self.need(key, &Table::Invitation.record(one.org, invitation), "an invitation");
        }
        let line = keys::inbox(one.org, one.recipient);
        let inbox = self.snapshot.read(&line).and_then(|value| match whole(self.snapshot, &line, &value) {
            Ok(Some(Whole::Inbox(inbox))) => Some(inbox),
            _ => None,
        });
        let fits = |inbox: Inbox| {
            if delivered { one.number < inbox.first } else { (inbox.first..=inbox.last).contains(&one.number) }
        };
        if !inbox.is_some_and(fits) {
            self.report.add(key, if delivered { "its line never came to it" } else { "it waits, but is in no line" });
        }
    }

    fn inbox(&mut self, key: &[u8], inbox: &Inbox) {
        for number in inbox.first..=inbox.last {
            let named = keys::notification(inbox.org, inbox.recipient, number);
            let before = self.report.found;
            self.need(key, &named, "a notification");
            if self.report.found != before {
                // One is enough: a damaged length names very many.
                return;
            }
        }
        if let Recipient::Member(user) = inbox.recipient {
            self.need_users(key, inbox.org, [user]);
        }
    }
}
