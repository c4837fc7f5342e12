//! [`PostgresJournal`] as a journal that servers share: commits, reading on, the lease.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use dogwatch_store::backend::{BackendError, Pair};
use dogwatch_store::cluster::{Campaign, FillError, Leadership, Server, SharedJournal};
use dogwatch_store::journal::{AppendError, Commit, Digest, Head, Journal, Position, Reading, Rows};
use dogwatch_store::rules::Timestamp;
use tokio_postgres::{Client, Row};

use crate::line::Failed;
use crate::{PostgresJournal, STATEMENT, copy, sql};

/// How long it is waited before a commit is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// A number as PostgreSQL has it.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn natural(number: i64) -> Result<u64, Failed> {
    u64::try_from(number).map_err(|_| Failed::Odd("a number below zero"))
}

fn digest(bytes: &[u8]) -> Result<Digest, Failed> {
    bytes.try_into().map(Digest).map_err(|_| Failed::Odd("a digest of another length"))
}

/// The head in three columns of a row: number, term, digest.
pub(crate) fn head(row: &Row, first: usize) -> Result<Head, Failed> {
    let position =
        Position { number: natural(row.try_get(first)?)?, term: natural(row.try_get(first.saturating_add(1))?)? };
    Ok(Head { position, digest: digest(row.try_get(first.saturating_add(2))?)? })
}

/// A commit on its way.
struct Appending {
    term: u64,
    after: Head,
    at: Timestamp,
    rows: Rows,
    /// The head that it makes.
    head: Head,
    lease: i64,
}

impl Appending {
    /// Sends the commit; `false` when another one stands in its place, which may be itself.
    async fn send(&self, client: &Client) -> Result<bool, Failed> {
        let (mut gone, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in self.rows.iter() {
            match value {
                Some(value) => {
                    keys.push(key);
                    values.push(value);
                }
                None => gone.push(key),
            }
        }
        let statement = client.prepare(sql::COMMIT).await?;
        // The answer counts only when its end has come: rows are there before they are durable.
        let appended = client
            .query(
                &statement,
                &[
                    &number(self.term),
                    &&self.head.digest.0[..],
                    &number(self.after.position.number),
                    &&self.after.digest.0[..],
                    &number(self.after.position.term),
                    &self.at.as_millis(),
                    &self.rows.as_bytes(),
                    &gone,
                    &keys,
                    &values,
                    &self.lease,
                    &sql::KEPT,
                ],
            )
            .await?;
        Ok(!appended.is_empty())
    }

    /// Whether the commit is in the log, after a write that makes the log one to be believed.
    async fn is_there(&self, client: &Client) -> Result<bool, Failed> {
        client.execute(sql::TOUCH, &[]).await?;
        let found = client.query_opt(sql::DIGEST, &[&number(self.head.position.number)]).await?;
        match found {
            Some(row) => Ok(digest(row.try_get(0)?)? == self.head.digest),
            None => {
                let last = head(&client.query_one(sql::LAST, &[]).await?, 0)?;
                if last.position.number < self.head.position.number {
                    return Ok(false);
                }
                // It may have been there.
                Err(Failed::Odd("the log has forgotten the commit since"))
            }
        }
    }
}

impl PostgresJournal {
    fn name(&self) -> String {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Journal for PostgresJournal {
    fn last(&self) -> Result<Head, BackendError> {
        self.others.run("reading the head", async |client| head(&client.query_one(sql::LAST, &[]).await?, 0))
    }

    // The commit is idempotent: it is appended after exactly one head. So it may be sent again until it is known what became of it.
    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        let head = after.after(term, at, rows);
        let lease = self.lease.load(Ordering::Relaxed);
        let appending = Arc::new(Appending { term, after: *after, at, rows: rows.clone(), head, lease });
        let (began, mut open) = (Instant::now(), false);
        loop {
            let sent = Arc::clone(&appending);
            let tried = self.commits.call(move |link| {
                if link.run(STATEMENT, async |client| sent.send(client).await)? {
                    return Ok(true);
                }
                // Nobody but us makes a commit with this digest.
                link.run(STATEMENT, async |client| sent.is_there(client).await)
            });
            let why = match tried {
                Ok(true) => return Ok(head),
                Ok(false) => return Err(AppendError::Deposed),
                Err(why) => why,
            };
            open |= !why.did_nothing();
            if began.elapsed() >= self.patience || matches!(why, Failed::Ended) {
                let why = why.doing("appending a commit");
                return Err(if open { AppendError::Unknown(why) } else { AppendError::NotAppended(why) });
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        let (from, most) = (*from, i64::try_from(most.max(1)).unwrap_or(i64::MAX));
        self.others.run("reading commits", async move |client| {
            let statement = client.prepare(sql::AFTER).await?;
            let found = client.query(&statement, &[&number(from.position.number), &most, &sql::READ]).await?;
            reading(&from, &found)
        })
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        if position.number == 0 {
            // Nothing was before the first commit.
            let reaches = self.kept_for(position, position)?.is_some() && position.term == 0;
            return Ok(reaches.then(Head::default));
        }
        self.others.run("looking for a commit", async move |client| {
            let found = client.query_opt(sql::AT, &[&number(position.number), &number(position.term)]).await?;
            found.map(|row| Ok(Head { position, digest: digest(row.try_get(0)?)? })).transpose()
        })
    }

    /// The log forgets by itself.
    fn forget(&self, _: Position) -> Result<(), BackendError> {
        Ok(())
    }

    fn kept_for(&self, from: Position, _: Position) -> Result<Option<u64>, BackendError> {
        let asked = self.others.run("looking how far the log reaches", async move |client| {
            let reaches: bool = client.query_one(sql::REACHES, &[&number(from.number)]).await?.try_get(0)?;
            Ok(reaches.then_some(0))
        });
        // The log forgets by itself: while it cannot be asked, nobody's place in it is given up.
        Ok(asked.unwrap_or(Some(0)))
    }

    fn size(&self) -> Result<u64, BackendError> {
        // Whoever shows metrics does not wait for the database.
        Ok(u64::try_from(self.size.load(Ordering::Relaxed)).unwrap_or(0))
    }
}

/// What rows of [`sql::AFTER`] say to whoever reads on from a head.
fn reading(from: &Head, found: &[Row]) -> Result<Reading, Failed> {
    let first = found.first().ok_or(Failed::Odd("no head"))?;
    let last = head(first, 0)?;
    let Some(next) = first.try_get::<_, Option<i64>>(3)? else {
        let (here, there) = (from.position.number, last.position.number);
        return Ok(match here.cmp(&there) {
            std::cmp::Ordering::Equal if last == *from => Reading::Commits(Vec::new()),
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => Reading::Elsewhere,
            std::cmp::Ordering::Less => Reading::Forgotten,
        });
    };
    if natural(next)? > from.position.number.saturating_add(1) {
        return Ok(Reading::Forgotten);
    }
    let mut commits = Vec::with_capacity(found.len());
    let mut before = *from;
    for row in found {
        let made = head(row, 3)?;
        let follows = natural(row.try_get(6)?)? == before.position.term && digest(row.try_get(7)?)? == before.digest;
        if !follows {
            return Ok(Reading::Elsewhere);
        }
        let at = Timestamp::from_millis(row.try_get(8)?).ok_or(Failed::Odd("an instant out of range"))?;
        let rows =
            Rows::from_bytes(row.try_get::<_, &[u8]>(9)?.to_vec()).ok_or(Failed::Odd("rows that cannot be read"))?;
        commits.push(Commit { before, head: made, at, rows });
        before = made;
    }
    Ok(Reading::Commits(commits))
}

impl SharedJournal for PostgresJournal {
    fn identity(&self) -> Result<[u8; 16], BackendError> {
        Ok(self.identity)
    }

    fn leadership(&self) -> Result<Leadership, BackendError> {
        let (leadership, size) = self.others.run("asking who leads", async |client| {
            let statement = client.prepare(sql::LEADERSHIP).await?;
            let row = client.query_one(&statement, &[]).await?;
            let leader = row.try_get::<_, Option<String>>(4)?.zip(row.try_get::<_, Option<String>>(5)?);
            let now = Timestamp::from_millis(row.try_get(7)?).ok_or(Failed::Odd("an instant out of range"))?;
            let leadership = Leadership {
                head: head(&row, 0)?,
                term: natural(row.try_get(3)?)?,
                leader: leader.map(|(name, address)| Server { name, address }),
                left: Duration::from_millis(natural(row.try_get(6)?)?),
                now,
            };
            Ok((leadership, row.try_get::<_, i64>(8)?))
        })?;
        self.size.store(size, Ordering::Relaxed);
        Ok(leadership)
    }

    fn campaign(&self, server: &Server, seen: u64, lease: Duration) -> Result<Campaign, BackendError> {
        let (server, for_millis) = (server.clone(), millis(lease));
        let name = server.name.clone();
        let won = self.others.run("campaigning", async move |client| {
            let row =
                client.query_opt(sql::CAMPAIGN, &[&number(seen), &server.name, &server.address, &for_millis]).await?;
            let Some(row) = row else { return Ok(Campaign::Lost) };
            Ok(Campaign::Won { term: natural(row.try_get(0)?)?, head: head(&row, 1)? })
        })?;
        if matches!(won, Campaign::Won { .. }) {
            self.lease.store(for_millis, Ordering::Relaxed);
            *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name;
        }
        Ok(won)
    }

    // A term is told by its number and its leader: after a loss, the database may count to the same number again.
    fn renew(&self, term: u64, lease: Duration) -> Result<Option<Head>, BackendError> {
        let name = self.name();
        let renewed = self.others.run("renewing the lease", async move |client| {
            let statement = client.prepare(sql::RENEW).await?;
            let Some(row) = client.query_opt(&statement, &[&number(term), &millis(lease), &name]).await? else {
                return Ok(None);
            };
            client.execute(sql::TRIM, &[&sql::KEPT_BYTES]).await?;
            Ok(Some((head(&row, 0)?, row.try_get::<_, i64>(3)?)))
        })?;
        let Some((head, size)) = renewed else { return Ok(None) };
        self.size.store(size, Ordering::Relaxed);
        Ok(Some(head))
    }

    fn resign(&self, term: u64) -> Result<(), BackendError> {
        let name = self.name();
        self.others.run("resigning", async move |client| {
            client.execute(sql::RESIGN, &[&number(term), &name]).await?;
            Ok(())
        })
    }

    fn depose(&self) -> Result<(), BackendError> {
        self.others.run("ending the term", async |client| {
            client.execute(sql::DEPOSE, &[]).await?;
            Ok(())
        })
    }

    fn copy(&self, take: &mut dyn FnMut(Pair) -> Result<(), BackendError>) -> Result<Head, BackendError> {
        copy::copy(&self.others, take)
    }

    fn fill(&self, head: &Head, rows: &mut dyn Iterator<Item = Result<Pair, BackendError>>) -> Result<(), FillError> {
        copy::fill(&self.others, head, rows)
    }

    fn agree_on_key(&self, fingerprint: &[u8; 16]) -> Result<bool, BackendError> {
        let fingerprint = *fingerprint;
        self.others.run("agreeing on the master key", async move |client| {
            Ok(client.query_one(sql::KEY, &[&&fingerprint[..]]).await?.try_get(0)?)
        })
    }
}

/// The columns of a head.
pub(crate) fn columns(head: &Head) -> (i64, i64, [u8; 16]) {
    (number(head.position.number), number(head.position.term), head.digest.0)
}
