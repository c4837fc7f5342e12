//! On-call schedules under random edits: the engine, core's world in memory, and a naive oracle must agree.
//!
//! Every command goes to the engine and to the world in memory, which must reply the same. The oracle ([`crate::oracle`]) is
//! written from the contract's section 8: it keeps every version of a layer, and finds whose turn it is by walking from
//! boundary to boundary on the calendar. Answers about the past are kept and must never change.

use std::fmt::Debug;

use arbitrary::{Result, Unstructured};
use dogwatch_core::id::{OverrideId, RotationLayerId, ScheduleId};
use dogwatch_core::memory::MemoryState;
use dogwatch_core::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, DeleteOverride, EditRotationLayer, EditSchedule, HandoffTime,
    LayerSettings, OnCallNow, OrderRotationLayers, RemoveRotationLayer, ResolveOnCall, RotationLength, RotationType,
    ShiftsOnCall,
};
use dogwatch_core::team::{AddMember, RemoveMember, Role};
use dogwatch_core::{Actor, Command, IdSource, Patch, Query, Timestamp, UserId};
use dogwatch_store::backend::MemoryBackend;
use dogwatch_store::{Engine, ManualClock};

use crate::fixture::{self, valid};
use crate::model::Millis;
use crate::oracle::{LayerState, OverrideState, Roster, Settings};

const HOUR: Millis = 3_600_000;
const DAY: Millis = 24 * HOUR;
const SEED: [u8; 32] = [5; 32];
/// The most steps of one run.
const LONGEST: usize = 25;
/// How far after its beginning a run looks, in milliseconds: 25 steps of up to 4 days, and then the next change.
const HORIZON: Millis = 500 * DAY;

/// Time zones with unusual rules, such as gaps at midnight, shifts by half an hour or a skipped day, and some without.
const ZONES: [&str; 16] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "America/Havana",
    "Atlantic/Azores",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Antarctica/Troll",
    "Europe/Dublin",
    "America/St_Johns",
    "America/Vancouver",
];

/// Runs a sequence of edits made from bytes; panics at the first difference.
pub fn run(bytes: &[u8]) {
    run_on(bytes, MemoryBackend::new());
}

/// As [`run`], on a backend that the caller looks at afterwards.
pub fn run_on(bytes: &[u8], backend: MemoryBackend) {
    let mut source = Unstructured::new(bytes);
    let Ok(mut run) = ScheduleTest::begin(&mut source, backend.clone()) else { return };
    for _ in 0..LONGEST {
        if source.is_empty() || run.step(&mut source).is_err() {
            break;
        }
        run.compare(&mut source);
    }
    // Opened again, the store must give the same answers about now and about the past.
    let clock = run.clock.clone();
    run.engine = Engine::in_memory().unwrap();
    run.engine = Engine::builder().clock(clock).with_backend(backend).unwrap();
    run.compare(&mut source);
}

struct ScheduleTest {
    engine: Engine,
    world: MemoryState,
    ids: IdSource,
    clock: ManualClock,
    admin: Actor,
    schedule: ScheduleId,
    /// Everybody who ever joined, and whether they are a member now; the first is the admin.
    people: Vec<(UserId, bool)>,
    layers: Vec<RotationLayerId>,
    overrides: Vec<OverrideId>,
    oracle: Roster,
    horizon: Millis,
    /// Instants that are past, and what the engine answered for each.
    seen: Vec<(Millis, String)>,
}

fn at(millis: Millis) -> Timestamp {
    Timestamp::clamped(millis)
}

impl ScheduleTest {
    fn begin(source: &mut Unstructured<'_>, backend: MemoryBackend) -> Result<Self> {
        // Most runs begin in 2026 or 2027; some begin on 27 December 2011 or in the year after it: Samoa skipped the 30th.
        let now = if source.ratio(1_u8, 8)? { 1_325_000_000_000 } else { 1_775_556_000_000 };
        let now = now + source.int_in_range(0..=400)? * DAY + source.int_in_range(0..=1_439)? * 60_000;
        let clock = ManualClock::at(at(now));
        let engine = Engine::builder().clock(clock.clone()).id_seed(SEED).with_backend(backend).unwrap();
        let (mut world, mut ids) = (MemoryState::new(), IdSource::from_seed(SEED));
        let create = fixture::create_organization();
        let created = engine.execute(create.clone(), &Actor::Operator).unwrap();
        assert_eq!(created, world.execute(create, &Actor::Operator, at(now), &mut ids).unwrap());
        let admin = created.actor();
        let zone = *source.choose(&ZONES)?;
        let create = CreateSchedule { name: valid("Night"), description: None, timezone: zone.to_owned() };
        let schedule = engine.execute(create.clone(), &admin).unwrap();
        assert_eq!(schedule, world.execute(create, &admin, at(now), &mut ids).unwrap());
        let mut run = Self {
            engine,
            world,
            ids,
            clock,
            admin,
            schedule: schedule.id,
            people: vec![(created.admin.member.id, true)],
            layers: Vec::new(),
            overrides: Vec::new(),
            oracle: Roster::new(zone, now),
            horizon: now + HORIZON,
            seen: Vec::new(),
        };
        (0..4).for_each(|_| run.join());
        Ok(run)
    }

    fn now(&self) -> Millis {
        self.engine.now().as_millis()
    }

    /// Executes the same command on both; both must give the same reply or code.
    fn both<C: Command + Clone + Debug>(&mut self, command: C, actor: &Actor) -> Option<C::Reply>
    where
        C::Reply: PartialEq + Debug,
    {
        let shown = format!("{command:?}");
        let engine = self.engine.execute(command.clone(), actor).map_err(|error| error.code());
        let now = self.engine.now();
        let world = self.world.execute(command, actor, now, &mut self.ids).map_err(|error| error.code());
        assert_eq!(engine, world, "{shown}");
        engine.ok()
    }

    fn ask<Q: Query + Debug>(&self, query: &Q) -> Q::Reply
    where
        Q::Reply: PartialEq + Debug,
    {
        let engine = self.engine.query(query, &self.admin).unwrap();
        assert_eq!(engine, self.world.query(query, &self.admin).unwrap(), "{query:?}");
        engine
    }

    fn join(&mut self) {
        let Actor::Member { org_id: org, .. } = self.admin else { panic!("the admin is a member") };
        let email = valid(&format!("user{}@example.com", self.people.len()));
        let add = AddMember::new(org, email, valid("User"), valid("Number"), Role::Member);
        let joined = self.both(add, &Actor::Operator).unwrap();
        self.people.push((joined.member.id, true));
    }

    fn step(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        match source.int_in_range(0..=15)? {
            0..=2 => self.add_layer(source)?,
            3..=6 => self.edit_layer(source)?,
            7 => self.remove_layer(source)?,
            8 => self.reorder(source)?,
            9 => self.change_zone(source)?,
            10 => self.remove_member(source)?,
            11 | 12 => self.add_override(source)?,
            13 => self.delete_override(source)?,
            _ => {
                // The clock goes forward most often; sometimes it jumps back.
                let by = source.int_in_range(-24..=96)? * HOUR + source.int_in_range(0..=2)? * 617;
                self.clock.set(at(self.now() + by));
            }
        }
        Ok(())
    }

    fn someone(&self, source: &mut Unstructured<'_>) -> Result<usize> {
        source.choose_index(self.people.len())
    }

    /// Settings of a rotation layer as a client would send them, some of them invalid, in the form that the oracle reads.
    fn settings(&self, source: &mut Unstructured<'_>) -> Result<Settings> {
        let now = self.now();
        let from = now + source.int_in_range(-40..=20)? * DAY + source.int_in_range(-20..=20)? * HOUR;
        let until = if source.ratio(1_u8, 4)? { Some(from + source.int_in_range(-1..=50)? * DAY) } else { None };
        let count = source.int_in_range(1..=4)?;
        let people = (0..count).map(|_| self.someone(source)).collect::<Result<_>>()?;
        Ok(Settings {
            zone: self.oracle.zone.clone(),
            days: *source.choose(&[1, 1, 1, 2, 3, 7])?,
            handoff: *source.choose(&[0, 0, 30, 90, 150, 540, 1_410])?,
            from,
            until,
            people,
        })
    }

    fn add_layer(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let settings = self.settings(source)?;
        let length = RotationLength::new(RotationType::Custom, settings.days).unwrap();
        let handoff = HandoffTime::from_minutes(settings.handoff).unwrap();
        let people = settings.people.iter().map(|person| self.people[*person].0).collect();
        let made = LayerSettings {
            effective_until: settings.until.map(at),
            ..LayerSettings::new(length, handoff, at(settings.from), people)
        };
        let fits = settings.until.is_none_or(|until| until > settings.from);
        let name = valid(&format!("layer {}", self.layers.len()));
        let add = AddRotationLayer { schedule_id: self.schedule, name, settings: made };
        if !fits {
            assert!(self.both(add, &self.admin.clone()).is_none(), "{settings:?}");
            return Ok(());
        }
        if let Some(layer) = self.both(add, &self.admin.clone()) {
            assert!(settings.people.iter().all(|person| self.people[*person].1), "only members take part");
            self.layers.push(layer.id);
            self.oracle.add(LayerState::new(settings, self.horizon), self.now());
            // A new layer may hold in the past, too, so earlier answers may change.
            self.seen.clear();
        }
        Ok(())
    }

    fn some_layer(&self, source: &mut Unstructured<'_>) -> Result<Option<usize>> {
        if self.layers.is_empty() { Ok(None) } else { source.choose_index(self.layers.len()).map(Some) }
    }

    fn edit_layer(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let Some(place) = self.some_layer(source)? else { return Ok(()) };
        let new = self.settings(source)?;
        let mut settings = self.oracle.layers[place].settings().clone();
        let mut edit = EditRotationLayer::new(self.schedule, self.layers[place]);
        if source.arbitrary()? {
            settings.days = new.days;
            edit.rotation_type = Some(RotationType::Custom);
            edit.rotation_length_days = Some(new.days);
        }
        if source.arbitrary()? {
            settings.handoff = new.handoff;
            edit.handoff_time = Some(HandoffTime::from_minutes(new.handoff).unwrap());
        }
        if source.ratio(1_u8, 4)? {
            settings.from = new.from;
            edit.effective_from = Some(at(new.from));
        }
        if source.ratio(1_u8, 4)? {
            settings.until = new.until;
            edit.effective_until = new.until.map_or(Patch::Clear, |until| Patch::Set(at(until)));
        }
        if source.arbitrary()? {
            edit.participant_ids = Some(new.people.iter().map(|person| self.people[*person].0).collect());
            settings.people = new.people;
        }
        if self.both(edit, &self.admin.clone()).is_some() {
            let now = self.now();
            self.oracle.edit(place, settings, now);
        }
        Ok(())
    }

    fn remove_layer(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let Some(place) = self.some_layer(source)? else { return Ok(()) };
        let remove = RemoveRotationLayer { schedule_id: self.schedule, layer_id: self.layers[place] };
        if self.both(remove, &self.admin.clone()).is_some() {
            self.oracle.remove(place, self.now());
        }
        Ok(())
    }

    fn reorder(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let mut order = self.oracle.order().to_vec();
        if order.is_empty() {
            return Ok(());
        }
        let by = source.choose_index(order.len())?;
        order.rotate_left(by);
        let layer_ids = order.iter().map(|place| self.layers[*place]).collect();
        let layers =
            self.both(OrderRotationLayers { schedule_id: self.schedule, layer_ids }, &self.admin.clone()).unwrap();
        assert!(layers.iter().enumerate().all(|(position, layer)| layer.position == position));
        self.oracle.reorder(order, self.now());
        Ok(())
    }

    fn change_zone(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let zone = *source.choose(&ZONES)?;
        let edit =
            EditSchedule { id: self.schedule, name: None, description: Patch::Keep, timezone: Some(zone.to_owned()) };
        self.both(edit, &self.admin.clone()).unwrap();
        self.oracle.change_zone(zone, self.now());
        Ok(())
    }

    fn remove_member(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let person = self.someone(source)?;
        if self.both(RemoveMember { user_id: self.people[person].0 }, &self.admin.clone()).is_some() {
            self.people[person].1 = false;
            self.oracle.leave(person, self.now());
            self.join();
        }
        Ok(())
    }

    fn add_override(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let (now, person) = (self.now(), self.someone(source)?);
        let starts = now + source.int_in_range(-48..=96)? * HOUR;
        let ends = starts + source.int_in_range(1..=200)? * HOUR;
        let command = CreateOverride::new(self.schedule, self.people[person].0, at(starts), at(ends));
        if let Some(made) = self.both(command, &self.admin.clone()) {
            let starts = starts.max(self.oracle.change(now));
            assert_eq!((made.starts_at, made.ends_at), (at(starts), at(ends)));
            self.overrides.push(made.id);
            self.oracle.overrides.push(OverrideState { person, starts, ends });
        }
        Ok(())
    }

    fn delete_override(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        if self.overrides.is_empty() {
            return Ok(());
        }
        let place = source.choose_index(self.overrides.len())?;
        let now = self.oracle.own_time(self.now());
        let command = DeleteOverride { schedule_id: self.schedule, id: self.overrides[place] };
        let one = &self.oracle.overrides[place];
        // An override that was deleted before it began ends where it begins.
        let over = one.ends <= now || one.ends == one.starts;
        assert_eq!(self.both(command, &self.admin.clone()).is_none(), over, "one that is over cannot be deleted");
        if !over {
            let now = self.oracle.change(now);
            self.oracle.overrides[place].end(now);
        }
        Ok(())
    }

    /// The engine's answer for an instant, in the form of the oracle's (the owner, then the paging targets); and when it
    /// changes.
    fn resolved(&self, millis: Millis) -> (String, Option<Millis>) {
        let resolved = self.ask(&ResolveOnCall { schedule_id: self.schedule, at: at(millis) });
        // The list of all schedules says the same; the engine may know it from an earlier question.
        let listed = self.ask(&OnCallNow::new(at(millis)));
        assert_eq!(
            listed.into_iter().map(|one| one.on_call).collect::<Vec<_>>(),
            std::slice::from_ref(&resolved.on_call)
        );
        let person = |user: UserId| self.people.iter().position(|(id, _)| *id == user).unwrap();
        let owner = resolved.current_oncall().map(person);
        let targets: Vec<_> = resolved.on_call.paging_targets.iter().map(|target| person(target.user_id)).collect();
        (format!("{owner:?} {targets:?}"), resolved.next_change_at.map(Timestamp::as_millis))
    }

    fn expected(&self, millis: Millis) -> String {
        let targets = self.oracle.targets(millis);
        format!("{:?} {targets:?}", targets.first().copied())
    }

    fn compare(&mut self, source: &mut Unstructured<'_>) {
        let now = self.now();
        for (millis, seen) in &self.seen {
            assert_eq!(self.resolved(*millis).0, *seen, "the past changed at {}", at(*millis));
        }
        let mut probes = vec![now - 1, now, now + 1];
        for _ in 0..4 {
            let away = source.int_in_range(-50 * 24 * 60..=40 * 24 * 60).unwrap_or(0);
            probes.push(now + away * 60_000);
        }
        let (from, to) = (now - 12 * DAY, now + 12 * DAY);
        let shifts = self.ask(&ShiftsOnCall::new(self.schedule, at(from), at(to)));
        for edge in shifts.final_shifts.iter().flat_map(|shift| [shift.starts_at, shift.ends_at]).take(8) {
            probes.extend([edge.as_millis() - 1, edge.as_millis()]);
        }
        for millis in probes {
            let (resolved, next) = self.resolved(millis);
            assert_eq!(resolved, self.expected(millis), "at {} (now {})", at(millis), at(now));
            if let Some(next) = next.filter(|next| *next < self.horizon - 10 * DAY) {
                assert!(next > millis);
                let on_call = |at| self.ask(&ResolveOnCall { schedule_id: self.schedule, at }).on_call;
                assert_ne!(on_call(at(next)), on_call(at(millis)), "did not change at {}", at(next));
                assert_eq!(self.expected(next - 1), resolved, "changed before {}", at(next));
            }
            // Past by the schedule's own time: answers before the last change of the schedule can never change again.
            if millis < self.oracle.own_time(Millis::MIN) && self.seen.len() < 30 {
                self.seen.push((millis, resolved));
            }
            // The final shifts over the range must agree with the answer for the instant.
            if (from..to).contains(&millis) {
                let owner = self.oracle.targets(millis).first().map(|person| self.people[*person].0);
                let holds = |start: Timestamp, end: Timestamp| start <= at(millis) && at(millis) < end;
                let shown = shifts.final_shifts.iter().find(|shift| holds(shift.starts_at, shift.ends_at));
                assert_eq!(shown.map(|shift| shift.target.user_id), owner, "in the final shifts at {}", at(millis));
                let gap = shifts.gaps.iter().any(|gap| holds(gap.starts_at, gap.ends_at));
                assert_eq!(gap, owner.is_none());
            }
        }
        // The shifts of a range must be those of a larger range, cut to it.
        let (inner, outer) = (now - 3 * DAY, now + 5 * DAY + 617);
        let cut = |starts: Timestamp, ends: Timestamp| {
            let (starts, ends) = (starts.max(at(inner)), ends.min(at(outer)));
            (starts < ends).then_some((starts, ends))
        };
        let window = self.ask(&ShiftsOnCall::new(self.schedule, at(inner), at(outer)));
        let wanted =
            shifts.final_shifts.iter().filter_map(|shift| Some((shift.target, cut(shift.starts_at, shift.ends_at)?)));
        let got = window.final_shifts.iter().map(|shift| (shift.target, (shift.starts_at, shift.ends_at)));
        assert!(got.eq(wanted), "a window of the final shifts");
        assert!(shifts.final_shifts.windows(2).all(|pair| {
            pair[0].ends_at <= pair[1].starts_at
                && (pair[0].ends_at < pair[1].starts_at || pair[0].target != pair[1].target)
        }));
    }
}
