//! The built program, as somebody at a terminal uses it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use dogwatch_store::Engine;
use dogwatch_store::rules::team::{ListTeam, Role};
use dogwatch_store::rules::{OrgId, Secret, UserId, Zone};
use serde_json::Value;

fn dogwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dogwatch")).args(args).env_remove("RUST_BACKTRACE").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one line of JSON that a successful command prints.
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert_eq!(out.lines().count(), 1, "{out}");
    serde_json::from_str(&out).unwrap()
}

fn init(folder: &Path) -> Value {
    let folder = folder.to_str().unwrap();
    json(&dogwatch(&[
        "init",
        "--data",
        folder,
        "--org",
        "Harbour",
        "--admin-email",
        "ada@example.com",
        "--first-name",
        "Ada",
    ]))
}

#[test]
fn init_and_member_add() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new/store");
    let made = init(&data);
    let org = made["orgId"].as_str().unwrap();
    let added = json(&dogwatch(&[
        "member",
        "add",
        "--data",
        data.to_str().unwrap(),
        "--org-id",
        org,
        "--email",
        "ben@example.com",
        "--first-name",
        "Ben",
        "--last-name",
        "Marlow",
        "--role",
        "org:admin",
    ]));

    let engine = Engine::open(&data).unwrap();
    for one in [&made, &added] {
        let key = Secret::new(one["apiKey"].as_str().unwrap());
        let actor = engine.authenticate(&key).unwrap();
        let user: UserId = one["userId"].as_str().unwrap().parse().unwrap();
        assert_eq!(actor, dogwatch_store::rules::Actor::member(org.parse::<OrgId>().unwrap(), user));
        let team = engine.query(&ListTeam, &actor).unwrap();
        let people: Vec<_> = team.members.iter().map(|m| (m.full_name(), m.role)).collect();
        assert_eq!(people, [("Ada User".to_owned(), Role::Admin), ("Ben Marlow".to_owned(), Role::Admin)]);
    }
}

#[test]
fn every_bad_field_is_named_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("store");
    let output = dogwatch(&[
        "init",
        "--data",
        data.to_str().unwrap(),
        "--org",
        " ",
        "--admin-email",
        "nobody",
        "--first-name",
        "",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert_eq!(
        text(&output.stderr),
        "error: invalid input (validation_error)\n  --org must not be only white space\n  \
         --admin-email must be an e-mail address\n  --first-name must not be empty\n"
    );
    assert!(!data.exists());
}

#[test]
fn refusals_name_their_code() {
    let folder = tempfile::tempdir().unwrap();
    let made = init(folder.path());
    let data = folder.path().to_str().unwrap();
    let add = |org: &str, email: &str| {
        let names = ["--first-name", "B", "--last-name", "M"];
        let output =
            dogwatch(&[&["member", "add", "--data", data, "--org-id", org, "--email", email][..], &names].concat());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        text(&output.stderr)
    };
    let org = made["orgId"].as_str().unwrap();
    let taken = add(org, "ADA@example.com");
    assert!(taken.contains("(name_conflict)"), "{taken}");
    let nowhere = add("org_00000000000070008000000000000000", "b@example.com");
    assert!(nowhere.contains("(not_found)"), "{nowhere}");
    let malformed = add("harbour", "b@example.com");
    assert!(malformed.contains("--org-id must be an id of the form `org_…`"), "{malformed}");
}

#[test]
fn a_mistyped_folder_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("mistyped");
    let data = data.to_str().unwrap();
    let org = "org_00000000000070008000000000000000";
    for args in [
        &["oncall", "--data", data, "--schedule", "Night"][..],
        &[
            "member",
            "add",
            "--data",
            data,
            "--org-id",
            org,
            "--email",
            "b@e.co",
            "--first-name",
            "B",
            "--last-name",
            "M",
        ],
    ] {
        let output = dogwatch(args);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("`dogwatch init` creates one"), "{}", text(&output.stderr));
        assert!(!Path::new(data).exists());
    }
}

#[test]
fn a_folder_in_use_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    let output = dogwatch(&["demo", "--data", folder.path().to_str().unwrap()]);
    drop(engine);
    assert_eq!(output.status.code(), Some(1));
    let holder = format!("is in use by process {}", std::process::id());
    assert!(text(&output.stderr).contains(&holder), "{}", text(&output.stderr));
}

#[test]
fn the_demo_tells_the_whole_story_within_80_columns_and_without_colour() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for run in 0..2 {
        let output = dogwatch(&["demo", "--data", data]);
        assert!(output.status.success(), "run {run}: {}", text(&output.stderr));
        let out = text(&output.stdout);
        for word in [
            "invalid_status_transition",
            "redaction_not_permitted",
            "no_public_surface",
            "status page that shows Checkout",
            "We are looking into failing payments.",
            "component_in_use",
            "incident_resolved",
            "[redacted by Ben Marlow]",
            "Gateway addresses are now checked",
            "update_redacted",
            "layer 1 timed out, layer 2 is paged",
            "page to Cleo (escalation), delivered and confirmed",
            "page to Ben (handoff), delivered and confirmed",
            "incident_handed_off    Cleo Quay: to Ben Marlow",
            "time: layer 2, Cleo Quay",
        ] {
            assert!(out.contains(word), "{word} is missing");
        }
        assert!(!out.contains("4111"), "what was redacted does not come back");
        assert!(!out.contains('\u{1b}'), "no colour where nobody sees it");
        let wide: Vec<_> = out.lines().filter(|line| line.chars().count() > 80 && !line.contains(data)).collect();
        assert!(wide.is_empty(), "{wide:?}");
        assert!(out.lines().all(|line| line.trim_end() == line), "no white space at line ends");
    }
}

#[test]
fn help_and_version() {
    for args in
        [&["--help"][..], &["help", "init"], &["member", "add", "--help"], &["demo", "--help"], &["help", "rehearse"]]
    {
        let output = dogwatch(args);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("Usage: dogwatch"));
    }
    assert_eq!(
        text(&dogwatch(&["--version"]).stdout),
        format!("dogwatch {} (tzdata {})\n", env!("CARGO_PKG_VERSION"), Zone::database_version())
    );
    let nothing = dogwatch(&[]);
    assert_eq!(nothing.status.code(), Some(2));
}

/// Verify, stats, export, import, backup and compact, one after the other, as an operator would.
#[test]
fn looking_after_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, export, imported, copy) = (path("data"), path("export.jsonl"), path("imported"), path("copy"));
    assert!(dogwatch(&["demo", "--data", &data]).status.success());
    let lines = |args: &[&str]| -> Vec<Value> {
        let output = dogwatch(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "no progress where nobody looks");
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let verified = lines(&["verify", "--data", &data]);
    assert_eq!((verified.len(), &verified[0]["findings"]), (1, &Value::from(0)));
    let tables = lines(&["stats", "--data", &data]);
    assert!(tables.iter().any(|line| line["table"] == "Incident" && line["rows"] == 1), "{tables:?}");
    assert!(tables.last().unwrap()["bytesOnDisk"].as_u64().unwrap() > 0);

    assert_eq!(lines(&["export", "--data", &data, "--to", &export]), Vec::<Value>::new());
    let exported = std::fs::read_to_string(&export).unwrap();
    assert!(exported.contains("Checkout is down"));
    let things = lines(&["import", "--data", &imported, "--from", &export]);
    assert_eq!(things[0]["things"], verified[0]["things"]);
    assert_eq!(text(&dogwatch(&["export", "--data", &imported]).stdout), exported);
    let backup = lines(&["backup", "--data", &data, &copy]);
    assert!(backup[0]["rows"].as_u64() > verified[0]["rows"].as_u64().map(|rows| rows - 1));
    let compacted = lines(&["compact", "--data", &data, &path("compacted")]);
    let bytes = |name: &str| compacted[0][name].as_u64().unwrap();
    assert_eq!(bytes("bytesWon"), bytes("bytesBefore").saturating_sub(bytes("bytesAfter")));

    for (args, says) in [
        (&["backup", "--data", &data, &copy][..], "is not empty"),
        (&["import", "--data", &copy, "--from", &export], "is not empty"),
        (&["import", "--data", &path("new"), "--from", &path("data/db")], "line 1: "),
        (&["import", "--data", &path("new"), "--from", &path("nothing")], "`"),
        (&["export", "--data", &data, "--to", &export], "File exists"),
        (&["verify", "--data", &path("nothing")], "there is no store in"),
    ] {
        let output = dogwatch(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
    }
    assert!(!Path::new(&path("new")).exists());
}

/// What an operator does: changes since the last look, a backup that is brought up to date, and a restore.
#[test]
fn changes_and_incremental_backups() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, backup) = (path("data"), path("backup"));
    let made = init(&folder.path().join("data"));
    let changes = |args: &[&str]| {
        let output = dogwatch(&[&["changes", "--data", &data], args].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines
    };
    let first = changes(&["--from", "0"]);
    let kinds: Vec<_> = first.iter().map(|change| change["entity"]["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["organization", "apiKey", "member"]);
    assert!(first.iter().all(|change| change["what"] == "created" && change["actor"]["type"] == "operator"));
    assert!(first[1]["entity"].get("hash").is_none() && first[1]["entity"]["leftOut"][0] == "hash");

    let begun = json(&dogwatch(&["backup", "--data", &data, &backup, "--incremental"]));
    assert!(begun["rows"].as_u64().unwrap() > 3);
    assert_eq!(changes(&["--bookmark", "mail"]).len(), 0, "a new bookmark begins now");
    let key = ["key", "create", "--data", &data, "--email", "ada@example.com", "--name", "laptop"];
    let key = json(&dogwatch(&key))["keyId"].as_str().unwrap().to_owned();
    let told = changes(&["--bookmark", "mail"]);
    assert_eq!((told.len(), told[0]["entity"]["name"].as_str()), (1, Some("laptop")));
    assert_eq!(changes(&["--bookmark", "mail"]).len(), 0, "told already");
    assert!(dogwatch(&["key", "revoke", "--data", &data, "--key-id", &key]).status.success());
    let told = changes(&["--bookmark", "mail"]);
    let gone = (&told[0]["what"], &told[0]["entity"]["type"], &told[0]["entity"]["id"]);
    assert_eq!((gone.0.as_str(), gone.1.as_str(), gone.2.as_str()), (Some("deleted"), Some("apiKey"), Some(&*key)));

    let added = json(&dogwatch(&["backup", "--data", &data, &backup, "--incremental"]));
    assert!(added["rows"].is_null() && added["commits"].as_u64().unwrap() >= 2);
    let keys = |data: &str| {
        let output = dogwatch(&["key", "list", "--data", data]);
        text(&output.stdout).lines().count()
    };
    let created = told[0]["position"].as_str().unwrap().trim_start_matches("0/").parse::<u64>().unwrap() - 1;
    for (to, at, expected) in [
        ("then", Some(begun["position"].as_str().unwrap().to_owned()), 1),
        ("between", Some(created.to_string()), 2),
        ("now", None, 1),
        ("later", Some("2199-01-01T00:00:00Z".to_owned()), 1),
    ] {
        let to = path(to);
        let at = at.iter().flat_map(|at| ["--at", at]).collect::<Vec<_>>();
        json(&dogwatch(&[&["restore", "--from", &backup, &to][..], &at].concat()));
        assert_eq!(keys(&to), expected, "{to}");
    }
    for (args, said) in [
        (&["restore", "--from", &backup, &path("early"), "--at", "2020-01-01T00:00:00Z"][..], "holds no such moment"),
        (&["restore", "--from", &backup, &path("none"), "--at", "yesterday"], "must be the number of a commit"),
        (&["restore", "--from", &backup, &path("now")], "is not empty"),
        (&["changes", "--data", &data, "--from", "0/99999"], "no commits from position 0/99999 on"),
        (&["changes", "--data", &data, "--from=-1"], "must be the number of a commit"),
        (&["changes", "--data", &data], "--from <POSITION>"),
    ] {
        let output = dogwatch(args);
        assert!(!output.status.success() && text(&output.stderr).contains(said), "{args:?}: {}", text(&output.stderr));
    }
    assert!(made["apiKey"].is_string());
}
