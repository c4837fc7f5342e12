//! Stores that many tests begin with: an organization alone ([`organization`]), or one with rows in every table
//! ([`everything`]).

use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use dogwatch_core::component::CreateComponent;
use dogwatch_core::escalation::{
    AckTimeout, AddPolicyLayer, CreatePolicy, EditPolicyLayer, GetPolicy, Position, Target,
};
use dogwatch_core::id::{PolicyId, ScheduleId};
use dogwatch_core::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, EditIncident, HandOffIncident, PostUpdate, RedactUpdate,
    Severity, Status,
};
use dogwatch_core::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, DeleteSchedule, EditRotationLayer, LayerSettings,
    OrderRotationLayers, RotationLength, RotationType,
};
use dogwatch_core::organization::{CreateOrganization, OrganizationCreated};
use dogwatch_core::outbox::{Notification, Transport};
use dogwatch_core::team::{AddMember, InviteMember, RemoveMember, Role};
use dogwatch_core::text::IdempotencyKey;
use dogwatch_core::{Actor, Command, Query, UserId};
use dogwatch_store::{Answer, Engine, ManualClock, Once, Transaction, Wanted};

use crate::rooms;

/// The command that creates the organization Harbour with its admin Ada Byron.
#[must_use]
pub fn create_organization() -> CreateOrganization {
    CreateOrganization::new(
        "Harbour".parse().unwrap(),
        "ada@example.com".parse().unwrap(),
        "Ada".parse().unwrap(),
        "Byron".parse().unwrap(),
    )
}

/// Creates the organization Harbour in an engine.
#[must_use]
pub fn organization(engine: &Engine) -> OrganizationCreated {
    engine.execute(create_organization(), &Actor::Operator).unwrap()
}

/// Executes a command that the fixture knows to be valid.
pub(crate) fn did<C: Command>(engine: &Engine, command: C, actor: &Actor) -> C::Reply {
    engine.execute(command, actor).unwrap()
}

/// Reads a text that is known to be valid.
pub(crate) fn valid<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// An organization with rows in every table: open and resolved incidents with long texts, a schedule and a policy that were
/// edited, escalation runs that wait, pages that wait and pages that are delivered, an invitation, an idempotent answer.
///
/// The rows are the same for every engine with the same seed and clock, except for what the engine's version adds.
pub fn everything(engine: &Engine, clock: &ManualClock) -> OrganizationCreated {
    let created = organization(engine);
    let (ada, me) = (created.actor(), created.admin.member.id);
    let join = |email: &str, first: &str| {
        let (org, last_name, role) = (created.organization.id, valid("Marlow"), Role::Member);
        let add = AddMember::new(org, valid(email), valid(first), last_name, role);
        did(engine, add, &Actor::Operator).member.id
    };
    let (ben, cleo) = (join("ben@example.com", "Ben"), join("cleo@example.com", "Cleo"));
    did(engine, InviteMember { email_address: valid("dora@example.com"), role: Role::Admin }, &ada);
    let checkout = CreateComponent { name: valid("Checkout"), description: None, group_label: Some(valid("Shop")) };
    let checkout = did(engine, checkout, &ada).id;
    rooms::fill(engine, &ada);
    let long = "All card payments fail. Support sees about forty tickets. ".repeat(20);

    let schedule = rotations(engine, clock, &ada, [me, ben, cleo]);
    let policy = policy(engine, &ada, schedule, [me, ben]);
    let open = |title: &str, policy| CreateIncident {
        description: Some(valid(&long)),
        component_ids: vec![checkout],
        escalation_policy_id: policy,
        ..CreateIncident::new(valid(title), Severity::Critical, me)
    };
    let waiting = did(engine, open("Checkout is down", Some(policy)), &ada).id;
    // The policy is edited here: from here on the layers of the run's snapshot are past ones.
    let layers = did_query(engine, &GetPolicy { id: policy }, &ada).layers.unwrap();
    let longer = AckTimeout::from_minutes(9).unwrap();
    did(engine, EditPolicyLayer { ack_timeout: Some(longer), ..EditPolicyLayer::new(policy, layers[0].id) }, &ada);
    did(engine, HandOffIncident { id: waiting, target_user_id: ben }, &ada);
    let resolved = did(engine, open("Basket is empty", None), &ada).id;
    let news = PostUpdate::internal(resolved, valid(&long));
    let news = did(engine, news, &ada).id;
    did(engine, RedactUpdate { incident_id: resolved, update_id: news }, &ada);
    did(engine, AcknowledgeIncident::new(resolved), &ada);
    for status in [Status::Identified, Status::Monitoring, Status::Resolved] {
        did(engine, ChangeStatus::new(resolved, status), &ada);
    }
    let news = PostUpdate::internal(waiting, valid(&long)).with_status(Status::Identified);
    did(engine, news, &ada);
    // What goes over other transports waits.
    let mail = Wanted { transport: Transport::Email, limit: 10, lease: Duration::from_secs(30) };
    let claimed = engine.claim_over(&[mail]).unwrap().notifications;
    let receipts: Vec<_> = claimed.iter().map(Notification::receipt).collect();
    assert_eq!(engine.confirm(&receipts).unwrap(), 1);

    let once = Once { scope: [7; 16], key: IdempotencyKey::new("first").unwrap(), fingerprint: [8; 32] };
    let answer = |body: Vec<u8>| Answer { status: 201, body };
    let render = move |_: Result<_, _>| (answer(b"{}".to_vec()), answer(vec![b'x'; 5_000]));
    let retitle = EditIncident { title: Some(valid("Checkout is slow")), ..EditIncident::new(waiting) };
    engine.submit_once(retitle, &ada, once, render).unwrap().wait().unwrap();
    did(engine, RemoveMember { user_id: cleo }, &ada);
    let eve = join("eve@example.com", "Eve");
    removals(engine, &ada, me, eve);
    created
}

/// A schedule that was deleted, and somebody who was removed: of more overrides than end at once, one is left of each.
fn removals(engine: &Engine, ada: &Actor, me: UserId, eve: UserId) {
    let now = engine.now();
    let schedule = |name: &str, user: UserId| {
        let create = CreateSchedule { name: valid(name), description: None, timezone: "Europe/Lisbon".to_owned() };
        let schedule = did(engine, create, ada).id;
        let many = move |transaction: &mut Transaction<'_, '_>| {
            let (starts_at, ends_at) = (now, now.plus(Duration::from_secs(60)));
            for _ in 0..101 {
                transaction.execute(CreateOverride::new(schedule, user, starts_at, ends_at))?;
            }
            Ok(())
        };
        engine.transact(ada, many).unwrap();
        schedule
    };
    let gone = schedule("Gone", me);
    did(engine, DeleteSchedule { id: gone }, ada);
    schedule("Kept", eve);
    did(engine, RemoveMember { user_id: eve }, ada);
}

fn did_query<Q: Query>(engine: &Engine, query: &Q, actor: &Actor) -> Q::Reply {
    engine.query(query, actor).unwrap()
}

/// A schedule with an override and two rotation layers, of which one has been edited, put in another order.
fn rotations(engine: &Engine, clock: &ManualClock, ada: &Actor, users: [UserId; 3]) -> ScheduleId {
    let name = valid("Night watch");
    let create = CreateSchedule { name, description: None, timezone: "Europe/Lisbon".to_owned() };
    let schedule = did(engine, create, ada).id;
    let layer = |name: &str, users: Vec<UserId>| {
        let (length, handoff) = (RotationLength::new(RotationType::Weekly, 7).unwrap(), valid("09:00"));
        let settings = LayerSettings::new(length, handoff, engine.now(), users);
        did(engine, AddRotationLayer { schedule_id: schedule, name: valid(name), settings }, ada).id
    };
    let (first, second) = (layer("First", users.to_vec()), layer("Second", vec![users[1]]));
    clock.advance(Duration::from_secs(3_600));
    let daily = EditRotationLayer {
        rotation_type: Some(RotationType::Daily),
        rotation_length_days: Some(1),
        ..EditRotationLayer::new(schedule, first)
    };
    did(engine, daily, ada);
    did(engine, OrderRotationLayers { schedule_id: schedule, layer_ids: vec![second, first] }, ada);
    let (now, later) = (engine.now(), engine.now().plus(Duration::from_secs(7_200)));
    let swap = CreateOverride::new(schedule, users[0], now, later);
    did(engine, CreateOverride { reason: Some(valid("swap")), ..swap }, ada);
    schedule
}

/// An escalation policy of two layers, 5 minutes each: the first pages users, the second a schedule.
fn policy(engine: &Engine, ada: &Actor, schedule: ScheduleId, users: [UserId; 2]) -> PolicyId {
    let policy = did(engine, CreatePolicy { name: valid("Night"), description: None }, ada).id;
    let targets = [Target::users(users.to_vec()).unwrap(), Target::Schedule(schedule)];
    for (position, target) in (1..).zip(targets) {
        let (position, ack_timeout) = (Position::new(position).unwrap(), AckTimeout::from_minutes(5).unwrap());
        did(engine, AddPolicyLayer { policy_id: policy, position, ack_timeout, target }, ada);
    }
    policy
}
