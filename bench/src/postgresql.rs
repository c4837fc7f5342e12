//! PostgreSQL on a Unix socket: a cluster of its own in a scratch folder, `fsync` on, a connection for each caller.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::ToSql;
use postgres::{Client, Config, NoTls, Row, Statement, Transaction};

use super::sql::{self, ORG, USER, fresh, now};
use super::{Failure, Id, Session, Subject};

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
        Ok(postgres)
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
        Ok(Box::new(Caller { client: self.connect()?, prepared: RefCell::default() }))
    }
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
            let number: i64 = on.row(sql::COUNT, &[&&ORG[..]])?.get(0);
            let now = now();
            let values: [&(dyn ToSql + Sync); 7] =
                [&&ORG[..], &&id[..], &number, &sql::TITLE, &sql::DESCRIPTION, &&USER[..], &now];
            on.run(sql::INSERT, &values)?;
            on.run(sql::STEP, &[&&ORG[..], &&id[..], &&fresh()[..], &1_i64, &now, &None::<&[u8]>])?;
            on.audit(id, "incident_created", "high")
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
}
