//! One simulated night: what people, time, disks and consumers do.

use std::sync::mpsc;
use std::time::Duration;

use dogwatch_core::{
    Access, AckTimeout, AcknowledgeIncident, Actor, AddMember, AddPolicyLayer, AddRotationLayer, ChangeStatus, Command,
    Context, CreateIncident, CreateOverride, CreatePolicy, CreateSchedule, EditPolicyLayer, EditRotationLayer,
    Error as Refusal, GetIncident, GetPolicy, HandOffIncident, IdSource, IncidentId, IncidentView, LayerSettings,
    ListIncidents, ListTeam, Notification, OrderPolicyLayers, OrgId, PageLimit, PolicyId, PolicyLayerId, Position,
    PostUpdate, RemoveMember, RemovePolicyLayer, Role, Root, RotationLayerId, RotationLength, ScheduleId, Severity,
    Status, Target, Timestamp, UserId,
};
use dogwatch_store::{Engine, Error, ManualClock, Pending, Ticked};

use super::auditor::ensure;
use super::{Auditor, Complaint, Fault, Instants, Opening, Random, SimulatedDisk};
use crate::fixture;

const BEGINNING: i64 = 1_775_556_000_000;
const MINUTE: Duration = Duration::from_secs(60);
/// How many steps a night has.
const STEPS: u32 = 700;

/// What happened in a night, or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "counts of what the names say")]
pub struct Report {
    pub incidents: u64,
    pub steps: u64,
    pub ticks: u64,
    pub fired: u64,
    pub pages: u64,
    pub kills: u64,
    pub faults: u64,
    pub unknown: u64,
    pub races: u64,
    pub claims: u64,
}

impl Report {
    /// Adds those of another night.
    pub fn add(&mut self, other: &Self) {
        self.incidents += other.incidents;
        self.steps += other.steps;
        self.ticks += other.ticks;
        self.fired += other.fired;
        self.pages += other.pages;
        self.kills += other.kills;
        self.faults += other.faults;
        self.unknown += other.unknown;
        self.races += other.races;
        self.claims += other.claims;
    }
}

/// How a command ended, as far as its caller can know.
enum Outcome<R> {
    Done(R),
    Refused,
    Unknown,
}

impl<R> Outcome<R> {
    fn of(result: Result<R, Error>) -> Self {
        match result {
            Ok(reply) => Self::Done(reply),
            Err(Error::Refused(_)) => Self::Refused,
            Err(_) => Self::Unknown,
        }
    }
}

/// A command that holds the writer up, so that what is handed in meanwhile becomes one batch.
struct Plug {
    org: OrgId,
    reached: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl Command for Plug {
    type Reply = ();
    const ACCESS: Access = Access::Public;

    fn place(&self, _: &Actor, _: &dyn Root, _: Timestamp, _: &mut IdSource) -> Result<OrgId, Refusal> {
        Ok(self.org)
    }

    fn decide(self, _: &mut Context<'_>) -> Result<(), Refusal> {
        self.reached.send(()).unwrap();
        // When the other end is gone, nothing is to be waited for.
        let _ = self.go_on.recv();
        Ok(())
    }
}

/// A command of a race.
enum Racer {
    Acknowledge(AcknowledgeIncident),
    HandOff(HandOffIncident),
    Step(ChangeStatus),
    Create(CreateIncident),
    Tick(Timestamp),
}

/// A night while it is played.
pub struct Night {
    random: Random,
    seed: u64,
    openings: u8,
    disk: SimulatedDisk,
    clock: ManualClock,
    engine: Option<Engine>,
    org: OrgId,
    admin: Actor,
    people: Vec<UserId>,
    schedules: Vec<ScheduleId>,
    rotations: Vec<(ScheduleId, RotationLayerId)>,
    policies: Vec<PolicyId>,
    /// What was handed out, and until when.
    held: Vec<(Notification, Timestamp)>,
    auditor: Auditor,
    /// Incidents whose creation was handed in, by title.
    opening: Vec<(String, Opening)>,
    report: Report,
}

impl Night {
    /// An organization with people, schedules and policies.
    pub fn begin(seed: u64, disk: SimulatedDisk) -> Self {
        let clock = ManualClock::at(Timestamp::clamped(BEGINNING));
        let engine = Self::open(&disk, &clock, seed, 0);
        let created = fixture::organization(&engine);
        let admin = created.actor();
        let mut night = Self {
            random: Random::from_seed(seed),
            seed,
            openings: 0,
            disk,
            clock,
            engine: Some(engine),
            org: created.organization.id,
            admin,
            people: vec![created.admin.member.id],
            schedules: Vec::new(),
            rotations: Vec::new(),
            policies: Vec::new(),
            held: Vec::new(),
            auditor: Auditor::new(admin),
            opening: Vec::new(),
            report: Report::default(),
        };
        night.auditor.joined(created.admin.member.id);
        (0..4).for_each(|_| night.join());
        for name in ["Day", "Night"] {
            let create =
                CreateSchedule { name: name.parse().unwrap(), description: None, timezone: "Europe/Berlin".to_owned() };
            let id = night.engine().execute(create, &admin).unwrap().id;
            night.schedules.push(id);
        }
        for name in ["Short", "Long", "Nobody"] {
            let create = CreatePolicy { name: name.parse().unwrap(), description: None };
            let id = night.engine().execute(create, &admin).unwrap().id;
            night.policies.push(id);
        }
        (0..10).for_each(|_| night.edit());
        night
    }

    fn open(disk: &SimulatedDisk, clock: &ManualClock, seed: u64, opening: u8) -> Engine {
        let mut bytes = [opening; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Engine::builder().clock(clock.clone()).id_seed(bytes).with_backend(disk.clone()).unwrap()
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn now(&self) -> Timestamp {
        self.engine().now()
    }

    fn instants(&self, tick: Option<Timestamp>) -> Instants {
        Instants { now: self.now(), tick }
    }

    /// Plays the night to its end.
    ///
    /// # Errors
    /// What the auditor complains about.
    pub fn play(mut self) -> Result<Report, Complaint> {
        for step in 0..STEPS {
            self.step().map_err(|complaint| format!("step {step}: {complaint}"))?;
            if step % 50 == 0 {
                self.audit_all(None)?;
            }
        }
        self.settle_down()?;
        self.report.steps = u64::from(STEPS);
        self.report.pages = self.auditor.pages;
        Ok(self.report)
    }

    fn step(&mut self) -> Result<(), Complaint> {
        match self.random.below(40) {
            0..=6 => self.create(),
            7..=11 => self.respond(),
            12..=16 => {
                let minutes = *self.random.pick(&[0, 1, 2, 5, 5, 10, 90]).unwrap();
                self.clock.advance(MINUTE * minutes);
                self.tick(0)
            }
            17 => self.tick(0),
            18 => {
                let early = self.random.between(1, 10);
                self.tick(early)
            }
            19 | 20 => {
                let seconds = self.random.below(400);
                self.clock.advance(Duration::from_secs(seconds));
                Ok(())
            }
            21..=24 => {
                self.edit();
                self.audit(&[], None)
            }
            25..=29 => self.consume(),
            30 | 31 => self.confirm_late(),
            32..=35 => self.race(),
            36 => self.restart(),
            _ => self.trouble(),
        }
    }

    fn join(&mut self) {
        let number = self.people.len();
        let add = AddMember {
            org: self.org,
            email: format!("user{number}@example.com").parse().unwrap(),
            first_name: "User".parse().unwrap(),
            last_name: format!("{number}").parse().unwrap(),
            role: Role::Admin,
        };
        if let Ok(joined) = self.engine().execute(add, &Actor::Operator) {
            self.people.push(joined.member.id);
            self.auditor.joined(joined.member.id);
        }
    }

    /// A member, or somebody who was one.
    fn somebody(&mut self) -> UserId {
        *self.random.pick(&self.people).unwrap()
    }

    fn actor(&mut self) -> Actor {
        let user = self.somebody();
        if self.auditor.members.contains(&user) { Actor::member(self.org, user) } else { self.admin }
    }

    /// One of the incidents that are open, most often.
    fn some_incident(&mut self) -> Option<IncidentId> {
        let open = self.auditor.open_incidents();
        self.random.pick(&open).copied()
    }

    /// Audits what a step touched.
    fn audit(&mut self, touched: &[IncidentId], tick: Option<Timestamp>) -> Result<(), Complaint> {
        let mut touched = touched.to_vec();
        touched.sort_unstable();
        touched.dedup();
        let (engine, instants) = (self.engine().clone(), self.instants(tick));
        self.auditor.audit(&engine, &touched, instants)
    }

    fn audit_all(&mut self, tick: Option<Timestamp>) -> Result<(), Complaint> {
        let (engine, instants) = (self.engine().clone(), self.instants(tick));
        self.auditor.audit_all(&engine, instants)
    }

    fn creation(&mut self) -> (CreateIncident, Opening) {
        let title = format!("incident {}", self.report.incidents + 1);
        self.report.incidents += 1;
        let named = if self.random.one_in(3) { None } else { self.random.pick(&self.policies).copied() };
        let schedule = if self.random.one_in(3) { self.random.pick(&self.schedules).copied() } else { None };
        let owner = self.somebody();
        let owner = Some(owner).filter(|owner| schedule.is_none() || self.auditor.members.contains(owner));
        let owner = owner.map(|owner| if self.auditor.members.contains(&owner) { owner } else { self.people[0] });
        let owner = if schedule.is_some() && self.random.one_in(2) { None } else { owner };
        let create = CreateIncident {
            title: title.parse().unwrap(),
            severity: Severity::High,
            description: None,
            owner_id: owner,
            owner_schedule_id: schedule,
            escalation_policy_id: named,
            component_ids: Vec::new(),
        };
        let opening = self.auditor.opening(self.engine(), named, schedule, owner);
        self.opening.push((title, opening.clone()));
        (create, opening)
    }

    fn create(&mut self) -> Result<(), Complaint> {
        let ((create, opening), actor) = (self.creation(), self.actor());
        let created = self.engine().execute(create, &actor).map_err(|error| error.to_string())?;
        self.opening.clear();
        self.auditor.opened(created.id, opening);
        self.audit(&[created.id], None)?;
        self.same_as_shown(&created)
    }

    /// What a command replied is what a query shows.
    fn same_as_shown(&self, view: &IncidentView) -> Result<(), Complaint> {
        let shown = self.engine().query(&GetIncident { id: view.id }, &self.admin).map_err(|e| e.to_string())?;
        ensure!(shown.incident == *view, "the reply was {view:?}, but it shows {:?}", shown.incident);
        Ok(())
    }

    /// Somebody does something about an incident.
    fn respond(&mut self) -> Result<(), Complaint> {
        let (Some(id), actor) = (self.some_incident(), self.actor()) else { return Ok(()) };
        let target = self.somebody();
        let engine = self.engine();
        let view = match self.random.clone().below(5) {
            0 | 1 => engine.execute(AcknowledgeIncident { id }, &actor).ok(),
            2 => engine.execute(HandOffIncident { id, target }, &actor).ok(),
            3 => {
                let status = engine.query(&GetIncident { id }, &actor).unwrap().incident.status;
                engine.execute(ChangeStatus::to(id, status.next().unwrap_or(Status::Resolved)), &actor).ok()
            }
            _ => {
                engine.execute(PostUpdate::internal(id, "news".parse().unwrap()), &actor).unwrap();
                None
            }
        };
        self.random.bits();
        self.audit(&[id], None)?;
        view.map_or(Ok(()), |view| self.same_as_shown(&view))
    }

    /// A tick so many minutes before now.
    fn tick(&mut self, early: i64) -> Result<(), Complaint> {
        let tick = Timestamp::clamped(self.now().as_millis() - early * 60_000);
        let due = self.auditor.due(tick);
        let ticked = self.engine().tick(tick).map_err(|error| error.to_string())?;
        self.ticked(&ticked);
        ensure!(
            ticked.fired == due.len() && ticked.failed == 0 && !ticked.more,
            "{ticked:?}, but {} were due",
            due.len()
        );
        self.audit(&due, Some(tick))?;
        self.auditor.audit_punctuality(tick)?;
        self.auditor.audit_deadline(self.engine())
    }

    fn ticked(&mut self, ticked: &Ticked) {
        self.report.ticks += 1;
        self.report.fired += u64::try_from(ticked.fired).unwrap();
    }

    /// Somebody changes who is on call, a policy, or the team. What is refused is refused.
    fn edit(&mut self) {
        let (admin, now) = (self.admin, self.now());
        let schedule = *self.random.pick(&self.schedules).unwrap();
        let policy = *self.random.pick(&self.policies).unwrap();
        let hours = |hours: i64| now.plus(Duration::from_secs(3_600 * u64::try_from(hours).unwrap()));
        match self.random.below(12) {
            0 | 1 => {
                let (from, length) = (self.random.between(0, 2), self.random.between(1, 8));
                let user = self.somebody();
                let command = CreateOverride::new(schedule, user, hours(from), hours(from + length), None).unwrap();
                let _ = self.engine().execute(command, &admin);
            }
            2 => {
                let people = self.several();
                let settings = LayerSettings::new(RotationLength::DAILY, "09:00".parse().unwrap(), now, None, people);
                let name = format!("layer {}", self.rotations.len()).parse().unwrap();
                let add = AddRotationLayer { schedule, name, settings: settings.unwrap() };
                if let Ok(layer) = self.engine().execute(add, &admin) {
                    self.rotations.push((schedule, layer.id));
                }
            }
            3 => {
                let (Some((schedule, layer)), people) = (self.random.pick(&self.rotations).copied(), self.several())
                else {
                    return;
                };
                let edit =
                    EditRotationLayer { participant_ids: Some(people), ..EditRotationLayer::new(schedule, layer) };
                let _ = self.engine().execute(edit, &admin);
            }
            4..=7 => {
                let position = Position::new(self.random.between(1, 5)).unwrap();
                let (ack_timeout, target) = (self.timeout(), self.target(schedule));
                let _ = self.engine().execute(AddPolicyLayer { policy, position, ack_timeout, target }, &admin);
            }
            8 => {
                let layers = self.layers(policy);
                let Some(layer) = self.random.pick(&layers).copied() else { return };
                let edit = EditPolicyLayer {
                    position: Some(Position::new(self.random.between(1, 5)).unwrap()),
                    ack_timeout: Some(self.timeout()),
                    target: Some(self.target(schedule)),
                    ..EditPolicyLayer::new(policy, layer)
                };
                let _ = self.engine().execute(edit, &admin);
            }
            9 => {
                let layers = self.layers(policy);
                let Some(layer) = self.random.pick(&layers).copied() else { return };
                let _ = self.engine().execute(RemovePolicyLayer { policy, layer }, &admin);
            }
            10 => {
                let mut layer_ids = self.layers(policy);
                layer_ids.reverse();
                let _ = self.engine().execute(OrderPolicyLayers { policy, layer_ids }, &admin);
            }
            _ => {
                let user = self.somebody();
                if self.random.one_in(3) && self.engine().execute(RemoveMember { user }, &admin).is_ok() {
                    self.auditor.members.remove(&user);
                    self.join();
                }
            }
        }
    }

    fn layers(&self, policy: PolicyId) -> Vec<PolicyLayerId> {
        let policy = self.engine().query(&GetPolicy { id: policy }, &self.admin).unwrap();
        policy.layers.iter().map(|layer| layer.id).collect()
    }

    fn timeout(&mut self) -> AckTimeout {
        AckTimeout::from_minutes(*self.random.pick(&[1, 2, 5, 5, 15, 60, 10_080]).unwrap()).unwrap()
    }

    fn several(&mut self) -> Vec<UserId> {
        let count = self.random.between(1, 3);
        let mut people: Vec<_> = (0..count).map(|_| self.somebody()).collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    fn target(&mut self, schedule: ScheduleId) -> Target {
        if self.random.one_in(3) { Target::Schedule(schedule) } else { Target::users(self.several()).unwrap() }
    }

    /// Consumers claim, and do what consumers do.
    fn consume(&mut self) -> Result<(), Complaint> {
        let limit = self.random.between(1, 6);
        let lease = Duration::from_secs(*self.random.pick(&[1, 30, 120, 600]).unwrap());
        let now = self.now();
        let claimed = self.engine().claim(usize::try_from(limit).unwrap(), lease).map_err(|e| e.to_string())?;
        for row in claimed {
            self.report.claims += 1;
            self.auditor.claimed(&row, now, now.plus(lease))?;
            match self.random.below(10) {
                // It crashes before it delivers, or after.
                0 => {}
                1 => self.auditor.delivered(&row)?,
                2 => {
                    let after = Duration::from_secs(self.random.below(90));
                    let back = self.engine().give_back(&[row.receipt()], after).map_err(|e| e.to_string())?;
                    ensure!(back == 1, "{} was held, but could not be given back", row.id);
                    self.auditor.released(&row)?;
                }
                3 | 4 => {
                    self.auditor.delivered(&row)?;
                    self.held.push((row, now.plus(lease)));
                }
                _ => {
                    self.auditor.delivered(&row)?;
                    let confirmed = self.engine().confirm(&[row.receipt()]).map_err(|e| e.to_string())?;
                    ensure!(confirmed == 1, "{} was held, but could not be confirmed", row.id);
                    self.auditor.confirmed(&row)?;
                }
            }
        }
        self.audit(&[], None)
    }

    /// A slow consumer confirms at last; perhaps somebody else was faster.
    fn confirm_late(&mut self) -> Result<(), Complaint> {
        let Some((row, until)) = self.held.pop() else { return Ok(()) };
        let now = self.now();
        let confirmed = self.engine().confirm(&[row.receipt()]).map_err(|e| e.to_string())?;
        ensure!(confirmed == 1 || until <= now, "{} was held, but could not be confirmed", row.id);
        if confirmed == 1 {
            self.auditor.confirmed(&row)?;
        }
        self.audit(&[], None)
    }

    /// Several commands in one batch: acknowledgements, handoffs, resolutions and a tick at the same instant.
    fn race(&mut self) -> Result<(), Complaint> {
        self.report.races += 1;
        self.clock.advance(MINUTE * u32::try_from(self.random.below(8)).unwrap());
        let tick = self.now();
        let raced = self.racers();
        let mut touched: Vec<_> = self.auditor.due(tick);
        touched.extend(raced.iter().copied());
        let racers = self.prepare(&raced);
        let outcomes = self.let_race(racers);
        ensure!(outcomes.iter().all(|outcome| !matches!(outcome, Outcome::Unknown)), "a race ended in the unknown");
        let done = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Done(id) => *id,
            Outcome::Refused | Outcome::Unknown => None,
        });
        touched.extend(done);
        self.find_openings()?;
        self.audit(&touched, Some(tick))?;
        self.auditor.audit_punctuality(tick)
    }

    /// The incidents that a race is about: those that are due, and another.
    fn racers(&mut self) -> Vec<IncidentId> {
        let due = self.auditor.due(self.now());
        let mut racers: Vec<_> = self.random.pick(&due).copied().into_iter().collect();
        racers.extend(self.some_incident());
        racers
    }

    /// Commands about these incidents, a tick among them.
    fn prepare(&mut self, about: &[IncidentId]) -> Vec<(Actor, Racer)> {
        let count = self.random.between(1, 5);
        let tick_at = self.random.between(0, count);
        let mut racers = Vec::new();
        for n in 0..=count {
            let actor = self.actor();
            let some = self.random.pick(about).copied();
            let racer = match (self.random.below(8), some) {
                _ if n == tick_at => Racer::Tick(self.now()),
                (0..=2, Some(id)) => Racer::Acknowledge(AcknowledgeIncident { id }),
                (3 | 4, Some(id)) => Racer::HandOff(HandOffIncident { id, target: self.somebody() }),
                (5, Some(id)) => Racer::Step(ChangeStatus::to(id, Status::Resolved)),
                (6, Some(id)) => Racer::Step(ChangeStatus::to(id, Status::Monitoring)),
                _ => Racer::Create(self.creation().0),
            };
            racers.push((actor, racer));
        }
        racers
    }

    /// Hands in a batch and waits for all answers.
    fn let_race(&mut self, racers: Vec<(Actor, Racer)>) -> Vec<Outcome<Option<IncidentId>>> {
        let (reached, at_plug) = mpsc::channel();
        let (release, go_on) = mpsc::channel();
        let plug = Plug { org: self.org, reached, go_on };
        let Ok(plugged) = self.engine().submit(plug, &Actor::Public) else { return vec![Outcome::Unknown] };
        if at_plug.recv().is_err() {
            return vec![Outcome::Unknown];
        }
        let mut views: Vec<Pending<IncidentView>> = Vec::new();
        let mut ticks: Vec<Pending<Ticked>> = Vec::new();
        for (actor, racer) in racers {
            let engine = self.engine();
            match racer {
                Racer::Tick(at) => ticks.extend(engine.submit_tick(at)),
                Racer::Acknowledge(command) => views.extend(engine.submit(command, &actor)),
                Racer::HandOff(command) => views.extend(engine.submit(command, &actor)),
                Racer::Step(command) => views.extend(engine.submit(command, &actor)),
                Racer::Create(command) => views.extend(engine.submit(command, &actor)),
            }
        }
        release.send(()).unwrap();
        let mut outcomes = vec![Outcome::of(plugged.wait().map(|()| None))];
        outcomes.extend(views.into_iter().map(|view| Outcome::of(view.wait().map(|view| Some(view.id)))));
        for tick in ticks {
            let ticked = tick.wait();
            if let Ok(ticked) = &ticked {
                self.ticked(ticked);
            }
            outcomes.push(Outcome::of(ticked.map(|_| None)));
        }
        outcomes
    }

    /// Finds the incidents whose creation was handed in, if they are there.
    fn find_openings(&mut self) -> Result<(), Complaint> {
        let opening = std::mem::take(&mut self.opening);
        if opening.is_empty() {
            return Ok(());
        }
        let newest = ListIncidents { limit: PageLimit::new(20).unwrap(), ..Default::default() };
        let page = self.engine().query(&newest, &self.admin).map_err(|error| error.to_string())?;
        for incident in page.incidents {
            if self.auditor.knows(incident.id) {
                continue;
            }
            let found = opening.iter().find(|(title, _)| *title == incident.title.as_str());
            let (_, opening) = found.ok_or_else(|| format!("nobody created {incident:?}"))?;
            self.auditor.opened(incident.id, opening.clone());
        }
        Ok(())
    }

    /// Closes and opens the engine as it should be done.
    fn restart(&mut self) -> Result<(), Complaint> {
        self.engine = None;
        self.disk.restart(usize::MAX);
        self.reopen()?;
        self.audit_all(None)
    }

    fn reopen(&mut self) -> Result<(), Complaint> {
        self.openings = self.openings.wrapping_add(1);
        self.engine = Some(Self::open(&self.disk, &self.clock, self.seed, self.openings));
        Ok(())
    }

    /// The disk fails somewhere in what comes next, or the process is killed there. Then everything is looked at.
    fn trouble(&mut self) -> Result<(), Complaint> {
        self.clock.advance(MINUTE * u32::try_from(self.random.below(8)).unwrap());
        let fault = if self.random.one_in(2) { Fault::Die } else { Fault::Fail };
        let (operations, takes_effect) = (self.random.below(60), self.random.one_in(2));
        let tick = self.now();
        let about = self.racers();
        let batches: Vec<_> = (0..self.random.between(1, 3)).map(|_| self.prepare(&about)).collect();
        self.disk.fault_in(operations, fault, takes_effect);
        let mut unknown = false;
        // The fault hits wherever it does: while something is read, decided, applied or made durable.
        for batch in batches {
            let outcomes = self.let_race(batch);
            unknown |= outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unknown));
        }
        let claimed = if unknown { None } else { Some(self.engine().claim(3, MINUTE)) };
        unknown |= matches!(claimed, Some(Err(Error::OutcomeUnknown | Error::Poisoned)));
        let happened = self.disk.calm();
        if happened {
            match fault {
                Fault::Die => self.report.kills += 1,
                Fault::Fail => self.report.faults += 1,
            }
        }
        self.report.unknown += u64::from(unknown);
        if unknown || (happened && fault == Fault::Die) {
            // Nobody knows what of the claims went through, and the consumers are gone, too.
            self.engine = None;
            let kept = self.random.below(3);
            self.disk.restart(usize::try_from(kept).unwrap());
            self.reopen()?;
            let held = std::mem::take(&mut self.held);
            for (row, _) in held {
                self.auditor.find_out(self.engine.as_ref().unwrap(), &row)?;
            }
        }
        self.auditor.forget_claims();
        self.refresh_members()?;
        self.find_openings()?;
        self.audit_all(Some(tick))
    }

    fn refresh_members(&mut self) -> Result<(), Complaint> {
        let team = self.engine().query(&ListTeam, &self.admin).map_err(|error| error.to_string())?;
        self.auditor.members = team.members.iter().map(|member| member.id).collect();
        Ok(())
    }

    /// The night ends: everything runs out, everything is delivered.
    fn settle_down(&mut self) -> Result<(), Complaint> {
        self.audit_all(None)?;
        while let Some(due) = self.engine().next_deadline().map_err(|error| error.to_string())? {
            self.clock.set(self.now().max(due));
            self.tick(0)?;
        }
        loop {
            self.clock.advance(Duration::from_secs(2 * 3_600));
            let now = self.now();
            let claimed = self.engine().claim(100, MINUTE).map_err(|error| error.to_string())?;
            if claimed.is_empty() {
                break;
            }
            for row in &claimed {
                self.auditor.claimed(row, now, now.plus(MINUTE))?;
                self.auditor.delivered(row)?;
                self.auditor.confirmed(row)?;
            }
            let receipts: Vec<_> = claimed.iter().map(Notification::receipt).collect();
            let confirmed = self.engine().confirm(&receipts).map_err(|error| error.to_string())?;
            ensure!(confirmed == receipts.len(), "{confirmed} of {} could be confirmed", receipts.len());
        }
        self.audit_all(None)?;
        self.auditor.settled()
    }
}
