//! Clients, readers of the log and disks that mean harm, or are only careless: the server goes on for everybody else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use support::Server;

mod support;

/// Reads the value of a metric without labels.
fn metric(server: &Server, name: &str) -> u64 {
    let text = server.raw(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn nobody_reads_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with_log(folder.path(), &[], Stdio::piped());
    let key = server.key();
    // A pipe holds 64 KiB, and some lines wait behind it.
    for _ in 0..2_000 {
        assert_eq!(server.request("GET", "/v1/components", &key, None).0, 200);
    }
    // And now nobody can.
    drop(server.child.stderr.take());
    for number in 0..50 {
        let component = json!({ "name": format!("c{number}") });
        assert_eq!(server.request("POST", "/v1/components", &key, Some(&component)).0, 201);
    }
    assert_eq!(metric(&server, "dogwatch_log_lines_dropped_total"), 0, "so few lines wait");
    let began = Instant::now();
    assert!(server.stop().success());
    assert!(began.elapsed() < Duration::from_secs(30), "it does not wait for a reader");
}

#[test]
fn a_log_that_nobody_ever_reads_does_not_stop_it_from_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with_log(folder.path(), &[], Stdio::piped());
    let key = server.key();
    let unread = server.child.stderr.take();
    for _ in 0..1_000 {
        assert_eq!(server.request("GET", "/v1/components", &key, None).0, 200);
    }
    assert!(server.stop().success());
    drop(unread);
}
