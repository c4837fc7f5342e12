//! Members, keys and tools beside a running server: it does what the program would do itself with a store that is not in use.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Value, json};
use support::Server;

fn dogwatch(data: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dogwatch"));
    command.args(args).args(["--data", data.to_str().unwrap()]).output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn line(output: &Output) -> Value {
    serde_json::from_str(&out(output)).unwrap()
}

fn err(output: &Output) -> String {
    assert!(!output.status.success() && output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_server_does_what_the_program_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]);
    let socket = data.join("dogwatch.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    // Keys: one that is made acts at once, and one that is revoked does not.
    let made = line(&dogwatch(&data, &["key", "create", "--email", "admin@example.com", "--name", "CI"]));
    let key = made["apiKey"].as_str().unwrap();
    assert_eq!(server.request("GET", "/v1/incidents", key, None).0, 200);
    let listed = out(&dogwatch(&data, &["key", "list"]));
    assert_eq!(listed.lines().count(), 2);
    line(&dogwatch(&data, &["key", "revoke", "--key-id", made["keyId"].as_str().unwrap()]));
    assert_eq!(server.request("GET", "/v1/incidents", key, None).0, 401);

    // Members: one is added, another is invited and accepts over HTTP.
    let org = server.said.iter().find_map(|line| line.strip_prefix("created an organization: ")).unwrap().to_owned();
    let names = ["--first-name", "Ben", "--last-name", "Bo", "--email", "ben@example.com", "--org-id", &org];
    let ben = line(&dogwatch(&data, &[&["member", "add"], &names[..]].concat()));
    assert_eq!(server.request("GET", "/v1/incidents", ben["apiKey"].as_str().unwrap(), None).0, 200);
    let again = err(&dogwatch(&data, &[&["member", "add"], &names[..]].concat()));
    assert!(again.contains("name_conflict"), "{again}");
    let invited = line(&dogwatch(&data, &["member", "invite", "--email", "cleo@example.com"]));
    let accept = json!({ "token": invited["token"], "firstName": "Cleo", "lastName": "Ca" });
    let (status, answer) = server.request("POST", "/v1/invitations/accept", "", Some(&accept));
    assert_eq!(status, 201, "{answer}");

    // What is asked wrongly is refused in the same words as without a server.
    let wrong = ["oncall", "--schedule", "Nobody's"];
    let (served, refused) = (err(&dogwatch(&data, &wrong)), err(&dogwatch(&data, &["key", "revoke", "--key-id", "x"])));

    // Tools: what the server exports is what the program exports of the closed store.
    let found = line(&dogwatch(&data, &["verify"]));
    assert_eq!(found["findings"], 0);
    assert!(out(&dogwatch(&data, &["stats"])).contains("\"bytesOnDisk\""));
    let exported = out(&dogwatch(&data, &["export"]));
    let file = folder.path().join("export");
    out(&dogwatch(&data, &["export", "--to", file.to_str().unwrap()]));
    assert_eq!(fs::read_to_string(&file).unwrap(), exported);
    let taken = err(&dogwatch(&data, &["export", "--to", file.to_str().unwrap()]));
    assert!(taken.contains("exists"), "{taken}");
    let changes = out(&dogwatch(&data, &["changes", "--from", "0"]));
    assert!(changes.lines().count() > 3 && !changes.contains(key));

    assert!(server.stop().success());
    assert!(!socket.exists());
    assert_eq!(out(&dogwatch(&data, &["export"])), exported);
    assert_eq!(err(&dogwatch(&data, &wrong)), served);
    assert_eq!(err(&dogwatch(&data, &["key", "revoke", "--key-id", "x"])), refused);
}

#[test]
fn a_copy_of_a_store_in_use_is_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]);
    let (key, admin) = (server.key(), server.admin());
    let done = AtomicBool::new(false);
    /// Ends the writers, also when the test fails.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    thread::scope(|scope| {
        let _done = Done(&done);
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let incident = json!({ "title": "Checkout is down", "severity": "high", "ownerId": admin });
                    assert_eq!(server.request("POST", "/v1/incidents", &key, Some(&incident)).0, 201);
                }
            });
        }
        // Paths are those of the caller, not of the server.
        let begun = |kind: &str, args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dogwatch"));
            let command = command.current_dir(folder.path()).args(["backup", "--data", "data", kind]).args(args);
            out(&command.output().unwrap());
        };
        begun("whole", &[]);
        begun("added-to", &["--incremental"]);
        begun("added-to", &["--incremental"]);
        let found = line(&dogwatch(&data, &["verify"]));
        assert_eq!(found["findings"], 0);
        out(&dogwatch(&data, &["changes", "--bookmark", "mine"]));
        thread::sleep(Duration::from_millis(100));
        assert!(out(&dogwatch(&data, &["changes", "--bookmark", "mine"])).lines().count() > 1);
    });
    let restored = folder.path().join("restored");
    let from = folder.path().join("added-to");
    let restore = ["restore", "--from", from.to_str().unwrap(), restored.to_str().unwrap()];
    out(&Command::new(env!("CARGO_BIN_EXE_dogwatch")).args(restore).output().unwrap());
    for copy in [folder.path().join("whole"), restored] {
        assert_eq!(line(&dogwatch(&copy, &["verify"]))["findings"], 0);
    }
    assert!(server.stop().success());
}

/// A task that takes long, for its output is not read, holds up no other.
#[test]
fn tasks_do_not_wait_for_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (key, admin) = (server.key(), server.admin());
    let changes = ["changes", "--bookmark", "mine"];
    out(&dogwatch(folder.path(), &changes));
    let incident = json!({ "title": "x", "severity": "low", "ownerId": admin, "description": "x".repeat(9_000) });
    for _ in 0..100 {
        assert_eq!(server.request("POST", "/v1/incidents", &key, Some(&incident)).0, 201);
    }
    let mut slow = UnixStream::connect(folder.path().join("dogwatch.sock")).unwrap();
    slow.write_all(b"{\"export\":{\"data\":\"x\",\"to\":null}}\n").unwrap();
    // It has begun to tell, and cannot go on.
    slow.read_exact(&mut [0; 100]).unwrap();
    thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    assert_eq!(out(&dogwatch(folder.path(), &["key", "list"])).lines().count(), 1);
    assert_eq!(line(&dogwatch(folder.path(), &["verify"]))["findings"], 0);
    assert!(began.elapsed() < Duration::from_secs(20), "they waited for the one that is not read");
    drop(slow);
    // What one does not hear is told again: its place is kept only when it has been written.
    let mut command = Command::new("sh");
    let full = format!("\"$@\" --data {} > /dev/full", folder.path().display());
    let unheard = command.args(["-c", &full, "sh", env!("CARGO_BIN_EXE_dogwatch")]).args(changes).output().unwrap();
    assert!(!unheard.status.success());
    assert!(out(&dogwatch(folder.path(), &changes)).lines().count() >= 100);
    assert!(out(&dogwatch(folder.path(), &changes)).is_empty());
    assert!(server.stop().success());
}

/// A server that was killed leaves its socket: it means nothing.
#[test]
fn a_socket_that_nobody_listens_to() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than the path of a socket may be.
    let data = folder.path().join("a-folder-whose-name-is-long".repeat(8));
    let mut server = Server::start(&data, &[]);
    assert_eq!(line(&dogwatch(&data, &["verify"]))["findings"], 0);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert!(data.join("dogwatch.sock").exists());
    assert_eq!(line(&dogwatch(&data, &["verify"]))["findings"], 0);
    let server = Server::start(&data, &[]);
    assert_eq!(line(&dogwatch(&data, &["verify"]))["findings"], 0);
    assert!(server.stop().success());
}

#[test]
fn what_is_no_task_is_refused_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let connect = || {
        let stream = UnixStream::connect(folder.path().join("dogwatch.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    for nonsense in ["hello\n".to_owned(), "{\"verify\":{}}\n".to_owned(), "x".repeat(70 << 10) + "\n", "\n".to_owned()]
    {
        let mut stream = connect();
        // A server that has read enough may close before all is written.
        let _ = stream.write_all(nonsense.as_bytes());
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        assert!(said.contains("cannot be read") || nonsense.len() > 64 << 10, "{said}");
    }
    // Callers who say nothing: those beyond the most are told so at once.
    let (mut silent, began) = (Vec::new(), Instant::now());
    loop {
        silent.push(connect());
        let said = dogwatch(folder.path(), &["verify"]);
        if String::from_utf8_lossy(&said.stderr).contains("as many tasks") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{said:?}");
    }
    drop(silent);
    while !dogwatch(folder.path(), &["verify"]).status.success() {
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    // Nor do they hold up its end.
    let silent = connect();
    server.alive();
    drop(silent);
    assert!(server.stop().success());
}
