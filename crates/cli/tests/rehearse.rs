//! What `dogwatch rehearse` tells.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use dogwatch_store::rules::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_store::rules::id::ScheduleId;
use dogwatch_store::rules::oncall::{AddRotationLayer, CreateSchedule, LayerSettings, RotationLength};
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::team::{AddMember, Role};
use dogwatch_store::rules::{Actor, Timestamp, UserId};
use dogwatch_store::{Engine, ManualClock};

fn rehearse(folder: &Path, more: &[&str]) -> (bool, String) {
    let args = [&["rehearse", "--data", folder.to_str().unwrap()], more].concat();
    let output = Command::new(env!("CARGO_BIN_EXE_dogwatch")).args(args).output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Somebody with an organization.
struct Harbour {
    engine: Engine,
    ada: Actor,
    ada_id: UserId,
}

impl Harbour {
    fn new(folder: &Path) -> Self {
        let engine = Engine::builder().clock(ManualClock::at(at("2026-03-26T12:00:00Z"))).open(folder).unwrap();
        let create = CreateOrganization::new(
            "Harbour".parse().unwrap(),
            "ada@example.com".parse().unwrap(),
            "Ada".parse().unwrap(),
            "Byron".parse().unwrap(),
        );
        let created = engine.execute(create, &Actor::Operator).unwrap();
        Self { engine, ada: created.actor(), ada_id: created.admin.member.id }
    }

    fn join(&self, first: &str) -> UserId {
        let Actor::Member { org_id: org, .. } = self.ada else { panic!("an admin is a member") };
        let email = format!("{first}@example.com").parse().unwrap();
        let (first_name, last_name) = (first.parse().unwrap(), "Marlow".parse().unwrap());
        let add = AddMember::new(org, email, first_name, last_name, Role::Member);
        self.engine.execute(add, &Actor::Operator).unwrap().member.id
    }

    fn schedule(&self, name: &str, zone: &str, people: &[UserId], until: Option<&str>) -> ScheduleId {
        let create = CreateSchedule { name: name.parse().unwrap(), description: None, timezone: zone.to_owned() };
        let schedule = self.engine.execute(create, &self.ada).unwrap().id;
        let (handoff, from) = ("09:00".parse().unwrap(), at("2026-03-01T00:00:00Z"));
        let settings = LayerSettings {
            effective_until: until.map(at),
            ..LayerSettings::new(RotationLength::DAILY, handoff, from, people.to_vec())
        };
        let add = AddRotationLayer { schedule_id: schedule, name: "daily".parse().unwrap(), settings };
        self.engine.execute(add, &self.ada).unwrap();
        schedule
    }

    fn policy(&self, name: &str, layers: Vec<(i64, i64, Target)>) {
        let create = CreatePolicy { name: name.parse().unwrap(), description: None };
        let policy = self.engine.execute(create, &self.ada).unwrap().id;
        for (position, minutes, target) in layers {
            let position = Position::new(position).unwrap();
            let ack_timeout = AckTimeout::from_minutes(minutes).unwrap();
            self.engine
                .execute(AddPolicyLayer { policy_id: policy, position, ack_timeout, target }, &self.ada)
                .unwrap();
        }
    }
}

fn night(folder: &Path) {
    let harbour = Harbour::new(folder);
    let (ben, cleo, dora) = (harbour.join("Ben"), harbour.join("Cleopatra"), harbour.join("Dora"));
    let berlin = harbour.schedule("Night watch", "Europe/Berlin", &[ben, cleo], None);
    let tokyo = harbour.schedule("Day watch", "Asia/Tokyo", &[dora], Some("2026-03-20T00:00:00Z"));
    let named = Target::users(vec![dora, harbour.ada_id, ben]).unwrap();
    let layers = vec![
        (1, 5, Target::Schedule(berlin)),
        (2, 10, Target::Schedule(tokyo)),
        (5, 90, named),
        (9, 10_080, Target::Schedule(berlin)),
    ];
    harbour.policy("Night", layers);
    harbour.policy("Empty", vec![]);
}

/// The clocks of Berlin go forward in the middle of it; the last layer waits a week.
const NIGHT: &str = "
  Night  an incident opens Sun 29 Mar 00:55 UTC

  at once          layer 1: on call in Night watch (waits 5 min)
                   Cleopatra Marlow      Sun 29 Mar 01:55 Europe/Berlin

  +5 min           layer 2: skipped, nobody is on call in Day watch

  +5 min           layer 5: users by name (waits 1 h 30 min)
                   Dora Marlow           Sun 29 Mar 10:00 Asia/Tokyo
                   Ada Byron             Sun 29 Mar 01:00 UTC
                   Ben Marlow            Sun 29 Mar 03:00 Europe/Berlin

  +1 h 35 min      layer 9: on call in Night watch (waits 7 d)
                   Cleopatra Marlow      Sun 29 Mar 04:30 Europe/Berlin

  +7 d 1 h 35 min  the end, Sun 05 Apr 02:30 UTC: escalation stops

";

#[test]
fn a_night() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path());
    let (told, out) = rehearse(folder.path(), &["--policy", "Night", "--at", "2026-03-29T00:55:00Z"]);
    assert!(told, "{out}");
    assert_eq!(out, NIGHT);
    assert!(include_str!("../../../README.md").contains(NIGHT.trim_matches('\n')), "the README shows it");
    assert!(out.lines().all(|line| line.chars().count() <= 80 && line.trim_end() == line), "{out}");
    assert!(!out.contains('\u{1b}'), "no colour where nobody sees it");
    let (told, out) = rehearse(folder.path(), &["--policy", "Empty", "--at", "2026-03-29T00:55:00Z"]);
    assert!(told && out.ends_with("\n  at once          the end, Sun 29 Mar 00:55 UTC: escalation stops\n\n"), "{out}");
    // It only looks: nothing is due, nobody is paged.
    let engine = Engine::open(folder.path()).unwrap();
    assert_eq!(engine.next_deadline().unwrap(), None);
    assert!(engine.claim(10, std::time::Duration::from_secs(1)).unwrap().is_empty());
}

#[test]
fn long_names_fit() {
    let folder = tempfile::tempdir().unwrap();
    let harbour = Harbour::new(folder.path());
    let long = "An uncommonly long name ".repeat(4);
    let name = long.trim();
    let somebody = harbour.join(&"Wolfeschlegelsteinhausen".repeat(3));
    let schedule = harbour.schedule(name, "America/Argentina/ComodRivadavia", &[somebody], None);
    harbour.policy(name, vec![(2_147_483_647, 10_079, Target::Schedule(schedule))]);
    drop(harbour);
    let (told, out) = rehearse(folder.path(), &["--policy", name]);
    assert!(told && out.lines().all(|line| line.chars().count() <= 80), "{out}");
}

#[test]
fn what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path());
    let (told, out) = rehearse(folder.path(), &["--policy", "night"]);
    assert!(
        !told && out.contains("no escalation policy is named `night`; there are: `Empty`, `Night` (not_found)"),
        "{out}"
    );
    let (told, out) = rehearse(folder.path(), &["--policy", " ", "--at", "now"]);
    assert!(
        !told && out.contains("--policy must not be only white space\n  --at must be an RFC 3339 timestamp"),
        "{out}"
    );
}
