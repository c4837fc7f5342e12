//! The built binary over a real socket, with an ordinary HTTP client, and with clients that are none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::Server;

mod support;

#[test]
fn what_is_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (key, admin) = (server.key(), server.admin());
    let open = json!({ "title": "Checkout is down", "severity": "critical", "ownerId": admin });
    let (status, made) = server.request("POST", "/v1/incidents", &key, Some(&open));
    assert_eq!(status, 201, "{made}");
    let id = made["data"]["id"].as_str().unwrap().to_owned();
    let too_early = json!({ "status": "resolved" });
    let (status, refused) = server.request("PATCH", &format!("/v1/incidents/{id}/status"), &key, Some(&too_early));
    assert_eq!((status, refused["code"].as_str().unwrap()), (400, "invalid_status_transition"));
    assert!(server.stop().success(), "SIGTERM ends it well");

    let server = Server::start(folder.path(), &[]);
    assert!(server.said.is_empty(), "the key is shown once: {:?}", server.said);
    let (status, found) = server.request("GET", &format!("/v1/incidents/{id}"), &key, None);
    assert_eq!((status, &found["data"]["title"]), (200, &open["title"]));
    assert_eq!(found["data"]["auditTrail"].as_array().unwrap().len(), 1);
    assert!(server.stop().success());
}

#[test]
fn the_log_names_requests_and_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with_log(folder.path(), &[], Stdio::piped());
    let key = server.key();
    let agent = |method, path, body: Option<&Value>| server.request(method, path, &key, body);
    let (_, made) = agent("POST", "/v1/api-keys", Some(&json!({ "name": "CI" })));
    let secret = made["data"]["secret"].as_str().unwrap().to_owned();
    let (_, refused) = agent("POST", "/v1/incidents", Some(&json!({ "title": "hush" })));
    agent(
        "POST",
        "/v1/invitations/accept",
        Some(&json!({ "token": "scl_inv_guess", "firstName": "x", "lastName": "y" })),
    );
    server.request("GET", "/v1/incidents", "scl_live_guess", None);
    agent("GET", "/nowhere?token=scl_inv_guess", None);
    let mut log = server.child.stderr.take().unwrap();
    assert!(server.stop().success());
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    let id = refused["requestId"].as_str().unwrap();
    let line = text.lines().find(|line| line.contains(id)).unwrap_or_else(|| panic!("{id} is not in the log: {text}"));
    assert!(line.contains("status=422") && line.contains("/incidents"), "{line}");
    for word in [key.as_str(), secret.as_str(), "scl_", "hush"] {
        assert!(!text.contains(word), "{word} is in the log: {text}");
    }
}

#[test]
fn keys_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    drop(Server::start(folder.path(), &[]));
    let data = folder.path().to_str().unwrap();
    let key = |args: &[&str]| {
        let args = [&["key", args[0], "--data", data], &args[1..]].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_dogwatch")).args(args).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (made, line) = key(&["create", "--email", "ADMIN@example.com", "--name", "CI"]);
    let made_key: Value = serde_json::from_str(&line).unwrap();
    assert!(made);
    let (secret, id) = (made_key["apiKey"].as_str().unwrap(), made_key["keyId"].as_str().unwrap());
    let (_, listed) = key(&["list"]);
    assert_eq!(listed.lines().count(), 2);
    assert!(listed.contains("\"CI\"") && !listed.contains(secret));
    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.request("GET", "/v1/incidents", secret, None).0, 200);
    assert!(server.stop().success());
    assert!(key(&["revoke", "--key-id", id]).0);
    assert!(!key(&["revoke", "--key-id", id]).0);
    let server = Server::start(folder.path(), &[]);
    let (status, refused) = server.request("GET", "/v1/incidents", secret, None);
    assert_eq!((status, refused["code"].as_str().unwrap()), (401, "invalid_api_key"));
}

/// An incident's second layer is paged without anybody calling: the server has a ticker. Its shortest timeout is a minute,
/// so this looks at the deadline only.
#[test]
fn a_policy_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (key, admin) = (server.key(), server.admin());
    let post = |path: &str, body: Value| {
        let (status, made) = server.request("POST", path, &key, Some(&body));
        assert_eq!(status, 201, "{path}: {made}");
        made["data"].clone()
    };
    let policy = post("/v1/escalation/policies", json!({ "name": "Night" }))["id"].as_str().unwrap().to_owned();
    let layer = json!({ "position": 1, "ackTimeoutMinutes": 5, "target": { "type": "users", "userIds": [admin] } });
    post(&format!("/v1/escalation/policies/{policy}/layers"), layer);
    let open = json!({ "title": "x", "severity": "low", "ownerId": admin, "escalationPolicyId": policy });
    let incident = post("/v1/incidents", open);
    assert_eq!(incident["currentLayerPosition"], 1);
    assert!(incident["nextEscalationAt"].is_string());
    let (_, metrics) = server.request("GET", "/metrics", &key, None);
    assert_eq!(metrics, Value::Null, "metrics are text");
    let text = server.raw(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(text.contains("dogwatch_pending_timers 1\n") && text.contains("dogwatch_outbox_depth 1\n"), "{text}");
}

#[test]
fn what_is_no_http() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let flood = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-flood: y\r\n".repeat(200));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(1 << 20));
    for (bytes, status) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00"[..], ""),
        (b"\xFF\xFE\xFD\r\n\r\n", " 400 "),
        (b"GET  HTTP/1.1\r\n\r\n", " 400 "),
        (b"GET /v1/incidents/%FF%FE HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", " 401 "),
        (b"POST /v1/incidents HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", " 400 "),
        (flood.as_bytes(), " 431 "),
        (long.as_bytes(), " 4"),
    ] {
        let answer = server.raw(bytes);
        assert!(answer.contains(status), "{:?}: {answer}", bytes.get(..20));
        server.alive();
    }
    // Two at once on one connection are answered in order.
    let two = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /v2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = server.raw(two);
    let (alive, unknown) = (answers.find(" 200 OK").unwrap(), answers.find(" 404 Not Found").unwrap());
    assert!(alive < unknown, "{answers}");
    // A body that never comes does not keep others waiting.
    let mut half = server.connect();
    half.write_all(b"POST /v1/invitations/accept HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").unwrap();
    server.alive();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    server.alive();
    assert!(server.stop().success());
}

#[test]
fn more_connections_than_there_are_seats() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--connections", "4"]);
    let idle: Vec<_> = (0..4).map(|_| server.connect()).collect();
    // Some of them send their headers slowly.
    idle.iter().for_each(|mut stream| stream.write_all(b"GET /hea").unwrap());
    let began = Instant::now();
    let mut turned_away = false;
    // The seats are taken one after another; whoever comes then is told so.
    while !turned_away && began.elapsed() < Duration::from_secs(5) {
        let answer = server.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        turned_away = answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1");
        assert!(!turned_away || answer.contains("\"code\":\"overloaded\""), "{answer}");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(turned_away, "nobody was turned away");
    drop(idle);
    while !server.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ends_with("alive\n") {
        assert!(began.elapsed() < Duration::from_secs(20), "the seats are never free again");
        thread::sleep(Duration::from_millis(10));
    }
    // Without a word they lose their seats after ten seconds.
    let silent: Vec<_> = (0..4).map(|_| server.connect()).collect();
    let began = Instant::now();
    while !server.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ends_with("alive\n") {
        assert!(began.elapsed() < Duration::from_secs(30), "silent connections keep their seats");
        thread::sleep(Duration::from_millis(50));
    }
    drop(silent);
}

/// What is logged may be said part by part, also in the environment.
#[test]
fn a_filter_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        Server::start_with_log(folder.path(), &["--log-filter", "warn,dogwatch::serve=info"], Stdio::piped());
    assert_eq!(server.request("GET", "/v1/components", &server.key(), None).0, 200);
    let log = server.child.stderr.take().unwrap();
    assert!(server.stop().success());
    let log = std::io::read_to_string(log).unwrap();
    assert!(log.contains("stopping") && !log.contains("request_id"), "{log}");
    let args = ["serve", "--data", folder.path().to_str().unwrap()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_dogwatch"));
    let refused = command.args(args).env("DOGWATCH_LOG_FILTER", "dogwatch=loud").output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--log-filter"), "{refused:?}");
}

/// Lines for programs, and a while in which the server says that it is about to stop.
#[test]
fn lines_of_json_and_a_stop_that_is_announced() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--log-format", "json", "--pre-stop-seconds", "2"];
    let mut server = Server::start_with_log(folder.path(), &args, Stdio::piped());
    assert_eq!(server.request("GET", "/v1/components", &server.key(), None).0, 200);
    let ready = |server: &Server| server.raw(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(ready(&server).starts_with("HTTP/1.1 200 "));
    assert!(Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap().success());
    let began = Instant::now();
    while !ready(&server).ends_with("stopping\n") {
        assert!(began.elapsed() < Duration::from_secs(2), "it does not say that it stops");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.request("GET", "/v1/components", &server.key(), None).0, 200, "requests are answered meanwhile");
    let log = server.child.stderr.take().unwrap();
    assert!(server.child.wait().unwrap().success());
    let lines: Vec<Value> =
        std::io::read_to_string(log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let request = lines.iter().find(|line| line["message"] == "request").unwrap();
    assert_eq!(
        (&request["route"], &request["status"], &request["address"]),
        (&json!("/components"), &json!(200), &json!("127.0.0.1"))
    );
    assert!(request["key"].as_str().unwrap().starts_with("key_"));
    assert!(request["user"].as_str().unwrap().starts_with("user_") && request["request_id"].is_string());
}
