//! `dogwatch demo`: an incident at the organization Harbour, told step by step from opening to resolution.
//!
//! The steps are real commands on a real store; only the clock is moved by hand. At the end the store is opened again, and the
//! incident is shown as it was stored.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use dogwatch_store::rules::component::{CreateComponent, DeleteComponent, ListComponents};
use dogwatch_store::rules::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_store::rules::id::{IncidentId, PolicyId};
use dogwatch_store::rules::incident::{
    AcknowledgeIncident, Author, ChangeStatus, CreateIncident, EditIncident, Event, GetIncident, HandOffIncident,
    IncidentDetail, ListIncidents, ListUpdates, PostUpdate, RedactUpdate, Severity, Status, UpdateView,
};
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::outbox::PageReason;
use dogwatch_store::rules::status_page::{CreateStatusPage, ShowStatusPage};
use dogwatch_store::rules::team::{AddMember, ListTeam, Member, Role};
use dogwatch_store::rules::text::Slug;
use dogwatch_store::rules::{Actor, Command, Error as Refusal, Problem, UserId};
use dogwatch_store::{Clock, Engine, ManualClock, SystemClock};

use crate::cli::DemoArgs;
use crate::failure::Failure;
use crate::look::valid;
use crate::stage::Stage;

/// How long before now the demo begins, in milliseconds: 61 minutes, so that it ends about now.
const NIGHT: i64 = 61 * 60 * 1_000;

/// What stands for the status page in addresses. Another night in the same folder has another.
fn slug(engine: &Engine) -> Result<Slug, Failure> {
    match engine.organizations()?.len() {
        1 => valid("harbour"),
        nights => valid(&format!("harbour-{nights}")),
    }
}

/// Runs the demo on the given folder, or on a temporary one.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let mut stage = Stage::new(anstream::stdout().lock());
    match &args.data {
        Some(folder) => {
            play(&mut stage, folder)?;
            stage.note(&format!("The store is in {}.", folder.display()))?;
        }
        None => {
            let folder = tempfile::tempdir()?;
            play(&mut stage, folder.path())?;
            stage.note("This was a temporary folder. With --data DIR the store stays.")?;
        }
    }
    Ok(stage.gap()?)
}

fn play<W: Write>(stage: &mut Stage<W>, folder: &Path) -> Result<(), Failure> {
    let now = SystemClock.now().as_millis();
    let clock = ManualClock::at(dogwatch_store::rules::Timestamp::clamped(now - NIGHT));
    let engine = Engine::builder().clock(clock.clone()).open(folder)?;
    let mut night = Night::begin(stage, engine, clock)?;
    let incident = night.outage()?;
    night.escalation(incident)?;
    night.work(incident)?;
    night.repair(incident)?;
    night.aftermath(incident)?;
    let ada = night.ada.actor;
    drop(night);

    stage.heading("The program ends. The store is opened again, and all of it is still there.")?;
    let engine = Engine::open(folder)?;
    tell(stage, &engine, &ada, incident)?;
    stage.heading("And this is what anybody sees: the status page")?;
    let page = engine.query(&ShowStatusPage::new(slug(&engine)?, engine.now()), &Actor::Anybody)?;
    Ok(stage.draw(&page)?)
}

/// A member who takes part in the demo.
struct Person {
    name: &'static str,
    actor: Actor,
    user: UserId,
}

impl Person {
    fn new(name: &'static str, member: &Member) -> Self {
        Self { name, actor: Actor::member(member.org_id, member.id), user: member.id }
    }
}

/// The demo while it is played: where it is told, the engine and its clock, and the members.
struct Night<'a, W> {
    stage: &'a mut Stage<W>,
    engine: Engine,
    clock: ManualClock,
    ada: Person,
    ben: Person,
    cleo: Person,
}

impl<'a, W: Write> Night<'a, W> {
    fn begin(stage: &'a mut Stage<W>, engine: Engine, clock: ManualClock) -> Result<Self, Failure> {
        let create =
            CreateOrganization::new(valid("Harbour")?, valid("ada@harbour.example")?, valid("Ada")?, valid("Byron")?);
        let created = engine.execute(create, &Actor::Operator)?;
        let join = |email: &str, first: &str, last: &str| -> Result<Member, Failure> {
            let add = AddMember::new(created.organization.id, valid(email)?, valid(first)?, valid(last)?, Role::Member);
            Ok(engine.execute(add, &Actor::Operator)?.member)
        };
        let ben = Person::new("Ben", &join("ben@harbour.example", "Ben", "Marlow")?);
        let cleo = Person::new("Cleo", &join("cleo@harbour.example", "Cleo", "Quay")?);
        let ada = Person::new("Ada", &created.admin.member);
        stage.heading("A night at Harbour")?;
        stage.note("Real commands on a real store; the clock (UTC) is moved by hand.")?;
        stage.note("Ada is an admin, Ben and Cleo are members.")?;
        stage.gap()?;
        Ok(Self { stage, engine, clock, ada, ben, cleo })
    }

    fn wait(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(minutes * 60));
    }

    /// Tells what a member does, and does it: the command must succeed.
    fn act<C: Command>(&mut self, who: Who, does: &str, command: C) -> Result<C::Reply, Failure> {
        let (name, actor) = self.person(who);
        self.stage.act(self.clock.now(), name, does)?;
        Ok(self.engine.execute(command, &actor)?)
    }

    /// Tells what a member tries, and tries it: a rule must refuse the command.
    fn try_in_vain<C: Command>(&mut self, who: Who, does: &str, command: C) -> Result<(), Failure> {
        let (name, actor) = self.person(who);
        self.stage.act(self.clock.now(), name, does)?;
        match self.engine.execute(command, &actor) {
            Ok(_) => Err(Refusal::broken("a rule did not hold").into()),
            Err(error) => Ok(self.stage.refused(error.code().as_str(), &error.to_string())?),
        }
    }

    fn person(&self, who: Who) -> (&'static str, Actor) {
        let person = match who {
            Who::Ada => &self.ada,
            Who::Ben => &self.ben,
            Who::Cleo => &self.cleo,
        };
        (person.name, person.actor)
    }

    /// Creates an escalation policy that pages Ben and, after 5 minutes without an acknowledgement, Cleo.
    fn policy(&self) -> Result<PolicyId, Failure> {
        let create = CreatePolicy { name: valid("Night")?, description: None };
        let policy = self.engine.execute(create, &self.ada.actor)?.id;
        for (position, minutes, user) in [(1, 5, self.ben.user), (2, 10, self.cleo.user)] {
            let broken = |problem: Problem| Refusal::broken(problem.to_string());
            let add = AddPolicyLayer {
                policy_id: policy,
                position: Position::new(position).map_err(broken)?,
                ack_timeout: AckTimeout::from_minutes(minutes).map_err(broken)?,
                target: Target::users(vec![user]).map_err(broken)?,
            };
            self.engine.execute(add, &self.ada.actor)?;
        }
        Ok(policy)
    }

    /// Claims and confirms the pages in the outbox, and tells to whom each goes.
    fn deliver(&mut self) -> Result<(), Failure> {
        for page in self.engine.claim(10, Duration::from_secs(60))? {
            let people = [&self.ada, &self.ben, &self.cleo];
            let whom =
                people.iter().find(|person| Some(person.user) == page.user()).map_or("somebody", |person| person.name);
            let why = page.reason().map_or("invitation", PageReason::as_str);
            self.stage.done(&format!("page to {whom} ({why}), delivered and confirmed"))?;
            self.engine.confirm(&[page.receipt()])?;
        }
        Ok(())
    }

    /// An incident is opened, and its policy pages the first layer.
    fn outage(&mut self) -> Result<IncidentId, Failure> {
        let component = CreateComponent {
            name: valid("Checkout")?,
            description: Some(valid("Basket to receipt")?),
            group_label: None,
        };
        let checkout = self.engine.execute(component, &self.ada.actor)?.id;
        let open = CreateIncident {
            description: Some(valid("All card payments fail. Forty tickets in ten minutes.")?),
            component_ids: vec![checkout],
            escalation_policy_id: Some(self.policy()?),
            ..CreateIncident::new(valid("Checkout is down")?, Severity::Critical, self.ada.user)
        };
        let incident = self.act(Who::Ada, "opens an incident: Checkout is down, critical.", open)?;
        let (number, status) = (incident.sequential_id, incident.status);
        self.stage.done(&format!("#{number}, {status}, owned by Ada; its policy pages layer 1"))?;
        self.deliver()?;
        Ok(incident.id)
    }

    /// Nobody acknowledges, the second layer is paged, and the incident is handed off to Ben.
    fn escalation(&mut self, id: IncidentId) -> Result<(), Failure> {
        self.wait(5);
        self.stage.act(self.clock.now(), "Nobody", "answers for five minutes.")?;
        let ticked = self.engine.tick(self.clock.now())?;
        self.stage.done(&format!("the tick fires {} run: layer 1 timed out, layer 2 is paged", ticked.fired))?;
        self.deliver()?;

        self.wait(1);
        let acknowledged = self.act(Who::Cleo, "wakes up and acknowledges.", AcknowledgeIncident::new(id))?;
        let next = acknowledged.next_escalation_at.map_or("no further layer is paged".to_owned(), |at| at.to_string());
        self.stage.done(&format!("escalation stops: {next}"))?;

        self.wait(2);
        let handoff = HandOffIncident { id, target_user_id: self.ben.user };
        let handed = self.act(Who::Cleo, "hears Ben on the phone and hands it off to him.", handoff)?;
        let waits = handed.next_escalation_at.map_or(0, |at| at.since(self.clock.now()).as_secs() / 60);
        self.stage.done(&format!("owned by Ben; layer 2 waits another {waits} minutes for somebody to acknowledge"))?;
        self.deliver()?;

        self.wait(1);
        self.act(Who::Ben, "acknowledges.", AcknowledgeIncident::new(id))?;
        self.stage.done("escalation stops for good")?;
        Ok(())
    }

    /// An update with a mistake is posted and redacted; the rules refuse what they forbid.
    fn work(&mut self, id: IncidentId) -> Result<(), Failure> {
        self.wait(1);
        self.try_in_vain(Who::Ben, "would like to be in bed: resolved.", ChangeStatus::new(id, Status::Resolved))?;

        self.wait(2);
        let slip = valid("Customer called, card 4111 1111 1111 1111 is declined.")?;
        let posted = self.act(
            Who::Ben,
            "posts an update, with more in it than there should be.",
            PostUpdate::internal(id, slip),
        )?;
        self.stage.done("posted for members only")?;
        let redact = RedactUpdate { incident_id: id, update_id: posted.id };
        self.wait(1);
        self.try_in_vain(Who::Cleo, "notices and tries to take it back for him.", redact)?;
        self.wait(1);
        self.act(Who::Ben, "redacts it himself, two minutes after posting.", redact)?;
        self.stage.done("the text is gone for good; that there was one stays on record")?;

        self.wait(1);
        let public = PostUpdate::public(id, valid("We are looking into failing payments.")?);
        self.try_in_vain(Who::Cleo, "wants to tell the public.", public.clone())?;
        let components = self.engine.query(&ListComponents, &self.cleo.actor)?;
        let page = CreateStatusPage {
            published: true,
            component_ids: components.iter().map(|component| component.id).collect(),
            ..CreateStatusPage::new(valid("Harbour")?, slug(&self.engine)?)
        };
        self.act(Who::Ada, "publishes a status page that shows Checkout.", page)?;
        self.act(Who::Cleo, "tells the public.", public)?;
        self.stage.done("posted, and on the page with the same commit")?;
        self.wait(1);
        for component in components {
            self.try_in_vain(Who::Cleo, "tidies up the components.", DeleteComponent { id: component.id })?;
        }
        Ok(())
    }

    /// The status is changed step by step to `resolved`.
    fn repair(&mut self, id: IncidentId) -> Result<(), Failure> {
        self.wait(6);
        let found = PostUpdate::internal(id, valid("The 02:05 release points at the old payment gateway.")?);
        self.act(Who::Cleo, "finds the cause and says so.", found.with_status(Status::Identified))?;
        self.stage.done("investigating -> identified")?;

        self.wait(9);
        let edit = EditIncident { severity: Some(Severity::High), ..EditIncident::new(id) };
        self.act(Who::Ben, "rolls back. Half of the payments work: no longer critical.", edit)?;
        self.stage.done("severity high")?;

        self.wait(4);
        self.act(Who::Ben, "sees all of them work.", ChangeStatus::new(id, Status::Monitoring))?;
        self.stage.done("identified -> monitoring")?;

        self.wait(20);
        let note = valid("Rolled back. Gateway addresses are now checked before a release.")?;
        let resolved = self.act(Who::Ben, "calls it a night.", ChangeStatus::resolve(id, note))?;
        let lasted = resolved.resolved_at.map_or(Duration::ZERO, |end| end.since(resolved.created_at));
        self.stage.done(&format!("monitoring -> resolved, after {} minutes", lasted.as_secs() / 60))?;
        Ok(())
    }

    /// A resolved incident takes no further update and no further status.
    fn aftermath(&mut self, id: IncidentId) -> Result<(), Failure> {
        self.wait(5);
        let late = PostUpdate::internal(id, valid("One more thing.")?);
        self.try_in_vain(Who::Cleo, "has one more thing to say.", late)?;
        self.wait(1);
        let reopen = ChangeStatus::new(id, Status::Investigating);
        self.try_in_vain(Who::Ada, "looks in and wants to start over.", reopen)
    }
}

#[derive(Clone, Copy)]
enum Who {
    Ada,
    Ben,
    Cleo,
}

/// Tells what the store holds of the incident: its fields, status history, updates and audit trail.
fn tell<W: Write>(stage: &mut Stage<W>, engine: &Engine, actor: &Actor, id: IncidentId) -> Result<(), Failure> {
    let detail = engine.query(&GetIncident { id }, actor)?;
    let updates = engine.query(&ListUpdates::new(id), actor)?.updates;
    let team = engine.query(&ListTeam, actor)?.members;
    let listed = engine.query(&ListIncidents::default(), actor)?.incidents;
    let name = |user: UserId| {
        let member = team.iter().find(|member| member.id == user);
        member.map_or_else(|| user.to_string(), Member::full_name)
    };
    let incident = &detail.incident;
    stage.fact("incident", format!("#{} {}", incident.sequential_id, incident.title))?;
    stage.fact("id", incident.id)?;
    stage.fact("severity", incident.severity)?;
    stage.fact("status", incident.status)?;
    stage.fact("owner", incident.owner_id.map(name).unwrap_or_default())?;
    stage.fact("listed", format!("{} of {} in this organization", incident.sequential_id, listed.len()))?;
    tell_history(stage, &detail)?;
    tell_updates(stage, &updates, &name)?;
    stage.heading("Audit trail")?;
    for event in &detail.audit_trail {
        let actor = match event.actor_id {
            Some(Author::User(user)) => name(user),
            Some(by @ Author::Integration(_)) => by.to_string(),
            None => "time".to_owned(),
        };
        stage.row(event.at(), event.event.as_str(), &format!("{actor}{}", details(&event.event, &name)))?;
    }
    Ok(stage.gap()?)
}

fn tell_history<W: Write>(stage: &mut Stage<W>, detail: &IncidentDetail) -> Result<(), Failure> {
    stage.heading("Status history")?;
    for entry in &detail.status_history {
        let note = entry.resolution_note.as_ref().map(ToString::to_string);
        stage.row(entry.changed_at, entry.status, &note.unwrap_or_default())?;
    }
    Ok(())
}

fn tell_updates<W: Write>(
    stage: &mut Stage<W>,
    updates: &[UpdateView],
    name: &dyn Fn(UserId) -> String,
) -> Result<(), Failure> {
    stage.heading("Updates")?;
    for update in updates {
        let text = match (&update.body, update.redacted_by, update.status_change) {
            (Some(body), ..) => body.to_string(),
            (None, Some(by), _) => format!("[redacted by {}]", name(by)),
            (None, None, Some(status)) => format!("[{status}]"),
            (None, None, None) => String::new(),
        };
        stage.row(update.posted_at, &update.posted_by.name, &text)?;
    }
    Ok(())
}

fn details(event: &Event, name: &dyn Fn(UserId) -> String) -> String {
    match event {
        Event::StatusChanged { from, to } => format!(": {from} -> {to}"),
        Event::IncidentEdited { fields } => {
            let fields: Vec<_> = fields.iter().map(|field| field.as_str()).collect();
            format!(": {}", fields.join(", "))
        }
        Event::UpdatePosted { visibility, .. } => format!(": {visibility}"),
        Event::LayerPaged { position, user_ids: users, .. } => {
            let users: Vec<_> = users.iter().map(|user| name(*user)).collect();
            format!(": layer {position}, {}", users.join(", "))
        }
        Event::LayerTimedOut { position, .. } => format!(": layer {position}"),
        Event::IncidentHandedOff { new_owner_id: new, .. } => format!(": to {}", name(*new)),
        _ => String::new(),
    }
}
