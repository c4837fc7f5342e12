//! One simulated night: what people, time, disks and consumers do.

mod consumers;
mod edits;
mod integrations;
mod monitors;
mod pages;
mod people;
mod races;
mod report;

use std::time::Duration;

use dogwatch_core::escalation::CreatePolicy;
use dogwatch_core::id::{ComponentId, IncidentId, PolicyId, RotationLayerId, ScheduleId, StatusPageId};
use dogwatch_core::oncall::CreateSchedule;
use dogwatch_core::outbox::Notification;
use dogwatch_core::webhook::CreateWebhook;
use dogwatch_core::{Actor, OrgId, Timestamp, UserId};
use dogwatch_store::{Engine, ManualClock, Ticked};

use super::auditor::ensure;
use super::{Auditor, Complaint, Instants, Opening, Random, SimulatedDisk};
use crate::fixture;
use monitors::Monitor;
pub use report::Report;

const BEGINNING: i64 = 1_775_556_000_000;
const MINUTE: Duration = Duration::from_secs(60);
/// The number of steps of a night.
const STEPS: u32 = 700;

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
    components: Vec<ComponentId>,
    pages: Vec<StatusPageId>,
    monitors: Vec<Monitor>,
    /// The monitor that has reported last.
    reported: usize,
    /// Notifications that a slow consumer has claimed and delivered but not confirmed, with the end of each lease.
    held: Vec<(Notification, Timestamp)>,
    auditor: Auditor,
    /// Incidents whose creation was handed in and that were not seen yet, by title.
    opening: Vec<(String, Opening)>,
    report: Report,
}

impl Night {
    /// Begins a night: an organization with members, schedules and policies.
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
            components: Vec::new(),
            pages: Vec::new(),
            monitors: Vec::new(),
            reported: 0,
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
        let webhook = CreateWebhook::new("All".parse().unwrap(), "https://hooks.example.com/all".parse().unwrap());
        night.engine().execute(webhook, &admin).unwrap();
        night.publish();
        night.set_up_monitors();
        (0..10).for_each(|_| night.edit());
        night
    }

    fn open(disk: &SimulatedDisk, clock: &ManualClock, seed: u64, opening: u8) -> Engine {
        let mut bytes = [opening; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        // The backend is brought up to date only where the night says so: else the disk's operations would come in another order
        // each time that it is played.
        let builder = Engine::builder().clock(clock.clone()).id_seed(bytes).checkpoint_after(Duration::MAX, usize::MAX);
        builder.with_storage(disk.clone(), disk.clone()).unwrap()
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn now(&self) -> Timestamp {
        self.engine().now()
    }

    fn instants(&self, tick: Option<Timestamp>) -> Instants {
        Instants { now: self.now(), tick, faulty: false }
    }

    /// Plays the night to its end.
    ///
    /// # Errors
    /// What the auditor complains about.
    pub fn play(mut self) -> Result<Report, Complaint> {
        // What was announced before the first step may be due in it.
        self.audit_all(None)?;
        for step in 0..STEPS {
            self.step().map_err(|complaint| format!("step {step}: {complaint}"))?;
            if step % 50 == 0 {
                self.audit_all(None)?;
            }
        }
        self.settle_down()?;
        self.report.steps = u64::from(STEPS);
        self.report.pages = self.auditor.pages;
        self.report.statuses = self.auditor.pages_seen.changes;
        let monitors = &self.auditor.monitors;
        (self.report.alerted, self.report.storms) = (monitors.opened, monitors.storms);
        (self.report.refused, self.report.changes) = (monitors.refused, monitors.changes);
        Ok(self.report)
    }

    fn step(&mut self) -> Result<(), Complaint> {
        match self.random.below(50) {
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
            37 => self.engine().checkpoint().map_err(|error| error.to_string()),
            38 | 39 => self.trouble(),
            40 | 41 => self.change_integration(),
            _ => self.monitor(),
        }
    }

    /// Audits the incidents that a step touched, and the outbox.
    fn audit(&mut self, touched: &[IncidentId], tick: Option<Timestamp>) -> Result<(), Complaint> {
        let mut touched = touched.to_vec();
        touched.sort_unstable();
        touched.dedup();
        let (engine, instants) = (self.engine().clone(), self.instants(tick));
        self.auditor.audit(&engine, &touched, instants)
    }

    fn audit_all(&mut self, tick: Option<Timestamp>) -> Result<(), Complaint> {
        // All is audited after a tick only where faults happen.
        let (engine, instants) = (self.engine().clone(), Instants { faulty: tick.is_some(), ..self.instants(tick) });
        self.auditor.audit_all(&engine, instants)
    }

    /// A tick for the instant `early` minutes before now, which must fire all that is due then.
    fn tick(&mut self, early: i64) -> Result<(), Complaint> {
        let tick = Timestamp::clamped(self.now().as_millis() - early * 60_000);
        let due = self.auditor.due(tick);
        let (least, most) = self.auditor.fires(tick);
        let ticked = self.engine().tick(tick).map_err(|error| error.to_string())?;
        self.ticked(&ticked);
        ensure!(
            (least..=most).contains(&ticked.fired) && ticked.failed == 0 && !ticked.more,
            "{ticked:?}, but {least} to {most} were due, the runs of {due:?} among them"
        );
        self.audit(&due, Some(tick))?;
        self.auditor.audit_punctuality(tick)?;
        let engine = self.engine().clone();
        self.auditor.audit_deadline(&engine)
    }

    fn ticked(&mut self, ticked: &Ticked) {
        self.report.ticks += 1;
        self.report.fired += u64::try_from(ticked.fired).unwrap();
    }

    /// Closes the engine as it should be done, and opens it again.
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

    /// The night ends: all runs are ticked until none waits, and all notifications are delivered.
    fn settle_down(&mut self) -> Result<(), Complaint> {
        self.audit_all(None)?;
        while let Some(due) = self.engine().next_deadline().map_err(|error| error.to_string())? {
            self.clock.set(self.now().max(due));
            self.tick(0)?;
        }
        self.deliver_all()?;
        let engine = self.engine().clone();
        self.auditor.nothing_waits(&engine)?;
        self.auditor.settled()
    }
}
