//! The tables, and the statements on them.
//!
//! `dogwatch_head` has one row: the end of history, and who may write. `dogwatch_log` has the last commits, `dogwatch_rows` all rows as they are
//! after the last. Whoever commits changes all three in one statement, which begins with the head: its row lock puts commits in order, and its
//! `WHERE` is looked at again after waiting for that lock, so `READ COMMITTED` is enough.

/// How many commits the log keeps. A server that was away for longer gets all rows anew.
pub(crate) const KEPT: i64 = 20_000;
/// How many bytes of them (1 GiB).
pub(crate) const KEPT_BYTES: i64 = 1 << 30;
/// The most commits that are read at once.
pub(crate) const READ: i64 = 1_000;

/// The arrangement of the tables that this version writes.
pub(crate) const LAYOUT: i32 = 1;

/// Whether the tables are there.
pub(crate) const ARE_THERE: &str = "SELECT to_regclass('dogwatch_head') IS NOT NULL";

/// Makes the tables, by one server at a time. A fill factor leaves room for the next version of a row beside it.
pub(crate) const MAKE: &str = "
    SELECT pg_advisory_xact_lock(8602173159048177);
    CREATE TABLE IF NOT EXISTS dogwatch_head (
        one      bool PRIMARY KEY DEFAULT true CHECK (one),
        layout   int NOT NULL,
        identity bytea NOT NULL,
        number   bigint NOT NULL DEFAULT 0,
        term     bigint NOT NULL DEFAULT 0,
        digest   bytea NOT NULL DEFAULT '\\x00000000000000000000000000000000',
        logged   bigint NOT NULL DEFAULT 0,
        epoch    bigint NOT NULL DEFAULT 0,
        leader   text,
        address  text,
        expires  timestamptz NOT NULL DEFAULT '-infinity',
        lease    bigint NOT NULL DEFAULT 0,
        key      bytea
    ) WITH (fillfactor = 10);
    CREATE TABLE IF NOT EXISTS dogwatch_log (
        number      bigint PRIMARY KEY,
        term        bigint NOT NULL,
        digest      bytea NOT NULL,
        before_term bigint NOT NULL,
        before      bytea NOT NULL,
        at          bigint NOT NULL,
        rows        bytea NOT NULL,
        logged      bigint NOT NULL
    );
    ALTER TABLE dogwatch_log ALTER rows SET STORAGE EXTERNAL;
    CREATE INDEX IF NOT EXISTS dogwatch_log_logged ON dogwatch_log (logged);
    CREATE TABLE IF NOT EXISTS dogwatch_rows (
        key   bytea PRIMARY KEY,
        value bytea NOT NULL
    ) WITH (fillfactor = 85)";

/// Puts the one row there: layout, identity.
pub(crate) const BEGIN: &str =
    "INSERT INTO dogwatch_head (layout, identity) VALUES ($1, $2) ON CONFLICT (one) DO NOTHING";

/// The layout and the identity.
pub(crate) const IDENTITY: &str = "SELECT layout, identity FROM dogwatch_head";

/// Appends a commit: term, digest, number before, digest before, term before, instant, rows, keys that are gone, keys that are put, their
/// values, milliseconds of the lease. One row when it is appended, none when another commit stands in its place, or another term has begun.
pub(crate) const COMMIT: &str = "
    WITH head AS (
        UPDATE dogwatch_head
        SET number = number + 1, term = $1, digest = $2, logged = logged + octet_length($7::bytea),
            expires = clock_timestamp() + $11::bigint * interval '1 millisecond', lease = $11
        WHERE epoch = $1 AND number = $3 AND digest = $4 AND leader IS NOT NULL
        RETURNING number, logged),
    log AS (
        INSERT INTO dogwatch_log (number, term, digest, before_term, before, at, rows, logged)
        SELECT number, $1, $2, $5, $4, $6, $7, logged FROM head),
    trimmed AS (
        DELETE FROM dogwatch_log WHERE number = $3 + 1 - $12::bigint AND EXISTS (SELECT FROM head)),
    gone AS (
        DELETE FROM dogwatch_rows WHERE key = ANY($8::bytea[]) AND EXISTS (SELECT FROM head)),
    put AS (
        INSERT INTO dogwatch_rows (key, value)
        SELECT changed.key, changed.value FROM head, unnest($9::bytea[], $10::bytea[]) AS changed(key, value)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value)
    SELECT number FROM head";

/// A write that changes nothing: what is read after it is not older than anything that was acknowledged before.
pub(crate) const TOUCH: &str = "UPDATE dogwatch_head SET one = one";

/// The digest of a commit, by its number.
pub(crate) const DIGEST: &str = "SELECT digest FROM dogwatch_log WHERE number = $1";

/// The last commit, who leads, and for how many milliseconds more; the present instant.
pub(crate) const LEADERSHIP: &str = "
    SELECT number, term, digest, epoch, leader, address,
           CASE WHEN expires > clock_timestamp()
                THEN ceil(extract(epoch FROM expires - clock_timestamp()) * 1000)::bigint ELSE 0 END,
           floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, pg_table_size('dogwatch_log')
    FROM dogwatch_head";

/// Begins a term, if that of `$1` is over: `$2` and `$3` lead, for `$4` milliseconds. A lease that would last for longer than it was given for is over, too:
/// the clock was set back.
pub(crate) const CAMPAIGN: &str = "
    UPDATE dogwatch_head
    SET epoch = epoch + 1, leader = $2, address = $3, expires = clock_timestamp() + $4::bigint * interval '1 millisecond', lease = $4
    WHERE epoch = $1 AND (expires <= clock_timestamp() OR expires > clock_timestamp() + (lease + 1000) * interval '1 millisecond')
    RETURNING epoch, number, term, digest";

/// Renews the lease of a term, and never begins one.
pub(crate) const RENEW: &str = "
    UPDATE dogwatch_head SET expires = clock_timestamp() + $2::bigint * interval '1 millisecond', lease = $2
    WHERE epoch = $1 AND leader = $3
    RETURNING number, term, digest, pg_table_size('dogwatch_log')";

/// Forgets commits beyond the bytes that are kept.
pub(crate) const TRIM: &str = "DELETE FROM dogwatch_log WHERE logged < (SELECT logged - $1::bigint FROM dogwatch_head)";

/// Ends the lease of a term.
pub(crate) const RESIGN: &str = "UPDATE dogwatch_head SET leader = NULL, address = NULL, expires = clock_timestamp() WHERE epoch = $1 AND leader = $2";

/// Ends the present term.
pub(crate) const DEPOSE: &str =
    "UPDATE dogwatch_head SET epoch = epoch + 1, leader = NULL, address = NULL, expires = clock_timestamp()";

/// The last commit, and the commits after `$1`: at most `$3` of them, and about `$2` bytes of rows.
pub(crate) const AFTER: &str = "
    SELECT head.number, head.term, head.digest,
           log.number, log.term, log.digest, log.before_term, log.before, log.at, log.rows
    FROM dogwatch_head AS head LEFT JOIN (
        SELECT *, sum(octet_length(rows)) OVER (ORDER BY number) - octet_length(rows) AS ahead
        FROM (SELECT * FROM dogwatch_log WHERE number > $1 ORDER BY number LIMIT $3) AS next
    ) AS log ON log.ahead < $2
    ORDER BY log.number";

/// The digest of the commit of a number and term, as far as the log or the head tells it.
pub(crate) const AT: &str = "
    SELECT digest FROM dogwatch_log WHERE number = $1 AND term = $2
    UNION ALL SELECT before FROM dogwatch_log WHERE number = $1::bigint + 1 AND before_term = $2
    UNION ALL SELECT digest FROM dogwatch_head WHERE number = $1 AND term = $2
    LIMIT 1";

/// Whether the commits after a number are all there.
pub(crate) const REACHES: &str = "
    SELECT coalesce((SELECT min(number) FROM dogwatch_log), head.number + 1) <= $1::bigint + 1 FROM dogwatch_head AS head";

/// The last commit.
pub(crate) const LAST: &str = "SELECT number, term, digest FROM dogwatch_head";

/// All rows.
pub(crate) const ROWS: &str = "SELECT key, value FROM dogwatch_rows ORDER BY key";

/// Locks the head of a store, and says whether there is nothing in it.
pub(crate) const IS_EMPTY: &str =
    "SELECT number = 0 AND NOT EXISTS (SELECT FROM dogwatch_rows) FROM dogwatch_head FOR UPDATE";

/// Takes in rows.
pub(crate) const COPY_IN: &str = "COPY dogwatch_rows (key, value) FROM STDIN (FORMAT binary)";

/// Says up to which commit the rows hold: number, term, digest.
pub(crate) const FILLED: &str =
    "UPDATE dogwatch_head SET number = $1, term = $2, digest = $3, epoch = greatest(epoch, $2)";

/// Notes the fingerprint of the master key, and says which it is.
pub(crate) const KEY: &str = "UPDATE dogwatch_head SET key = coalesce(key, $1) RETURNING key = $1";

/// What each session begins with. A commit that runs is never cut off: what became of it could then be told wrongly. One that waits for the row of the
/// head has done nothing yet; it gives up before its caller does, so that no connections pile up behind one that waits for a standby.
pub(crate) const SESSION: &str = "
    SET synchronous_commit = on;
    SET statement_timeout = 0;
    SET lock_timeout = '4s';
    SET idle_in_transaction_session_timeout = '60s';
    SET client_min_messages = warning";

/// Which standbys a commit waits for, and how many there are at present.
pub(crate) const SYNCHRONOUS: &str = "
    SELECT current_setting('synchronous_standby_names'),
           (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))";

/// The version of the server.
pub(crate) const VERSION: &str = "SELECT current_setting('server_version_num')::int";
