//! Several servers on one shared journal: who leads, what followers show, and what becomes of those that have lost the lead.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dogwatch_core::component::{CreateComponent, ListComponents};
use dogwatch_core::{Actor, Code, Timestamp};
use dogwatch_store::cluster::{Cluster, ClusterOptions, MemorySharedJournal, Role, Server, SharedJournal};
use dogwatch_store::journal::Journal;
use dogwatch_store::{Clock, Engine, OpenError, ReadOnly, SystemClock, ToolError, backup_shared};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::shared_journal::{Handle, conforms};

const LEASE: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(30);

fn journal() -> MemorySharedJournal {
    MemorySharedJournal::new([7; 16], 20_000)
}

fn join(folder: &Path, name: &str, journal: &MemorySharedJournal) -> Cluster {
    let mut options = ClusterOptions::new(Server::new(name, format!("http://{name}")));
    options.lease = LEASE;
    options.cache_bytes = 4 << 20;
    Cluster::join(folder.join(name), Arc::new(journal.clone()), options, Engine::builder).unwrap()
}

/// Waits until something holds.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn leads(cluster: &Cluster) -> Option<Engine> {
    match cluster.role() {
        Role::Leads { engine, .. } => Some(engine),
        Role::Follows { .. } | Role::Nobody { .. } => None,
    }
}

fn led_by(servers: &[&Cluster]) -> (usize, Engine) {
    until("somebody leads", || {
        servers.iter().enumerate().find_map(|(place, server)| leads(server).map(|engine| (place, engine)))
    })
}

/// A server that leads an organization, and one that follows it.
fn led_and_followed(folder: &Path, journal: &MemorySharedJournal) -> (Cluster, Engine, Actor, Cluster) {
    let first = join(folder, "a", journal);
    let (_, engine) = led_by(&[&first]);
    let ada = organization(&engine).actor();
    let second = join(folder, "b", journal);
    until("it follows", || second.role().engine().map(drop));
    (first, engine, ada, second)
}

fn add(engine: &Engine, by: &Actor, name: &str) -> Result<(), Code> {
    let done = engine.execute(CreateComponent::new(name.parse().unwrap()), by);
    done.map(drop).map_err(|why| why.code())
}

/// The names of the components that a server shows.
fn shown(cluster: &Cluster, by: &Actor) -> Vec<String> {
    let role = cluster.role();
    let Some(engine) = role.engine() else { return Vec::new() };
    let all = engine.query(&ListComponents, by).unwrap_or_default();
    all.iter().map(|one| one.name.to_string()).collect()
}

#[test]
fn one_leads_and_the_others_follow() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), journal());
    let servers = ["a", "b", "c"].map(|name| join(folder.path(), name, &journal));
    let (leader, engine) = led_by(&servers.each_ref());
    let ada = organization(&engine).actor();
    add(&engine, &ada, "Checkout").unwrap();
    for server in &servers {
        until("every server shows it", || (shown(server, &ada) == ["Checkout"]).then_some(()));
    }
    let name = ["a", "b", "c"][leader];
    for (place, server) in servers.iter().enumerate().filter(|(place, _)| *place != leader) {
        let role = until("it follows", || match server.role() {
            Role::Follows { leader, engine: Some(engine) } => Some((leader, engine)),
            _ => None,
        });
        assert_eq!(role.0, Server::new(name, format!("http://{name}")), "server {place}");
        assert!(!role.1.is_writable());
        assert_eq!(add(&role.1, &ada, "Search"), Err(Code::Unavailable));
        until("what it shows is the present", || server.stale().is_none().then_some(()));
    }
    assert_eq!(servers.iter().filter(|server| leads(server).is_some()).count(), 1);
    assert_eq!(shown(&servers[leader], &ada), ["Checkout"], "what a follower refused has not happened");
}

#[test]
fn another_one_takes_over_and_goes_on() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), journal());
    let first = join(folder.path(), "a", &journal);
    let (_, engine) = led_by(&[&first]);
    let ada = organization(&engine).actor();
    let second = join(folder.path(), "b", &journal);
    add(&engine, &ada, "One").unwrap();
    drop(engine);
    // One that stops leaves the lead to whoever is there.
    first.stop();
    let (_, engine) = led_by(&[&second]);
    add(&engine, &ada, "Two").unwrap();
    let first = join(folder.path(), "a", &journal);
    until("the first has come back", || (shown(&first, &ada) == ["One", "Two"]).then_some(()));
    // One whose term is ended from outside is refused, and follows.
    let seen = first.changes();
    journal.depose().unwrap();
    assert_eq!(add(&engine, &ada, "Three"), Err(Code::Unavailable));
    assert!(engine.failure().is_some());
    drop(engine);
    let (_, engine) = led_by(&[&first]);
    assert!(first.changes() > seen);
    add(&engine, &ada, "Three").unwrap();
    until("the second follows", || (shown(&second, &ada) == ["One", "Three", "Two"]).then_some(()));
    assert_eq!(journal.leadership().unwrap().leader.map(|leader| leader.name), Some("a".to_owned()));
}

#[test]
fn a_copy_that_is_too_far_behind_is_made_anew() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), MemorySharedJournal::new([7; 16], 5));
    let (_first, engine, ada, second) = led_and_followed(folder.path(), &journal);
    second.stop();
    for number in 0..20 {
        add(&engine, &ada, &format!("Component {number}")).unwrap();
    }
    let second = join(folder.path(), "b", &journal);
    until("it shows all", || (shown(&second, &ada).len() == 20).then_some(()));
    assert_eq!(second.counts().1, 0, "nothing is lost");
}

#[test]
fn what_the_shared_journal_has_lost_is_put_aside() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), journal());
    let first = join(folder.path(), "a", &journal);
    let (_, engine) = led_by(&[&first]);
    let ada = organization(&engine).actor();
    add(&engine, &ada, "Kept").unwrap();
    let backup = journal.backup();
    add(&engine, &ada, "Lost").unwrap();
    let number = engine.head().position.number;
    drop(engine);
    journal.restore(&backup);
    let (_, engine) = until("it leads again, without what was lost", || {
        let engine = leads(&first).filter(Engine::is_writable)?;
        (shown(&first, &ada) == ["Kept"]).then_some((0, engine))
    });
    assert_eq!(first.counts().1, 1);
    add(&engine, &ada, "Next").unwrap();
    let aside = ReadOnly::open(folder.path().join("a").join(format!("lost-{number}"))).unwrap();
    let there = aside.query(&ListComponents, &ada).unwrap();
    assert_eq!(there.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["Kept", "Lost"]);
    assert!(aside.verify(&mut |_| ()).is_clean());
}

#[test]
fn folders_are_not_mistaken_for_others() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), journal());
    let own = folder.path().join("own");
    let created = organization(&Engine::open(&own).unwrap());
    let options = || ClusterOptions::new(Server::new("own", "http://own"));
    let shared = Arc::new(journal.clone());
    let refused = Cluster::join(&own, Arc::<MemorySharedJournal>::clone(&shared), options(), Engine::builder);
    assert!(matches!(refused, Err(OpenError::NotACopy)));
    // It is pushed, and goes on.
    let store = ReadOnly::open(&own).unwrap();
    let head = store.head();
    store.push(&*shared, &mut |_| ()).unwrap();
    assert_eq!(shared.last().unwrap(), head);
    assert!(matches!(store.push(&*shared, &mut |_| ()), Err(ToolError::NotEmptyStore)));
    drop(store);
    let server = join(folder.path(), "a", &journal);
    let (_, engine) = led_by(&[&server]);
    add(&engine, &created.actor(), "Search").unwrap();
    drop(engine);
    server.stop();
    assert!(matches!(Engine::open(folder.path().join("a")), Err(OpenError::SharedCopy)));
    // And comes out again.
    let out = folder.path().join("out");
    backup_shared(&*shared, &out, &mut |_| ()).unwrap();
    let engine = Engine::open(&out).unwrap();
    assert_eq!(engine.head(), shared.last().unwrap());
    assert_eq!(engine.query(&ListComponents, &created.actor()).unwrap().len(), 1);
    assert!(engine.verify(&mut |_| ()).is_clean());
}

#[test]
fn a_server_whose_clock_is_off_does_not_lead() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), journal());
    let mut options = ClusterOptions::new(Server::new("a", "http://a"));
    options.lease = LEASE;
    let off = || {
        let later = dogwatch_store::Clock::now(&dogwatch_store::SystemClock).plus(Duration::from_secs(60));
        Engine::builder().clock(dogwatch_store::ManualClock::at(later))
    };
    let server = Cluster::join(folder.path(), Arc::new(journal), options, off).unwrap();
    until("it says so", || server.trouble().filter(|why| why.contains("clock")));
    assert!(matches!(server.role(), Role::Nobody { engine: None }));
    assert_eq!(server.counts().0, 0);
}

/// A clock that is ahead of the system's by so many seconds.
#[derive(Clone, Default)]
struct Ahead(Arc<AtomicU64>);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(Duration::from_secs(self.0.load(Ordering::SeqCst)))
    }
}

#[test]
fn a_leader_whose_clock_jumps_leaves_the_lead_to_another() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), journal());
    let mut options = ClusterOptions::new(Server::new("a", "http://a"));
    options.lease = LEASE;
    let clock = Ahead::default();
    let its = clock.clone();
    let builder = move || Engine::builder().clock(its.clone());
    let first = Cluster::join(folder.path().join("a"), Arc::new(journal.clone()), options, builder).unwrap();
    let (_, engine) = led_by(&[&first]);
    let ada = organization(&engine).actor();
    drop(engine);
    let second = join(folder.path(), "b", &journal);
    until("it follows", || second.role().engine().map(drop));
    clock.0.store(60, Ordering::SeqCst);
    let (_, engine) = led_by(&[&second]);
    until("it says why", || first.trouble().filter(|why| why.contains("clock")));
    add(&engine, &ada, "Search").unwrap();
    until("the first follows", || (shown(&first, &ada) == ["Search"]).then_some(()));
    drop(engine);
    // It may lead again when its clock is right.
    clock.0.store(0, Ordering::SeqCst);
    until("nothing keeps it", || first.trouble().is_none().then_some(()));
    second.stop();
    led_by(&[&first]);
}

#[test]
fn a_leader_goes_on_when_the_clock_of_the_journal_jumps() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Ahead::default();
    let journal = MemorySharedJournal::with_clock([7; 16], 20_000, clock.clone());
    let only = join(folder.path(), "a", &journal);
    let (_, engine) = led_by(&[&only]);
    let ada = organization(&engine).actor();
    clock.0.store(60, Ordering::SeqCst);
    until("it says so", || only.trouble().filter(|why| why.contains("clock")));
    std::thread::sleep(LEASE);
    add(&engine, &ada, "Search").unwrap();
    assert_eq!(only.counts().0, 1, "it has led all the time");
}

#[test]
fn one_that_retires_leads_no_more() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), journal());
    let (first, engine, ada, second) = led_and_followed(folder.path(), &journal);
    drop(engine);
    first.retire();
    let (_, engine) = led_by(&[&second]);
    add(&engine, &ada, "Search").unwrap();
    until("the first follows", || (shown(&first, &ada) == ["Search"]).then_some(()));
    drop(engine);
    second.stop();
    // Nobody else is there: it shows what there is, and does not lead.
    until("the lease is over", || journal.leadership().unwrap().left.is_zero().then_some(()));
    std::thread::sleep(LEASE);
    assert!(matches!(first.role(), Role::Nobody { engine: Some(_) }), "{:?}", first.role());
    assert_eq!(shown(&first, &ada), ["Search"]);
    assert_eq!(first.counts().0, 1);
}

#[test]
fn the_journal_in_memory_conforms() {
    let (journal, elsewhere) = (journal(), MemorySharedJournal::new([8; 16], 20_000));
    let handle = |journal: &MemorySharedJournal| Arc::new(journal.clone()) as Handle;
    conforms(&handle(&journal), &handle(&journal), &handle(&elsewhere));
}
