//! Many threads at once: all answers could have come from an engine that does one thing after the other, each between
//! its call and its answer.
//!
//! Writers and readers work on one engine in a folder, and note of each call when it began, when it was answered, and
//! what it wrote or read. The titles of some incidents are registers, and the number of incidents is one more. For the
//! history of each register an order is searched that explains it (Wing and Gong 1993; states that were tried are not
//! tried again, as by Lowe 2017). It is enough to look at each register by itself. Views are reads of all registers at
//! one moment. `DOGWATCH_WRITES` says how many commands each writer gives.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{
    CreateIncident, EditIncident, GetIncident, IncidentDetail, ListIncidents, ListLimit, Severity,
};
use dogwatch_core::text::Title;
use dogwatch_core::{Actor, Code, Error as Refusal, UserId};
use dogwatch_store::journal::{Head, Position};
use dogwatch_store::{Engine, EngineBuilder, Error, Transaction, View};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::{cases, times};
use proptest::prelude::*;

/// Something that was done between two ticks, one before the call and one after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Noted<T> {
    begun: u64,
    answered: u64,
    what: T,
}

impl<T> Noted<T> {
    /// Something else about the same call.
    fn say<U>(&self, what: U) -> Noted<U> {
        Noted { begun: self.begun, answered: self.answered, what }
    }
}

/// What was done to a register. No value is left in it twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    Read(u64),
    Wrote(u64),
    /// Both, with nothing in between.
    Swapped {
        found: u64,
        left: u64,
    },
}

impl Did {
    /// The value that the register must have held before.
    fn found(self) -> Option<u64> {
        match self {
            Self::Read(found) | Self::Swapped { found, .. } => Some(found),
            Self::Wrote(_) => None,
        }
    }

    /// The value that it holds since then.
    fn left(self) -> Option<u64> {
        match self {
            Self::Wrote(left) | Self::Swapped { left, .. } => Some(left),
            Self::Read(_) => None,
        }
    }
}

/// A state of the search: which operations have been put in order, and what the register holds after them. Operations
/// are named by their index in the history, in which they stand as they were begun.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Reached {
    /// The first that is not in order yet.
    first_left: usize,
    /// Those behind it that are.
    beyond: BTreeSet<usize>,
    value: u64,
}

impl Reached {
    fn has(&self, index: usize) -> bool {
        index < self.first_left || self.beyond.contains(&index)
    }

    fn count(&self) -> usize {
        self.first_left + self.beyond.len()
    }

    /// Those that may be next: no other that is left was answered before they were begun.
    fn next(&self, history: &[Noted<Did>]) -> Vec<usize> {
        let (mut next, mut answered) = (Vec::new(), u64::MAX);
        for (index, done) in history.iter().enumerate().skip(self.first_left) {
            if done.begun > answered {
                break;
            }
            if !self.has(index) {
                answered = answered.min(done.answered);
                next.push(index);
            }
        }
        next
    }

    /// The state with one more.
    fn with(&self, index: usize, did: Did) -> Self {
        let mut reached = self.clone();
        reached.value = did.left().unwrap_or(self.value);
        reached.beyond.insert(index);
        while reached.beyond.remove(&reached.first_left) {
            reached.first_left += 1;
        }
        reached
    }
}

/// Looks for an order of operations on a register in which each stands behind those that were answered before it was
/// begun, and finds what those before it have left. When there is none, says how far the search came.
fn linearizable(first: u64, mut history: Vec<Noted<Did>>) -> Result<(), String> {
    history.sort_by_key(|done| done.begun);
    let (mut written, mut finders) = (HashSet::from([first]), HashMap::<u64, Vec<usize>>::new());
    for (index, done) in history.iter().enumerate() {
        if let Some(left) = done.what.left().filter(|left| !written.insert(*left)) {
            return Err(format!("{left} was left twice"));
        }
        if let Some(found) = done.what.found() {
            finders.entry(found).or_default().push(index);
        }
    }
    let yet_to_find = |reached: &Reached| -> Vec<usize> {
        let all = finders.get(&reached.value).into_iter().flatten();
        all.copied().filter(|index| !reached.has(*index)).collect()
    };
    let mut furthest = Reached { first_left: 0, beyond: BTreeSet::new(), value: first };
    let (mut open, mut tried) = (vec![furthest.clone()], HashSet::new());
    while let Some(reached) = open.pop() {
        if reached.first_left == history.len() {
            return Ok(());
        }
        if !tried.insert(reached.clone()) {
            continue;
        }
        let mut next = reached.next(&history);
        next.retain(|index| history[*index].what.found().is_none_or(|found| found == reached.value));
        let read = next.iter().copied().find(|index| history[*index].what.left().is_none());
        if let Some(read) = read {
            // It changes nothing: if there is an order, there is one in which it stands here.
            next = vec![read];
        } else {
            // The value does not come again: whoever has yet to find it must do so before it is overwritten.
            let finders = yet_to_find(&reached);
            next.retain(|index| finders.iter().all(|finder| finder == index));
        }
        open.extend(next.iter().rev().map(|index| reached.with(*index, history[*index].what)));
        if reached.count() > furthest.count() {
            furthest = reached;
        }
    }
    let show = |found: Vec<usize>| found.into_iter().map(|index| history[index]).collect::<Vec<_>>();
    Err(format!(
        "no order gets further than {} of {} operations, to the value {}; next may be {:?}; yet to find it: {:?}",
        furthest.count(),
        history.len(),
        furthest.value,
        show(furthest.next(&history)),
        show(yet_to_find(&furthest)),
    ))
}

/// Two readings of a number that only grows, of which the later one is less.
fn fall(mut readings: Vec<Noted<u64>>) -> Option<(Noted<u64>, Noted<u64>)> {
    let mut answered = readings.clone();
    answered.sort_by_key(|reading| reading.answered);
    readings.sort_by_key(|reading| reading.begun);
    let (mut answered, mut greatest) = (answered.into_iter().peekable(), None::<Noted<u64>>);
    for reading in readings {
        while let Some(earlier) = answered.next_if(|earlier| earlier.answered < reading.begun) {
            if greatest.is_none_or(|greatest| greatest.what < earlier.what) {
                greatest = Some(earlier);
            }
        }
        if let Some(greatest) = greatest.filter(|greatest| greatest.what > reading.what) {
            return Some((greatest, reading));
        }
    }
    None
}

fn read(begun: u64, answered: u64, found: u64) -> Noted<Did> {
    Noted { begun, answered, what: Did::Read(found) }
}

fn wrote(begun: u64, answered: u64, left: u64) -> Noted<Did> {
    Noted { begun, answered, what: Did::Wrote(left) }
}

fn swapped(begun: u64, answered: u64, found: u64, left: u64) -> Noted<Did> {
    Noted { begun, answered, what: Did::Swapped { found, left } }
}

/// The register holds 0 at first. The numbers are when something was begun and answered, and the values.
#[test]
fn histories_that_have_an_order() {
    let table = [
        ("nothing", vec![]),
        ("a read of what was there", vec![read(1, 2, 0)]),
        ("one after the other", vec![wrote(1, 2, 7), read(3, 4, 7), wrote(5, 6, 8), read(7, 8, 8)]),
        ("a read during a write, before it", vec![wrote(1, 4, 7), read(2, 3, 0)]),
        ("a read during a write, after it", vec![wrote(1, 4, 7), read(2, 3, 7)]),
        ("a read that began first, after a write", vec![read(1, 4, 7), wrote(2, 3, 7)]),
        ("reads before and after a write, during it", vec![wrote(1, 6, 7), read(2, 3, 0), read(4, 5, 7)]),
        ("two writes at once, of which the first begun is last", vec![wrote(1, 4, 7), wrote(2, 3, 8), read(5, 6, 7)]),
        ("two writes at once, of which the last begun is last", vec![wrote(1, 4, 7), wrote(2, 3, 8), read(5, 6, 8)]),
        (
            "three writes at once, and reads that tell their order",
            vec![
                wrote(1, 10, 7),
                wrote(2, 11, 8),
                wrote(3, 12, 9),
                read(4, 5, 9),
                read(6, 7, 7),
                read(8, 9, 7),
                read(13, 14, 8),
            ],
        ),
        ("swaps at once, each of what the other left", vec![swapped(1, 4, 8, 7), swapped(2, 3, 0, 8), read(5, 6, 7)]),
        ("a swap of what is being written", vec![wrote(1, 4, 7), swapped(2, 3, 7, 8), read(5, 6, 8)]),
    ];
    for (name, history) in table {
        assert_eq!(linearizable(0, history), Ok(()), "{name}");
    }
}

/// As in `histories_that_have_an_order`.
#[test]
fn histories_that_have_none() {
    let table = [
        ("a value that nobody wrote", vec![read(1, 2, 7)]),
        ("a stale read after a write", vec![wrote(1, 2, 7), read(3, 4, 0)]),
        ("a stale read during a later write", vec![wrote(1, 2, 7), wrote(3, 6, 8), read(4, 5, 0)]),
        ("a read of a write to come", vec![read(1, 2, 7), wrote(3, 4, 7)]),
        ("reads that go back in time, during a write", vec![wrote(1, 6, 7), read(2, 3, 7), read(4, 5, 0)]),
        ("a write that is lost", vec![wrote(1, 2, 7), wrote(3, 4, 8), read(5, 6, 7)]),
        (
            "a value that comes back",
            vec![wrote(1, 10, 7), wrote(2, 11, 8), read(3, 4, 7), read(5, 6, 8), read(7, 8, 7)],
        ),
        (
            "two readers who see two writes in either order",
            vec![wrote(1, 14, 7), wrote(2, 15, 8), read(3, 6, 7), read(4, 5, 8), read(7, 10, 7), read(8, 11, 8)],
        ),
        (
            "three writes at once, of which the first that was read is last",
            vec![wrote(1, 10, 7), wrote(2, 11, 8), wrote(3, 12, 9), read(4, 5, 9), read(6, 7, 7), read(13, 14, 9)],
        ),
        ("two swaps of the same value", vec![swapped(1, 4, 0, 7), swapped(2, 3, 0, 8)]),
        ("a swap that loses a write", vec![wrote(1, 2, 7), swapped(3, 4, 0, 8), read(5, 6, 8)]),
        ("a swap of what a later one leaves", vec![swapped(1, 2, 7, 8), swapped(3, 4, 0, 7)]),
        ("a number that is given twice", vec![swapped(1, 2, 0, 1), swapped(3, 4, 0, 1)]),
        ("a number that is left out", vec![swapped(1, 2, 0, 1), swapped(3, 4, 2, 3)]),
    ];
    for (name, history) in table {
        assert!(linearizable(0, history).is_err(), "{name}");
    }
}

#[test]
fn numbers_that_fall_are_found() {
    let reading = |begun, answered, what| Noted { begun, answered, what };
    let grows = [
        vec![],
        vec![reading(1, 2, 5), reading(3, 4, 5), reading(5, 6, 7)],
        // At once, in either order.
        vec![reading(1, 4, 7), reading(2, 3, 5)],
        vec![reading(1, 4, 5), reading(2, 3, 7)],
        vec![reading(1, 3, 7), reading(2, 5, 5), reading(4, 6, 7)],
    ];
    for readings in grows {
        assert_eq!(fall(readings.clone()), None, "{readings:?}");
    }
    let (seven, five) = (reading(1, 2, 7), reading(4, 6, 5));
    assert_eq!(fall(vec![five, seven]), Some((seven, five)));
    // Others in between, which were answered later or saw less.
    assert_eq!(fall(vec![reading(0, 5, 9), seven, reading(0, 3, 4), five]), Some((seven, five)));
}

/// Whether there is an order, by trying all.
fn some_order(value: u64, left: &[Noted<Did>]) -> bool {
    let may_be_next = |done: &Noted<Did>| left.iter().all(|other| other.answered >= done.begun);
    let finds = |done: &Noted<Did>| done.what.found().is_none_or(|found| found == value);
    left.is_empty()
        || left.iter().enumerate().any(|(index, done)| {
            let others = [&left[..index], &left[index + 1..]].concat();
            may_be_next(done) && finds(done) && some_order(done.what.left().unwrap_or(value), &others)
        })
}

fn histories() -> impl Strategy<Value = Vec<Noted<Did>>> {
    let operation = (0..3_u8, 0..5_u64, 0..12_u64, 0..12_u64);
    prop::collection::vec(operation, 0..7).prop_map(|operations| {
        let noted = |(left, (kind, found, one, other)): (u64, (u8, u64, u64, u64))| {
            let what = match kind {
                0 => Did::Read(found),
                1 => Did::Wrote(left),
                _ => Did::Swapped { found, left },
            };
            Noted { begun: one.min(other), answered: one.max(other), what }
        };
        (1..).zip(operations).map(noted).collect::<Vec<_>>()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(2_000)))]

    #[test]
    fn the_search_finds_an_order_when_there_is_one(history in histories()) {
        prop_assert_eq!(linearizable(0, history.clone()).is_ok(), some_order(0, &history));
    }
}

/// The number of writers, and of readers.
const THREADS: usize = 8;
/// For each register, the number of incidents whose titles are its value. One transaction changes all of them.
const TITLES: [usize; 5] = [1, 1, 1, 1, 2];
const REGISTERS: usize = TITLES.len();
/// The value of each register at first. Writers write greater ones.
const FIRST: u64 = 0;
/// The number of commands after which a writer goes on to the next register.
const TURN: usize = 6;
/// How long a reader rests between two rounds, so that writers get to write.
const REST: Duration = Duration::from_micros(200);
/// What a view sees is overwritten in the backend meanwhile, if that is done at once.
const LONG: Duration = Duration::from_millis(3);

fn title(value: u64) -> Title {
    value.to_string().parse().unwrap()
}

fn value(detail: &IncidentDetail) -> u64 {
    detail.incident.title.as_str().parse().unwrap()
}

fn retitle(id: IncidentId, value: u64) -> EditIncident {
    EditIncident { title: Some(title(value)), ..EditIncident::new(id) }
}

/// The one value of the titles of a register.
fn agreed(values: &[u64]) -> u64 {
    let value = values[0];
    assert!(values.iter().all(|other| *other == value), "changed together, and seen apart: {values:?}");
    value
}

/// All that there is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    registers: [u64; REGISTERS],
    incidents: u64,
}

/// The incidents whose titles are registers, and who changes them.
struct Scene {
    ada: Actor,
    owner: UserId,
    registers: [Vec<IncidentId>; REGISTERS],
}

impl Scene {
    fn begin(engine: &Engine) -> Self {
        let created = organization(engine);
        let (ada, owner) = (created.actor(), created.admin.member.id);
        let open = || CreateIncident::new(title(FIRST), Severity::High, owner);
        let registers =
            TITLES.map(|titles| (0..titles).map(|_| engine.execute(open(), &ada).unwrap().id).collect::<Vec<_>>());
        Self { ada, owner, registers }
    }

    /// The value of a register in a view, with a pause before each title is read.
    fn register(&self, register: usize, view: &View, pause: impl Fn()) -> u64 {
        let titles = self.registers[register].iter().map(|id| {
            pause();
            value(&view.query(&GetIncident::new(*id), &self.ada).unwrap())
        });
        agreed(&titles.collect::<Vec<_>>())
    }

    /// The number of incidents in a view, which are numbered without holes.
    fn incidents(&self, view: &View) -> u64 {
        let mut list = ListIncidents { limit: ListLimit::MAX, ..Default::default() };
        let mut numbers = BTreeSet::new();
        loop {
            let page = view.query(&list, &self.ada).unwrap();
            numbers.extend(page.incidents.iter().map(|incident| incident.sequential_id));
            list.cursor = page.next_cursor;
            if list.cursor.is_none() {
                break;
            }
        }
        let newest = *numbers.last().unwrap();
        assert!(numbers.iter().copied().eq(1..=newest), "there are holes in {numbers:?}");
        newest
    }

    fn seen(&self, view: &View, pause: impl Fn()) -> Seen {
        let registers = std::array::from_fn(|register| self.register(register, view, &pause));
        Seen { registers, incidents: self.incidents(view) }
    }
}

/// What threads have noted.
#[derive(Default)]
struct Notes {
    registers: [Vec<Noted<Did>>; REGISTERS],
    /// The number of incidents: a new one finds the number before its own, and leaves its own.
    incidents: Vec<Noted<Did>>,
    /// The numbers of the last commits.
    commits: Vec<Noted<u64>>,
    moments: Vec<(Head, Seen)>,
}

impl Notes {
    fn add(&mut self, notes: Self) {
        for (history, more) in self.registers.iter_mut().zip(notes.registers) {
            history.extend(more);
        }
        self.incidents.extend(notes.incidents);
        self.commits.extend(notes.commits);
        self.moments.extend(notes.moments);
    }

    /// Checks all that was noted of an engine that began with so many incidents.
    fn check(self, setting: &str, incidents: u64) {
        for (register, history) in self.registers.into_iter().enumerate() {
            if let Err(why) = linearizable(FIRST, history) {
                panic!("{setting}, register {register}: {why}");
            }
        }
        if let Err(why) = linearizable(incidents, self.incidents) {
            panic!("{setting}, the number of incidents: {why}");
        }
        if let Some((earlier, later)) = fall(self.commits) {
            panic!("{setting}, the last commit went back: {earlier:?}, then {later:?}");
        }
        let mut known: HashMap<Position, (Head, Seen)> = HashMap::new();
        for moment in self.moments {
            let before = known.entry(moment.0.position).or_insert(moment);
            assert_eq!(*before, moment, "{setting}, two views of one moment");
        }
    }
}

/// An engine with threads at work.
struct Stage {
    engine: Engine,
    scene: Scene,
    ticks: AtomicU64,
    /// The number of writers that have not ended.
    writing: AtomicUsize,
}

/// A writer that has not ended. Readers end when there is none, also when one has panicked.
struct Writing<'a>(&'a AtomicUsize);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Stage {
    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// Makes a call and notes when.
    fn noted<R>(&self, call: impl FnOnce() -> R) -> Noted<R> {
        let begun = self.tick();
        let what = call();
        let answered = self.tick();
        Noted { begun, answered, what }
    }

    /// Gives commands, all kinds for each register, and looks after each what has become of it.
    fn write(&self, writer: usize, writes: usize) -> Notes {
        let _writing = Writing(&self.writing);
        let mut notes = Notes::default();
        for n in 0..writes {
            let register = (writer + n / TURN) % REGISTERS;
            let value = u64::try_from(n * THREADS + writer).unwrap() + 1;
            match (writer + n) % TURN {
                0 => self.open(&mut notes),
                1 => self.change_and_undo(register, value),
                2 => self.swap(register, value, &mut notes),
                _ => self.assign(register, value, &mut notes),
            }
            if n % 2 == 0 { self.read(register, n, &mut notes) } else { self.glance(register, &mut notes) }
        }
        notes
    }

    /// Reads until nobody writes, but not for ever.
    fn look(&self, reader: usize, most: usize) -> Notes {
        let mut notes = Notes::default();
        for round in 0..most {
            if self.writing.load(Ordering::SeqCst) == 0 {
                break;
            }
            match round % 4 {
                0 | 1 => self.read((reader + round) % REGISTERS, round, &mut notes),
                2 => self.newest(&mut notes),
                _ => self.look_around(reader + round / 4, &mut notes),
            }
            thread::sleep(REST);
        }
        self.look_around(0, &mut notes);
        notes
    }

    fn open(&self, notes: &mut Notes) {
        let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, self.scene.owner);
        let done = self.noted(|| self.engine.execute(open, &self.scene.ada).unwrap());
        let left = done.what.sequential_id;
        notes.incidents.push(done.say(Did::Swapped { found: left - 1, left }));
    }

    /// A transaction that changes the first title of a register, and does not happen: nobody must ever read the value.
    fn change_and_undo(&self, register: usize, value: u64) {
        let id = self.scene.registers[register][0];
        let undone = self.engine.transact(&self.scene.ada, move |tx| {
            tx.execute(retitle(id, value))?;
            Err::<(), _>(Refusal::refused(Code::NotFound, "on second thoughts").into())
        });
        assert_eq!(undone.unwrap_err().code(), Code::NotFound);
    }

    fn swap(&self, register: usize, left: u64, notes: &mut Notes) {
        let ids = self.scene.registers[register].clone();
        let swap = || {
            let swapped = self.engine.transact(&self.scene.ada, move |tx| {
                let mut found = Vec::new();
                for id in ids {
                    found.push(value(&tx.query(&GetIncident::new(id))?));
                    tx.execute(retitle(id, left))?;
                }
                Ok(found)
            });
            swapped.unwrap()
        };
        let done = self.noted(swap);
        notes.registers[register].push(done.say(Did::Swapped { found: agreed(&done.what), left }));
    }

    /// A command when one is enough, else a transaction.
    fn assign(&self, register: usize, value: u64, notes: &mut Notes) {
        let ids = self.scene.registers[register].clone();
        let assign = || {
            if ids.len() == 1 {
                self.engine.execute(retitle(ids[0], value), &self.scene.ada).unwrap();
                return;
            }
            let all = move |tx: &mut Transaction<'_, '_>| -> Result<(), Error> {
                ids.into_iter().try_for_each(|id| tx.execute(retitle(id, value)).map(drop))
            };
            self.engine.transact(&self.scene.ada, all).unwrap();
        };
        let done = self.noted(assign);
        notes.registers[register].push(done.say(Did::Wrote(value)));
    }

    /// Reads one of the titles of a register.
    fn read(&self, register: usize, which: usize, notes: &mut Notes) {
        let ids = &self.scene.registers[register];
        let get = GetIncident::new(ids[which % ids.len()]);
        let done = self.noted(|| self.engine.query(&get, &self.scene.ada).unwrap());
        notes.registers[register].push(done.say(Did::Read(value(&done.what))));
    }

    /// Reads the number of the newest incident, and that of the last commit.
    fn newest(&self, notes: &mut Notes) {
        let list = ListIncidents::default();
        let done = self.noted(|| self.engine.query(&list, &self.scene.ada).unwrap());
        let newest = done.what.incidents.iter().map(|incident| incident.sequential_id).max().unwrap();
        notes.incidents.push(done.say(Did::Read(newest)));
        let done = self.noted(|| self.engine.head());
        notes.commits.push(done.say(done.what.position.number));
    }

    /// Takes a view for one register.
    fn glance(&self, register: usize, notes: &mut Notes) {
        let taken = self.noted(|| self.engine.view());
        let found = self.scene.register(register, &taken.what, || ());
        notes.registers[register].push(taken.say(Did::Read(found)));
        notes.commits.push(taken.say(taken.what.head().position.number));
    }

    /// Takes a view for everything, and looks twice: with pauses of which some are long, and without.
    fn look_around(&self, round: usize, notes: &mut Notes) {
        let taken = self.noted(|| self.engine.view());
        let seen = self.scene.seen(&taken.what, || match round % 8 {
            0..3 => (),
            yields @ 3..7 => (0..yields).for_each(|_| thread::yield_now()),
            _ => thread::sleep(LONG),
        });
        assert_eq!(self.scene.seen(&taken.what, || ()), seen, "a view that changes");
        for (history, found) in notes.registers.iter_mut().zip(seen.registers) {
            history.push(taken.say(Did::Read(found)));
        }
        notes.incidents.push(taken.say(Did::Read(seen.incidents)));
        notes.commits.push(taken.say(taken.what.head().position.number));
        notes.moments.push((taken.what.head(), seen));
    }
}

/// What is committed stays in memory for a while, or is brought into the backend at once, behind the backs of views.
fn settings() -> [(&'static str, EngineBuilder); 2] {
    let at_once = Engine::builder().checkpoint_after(Duration::from_millis(1), 1);
    [("as it comes", Engine::builder()), ("brought in at once", at_once)]
}

#[test]
fn many_threads_see_one_history() {
    let writes = times("DOGWATCH_WRITES", 150_usize);
    for (setting, builder) in settings() {
        let folder = tempfile::tempdir().unwrap();
        let engine = builder.open(folder.path()).unwrap();
        let scene = Scene::begin(&engine);
        let incidents = scene.incidents(&engine.view());
        let (ticks, writing) = (AtomicU64::new(0), AtomicUsize::new(THREADS));
        let stage = Stage { engine, scene, ticks, writing };
        let (on, mut notes) = (&stage, Notes::default());
        thread::scope(|scope| {
            let begin = |n| [scope.spawn(move || on.write(n, writes)), scope.spawn(move || on.look(n, 4 * writes))];
            let threads: Vec<_> = (0..THREADS).flat_map(begin).collect();
            threads.into_iter().for_each(|thread| notes.add(thread.join().unwrap()));
        });
        notes.check(setting, incidents);

        // And all of it is in order, and durable.
        let Stage { engine, scene, .. } = stage;
        let report = engine.verify(&mut |_| ());
        assert!(report.is_clean(), "{setting}: {report:#?}");
        let last = scene.seen(&engine.view(), || ());
        drop(engine);
        let again = Engine::open(folder.path()).unwrap();
        assert_eq!(scene.seen(&again.view(), || ()), last, "{setting}, opened again");
    }
}
