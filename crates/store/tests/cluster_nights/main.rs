//! Three servers, whose clocks differ, on one shared journal that is reached over bad links: answers are lost, commits arrive late or twice, servers
//! are cut off, wait for seconds, stop and come back, and terms are ended from outside. Whoever asks a server that is sure that it leads must
//! find what was answered before, and whoever delivers never gets the same page from two at once. Afterwards it is looked whether what was answered is
//! there, once, with one page, and what was refused is not, and whether all copies hold the rows that the commits of the journal make. In other nights
//! the journal loses its last commits, as a replica does that was behind: what was answered is in a copy that was put aside then.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints"
)]

mod link;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_core::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position as Place, Target};
use dogwatch_core::id::{IncidentId, PolicyId};
use dogwatch_core::incident::{CreateIncident, GetIncident, IncidentList, ListIncidents, Severity};
use dogwatch_core::outbox::ListPages;
use dogwatch_core::{Actor, Code, Timestamp, UserId};
use dogwatch_store::backend::{Backend, Pair, SledBackend, SledOptions};
use dogwatch_store::cluster::{Cluster, ClusterOptions, MemorySharedJournal, Role, Server, SharedJournal};
use dogwatch_store::journal::{Commit, Head, Journal, Reading};
use dogwatch_store::{Clock, Engine, ReadOnly, SystemClock};
use dogwatch_testkit::fixture::organization;
use link::{Bug, Dice, Link};

const LEASE: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);
/// How long a page is claimed for.
const CLAIM: Duration = Duration::from_millis(2_600);
/// How far the clocks of the servers are off, in milliseconds: less than keeps one from leading.
const CLOCKS: [i64; 3] = [1_200, -1_200, 0];
/// By how much they differ from each other, at most.
const CLOCKS_DIFFER: Duration = Duration::from_millis(2_400);

/// A clock that differs from the system's by so many milliseconds.
struct Off(i64);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        Timestamp::clamped(SystemClock.now().as_millis() + self.0)
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn join(folder: &Path, place: usize, link: &Link) -> Cluster {
    let (name, off) = (NAMES[place], CLOCKS[place]);
    let builder = move || Engine::builder().clock(Off(off));
    let mut options = ClusterOptions::new(link.server.clone());
    options.lease = LEASE;
    options.cache_bytes = 4 << 20;
    let began = Instant::now();
    loop {
        // Whoever has asked something of the engine before may hold it for a moment.
        match Cluster::join(folder.join(name), Arc::new(link.clone()), options.clone(), builder) {
            Ok(cluster) => return cluster,
            Err(why) => assert!(began.elapsed() < LONG, "{why}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// What came of the commands of a night, by the title of the incident that each was to open.
#[derive(Default)]
struct Heard {
    done: Vec<String>,
    refused: Vec<String>,
    unknown: Vec<String>,
    /// The incident that was answered last.
    latest: Option<IncidentId>,
}

/// A night.
struct Night {
    folder: tempfile::TempDir,
    dice: Dice,
    journal: MemorySharedJournal,
    links: [Link; 3],
    servers: [Mutex<Option<Cluster>>; 3],
    /// Servers that nobody sends commands to, though they can be asked.
    shunned: [AtomicBool; 3],
    /// When a term was ended from outside: until the next renewal the server does not know.
    deposed: Mutex<Option<Instant>>,
    over: AtomicBool,
    heard: Mutex<Heard>,
}

impl Night {
    /// Three servers that have made an organization.
    fn begin(seed: u64, bug: Option<Bug>) -> Self {
        let (folder, journal) = (tempfile::tempdir().unwrap(), MemorySharedJournal::new([7; 16], usize::MAX));
        let (dice, faults, losses) = (Dice::new(seed), Arc::default(), Arc::default());
        let links = NAMES.map(|name| Link {
            server: Server::new(name, format!("http://{name}")),
            journal: journal.clone(),
            dice: dice.clone(),
            cut: Arc::default(),
            faults: Arc::clone(&faults),
            losses: Arc::clone(&losses),
            bug,
        });
        let servers = [0, 1, 2].map(|place| Mutex::new(Some(join(folder.path(), place, &links[place]))));
        let (shunned, deposed, over, heard) = Default::default();
        Self { folder, dice, journal, links, servers, shunned, deposed, over, heard }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Opens incidents at whichever server leads, until the night is over.
    fn open_incidents(&self, caller: usize, ada: &Actor, owner: UserId, policy: PolicyId) {
        let mut number = 0;
        while !self.is_over() {
            // Two may believe that they lead.
            for (server, shunned) in self.servers.iter().zip(&self.shunned) {
                let role = server.lock().unwrap().as_ref().map(Cluster::role);
                let Some(Role::Leads { engine, .. }) = role else { continue };
                if shunned.load(Ordering::SeqCst) {
                    continue;
                }
                number += 1;
                let title = format!("{caller}/{number}");
                let open = CreateIncident::new(title.parse().unwrap(), Severity::Low, owner);
                let open = CreateIncident { escalation_policy_id: Some(policy), ..open };
                let answer = engine.execute(open, ada);
                drop(engine);
                let mut heard = self.heard.lock().unwrap();
                match answer.map_err(|why| why.code()) {
                    Ok(incident) => {
                        heard.latest = Some(incident.id);
                        heard.done.push(title);
                    }
                    Err(Code::OutcomeUnknown) => heard.unknown.push(title),
                    Err(_) => heard.refused.push(title),
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asks every server that is sure that it leads for what was answered last, until the night is over. Gives how often it was there.
    fn ask_leaders(&self, ada: &Actor) -> u64 {
        let mut times = 0;
        while !self.is_over() {
            for (server, name) in self.servers.iter().zip(NAMES) {
                let Some(latest) = self.heard.lock().unwrap().latest else { continue };
                let asked = Instant::now();
                let engine = match server.lock().unwrap().as_ref() {
                    Some(cluster) => match cluster.role() {
                        Role::Leads { engine, .. } if cluster.stale().is_none() => engine,
                        _ => continue,
                    },
                    None => continue,
                };
                let found = engine.query(&GetIncident::new(latest), ada);
                drop(engine);
                let missing = found.is_err_and(|why| why.code() == Code::NotFound);
                let deposed = *self.deposed.lock().unwrap();
                let knows = deposed.is_none_or(|since| asked.saturating_duration_since(since) > 2 * LEASE);
                assert!(!missing || !knows, "{name} is sure that it leads, and does not know what was answered");
                times += 1;
            }
            thread::sleep(Duration::from_micros(200));
        }
        times
    }

    /// Claims pages at every server that leads, and confirms most of them, until the night is over. Gives how many it has confirmed.
    fn deliver(&self) -> u64 {
        let (mut held, mut confirmed) = (BTreeMap::new(), BTreeSet::new());
        while !self.is_over() {
            for server in &self.servers {
                let role = server.lock().unwrap().as_ref().map(Cluster::role);
                let Some(Role::Leads { engine, .. }) = role else { continue };
                let asked = Instant::now();
                for page in engine.claim(10, CLAIM).unwrap_or_default() {
                    assert!(!confirmed.contains(&page.id), "a page is claimed that was confirmed");
                    let since: Option<Instant> = held.insert(page.id, asked);
                    let early = since.is_some_and(|since| since.elapsed() < CLAIM - CLOCKS_DIFFER);
                    assert!(!early, "a page is claimed that somebody else holds");
                    if self.dice.draw(60) > 0 && engine.confirm(&[page.receipt()]).is_ok() {
                        confirmed.insert(page.id);
                    }
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
        u64::try_from(confirmed.len()).unwrap()
    }

    /// Does something to one of the servers, or to whoever leads; or has the journal lose its last commits.
    fn strike(&self, loses: bool) {
        let place = usize::try_from(self.dice.draw(3)).unwrap();
        let wait = |most| thread::sleep(Duration::from_millis(self.dice.draw(most)));
        match self.dice.draw(if loses { 9 } else { 6 }) {
            0 => {
                self.links[place].cut.store(true, Ordering::SeqCst);
                wait(800);
                self.links[place].cut.store(false, Ordering::SeqCst);
            }
            1 => {
                // The leader is alone: those who send commands are cut off from it, too, and find it again later than it finds the journal.
                let leader = self.journal.leadership().unwrap().leader;
                let place =
                    NAMES.iter().position(|name| leader.as_ref().is_some_and(|it| it.name == *name)).unwrap_or(place);
                self.shunned[place].store(true, Ordering::SeqCst);
                thread::sleep(LEASE / 6);
                self.links[place].cut.store(true, Ordering::SeqCst);
                thread::sleep(LEASE + LEASE / 3);
                wait(500);
                self.links[place].cut.store(false, Ordering::SeqCst);
                thread::sleep(LEASE / 2);
                self.shunned[place].store(false, Ordering::SeqCst);
            }
            2 => {
                let stopped = self.servers[place].lock().unwrap().take();
                drop(stopped);
                wait(300);
                let back = join(self.folder.path(), place, &self.links[place]);
                *self.servers[place].lock().unwrap() = Some(back);
            }
            3 => {
                *self.deposed.lock().unwrap() = Some(Instant::now());
                self.links[place].depose().unwrap();
                *self.deposed.lock().unwrap() = Some(Instant::now());
            }
            6.. => {
                // What is answered from now on is lost.
                let (backup, before) = (self.journal.backup(), self.heard.lock().unwrap().done.len());
                wait(150);
                let began = Instant::now();
                while self.heard.lock().unwrap().done.len() == before && began.elapsed() < 3 * LEASE {
                    thread::sleep(Duration::from_millis(1));
                }
                self.links[place].losses.fetch_add(1, Ordering::SeqCst);
                self.journal.restore(&backup);
                wait(300);
            }
            _ => wait(300),
        }
    }

    /// The engine that leads in the end.
    fn leader(&self) -> Engine {
        let began = Instant::now();
        loop {
            for server in &self.servers {
                if let Some(Role::Leads { engine, .. }) = server.lock().unwrap().as_ref().map(Cluster::role)
                    && engine.is_writable()
                {
                    return engine;
                }
            }
            assert!(began.elapsed() < LONG, "nobody leads");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends all servers once their copies hold the same, and gives how many terms there were, and how many copies that were put aside.
    fn end(self) -> (u64, Vec<ReadOnly>) {
        let Self { folder, journal, servers, .. } = self;
        let (mut terms, mut lost) = (0, 0);
        for server in servers {
            let server = server.into_inner().unwrap().unwrap();
            let began = Instant::now();
            while server.role().engine().map(Engine::head) != Some(journal.last().unwrap()) {
                assert!(began.elapsed() < LONG, "every copy comes to the end");
                thread::sleep(Duration::from_millis(5));
            }
            terms += server.counts().0;
            lost += server.counts().1;
            server.stop();
        }
        let expected = besides_meta(journal.rows());
        for name in NAMES {
            let path = folder.path().join(name);
            assert!(ReadOnly::open(&path).unwrap().verify(&mut |_| ()).is_clean(), "{name}");
            let copy = SledBackend::open(&path, &SledOptions::default()).unwrap();
            let rows = copy.scan(&[], &[0xFF]).collect::<Result<Vec<_>, _>>().unwrap();
            assert!(besides_meta(rows) == expected, "{name} holds what the journal does not, or lacks something");
        }
        let inside = NAMES.iter().flat_map(|name| std::fs::read_dir(folder.path().join(name)).unwrap());
        let aside =
            inside.map(|entry| entry.unwrap()).filter(|entry| entry.file_name().to_string_lossy().starts_with("lost-"));
        let aside: Vec<_> = aside.map(|entry| ReadOnly::open(entry.path()).unwrap()).collect();
        // Servers that were stopped in between counted from nothing.
        assert!(u64::try_from(aside.len()).unwrap() >= lost);
        (terms, aside)
    }
}

/// Says that a night is over, when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Rows without those in which a store describes itself: a copy says what it is a copy of.
fn besides_meta(rows: Vec<Pair>) -> Vec<Pair> {
    rows.into_iter().filter(|(key, _)| key.first() != Some(&0)).collect()
}

/// The titles of all incidents that a store shows, how often each is there, and their ids. Their numbers have no gaps.
fn shown(query: impl Fn(&ListIncidents) -> IncidentList) -> (BTreeMap<String, u64>, Vec<IncidentId>) {
    let (mut found, mut ids, mut numbers, mut list) =
        (BTreeMap::new(), Vec::new(), Vec::new(), ListIncidents::default());
    loop {
        let part = query(&list);
        for incident in &part.incidents {
            *found.entry(incident.title.to_string()).or_default() += 1;
            numbers.push(incident.sequential_id);
            ids.push(incident.id);
        }
        list.cursor = part.next_cursor;
        if list.cursor.is_none() {
            break;
        }
    }
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=u64::try_from(numbers.len()).unwrap()), "numbers have no gaps");
    (found, ids)
}

/// All commits of a journal that keeps all, which must follow one another, each made as its head says.
fn chain(journal: &MemorySharedJournal) -> Vec<Commit> {
    let Reading::Commits(commits) = journal.read(&Head::default(), usize::MAX).unwrap() else { panic!("all are kept") };
    let mut before = Head::default();
    for commit in &commits {
        assert_eq!(commit.before, before);
        assert_eq!(commit.head, before.after(commit.head.position.term, commit.at, &commit.rows));
        assert!(commit.head.position.term >= before.position.term, "terms never fall");
        before = commit.head;
    }
    assert_eq!(journal.last().unwrap(), before);
    commits
}

fn night(seed: u64, lasts: Duration, loses: bool, bug: Option<Bug>) {
    println!("seed {seed}");
    let night = Night::begin(seed, bug);
    let created = organization(&night.leader());
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let policy = {
        let engine = night.leader();
        let policy = engine.execute(CreatePolicy::new("Night".parse().unwrap()), &ada).unwrap().id;
        let (first, hour) = (Place::new(1).unwrap(), AckTimeout::from_minutes(60).unwrap());
        engine.execute(AddPolicyLayer::new(policy, first, hour, Target::user(owner)), &ada).unwrap();
        policy
    };
    night.links[0].faults.store(true, Ordering::SeqCst);
    let (asked, delivered) = thread::scope(|threads| {
        let (night, ada) = (&night, &ada);
        // Also when what happens to the servers panics, nobody goes on.
        let _over = Over(&night.over);
        for caller in 0..4 {
            threads.spawn(move || night.open_incidents(caller, ada, owner, policy));
        }
        // What was answered last may be lost, if commits are.
        let asks = (!loses).then(|| threads.spawn(|| night.ask_leaders(ada)));
        let delivers = (!loses).then(|| threads.spawn(|| night.deliver()));
        let has_ended = || [&asks, &delivers].into_iter().flatten().any(|thread| thread.is_finished());
        let began = Instant::now();
        while began.elapsed() < lasts && !has_ended() {
            night.strike(loses);
        }
        night.over.store(true, Ordering::SeqCst);
        let [asked, delivered] = [asks, delivers]
            .map(|thread| thread.map_or(0, |thread| thread.join().unwrap_or_else(|why| resume_unwind(why))));
        (asked, delivered)
    });
    night.links[0].faults.store(false, Ordering::SeqCst);
    // A commit that is still on its way arrives, and is refused or not.
    thread::sleep(Duration::from_millis(600));
    let mut found = {
        let engine = night.leader();
        let (found, ids) = shown(|list| engine.query(list, &ada).unwrap());
        for id in ids {
            assert_eq!(engine.query(&ListPages::new(id), &ada).unwrap().pages.len(), 1, "one incident, one page");
        }
        found
    };
    // The journal is a chain whose rows are what its commits made.
    let (journal, commits) = (night.journal.clone(), chain(&night.journal));
    let mut rows = BTreeMap::new();
    for (key, value) in commits.iter().flat_map(|commit| commit.rows.owned()) {
        match value {
            Some(value) => drop(rows.insert(key, value)),
            None => drop(rows.remove(&key)),
        }
    }
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), journal.rows());
    let heard = std::mem::take(&mut *night.heard.lock().unwrap());
    let (terms, aside) = night.end();
    assert!(loses || aside.is_empty(), "no copy was ahead");
    let lost: Vec<_> = aside.iter().map(|copy| shown(|list| copy.query(list, &ada).unwrap()).0).collect();
    let mut missing = 0;
    for title in &heard.done {
        let there = found.remove(title);
        let was_lost = there.is_none() && lost.iter().any(|copy| copy.get(title) == Some(&1));
        missing += u64::from(was_lost);
        assert!(there == Some(1) || was_lost, "{title} was answered");
    }
    for title in &heard.refused {
        assert_eq!(found.get(title), None, "{title} was refused");
    }
    for (title, times) in &found {
        assert!(heard.unknown.contains(title) && *times == 1, "{title} is there {times} times");
    }
    println!(
        "{} commits in {} terms, {} answered, {} refused, {} unknown; {asked} times asked, {delivered} delivered; {missing} lost, {} copies put aside",
        commits.len(),
        commits.last().map_or(0, |last| last.head.position.term),
        heard.done.len(),
        heard.refused.len(),
        heard.unknown.len(),
        aside.len(),
    );
    assert!(
        heard.done.len() > 20 && terms > 0 && if loses { missing > 0 } else { asked > 20 && delivered > 0 },
        "something happened"
    );
}

/// Nights with faults; `DOGWATCH_CLUSTER_SECONDS` makes each of them longer than 6 seconds, `DOGWATCH_CLUSTER_NIGHTS` more than two.
fn nights(loses: bool) {
    let number = |name: &str, default| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let lasts = Duration::from_secs(number("DOGWATCH_CLUSTER_SECONDS", 6));
    for seed in 0..number("DOGWATCH_CLUSTER_NIGHTS", 2) {
        night(seed, lasts, loses, None);
    }
}

#[test]
fn what_was_answered_is_there_and_what_was_refused_is_not() {
    nights(false);
}

#[test]
fn what_the_journal_loses_is_put_aside() {
    nights(true);
}

/// What a night with a known bug complains of, if it does.
fn complaint(seed: u64, bug: Bug) -> Option<String> {
    let payload = catch_unwind(|| night(seed, Duration::from_secs(4), false, Some(bug))).err()?;
    let text = payload.downcast_ref::<String>().cloned();
    Some(text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

/// The same nights notice what they are there to notice.
#[test]
fn known_bugs_are_noticed() {
    for (bug, expected) in [
        (Bug::PositionLeftOut, &["numbers have no gaps", "was answered", "was confirmed"][..]),
        (Bug::TakenForMade, &["was answered", "was confirmed"]),
        (Bug::RenewsByTaking, &["is sure that it leads"]),
    ] {
        let mut complaints = Vec::new();
        let noticed = (0..8).any(|seed| {
            complaints.extend(complaint(seed, bug));
            complaints.last().is_some_and(|text| expected.iter().any(|part| text.contains(part)))
        });
        println!("{bug:?}: {complaints:?}");
        assert!(noticed, "{bug:?}: {complaints:?}");
    }
}
