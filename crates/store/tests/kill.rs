//! A process that is killed loses nothing it acknowledged.
//!
//! The test starts itself again as a child that writes from four threads and prints each acknowledged number; kills it at a
//! random moment; opens the folder; and looks for every number printed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use dogwatch_core::{Actor, CreateIncident, ListIncidents, ListTeam, PageLimit, Severity};
use dogwatch_store::Engine;
use dogwatch_testkit::fixture::organization;

const FOLDER: &str = "DOGWATCH_KILL_FOLDER";
const KILLS: &str = "DOGWATCH_KILLS";

/// The child: writes until it is killed. As a test without the folder it has nothing to do.
#[test]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let engine = Engine::open(folder).unwrap();
    let ada: Actor = actor(&env::var("DOGWATCH_KILL_ACTOR").unwrap());
    let Actor::Member { user, .. } = ada else { panic!("a member acts") };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, user);
                    let number = engine.execute(open, &ada).unwrap().sequential_id;
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {number}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

fn actor(text: &str) -> Actor {
    let (org, user) = text.split_once(' ').unwrap();
    Actor::member(org.parse().unwrap(), user.parse().unwrap())
}

/// Starts the child, kills it after a while, gives the numbers it acknowledged.
fn write_and_kill(folder: &Path, actor: &str, millis: u64) -> Vec<u64> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env("DOGWATCH_KILL_ACTOR", actor)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        let lines = out.lines().map_while(Result::ok);
        // The last line may be cut in half by the kill; a half line has no number, or a shorter one that exists too.
        lines.filter_map(|line| line.strip_prefix("ack ")?.parse().ok()).collect::<Vec<u64>>()
    });
    thread::sleep(Duration::from_millis(millis));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn all_numbers(engine: &Engine, actor: &Actor) -> Vec<u64> {
    let mut query = ListIncidents { limit: PageLimit::MAX, ..Default::default() };
    let mut numbers = Vec::new();
    loop {
        let page = engine.query(&query, actor).unwrap();
        numbers.extend(page.incidents.iter().map(|incident| incident.sequential_id));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return numbers,
        }
    }
}

#[test]
fn every_acknowledged_command_survives_a_kill() {
    if env::var(FOLDER).is_ok() {
        return;
    }
    let kills: u64 = env::var(KILLS).ok().and_then(|kills| kills.parse().ok()).unwrap_or(12);
    let folder = tempfile::tempdir().unwrap();
    let (name, ada) = {
        let engine = Engine::open(folder.path()).unwrap();
        let ada = organization(&engine).actor();
        let team = engine.query(&ListTeam, &ada).unwrap();
        let member = team.members.first().unwrap();
        (format!("{} {}", member.org, member.id), ada)
    };
    let mut acknowledged = BTreeSet::new();
    for kill in 0..kills {
        acknowledged.extend(write_and_kill(folder.path(), &name, 40 + kill * 37 % 160));
        let engine = Engine::open(folder.path()).unwrap();
        let mut found = all_numbers(&engine, &ada);
        found.sort_unstable();
        let expected: Vec<u64> = (1..=u64::try_from(found.len()).unwrap()).collect();
        assert_eq!(found, expected, "no hole, none twice");
        let lost: Vec<_> = acknowledged.iter().filter(|number| found.binary_search(number).is_err()).collect();
        assert!(lost.is_empty(), "lost after kill {kill}: {lost:?}");
    }
    println!("{kills} kills, {} acknowledged, none lost", acknowledged.len());
    assert!(!acknowledged.is_empty(), "the child never got to write");
}
