//! A process that is killed loses nothing it acknowledged.
//!
//! The test starts itself again as a child that writes from four threads and prints each acknowledged number; kills it at a
//! random moment; opens the folder; verifies it; and looks for every number printed. `DOGWATCH_KILLS` says how often.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use dogwatch_core::Actor;
use dogwatch_core::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, ListPolicies, Position, Target};
use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, ListIncidents, ListLimit, ListUpdates, PostUpdate, Severity,
    Status,
};
use dogwatch_core::outbox::Notification;
use dogwatch_store::Engine;
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::times;
use support::{acknowledge, acknowledged, numbers};

const FOLDER: &str = "DOGWATCH_KILL_FOLDER";

/// The child: writes until it is killed. As a test without the folder it has nothing to do.
#[test]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let engine = Engine::open(folder).unwrap();
    let ada: Actor = actor(&env::var("DOGWATCH_KILL_ACTOR").unwrap());
    let Actor::Member { user_id: user, .. } = ada else { panic!("a member acts") };
    let policy = engine.query(&ListPolicies, &ada).unwrap().first().unwrap().id;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let open = CreateIncident {
                        escalation_policy_id: Some(policy),
                        ..CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, user)
                    };
                    // Both, or none: see `torn`.
                    let opened = engine.transact(&ada, |tx| {
                        let incident = tx.execute(open)?;
                        tx.execute(PostUpdate::internal(incident.id, "opened".parse()?))?;
                        Ok(incident)
                    });
                    let incident = opened.unwrap();
                    acknowledge(incident.sequential_id);
                    go_on(&engine, &ada, incident.id, incident.sequential_id);
                }
            });
        }
    });
}

/// What happens to an incident and its pages: something else each time.
fn go_on(engine: &Engine, ada: &Actor, id: IncidentId, number: u64) {
    match number % 4 {
        0 => drop(engine.execute(AcknowledgeIncident::new(id), ada).unwrap()),
        1 => drop(engine.execute(ChangeStatus::new(id, Status::Identified), ada).unwrap()),
        2 => drop(engine.tick(engine.now().plus(Duration::from_secs(3_600))).unwrap()),
        _ => {
            let pages = engine.claim(5, Duration::from_secs(30)).unwrap();
            engine.confirm(&pages.iter().map(Notification::receipt).collect::<Vec<_>>()).unwrap();
        }
    }
}

/// How many commands may be under way when the child is killed.
const THREADS: usize = 4;
/// After so many kills another store is begun, so that looking at all of it stays quick.
const KILLS_PER_STORE: u64 = 25;

/// A store with an organization and a policy; gives the admin.
fn begin(folder: &Path) -> Actor {
    let engine = Engine::open(folder).unwrap();
    let created = organization(&engine);
    let (ada, user) = (created.actor(), created.admin.member.id);
    let policy = engine.execute(CreatePolicy { name: "Night".parse().unwrap(), description: None }, &ada).unwrap().id;
    for position in [1, 2] {
        let add = AddPolicyLayer {
            policy_id: policy,
            position: Position::new(position).unwrap(),
            ack_timeout: AckTimeout::from_minutes(5).unwrap(),
            target: Target::users(vec![user]).unwrap(),
        };
        engine.execute(add, &ada).unwrap();
    }
    ada
}

fn actor(text: &str) -> Actor {
    let (org, user) = text.split_once(' ').unwrap();
    Actor::member(org.parse().unwrap(), user.parse().unwrap())
}

/// Starts the child, kills it after a while, gives the numbers it acknowledged.
fn write_and_kill(folder: &Path, actor: &str, millis: u64) -> BTreeSet<u64> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env("DOGWATCH_KILL_ACTOR", actor)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || acknowledged(out));
    thread::sleep(Duration::from_millis(millis));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

/// The incidents without the update that was posted in the transaction that opened them.
fn torn(engine: &Engine, ada: &Actor) -> Vec<IncidentId> {
    let (mut torn, mut cursor) = (Vec::new(), None);
    loop {
        let list = ListIncidents { limit: ListLimit::MAX, cursor, ..Default::default() };
        let list = engine.query(&list, ada).unwrap();
        let half = |id: &IncidentId| engine.query(&ListUpdates::new(*id), ada).unwrap().updates.is_empty();
        torn.extend(list.incidents.iter().map(|incident| incident.id).filter(half));
        cursor = list.next_cursor;
        if cursor.is_none() {
            return torn;
        }
    }
}

#[test]
fn every_acknowledged_command_survives_a_kill() {
    if env::var(FOLDER).is_ok() {
        return;
    }
    let kills = times("DOGWATCH_KILLS", 12);
    let (mut folder, mut ada, mut name) = (tempfile::tempdir().unwrap(), Actor::Anybody, String::new());
    let (mut acknowledged, mut all) = (BTreeSet::new(), 0);
    for kill in 0..kills {
        if kill % KILLS_PER_STORE == 0 {
            folder = tempfile::tempdir().unwrap();
            ada = begin(folder.path());
            let Actor::Member { org_id: org, user_id: user } = ada else { panic!("a member acts") };
            name = format!("{org} {user}");
            acknowledged.clear();
        }
        let before = acknowledged.len();
        acknowledged.extend(write_and_kill(folder.path(), &name, 40 + kill * 37 % 160));
        all += acknowledged.len() - before;
        let engine = Engine::open(folder.path()).unwrap();
        let report = engine.verify(&mut |_| ());
        assert!(report.is_clean(), "after kill {kill}: {report:#?}");
        let found = numbers(&engine, &ada);
        let torn = torn(&engine, &ada);
        assert!(torn.is_empty(), "transactions in half after kill {kill}: {torn:?}");
        drop(engine);
        // What one opening has found, and no more, is there for the next.
        let again = numbers(&Engine::open(folder.path()).unwrap(), &ada);
        assert!(found == again, "opened twice after kill {kill}: {:?}", found.symmetric_difference(&again));
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "lost after kill {kill}: {lost:?}");
        let more: Vec<_> = found.difference(&acknowledged).collect();
        assert!(more.len() <= THREADS, "{more:?} of {} nobody was told of after kill {kill}", found.len());
        // Those that were under way are there for good.
        acknowledged.extend(found);
    }
    println!("{kills} kills, {all} acknowledged, none lost");
    assert!(all > 0, "the child never got to write");
}

#[test]
fn what_a_child_says_is_read_to_the_last_line() {
    // The harness has not ended its line when the first is acknowledged; the last may be cut.
    let said = "\nrunning 1 test\ntest child ... ack 7\nack 8\nack 10\nack ";
    assert_eq!(acknowledged(said.as_bytes()), BTreeSet::from([7, 8, 10]));
}
