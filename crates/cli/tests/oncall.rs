//! The picture that `dogwatch oncall` draws.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use dogwatch_store::rules::id::ScheduleId;
use dogwatch_store::rules::oncall::{AddRotationLayer, CreateOverride, CreateSchedule, LayerSettings, RotationLength};
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::team::{AddMember, Role};
use dogwatch_store::rules::{Actor, Timestamp, UserId};
use dogwatch_store::{Engine, ManualClock};

fn oncall(folder: &Path, more: &[&str]) -> (bool, String) {
    let args = [&["oncall", "--data", folder.to_str().unwrap(), "--schedule", "Night watch"], more].concat();
    let output = Command::new(env!("CARGO_BIN_EXE_dogwatch")).args(args).output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn organization(engine: &Engine, name: &str) -> (Actor, UserId) {
    let create = CreateOrganization::new(
        name.parse().unwrap(),
        "ada@example.com".parse().unwrap(),
        "Ada".parse().unwrap(),
        "Byron".parse().unwrap(),
    );
    let created = engine.execute(create, &Actor::Operator).unwrap();
    (created.actor(), created.admin.member.id)
}

/// A schedule in Berlin, around the change of the clocks of 29 March 2026: a daily layer that begins on the 27th, a weekly
/// one behind it that ends on the 1st, an override with a reason.
fn night_watch(folder: &Path) -> ScheduleId {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let clock = ManualClock::at(at("2026-03-26T12:00:00Z"));
    let engine = Engine::builder().clock(clock).open(folder).unwrap();
    let (ada, ada_id) = organization(&engine, "Harbour");
    let Actor::Member { org_id: org, .. } = ada else { panic!("an admin is a member") };
    let join = |first: &str| {
        let email = format!("{first}@example.com").parse().unwrap();
        let (first_name, last_name) = (first.parse().unwrap(), "Marlow".parse().unwrap());
        let add = AddMember::new(org, email, first_name, last_name, Role::Member);
        engine.execute(add, &Actor::Operator).unwrap().member.id
    };
    let (ben, cleo) = (join("Ben"), join("Cleopatra"));
    let create = CreateSchedule {
        name: "Night watch".parse().unwrap(),
        description: None,
        timezone: "Europe/Berlin".to_owned(),
    };
    let schedule = engine.execute(create, &ada).unwrap().id;
    let add = |name: &str, length, from: &str, until: Option<&str>, people: &[UserId]| {
        let settings = LayerSettings {
            effective_until: until.map(at),
            ..LayerSettings::new(length, "09:00".parse().unwrap(), at(from), people.to_vec())
        };
        let add = AddRotationLayer { schedule_id: schedule, name: name.parse().unwrap(), settings };
        engine.execute(add, &ada).unwrap();
    };
    add("daily", RotationLength::DAILY, "2026-03-27T08:00:00Z", Some("2026-03-31T07:00:00Z"), &[ben, cleo]);
    add("weekly backup", RotationLength::WEEKLY, "2026-03-20T08:00:00Z", Some("2026-04-01T07:00:00Z"), &[ada_id, ben]);
    let reason = Some("dentist".parse().unwrap());
    let stand_in = CreateOverride::new(schedule, ada_id, at("2026-03-28T18:00:00Z"), at("2026-03-29T18:00:00Z"));
    engine.execute(CreateOverride { reason, ..stand_in }, &ada).unwrap();
    schedule
}

const PICTURE: &str = "
  Night watch  Europe/Berlin, Fri 27 Mar 13:00
  On call now: Ben Marlow (daily), until Sat 28 Mar 09:00

                 Fri 27   Sat 28   Sun 29   Mon 30   Tue 31   Wed 01   Thu 02
  daily             |Ben-----|Cleopatr|Ben-----|Cleopatr
  weekly backup  |Ad|Ben-----------------------------------------
  on call        |Ad|Ben-----|Cle|Ada=====|Ben-|Cleopatr|Ben-----|nobody!!!!!!!!

  - turn   = override   ! nobody

  Handoffs  Europe/Berlin
  Sat 28 Mar 09:00   Cleopatra Marlow
  Sat 28 Mar 19:00   Ada Byron (override: dentist)
  Sun 29 Mar 20:00   Ben Marlow
  Mon 30 Mar 09:00   Cleopatra Marlow
  Tue 31 Mar 09:00   Ben Marlow
  Wed 01 Apr 09:00   nobody

";

#[test]
fn the_picture() {
    let folder = tempfile::tempdir().unwrap();
    night_watch(folder.path());
    let (drawn, out) = oncall(folder.path(), &["--weeks", "1", "--at", "2026-03-27T12:00:00Z"]);
    assert!(drawn, "{out}");
    assert_eq!(out, PICTURE);
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(PICTURE.trim_matches('\n')), "the README shows the picture");
}

#[test]
fn who_is_on_call_now() {
    let folder = tempfile::tempdir().unwrap();
    night_watch(folder.path());
    for (at, expected) in [
        (
            "2026-03-28T10:00:00Z",
            "On call now: Cleopatra Marlow (daily), until Sat 28 Mar 19:00\n  Paged as well: Ben Marlow\n",
        ),
        (
            "2026-03-28T20:00:00Z",
            "On call now: Ada Byron (override: dentist), until Sun 29 Mar 20:00\n  Paged as well: Ben Marlow\n",
        ),
        ("2026-04-01T06:00:00Z", "On call now: Ben Marlow (weekly backup), until Wed 01 Apr 09:00\n"),
        ("2026-04-02T06:00:00Z", "On call now: nobody, for good\n"),
    ] {
        let (drawn, out) = oncall(folder.path(), &["--at", at]);
        assert!(drawn && out.contains(expected), "{at}\n{out}");
    }
}

#[test]
fn every_line_fits() {
    let folder = tempfile::tempdir().unwrap();
    night_watch(folder.path());
    for weeks in ["1", "2", "52"] {
        for at in ["2026-03-27T12:00:00Z", "2026-10-20T12:00:00Z", "2027-12-31T23:30:00Z"] {
            let (drawn, out) = oncall(folder.path(), &["--weeks", weeks, "--at", at]);
            assert!(drawn, "{out}");
            assert!(out.lines().all(|line| line.chars().count() <= 80 && line.trim_end() == line), "{out}");
            assert!(!out.contains('\u{1b}'), "no colour where nobody sees it");
        }
    }
}

#[test]
fn what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    night_watch(folder.path());
    let (_, out) = oncall(folder.path(), &["--at", "tomorrow", "--org-id", "harbour"]);
    assert_eq!(
        out,
        "error: invalid input (validation_error)\n  --org-id must be an id of the form `org_…`\n  --at must be an RFC 3339 timestamp\n"
    );
    organization(&Engine::open(folder.path()).unwrap(), "Quay");
    let (drawn, out) = oncall(folder.path(), &[]);
    assert!(!drawn && out.contains("--org-id is needed, since there are several: org_"), "{out}");
    let orgs = Engine::open(folder.path()).unwrap().organizations().unwrap();
    let (drawn, _) = oncall(folder.path(), &["--org-id", &orgs[0].id.to_string()]);
    assert!(drawn);
    let (drawn, out) = oncall(folder.path(), &["--org-id", &orgs[1].id.to_string()]);
    assert!(!drawn && out.contains("no schedule is named `Night watch`; there are: none (not_found)"), "{out}");
}
