//! Alerts in through the program: `dogwatch integration`, beside a running server, and what is sent to that.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::Server;

fn dogwatch(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_dogwatch")).args(args).output().unwrap();
    let text = if output.status.success() { output.stdout } else { [output.stdout, output.stderr].concat() };
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Adds an integration; gives its id, its token and what to paste.
fn add(data: &Path, url: &str, kind: &str, more: &[&str]) -> (String, String, String) {
    let data = data.to_str().unwrap();
    let args = [&["integration", "add", "--data", data, "--kind", kind, "--name", kind, "--url", url], more].concat();
    let (done, text) = dogwatch(&args);
    assert!(done, "{text}");
    let (line, snippet) = text.split_once('\n').unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let field = |name: &str| line[name].as_str().unwrap().to_owned();
    (field("integrationId"), field("token"), snippet.to_owned())
}

#[test]
fn from_the_first_alert_to_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let data = folder.path().join("data");
    let written = std::fs::File::create(&log).unwrap();
    let server = Server::start_with_log(&data, &[], Stdio::from(written));
    let (key, url) = (server.key(), format!("http://{}", server.address));
    let mut tokens = Vec::new();
    for kind in ["alertmanager", "pagerduty", "generic"] {
        let (id, token, snippet) = add(&data, &url, kind, &["--resolve-after", "0"]);
        assert!(snippet.contains(&token) && snippet.contains(&url), "{snippet}");
        let (done, text) = dogwatch(&["integration", "test", "--kind", kind, "--token", &token, "--url", &url]);
        let statuses: Vec<u64> =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].as_u64().unwrap()).collect();
        assert!(done && statuses.len() == 2 && statuses.iter().all(|status| (200..300).contains(status)), "{text}");
        let (_, listed) = server.request("GET", "/v1/incidents", &key, None);
        let newest = &listed["data"]["incidents"][0];
        assert_eq!((&newest["createdBy"], &newest["status"]), (&id.into(), &"resolved".into()), "{kind}: {newest}");
        tokens.push(token);
    }
    let (_, token, _) = add(&data, &url, "heartbeat", &["--period", "1", "--grace", "0", "--resolve-after", "0"]);
    let beat = ["integration", "test", "--kind", "heartbeat", "--token", &token, "--url", &url];
    assert!(dogwatch(&beat).0);
    let silent = || {
        let (_, listed) = server.request("GET", "/v1/incidents?status=investigating", &key, None);
        listed["data"]["incidents"][0]["title"] == "heartbeat is silent"
    };
    let began = Instant::now();
    while !silent() {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody notices the silence");
        std::thread::sleep(Duration::from_millis(50));
    }
    tokens.push(token);

    let (done, text) = dogwatch(&["integration", "list", "--data", data.to_str().unwrap()]);
    let ids: Vec<_> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["integrationId"].clone()).collect();
    assert!(done && ids.len() == 4, "{text}");
    let id = ids[2].as_str().unwrap();
    let (done, text) = dogwatch(&["integration", "rotate-token", "--data", data.to_str().unwrap(), "--id", id]);
    assert!(done, "{text}");
    let old = ["integration", "test", "--kind", "generic", "--token", &tokens[2], "--url", &url];
    let (done, text) = dogwatch(&old);
    assert!(!done && text.contains("\"status\":404"), "{text}");
    let (done, text) = dogwatch(&["integration", "delete", "--data", data.to_str().unwrap(), "--id", id]);
    assert!(done && text.contains("\"deleted\":true"), "{text}");
    for (args, problem) in [
        (&["--kind", "email", "--name", "x"][..], "--kind"),
        (&["--kind", "generic", "--name", "x", "--drop", "sev1"], "--drop"),
        (&["--kind", "generic", "--name", "x", "--schedule", "Nobody's"], "no schedule is named"),
        (&["--kind", "heartbeat", "--name", "x"], "periodSeconds"),
        (&["--kind", "generic", "--name", "pagerduty"], "name_conflict"),
    ] {
        let (done, text) = dogwatch(&[&["integration", "add", "--data", data.to_str().unwrap()], args].concat());
        assert!(!done && text.contains(problem), "{args:?}: {text}");
    }
    assert!(server.stop().success());
    // Tokens stand in paths, and not in the log.
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("/integrations/generic/{token}"), "{log}");
    assert!(tokens.iter().all(|token| !log.contains(token.as_str())), "{log}");
}

/// What was received is there after the server was killed: an alert that counted before goes on counting.
#[test]
fn a_kill_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let key = server.key();
    let (_, token, _) = add(folder.path(), "http://x", "generic", &[]);
    let path = format!("/integrations/generic/{token}");
    let fire = |server: &Server| {
        let body = serde_json::json!({ "key": "disk", "state": "firing", "title": "Disk full" });
        let (status, answer) = server.request("POST", &path, "none", Some(&body));
        assert_eq!(status, 202, "{answer}");
        answer["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(fire(&server), "opened");
    for _ in 0..3 {
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        server = Server::start(folder.path(), &[]);
        assert_eq!(fire(&server), "counted");
    }
    let (_, listed) = server.request("GET", "/v1/incidents", &key, None);
    let incidents = listed["data"]["incidents"].as_array().unwrap();
    assert_eq!(incidents.len(), 1);
    let signals = format!("/v1/incidents/{}/signals", incidents[0]["id"].as_str().unwrap());
    let (_, shown) = server.request("GET", &signals, &key, None);
    assert_eq!(shown["data"]["signals"][0]["count"], 4, "{shown}");
}
