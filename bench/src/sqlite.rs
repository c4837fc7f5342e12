//! SQLite inside the program: a connection for each caller, WAL, `synchronous=FULL`. Who writes holds a lock of the
//! program's own: SQLite lets one write at a time, and its own waiting sleeps.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::sql::{self, ORG, POLICY, ROTATION, SCHEDULE, USER, fresh, now, soon};
use super::{Failure, Id, Session, Subject, rota};

pub(crate) struct Sqlite {
    path: PathBuf,
    writing: Mutex<()>,
}

fn connect(path: &Path) -> Result<Connection, Failure> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(60))?;
    connection.execute_batch("pragma journal_mode = wal; pragma synchronous = full; pragma cache_size = -65536;")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

impl Sqlite {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let connection = connect(path)?;
        connection.execute_batch(&sql::TABLES.replace("BYTES", "blob"))?;
        connection.execute("insert into organization values (?1, 0)", params![ORG])?;
        connection.execute("insert into member values (?1, ?2, 1, null)", params![ORG, USER])?;
        for position in 1..=3 {
            connection.execute(sql::ADD_LAYER, params![ORG, POLICY, position, [6_u8; 16], USER])?;
        }
        connection.execute(sql::ADD_SCHEDULE, params![ORG, SCHEDULE, rota::ZONE])?;
        connection.execute(sql::ADD_ROTATION, params![ORG, SCHEDULE, ROTATION])?;
        for position in 0..rota::PARTICIPANTS as i64 {
            connection.execute(sql::ADD_PARTICIPANT, params![ORG, ROTATION, position, fresh()])?;
        }
        for day in 1..=2 {
            let starts = now() + day * 86_400_000;
            connection
                .execute(sql::ADD_REPLACEMENT, params![ORG, SCHEDULE, fresh(), USER, starts, starts + 3_600_000])?;
        }
        Ok(Self { path: path.to_path_buf(), writing: Mutex::new(()) })
    }

    fn caller(&self) -> Result<Caller<'_>, Failure> {
        Ok(Caller { connection: connect(&self.path)?, writing: &self.writing })
    }

    /// All in one transaction.
    fn bring_in(&self, count: usize, escalating: bool) -> Result<Vec<Id>, Failure> {
        self.caller()?.command(|on| {
            let add = |_| {
                let id = insert(on)?;
                if escalating {
                    on.prepare_cached("insert into run values (?1, ?2, ?3, 1, ?4)")?.execute(params![
                        ORG,
                        id,
                        POLICY,
                        now() + 300_000
                    ])?;
                    audit(on, id, "layer_paged", "1")?;
                    on.prepare_cached(sql::NOTIFY)?.execute(params![ORG, fresh(), USER, id, [6_u8; 16], now()])?;
                }
                Ok(id)
            };
            (0..count).map(add).collect()
        })
    }
}

impl Subject for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn session(&self) -> Result<Box<dyn Session + Send + '_>, Failure> {
        Ok(Box::new(self.caller()?))
    }

    fn fill(&self, count: usize) -> Result<Vec<Id>, Failure> {
        self.bring_in(count, false)
    }

    fn escalate(&self, count: usize) -> Result<(), Failure> {
        self.bring_in(count, true).map(drop)
    }
}

struct Caller<'a> {
    connection: Connection,
    writing: &'a Mutex<()>,
}

impl Caller<'_> {
    /// A command: who acts is a member, what it changes is one transaction.
    fn command<R>(&mut self, change: impl FnOnce(&Connection) -> Result<R, Failure>) -> Result<R, Failure> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.prepare_cached(sql::MEMBER)?.query_row(params![ORG, USER], |row| row.get::<_, i64>(0))?;
        let reply = change(&transaction)?;
        transaction.commit()?;
        Ok(reply)
    }
}

/// A new incident.
fn insert(on: &Connection) -> Result<Id, Failure> {
    let id = fresh();
    on.prepare_cached(sql::MEMBER)?.query_row(params![ORG, USER], |row| row.get::<_, i64>(0))?;
    let number: i64 = on.prepare_cached(sql::COUNT)?.query_row(params![ORG], |row| row.get(0))?;
    let now = now();
    on.prepare_cached(sql::INSERT)?.execute(params![ORG, id, number, sql::TITLE, sql::DESCRIPTION, USER, now])?;
    on.prepare_cached(sql::STEP)?.execute(params![ORG, id, fresh(), 1, now, None::<Id>])?;
    audit(on, id, "incident_created", "high")?;
    Ok(id)
}

fn audit(on: &Connection, incident: Id, event: &str, details: &str) -> Result<(), Failure> {
    on.prepare_cached(sql::AUDIT)?.execute(params![ORG, incident, fresh(), USER, event, details])?;
    Ok(())
}

fn look(on: &Connection, incident: Id) -> Result<(i64, Option<i64>), Failure> {
    let found = on.prepare_cached(sql::LOOK)?.query_row(params![ORG, incident], |row| Ok((row.get(0)?, row.get(1)?)));
    found.optional()?.ok_or_else(|| "not found".into())
}

impl Session for Caller<'_> {
    fn create(&mut self) -> Result<Id, Failure> {
        self.command(insert)
    }

    fn change_status(&mut self, incident: Id) -> Result<(), Failure> {
        self.command(|on| {
            if look(on, incident)?.0 != 1 {
                return Err("invalid_status_transition".into());
            }
            let (update, now) = (fresh(), now());
            on.prepare_cached(sql::MOVE)?.execute(params![ORG, incident, 2, now])?;
            on.prepare_cached(sql::STEP)?.execute(params![ORG, incident, fresh(), 2, now, update])?;
            on.prepare_cached(sql::POST)?.execute(params![ORG, incident, update, None::<String>, 2, USER])?;
            audit(on, incident, "status_changed", "1 2")?;
            audit(on, incident, "update_posted", "internal")
        })
    }

    fn post_update(&mut self, incident: Id) -> Result<(), Failure> {
        self.command(|on| {
            if look(on, incident)?.0 == 4 {
                return Err("incident_resolved".into());
            }
            on.prepare_cached(sql::POST)?.execute(params![ORG, incident, fresh(), sql::UPDATE, None::<i64>, USER])?;
            on.prepare_cached(sql::TOUCH)?.execute(params![ORG, incident, now()])?;
            audit(on, incident, "update_posted", "internal")
        })
    }

    fn acknowledge(&mut self, incident: Id) -> Result<(), Failure> {
        self.command(|on| {
            if look(on, incident)?.1.is_none() {
                on.prepare_cached(sql::ACKNOWLEDGE)?.execute(params![ORG, incident, now(), USER])?;
                audit(on, incident, "incident_acknowledged", "")?;
            }
            Ok(())
        })
    }

    fn get(&mut self, incident: Id) -> Result<usize, Failure> {
        // One read transaction, so that all of it is of one moment.
        let transaction = self.connection.transaction()?;
        transaction.prepare_cached(sql::MEMBER)?.query_row(params![ORG, USER], |row| row.get::<_, i64>(0))?;
        let key = params![ORG, incident];
        transaction.prepare_cached(&sql::one())?.query_row(key, incident_row)?;
        let mut history = transaction.prepare_cached(sql::HISTORY)?;
        let steps =
            history.query_map(key, |row| Ok((row.get::<_, Id>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))?;
        let steps = steps.collect::<Result<Vec<_>, _>>()?.len();
        let mut trail = transaction.prepare_cached(sql::TRAIL)?;
        let event = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, Id>(0)?, row.get::<_, Option<Id>>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
        };
        let events = trail.query_map(key, event)?.collect::<Result<Vec<_>, _>>()?.len();
        Ok(steps + events)
    }

    fn page(&mut self, investigating: bool) -> Result<usize, Failure> {
        let transaction = self.connection.transaction()?;
        transaction.prepare_cached(sql::MEMBER)?.query_row(params![ORG, USER], |row| row.get::<_, i64>(0))?;
        let found = if investigating {
            let mut list = transaction.prepare_cached(&sql::newest_of_status())?;
            list.query_map(params![ORG, 1], incident_row)?.collect::<Result<Vec<_>, _>>()?
        } else {
            let mut list = transaction.prepare_cached(&sql::newest())?;
            list.query_map(params![ORG], incident_row)?.collect::<Result<Vec<_>, _>>()?
        };
        Ok(found.len().min(20))
    }

    fn on_call(&mut self) -> Result<bool, Failure> {
        let transaction = self.connection.transaction()?;
        transaction.prepare_cached(sql::MEMBER)?.query_row(params![ORG, USER], |row| row.get::<_, i64>(0))?;
        let now = now();
        let mut replaced = transaction.prepare_cached(sql::REPLACED)?;
        if replaced.query_row(params![ORG, SCHEDULE, now], |row| row.get::<_, Id>(0)).optional()?.is_some() {
            return Ok(true);
        }
        let mut rotations = transaction.prepare_cached(sql::ROTATIONS)?;
        let mut rotations = rotations.query(params![ORG, SCHEDULE])?;
        while let Some(row) = rotations.next()? {
            let (zone, rotation, days): (String, Id, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let mut participants = transaction.prepare_cached(sql::PARTICIPANTS)?;
            let users = participants.query_map(params![ORG, rotation], |row| row.get::<_, Id>(0))?;
            let users = users.collect::<Result<Vec<_>, _>>()?;
            if users.get(rota::turn(&zone, days, users.len(), now)?).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn tick(&mut self) -> Result<usize, Failure> {
        self.command(|on| {
            let now = soon();
            let mut due = on.prepare_cached(sql::DUE)?;
            let one = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
            let due: Vec<(Id, Id, i64, Id, i64)> = due.query_map(params![now], one)?.collect::<Result<_, _>>()?;
            for (incident, layer, position, user, timeout) in &due {
                on.prepare_cached(sql::GO_ON)?.execute(params![ORG, incident, position, now + timeout])?;
                audit(on, *incident, "layer_timed_out", "1")?;
                audit(on, *incident, "layer_paged", "2")?;
                on.prepare_cached(sql::NOTIFY)?.execute(params![ORG, fresh(), user, incident, layer, now])?;
            }
            Ok(due.len())
        })
    }
}

type Incident = (Id, i64, String, Option<String>, i64, i64, Option<Id>, Id, i64, Option<i64>, Option<Id>);

fn incident_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Incident> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
        row.get(7)?,
        row.get(8)?,
        row.get(9)?,
        row.get(10)?,
    ))
}
