//! Commands that race, in a simulated night: held up together and let go as one batch, on a disk that may fail meanwhile.

use std::sync::mpsc;

use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, EditIncident, HandOffIncident, IncidentView, SetComponents,
    Status,
};
use dogwatch_core::status_page::{CreateMaintenance, EditStatusPage, MaintenanceView, StatusPage};
use dogwatch_core::{Actor, Timestamp};
use dogwatch_store::fuzzing::in_the_writer;
use dogwatch_store::{Error, Pending, Ticked};

use super::super::auditor::ensure;
use super::super::{Change, Complaint, Fault, Sent};
use super::{MINUTE, Night};

/// The outcome of a command, as far as its caller can know it.
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

/// A command of a race.
enum Racer {
    Acknowledge(AcknowledgeIncident),
    HandOff(HandOffIncident),
    Step(ChangeStatus),
    Create(CreateIncident),
    Edit(EditIncident),
    Tag(SetComponents),
    ByHand(EditStatusPage),
    Announce(CreateMaintenance),
    Report(usize, Sent),
    Change(usize, Change),
    Tick(Timestamp),
}

impl Night {
    /// Several commands in one batch: acknowledgements, handoffs, status changes, creations, edits, maintenances, and a tick at the same
    /// instant.
    pub(super) fn race(&mut self) -> Result<(), Complaint> {
        self.report.races += 1;
        self.clock.advance(MINUTE * u32::try_from(self.random.below(8)).unwrap());
        let tick = self.now();
        let raced = self.racers();
        let mut touched: Vec<_> = self.auditor.due(tick);
        touched.extend(raced.iter().copied());
        let reporter = self.some_monitor();
        let mut racers = self.prepare(&raced, Some(reporter));
        if self.random.one_in(3) {
            self.change_too(&mut racers, reporter);
        }
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

    /// The incidents that a race is about: one of those that are due, and one of those that are open.
    fn racers(&mut self) -> Vec<IncidentId> {
        let due = self.auditor.due(self.now());
        let mut racers: Vec<_> = self.random.pick(&due).copied().into_iter().collect();
        racers.extend(self.some_incident());
        racers
    }

    /// Commands about these incidents, a tick among them, and perhaps what a monitor reports.
    fn prepare(&mut self, about: &[IncidentId], reporter: Option<usize>) -> Vec<(Actor, Racer)> {
        let count = self.random.between(1, 5);
        let tick_at = self.random.between(0, count);
        let mut racers = Vec::new();
        if let Some(place) = reporter {
            racers.push((self.admin, Racer::Report(place, self.next_of(place))));
        }
        for n in 0..=count {
            let actor = self.actor();
            let some = self.random.pick(about).copied();
            let (severity, tags) = (Some(self.severity()), self.some_components(1));
            let racer = match (self.random.below(12), some) {
                _ if n == tick_at => Racer::Tick(self.now()),
                (0..=2, Some(id)) => Racer::Acknowledge(AcknowledgeIncident::new(id)),
                (3 | 4, Some(id)) => Racer::HandOff(HandOffIncident { id, target_user_id: self.somebody() }),
                (5, Some(id)) => Racer::Step(ChangeStatus::new(id, Status::Resolved)),
                (6, Some(id)) => Racer::Step(ChangeStatus::new(id, Status::Monitoring)),
                (7, Some(id)) => Racer::Edit(EditIncident { severity, ..EditIncident::new(id) }),
                (8, Some(id)) => Racer::Tag(SetComponents { id, component_ids: tags }),
                (9, _) => Racer::ByHand(self.by_hand()),
                (10, _) => Racer::Announce(self.maintenance()),
                _ => Racer::Create(self.creation().0),
            };
            racers.push((actor, racer));
        }
        let first = usize::try_from(self.random.below(u64::try_from(racers.len()).unwrap())).unwrap();
        racers.rotate_left(first);
        racers
    }

    /// An admin changes an integration at the same time: most often that over which a monitor reports.
    fn change_too(&mut self, racers: &mut Vec<(Actor, Racer)>, reporter: usize) {
        let changed = if self.random.one_in(3) { self.some_monitor() } else { reporter };
        let change = self.change_of(changed);
        let place = usize::try_from(self.random.below(u64::try_from(racers.len()).unwrap())).unwrap();
        racers.insert(place, (self.admin, Racer::Change(changed, change)));
    }

    /// Hands in a batch and waits for all answers.
    fn let_race(&mut self, racers: Vec<(Actor, Racer)>) -> Vec<Outcome<Option<IncidentId>>> {
        let (reached, at_plug) = mpsc::channel();
        let (release, go_on) = mpsc::channel();
        // Holds the writer up, so that what is handed in meanwhile becomes one batch.
        let plug = move || {
            reached.send(()).unwrap();
            // When the other end is gone, there is nothing to wait for.
            let _ = go_on.recv();
        };
        let plugged = in_the_writer(self.engine(), plug).ok().filter(|_| at_plug.recv().is_ok());
        let Some(plugged) = plugged else {
            self.not_handed_in(racers);
            return vec![Outcome::Unknown];
        };
        let mut views: Vec<Pending<IncidentView>> = Vec::new();
        let mut ticks: Vec<Pending<Ticked>> = Vec::new();
        let mut pages: Vec<Pending<StatusPage>> = Vec::new();
        let mut maintenances: Vec<Pending<MaintenanceView>> = Vec::new();
        let (mut reports, mut changes) = (Vec::new(), Vec::new());
        for (actor, racer) in racers {
            let engine = self.engine();
            match racer {
                Racer::Tick(at) => ticks.extend(engine.submit_tick(at)),
                Racer::Acknowledge(command) => views.extend(engine.submit(command, &actor)),
                Racer::HandOff(command) => views.extend(engine.submit(command, &actor)),
                Racer::Step(command) => views.extend(engine.submit(command, &actor)),
                Racer::Create(command) => views.extend(engine.submit(command, &actor)),
                Racer::Edit(command) => views.extend(engine.submit(command, &actor)),
                Racer::Tag(command) => views.extend(engine.submit(command, &actor)),
                Racer::ByHand(command) => pages.extend(engine.submit(command, &self.admin)),
                Racer::Report(place, sent) => {
                    let pending = self.hand_in(place, &sent);
                    reports.push((place, sent, pending));
                }
                Racer::Change(place, change) => {
                    let handed = self.hand_in_change(place, &change);
                    changes.push((place, change, handed));
                }
                Racer::Announce(command) => maintenances.extend(engine.submit(command, &self.admin)),
            }
        }
        release.send(()).unwrap();
        let mut outcomes = vec![Outcome::of(plugged.wait().map(|()| None))];
        outcomes.extend(views.into_iter().map(|view| Outcome::of(view.wait().map(|view| Some(view.id)))));
        outcomes.extend(pages.into_iter().map(|page| Outcome::of(page.wait().map(|_| None))));
        outcomes.extend(maintenances.into_iter().map(|one| Outcome::of(one.wait().map(|_| None))));
        for (place, sent, pending) in reports {
            let known = self.answered(place, sent, pending);
            outcomes.push(if known { Outcome::Done(None) } else { Outcome::Unknown });
        }
        for (place, change, handed) in changes {
            let known = self.change_answered(place, change, handed);
            outcomes.push(if known { Outcome::Done(None) } else { Outcome::Unknown });
        }
        for tick in ticks {
            let ticked = tick.wait();
            if let Ok(ticked) = &ticked {
                self.ticked(ticked);
            }
            outcomes.push(Outcome::of(ticked.map(|_| None)));
        }
        outcomes
    }

    /// Nothing of a batch was handed in: monitors send it later.
    fn not_handed_in(&mut self, racers: Vec<(Actor, Racer)>) {
        for (_, racer) in racers {
            if let Racer::Report(place, sent) = racer {
                self.monitors[place].unanswered.push(sent);
            }
        }
    }

    /// During a few batches and a claim the disk may fail, or the process may be killed. Then everything is audited.
    pub(super) fn trouble(&mut self) -> Result<(), Complaint> {
        self.clock.advance(MINUTE * u32::try_from(self.random.below(8)).unwrap());
        let fault = if self.random.one_in(2) { Fault::Die } else { Fault::Fail };
        let (operations, takes_effect) = (self.random.below(60), self.random.one_in(2));
        let tick = self.now();
        let about = self.racers();
        // Each monitor reports once at most: else nobody could tell which alert has made an incident worse.
        let first = self.some_monitor();
        let reporter = |n: i64| (first + usize::try_from(n).unwrap()) % self.monitors.len();
        let reporters: Vec<_> = (0..self.random.between(1, 3)).map(reporter).collect();
        let mut batches: Vec<_> = reporters.iter().map(|place| self.prepare(&about, Some(*place))).collect();
        if self.random.one_in(3) {
            // Once, for all batches: each change in doubt doubles what may be so.
            let last = batches.len() - 1;
            let which = usize::try_from(self.random.below(u64::try_from(batches.len()).unwrap())).unwrap();
            self.change_too(&mut batches[which], reporters[last]);
        }
        self.disk.fault_in(operations, fault, takes_effect);
        let mut unknown = false;
        // The fault may hit while something is read, decided, applied or made durable.
        for batch in batches {
            let outcomes = self.let_race(batch);
            unknown |= outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unknown));
            if self.random.one_in(2) {
                unknown |= self.engine().checkpoint().is_err();
            }
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
        self.refresh_monitors()?;
        self.find_openings()?;
        self.audit_all(Some(tick))
    }
}
