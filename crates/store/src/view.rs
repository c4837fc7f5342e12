//! The read side of the store: the ports through which the rules (`dogwatch_core`) read, answered from rows.
//!
//! A [`StoreView`] sees the rows of all organizations, an [`OrgView`] those of one. An [`OrgView`] builds every key from
//! the id of its own organization, so it can reach no other. A record that does not decode is an `internal_error`.

use std::cell::Cell;

use crate::rooms::NamedV1;
use crate::rooms::organization::OrganizationV2;
use crate::sync::Arc;
use dogwatch_core::api_key::KeyHolder;
use dogwatch_core::id::{Id, IntegrationId, StatusPageId};
use dogwatch_core::organization::Organization;
use dogwatch_core::outbox::{DeliveryPort, Notification, ReadyInbox, Transport};
use dogwatch_core::secret::SecretHash;
use dogwatch_core::text::{ExternalId, Name, Slug};
use dogwatch_core::ticks::{TickPort, Timer};
use dogwatch_core::world::{GlobalPort, State, World};
use dogwatch_core::{Error, OrgId, Timestamp};

use crate::backend::Pair;
use crate::commit::cache::Decoded;
use crate::commit::overlay::Overlay;
use crate::format;
use crate::journal::Position;
use crate::record::{Corrupt, Stored, decode, hex};
use crate::rooms::api_key::HolderV1;
use crate::rooms::integration::TokenHolderV1;
use crate::rooms::organization::organization_by_external_id;
use crate::rooms::status_page::{SlugV1, slug_key};
use crate::rooms::team::TokenV1;
use crate::rooms::{Reader, incident, is_cached, outbox};
use crate::table::{self, Table, end_of};

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

    pub(crate) fn record<T: Stored>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        self.get(key)?.map(|value| decode(key, &value).map_err(|why| corrupt(key, why))).transpose()
    }

    pub(crate) fn scan(&self, start: &[u8], end: &[u8]) -> impl Iterator<Item = Result<Pair, Error>> + use<'a> {
        self.rows.scan(start, end).map(|pair| pair.map_err(|error| Error::broken(error.to_string())))
    }

    /// What was made of several rows and kept, if none of them has changed since.
    pub(crate) fn remembered_alone(&self, key: &[u8]) -> Option<Decoded> {
        self.rows.remembered_alone(key)
    }

    /// Keeps what was made of rows, under the key for all of them (see [`cached_under`](crate::rooms::cached_under)).
    pub(crate) fn remember(&self, key: &[u8], made: Decoded, bytes: usize) {
        self.rows.remember(key, made, bytes);
    }

    // Invariant [one-scan]: a list is read here, in the order of keys, and its cost is what is taken of it.
    pub(crate) fn under(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Pair, Error>> + use<'a> {
        self.scan(prefix, &end_of(prefix))
    }

    /// All records whose key begins with a prefix. `build` makes the entity from the record and the id at the end of the key.
    pub(crate) fn records<T: Stored, I: Id, R>(
        &self,
        prefix: &[u8],
        build: impl Fn(T, I) -> Result<R, Corrupt>,
    ) -> Result<Vec<R>, Error> {
        self.records_between(prefix, &end_of(prefix), build).collect()
    }

    /// As [`StoreView::records`], but only the records whose key has an instant later than `after` behind the prefix.
    pub(crate) fn records_after<T: Stored, I: Id, R>(
        &self,
        prefix: &[u8],
        after: Timestamp,
        build: impl Fn(T, I) -> Result<R, Corrupt>,
    ) -> impl Iterator<Item = Result<R, Error>> {
        let start = [prefix, &table::instant(after)].concat();
        self.records_between(&end_of(&start), &end_of(prefix), build)
    }

    fn records_between<T: Stored, I: Id, R, F: Fn(T, I) -> Result<R, Corrupt>>(
        &self,
        start: &[u8],
        end: &[u8],
        build: F,
    ) -> impl Iterator<Item = Result<R, Error>> + use<'a, T, I, R, F> {
        let read = move |(key, value): Pair| record_of(&key, &value, &build);
        self.scan(start, end).map(move |pair| read(pair?))
    }
}

/// What `build` makes of the record in a row and the id at the end of its key.
pub(crate) fn record_of<T: Stored, I: Id, R>(
    key: &[u8],
    value: &[u8],
    build: impl FnOnce(T, I) -> Result<R, Corrupt>,
) -> Result<R, Error> {
    let made = decode(key, value).and_then(|record| build(record, id_at_end(key)?));
    made.map_err(|why| corrupt(key, why))
}

/// The error for a record that is not what was written, or of which a part cannot be read. It names the key, for the operator's log.
pub(crate) fn corrupt(key: &[u8], why: Corrupt) -> Error {
    let what = if why == Corrupt::Unread { "unreadable" } else { "corrupt" };
    Error::broken(format!("{what} record at key {}: {why}", hex(key)))
}

pub(crate) fn id_at_end<T: Id>(key: &[u8]) -> Result<T, Corrupt> {
    key.last_chunk::<16>().map(|bytes| T::from_bytes(*bytes)).ok_or(Corrupt::Key)
}

#[deny(clippy::missing_trait_methods)]
impl GlobalPort for StoreView<'_> {
    fn key_holder(&self, hash: SecretHash) -> Result<Option<KeyHolder>, Error> {
        let key = Table::KEY_HOLDER.hashed(hash);
        let holder = self.record::<HolderV1>(&key)?.map(KeyHolder::try_from).transpose();
        holder.map_err(|why| corrupt(&key, why))
    }

    fn organization_inviting(&self, token: SecretHash) -> Result<Option<OrgId>, Error> {
        let place = self.record::<TokenV1>(&Table::TOKEN.hashed(token))?;
        Ok(place.map(|place| OrgId::from_bytes(place.org)))
    }

    fn organization_with(&self, external_id: &ExternalId) -> Result<Option<OrgId>, Error> {
        let named = self.record::<NamedV1>(&organization_by_external_id(external_id))?;
        Ok(named.map(|named| OrgId::from_bytes(named.id)))
    }

    fn integration_with(&self, token: SecretHash) -> Result<Option<(OrgId, IntegrationId)>, Error> {
        Ok(self.record::<TokenHolderV1>(&Table::INTEGRATION_TOKEN.hashed(token))?.map(TokenHolderV1::of))
    }

    fn status_page_at(&self, slug: &Slug) -> Result<Option<(OrgId, StatusPageId)>, Error> {
        Ok(self.record::<SlugV1>(&slug_key(slug))?.map(SlugV1::of))
    }
}

#[deny(clippy::missing_trait_methods)]
impl TickPort for StoreView<'_> {
    fn timers_due(&self, now: Timestamp, after: Option<&Timer>, limit: usize) -> Result<Vec<Timer>, Error> {
        let start = after.map_or_else(|| Table::TIMER.key(&[]), |after| end_of(&incident::timer_key(after)));
        let end = end_of(&Table::TIMER.key(&[&table::instant(now)]));
        let timer = |key: &[u8]| incident::timer(key).ok_or_else(|| corrupt(key, Corrupt::Key));
        self.scan(&start, &end).take(limit).map(|pair| timer(&pair?.0)).collect()
    }

    fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let prefix = Table::TIMER.key(&[]);
        self.first_instant(&prefix, &prefix)
    }
}

#[deny(clippy::missing_trait_methods)]
impl DeliveryPort for StoreView<'_> {
    fn ready_inboxes(
        &self,
        transport: Transport,
        now: Timestamp,
        after: Option<&ReadyInbox>,
        limit: usize,
    ) -> Result<Vec<ReadyInbox>, Error> {
        let prefix = outbox::ready_prefix(transport);
        let end = end_of(&[&prefix[..], &table::instant(now)].concat());
        let start = after.map_or_else(|| prefix.clone(), |after| end_of(&outbox::ready_key(after)));
        let ready = |key: &[u8]| outbox::ready_inbox(key, prefix.len()).ok_or_else(|| corrupt(key, Corrupt::Key));
        self.scan(&start, &end).take(limit).map(|pair| ready(&pair?.0)).collect()
    }

    fn later_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Notification>, Error> {
        let end = end_of(&Table::LATER.key(&[&table::instant(now)]));
        let due = self.scan(&Table::LATER.key(&[]), &end);
        // A damaged one, which `verify` tells of, must not keep the others from becoming due.
        let read = |(key, value): Pair| outbox::notification_of(&key, &value).ok();
        due.filter_map(|pair| pair.map(read).transpose()).take(limit).collect()
    }

    fn next_ready(&self, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let after = |prefix: &[u8]| self.first_instant(prefix, &end_of(&[prefix, &table::instant(now)].concat()));
        let mut next = after(&Table::LATER.key(&[]))?;
        for transport in Transport::ALL {
            next = next.into_iter().chain(after(&outbox::ready_prefix(transport))?).min();
        }
        Ok(next)
    }
}

impl State for StoreView<'_> {
    fn world(&self, org: OrgId) -> Box<dyn World + '_> {
        Box::new(OrgView { store: *self, org })
    }

    fn organizations(&self) -> Result<Vec<Organization>, Error> {
        self.records(&Table::ORGANIZATION.key(&[]), OrganizationV2::of)
    }
}

impl StoreView<'_> {
    /// The bookmarks in the journal that have a name, and what each has read.
    pub(crate) fn bookmarks(&self) -> Result<Vec<(Name, Position)>, Error> {
        let bookmark = |(key, value): Pair| format::bookmark_of(&key, &value).map_err(|why| corrupt(&key, why));
        self.under(&format::bookmarks_key()).map(|pair| bookmark(pair?)).collect()
    }

    /// The inbox over each transport that could be claimed from the longest, if one can at all.
    pub(crate) fn first_ready(&self, now: Timestamp) -> impl Iterator<Item = Result<ReadyInbox, Error>> {
        let first = move |transport| self.ready_inboxes(transport, now, None, 1).map(|found| found.first().copied());
        Transport::ALL.into_iter().filter_map(move |transport| first(transport).transpose())
    }

    /// The earliest instant behind a prefix whose keys are sorted by time, among the keys from `start` on.
    fn first_instant(&self, prefix: &[u8], start: &[u8]) -> Result<Option<Timestamp>, Error> {
        let Some(first) = self.scan(start, &end_of(prefix)).next() else { return Ok(None) };
        let (key, _) = first?;
        let (at, _) =
            key.get(prefix.len()..).and_then(table::take_instant).ok_or_else(|| corrupt(&key, Corrupt::Key))?;
        Ok(Some(at))
    }
}

/// One organization, as seen through an overlay.
pub(crate) struct OrgView<'a> {
    pub(crate) store: StoreView<'a>,
    pub(crate) org: OrgId,
}

impl OrgView<'_> {
    /// The entity under a key, made by `build` from its record; `None` when there is no such row.
    pub(crate) fn entity<T: Stored, R>(
        &self,
        key: &[u8],
        build: impl FnOnce(T) -> Result<R, Corrupt>,
    ) -> Result<Option<R>, Error> {
        let record = self.store.record::<T>(key)?;
        record.map(build).transpose().map_err(|why| corrupt(key, why))
    }

    /// As [`OrgView::entity`], of a kind that is kept decoded ([`is_cached`]): from the cache, if it is there.
    pub(crate) fn cached<T: Stored, R: Send + Sync + 'static>(
        &self,
        key: &[u8],
        build: impl FnOnce(T, Reader<'_>) -> Result<R, Corrupt>,
    ) -> Result<Option<Arc<R>>, Error> {
        if let Some(known) = self.remembered(key) {
            return Ok(Some(known));
        }
        let Some(value) = self.store.get(key)? else { return Ok(None) };
        self.decoded(key, &value, build).map(Some)
    }

    /// The entity of a row that is kept decoded, if it is known.
    pub(crate) fn remembered<R: Send + Sync + 'static>(&self, key: &[u8]) -> Option<Arc<R>> {
        debug_assert!(is_cached(key), "its changes do not remove it from the cache");
        self.store.rows.remembered(key)?.downcast().ok()
    }

    /// Decodes the entity of a row, and keeps it decoded. One with a text in rows of its own is not kept: those may change alone.
    pub(crate) fn decoded<T: Stored, R: Send + Sync + 'static>(
        &self,
        key: &[u8],
        value: &[u8],
        build: impl FnOnce(T, Reader<'_>) -> Result<R, Corrupt>,
    ) -> Result<Arc<R>, Error> {
        let alone = Cell::new(true);
        let read = |key: &[u8]| {
            alone.set(false);
            self.read(key)
        };
        let made = decode(key, value).and_then(|record| build(record, &read)).map_err(|why| corrupt(key, why))?;
        let made = Arc::new(made);
        if alone.get() {
            self.store.rows.remember(key, Arc::clone(&made) as Decoded, value.len());
        }
        Ok(made)
    }

    /// Reads a piece of an entity's long text, which is kept in rows of its own.
    pub(crate) fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Corrupt> {
        self.store.rows.get(key).map_err(|_| Corrupt::Unread)
    }
}

impl OrgView<'_> {
    /// The entities of an index of names, in the order of their names. `entity` reads the entity with an id.
    pub(crate) fn named<R>(
        &self,
        table: Table,
        entity: impl Fn([u8; 16]) -> Result<Option<R>, Error>,
    ) -> Result<Vec<R>, Error> {
        let read = |(key, value): Pair| {
            let named: NamedV1 = decode(&key, &value).map_err(|why| corrupt(&key, why))?;
            entity(named.id)?.ok_or_else(|| corrupt(&key, Corrupt::Missing))
        };
        self.store.under(&table.of(self.org, &[])).map(|pair| read(pair?)).collect()
    }
}
