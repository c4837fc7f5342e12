//! A page reaches a person: from an incident to a mail, to the link in it, to the audit trail; and an invitation to a member.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::Server;

mod support;

/// A mail in a folder: its headers, and the text without its encoding.
struct Mail {
    headers: BTreeMap<String, String>,
    text: String,
}

fn mail(path: &Path) -> Mail {
    let raw = std::fs::read_to_string(path).unwrap();
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let headers = head.lines().map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    // Long lines of what is quoted-printable end with `=`.
    let text = body.replace("=\r\n", "").replace("=3D", "=").replace("\r\n", "\n");
    Mail { headers, text }
}

/// The mails in a folder, when there are so many.
fn mails(folder: &Path, count: usize) -> Vec<Mail> {
    let began = Instant::now();
    loop {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
        if files.len() >= count {
            assert_eq!(files.len(), count);
            // Ids begin with the instant.
            files.sort();
            return files.iter().map(|path| mail(path)).collect();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{} of {count} mails came", files.len());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The path of the first link in a mail.
fn link(mail: &Mail, server: &Server, path: &str) -> String {
    let start = format!("http://{}{path}", server.address);
    let (_, rest) = mail.text.split_once(&start).unwrap_or_else(|| panic!("no link in {}", mail.text));
    format!("{path}{}", rest.split_whitespace().next().unwrap())
}

/// The status and the body of a page; `form` is sent with POST.
fn browse(server: &Server, path: &str, form: Option<(&str, &str)>) -> (u16, String, String) {
    let rest = match form {
        Some((headers, body)) => format!(
            "content-type: application/x-www-form-urlencoded\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        ),
        None => "\r\n".to_owned(),
    };
    let method = if form.is_some() { "POST" } else { "GET" };
    let answer = server.raw(format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{rest}").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

fn open_incident(server: &Server, (key, admin): (&str, &str), title: &str) -> String {
    let post = |path: &str, body: &Value| {
        let (status, answer) = server.request("POST", path, key, Some(body));
        assert_eq!(status, 201, "{answer}");
        answer["data"].clone()
    };
    let policy = post("/v1/escalation/policies", &json!({ "name": title }))["id"].as_str().unwrap().to_owned();
    let layer = json!({
        "position": 1, "ackTimeoutMinutes": 15, "target": { "type": "users", "userIds": [admin] }
    });
    post(&format!("/v1/escalation/policies/{policy}/layers"), &layer);
    let incident = json!({ "title": title, "severity": "critical", "description": "Since the <b>deploy</b>.",
        "ownerId": admin, "escalationPolicyId": policy });
    post("/v1/incidents", &incident)["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_mail_and_a_tap() {
    let (folder, letters) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(folder.path(), &["--mail-folder", letters.path().to_str().unwrap()]);
    let (key, admin) = (server.key(), server.admin());
    let id = open_incident(&server, (&key, &admin), "Zahlung & <Kasse> \u{fc}ber \u{1F525}");
    let page = mails(letters.path(), 1).remove(0);
    assert!(page.headers["to"].contains("admin@example.com"), "{:?}", page.headers);
    assert_eq!(page.headers["auto-submitted"], "auto-generated");
    assert_eq!(page.headers["x-auto-response-suppress"], "All");
    assert_eq!(page.headers["importance"], "high");
    assert_eq!(page.headers["references"], format!("<{id}@localhost.localdomain>"));
    assert_eq!(page.headers["in-reply-to"], page.headers["references"]);
    assert!(page.headers["message-id"].ends_with("@localhost.localdomain>"), "{:?}", page.headers);
    for said in
        ["Severity:  critical", "paged by layer 1", "the next layer is paged, if there is one", "My organization"]
    {
        assert!(page.text.contains(said), "{said}: {}", page.text);
    }
    assert!(page.text.contains("Since the &lt;b&gt;deploy&lt;/b&gt;."), "as HTML: {}", page.text);

    // Looking changes nothing, however often a scanner looks.
    let path = link(&page, &server, "/p/");
    for _ in 0..3 {
        let (status, head, shown) = browse(&server, &path, None);
        assert_eq!(status, 200);
        assert!(shown.contains("Zahlung &#38; &#60;Kasse&#62;") && shown.contains("<button>Acknowledge"), "{shown}");
        for header in
            ["cache-control: no-store", "referrer-policy: no-referrer", "content-security-policy: default-src 'none'"]
        {
            assert!(head.contains(header), "{head}");
        }
    }
    let acknowledged = |id: &str| {
        let (_, answer) = server.request("GET", &format!("/v1/incidents/{id}"), &key, None);
        let trail = answer["data"]["auditTrail"].as_array().unwrap().clone();
        trail.into_iter().filter(|event| event["event"] == "incident_acknowledged").collect::<Vec<_>>()
    };
    assert!(acknowledged(&id).is_empty());
    assert_eq!(browse(&server, &path, Some(("sec-fetch-site: cross-site\r\n", ""))).0, 403);
    assert!(acknowledged(&id).is_empty());

    let (status, head, _) = browse(&server, &path, Some(("sec-fetch-site: same-origin\r\n", "")));
    assert_eq!(status, 303);
    assert!(head.contains(&format!("location: {}\r\n", path.trim_start_matches("/p/").to_lowercase())), "{head}");
    let events = acknowledged(&id);
    assert_eq!((&events[0]["actorId"], &events[0]["details"]), (&json!(admin), &json!({ "via": "link" })));
    let (_, _, shown) = browse(&server, &path, None);
    assert!(shown.contains("Acknowledged by you") && !shown.contains("<button>"), "{shown}");
    // Again is harmless.
    assert_eq!(browse(&server, &path, Some(("", ""))).0, 303);
    assert_eq!(acknowledged(&id).len(), 1);

    // Anything else is no link, and does not say why.
    let (mut other, mut shorter) = (path.clone(), path.clone());
    other.replace_range(20..21, if path.as_bytes()[20] == b'A' { "B" } else { "A" });
    shorter.pop();
    for wrong in [&other, "/p/x", &shorter, &format!("{path}x")] {
        let (status, _, shown) = browse(&server, wrong, None);
        assert!(status == 404 && shown.contains("This link does not work"), "{wrong}: {status} {shown}");
        assert_eq!(browse(&server, wrong, Some(("", ""))).0, 404);
    }
    // It is counted and named like any other request.
    let (_, head, _) = browse(&server, &path, None);
    assert!(head.contains("x-request-id: "), "{head}");
    let metrics = server.raw(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(metrics.contains("route=\"/p/{token}\",status=\"303\""), "{metrics}");
    // The API is beside it, and knows that pages are sent.
    assert!(server.raw(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ends_with("\r\nready\n"));
    assert_eq!(server.request("GET", "/v1/nothing", &key, None).0, 404);
    let metrics = server.raw(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(metrics.contains("dogwatch_channels 3") && metrics.contains("dogwatch_messages_sent_total 1"), "{metrics}");
    assert!(server.stop().success());

    // The link holds after a restart, and no longer when the operator says so.
    let server = Server::start(folder.path(), &["--mail-folder", letters.path().to_str().unwrap(), "--links", "view"]);
    assert_eq!(browse(&server, &path, None).0, 200);
    let id = open_incident(&server, (&key, &admin), "Another");
    let page = mails(letters.path(), 2).remove(1);
    let path = link(&page, &server, "/p/");
    let (_, _, shown) = browse(&server, &path, None);
    assert!(shown.contains("Another") && !shown.contains("<button>"), "{shown}");
    assert_eq!(browse(&server, &path, Some(("", ""))).0, 403);
    let (_, answer) = server.request("GET", &format!("/v1/incidents/{id}"), &key, None);
    assert_eq!(answer["data"]["acknowledgedAt"], Value::Null);
}

#[test]
fn an_invitation() {
    let (folder, letters) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(folder.path(), &["--mail-folder", letters.path().to_str().unwrap()]);
    let key = server.key();
    let invite = json!({ "emailAddress": "ben@example.com", "role": "org:member" });
    let (status, answer) = server.request("POST", "/v1/team/members/invite", &key, Some(&invite));
    assert_eq!(status, 201, "{answer}");
    let letter = mails(letters.path(), 1).remove(0);
    assert!(letter.headers["to"].contains("ben@example.com"), "{:?}", letter.headers);
    assert_eq!(letter.headers["subject"], "You are invited to My organization");
    let path = link(&letter, &server, "/join/");
    let (status, _, shown) = browse(&server, &path, None);
    assert!(status == 200 && shown.contains("ben@example.com"), "{status} {shown}");
    let (status, _, shown) = browse(&server, &path, Some(("", "first=+&last=B%3Cyron")));
    assert!(status == 422 && shown.contains("role=\"alert\"") && shown.contains("B&#60;yron"), "{status} {shown}");
    assert_eq!(browse(&server, &path, Some(("", &format!("first={}", "x".repeat(5_000))))).0, 400);
    let (status, _, shown) = browse(&server, &path, Some(("", "first=Ben&last=Byron")));
    assert_eq!(status, 200, "{shown}");
    let (_, rest) = shown.split_once("<code>").unwrap();
    let new = rest.split('<').next().unwrap();
    assert_eq!(server.request("GET", "/v1/components", new, None).0, 200, "the key works");
    for form in [None, Some(("", "first=Ben&last=Byron"))] {
        assert_eq!(browse(&server, &path, form).0, 404, "once");
    }

    // A link that was sent to somebody who has left since leads nowhere.
    let admin = server.admin();
    let (_, answer) = server.request("GET", "/v1/team/members", &key, None);
    let members = answer["data"]["members"].as_array().unwrap();
    let ben = members.iter().filter_map(|one| one["id"].as_str()).find(|id| *id != admin).unwrap().to_owned();
    let id = open_incident(&server, (&key, &admin), "Checkout is down");
    mails(letters.path(), 2);
    for to in [&ben, &admin] {
        let handoff = json!({ "targetUserId": to });
        assert_eq!(server.request("POST", &format!("/v1/incidents/{id}/handoff"), &key, Some(&handoff)).0, 200);
        mails(letters.path(), if *to == ben { 3 } else { 4 });
    }
    let page = mails(letters.path(), 4).into_iter().rfind(|mail| mail.headers["to"].contains("ben@")).unwrap();
    let path = link(&page, &server, "/p/");
    assert_eq!(browse(&server, &path, None).0, 200);
    let (status, _) = server.request("DELETE", &format!("/v1/team/members/{ben}"), &key, None);
    assert_eq!(status, 200);
    for form in [None, Some(("", ""))] {
        let (status, _, shown) = browse(&server, &path, form);
        assert!(status == 404 && shown.contains("This link does not work"), "{status} {shown}");
    }
}

/// The operator is told when nobody would be.
#[test]
fn without_a_way_pages_reach_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let ready = server.raw(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.contains("ready, but pages reach nobody"), "{ready}");
    let metrics = server.raw(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(metrics.contains("dogwatch_channels 0"), "{metrics}");
}

/// What waits, what has failed and why; and a mail to try out the settings.
#[test]
fn for_operators() {
    let (folder, letters) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = folder.path().to_str().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (key, admin) = (server.key(), server.admin());
    let id = open_incident(&server, (&key, &admin), "Checkout is down");
    let run = |args: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_dogwatch")).args(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (done.status.success(), text(&done.stdout), text(&done.stderr))
    };
    // The same with the server and without.
    let (_, waiting, _) = run(&["deliveries", "--data", data]);
    let line: Value = serde_json::from_str(waiting.trim()).unwrap_or_else(|_| panic!("{waiting}"));
    assert_eq!((&line["state"], &line["message"], &line["kind"]), (&json!("waiting"), &json!("page"), &json!("email")));
    assert_eq!((&line["incidentId"], &line["userId"]), (&json!(id), &json!(admin)));
    assert!(server.stop().success());
    assert_eq!(run(&["deliveries", "--data", data]), (true, waiting, String::new()));

    let mail = letters.path().to_str().unwrap();
    let sent = run(&["page", "test", "--email", "ben@example.com", "--mail-folder", mail]);
    assert_eq!(sent, (true, "{\"sentTo\":\"ben@example.com\"}\n".to_owned(), String::new()));
    assert!(mails(letters.path(), 1)[0].text.contains("This contact method works"));
    for (args, said) in [
        (&["--email", "ben", "--mail-folder", mail][..], "--email must be an e-mail address"),
        (&["--email", "ben@example.com"], "there is no mail server"),
        (&["--email", "ben@example.com", "--mail-from", "nobody"], "is no address to send from"),
    ] {
        let (well, _, why) = run(&[&["page", "test"], args].concat());
        assert!(!well && why.contains(said), "{args:?}: {why}");
    }
}
