//! Several servers on one store in PostgreSQL: `dogwatch serve --store URL`, `dogwatch cluster`, `dogwatch push`, and `dogwatch backup --store URL`.
//!
//! A [`Member`] is this server's place among the others. While it leads, it has the ticker and the delivery; what it answers otherwise is
//! `dogwatch_http::Neighbours`'s.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use dogwatch_http::{Metrics, Neighbours, Standing, unavailable};
use dogwatch_postgres::{PostgresJournal, Settings};
use dogwatch_store::cluster::{Cluster, ClusterOptions, Role, Server, SharedJournal};
use dogwatch_store::{Engine, ReadOnly, backup_shared, master_key};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::cli::{PushArgs, ServeArgs, SharedArgs, StoreAccessArgs};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::keep::{Keeper, Stage, Started, socket};
use crate::mail::secret;
use crate::serve::first_organization;
use crate::socket::{OPENED, Socket};

/// The variable of the environment that holds the password of the shared store.
const PASSWORD: &str = "DOGWATCH_STORE_PASSWORD";
/// The file with the master key, which all servers have in common.
const MASTER_KEY: &str = "master.key";
/// How long one waits for a change of the role at once.
const LOOK: Duration = Duration::from_millis(250);
/// How long it takes until the ticker and the delivery are started again, when they could not be.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a server that is about to stop keeps the lead for messages under way.
const MESSAGES: Duration = Duration::from_secs(10);
/// How long it waits then until another one leads.
const OTHERS: Duration = Duration::from_secs(2);

/// How a shared store is reached.
pub(crate) fn settings(url: &str, access: &StoreAccessArgs) -> Result<Settings, Failure> {
    let mut settings = Settings::new(url)?;
    if settings.has_password() {
        let why = format!(
            "the password of the shared store does not belong into its URL, which others can see: `{PASSWORD}`"
        );
        return Err(Failure::Settings(why));
    }
    if let Some(password) = secret(access.store_password_file.as_deref(), PASSWORD)? {
        settings = settings.password(&password);
    }
    if let Some(file) = &access.store_ca {
        settings = settings.authorities(file);
    }
    Ok(settings)
}

fn connected(url: &str, access: &StoreAccessArgs) -> Result<PostgresJournal, Failure> {
    Ok(PostgresJournal::connect(settings(url, access)?)?)
}

fn open(args: &SharedArgs) -> Result<PostgresJournal, Failure> {
    connected(&args.store, &args.access)
}

/// `dogwatch cluster status`
pub(crate) fn status(args: &SharedArgs) -> Result<(), Failure> {
    let journal = open(args)?;
    let (now, replication) = (journal.leadership()?, journal.replication()?);
    let leads = now.leader.filter(|_| !now.left.is_zero());
    Desk::own().print(&json!({
        "leader": leads.as_ref().map(|leader| &leader.name), "address": leads.as_ref().map(|leader| &leader.address),
        "term": now.term, "leaseMillis": u64::try_from(now.left.as_millis()).unwrap_or(u64::MAX),
        "position": now.head.position.to_string(), "waitsFor": replication.waits_for, "synchronous": replication.synchronous,
    }))
}

/// `dogwatch cluster step-down`
pub(crate) fn step_down(args: &SharedArgs) -> Result<(), Failure> {
    let journal = open(args)?;
    journal.depose()?;
    Desk::own().print(&json!({ "term": journal.leadership()?.term }))
}

/// `dogwatch push`
pub(crate) fn push(args: &PushArgs) -> Result<(), Failure> {
    let (store, journal) = (ReadOnly::open(&args.data)?, open(&args.to)?);
    let key = args.data.join(MASTER_KEY);
    if key.exists() && !agrees(&args.data, &journal)? {
        return Err(another_key(&key));
    }
    let rows = Desk::own().told("rows pushed", |_, progress| store.push(&journal, progress))?;
    Desk::own().print(&json!({ "rows": rows, "position": journal.leadership()?.head.position.to_string() }))
}

/// `dogwatch backup --store`
pub(crate) fn backup(url: &str, access: &StoreAccessArgs, to: &Path) -> Result<(), Failure> {
    let journal = connected(url, access)?;
    let copied = Desk::own().told("rows copied", |_, progress| backup_shared(&journal, to, progress))?;
    Desk::own().print(&json!({ "rows": copied.rows, "bytes": copied.bytes_after }))
}

/// Whether the master key in a folder is the one that all servers have.
fn agrees(data: &Path, journal: &PostgresJournal) -> Result<bool, Failure> {
    let key = master_key(data).map_err(Failure::file(&data.join(MASTER_KEY)))?;
    Ok(journal.agree_on_key(&key.fingerprint())?)
}

fn another_key(path: &Path) -> Failure {
    let path = path.display();
    Failure::Settings(format!("`{path}` is not the master key of the other servers: copy the file from one of them"))
}

/// This server's place among the others.
pub(crate) struct Member {
    cluster: Arc<Cluster>,
    journal: Arc<PostgresJournal>,
    data: PathBuf,
    /// How many standbys have each commit before it is answered, as of the beginning of the last term here.
    synchronous: Arc<AtomicU64>,
    /// How requests are passed on.
    pub(crate) neighbours: Neighbours,
}

impl Member {
    /// Takes a place among the servers of a store. `draining` says that this server is about to stop.
    pub(crate) fn join(args: &ServeArgs, url: &str, draining: &Arc<AtomicBool>) -> Result<Self, Failure> {
        let address = args.advertise.clone().unwrap_or_default();
        let place = address.split_once("://").map_or(address.as_str(), |(_, place)| place);
        let name = args.name.clone().unwrap_or_else(|| place.to_owned());
        let journal = Arc::new(connected(url, &args.access)?);
        fs::create_dir_all(&args.data).map_err(Failure::file(&args.data))?;
        let key = args.data.join(MASTER_KEY);
        let had_one = key.exists();
        if !agrees(&args.data, &journal)? {
            if !had_one {
                // It was made just now, and would be taken for the right one.
                fs::remove_file(&key).map_err(Failure::file(&key))?;
            }
            return Err(another_key(&key));
        }
        let mut options = ClusterOptions::new(Server::new(name.clone(), address));
        options.lease = Duration::from_secs(args.lease);
        let shared: Arc<dyn SharedJournal> = Arc::<PostgresJournal>::clone(&journal);
        let cluster = Arc::new(Cluster::join(&args.data, shared, options, Engine::builder)?);
        let (standing, stale) = (Arc::downgrade(&cluster), Arc::downgrade(&cluster));
        let standing = move || standing.upgrade().map_or(Standing::Nobody, |cluster| Standing::from(&cluster.role()));
        let stale = move || stale.upgrade().map_or(Some(Duration::ZERO), |cluster| cluster.stale());
        let neighbours = Neighbours::new(&name, standing, stale, Arc::clone(draining))?;
        let neighbours = neighbours.trusting(args.trusted_proxy.clone().unwrap_or_default());
        Ok(Self { cluster, journal, data: args.data.clone(), synchronous: Arc::default(), neighbours })
    }

    /// Shows in metrics what this server does.
    pub(crate) fn counts(&self, metrics: Metrics) -> Metrics {
        let read = |what: fn(&Cluster) -> u64| {
            let cluster = Arc::downgrade(&self.cluster);
            move || cluster.upgrade().map_or(0, |cluster| what(&cluster))
        };
        let (synchronous, neighbours) = (Arc::clone(&self.synchronous), self.neighbours.clone());
        metrics
            .gauging(
                "dogwatch_leads",
                "1 while this server leads.",
                read(|cluster| u64::from(matches!(cluster.role(), Role::Leads { .. }))),
            )
            .gauging(
                "dogwatch_synchronous_standbys",
                "Standbys of the database that have each commit before it is answered, as of the beginning of the term.",
                move || synchronous.load(Ordering::Relaxed),
            )
            .counting("dogwatch_terms", "Terms in which this server has led.", read(|cluster| cluster.counts().0))
            .counting(
                "dogwatch_copies_put_aside",
                "Copies that were put aside because the shared store had lost commits.",
                read(|cluster| cluster.counts().1),
            )
            .counting("dogwatch_forwarded", "Requests that were passed on to the leader.", move || neighbours.forwarded())
    }

    /// Does what the role asks for, until it is to stop. `left` is told when this server does not lead any more for it is about to.
    pub(crate) async fn run<R: Fn(&Engine) -> Router>(
        self,
        keeper: Keeper<R>,
        mut stages: watch::Receiver<Stage>,
        left: oneshot::Sender<()>,
    ) -> Result<(), Failure> {
        let (mut seen, mut work, mut trouble, mut left) = (u64::MAX, Work::default(), false, Some(left));
        let (mut tasks, mut closed): (Option<Socket>, Option<Instant>) = (None, None);
        loop {
            let cluster = Arc::clone(&self.cluster);
            let changes = spawn_blocking(move || cluster.wait_for_change(seen, LOOK));
            let changes = tokio::select! {
                biased;
                changed = stages.changed() => {
                    if changed.is_err() || *stages.borrow_and_update() == Stage::Ends {
                        break;
                    }
                    self.leave(work.leading.take()).await;
                    let _ = left.take().map(|left| left.send(()));
                    continue;
                }
                changes = changes => changes.map_err(io::Error::other)?,
            };
            // What it is, is in the log already.
            if std::mem::replace(&mut trouble, self.cluster.trouble().is_some()) && !trouble {
                tracing::info!("this server can follow and lead again");
            }
            let role = self.cluster.role();
            if changes == seen {
                work.go_on(&keeper, &role).await;
                // Without a copy for long, nobody does tasks: whoever asks opens the folder, which nobody has in use.
                if closed.is_some_and(|closed| closed.elapsed() > OPENED) {
                    tasks = None;
                }
                continue;
            }
            seen = changes;
            // Requests that come from now on do not hold the engine of before.
            let router = role.engine().map_or_else(|| self.neighbours.around(unavailable()), &keeper.router);
            // It may hold the last handle of an engine, which closes it.
            let before = keeper.latest.send_replace(router);
            drop(spawn_blocking(move || drop(before)));
            work.end();
            match (role.engine(), tasks.as_ref().filter(|tasks| tasks.is_found())) {
                (Some(engine), Some(tasks)) => tasks.serve(Some(engine.downgrade())),
                (Some(engine), None) => {
                    drop(tasks.take());
                    tasks = socket(&self.data, engine);
                }
                // They wait for the next engine, and do not hold the one of before.
                (None, Some(tasks)) => tasks.serve(None),
                (None, None) => {}
            }
            closed = role.engine().is_none().then(Instant::now);
            work = self.begin(&keeper, &role).await;
        }
        let before = keeper.latest.send_replace(unavailable());
        drop(spawn_blocking(move || drop(before)));
        let Self { mut cluster, .. } = self;
        let drain_time = keeper.drain_time;
        let ended = spawn_blocking(move || {
            work.stop();
            let _ = tasks.map(|tasks| tasks.close(drain_time));
            // Requests look at it for a moment each.
            loop {
                match Arc::try_unwrap(cluster) {
                    Ok(last) => return last.stop(),
                    Err(held) => cluster = held,
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Ok(ended.await.map_err(io::Error::other)?)
    }

    /// Leaves the lead to others, once what is being sent is settled, or takes too long: it is sent again then. What comes once another one leads is
    /// passed on.
    async fn leave(&self, leading: Option<Started>) {
        if let Some(started) = leading {
            let (ended, ends) = oneshot::channel();
            // The program ends without it if need be.
            std::thread::spawn(move || {
                started.stop();
                let _ = ended.send(());
            });
            if timeout(MESSAGES, ends).await.is_err() {
                tracing::warn!("messages under way are not waited for any longer: they are sent again");
            }
        }
        self.cluster.retire();
        let cluster = Arc::clone(&self.cluster);
        let others = spawn_blocking(move || {
            let began = Instant::now();
            let mut seen = cluster.changes();
            while !matches!(cluster.role(), Role::Follows { .. }) && began.elapsed() < OTHERS {
                seen = cluster.wait_for_change(seen, LOOK);
            }
        });
        if let Err(why) = others.await {
            tracing::error!(%why, "it is not known whether another server leads");
        }
    }

    /// Begins what the role asks for.
    async fn begin<R>(&self, keeper: &Keeper<R>, role: &Role) -> Work {
        match role {
            // That it leads is in the log already.
            Role::Leads { .. } => {}
            Role::Follows { leader, .. } => tracing::info!(%leader, "another server leads"),
            Role::Nobody { .. } => tracing::info!("nobody leads, as far as this server can tell"),
        }
        let mut work = Work::default();
        if let Role::Leads { engine, .. } = role {
            let (engine, data, journal) = (engine.clone(), self.data.clone(), Arc::clone(&self.journal));
            let synchronous = Arc::clone(&self.synchronous);
            let begun = spawn_blocking(move || {
                said(&journal, &synchronous);
                if engine.organizations()?.is_empty() { first_organization(&engine, &data) } else { Ok(()) }
            });
            match begun.await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => tracing::error!(%why, "the first organization could not be made"),
                Err(why) => tracing::error!(%why, "the first organization could not be made"),
            }
            work.go_on(keeper, role).await;
        }
        work
    }
}

/// Says how durable commits are.
fn said(journal: &PostgresJournal, known: &AtomicU64) {
    match journal.replication() {
        Ok(found) => {
            known.store(u64::from(found.synchronous), Ordering::Relaxed);
            match found.synchronous {
                0 => tracing::warn!(
                    "the database acknowledges commits that no standby has: what was answered is lost with its machine, unless something below it replicates"
                ),
                synchronous => tracing::info!(synchronous, waits_for = found.waits_for, "commits are on standbys, too"),
            }
        }
        Err(why) => tracing::warn!(%why, "it is not known whether standbys have the commits"),
    }
}

/// What runs in a role.
#[derive(Default)]
struct Work {
    leading: Option<Started>,
    tried: Option<tokio::time::Instant>,
}

impl Work {
    /// Starts the ticker and the delivery of a leader, unless they run.
    async fn go_on<R>(&mut self, keeper: &Keeper<R>, role: &Role) {
        let Role::Leads { engine, .. } = role else { return };
        if self.leading.is_some() || self.tried.is_some_and(|tried| tried.elapsed() < AGAIN) {
            return;
        }
        self.tried = Some(tokio::time::Instant::now());
        match keeper.start(engine) {
            Ok(started) => self.leading = Some(started),
            Err(why) => tracing::error!(%why, "pages are neither written nor sent: it is tried again"),
        }
    }

    /// Ends it without waiting: what is under way finds that its engine does not lead any more.
    fn end(&mut self) {
        let work = std::mem::take(self);
        drop(spawn_blocking(move || work.stop()));
    }

    fn stop(self) {
        if let Some(started) = self.leading {
            started.stop();
        }
    }
}
