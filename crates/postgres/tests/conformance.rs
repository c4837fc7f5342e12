//! The journal in a real PostgreSQL. `DOGWATCH_TEST_POSTGRES` is the URL of a server on which databases may be made, without `sslmode`;
//! `DOGWATCH_TEST_POSTGRES_CA` the certificate that it speaks TLS with. `.ci/cluster` starts one, and runs these tests with `--ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_postgres::{ConnectError, PostgresJournal, Settings};
use dogwatch_store::Engine;
use dogwatch_store::cluster::{Campaign, Cluster, ClusterOptions, Role, Server, SharedJournal};
use dogwatch_store::journal::{AppendError, Head, Journal, Position, Reading};
use dogwatch_store::rules::component::{CreateComponent, ListComponents};
use dogwatch_store::rules::{Actor, Timestamp};
use dogwatch_store::{ReadOnly, backup_shared};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::shared_journal::{Handle, conforms, rows};
use tokio_postgres::NoTls;

const LEASE: Duration = Duration::from_secs(60);
const AT: Timestamp = Timestamp::MIN;

fn server_url() -> String {
    std::env::var("DOGWATCH_TEST_POSTGRES").expect("DOGWATCH_TEST_POSTGRES is the URL of a server")
}

/// What a test sets for the whole server concerns all others: they wait for its end.
static SERVER: RwLock<()> = RwLock::new(());

/// A database of its own, and whoever looks after it.
struct Database {
    url: String,
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Database {
    fn new(name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = server_url();
        let url = server.replace("/postgres", &format!("/{name}"));
        assert_ne!(url, server, "the URL names the database postgres");
        let connect = async |url: &str| {
            let (client, connection) = tokio_postgres::connect(&format!("{url}?sslmode=disable"), NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        };
        let client = runtime.block_on(async {
            let maker = connect(&server).await;
            maker.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
            maker.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
            connect(&url).await
        });
        Self { url, runtime, client }
    }

    fn settings(&self) -> Settings {
        Settings::new(&format!("{}?sslmode=disable", self.url)).unwrap()
    }

    fn journal(&self) -> PostgresJournal {
        PostgresJournal::connect(self.settings()).unwrap()
    }

    fn run(&self, statements: &str) {
        self.runtime.block_on(self.client.batch_execute(statements)).unwrap();
    }

    fn number(&self, query: &str) -> i64 {
        self.runtime.block_on(self.client.query_one(query, &[])).unwrap().get(0)
    }

    /// Ends the connections of every journal on this database.
    fn end_connections(&self) -> i64 {
        self.number(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'dogwatch'",
        )
    }
}

fn lead(journal: &PostgresJournal) -> (u64, Head) {
    let seen = journal.leadership().unwrap().term;
    match journal.campaign(&Server::new("a", "http://a.example"), seen, LEASE).unwrap() {
        Campaign::Won { term, head } => (term, head),
        Campaign::Lost => panic!("nobody else is there"),
    }
}

fn beside_others() -> RwLockReadGuard<'static, ()> {
    SERVER.read().unwrap_or_else(PoisonError::into_inner)
}

/// A server whose commits wait for a standby that is not there, until it is dropped.
struct Waiting<'a>(&'a Database);

impl<'a> Waiting<'a> {
    fn begin(database: &'a Database, journal: &PostgresJournal) -> Self {
        database.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        let waiting = Self(database);
        database.run("SELECT pg_reload_conf()");
        until("the setting is there", || journal.replication().is_ok_and(|now| now.waits_for == "nobody"));
        // Each process of the server learns of it by itself.
        thread::sleep(Duration::from_secs(2));
        waiting
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.run("SET synchronous_commit = local");
        self.0.run("ALTER SYSTEM RESET synchronous_standby_names");
        self.0.run("SELECT pg_reload_conf()");
    }
}

fn until(what: &str, mut look: impl FnMut() -> bool) {
    let began = Instant::now();
    while !look() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "needs a PostgreSQL"]
fn it_conforms() {
    let _beside = beside_others();
    let (database, elsewhere) = (Database::new("conforms"), Database::new("conforms_elsewhere"));
    let handle = |database: &Database| Arc::new(database.journal()) as Handle;
    conforms(&handle(&database), &handle(&database), &handle(&elsewhere));
}

/// Many servers start at once on a database in which nothing is.
#[test]
#[ignore = "needs a PostgreSQL"]
fn the_tables_are_made_once() {
    let _beside = beside_others();
    let database = Database::new("made_once");
    let identities: Vec<_> = thread::scope(|scope| {
        let open = || database.journal().identity().unwrap();
        let starting: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        starting.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(identities.iter().all(|identity| *identity == identities[0]), "{identities:?}");
}

/// Connections end all the time while commits are made: none is lost, none is there twice, and nothing stays unknown.
#[test]
#[ignore = "needs a PostgreSQL"]
fn what_became_of_a_commit_is_found_out() {
    let _beside = beside_others();
    const COMMITS: u64 = 1_000;
    let database = Database::new("connections_end");
    let journal = database.journal();
    let (term, mut head) = lead(&journal);
    let done = AtomicBool::new(false);
    let ended = thread::scope(|scope| {
        let ending = scope.spawn(|| {
            let mut ended = 0;
            while !done.load(Ordering::Relaxed) {
                ended += database.end_connections();
                thread::sleep(Duration::from_millis(40));
            }
            ended
        });
        let appended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for number in 1..=COMMITS {
                let key = number.to_be_bytes();
                head = journal.append(term, &head, AT, &rows(&[(&key, Some(b"x"))])).unwrap();
                assert_eq!(head.position.number, number);
            }
        }));
        done.store(true, Ordering::Relaxed);
        let ended = ending.join().unwrap();
        assert!(appended.is_ok());
        ended
    });
    until("the connection is there again", || journal.last().is_ok_and(|last| last == head));
    assert_eq!(database.number("SELECT count(*) FROM dogwatch_rows"), 1_000);
    assert_eq!(database.number("SELECT count(*) FROM dogwatch_log"), 1_000);
    println!("{COMMITS} commits while {ended} connections ended, none lost");
    assert!(ended > 20, "{ended}");
}

/// A commit that waits for a standby which is not there stays open; it is not told to be durable before it is.
#[test]
#[ignore = "needs a PostgreSQL"]
fn a_commit_that_waits_for_a_standby_is_not_acknowledged() {
    let _alone = SERVER.write().unwrap_or_else(PoisonError::into_inner);
    let database = Database::new("waits_for_a_standby");
    let journal = PostgresJournal::connect(database.settings().patience(Duration::from_secs(120))).unwrap();
    let (term, head) = lead(&journal);
    assert_eq!(journal.replication().unwrap().synchronous, 0);
    let waiting = Waiting::begin(&database, &journal);
    let (appended, ended) = thread::scope(|scope| {
        let appending = scope.spawn(|| journal.append(term, &head, AT, &rows(&[(b"k", Some(b"v"))])));
        let visible = "SELECT count(*) FROM dogwatch_log";
        thread::sleep(Duration::from_secs(1));
        assert_eq!(database.number(visible), 0);
        // PostgreSQL shows the commit once its connection has ended, though no standby has it.
        let ended = database.end_connections();
        until("it is shown", || database.number(visible) == 1);
        thread::sleep(Duration::from_secs(2));
        let early = appending.is_finished();
        drop(waiting);
        assert!(!early, "it was shown, and nobody had it");
        (appending.join().unwrap(), ended)
    });
    assert!(ended > 0);
    assert_eq!(appended.unwrap(), journal.last().unwrap());
    assert_eq!(database.number("SELECT count(*) FROM dogwatch_log"), 1);
}

/// While somebody else holds the head, a commit waits for it and gives up: it has not happened then, and no connections pile up.
#[test]
#[ignore = "needs a PostgreSQL"]
fn patience_ends() {
    let _beside = beside_others();
    let database = Database::new("patience_ends");
    let journal = PostgresJournal::connect(database.settings().patience(Duration::from_secs(6))).unwrap();
    let (term, head) = lead(&journal);
    let kv = rows(&[(b"k", Some(b"v"))]);
    database.run("BEGIN");
    database.run("LOCK TABLE dogwatch_head");
    let began = Instant::now();
    let appended = journal.append(term, &head, AT, &kv);
    assert!(matches!(appended, Err(AppendError::NotAppended(_))), "{appended:?}");
    assert!(began.elapsed() >= Duration::from_secs(6));
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'dogwatch'";
    assert!(database.number(waiting) <= 2);
    database.run("COMMIT");
    assert_eq!(journal.last().unwrap(), head);
    let again = journal.append(term, &head, AT, &kv).unwrap();
    assert_eq!(journal.last().unwrap(), again);
    assert_eq!(database.number("SELECT count(*) FROM dogwatch_log"), 1);
}

#[test]
#[ignore = "needs a PostgreSQL"]
fn the_log_forgets_and_says_so() {
    let _beside = beside_others();
    let database = Database::new("forgets");
    let journal = database.journal();
    let (term, mut head) = lead(&journal);
    let mut heads = vec![head];
    for number in 0..10_u8 {
        head = journal.append(term, &head, AT, &rows(&[(&[number], Some(&[number]))])).unwrap();
        heads.push(head);
    }
    // As if two GiB had been written after the fourth.
    database.run("UPDATE dogwatch_log SET logged = logged + (2::bigint << 30) WHERE number > 4");
    database.run("UPDATE dogwatch_head SET logged = logged + (2::bigint << 30)");
    assert_eq!(journal.renew(term, LEASE).unwrap(), Some(head));
    assert_eq!(database.number("SELECT count(*) FROM dogwatch_log"), 6);
    for (place, from) in heads.iter().enumerate() {
        let read = journal.read(from, 1 << 20).unwrap();
        match read {
            Reading::Commits(commits) => assert!(place >= 4 && commits.len() == 10 - place, "from {place}"),
            Reading::Forgotten => assert!(place < 4, "from {place}"),
            Reading::Elsewhere => panic!("from {place}"),
        }
    }
    assert_eq!(journal.kept_for(Position::default(), head.position).unwrap(), None);
    assert_eq!(journal.head_at(heads[4].position).unwrap(), Some(heads[4]), "the next commit names it");
    assert_eq!(journal.head_at(heads[2].position).unwrap(), None);
    assert!(journal.size().unwrap() > 0);
}

#[test]
#[ignore = "needs a PostgreSQL"]
fn what_a_newer_version_arranged_is_left_alone() {
    let _beside = beside_others();
    let database = Database::new("arranged");
    drop(database.journal());
    database.run("UPDATE dogwatch_head SET layout = 2");
    let refused = PostgresJournal::connect(database.settings());
    assert!(matches!(refused, Err(ConnectError::NewerLayout { found: 2, known: 1 })), "{refused:?}");
}

#[test]
#[ignore = "needs a PostgreSQL"]
fn tls_is_verified() {
    let _beside = beside_others();
    let database = Database::new("tls");
    let authority = std::env::var("DOGWATCH_TEST_POSTGRES_CA").expect("DOGWATCH_TEST_POSTGRES_CA is a certificate");
    let secure = || Settings::new(&format!("{}?sslmode=require", database.url)).unwrap();
    let journal = PostgresJournal::connect(secure().authorities(&authority)).unwrap();
    let (term, head) = lead(&journal);
    journal.append(term, &head, AT, &rows(&[(b"k", Some(b"v"))])).unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE datname = current_database() AND application_name = 'dogwatch' AND ssl";
    assert_eq!(database.number(encrypted), 2);
    // The system does not trust it, and it does not name an address.
    let refused = PostgresJournal::connect(secure()).unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
    let address = Settings::new(&format!("{}?sslmode=require", database.url.replace("localhost", "127.0.0.1")));
    let refused = PostgresJournal::connect(address.unwrap().authorities(&authority)).unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
}

fn add(engine: &Engine, by: &Actor, name: &str) {
    engine.execute(CreateComponent::new(name.parse().unwrap()), by).unwrap();
}

fn names(engine: &Engine, by: &Actor) -> Vec<String> {
    let all = engine.query(&ListComponents, by).unwrap_or_default();
    all.iter().map(|component| component.name.to_string()).collect()
}

/// A store in a folder moves into the database, two servers share it, and it becomes a folder again.
#[test]
#[ignore = "needs a PostgreSQL"]
fn a_store_goes_in_and_comes_out() {
    let _beside = beside_others();
    let database = Database::new("in_and_out");
    let scratch = tempfile::tempdir().unwrap();
    let folder = |name: &str| scratch.path().join(name);
    let engine = Engine::open(folder("before")).unwrap();
    let by = organization(&engine).actor();
    add(&engine, &by, "of before");
    drop(engine);
    let store = ReadOnly::open(folder("before")).unwrap();
    assert!(store.push(&database.journal(), &mut |_| ()).unwrap() > 5);
    assert!(store.push(&database.journal(), &mut |_| ()).is_err(), "there is a store already");
    drop(store);

    let join = |name: &str| {
        let options = ClusterOptions::new(Server::new(name, format!("http://{name}.example")));
        Cluster::join(folder(name), Arc::new(database.journal()), options, Engine::builder).unwrap()
    };
    let leads = |cluster: &Cluster| match cluster.role() {
        Role::Leads { engine, .. } => Some(engine),
        _ => None,
    };
    let shows = |cluster: &Cluster, expected: &[&str]| {
        cluster.role().engine().is_some_and(|engine| names(engine, &by) == expected)
    };
    let one = join("one");
    until("one leads", || leads(&one).is_some());
    let other = join("other");
    add(&leads(&one).unwrap(), &by, "of one");
    until("other follows", || shows(&other, &["of before", "of one"]));
    let began = Instant::now();
    one.stop();
    until("other leads", || leads(&other).is_some());
    println!("took over {} ms after a clean stop", began.elapsed().as_millis());
    add(&leads(&other).unwrap(), &by, "of other");
    // The leader loses its connections, and goes on.
    database.end_connections();
    add(&leads(&other).unwrap(), &by, "then");
    let all = ["of before", "of one", "of other", "then"];
    let again = join("one");
    until("one follows", || shows(&again, &all));
    drop((again, other));

    backup_shared(&database.journal(), folder("after"), &mut |_| ()).unwrap();
    let engine = Engine::open(folder("after")).unwrap();
    assert!(engine.verify(&mut |_| ()).is_clean());
    assert_eq!(names(&engine, &by), all);
}
