//! Clients, readers of the log and disks that mean harm, or are only careless: the server goes on for everybody else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
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

/// What is no request is refused like any other: with a code and a request id.
#[test]
fn what_is_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--header-seconds", "2"]);
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: y\r\n".repeat(200));
    let large = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "y".repeat(100 << 10));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100 << 10));
    let endless = format!("GET /{}", "a".repeat(1 << 20));
    let chunked = "transfer-encoding: chunked\r\n";
    let post = |headers: &str| format!("POST /v1/incidents HTTP/1.1\r\n{headers}\r\n0\r\n\r\n");
    for (request, status, code) in [
        ("\x16\x03\x01\x02\x00\r\n\r\n", 400, "malformed_request"),
        ("GET  HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        ("GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "malformed_request"),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nb\u{e4}d header\r\n\r\n", 400, "malformed_request"),
        ("POST /v1/incidents HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", 400, "malformed_request"),
        (&post(&format!("host: x\r\n{chunked}{chunked}")), 400, "malformed_request"),
        (&post("host: x\r\ntransfer-encoding: gzip, chunked\r\n"), 400, "malformed_request"),
        (&post("host: x\r\ntransfer-encoding: gzip\r\n"), 400, "malformed_request"),
        (&post(&format!("host: x\r\n{chunked}")), 401, "missing_authorization_header"),
        (&many, 431, "headers_too_large"),
        (&large, 431, "headers_too_large"),
        (&long, 414, "uri_too_long"),
        (&endless, 414, "uri_too_long"),
    ] {
        let answer = server.raw(request.as_bytes());
        let shown: String = request.chars().take(60).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer:?}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{shown:?}: {body:?}"));
        assert_eq!((&body["code"], &body["statusCode"]), (&json!(code), &json!(status)), "{shown:?}");
        let id = body["requestId"].as_str().unwrap();
        assert!(head.to_lowercase().contains(&format!("x-request-id: {id}")), "{shown:?}");
    }
    // What came before on the connection is answered all the same.
    let answers = server.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nno request at all\r\n\r\n");
    assert!(answers.starts_with("HTTP/1.1 200 ") && answers.contains("malformed_request"), "{answers}");
    server.alive();
}

#[test]
fn slow_heads_and_slow_readers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--header-seconds", "1", "--write-seconds", "1", "--connections", "8"]);
    let answer = server.raw(b"GET /healthz HTTP/1.1\r\nhost:");
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    assert_eq!(server.raw(b""), "", "nothing was said");
    // These ask for more than they ever read, and keep their seats only for as long as they may.
    let ask = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2_000);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.connect();
            client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            let _ = client.write_all(&ask);
            client
        })
        .collect();
    let began = Instant::now();
    while !server.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ends_with("alive\n") {
        assert!(began.elapsed() < Duration::from_secs(30), "who does not read keeps everybody out");
        thread::sleep(Duration::from_millis(50));
    }
    drop(clients);
}

#[test]
fn a_question_has_a_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--query-seconds", "0"]);
    let key = server.key();
    // Some are answered before anybody looks at the time.
    let late = (0..2_000).find_map(|_| {
        let (status, body) = server.request("GET", "/v1/oncall/now", &key, None);
        (status != 200).then_some((status, body["code"].clone()))
    });
    assert_eq!(late, Some((503, json!("overloaded"))));
    assert_eq!(server.request("GET", "/v1/components", &key, None).0, 200, "a look-up has none");
}

#[test]
fn one_address_has_some_of_the_seats() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--connections-per-address", "2"]);
    let alive = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut two: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut two {
        client.write_all(alive).unwrap();
        client.read_exact(&mut [0; 12]).unwrap();
    }
    // Whoever is turned away sees it, also while sending a lot.
    for _ in 0..10 {
        let answer = server.raw(&[&alive[..], &[b'x'; 200_000]].concat());
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("overloaded"), "{answer:?}");
    }
}

/// The memory that a process takes, in MiB.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() >> 10
}

#[test]
fn bodies_that_do_not_come() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--body-memory", "4", "--connections-per-address", "1000"]);
    let key = server.key();
    let head = |path: &str, length: usize| {
        let key = format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n");
        format!("POST {path} HTTP/1.1\r\nhost: x\r\n{key}content-length: {length}\r\n\r\n").into_bytes()
    };
    // Too large: refused before it is read, and everybody sees it.
    for _ in 0..30 {
        let request = [head("/v1/incidents", (1 << 20) + 1), vec![b' '; (1 << 20) + 1]].concat();
        let answer = server.raw(&request);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:?}");
    }
    let before = resident(&server);
    // Of strangers hardly anything is read.
    let request = [head("/v1/invitations/accept", 1 << 20), vec![b' '; 900 << 10]].concat();
    let answer = server.raw(&request);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:?}");
    // Of members no more than there is memory for.
    let request = [head("/v1/incidents", 1 << 20), vec![b' '; 900 << 10]].concat();
    let mut stalled = Vec::new();
    for _ in 0..100 {
        let mut client = server.connect();
        client.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = client.write_all(&request);
        stalled.push(client);
    }
    let mut refused = 0;
    for client in &mut stalled {
        client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut answer = [0; 12];
        if client.read_exact(&mut answer).is_ok() {
            assert_eq!(&answer, b"HTTP/1.1 503");
            refused += 1;
        }
    }
    assert_eq!(refused, 96, "four have their place");
    let after = resident(&server);
    assert!(after < before + 64, "{before} MiB before, {after} MiB after");
    server.alive();
}

/// A full disk is told, reads go on, and so does everything when there is room again.
#[test]
fn a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let server = Server::start_on_small_disk(folder.path(), 96, &["--quiet"], log.reopen().unwrap().into());
    let (key, admin) = (server.key(), server.admin());
    let open = |number: usize| {
        let description = "x".repeat(9_000);
        let incident =
            json!({ "title": format!("{number}"), "severity": "low", "ownerId": admin, "description": description });
        server.request("POST", "/v1/incidents", &key, Some(&incident))
    };
    let mut acknowledged = BTreeSet::new();
    let mut open_one = |number: usize| {
        let (status, answer) = open(number);
        if status == 201 {
            acknowledged.insert(answer["data"]["id"].as_str().unwrap().to_owned());
        }
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(open_one(0).0, 201);
    // Everything that is free is taken.
    let ballast = server.seen_from_outside(&folder.path().join("ballast"));
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[1; 64 << 10]).is_ok() {}
    let began = Instant::now();
    let mut refused = Vec::new();
    for number in 1.. {
        let (status, code) = open_one(number);
        if status != 201 {
            refused.push((status, code));
        }
        if refused.len() == 5 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it never gets full");
    }
    // Only the one that was being written may have happened; the others certainly have not.
    assert!(["unavailable", "outcome_unknown"].contains(&&*refused[0].1), "{refused:?}");
    assert!(refused[1..].iter().all(|it| *it == (503, "unavailable".to_owned())), "{refused:?}");
    let (status, list) = server.request("GET", "/v1/incidents", &key, None);
    assert_eq!(status, 200, "reads go on: {list}");
    let ready = || server.raw(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(ready().starts_with("HTTP/1.1 503 "), "{}", ready());
    server.alive();
    drop(file);
    std::fs::remove_file(ballast).unwrap();
    let began = Instant::now();
    while !ready().starts_with("HTTP/1.1 200 ") {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not go on: {}", ready());
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(open_one(1_000_000).0, 201);
    for id in &acknowledged {
        assert_eq!(server.request("GET", &format!("/v1/incidents/{id}"), &key, None).0, 200, "{id}");
    }
    assert!(server.stop().success());
    let log = std::fs::read_to_string(log.path()).unwrap();
    assert!(log.contains("storage has failed") && log.contains("the store is open again"), "{log}");
    let causes =
        log.lines().filter(|line| line.contains("storage has failed") && line.contains("No space left on device"));
    assert_eq!(causes.count(), 1, "the cause is told, once: {log}");
}

/// A server that was killed while its disk became full starts on it, and answers reads; one that cannot open its store without room
/// waits for it, and says so.
#[test]
fn a_start_on_a_full_disk() {
    for starts_before in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let (log, made) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let script = format!(
            r#""$1" init --data "$0" --org H --admin-email a@b.co > {made}
            "$1" serve --data "$0" --listen 127.0.0.1:0 --quiet & sleep 1
            "$1" key create --data "$0" --email a@b.co --name x; kill -9 $!; wait $!
            dd if=/dev/zero of="$0/ballast" bs=4k
            for _ in $(seq {starts_before}); do timeout 2 "$1" serve --data "$0" --listen 127.0.0.1:0 --quiet; done; true"#,
            made = made.path().display(),
        );
        let server =
            Server::start_on_prepared_disk(folder.path(), 40, &script, &["--existing"], log.reopen().unwrap().into());
        let made: Value = serde_json::from_str(&std::fs::read_to_string(made.path()).unwrap()).unwrap();
        let key = made["apiKey"].as_str().unwrap();
        server.alive();
        let (status, answer) = server.request("GET", "/v1/incidents", key, None);
        let told = std::fs::read_to_string(log.path()).unwrap();
        let waits = told.contains("there is no room");
        assert_eq!(status, if waits { 503 } else { 200 }, "{answer} {told}");
        std::fs::remove_file(server.seen_from_outside(&folder.path().join("ballast"))).unwrap();
        let began = Instant::now();
        let incident =
            json!({ "title": "Checkout is down", "severity": "low", "ownerId": made["userId"], "description": "x" });
        while server.request("POST", "/v1/incidents", key, Some(&incident)).0 != 201 {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not go on: {told}");
            thread::sleep(Duration::from_millis(50));
        }
        println!("after {starts_before} starts: {}", if waits { "it waited" } else { "it answered reads" });
        assert!(server.stop().success());
    }
}

#[test]
fn an_empty_folder_is_not_taken_for_a_store_that_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["serve", "--existing", "--data", folder.path().to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_dogwatch")).args(args).output().unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("there is no store in"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "and nothing is made");
    // What is made is for its owner only, the key above all.
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for entry in std::fs::read_dir(&data).unwrap().chain(std::fs::read_dir(data.join("journal")).unwrap()) {
        let path = entry.unwrap().path();
        assert!(path.is_dir() || mode(&path) == 0o600, "{path:?} has {:o}", mode(&path));
    }
    assert!(server.key().starts_with("scl_live_") && data.join("first-api-key").exists());
}

/// Asks for one incident every few milliseconds until told to stop, and gives how long each answer took.
///
/// It allocates nothing between two answers: the other threads share its allocator, and what they are made to wait for is not the server's.
fn well_behaved(server: &Server, key: &str, id: &str, stop: &AtomicBool) -> Vec<Duration> {
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    let request = format!("GET /v1/incidents/{id} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n");
    let mut answer = vec![0; 256 << 10];
    let mut took = Vec::with_capacity(1 << 20);
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream, &mut answer);
        took.push(began.elapsed());
        thread::sleep(Duration::from_millis(5));
    }
    took
}

/// Reads one answer, which must be a 200 with a length.
fn read_answer(stream: &mut TcpStream, answer: &mut [u8]) {
    let (mut read, mut whole) = (0, None);
    while whole != Some(read) {
        let more = stream.read(&mut answer[read..]).unwrap();
        assert!(more > 0, "the server closed");
        read += more;
        let end = answer[..read].windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let (None, Some(end)) = (whole, end) {
            let head = std::str::from_utf8(&answer[..end]).unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            whole = Some(end + 4 + length.parse::<usize>().unwrap());
        }
    }
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Gives the calling thread only the processor time that is left over: its client would have a processor of its own.
fn as_from_another_machine() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let thread = thread.file_name().unwrap().to_owned();
    let done = std::process::Command::new("chrt").args(["--idle", "--pid", "0"]).arg(thread).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// Gives each thread on which the server serves connections a processor of its own. On a machine without the clients, the operating system does: one
/// processor is idle while two threads wait for the other. Here none is ever idle, since the clients take what is left over.
///
/// Threads that are started by these afterwards stay on their processor, so all that the server needs must run already.
fn as_on_its_own_machine(server: &Server) {
    let processors = std::fs::read_to_string("/proc/self/status").unwrap();
    let processors = processors.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let processors = processors.split(',').flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<usize>().unwrap()..=last.parse().unwrap()
    });
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    let threads = threads.map(|thread| thread.unwrap().path());
    let named = threads.filter(|path| {
        let name = std::fs::read_to_string(path.join("comm"));
        name.is_ok_and(|name| name.starts_with("tokio-rt-worker"))
    });
    let number = |path: &Path| path.file_name().unwrap().to_str().unwrap().parse::<usize>().unwrap();
    // They are the first of this name.
    let threads: BTreeSet<_> = named.map(|path| number(&path)).collect();
    for (thread, processor) in threads.iter().zip(processors) {
        let command = ["-c", "-p", &processor.to_string(), &thread.to_string()];
        let done = std::process::Command::new("taskset").args(command).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

/// Slow readers, big bodies, heavy questions, wrong keys and many writers at once: nothing that was acknowledged is lost, memory stays
/// bounded, and somebody who only wants to see an incident is answered. `DOGWATCH_HOSTILE_SECONDS` says for how long.
#[test]
fn everything_at_once() {
    let seconds = std::env::var("DOGWATCH_HOSTILE_SECONDS").ok().and_then(|it| it.parse().ok()).unwrap_or(10);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let more = ["--connections-per-address", "1024", "--write-seconds", "5", "--header-seconds", "5"];
    let server = Server::start(&data, &more);
    let (key, admin) = (server.key(), server.admin());
    let open = |title: &str| {
        let incident = json!({ "title": title, "severity": "low", "ownerId": admin });
        server.request("POST", "/v1/incidents", &key, Some(&incident))
    };
    let id = open("the one that is watched").1["data"]["id"].as_str().unwrap().to_owned();
    let long = json!({ "body": "x".repeat(9_000), "visibility": "internal" });
    for _ in 0..300 {
        assert_eq!(server.request("POST", &format!("/v1/incidents/{id}/updates"), &key, Some(&long)).0, 201);
    }
    // The threads for what takes long start with the first of it.
    assert_eq!(server.request("GET", &format!("/v1/incidents/{id}/updates"), &key, None).0, 200);
    let large = json!({ "componentIds": [], "padding": "x".repeat(20_000) });
    assert_eq!(server.request("PUT", &format!("/v1/incidents/{id}/components"), &key, Some(&large)).0, 200);
    as_on_its_own_machine(&server);
    let own = server.request("POST", "/v1/api-keys", &key, Some(&json!({ "name": "the well-behaved" }))).1;
    let own = own["data"]["secret"].as_str().unwrap();
    let stop = AtomicBool::new(false);
    let goes_on = || !stop.load(Ordering::Relaxed);
    let idle = thread::scope(|scope| {
        let client = scope.spawn(|| well_behaved(&server, own, &id, &stop));
        thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        client.join().unwrap()
    });
    stop.store(false, Ordering::Relaxed);
    let acknowledged = Mutex::new(BTreeSet::new());
    let (busy, most) = thread::scope(|scope| {
        for writer in 0..64 {
            let (acknowledged, open) = (&acknowledged, &open);
            scope.spawn(move || {
                as_from_another_machine();
                while goes_on() {
                    let (status, answer) = open(&format!("by {writer}"));
                    assert!([201, 503].contains(&status), "{answer}");
                    if status == 201 {
                        acknowledged.lock().unwrap().insert(answer["data"]["id"].as_str().unwrap().to_owned());
                    }
                }
            });
        }
        let send = |request: Vec<u8>, wait: u64| {
            let server = &server;
            move || {
                as_from_another_machine();
                while goes_on() {
                    let mut client = server.connect();
                    client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
                    client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                    let _ = client.write_all(&request);
                    thread::sleep(Duration::from_millis(wait));
                    let _ = client.read(&mut [0; 64 << 10]);
                }
            }
        };
        let head = |method: &str, path: &str, key: &str, more: &str| {
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{more}\r\n").into_bytes()
        };
        let json = "content-type: application/json\r\ncontent-length: 1048576\r\n";
        let numbers = format!("{{\"componentIds\":[{}1]}}", "1,".repeat((1 << 19) - 16));
        let padded = format!("{numbers}{}", " ".repeat((1 << 20) - numbers.len()));
        let updates = head("GET", &format!("/v1/incidents/{id}/updates"), &key, "");
        let requests = [
            (head("GET", "/openapi.json", "x", "").repeat(500), 3_000),
            (updates.repeat(50), 2_000),
            ([head("POST", "/v1/incidents", &key, json), vec![b' '; 900 << 10]].concat(), 4_000),
            ([head("PUT", &format!("/v1/incidents/{id}/components"), &key, json), padded.into_bytes()].concat(), 10),
            (head("GET", "/v1/incidents", "scl_live_guess", "").repeat(100), 10),
            (b"GET / HTTP/1.1\r\nhos".to_vec(), 3_000),
        ];
        for (request, wait) in requests {
            (0..10).for_each(|_| drop(scope.spawn(send(request.clone(), wait))));
        }
        let client = scope.spawn(|| well_behaved(&server, own, &id, &stop));
        let (began, mut most) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(seconds) {
            most = most.max(resident(&server));
            thread::sleep(Duration::from_millis(100));
        }
        stop.store(true, Ordering::Relaxed);
        (client.join().unwrap(), most)
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(most < 512, "{most} MiB");
    assert!(!acknowledged.is_empty());
    let (idle, busy) = (p99(idle), p99(busy));
    println!("{} acknowledged; {most} MiB at most; p99 {idle:?} alone, {busy:?} beside the others", acknowledged.len());
    assert!(server.stop().success());
    let verify = std::process::Command::new(env!("CARGO_BIN_EXE_dogwatch"))
        .args(["verify", "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
    let server = Server::start(&data, &[]);
    for id in acknowledged.iter().step_by(7) {
        assert_eq!(server.request("GET", &format!("/v1/incidents/{id}"), &key, None).0, 200, "{id} is lost");
    }
}
