//! All rows out of the database, for the copy of a server, and all rows into it, when a store in a folder is pushed.
//!
//! The rows pass between the connection's thread and the caller in parts, of which few are on their way at once.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use dogwatch_store::backend::{BackendError, Pair};
use dogwatch_store::cluster::FillError;
use dogwatch_store::journal::Head;
use futures_util::{StreamExt, pin_mut};
use tokio::time::timeout;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, IsolationLevel};

use crate::journal::{self, columns};
use crate::line::{Failed, Line};
use crate::sql;

/// The rows of a part, and how many parts are on their way.
const PART: usize = 1_000;
const PARTS: usize = 4;
/// How long one row may be waited for.
const ROW: Duration = Duration::from_secs(30);
/// How long it may take as a whole.
const ALL: Duration = Duration::from_secs(3_600);

/// A part of all rows, or their end: the head, or why there is none.
enum Part {
    Rows(Vec<Pair>),
    End(Result<Head, Failed>),
}

/// Gives all rows of one moment.
pub(crate) fn copy(line: &Line, take: &mut dyn FnMut(Pair) -> Result<(), BackendError>) -> Result<Head, BackendError> {
    const DOING: &str = "copying all rows";
    let (parts, coming) = mpsc::sync_channel(PARTS);
    line.hand_in(move |link| {
        let done = link.run(ALL, async |client| read_all(client, &parts).await);
        drop(parts.send(Part::End(done)));
    })
    .map_err(|why| why.doing(DOING))?;
    for part in coming {
        match part {
            Part::Rows(rows) => rows.into_iter().try_for_each(&mut *take)?,
            Part::End(done) => return done.map_err(|why| why.doing(DOING)),
        }
    }
    Err(Failed::Ended.doing(DOING))
}

async fn read_all(client: &mut Client, parts: &SyncSender<Part>) -> Result<Head, Failed> {
    let reading =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
    let head = journal::head(&reading.query_one(sql::LAST, &[]).await?, 0)?;
    let rows = reading.query_raw(sql::ROWS, std::iter::empty::<i32>()).await?;
    pin_mut!(rows);
    let mut part = Vec::with_capacity(PART);
    while let Some(row) = timeout(ROW, rows.next()).await.map_err(|_| Failed::Late(ROW))? {
        let row = row?;
        part.push((row.try_get::<_, Vec<u8>>(0)?, row.try_get::<_, Vec<u8>>(1)?));
        if part.len() == PART {
            // The caller does not want more.
            parts.send(Part::Rows(std::mem::take(&mut part))).map_err(|_| Failed::Ended)?;
        }
    }
    parts.send(Part::Rows(part)).map_err(|_| Failed::Ended)?;
    Ok(head)
}

/// Fills a store that has nothing in it.
pub(crate) fn fill(
    line: &Line,
    head: &Head,
    rows: &mut dyn Iterator<Item = Result<Pair, BackendError>>,
) -> Result<(), FillError> {
    const DOING: &str = "filling the store";
    let (parts, coming) = mpsc::sync_channel(PARTS);
    let (answer, answered) = mpsc::channel();
    let head = *head;
    line.hand_in(move |link| {
        let done = link.run(ALL, async |client| write_all(client, &head, coming).await);
        drop(answer.send(done));
    })
    .map_err(|why| why.doing(DOING))?;
    let mut part = Vec::with_capacity(PART);
    for pair in rows {
        match pair {
            Ok(pair) => part.push(pair),
            Err(why) => {
                // Whoever writes finds no end, and takes back what was written.
                drop(parts);
                let _ = answered.recv();
                return Err(why.into());
            }
        }
        // When nobody takes it, the answer says why.
        if part.len() == PART && parts.send(Some(std::mem::take(&mut part))).is_err() {
            break;
        }
    }
    drop(parts.send(Some(part)));
    drop(parts.send(None));
    match answered.recv().unwrap_or(Err(Failed::Ended)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(FillError::NotEmpty),
        Err(why) => Err(why.doing(DOING).into()),
    }
}

/// Writes all parts up to `None`; `false` when there is something already.
async fn write_all(client: &mut Client, head: &Head, parts: Receiver<Option<Vec<Pair>>>) -> Result<bool, Failed> {
    let writing = client.transaction().await?;
    if !writing.query_one(sql::IS_EMPTY, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(false);
    }
    let sink = writing.copy_in(sql::COPY_IN).await?;
    let writer = BinaryCopyInWriter::new(sink, &[Type::BYTEA, Type::BYTEA]);
    pin_mut!(writer);
    loop {
        match parts.recv() {
            Ok(Some(rows)) => {
                for (key, value) in &rows {
                    timeout(ROW, writer.as_mut().write(&[key, value])).await.map_err(|_| Failed::Late(ROW))??;
                }
            }
            Ok(None) => break,
            Err(_) => return Err(Failed::Ended),
        }
    }
    writer.finish().await?;
    let (number, term, digest) = columns(head);
    writing.execute(sql::FILLED, &[&number, &term, &&digest[..]]).await?;
    writing.commit().await?;
    Ok(true)
}
