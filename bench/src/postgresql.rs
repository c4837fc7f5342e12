//! PostgreSQL on a Unix socket: a cluster of its own in a scratch folder, `fsync` on, a connection for each caller.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::ToSql;
use postgres::{Client, Config, NoTls, Row, Statement, Transaction};

use super::sql::{self, ORG, POLICY, ROTATION, SCHEDULE, USER, fresh, now, soon};
use super::{Failure, Id, Session, Subject, rota};

/// Where Debian puts the server, if it is not among the programs.
const FOLDERS: [&str; 3] = ["/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin"];
/// The user nobody: PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;

pub(crate) struct Postgres {
    server: Child,
    socket: PathBuf,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = FOLDERS.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|path| path.exists())
}

fn command(name: &str, user: Option<u32>) -> Result<Command, Failure> {
    let mut command = Command::new(program(name).ok_or(format!("there is no `{name}`: install Debian's postgresql"))?);
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    Ok(command)
}

impl Postgres {
    pub(crate) fn start(folder: &Path) -> Result<Self, Failure> {
        std::fs::create_dir(folder)?;
        let user = (std::fs::metadata(folder)?.uid() == 0).then_some(NOBODY);
        if let Some(user) = user {
            chown(folder, Some(user), Some(user))?;
            // Folders above belong to root, and let nobody through.
            for above in folder.ancestors().skip(1).filter(|above| above.starts_with(std::env::temp_dir())) {
                std::fs::set_permissions(above, std::os::unix::fs::PermissionsExt::from_mode(0o755)).ok();
            }
        }
        let data = folder.join("data");
        let mut create = command("initdb", user)?;
        create.args([OsStr::new("-D"), data.as_os_str()]).args(["-A", "trust", "-U", "bench"]);
        if !create.status()?.success() {
            return Err("`initdb` failed".into());
        }
        let socket = folder.to_path_buf();
        let server = command("postgres", user)?
            .args([OsStr::new("-D"), data.as_os_str(), OsStr::new("-k"), socket.as_os_str()])
            .args(["-c", "listen_addresses=", "-c", "max_connections=100", "-c", "shared_buffers=128MB"])
            .spawn()?;
        let postgres = Self { server, socket };
        let began = Instant::now();
        let mut client = loop {
            match postgres.connect() {
                Ok(client) => break client,
                Err(_) if began.elapsed() < Duration::from_secs(20) => thread::sleep(Duration::from_millis(50)),
                Err(error) => return Err(error),
            }
        };
        client.batch_execute(&sql::TABLES.replace("BYTES", "bytea"))?;
        client.execute("insert into organization values ($1, 0)", &[&&ORG[..]])?;
        client.execute("insert into member values ($1, $2, 1, null)", &[&&ORG[..], &&USER[..]])?;
        on_call(&mut client)?;
        Ok(postgres)
    }

    fn caller(&self) -> Result<Caller, Failure> {
        Ok(Caller { client: self.connect()?, prepared: RefCell::default() })
    }

    /// By `copy`, which is the fastest way in.
    fn bring_in(&self, count: usize, escalating: bool) -> Result<Vec<Id>, Failure> {
        let mut client = self.connect()?;
        let row = client.query_one(
            "update organization set incidents = incidents + $2 where id = $1 returning incidents",
            &[&&ORG[..], &i64::try_from(count)?],
        )?;
        let first = row.get::<_, i64>(0) - i64::try_from(count)? + 1;
        let ids: Vec<Id> = (0..count).map(|_| fresh()).collect();
        let (org, user, now) = (hex(ORG), hex(USER), now());
        let mut copy = |into: &str, line: &dyn Fn(Id, i64) -> String| -> Result<(), Failure> {
            let mut rows = client.copy_in(&format!("copy {into} from stdin"))?;
            for (number, id) in (first..).zip(&ids) {
                writeln!(rows, "{}", line(*id, number))?;
            }
            rows.finish()?;
            Ok(())
        };
        let (title, text) = (sql::TITLE, sql::DESCRIPTION);
        copy(
            "incident (org, id, number, title, description, severity, status, owner, created_by, updated_at)",
            &|id, number| format!("{org}\t{}\t{number}\t{title}\t{text}\t2\t1\t{user}\t{user}\t{now}", hex(id)),
        )?;
        copy("status_entry", &|id, _| format!("{org}\t{}\t{}\t1\t{now}\t\\N", hex(id), hex(fresh())))?;
        copy("audit", &|id, _| format!("{org}\t{}\t{}\t{user}\tincident_created\thigh", hex(id), hex(fresh())))?;
        if escalating {
            let (policy, layer, due) = (hex(POLICY), hex([6; 16]), now + 300_000);
            copy("run", &|id, _| format!("{org}\t{}\t{policy}\t1\t{due}", hex(id)))?;
            copy("audit", &|id, _| format!("{org}\t{}\t{}\t{user}\tlayer_paged\t1", hex(id), hex(fresh())))?;
            copy("notification", &|id, _| {
                format!("{org}\t{}\t{user}\t{}\t{layer}\t{now}\t\\N", hex(fresh()), hex(id))
            })?;
        }
        Ok(ids)
    }

    fn connect(&self) -> Result<Client, Failure> {
        let mut config = Config::new();
        config.host_path(&self.socket).user("bench").dbname("postgres");
        Ok(config.connect(NoTls)?)
    }
}

impl Subject for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn session(&self) -> Result<Box<dyn Session + Send + '_>, Failure> {
        Ok(Box::new(self.caller()?))
    }

    fn fill(&self, count: usize) -> Result<Vec<Id>, Failure> {
        let ids = self.bring_in(count, false)?;
        // What its own housekeeping would do within minutes.
        self.connect()?.batch_execute("vacuum analyze")?;
        Ok(ids)
    }

    fn escalate(&self, count: usize) -> Result<(), Failure> {
        self.bring_in(count, true).map(drop)
    }
}

/// The schedule and the policy.
fn on_call(client: &mut Client) -> Result<(), Failure> {
    let mut run = |text: &str, values: &[&(dyn ToSql + Sync)]| client.execute(&text.replace('?', "$"), values);
    for position in 1..=3_i64 {
        run(sql::ADD_LAYER, &[&&ORG[..], &&POLICY[..], &position, &&[6_u8; 16][..], &&USER[..]])?;
    }
    run(sql::ADD_SCHEDULE, &[&&ORG[..], &&SCHEDULE[..], &rota::ZONE])?;
    run(sql::ADD_ROTATION, &[&&ORG[..], &&SCHEDULE[..], &&ROTATION[..]])?;
    for position in 0..rota::PARTICIPANTS as i64 {
        run(sql::ADD_PARTICIPANT, &[&&ORG[..], &&ROTATION[..], &position, &&fresh()[..]])?;
    }
    for day in 1..=2 {
        let starts = now() + day * 86_400_000;
        let values: [&(dyn ToSql + Sync); 6] =
            [&&ORG[..], &&SCHEDULE[..], &&fresh()[..], &&USER[..], &starts, &(starts + 3_600_000)];
        run(sql::ADD_REPLACEMENT, &values)?;
    }
    Ok(())
}

/// Bytes as `copy` reads them.
fn hex(id: Id) -> String {
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\\\\x{digits}")
}

struct Caller {
    client: Client,
    prepared: RefCell<HashMap<String, Statement>>,
}

/// A transaction, and the statements that the connection has prepared.
struct On<'a, 'c> {
    transaction: Transaction<'c>,
    prepared: &'a RefCell<HashMap<String, Statement>>,
}

impl On<'_, '_> {
    fn statement(&mut self, text: &str) -> Result<Statement, Failure> {
        if let Some(statement) = self.prepared.borrow().get(text) {
            return Ok(statement.clone());
        }
        let statement = self.transaction.prepare(&text.replace('?', "$"))?;
        self.prepared.borrow_mut().insert(text.to_owned(), statement.clone());
        Ok(statement)
    }

    fn run(&mut self, text: &str, values: &[&(dyn ToSql + Sync)]) -> Result<(), Failure> {
        let statement = self.statement(text)?;
        self.transaction.execute(&statement, values)?;
        Ok(())
    }

    fn row(&mut self, text: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Row, Failure> {
        let statement = self.statement(text)?;
        Ok(self.transaction.query_one(&statement, values)?)
    }

    fn rows(&mut self, text: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        let statement = self.statement(text)?;
        Ok(self.transaction.query(&statement, values)?)
    }

    fn audit(&mut self, incident: Id, event: &str, details: &str) -> Result<(), Failure> {
        self.run(sql::AUDIT, &[&&ORG[..], &&incident[..], &&fresh()[..], &&USER[..], &event, &details])
    }

    /// The incident, kept from others until the end of the transaction.
    fn look(&mut self, incident: Id) -> Result<(i64, Option<i64>), Failure> {
        let row = self.row(&format!("{} for update", sql::LOOK), &[&&ORG[..], &&incident[..]])?;
        Ok((row.get(0), row.get(1)))
    }
}

impl Caller {
    fn transaction<R>(&mut self, change: impl FnOnce(&mut On<'_, '_>) -> Result<R, Failure>) -> Result<R, Failure> {
        let mut on = On { transaction: self.client.transaction()?, prepared: &self.prepared };
        on.row(sql::MEMBER, &[&&ORG[..], &&USER[..]])?;
        let reply = change(&mut on)?;
        on.transaction.commit()?;
        Ok(reply)
    }
}

const GO_ON: &str = "update run set position = due.position, due_at = due.due_at
    from unnest(?2::bytea[], ?3::bigint[], ?4::bigint[]) due (incident, position, due_at)
    where run.org = ?1 and run.incident = due.incident";
const AUDIT: &str = "insert into audit select ?1, incident, id, ?4, ?5, ?6
    from unnest(?2::bytea[], ?3::bytea[]) entry (incident, id)";
const NOTIFY: &str = "insert into notification select ?1, id, user_id, incident, layer, ?6, null
    from unnest(?2::bytea[], ?3::bytea[], ?4::bytea[], ?5::bytea[]) page (id, user_id, incident, layer)";

/// Reads all of an incident's row.
fn read(row: &Row) -> usize {
    let id: &[u8] = row.get(0);
    let (title, description): (&str, Option<&str>) = (row.get(2), row.get(3));
    let numbers: [i64; 4] = [row.get(1), row.get(4), row.get(5), row.get(8)];
    let people: [Option<&[u8]>; 3] = [row.get(6), row.get(7), row.get(10)];
    let acknowledged: Option<i64> = row.get(9);
    let text = title.len() + description.map_or(0, str::len);
    id.len() + text + numbers.len() + people.iter().flatten().count() + usize::from(acknowledged.is_some())
}

impl Session for Caller {
    fn create(&mut self) -> Result<Id, Failure> {
        let id = fresh();
        self.transaction(|on| {
            on.row(sql::MEMBER, &[&&ORG[..], &&USER[..]])?;
            let now = now();
            on.run(sql::STEP, &[&&ORG[..], &&id[..], &&fresh()[..], &1_i64, &now, &None::<&[u8]>])?;
            on.audit(id, "incident_created", "high")?;
            // As late as can be: whoever else creates an incident waits from here on, until this is durable.
            let number: i64 = on.row(sql::COUNT, &[&&ORG[..]])?.get(0);
            let values: [&(dyn ToSql + Sync); 7] =
                [&&ORG[..], &&id[..], &number, &sql::TITLE, &sql::DESCRIPTION, &&USER[..], &now];
            on.run(sql::INSERT, &values)
        })?;
        Ok(id)
    }

    fn change_status(&mut self, incident: Id) -> Result<(), Failure> {
        self.transaction(|on| {
            if on.look(incident)?.0 != 1 {
                return Err("invalid_status_transition".into());
            }
            let (update, now) = (fresh(), now());
            on.run(sql::MOVE, &[&&ORG[..], &&incident[..], &2_i64, &now])?;
            on.run(sql::STEP, &[&&ORG[..], &&incident[..], &&fresh()[..], &2_i64, &now, &Some(&update[..])])?;
            let none = None::<&str>;
            on.run(sql::POST, &[&&ORG[..], &&incident[..], &&update[..], &none, &Some(2_i64), &&USER[..]])?;
            on.audit(incident, "status_changed", "1 2")?;
            on.audit(incident, "update_posted", "internal")
        })
    }

    fn post_update(&mut self, incident: Id) -> Result<(), Failure> {
        self.transaction(|on| {
            if on.look(incident)?.0 == 4 {
                return Err("incident_resolved".into());
            }
            let body = Some(sql::UPDATE);
            on.run(sql::POST, &[&&ORG[..], &&incident[..], &&fresh()[..], &body, &None::<i64>, &&USER[..]])?;
            on.run(sql::TOUCH, &[&&ORG[..], &&incident[..], &now()])?;
            on.audit(incident, "update_posted", "internal")
        })
    }

    fn acknowledge(&mut self, incident: Id) -> Result<(), Failure> {
        self.transaction(|on| {
            if on.look(incident)?.1.is_none() {
                on.run(sql::ACKNOWLEDGE, &[&&ORG[..], &&incident[..], &now(), &&USER[..]])?;
                on.audit(incident, "incident_acknowledged", "")?;
            }
            Ok(())
        })
    }

    fn get(&mut self, incident: Id) -> Result<usize, Failure> {
        self.transaction(|on| {
            let key: [&(dyn ToSql + Sync); 2] = [&&ORG[..], &&incident[..]];
            assert!(read(&on.row(&sql::one(), &key)?) > 0);
            Ok(on.rows(sql::HISTORY, &key)?.len() + on.rows(sql::TRAIL, &key)?.len())
        })
    }

    fn page(&mut self, investigating: bool) -> Result<usize, Failure> {
        self.transaction(|on| {
            let found = if investigating {
                on.rows(&sql::newest_of_status(), &[&&ORG[..], &1_i64])?
            } else {
                on.rows(&sql::newest(), &[&&ORG[..]])?
            };
            assert!(found.iter().map(read).sum::<usize>() > 0);
            Ok(found.len().min(20))
        })
    }

    fn on_call(&mut self) -> Result<bool, Failure> {
        self.transaction(|on| {
            let now = now();
            if !on.rows(sql::REPLACED, &[&&ORG[..], &&SCHEDULE[..], &now])?.is_empty() {
                return Ok(true);
            }
            for row in on.rows(sql::ROTATIONS, &[&&ORG[..], &&SCHEDULE[..]])? {
                let (zone, rotation, days): (&str, &[u8], i64) = (row.get(0), row.get(1), row.get(2));
                let users = on.rows(sql::PARTICIPANTS, &[&&ORG[..], &rotation])?;
                if users.get(rota::turn(zone, days, users.len(), now)?).is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// A few statements for all that is due: a round trip for each run would cost more than the rest.
    fn tick(&mut self) -> Result<usize, Failure> {
        self.transaction(|on| {
            let now = soon();
            let due = on.rows(&format!("{} for update of run skip locked", sql::DUE), &[&now])?;
            let column = |at: usize| due.iter().map(|row| row.get(at)).collect::<Vec<&[u8]>>();
            let (incidents, layers, users) = (column(0), column(1), column(3));
            let positions: Vec<i64> = due.iter().map(|row| row.get(2)).collect();
            let next: Vec<i64> = due.iter().map(|row| now + row.get::<_, i64>(4)).collect();
            let ids = || due.iter().map(|_| fresh().to_vec()).collect::<Vec<_>>();
            let (timed_out, paged, notifications) = (ids(), ids(), ids());
            let org = &ORG[..];
            on.run(GO_ON, &[&org, &incidents, &positions, &next])?;
            on.run(AUDIT, &[&org, &incidents, &timed_out, &&USER[..], &"layer_timed_out", &"1"])?;
            on.run(AUDIT, &[&org, &incidents, &paged, &&USER[..], &"layer_paged", &"2"])?;
            on.run(NOTIFY, &[&org, &notifications, &users, &incidents, &layers, &now])?;
            Ok(due.len())
        })
    }
}
