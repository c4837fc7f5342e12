//! The check of a store ([`Verifier`], [`Report`]): whether every row is what was written, and all rows are consistent.
//!
//! It is one pass over all rows. Each entity is read from its record and encoded again into its rows: every one of those must
//! exist, with that value. Conversely, every row in the store must belong to an entity: for each table the keys in the store
//! and the keys of all entities are summed up as hashes, and only if the sums differ is the table scanned again for the rows
//! that belong to none. So it takes little memory, however large the store.
//!
//! Beyond single entities it checks counts, incident numbers, inboxes, that referenced rows exist (each entity has its own
//! [`Entity::check`]), and that each page in an audit trail has a notification, and the reverse ([`super::pages`]).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use dogwatch_core::id::IncidentId;
use dogwatch_core::organization::Counts;
use dogwatch_core::{OrgId, UserId};

use super::pages::Pages;
use super::{Counter, Progress, rows};
use crate::commit::snapshot::Snapshot;
use crate::format;
use crate::record::{Corrupt, hex};
use crate::rooms::{AnyEntity, Entity, Rows};
use crate::table::Table;

/// A problem that was found in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the table, as in `FORMAT.md`; empty when the finding concerns no single row.
    pub table: String,
    /// The key of the row, in hexadecimal digits; empty when the finding concerns no single row.
    pub key: String,
    /// The problem, in English.
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

/// The result of [`Engine::verify`](crate::Engine::verify).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The number of rows that were checked; 0 when the store could not be read to its end.
    pub rows: u64,
    /// The number of entities that were read from the rows.
    pub things: u64,
    /// The first 1,000 findings, in the order in which they were found.
    pub findings: Vec<Finding>,
    /// The number of all findings.
    pub found: u64,
}

impl Report {
    /// Whether there are no findings.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.found == 0
    }

    pub(crate) fn add(&mut self, key: &[u8], what: impl Into<String>) {
        self.found = self.found.saturating_add(1);
        if self.findings.len() < MOST_FINDINGS {
            let table = Table::of_key(key).map(|table| format!("{table:?}")).unwrap_or_default();
            self.findings.push(Finding { table, key: hex(key), what: what.into() });
        }
    }
}

/// The number of findings that a report keeps.
const MOST_FINDINGS: usize = 1_000;

/// The count and the sum of hashes of a set of keys. Two sets with equal sums are taken to be equal.
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

/// What the pass has found of an organization so far.
pub(crate) struct Found {
    /// Whether the record of the organization itself was found.
    pub(crate) exists: bool,
    /// The counts that the record in `Counts` holds; `None` when there is no such record.
    pub(crate) stored: Option<Counts>,
    /// The counts of the entities that were found.
    pub(crate) counts: Counts,
    numbers: Numbers,
}

/// The incident numbers (`sequentialId`) that were found, one bit for each, in pieces of 256: damaged ones may be far apart.
#[derive(Default)]
pub(crate) struct Numbers(HashMap<u64, [u64; 4]>);

impl Numbers {
    /// Notes a number; `false` when it was noted before, or is none.
    fn note(&mut self, number: u64) -> bool {
        let piece = self.0.entry(number / 256).or_default();
        let place = usize::try_from(number % 256 / 64).unwrap_or(0);
        let Some(word) = piece.get_mut(place) else { return false };
        let bit = 1_u64 << (number % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh && number > 0
    }
}

impl Found {
    /// Counts an incident and notes its number; `false` when the number was found before, or is none.
    pub(crate) fn number(&mut self, number: u64) -> bool {
        self.counts.incidents = self.counts.incidents.saturating_add(1);
        self.numbers.note(number)
    }
}

/// The state of one pass over a store. Each entity checks itself with it: see [`Entity::check`].
pub(crate) struct Verifier<'a, 's> {
    pub(crate) snapshot: &'a Snapshot<'s>,
    pub(crate) report: Report,
    /// By table, the keys that the store holds; and below, the keys of the rows of all entities.
    there: BTreeMap<Table, Sum>,
    made: BTreeMap<Table, Sum>,
    found: BTreeMap<OrgId, Found>,
    users: HashSet<(OrgId, UserId)>,
    /// The incident whose existence was checked last. The parts of one incident are next to one another: one check is enough.
    pub(crate) last_incident: Option<(OrgId, IncidentId)>,
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
    if snapshot.is_lost() {
        // What was found may be of another moment, and nothing is known to be damaged.
        let what = "the store changed too much while it was read: the moment that was looked at is given up".to_owned();
        let finding = Finding { table: String::new(), key: String::new(), what };
        return Report { findings: vec![finding], found: 1, ..Report::default() };
    }
    verifier.report
}

/// All entities that can be read, for a second pass.
pub(super) fn entities(snapshot: &Snapshot<'_>) -> impl Iterator<Item = AnyEntity> {
    rows(snapshot).map_while(Result::ok).filter_map(|(key, value)| entity(snapshot, &key, &value).ok().flatten())
}

fn entity(snapshot: &Snapshot<'_>, key: &[u8], value: &[u8]) -> Result<Option<AnyEntity>, Corrupt> {
    AnyEntity::read(key, value, &|key| snapshot.read(key))
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
        if table == Table::META {
            return;
        }
        self.there.entry(table).or_default().add(&key);
        match self.entity(key, value) {
            Ok(None) => {}
            Ok(Some(entity)) => {
                self.report.things = self.report.things.saturating_add(1);
                self.compare_rows(key, &entity);
                entity.check(key, self);
                entity.pages(&mut |page, side| self.pages.tell(&page, side));
            }
            Err(why) => self.report.add(key, why.to_string()),
        }
    }

    /// Checks that every row of an entity exists, with the value that the entity has now.
    fn compare_rows(&mut self, key: &[u8], entity: &AnyEntity) {
        let mut rows = Rows::default();
        if let Err(why) = entity.rows(&mut rows) {
            return self.report.add(key, format!("it cannot be written again: {why}"));
        }
        let mut itself = false;
        for (made, value) in rows.into_pairs() {
            if let Some(table) = Table::of_key(&made) {
                self.made.entry(table).or_default().add(&made.as_slice());
            }
            if made == key {
                // The entity was read from this row.
                itself = true;
                continue;
            }
            match self.snapshot.get(&made) {
                Ok(Some(there)) if there == value => {}
                // A row with another record version may have been written by an older version of the store.
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

    /// Checks that every row in the store belongs to an entity.
    fn compare_tables(&mut self) {
        let tables: BTreeSet<Table> = self.there.keys().chain(self.made.keys()).copied().collect();
        let differing: BTreeSet<Table> =
            tables.into_iter().filter(|table| self.there.get(table) != self.made.get(table)).collect();
        if differing.is_empty() {
            return;
        }
        let mut made = HashSet::new();
        for entity in entities(self.snapshot) {
            let mut rows = Rows::default();
            if entity.rows(&mut rows).is_ok() {
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
            let key = Table::COUNTS.of(*org, &[]);
            let stored = found.stored.unwrap_or(Counts::empty(*org));
            if !found.exists {
                let missing = "it is missing; there are entities of this organization";
                self.report.add(&Table::ORGANIZATION.of(*org, &[]), missing);
            }
            if stored != found.counts {
                self.report.add(&key, format!("it counts {stored:?}, but there are {:?}", found.counts));
            }
        }
    }

    /// What the pass has found of an organization so far.
    pub(crate) fn of(&mut self, org: OrgId) -> &mut Found {
        let nothing = || Found { exists: false, stored: None, counts: Counts::empty(org), numbers: Numbers::default() };
        self.found.entry(org).or_insert_with(nothing)
    }

    /// The entity whose record a row holds; `None` for an index row or a part of an entity.
    pub(crate) fn entity(&self, key: &[u8], value: &[u8]) -> Result<Option<AnyEntity>, Corrupt> {
        entity(self.snapshot, key, value)
    }

    /// Checks that the row `named` exists, because the row `key` refers to it. `what` names it in the finding: "a policy".
    pub(crate) fn need(&mut self, key: &[u8], named: &[u8], what: &str) {
        match self.snapshot.get(named) {
            Ok(Some(_)) => {}
            Ok(None) => self.report.add(key, format!("it names {what} that does not exist")),
            Err(error) => self.report.add(named, error.to_string()),
        }
    }

    /// Checks that there is no other row that one says is gone.
    pub(crate) fn need_none(&mut self, key: &[u8], named: &[u8], what: &str) {
        match self.snapshot.get(named) {
            Ok(None) => {}
            Ok(Some(_)) => self.report.add(key, format!("it says that {what} is gone that exists")),
            Err(error) => self.report.add(named, error.to_string()),
        }
    }

    /// Checks that users exist as members, removed ones included. Each user is checked once.
    pub(crate) fn need_users(&mut self, key: &[u8], org: OrgId, users: impl IntoIterator<Item = UserId>) {
        for user in users {
            if self.users.insert((org, user)) {
                self.need(key, &Table::MEMBER.record(org, user), "a user");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Incidents are read newest first: the first number is the greatest.
    #[test]
    fn numbers_of_millions_of_incidents_are_told_apart() {
        let mut numbers = Numbers::default();
        assert!((1..=3_000_000).rev().all(|number| numbers.note(number)));
        assert!([1, 2_999_999, 3_000_000].into_iter().all(|number| !numbers.note(number)));
        assert!(numbers.note(u64::MAX) && !numbers.note(u64::MAX) && !numbers.note(0));
    }
}
