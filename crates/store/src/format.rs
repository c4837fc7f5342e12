//! The table `Meta`: the rows with which a store describes itself, the check of its format at opening, and the upgrade from
//! older formats.
//!
//! `Meta` holds the format, the head of the last commit that the backend holds, and the marks of a store that is being written or
//! upgraded. The head is written in the same batch as the rows of its commit, so a backend always says how far it has come: the
//! journal has what follows. One that has come further than the journal, or less far than the journal goes back, has lost
//! commits, or the journal has ([`OpenError::Lost`]).

use bincode::{Decode, Encode};
use dogwatch_core::Timestamp;
use dogwatch_core::text::Name;

use crate::backend::{Backend, BackendError, Batch, RowMap};
use crate::error::OpenError;
use crate::journal::{Commit, Digest, Gap, Head, Journal, Position, Rows, commits_after};
use crate::record::{Corrupt, Stored, decode, encode, unpack};
use crate::rooms::{AnyEntity, FORMAT, RowChange, api_key, incident, oncall, outbox, timestamp};
use crate::table::{Table, end_of};

impl Table {
    /// The description of the store itself: its format, its commits, and its marks.
    pub(crate) const META: Self = Self::new(0x00, "Meta");
}

/// The tables that this module declares.
pub(crate) const TABLES: &[Table] = &[Table::META];

#[derive(Debug, Encode, Decode)]
struct FormatV1 {
    format: u32,
}

impl Stored for FormatV1 {
    const VERSION: u8 = 1;
}

/// The row that says that commits up to a head are being brought into a copy.
pub(crate) fn incoming(head: &Head) -> Result<RowChange, BackendError> {
    head_row(incoming_key(), head)
}

/// The change after which no commits are being brought into a copy.
pub(crate) fn nothing_incoming() -> RowChange {
    (incoming_key(), None)
}

/// Up to which head commits were being brought into a copy when it was left, if any were.
pub(crate) fn incoming_of(backend: &dyn Backend) -> Result<Option<Head>, OpenError> {
    read_head(backend, &incoming_key())
}

/// The head of the last commit that a store holds.
#[derive(Debug, Encode, Decode)]
struct HeadV2 {
    term: u64,
    number: u64,
    digest: [u8; 16],
}

impl Stored for HeadV2 {
    const VERSION: u8 = 2;

    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        // In formats before 8, the number of commits; they had no digests.
        let CommitsV1 { commits } = if version == 1 { unpack(payload)? } else { return Err(Corrupt::Version) };
        Ok(Self { term: 0, number: commits, digest: [0; 16] })
    }
}

#[derive(Debug, Encode, Decode)]
struct CommitsV1 {
    commits: u64,
}

/// What somebody with a name has read of the journal, which keeps what follows: a position.
#[derive(Debug, Encode, Decode)]
struct BookmarkV1 {
    term: u64,
    number: u64,
}

impl Stored for BookmarkV1 {
    const VERSION: u8 = 1;
}

/// The shared store whose rows a copy holds.
#[derive(Debug, Encode, Decode)]
struct CopyV1 {
    identity: [u8; 16],
}

impl Stored for CopyV1 {
    const VERSION: u8 = 1;
}

/// The instant of delivery up to which notifications may have been dropped, in milliseconds since 1970.
#[derive(Debug, Encode, Decode)]
struct DroppedV1 {
    delivered_at: i64,
}

impl Stored for DroppedV1 {
    const VERSION: u8 = 1;
}

fn format_key() -> Vec<u8> {
    Table::META.key(&[b"format"])
}

fn unfinished_key() -> Vec<u8> {
    Table::META.key(&[b"unfinished"])
}

/// The key of the mark of an unfinished upgrade: it exists while rows of removed tables are being dropped and rows of new
/// indexes are being written.
fn upgrading_key() -> Vec<u8> {
    Table::META.key(&[b"dropping"])
}

/// The key of the mark of an incremental backup: nobody changes the rows, and what was committed since is in the journal.
fn backup_key() -> Vec<u8> {
    Table::META.key(&[b"backup"])
}

/// The key of the mark of a copy: the rows are those of a store that several servers share, and there is no journal beside them.
fn copy_key() -> Vec<u8> {
    Table::META.key(&[b"copy"])
}

/// The key of the mark of a copy into which commits are being brought: the head of the last of them.
fn incoming_key() -> Vec<u8> {
    Table::META.key(&[b"incoming"])
}

/// The tags of removed tables: incidents by status, by severity, and unresolved ones by component.
const GONE: [u8; 3] = [b'S', b'V', b'C'];
/// Formats before this one may have the removed tables.
const GONE_SINCE: u32 = BY_COMPONENT_SINCE;
/// The tables of whose rows there is an index that older formats lack, and the first format that has it: of API keys by user, of past
/// rotations by layer, of pages by incident, and of incidents by component.
const INDEXED: [(Table, u32); 5] = [
    (Table::INCIDENT, BY_COMPONENT_SINCE),
    (Table::API_KEY, 6),
    (Table::PAST_ROTATION, PAST_BY_LAYER_SINCE),
    (Table::NOTIFICATION, PAGES_SINCE),
    (Table::DELIVERED, PAGES_SINCE),
];
const PAST_BY_LAYER_SINCE: u32 = 11;
const PAGES_SINCE: u32 = 12;
const BY_COMPONENT_SINCE: u32 = 14;
/// Stores of this format and of later ones have a journal.
const JOURNAL_SINCE: u32 = 8;
/// The bytes of rows that are read from the journal at once.
const READ_AT_ONCE: usize = 8 << 20;
/// The largest number of rows that are dropped in one batch, or of rows that are indexed in one.
const CHUNK: usize = 1_000;

/// Whether a row holds the format, the head, a bookmark in the journal, or a mark of an unfinished store. A copy of the store has
/// its own instead.
pub(crate) fn is_mark(key: &[u8]) -> bool {
    key.first() == Some(&(Table::META.tag()))
        && (key.starts_with(&bookmarks_key())
            || [format_key(), head_key(), unfinished_key(), upgrading_key(), backup_key(), copy_key(), incoming_key()]
                .iter()
                .any(|mark| mark == key))
}

/// The format that this version writes.
pub(crate) const NEWEST: u32 = FORMAT;

/// Whether a row says the format.
pub(crate) fn is_format(key: &[u8]) -> bool {
    key == format_key()
}

/// Whether a row is the mark of an upgrade under way.
pub(crate) fn is_upgrading(key: &[u8]) -> bool {
    key == upgrading_key()
}

/// Whether nothing of a store is being written as a whole.
pub(crate) fn is_whole(read: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    [unfinished_key(), upgrading_key()].iter().all(|key| read(key).is_none())
}

/// Whether a row belongs into a shared store: all but the marks that are a folder's own.
pub(crate) fn is_shared(key: &[u8]) -> bool {
    is_format(key) || !is_mark(key)
}

/// Whether a row is the head that a backend has come to. It is not a part of what the store holds at a moment.
pub(crate) fn is_head(key: &[u8]) -> bool {
    key.first() == Some(&(Table::META.tag())) && key == head_key()
}

/// Whether a row belongs to a removed table.
pub(crate) fn is_gone(key: &[u8]) -> bool {
    key.first().is_some_and(|tag| GONE.contains(tag))
}

/// The format that a store says it has; 0 when it says nothing that can be read.
pub(crate) fn shown(read: impl Fn(&[u8]) -> Option<Vec<u8>>) -> u32 {
    let row = read(&format_key()).and_then(|value| decode::<FormatV1>(&format_key(), &value).ok());
    row.map_or(0, |row| row.format)
}

/// Whether a store may hold rows of removed tables: it has not been opened for writing since, or its upgrade is unfinished.
pub(crate) fn may_hold_gone(read: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    let format = read(&format_key()).and_then(|value| decode::<FormatV1>(&format_key(), &value).ok());
    format.is_some_and(|row| row.format < GONE_SINCE) || read(&upgrading_key()).is_some()
}

/// The index rows that a store of an older format lacks, for a reader that does not upgrade it.
pub(crate) fn lacking(backend: &dyn Backend) -> Result<RowMap, OpenError> {
    let mut rows = RowMap::new();
    for (table, since) in INDEXED {
        if may_lack(backend, since)? {
            rows.extend(index_of(backend, table, &table.key(&[]), usize::MAX)?.0);
        }
    }
    Ok(rows)
}

/// Whether a store may lack rows of an index that there is since a format.
fn may_lack(backend: &dyn Backend, since: u32) -> Result<bool, OpenError> {
    Ok(format(backend)?.is_some_and(|format| format < since) || backend.get(&upgrading_key())?.is_some())
}

/// Adds the index rows of what the journal has beyond a store of an older format, which an older version wrote, too.
pub(crate) fn index_commits(backend: &dyn Backend, rows: &mut RowMap) -> Result<(), OpenError> {
    if may_lack(backend, PAST_BY_LAYER_SINCE)? {
        let index = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
            Some((oncall::past_rotation_by_layer(key)?, value.as_ref().map(|_| Vec::new())))
        };
        let more: Vec<_> = rows.iter().filter_map(index).collect();
        rows.extend(more);
    }
    let pages = |key: &[u8], value: &[u8]| outbox::index_of_row(key, value).into_iter().collect();
    for (since, index) in [
        (PAGES_SINCE, &pages as &dyn Fn(&[u8], &[u8]) -> Vec<Vec<u8>>),
        (BY_COMPONENT_SINCE, &incident::by_component_of_row),
    ] {
        if !may_lack(backend, since)? {
            continue;
        }
        let mut more = RowMap::new();
        for (key, value) in rows.iter() {
            // What the backend holds under the key was indexed, and is not what is there any more.
            if let Some(before) = backend.get(key)? {
                more.extend(index(key, &before).into_iter().map(|index| (index, None)));
            }
            if let Some(value) = value {
                more.extend(index(key, value).into_iter().map(|index| (index, Some(Vec::new()))));
            }
        }
        rows.extend(more);
    }
    Ok(())
}

/// The rows of the index of at most `most` rows of a table from the key `start` on, and the key from which to continue.
fn index_of(
    backend: &dyn Backend,
    table: Table,
    start: &[u8],
    most: usize,
) -> Result<(RowMap, Option<Vec<u8>>), OpenError> {
    let mut rows = RowMap::new();
    for (read, pair) in backend.scan(start, &end_of(&table.key(&[]))).enumerate() {
        let (key, value) = pair?;
        if read == most {
            return Ok((rows, Some(key)));
        }
        // A damaged record is left to `verify`; it is not a reason to refuse the store.
        rows.extend(indexes_of_row(&key, &value).into_iter().map(|index| (index, Some(Vec::new()))));
    }
    Ok((rows, None))
}

/// The index rows of one row.
fn indexes_of_row(key: &[u8], value: &[u8]) -> Vec<Vec<u8>> {
    if let Some(index) = oncall::past_rotation_by_layer(key) {
        return vec![index];
    }
    // The texts of incidents may be in rows of their own, so their records are read by themselves.
    if Table::of_key(key) == Some(Table::INCIDENT) {
        return incident::by_component_of_row(key, value);
    }
    let index = match AnyEntity::read(key, value, &|_| Ok(None)) {
        Ok(Some(AnyEntity::ApiKey(it))) => Some(api_key::api_key_by_user(it.org_id, it.user_id, it.id)),
        Ok(Some(AnyEntity::Notification(it))) => outbox::index_of(key, &it),
        _ => None,
    };
    index.into_iter().collect()
}

fn head_key() -> Vec<u8> {
    Table::META.key(&[b"commits"])
}

/// The key of the instant of delivery up to which notifications may have been dropped.
pub(crate) fn dropped_key() -> Vec<u8> {
    Table::META.key(&[b"dropped"])
}

/// The change that sets the instant under [`dropped_key`].
pub(crate) fn dropped(at: Timestamp) -> Result<RowChange, Corrupt> {
    let key = dropped_key();
    let after = encode(&key, &DroppedV1 { delivered_at: at.as_millis() })?;
    Ok((key, Some(after)))
}

/// Decodes the instant that [`dropped`] wrote.
pub(crate) fn dropped_until(value: &[u8]) -> Result<Timestamp, Corrupt> {
    let row: DroppedV1 = decode(&dropped_key(), value)?;
    timestamp(row.delivered_at)
}

/// The beginning of the keys of bookmarks in the journal; the name of each follows.
pub(crate) fn bookmarks_key() -> Vec<u8> {
    Table::META.key(&[b"bookmark "])
}

/// The change that sets a bookmark in the journal, or removes it.
pub(crate) fn bookmark(name: &Name, read: Option<Position>) -> Result<RowChange, Corrupt> {
    let key = [bookmarks_key().as_slice(), name.as_str().as_bytes()].concat();
    let value = read.map(|Position { term, number }| encode(&key, &BookmarkV1 { term, number })).transpose()?;
    Ok((key, value))
}

/// Decodes the row that [`bookmark`] made.
pub(crate) fn bookmark_of(key: &[u8], value: &[u8]) -> Result<(Name, Position), Corrupt> {
    let BookmarkV1 { term, number } = decode(key, value)?;
    let name = key.strip_prefix(bookmarks_key().as_slice()).and_then(|name| std::str::from_utf8(name).ok());
    let name = Name::stored(name.ok_or(Corrupt::Key)?).map_err(|_| Corrupt::Key)?;
    Ok((name, Position { term, number }))
}

/// The row that says that a store holds the commits up to a head.
pub(crate) fn position(head: &Head) -> Result<RowChange, BackendError> {
    head_row(head_key(), head)
}

/// The head of the last commit that a store holds.
pub(crate) fn head(backend: &dyn Backend) -> Result<Head, OpenError> {
    Ok(read_head(backend, &head_key())?.unwrap_or_default())
}

/// The row that holds a head under a key.
fn head_row(key: Vec<u8>, head: &Head) -> Result<RowChange, BackendError> {
    let Head { position: Position { term, number }, digest: Digest(digest) } = *head;
    row(key, &HeadV2 { term, number, digest })
}

/// The head that [`head_row`] wrote, if there is one.
fn read_head(backend: &dyn Backend, key: &[u8]) -> Result<Option<Head>, OpenError> {
    let Some(value) = backend.get(key)? else { return Ok(None) };
    let HeadV2 { term, number, digest } = decode(key, &value).map_err(|why| OpenError::Corrupt(why.to_string()))?;
    Ok(Some(Head { position: Position { term, number }, digest: Digest(digest) }))
}

/// All commits that a backend lacks: those of the journal after its head, oldest first, each given to `take`. Gives the last
/// head.
pub(crate) fn catch_up(
    backend: &dyn Backend,
    journal: &dyn Journal,
    mut take: impl FnMut(Commit) -> Result<(), OpenError>,
) -> Result<Head, OpenError> {
    let mut head = head(backend)?;
    for commit in commits_after(journal, head, READ_AT_ONCE) {
        match commit {
            Ok(commit) => {
                head = commit.head;
                take(commit)?;
            }
            Err(Gap::Storage(why)) => return Err(why.into()),
            Err(Gap::Forgotten | Gap::Elsewhere) => {
                let last = journal.last()?;
                return Err(OpenError::Lost { found: head.position, known: last.position });
            }
        }
    }
    Ok(head)
}

/// Marks a store that is being written as a whole, so that an incomplete one is not taken for a store.
pub(crate) fn begin(backend: &dyn Backend) -> Result<(), OpenError> {
    put(backend, unfinished_key(), &FormatV1 { format: FORMAT })
}

/// What is made of rows that were written as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// A store of this format.
    Store,
    /// A store of an older format, of whose rows the store is a copy.
    Older(u32),
    /// The copy with which an incremental backup begins.
    Backup,
}

/// Ends what [`begin`] began: removes the mark and writes the head and the format, after which the store can be opened, or the
/// backup restored.
pub(crate) fn finish(backend: &dyn Backend, head: &Head, made: Made) -> Result<(), OpenError> {
    let format = if let Made::Older(format) = made { format } else { FORMAT };
    let mut rows = Batch::from([(unfinished_key(), None), position(head)?, row(format_key(), &FormatV1 { format })?]);
    if made == Made::Backup {
        rows.extend([row(backup_key(), &FormatV1 { format })?]);
    }
    backend.apply(&rows)?;
    Ok(backend.make_durable()?)
}

/// Ends what [`begin`] began with a copy of a shared store, which is at a head.
pub(crate) fn finish_copy(backend: &dyn Backend, head: &Head, identity: &[u8; 16]) -> Result<(), BackendError> {
    let of = row(copy_key(), &CopyV1 { identity: *identity })?;
    backend.apply(&Batch::from([(unfinished_key(), None), position(head)?, of]))?;
    backend.make_durable()
}

/// The identity of the shared store of which a backend holds a copy; `None` when it holds none.
pub(crate) fn copy_of(backend: &dyn Backend) -> Result<Option<[u8; 16]>, OpenError> {
    let key = copy_key();
    let Some(value) = backend.get(&key)? else { return Ok(None) };
    let CopyV1 { identity } = decode(&key, &value).map_err(|why| OpenError::Corrupt(why.to_string()))?;
    Ok(Some(identity))
}

/// Whether a store that was being written as a whole was never finished.
pub(crate) fn is_unfinished(backend: &dyn Backend) -> Result<bool, OpenError> {
    Ok(backend.get(&unfinished_key())?.is_some())
}

/// Whether a copy holds a store of the present format, whose upgrade is complete.
pub(crate) fn is_present(backend: &dyn Backend) -> Result<bool, OpenError> {
    Ok(format(backend)? == Some(FORMAT) && backend.get(&upgrading_key())?.is_none())
}

/// As [`is_present`], of rows that may be newer than this version.
pub(crate) fn is_present_in(read: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    shown(&read) == FORMAT && read(&upgrading_key()).is_none()
}

/// Looks at the format of a store that is only read; [`OpenError::NotAStore`] when there is none.
pub(crate) fn known(backend: &dyn Backend) -> Result<Found, OpenError> {
    match look(backend, true)? {
        Found::New => Err(OpenError::NotAStore),
        found => Ok(found),
    }
}

/// The format of an incremental backup, or of a store that is to be restored from; and which of them it is.
pub(crate) fn restorable(backend: &dyn Backend) -> Result<(u32, Copied), OpenError> {
    let format = format(backend)?.ok_or(OpenError::NotAStore)?;
    if backend.get(&upgrading_key())?.is_some() {
        return Err(OpenError::Unfinished);
    }
    let copied = match backend.get(&backup_key())? {
        Some(_) => Copied::Increments,
        None if format >= JOURNAL_SINCE => Copied::Store,
        None => return Err(OpenError::OlderFormat { found: format, known: FORMAT }),
    };
    Ok((format, copied))
}

/// What a store is restored from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copied {
    /// An incremental backup.
    Increments,
    /// A store that an engine may have worked with.
    Store,
}

/// The format of a store, which this version can read; `None` when there is no row of it.
fn format(backend: &dyn Backend) -> Result<Option<u32>, OpenError> {
    if backend.get(&unfinished_key())?.is_some() {
        return Err(OpenError::Unfinished);
    }
    let key = format_key();
    let Some(value) = backend.get(&key)? else { return Ok(None) };
    let found = decode::<FormatV1>(&key, &value).map_err(|_| OpenError::NotAStore)?.format;
    if found > FORMAT {
        return Err(OpenError::NewerFormat { found, known: FORMAT });
    }
    Ok(Some(found))
}

/// The first row of a backend, apart from some.
fn first_row(backend: &dyn Backend, apart_from: &[Vec<u8>]) -> Result<Option<Vec<u8>>, BackendError> {
    let mut keys = backend.scan(&[], &[0xFF]).map(|pair| pair.map(|(key, _)| key));
    keys.find(|key| !key.as_ref().is_ok_and(|key| apart_from.contains(key))).transpose()
}

/// What a backend is to this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It holds nothing.
    New,
    /// A store of an older format, and whether that one has a journal beside it already.
    Older { journal: bool },
    /// A store of this format that is complete, or whose upgrade to it is not.
    Present { upgrading: bool },
}

impl Found {
    /// Whether there is a journal beside it.
    pub(crate) const fn has_journal(self) -> bool {
        matches!(self, Self::Present { .. } | Self::Older { journal: true })
    }
}

/// Looks at the format of a backend, and refuses what cannot be opened.
pub(crate) fn look(backend: &dyn Backend, upgrades: bool) -> Result<Found, OpenError> {
    if backend.get(&backup_key())?.is_some() {
        return Err(OpenError::IncrementalBackup);
    }
    if copy_of(backend)?.is_some() {
        return Err(OpenError::SharedCopy);
    }
    found(backend, upgrades, &[])
}

/// As [`look`], at the copy of a shared store.
pub(crate) fn look_at_copy(backend: &dyn Backend, upgrades: bool) -> Result<Found, OpenError> {
    found(backend, upgrades, &[copy_key(), head_key(), incoming_key()])
}

/// What a backend is, apart from some marks.
fn found(backend: &dyn Backend, upgrades: bool, apart_from: &[Vec<u8>]) -> Result<Found, OpenError> {
    let found = match format(backend)? {
        Some(FORMAT) => Found::Present { upgrading: backend.get(&upgrading_key())?.is_some() },
        Some(older) => Found::Older { journal: older >= JOURNAL_SINCE },
        None => match first_row(backend, apart_from)? {
            Some(_) => return Err(OpenError::NotAStore),
            None => Found::New,
        },
    };
    match found {
        Found::Older { .. } | Found::Present { upgrading: true } if !upgrades => {
            Err(OpenError::OlderFormat { found: format(backend)?.unwrap_or(0), known: FORMAT })
        }
        found => Ok(found),
    }
}

/// Makes an empty backend a store, and a store of an older format one of this.
///
/// Formats add tables and new versions of records (`FORMAT.md` lists them). Older records are read in their version, and
/// written in the newest when they change. The rows of removed tables are dropped, and those of new indexes are written; an
/// upgrade that was interrupted is finished at the next opening.
pub(crate) fn prepare(
    found: Found,
    backend: &dyn Backend,
    journal: &dyn Journal,
    at: Timestamp,
) -> Result<(), OpenError> {
    match found {
        Found::New => write(backend),
        found => prepare_shared(found, backend, journal, 0, at),
    }
}

/// As [`prepare`], where everything that is written is a commit of a term, also the making of a new store.
pub(crate) fn prepare_shared(
    found: Found,
    backend: &dyn Backend,
    journal: &dyn Journal,
    term: u64,
    at: Timestamp,
) -> Result<(), OpenError> {
    if matches!(found, Found::Present { upgrading: false }) {
        return Ok(());
    }
    let mut door = Door::open(backend, journal, term, at)?;
    if found == Found::New {
        return door.commit(Batch::from([row(format_key(), &FormatV1 { format: FORMAT })?]));
    }
    if matches!(found, Found::Older { .. }) {
        // The format is marked before any row changes, so that no older version opens a store that is half upgraded.
        let mark = |key: Vec<u8>| row(key, &FormatV1 { format: FORMAT });
        door.commit(Batch::from([mark(format_key())?, mark(upgrading_key())?]))?;
    }
    upgrade(&mut door)
}

/// The one way by which an upgrade writes: each of its steps is a commit, in the journal first and then in the backend.
struct Door<'a> {
    backend: &'a dyn Backend,
    journal: &'a dyn Journal,
    term: u64,
    at: Timestamp,
    head: Head,
}

impl<'a> Door<'a> {
    /// Brings the backend up to date first.
    fn open(backend: &'a dyn Backend, journal: &'a dyn Journal, term: u64, at: Timestamp) -> Result<Self, OpenError> {
        let head = catch_up(backend, journal, |commit| {
            Ok(backend.apply(&commit.rows.owned().chain([position(&commit.head)?]).collect())?)
        })?;
        backend.make_durable()?;
        Ok(Self { backend, journal, term: term.max(head.position.term), at, head })
    }

    fn commit(&mut self, mut rows: Batch) -> Result<(), OpenError> {
        let failed = |why: &str| BackendError::new("upgrading the store", why);
        let appended = Rows::of(&rows).ok_or_else(|| failed("a row is too long"))?;
        let appended = self.journal.append(self.term, &self.head, self.at, &appended);
        self.head = appended.map_err(|why| failed(&why.to_string()))?;
        rows.extend([position(&self.head)?]);
        self.backend.apply(&rows)?;
        // The journal keeps it: the engine, which knows who has read what, has it forgotten.
        Ok(self.backend.make_durable()?)
    }
}

/// Writes the rows of new indexes, drops those of removed tables, and removes the mark of the upgrade.
fn upgrade(door: &mut Door<'_>) -> Result<(), OpenError> {
    for (table, _) in INDEXED {
        let mut next = Some(table.key(&[]));
        while let Some(start) = next {
            let (rows, go_on) = index_of(door.backend, table, &start, CHUNK)?;
            if !rows.is_empty() {
                door.commit(Batch { rows })?;
            }
            next = go_on;
        }
    }
    for tag in GONE {
        loop {
            let rows = door.backend.scan(&[tag], &end_of(&[tag])).take(CHUNK);
            let rows = rows.map(|pair| pair.map(|(key, _)| (key, None))).collect::<Result<Batch, _>>()?;
            if rows.is_empty() {
                break;
            }
            door.commit(rows)?;
        }
    }
    door.commit(Batch::from([(upgrading_key(), None)]))
}

fn write(backend: &dyn Backend) -> Result<(), OpenError> {
    put(backend, format_key(), &FormatV1 { format: FORMAT })
}

fn row<T: Stored>(key: Vec<u8>, record: &T) -> Result<(Vec<u8>, Option<Vec<u8>>), BackendError> {
    let value = encode(&key, record).map_err(|why| BackendError::new("writing the format", why.to_string()))?;
    Ok((key, Some(value)))
}

fn put<T: Stored>(backend: &dyn Backend, key: Vec<u8>, record: &T) -> Result<(), OpenError> {
    backend.apply(&Batch::from([row(key, record)?]))?;
    backend.make_durable()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;
    use crate::journal::MemoryJournal;
    use crate::rooms::{Entity, Rows};
    use dogwatch_core::api_key::ApiKey;
    use dogwatch_core::id::ApiKeyId;
    use dogwatch_core::id::Id;
    use dogwatch_core::secret::SecretHash;
    use dogwatch_core::text::Name;
    use dogwatch_core::{OrgId, UserId};
    use std::sync::atomic::Ordering::Relaxed;

    fn put(backend: &MemoryBackend, key: &[u8], value: Vec<u8>) {
        backend.apply(&Batch::from([(key.to_vec(), Some(value))])).unwrap();
    }

    /// Opens a backend as an engine does, with the journal that was there, if there was one.
    fn opened(backend: &dyn Backend, journal: &mut Option<MemoryJournal>) -> Result<(), OpenError> {
        let found = look(backend, true)?;
        let new = MemoryJournal::after(head(backend)?);
        let kept = journal.take().filter(|_| found.has_journal());
        let journal = journal.insert(kept.unwrap_or(new));
        prepare(found, backend, journal, Timestamp::MIN)
    }

    fn check(backend: &dyn Backend) -> Result<(), OpenError> {
        opened(backend, &mut None)
    }

    #[test]
    fn an_empty_store_becomes_one_and_stays_one() {
        let backend = MemoryBackend::new();
        check(&backend).unwrap();
        check(&backend).unwrap();
    }

    #[test]
    fn foreign_data_is_refused() {
        let backend = MemoryBackend::new();
        put(&backend, b"hello", b"world".to_vec());
        assert!(matches!(check(&backend), Err(OpenError::NotAStore)));
    }

    #[test]
    fn an_older_format_becomes_this_one() {
        let backend = MemoryBackend::new();
        let key = format_key();
        put(&backend, &key, encode(&key, &FormatV1 { format: 1 }).unwrap());
        check(&backend).unwrap();
        let found: FormatV1 = decode(&key, &backend.get(&key).unwrap().unwrap()).unwrap();
        assert_eq!(found.format, FORMAT);
    }

    /// A backend that fails once it has applied `left` batches.
    struct Failing {
        inner: MemoryBackend,
        left: std::sync::atomic::AtomicUsize,
    }

    impl Backend for Failing {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
            self.inner.get(key)
        }
        fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> crate::backend::Scan<'a> {
            self.inner.scan(start, end)
        }
        fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
            let took = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            took.map_err(|_| BackendError::new("applying a batch", "the power is gone"))?;
            self.inner.apply(batch)
        }
        fn make_durable(&self) -> Result<(), BackendError> {
            self.inner.make_durable()
        }
    }

    /// Wherever an upgrade is interrupted, the next opening keeps all other rows, and drops all of the removed tables.
    #[test]
    fn tables_that_are_no_more_are_dropped() {
        for batches in 0.. {
            let inner = MemoryBackend::new();
            put(&inner, &format_key(), encode(&format_key(), &FormatV1 { format: 3 }).unwrap());
            let numbers = 0..2 * u16::try_from(CHUNK).unwrap();
            for (tag, number) in [b'S', b'V', b'X'].into_iter().flat_map(|tag| numbers.clone().map(move |n| (tag, n))) {
                put(&inner, &[&[tag][..], &number.to_be_bytes()].concat(), Vec::new());
            }
            assert!(may_hold_gone(|key| inner.get(key).unwrap()));
            let failing = Failing { inner: inner.clone(), left: batches.into() };
            let mut journal = None;
            let done = opened(&failing, &mut journal).is_ok();
            let left = |tag: u8| inner.scan(&[tag], &[tag + 1]).count();
            assert_eq!(may_hold_gone(|key| inner.get(key).unwrap()), !done, "after {batches} batches");
            opened(&inner, &mut journal).unwrap();
            assert_eq!((left(b'S'), left(b'V'), left(b'X')), (0, 0, numbers.len()), "after {batches} batches");
            assert!(!may_hold_gone(|key| inner.get(key).unwrap()));
            if done {
                assert_eq!(batches, 6, "one to begin, two for each table, one to end");
                return;
            }
        }
    }

    fn api_key(number: u16) -> ApiKey {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        ApiKey {
            id: ApiKeyId::from_bytes(*bytes.first_chunk().unwrap()),
            org_id: OrgId::from_bytes([1; 16]),
            user_id: UserId::from_bytes([2; 16]),
            name: Name::stored("a key").unwrap(),
            created_at: Timestamp::MIN,
            expires_at: None,
            last_four: "abcd".to_owned(),
            hash: SecretHash::from_bytes(bytes),
        }
    }

    /// Wherever an upgrade is interrupted, the next opening ends with an index row for each key; and a store that is only read
    /// shows all of them before.
    #[test]
    fn keys_of_older_formats_are_indexed_by_user() {
        let many = u16::try_from(CHUNK).unwrap() + 10;
        let index = Table::API_KEY_BY_USER.key(&[]);
        for batches in 0.. {
            let inner = MemoryBackend::new();
            put(&inner, &format_key(), encode(&format_key(), &FormatV1 { format: 5 }).unwrap());
            for number in 0..many {
                let mut rows = Rows::default();
                api_key(number).rows(&mut rows).unwrap();
                let older = rows.into_pairs().filter(|(key, _)| Table::of_key(key) != Some(Table::API_KEY_BY_USER));
                inner.apply(&older.map(|(key, value)| (key, Some(value))).collect::<Batch>()).unwrap();
            }
            let failing = Failing { inner: inner.clone(), left: batches.into() };
            let mut journal = None;
            let done = opened(&failing, &mut journal).is_ok();
            assert_eq!(lacking(&inner).unwrap().len(), if done { 0 } else { many.into() }, "after {batches} batches");
            opened(&inner, &mut journal).unwrap();
            assert_eq!(inner.scan(&index, &end_of(&index)).count(), usize::from(many), "after {batches} batches");
            if done {
                assert_eq!(batches, 4, "one to begin, two of keys, one to end");
                return;
            }
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let backend = MemoryBackend::new();
        let key = format_key();
        let value = encode(&key, &FormatV1 { format: FORMAT + 1 }).unwrap();
        put(&backend, &key, value);
        let error = check(&backend).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the store has format {}, but this version knows formats up to {FORMAT}; use a newer version",
                FORMAT + 1
            )
        );
    }

    #[test]
    fn a_damaged_format_is_not_taken_for_an_empty_store() {
        let backend = MemoryBackend::new();
        check(&backend).unwrap();
        put(&backend, &format_key(), vec![1, 2, 3]);
        assert!(matches!(check(&backend), Err(OpenError::NotAStore)));
    }
}
