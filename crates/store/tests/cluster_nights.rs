//! Three servers, whose clocks differ, on one shared journal that is reached over bad links: answers are lost, commits arrive late or twice, servers
//! are cut off, wait for seconds, stop and come back, and terms are ended from outside. Whoever asks a server that is sure that it leads must
//! find what was answered before. Afterwards it is looked whether what was answered is there, once, and what was refused is not. In other nights
//! the journal loses its last commits, as a replica does that was behind: what was answered is in a copy that was put aside then.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints"
)]

use std::collections::BTreeMap;
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{CreateIncident, GetIncident, IncidentList, ListIncidents, Severity};
use dogwatch_core::{Actor, Code, Timestamp, UserId};
use dogwatch_store::backend::{BackendError, Pair};
use dogwatch_store::cluster::{
    Campaign, Cluster, ClusterOptions, FillError, Leadership, MemorySharedJournal, Role, Server, SharedJournal,
};
use dogwatch_store::journal::{AppendError, Commit, Head, Journal, Position, Reading, Rows};
use dogwatch_store::{Clock, Engine, ReadOnly, SystemClock};
use dogwatch_testkit::fixture::organization;

const LEASE: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);
/// How far the clocks of the servers are off, in milliseconds: less than keeps one from leading.
const CLOCKS: [i64; 3] = [1_200, -1_200, 0];
/// How long a link asks what became of a commit before it gives up.
const PATIENCE: Duration = Duration::from_millis(400);

/// Numbers that are drawn, the same for the same seed.
#[derive(Clone)]
struct Dice(Arc<AtomicU64>);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    fn draw(&self, below: u64) -> u64 {
        let mut x = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % below
    }
}

/// A known bug of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// A commit is appended after whatever is last, although it was decided against something else.
    PositionLeftOut,
    /// A commit whose answer was lost counts as made.
    TakenForMade,
    /// Whoever renews a lease that is another server's now, has it again.
    RenewsByTaking,
}

/// A clock that differs from the system's by so many milliseconds.
struct Off(i64);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        Timestamp::clamped(SystemClock.now().as_millis() + self.0)
    }
}

/// The way from one server to the journal.
#[derive(Clone)]
struct Link {
    server: Server,
    journal: MemorySharedJournal,
    dice: Dice,
    cut: Arc<AtomicBool>,
    faults: Arc<AtomicBool>,
    /// How often the journal has lost commits.
    losses: Arc<AtomicU64>,
    bug: Option<Bug>,
}

impl Link {
    fn passes(&self) -> Result<(), BackendError> {
        if self.faults.load(Ordering::SeqCst) && self.dice.draw(40) == 0 {
            thread::sleep(Duration::from_millis(self.dice.draw(30)));
        }
        if self.cut.load(Ordering::SeqCst) {
            return Err(BackendError::new("reaching the journal", "the link is cut"));
        }
        Ok(())
    }

    /// What became of a commit whose answer was lost: it is sent again, and if that is refused, looked for.
    fn resolve(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        let began = Instant::now();
        if self.bug == Some(Bug::TakenForMade) {
            return Ok(after.after(term, at, rows));
        }
        while began.elapsed() < PATIENCE {
            if self.passes().is_err() {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            let expected = after.after(term, at, rows);
            return match self.journal.append(term, after, at, rows) {
                Ok(head) => Ok(head),
                Err(_) => match self.journal.read(after, 1) {
                    Ok(Reading::Commits(next)) if next.first().is_some_and(|one| one.head == expected) => Ok(expected),
                    _ => Err(AppendError::Deposed),
                },
            };
        }
        Err(AppendError::Unknown(BackendError::new("appending", "the link is cut")))
    }
}

impl Journal for Link {
    fn last(&self) -> Result<Head, BackendError> {
        self.passes()?;
        self.journal.last()
    }

    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        if !self.faults.load(Ordering::SeqCst) {
            return self.journal.append(term, after, at, rows);
        }
        if self.bug == Some(Bug::PositionLeftOut) {
            let present = self.journal.leadership().map(|it| (it.term, it.head));
            let (present, head) = present.map_err(AppendError::NotAppended)?;
            return self.journal.append(present, &head, at, rows).map(|_| after.after(term, at, rows));
        }
        match self.dice.draw(30) {
            // It is lost on its way there.
            0 => self.resolve(term, after, at, rows),
            // Its answer is lost on the way back.
            1 => {
                let _ = self.journal.append(term, after, at, rows);
                self.resolve(term, after, at, rows)
            }
            // It arrives once more, much later.
            2 => {
                let (journal, after, rows, late) = (self.journal.clone(), *after, rows.clone(), self.dice.draw(500));
                let (again, losses) = (rows.clone(), Arc::clone(&self.losses));
                let before = losses.load(Ordering::SeqCst);
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(late));
                    // It was on its way to the replica that is gone.
                    if losses.load(Ordering::SeqCst) == before {
                        let _ = journal.append(term, &after, at, &again);
                    }
                });
                self.journal.append(term, &after, at, &rows)
            }
            // The server stops in the middle of it, for longer than its lease.
            3 => {
                thread::sleep(Duration::from_millis(200 + self.dice.draw(400)));
                self.journal.append(term, after, at, rows)
            }
            _ if self.passes().is_err() => self.resolve(term, after, at, rows),
            _ => self.journal.append(term, after, at, rows),
        }
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        self.passes()?;
        self.journal.read(from, most)
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        self.passes()?;
        self.journal.head_at(position)
    }

    fn forget(&self, up_to: Position) -> Result<(), BackendError> {
        self.journal.forget(up_to)
    }

    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError> {
        self.journal.kept_for(from, up_to)
    }

    fn size(&self) -> Result<u64, BackendError> {
        self.journal.size()
    }
}

impl SharedJournal for Link {
    fn identity(&self) -> Result<[u8; 16], BackendError> {
        self.passes()?;
        self.journal.identity()
    }

    fn leadership(&self) -> Result<Leadership, BackendError> {
        self.passes()?;
        self.journal.leadership()
    }

    fn campaign(&self, server: &Server, seen: u64, lease: Duration) -> Result<Campaign, BackendError> {
        self.passes()?;
        // The answer may be lost although the term has begun.
        let won = self.journal.campaign(server, seen, lease)?;
        if self.faults.load(Ordering::SeqCst) && self.dice.draw(8) == 0 {
            return Err(BackendError::new("campaigning", "the answer is lost"));
        }
        Ok(won)
    }

    fn renew(&self, term: u64, lease: Duration) -> Result<Option<Head>, BackendError> {
        self.passes()?;
        match self.journal.renew(term, lease)? {
            None if self.bug == Some(Bug::RenewsByTaking) => {
                self.journal.depose()?;
                let seen = self.journal.leadership()?.term;
                self.journal.campaign(&self.server, seen, lease)?;
                self.journal.last().map(Some)
            }
            renewed => Ok(renewed),
        }
    }

    fn resign(&self, term: u64) -> Result<(), BackendError> {
        self.passes()?;
        self.journal.resign(term)
    }

    fn depose(&self) -> Result<(), BackendError> {
        self.journal.depose()
    }

    fn copy(&self, take: &mut dyn FnMut(Pair) -> Result<(), BackendError>) -> Result<Head, BackendError> {
        self.passes()?;
        self.journal.copy(take)
    }

    fn fill(&self, head: &Head, rows: &mut dyn Iterator<Item = Result<Pair, BackendError>>) -> Result<(), FillError> {
        self.journal.fill(head, rows)
    }

    fn agree_on_key(&self, fingerprint: &[u8; 16]) -> Result<bool, BackendError> {
        self.journal.agree_on_key(fingerprint)
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
    fn open_incidents(&self, caller: usize, ada: &Actor, owner: UserId) {
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
        let copies = NAMES.map(|name| {
            let copy = ReadOnly::open(folder.path().join(name)).unwrap();
            assert!(copy.verify(&mut |_| ()).is_clean(), "{name}");
            format!("{:?}", copy.stats().unwrap().tables)
        });
        assert!(copies.iter().all(|copy| *copy == copies[0]), "{copies:?}");
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

/// The titles of all incidents that a store shows, and their numbers, which have no gaps.
fn shown(query: impl Fn(&ListIncidents) -> IncidentList) -> BTreeMap<String, u64> {
    let (mut found, mut numbers, mut list) = (BTreeMap::new(), Vec::new(), ListIncidents::default());
    loop {
        let part = query(&list);
        for incident in &part.incidents {
            *found.entry(incident.title.to_string()).or_default() += 1;
            numbers.push(incident.sequential_id);
        }
        list.cursor = part.next_cursor;
        if list.cursor.is_none() {
            break;
        }
    }
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=u64::try_from(numbers.len()).unwrap()), "numbers have no gaps");
    found
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
    night.links[0].faults.store(true, Ordering::SeqCst);
    let asked = thread::scope(|threads| {
        let (night, ada) = (&night, &ada);
        // Also when what happens to the servers panics, nobody goes on.
        let _over = Over(&night.over);
        for caller in 0..4 {
            threads.spawn(move || night.open_incidents(caller, ada, owner));
        }
        // What was answered last may be lost, if commits are.
        let asks = (!loses).then(|| threads.spawn(|| night.ask_leaders(ada)));
        let began = Instant::now();
        while began.elapsed() < lasts && !asks.as_ref().is_some_and(|asks| asks.is_finished()) {
            night.strike(loses);
        }
        night.over.store(true, Ordering::SeqCst);
        asks.map_or(0, |asks| asks.join().unwrap_or_else(|why| resume_unwind(why)))
    });
    night.links[0].faults.store(false, Ordering::SeqCst);
    // A commit that is still on its way arrives, and is refused or not.
    thread::sleep(Duration::from_millis(600));
    let mut found = {
        let engine = night.leader();
        shown(|list| engine.query(list, &ada).unwrap())
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
    let lost: Vec<_> = aside.iter().map(|copy| shown(|list| copy.query(list, &ada).unwrap())).collect();
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
        "{} commits in {} terms, {} answered, {} refused, {} unknown; {asked} times asked; {missing} lost, {} copies put aside",
        commits.len(),
        commits.last().map_or(0, |last| last.head.position.term),
        heard.done.len(),
        heard.refused.len(),
        heard.unknown.len(),
        aside.len(),
    );
    assert!(heard.done.len() > 20 && terms > 0 && if loses { missing > 0 } else { asked > 20 }, "something happened");
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
        (Bug::PositionLeftOut, &["numbers have no gaps", "was answered"][..]),
        (Bug::TakenForMade, &["was answered"]),
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
