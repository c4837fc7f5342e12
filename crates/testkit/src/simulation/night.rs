//! One simulated night: what people, time, disks and consumers do.

mod edits;
mod monitors;
mod pages;
mod races;

use std::time::Duration;

use dogwatch_core::contact::{
    AddContactMethod, ContactAddress, NotificationRule, NotificationRules, SetNotificationRules, VerifyContactMethod,
    built_in,
};
use dogwatch_core::escalation::CreatePolicy;
use dogwatch_core::id::{ComponentId, IncidentId, PolicyId, RotationLayerId, ScheduleId, StatusPageId};
use dogwatch_core::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, EditIncident, GetIncident, HandOffIncident, IncidentView, Owner,
    PostUpdate, SetComponents, Status,
};
use dogwatch_core::oncall::CreateSchedule;
use dogwatch_core::outbox::{DeliveryState, Message, Notification, Recipient, Retried, Transport};
use dogwatch_core::team::{AddMember, ListTeam, Role};
use dogwatch_core::webhook::CreateWebhook;
use dogwatch_core::{Actor, Code, OrgId, Secret, Timestamp, UserId};
use dogwatch_store::{Engine, Error, ManualClock, Ticked, Transaction, Wanted};

use super::auditor::ensure;
use super::monitors::newest;
use super::{Auditor, Complaint, Instants, Opening, Random, SimulatedDisk};
use crate::fixture;
use monitors::Monitor;

const BEGINNING: i64 = 1_775_556_000_000;
const MINUTE: Duration = Duration::from_secs(60);
/// The number of steps of a night.
const STEPS: u32 = 700;

/// Counts of what happened in one night, or in many.
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
    /// How often a component on a status page was seen to have another status.
    pub statuses: u64,
    /// Alerts and beats that were answered.
    pub alerts: u64,
    /// Incidents that integrations opened, storms among them.
    pub alerted: u64,
    pub storms: u64,
}

impl Report {
    /// Adds the counts of another night.
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
        self.statuses += other.statuses;
        self.alerts += other.alerts;
        self.alerted += other.alerted;
        self.storms += other.storms;
    }
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
    components: Vec<ComponentId>,
    pages: Vec<StatusPageId>,
    monitors: Vec<Monitor>,
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
        (self.report.alerted, self.report.storms) = (self.auditor.monitors.opened, self.auditor.monitors.storms);
        Ok(self.report)
    }

    fn step(&mut self) -> Result<(), Complaint> {
        match self.random.below(48) {
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
            _ => self.monitor(),
        }
    }

    fn join(&mut self) {
        let number = self.people.len();
        let add = AddMember::new(
            self.org,
            format!("user{number}@example.com").parse().unwrap(),
            "User".parse().unwrap(),
            format!("{number}").parse().unwrap(),
            Role::Admin,
        );
        if let Ok(joined) = self.engine().execute(add, &Actor::Operator) {
            self.people.push(joined.member.id);
            self.auditor.joined(joined.member.id);
            // Every other one is told over something else, too, once somebody has seen the code.
            if number.is_multiple_of(2) {
                let url = format!("https://hooks.example.com/{number}").parse().unwrap();
                let add = AddContactMethod::new("Hook".parse().unwrap(), ContactAddress::Webhook(url));
                let _ = self.engine().execute(add, &Actor::member(self.org, joined.member.id));
            }
        }
    }

    /// A consumer has seen the code of a contact method: its member verifies it, and is told over it from then on.
    fn verify(&mut self, row: &Notification, code: &Secret) -> Result<(), Complaint> {
        let confirmed = self.engine().confirm(&[row.receipt()]).map_err(|e| e.to_string())?;
        ensure!(confirmed == 1, "{} was held, but could not be confirmed", row.id);
        self.auditor.confirmed(row)?;
        let Recipient::Method { user, method, .. } = row.recipient else { return Ok(()) };
        let actor = Actor::member(self.org, user);
        let verify = VerifyContactMethod::new(method, code.reveal());
        // It may be too late for the code, or the member has left.
        let Ok(Some(_)) = self.engine().execute(verify, &actor) else { return Ok(()) };
        let minutes = *self.random.pick(&[0, 1, 7, 45]).unwrap();
        let rules =
            [(built_in(user), 0), (method, minutes)].map(|(id, minutes)| NotificationRule::new(id, minutes).unwrap());
        let set = SetNotificationRules::new(NotificationRules::new(rules.to_vec()).unwrap());
        self.engine().execute(set, &actor).map_err(|error| error.to_string())?;
        let delay = Duration::from_secs(u64::try_from(minutes).unwrap() * 60);
        self.auditor.rules.insert(user, vec![(method, delay)]);
        Ok(())
    }

    /// A member, or a former one.
    fn somebody(&mut self) -> UserId {
        *self.random.pick(&self.people).unwrap()
    }

    fn actor(&mut self) -> Actor {
        let user = self.somebody();
        if self.auditor.members.contains(&user) { Actor::member(self.org, user) } else { self.admin }
    }

    /// One of the incidents that are open; `None` if there are none.
    fn some_incident(&mut self) -> Option<IncidentId> {
        let open = self.auditor.open_incidents();
        self.random.pick(&open).copied()
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
            severity: self.severity(),
            description: None,
            owner: Owner::of(owner, schedule),
            escalation_policy_id: named,
            // Were it more, all would be out all night.
            component_ids: if self.random.one_in(5) { self.some_components(2) } else { Vec::new() },
        };
        let opening = self.auditor.opening(self.engine(), named, schedule, owner);
        self.opening.push((title, opening.clone()));
        (create, opening)
    }

    fn create(&mut self) -> Result<(), Complaint> {
        let ((create, opening), actor) = (self.creation(), self.actor());
        let transaction = self.random.one_in(3);
        let created = if transaction { self.transact(create, &actor) } else { self.engine().execute(create, &actor) };
        let created = created.map_err(|error| error.to_string())?;
        self.opening.clear();
        self.auditor.opened(created.id, opening);
        self.audit(&[created.id], None)?;
        self.same_as_shown(&created)
    }

    /// Opens an incident in a transaction that is undone, which leaves nothing, and then in one that is kept.
    fn transact(&self, create: CreateIncident, actor: &Actor) -> Result<IncidentView, Error> {
        let undone = create.clone();
        let undo = |tx: &mut Transaction<'_, '_>| -> Result<(), Error> {
            tx.execute(undone)?;
            Err(dogwatch_core::Error::refused(Code::NotFound, "undone").into())
        };
        assert!(self.engine().transact(actor, undo).is_err());
        self.engine().transact(actor, |tx| {
            let id = tx.execute(create)?.id;
            tx.execute(PostUpdate::internal(id, "opened".parse()?))?;
            Ok(tx.query(&GetIncident::new(id))?.incident)
        })
    }

    /// Checks that a query shows the incident that a command replied.
    fn same_as_shown(&self, view: &IncidentView) -> Result<(), Complaint> {
        let shown = self.engine().query(&GetIncident { id: view.id }, &self.admin).map_err(|e| e.to_string())?;
        ensure!(shown.incident == *view, "the reply was {view:?}, but it shows {:?}", shown.incident);
        Ok(())
    }

    /// A member acknowledges an incident, hands it off, changes it or its status, or posts an update.
    fn respond(&mut self) -> Result<(), Complaint> {
        let (Some(id), actor) = (self.some_incident(), self.actor()) else { return Ok(()) };
        let (target, severity, tags) = (self.somebody(), Some(self.severity()), self.some_components(1));
        let engine = self.engine();
        let view = match self.random.clone().below(12) {
            0..=2 => engine.execute(AcknowledgeIncident::new(id), &actor).ok(),
            3 | 4 => engine.execute(HandOffIncident { id, target_user_id: target }, &actor).ok(),
            5 => engine.execute(EditIncident { severity, ..EditIncident::new(id) }, &actor).ok(),
            6 => engine.execute(SetComponents { id, component_ids: tags }, &actor).ok(),
            7 => {
                let posted = engine.execute(PostUpdate::public(id, "news".parse().unwrap()), &actor);
                let public = self.auditor.pages_seen.is_public(id);
                ensure!(posted.is_ok() == public, "{id} is public: {public}, but an update came to {posted:?}");
                None
            }
            8..=10 => {
                let status = engine.query(&GetIncident { id }, &actor).unwrap().incident.status;
                engine.execute(ChangeStatus::new(id, status.next().unwrap_or(Status::Resolved)), &actor).ok()
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

    /// A consumer claims notifications, and confirms each, gives it back, keeps it for later, or crashes.
    fn consume(&mut self) -> Result<(), Complaint> {
        let limit = self.random.between(1, 6);
        let lease = Duration::from_secs(*self.random.pick(&[1, 30, 120, 600]).unwrap());
        let now = self.now();
        let claimed = self.engine().claim(usize::try_from(limit).unwrap(), lease).map_err(|e| e.to_string())?;
        let mut touched = Vec::new();
        for row in claimed {
            self.report.claims += 1;
            if let Recipient::Webhook(_) = row.recipient {
                self.tell(&row, now.plus(lease))?;
                continue;
            }
            self.auditor.claimed(&row, now, now.plus(lease))?;
            if let Message::Code { code: Some(code) } = &row.message {
                let code = code.clone();
                self.verify(&row, &code)?;
                continue;
            }
            match self.random.below(10) {
                // The consumer crashes before it delivers, or after.
                0 => {}
                1 => self.auditor.delivered(&row)?,
                2 => {
                    let after = Duration::from_secs(self.random.below(90));
                    let back = self.engine().give_back(&[row.receipt()], after).map_err(|e| e.to_string())?;
                    ensure!(back == 1, "{} was held, but could not be given back", row.id);
                    self.auditor.released(&row)?;
                }
                5 if row.user().is_some() && self.random.one_in(3) => {
                    let failed = self.engine().fail(&[row.receipt()], "no such mailbox").map_err(|e| e.to_string())?;
                    ensure!(failed == 1, "{} was held, but could not fail", row.id);
                    self.auditor.failed(&row)?;
                    touched.extend(row.incident());
                }
                6 if row.user().is_some() => {
                    let retried = self.engine().retry(&row.receipt(), "greylisted", None).map_err(|e| e.to_string())?;
                    match retried {
                        Retried::NotHeld => return Err(format!("{} was held, but could not be retried", row.id)),
                        Retried::At(at) => {
                            ensure!(now < at, "{} is tried again at {at}, in no time", row.id);
                            self.auditor.waits(&row, at)?;
                        }
                        Retried::Failed => {
                            let hour = row.due_at.plus(Duration::from_secs(3_600));
                            ensure!(hour <= now, "{} has failed before an hour had passed", row.id);
                            self.auditor.failed(&row)?;
                            touched.extend(row.incident());
                        }
                    }
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
                    touched.extend(row.incident());
                }
            }
        }
        self.audit(&touched, None)
    }

    /// The webhook is told of an event: it takes it, refuses it for now, or whoever tells it crashes before or after.
    fn tell(&mut self, row: &Notification, until: Timestamp) -> Result<(), Complaint> {
        let now = self.now();
        self.auditor.told.claimed(row, now, until)?;
        match self.random.below(8) {
            0 => {}
            1 => self.auditor.told.arrived(row),
            2 => {
                let after = Duration::from_secs(self.random.below(90));
                let back = self.engine().give_back(&[row.receipt()], after).map_err(|e| e.to_string())?;
                ensure!(back == 1, "{} was held, but could not be given back", row.id);
                self.auditor.told.waits(now.plus(after));
            }
            // After ten it would be disabled.
            3 | 4 if row.failures < 5 => {
                match self.engine().retry(&row.receipt(), "busy", None).map_err(|e| e.to_string())? {
                    Retried::At(at) if now < at => self.auditor.told.waits(at),
                    other => return Err(format!("{} was held, and is {other:?}", row.id)),
                }
            }
            _ => self.took(row)?,
        }
        Ok(())
    }

    /// The webhook has taken what it was told, and that is confirmed.
    fn took(&mut self, row: &Notification) -> Result<(), Complaint> {
        self.auditor.told.arrived(row);
        let confirmed = self.engine().confirm(&[row.receipt()]).map_err(|e| e.to_string())?;
        ensure!(confirmed == 1, "{} was held, but could not be confirmed", row.id);
        self.auditor.told.confirmed();
        Ok(())
    }

    /// The webhook is told of all that waits.
    fn tell_all(&mut self) -> Result<(), Complaint> {
        let wanted = [Wanted { transport: Transport::OrganizationWebhook, limit: 1, lease: MINUTE }];
        loop {
            let now = self.now();
            let claims = self.engine().claim_over(&wanted).map_err(|error| error.to_string())?;
            let [row] = &claims.notifications[..] else { return Ok(()) };
            self.auditor.told.claimed(row, now, now.plus(MINUTE))?;
            self.took(row)?;
        }
    }

    /// A slow consumer confirms at last; perhaps another one was faster.
    fn confirm_late(&mut self) -> Result<(), Complaint> {
        let Some((row, until)) = self.held.pop() else { return Ok(()) };
        let now = self.now();
        let confirmed = self.engine().confirm(&[row.receipt()]).map_err(|e| e.to_string())?;
        ensure!(confirmed == 1 || until <= now, "{} was held, but could not be confirmed", row.id);
        let mut touched = Vec::new();
        if confirmed == 1 {
            self.auditor.confirmed(&row)?;
            touched.extend(row.incident());
        }
        self.audit(&touched, None)
    }

    /// Finds the incidents whose creation was handed in and took effect.
    fn find_openings(&mut self) -> Result<(), Complaint> {
        let opening = std::mem::take(&mut self.opening);
        if opening.is_empty() {
            return Ok(());
        }
        for incident in newest(self.engine(), &self.admin, self.now())? {
            if self.auditor.knows(incident.id) || incident.created_by.user().is_none() {
                continue;
            }
            let found = opening.iter().find(|(title, _)| *title == incident.title.as_str());
            let (_, opening) = found.ok_or_else(|| format!("nobody created {incident:?}"))?;
            self.auditor.opened(incident.id, opening.clone());
        }
        Ok(())
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

    fn refresh_members(&mut self) -> Result<(), Complaint> {
        let team = self.engine().query(&ListTeam, &self.admin).map_err(|error| error.to_string())?;
        self.auditor.members = team.members.iter().map(|member| member.id).collect();
        Ok(())
    }

    /// The night ends: all runs are ticked until none waits, and all notifications are delivered.
    fn settle_down(&mut self) -> Result<(), Complaint> {
        self.audit_all(None)?;
        while let Some(due) = self.engine().next_deadline().map_err(|error| error.to_string())? {
            self.clock.set(self.now().max(due));
            self.tick(0)?;
        }
        let mut rounds = 0;
        loop {
            self.clock.advance(Duration::from_secs(2 * 3_600));
            self.tell_all()?;
            let now = self.now();
            let claimed = self.engine().claim(100, MINUTE).map_err(|error| error.to_string())?;
            let waits = |one: &Notification| one.state() == DeliveryState::Waiting;
            if claimed.is_empty() {
                // What is behind a contact method that was removed ends one by one, and nobody is handed it.
                let rest = self.engine().undelivered(usize::MAX).map_err(|error| error.to_string())?;
                if !rest.iter().any(waits) {
                    break;
                }
                rounds += 1;
                ensure!(rounds < 1_000, "it never ends: {:?}", rest.into_iter().find(waits));
            }
            for row in &claimed {
                // What has failed in this claim makes events for the webhook.
                if let Recipient::Webhook(_) = row.recipient {
                    self.auditor.told.claimed(row, now, now.plus(MINUTE))?;
                    self.auditor.told.arrived(row);
                    self.auditor.told.confirmed();
                    continue;
                }
                self.auditor.claimed(row, now, now.plus(MINUTE))?;
                self.auditor.delivered(row)?;
                self.auditor.confirmed(row)?;
            }
            let receipts: Vec<_> = claimed.iter().map(Notification::receipt).collect();
            let confirmed = self.engine().confirm(&receipts).map_err(|error| error.to_string())?;
            ensure!(confirmed == receipts.len(), "{confirmed} of {} could be confirmed", receipts.len());
            let touched: Vec<_> = claimed.iter().filter_map(Notification::incident).collect();
            self.audit(&touched, None)?;
        }
        self.audit_all(None)?;
        let engine = self.engine().clone();
        self.auditor.nothing_waits(&engine)?;
        self.auditor.settled()
    }
}
