//! Channels and what becomes of pages: over HTTP to a server of the test, and through channels that fail in every way.
#![cfg(all(feature = "email", feature = "web"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_deliver::{
    Address, AllowedHosts, Channel, Counts, Deliverer, Links, Message, Ntfy, OrganizationWebhook, SendError, Settings,
    Slack, Webhook, What,
};
use dogwatch_store::rules::contact::{
    AddContactMethod, ContactAddress, ContactMethodKind, ListContactMethods, NotificationRule, NotificationRules,
    SetNotificationRules, VerifyContactMethod,
};
use dogwatch_store::rules::id::{ContactMethodId, IncidentId};
use dogwatch_store::rules::incident::{
    AcknowledgeIncident, CreateIncident, HandOffIncident, ListAuditEvents, PostUpdate, Severity,
};
use dogwatch_store::rules::link::MasterKey;
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::outbox::{DeliveryState, ListPages, Transport};
use dogwatch_store::rules::webhook::{
    CreateWebhook, EditWebhook, EnableWebhook, GetWebhook, ListWebhookDeliveries, RotateWebhookSecret,
};
use dogwatch_store::rules::{Actor, Code, Secret, UserId};
use dogwatch_store::{Engine, ManualClock};
use serde_json::Value;

/// An organization of one, and the clock.
struct House {
    engine: Engine,
    clock: ManualClock,
    ada: Actor,
    me: UserId,
}

impl House {
    fn new() -> Self {
        let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
        let engine = Engine::builder().clock(clock.clone()).in_memory().unwrap();
        let text = |text: &str| text.parse().unwrap();
        let create = CreateOrganization::new(
            "Harbour".parse().unwrap(),
            "ada@example.com".parse().unwrap(),
            text("Ada"),
            text("Byron"),
        );
        let created = engine.execute(create, &Actor::Operator).unwrap();
        Self { engine, clock, ada: created.actor(), me: created.admin.member.id }
    }

    /// Pages Ada.
    fn page(&self) -> IncidentId {
        let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::Critical, self.me);
        let id = self.engine.execute(open, &self.ada).unwrap().id;
        self.engine.execute(HandOffIncident::new(id, self.me), &self.ada).unwrap();
        id
    }

    /// Adds a verified contact method.
    fn add(&self, address: ContactAddress) -> ContactMethodId {
        let add = AddContactMethod::new("Pager".parse().unwrap(), address);
        let id = self.engine.execute(add, &self.ada).unwrap().id;
        let claimed = self.engine.claim(100, Duration::from_secs(60)).unwrap();
        for one in claimed {
            if let dogwatch_store::rules::outbox::Message::Code { code: Some(code) } = &one.message {
                let verify = VerifyContactMethod::new(id, code.reveal());
                assert!(self.engine.execute(verify, &self.ada).unwrap().is_some());
            }
            self.engine.confirm(&[one.receipt()]).unwrap();
        }
        id
    }

    fn rules(&self, rules: &[(ContactMethodId, i64)]) {
        let rules = rules.iter().map(|(id, minutes)| NotificationRule::new(*id, *minutes).unwrap()).collect();
        let set = SetNotificationRules::new(NotificationRules::new(rules).unwrap());
        self.engine.execute(set, &self.ada).unwrap();
    }

    fn built_in(&self) -> ContactMethodId {
        self.engine.query(&ListContactMethods::new(), &self.ada).unwrap()[0].id
    }

    /// What has become of the last page of an incident.
    fn states(&self, id: IncidentId) -> Vec<(ContactMethodKind, DeliveryState, Option<String>)> {
        let pages = self.engine.query(&ListPages::new(id), &self.ada).unwrap().pages;
        pages.last().unwrap().deliveries.iter().map(|one| (one.kind, one.state, one.last_error.clone())).collect()
    }
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} never came");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A request as a server saw it: the first line and the headers in lower case, and the body.
type Seen = (String, Value);

/// A server that gives these answers, one after another, and then says 200; it ends with its process.
fn server(answers: &'static [&'static str]) -> (String, Receiver<Seen>) {
    let mut answers = answers.iter();
    listen(
        move || (answers.next().copied().unwrap_or("200 OK\r\n").to_owned(), String::new()),
        |body| serde_json::from_slice(body).unwrap(),
    )
}

/// An API that gives these answers, one after another, and takes forms.
fn api(answers: &'static [&'static str]) -> (String, Receiver<(String, String)>) {
    let mut answers = answers.iter();
    listen(
        move || ("200 OK\r\n".to_owned(), (*answers.next().unwrap_or(&"{}")).to_owned()),
        |body| String::from_utf8(body.to_vec()).unwrap(),
    )
}

/// A server that tells of each request its head, in lower case, and its body as it is read; `answer` gives the head of an answer and its
/// body.
fn listen<T: Send + 'static>(
    mut answer: impl FnMut() -> (String, String) + Send + 'static,
    read: impl Fn(&[u8]) -> T + Send + 'static,
) -> (String, Receiver<(String, T)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Some((seen, body)) = request(&stream) else { continue };
            let (head, json) = answer();
            let _ = tell.send((seen, read(&body)));
            let length = json.len();
            let answer = format!("HTTP/1.1 {head}content-length: {length}\r\nconnection: close\r\n\r\n{json}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, told)
}

/// The head of a request, in lower case, and its body.
fn request(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let line = line.to_lowercase();
        if let Some(bytes) = line.strip_prefix("content-length: ") {
            length = bytes.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Some((head, body))
}

fn here() -> AllowedHosts {
    AllowedHosts::new(["127.0.0.1".to_owned()])
}

fn settings() -> Settings {
    Settings::with_links(Links::new(MasterKey::from_bytes([7; 32]), "https://oncall.example.com/"))
}

/// A page over ntfy: refused for now, then taken, with a button for the lock screen.
#[test]
fn ntfy() {
    let house = House::new();
    let (address, told) = server(&["503 Busy\r\nretry-after: 40\r\n"]);
    let id = house.add(ContactAddress::Ntfy(format!("{address}/on-call").parse().unwrap()));
    house.rules(&[(id, 0)]);
    let counts: Arc<Counts> = Arc::default();
    let deliverer = Deliverer::counting(&house.engine, settings(), vec![Box::new(Ntfy::new(here()))], &counts).unwrap();
    let incident = house.page();
    let (head, first) = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(head.starts_with("post / http/1.1") && head.contains("user-agent: dogwatch/"), "{head}");
    assert_eq!((&first["topic"], &first["priority"]), (&"on-call".into(), &5.into()));
    assert_eq!(first["title"], "[#1] Checkout is down");
    let link = first["click"].as_str().unwrap();
    assert!(link.starts_with("https://oncall.example.com/p/"), "{link}");
    let action = &first["actions"][0];
    assert_eq!((&action["action"], &action["method"], &action["url"]), (&"http".into(), &"POST".into(), &link.into()));
    wait_for("the refusal", || counts.retried() == 1);
    assert_eq!(
        house.states(incident)[0],
        (ContactMethodKind::Ntfy, DeliveryState::Waiting, Some("answered 503".to_owned()))
    );
    // Not before the time for which the server has asked.
    house.clock.advance(Duration::from_secs(39));
    assert!(told.recv_timeout(Duration::from_millis(700)).is_err());
    house.clock.advance(Duration::from_secs(1));
    let (again, _) = told.recv_timeout(Duration::from_secs(60)).unwrap();
    let id_of = |head: &str| head.lines().find(|line| line.starts_with("webhook-id: ")).unwrap().to_owned();
    assert_eq!(id_of(&again), id_of(&head), "the same on every try");
    wait_for("the delivery", || house.states(incident)[0].1 == DeliveryState::Delivered);
    deliverer.stop().unwrap();
}

/// What goes to `https://hooks.example.com` goes to a server without TLS.
struct Plain<C> {
    channel: C,
    server: String,
}

impl<C: Channel> Channel for Plain<C> {
    fn transport(&self) -> Transport {
        self.channel.transport()
    }

    fn send(&self, message: &Message) -> Result<(), SendError> {
        let mut message = message.clone();
        let (Address::Webhook(url) | Address::Endpoint { url, .. }) = &mut message.to else { panic!("{message:?}") };
        let path = url.as_str().strip_prefix("https://hooks.example.com").unwrap();
        *url = format!("{}{path}", self.server).parse().unwrap();
        self.channel.send(&message)
    }
}

#[test]
fn webhooks() {
    let house = House::new();
    // A redirect is no success, and leads nowhere.
    let (elsewhere, lost) = server(&[]);
    let redirect: &'static str = format!("302 Found\r\nlocation: {elsewhere}/\r\n").leak();
    let answers: &'static [&'static str] = vec!["204 No Content\r\n", "410 Gone\r\n", redirect].leak();
    let (address, told) = server(answers);
    let plain = AddContactMethod::new("Pager".parse().unwrap(), ContactAddress::Webhook(address.parse().unwrap()));
    assert_eq!(house.engine.execute(plain, &house.ada).unwrap_err().code(), Code::Validation, "a webhook without TLS");
    let id = house.add(ContactAddress::Webhook("https://hooks.example.com/hook?key=a".parse().unwrap()));
    house.rules(&[(id, 0)]);
    let channel = Plain { channel: Webhook::new(here()), server: address };
    let deliverer = Deliverer::start(&house.engine, settings(), vec![Box::new(channel)]).unwrap();
    let incident = house.page();
    let (head, body) = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(head.starts_with("post /hook?key=a http/1.1"), "{head}");
    assert_eq!(
        (&body["type"], &body["organization"], &body["incident"]["sequentialId"]),
        (&"page".into(), &"Harbour".into(), &1.into())
    );
    assert_eq!(body["incident"]["id"], incident.to_string());
    wait_for("the delivery", || house.states(incident)[0].1 == DeliveryState::Delivered);
    for expected in ["answered 410", "answered 302"] {
        let refused = house.page();
        told.recv_timeout(Duration::from_secs(60)).unwrap();
        wait_for("the end", || house.states(refused)[0].1 == DeliveryState::Failed);
        assert_eq!(house.states(refused)[0].2.as_deref(), Some(expected));
    }
    assert!(lost.try_recv().is_err(), "the redirect was followed");
    deliverer.stop().unwrap();
}

/// An address inside is refused for good, whatever the name says.
#[test]
fn nothing_inside_is_connected_to() {
    let house = House::new();
    let (address, told) = server(&[]);
    let port = address.rsplit(':').next().unwrap();
    let deliverer = Deliverer::start(&house.engine, settings(), vec![Box::new(Ntfy::new(AllowedHosts::default()))]);
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"] {
        // Another test of the same: each with a method of its own, which is removed by the next.
        let add = AddContactMethod::new(
            "Pager".parse().unwrap(),
            ContactAddress::Ntfy(format!("http://{host}:{port}/x").parse().unwrap()),
        );
        let id = house.engine.execute(add, &house.ada).unwrap().id;
        wait_for("the end of the code", || {
            let waiting = house.engine.pending(10).unwrap().1;
            waiting == 0
        });
        house.engine.execute(dogwatch_store::rules::contact::RemoveContactMethod::new(id), &house.ada).unwrap();
    }
    assert!(told.try_recv().is_err(), "it connected to itself");
    deliverer.unwrap().stop().unwrap();
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

/// What webhooks of the organization are told: in order, signed, the same on every try, and disabled when they are gone.
#[test]
fn organization_webhooks() {
    let house = House::new();
    let (address, told) = server(&[
        "503 Busy\r\nretry-after: 40\r\n",
        "404 Not Found\r\n",
        "200 OK\r\n",
        "200 OK\r\n",
        "200 OK\r\n",
        "410 Gone\r\n",
    ]);
    let create = CreateWebhook::new("All".parse().unwrap(), "https://hooks.example.com/all".parse().unwrap());
    let id = house.engine.execute(create, &house.ada).unwrap().id;
    house.engine.execute(RotateWebhookSecret::new(id), &house.ada).unwrap();
    let (tell, mails) = channel();
    let tell = Mutex::new(tell);
    let mail = told_by(Transport::Email, move |message| {
        tell.lock().unwrap().send(message.text()).unwrap();
        Ok(())
    });
    let endpoint = Plain { channel: OrganizationWebhook::new(here()), server: address };
    let deliverer = Deliverer::start(&house.engine, settings(), vec![Box::new(endpoint), mail]).unwrap();
    let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::Critical, house.me);
    let incident = house.engine.execute(open, &house.ada).unwrap().id;
    let long = "🦀".repeat(5_000);
    for body in ["Looking.", &long] {
        house.engine.execute(PostUpdate::internal(incident, body.parse().unwrap()), &house.ada).unwrap();
    }
    let next = || told.recv_timeout(Duration::from_secs(60)).unwrap();
    let trail = house.engine.query(&ListAuditEvents::new(incident), &house.ada).unwrap().events;
    let waits = |tries: u32| {
        let list = ListWebhookDeliveries::new(id);
        let shown = || house.engine.query(&list, &house.ada).unwrap().pop().unwrap();
        wait_for("the end of a try", || shown().attempts == tries && shown().last_error.is_some());
    };

    let (head, body) = next();
    assert!(head.starts_with("post /all http/1.1"), "{head}");
    assert_eq!(header(&head, "webhook-id"), trail[0].id.to_string());
    assert_eq!((&body["type"], &body["timestamp"]), (&"incident_created".into(), &trail[0].at().to_string().into()));
    assert_eq!(body["data"]["event"], serde_json::to_value(&trail[0]).unwrap());
    assert_eq!(body["data"]["incident"]["title"], "Checkout is down");
    // Not before the time for which the server has asked; and a 404 is for now, too.
    waits(1);
    house.clock.advance(Duration::from_secs(39));
    assert!(told.recv_timeout(Duration::from_millis(700)).is_err());
    house.clock.advance(Duration::from_secs(1));
    let (again, same) = next();
    assert_eq!((header(&again, "webhook-id"), &same), (header(&head, "webhook-id"), &body), "the same on every try");
    assert_ne!(header(&again, "webhook-timestamp"), header(&head, "webhook-timestamp"), "the instant of the try");
    waits(2);
    house.clock.advance(Duration::from_secs(330));
    assert_eq!(header(&next().0, "webhook-id"), trail[0].id.to_string());

    // The text of an internal update is not sent unless it is wanted.
    let (_, update) = next();
    assert_eq!((&update["type"], &update["data"]["update"]["body"]), (&"update_posted".into(), &Value::Null));
    let (_, update) = next();
    assert_eq!(
        (&update["data"]["update"]["body"], &update["data"]["update"]["truncated"]),
        (&Value::Null, &false.into())
    );
    wait_for("all of it", || house.engine.pending(100).unwrap().1 == 0);

    // One that is gone.
    house.engine.execute(AcknowledgeIncident::new(incident), &house.ada).unwrap();
    next();
    wait_for("the end", || house.engine.query(&GetWebhook::new(id), &house.ada).unwrap().disabled_at.is_some());
    let mail = mails.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(mail.contains("The webhook All of Harbour was disabled") && mail.contains("answered 410"), "{mail}");
    house.engine.execute(PostUpdate::internal(incident, "Nobody hears.".parse().unwrap()), &house.ada).unwrap();

    // Enabled again, with the text of internal updates, cut.
    house.engine.execute(EnableWebhook::new(id), &house.ada).unwrap();
    let internal = EditWebhook { include_internal: Some(true), ..EditWebhook::new(id) };
    house.engine.execute(internal, &house.ada).unwrap();
    house.engine.execute(PostUpdate::internal(incident, long.parse().unwrap()), &house.ada).unwrap();
    let (head, update) = next();
    let sent = update["data"]["update"]["body"].as_str().unwrap();
    assert_eq!((sent.chars().count(), &update["data"]["update"]["truncated"]), (4_000, &true.into()));
    assert!(header(&head, "content-length").parse::<u32>().unwrap() < 20_000);
    assert_eq!(header(&head, "webhook-signature").split(' ').count(), 2, "both secrets sign for a day");
    deliverer.stop().unwrap();
}

type HowToSend = Box<dyn Fn(&Message) -> Result<(), SendError> + Send + Sync>;

/// A channel that does what it is told.
struct Told {
    transport: Transport,
    send: HowToSend,
}

impl Channel for Told {
    fn transport(&self) -> Transport {
        self.transport
    }

    fn send(&self, message: &Message) -> Result<(), SendError> {
        (self.send)(message)
    }
}

fn told_by(
    transport: Transport,
    send: impl Fn(&Message) -> Result<(), SendError> + Send + Sync + 'static,
) -> Box<dyn Channel> {
    Box::new(Told { transport, send: Box::new(send) })
}

/// All threads of one channel hang; mail goes out all the same, and so does what the channel is given afterwards.
#[test]
fn a_channel_that_hangs_holds_up_no_other() {
    let house = House::new();
    let mut methods = Vec::new();
    for number in 0..8 {
        methods
            .push(house.add(ContactAddress::Webhook(format!("https://hooks.example.com/{number}").parse().unwrap())));
    }
    let all: Vec<_> = methods.iter().map(|id| (*id, 0)).chain([(house.built_in(), 0)]).collect();
    house.rules(&all);
    let hangs = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&hangs);
    let slow = told_by(Transport::Webhook, move |_| {
        while still.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    });
    let (tell, mails) = channel();
    let tell = Mutex::new(tell);
    let mail = told_by(Transport::Email, move |message| {
        let Address::Email(to) = &message.to else { panic!("{message:?}") };
        tell.lock().unwrap().send(to.to_string()).unwrap();
        Ok(())
    });
    let deliverer = Deliverer::start(&house.engine, settings(), vec![slow, mail]).unwrap();
    for _ in 0..5 {
        house.page();
        assert_eq!(mails.recv_timeout(Duration::from_secs(60)).unwrap(), "ada@example.com");
    }
    hangs.store(false, Ordering::SeqCst);
    // What found no place was not claimed, and lost no time.
    wait_for("the rest", || house.engine.pending(100).unwrap().1 == 0);
    deliverer.stop().unwrap();
}

/// Has what hangs go on, also when a test fails.
struct EndsIt(Arc<AtomicBool>);

impl Drop for EndsIt {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// What takes longer than its claim is held all the same, and sent once; what nobody holds any more is sent when the claim is over.
#[test]
fn what_is_being_sent_is_held() {
    let house = House::new();
    let lost = house.page();
    let lease = Duration::from_secs(1);
    // As a program does that is killed then.
    let claimed = house.engine.claim(10, lease).unwrap();
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let hangs = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&hangs);
    let slow = told_by(Transport::Email, move |message| {
        tell.lock().unwrap().send(message.id).unwrap();
        while still.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    });
    let mut short = settings();
    short.lease = lease;
    let deliverer = Deliverer::start(&house.engine, short, vec![slow]).unwrap();
    let end = EndsIt(hangs);
    let mut sent = Vec::new();
    // Three leases pass, on a clock that is slow: whoever holds it has time to say so, also on a busy machine.
    for _ in 0..120 {
        thread::sleep(Duration::from_millis(50));
        house.clock.advance(Duration::from_millis(25));
        sent.extend(told.try_iter());
    }
    assert_eq!(sent, [claimed[0].id]);
    let behind = house.page();
    drop(end);
    wait_for("what is behind it", || house.states(behind)[0].1 == DeliveryState::Delivered);
    assert_eq!(house.states(lost)[0].1, DeliveryState::Delivered);
    assert_eq!(told.try_iter().count(), 1);
    deliverer.stop().unwrap();
}

/// Delays, and a page that nobody needs any more.
#[test]
fn rules_with_delays() {
    let house = House::new();
    let hook = house.add(ContactAddress::Webhook("https://hooks.example.com/1".parse().unwrap()));
    house.rules(&[(house.built_in(), 0), (hook, 5)]);
    let (tell, sent) = channel();
    let tell = Arc::new(Mutex::new(tell));
    let note = |transport| {
        let tell = Arc::clone(&tell);
        told_by(transport, move |message: &Message| {
            assert!(matches!(message.what, What::Page(_)));
            tell.lock().unwrap().send(transport).unwrap();
            Ok(())
        })
    };
    let channels = vec![note(Transport::Email), note(Transport::Webhook)];
    let deliverer = Deliverer::start(&house.engine, settings(), channels).unwrap();
    let next = |wait| sent.recv_timeout(Duration::from_millis(wait)).ok();
    let first = house.page();
    assert_eq!(next(60_000), Some(Transport::Email));
    // What was sent and is not confirmed when its lease ends is sent again.
    wait_for("the mail", || house.states(first).iter().any(|one| one.1 == DeliveryState::Delivered));
    house.clock.advance(Duration::from_secs(299));
    assert_eq!(next(700), None);
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(next(60_000), Some(Transport::Webhook));
    // Acknowledged in time, nothing follows.
    let second = house.page();
    assert_eq!(next(60_000), Some(Transport::Email));
    house.engine.execute(AcknowledgeIncident::new(second), &house.ada).unwrap();
    house.clock.advance(Duration::from_secs(300));
    wait_for("the end", || house.states(second).iter().any(|one| one.1 == DeliveryState::Superseded));
    assert_eq!(next(100), None);
    deliverer.stop().unwrap();
}

/// A defect costs a try; what has no channel is tried again; and after an hour it has failed.
#[test]
fn what_cannot_be_sent() {
    let house = House::new();
    let hook = house.add(ContactAddress::Webhook("https://hooks.example.com/1".parse().unwrap()));
    house.rules(&[(house.built_in(), 0), (hook, 0)]);
    let tries = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tries);
    let mail = told_by(Transport::Email, move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 { panic!("a defect of the channel") } else { Ok(()) }
    });
    let deliverer = Deliverer::start(&house.engine, settings(), vec![mail]).unwrap();
    let incident = house.page();
    wait_for("the first try", || house.states(incident).iter().all(|one| one.2.is_some()));
    house.clock.advance(Duration::from_secs(5));
    wait_for("the mail", || house.states(incident)[0].1 == DeliveryState::Delivered);
    wait_for("the end of the hour", || {
        house.clock.advance(Duration::from_secs(300));
        house.states(incident)[1].1 == DeliveryState::Failed
    });
    let (_, _, why) = &house.states(incident)[1];
    assert!(why.as_ref().unwrap().contains("no channel"), "{why:?}");
    assert!(deliverer.is_running());
    deliverer.stop().unwrap();
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

/// A direct message in Slack, with a button; it changes in its place when somebody acknowledges.
#[test]
fn slack() {
    let house = House::new();
    const FOUND: &str = r#"{"ok":true,"user":{"id":"U1"}}"#;
    const SENT: &str = r#"{"ok":true,"channel":"D1","ts":"1.5"}"#;
    let (address, told) = api(&[
        FOUND,
        SENT, // the code
        r#"{"ok":false,"error":"internal_error"}"#,
        SENT,             // the page
        r#"{"ok":true}"#, // the edit
        r#"{"ok":false,"error":"channel_not_found"}"#,
    ]);
    let channel = Slack::new(Secret::new("xoxb-1"), here()).at(address).with_button();
    assert!(!format!("{channel:?}").contains("xoxb"));
    let deliverer = Deliverer::start(&house.engine, settings(), vec![Box::new(channel)]).unwrap();
    let next = || told.recv_timeout(Duration::from_secs(60)).unwrap();
    let field = |body: &str, name: &str| {
        let mut fields = form_urlencoded::parse(body.as_bytes());
        fields.find(|(field, _)| field == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };

    let add = AddContactMethod::new("Slack".parse().unwrap(), ContactAddress::Slack);
    let id = house.engine.execute(add, &house.ada).unwrap().id;
    let (head, body) = next();
    assert!(head.starts_with("post /users.lookupbyemail ") && head.contains("authorization: bearer xoxb-1"), "{head}");
    assert_eq!(field(&body, "email"), "ada@example.com");
    let (head, body) = next();
    assert!(head.starts_with("post /chat.postmessage "), "{head}");
    let code = field(&body, "text").split(' ').next().unwrap().to_owned();
    let verified = house.engine.execute(VerifyContactMethod::new(id, code), &house.ada).unwrap().unwrap();
    assert_eq!((verified.address, verified.verified), (None, true));
    house.rules(&[(id, 0)]);

    let incident = house.page();
    next();
    wait_for("the refusal", || house.states(incident)[0].2.is_some());
    house.clock.advance(Duration::from_secs(5));
    // Who has the address is known by now.
    let (_, body) = next();
    let blocks: Value = serde_json::from_str(&field(&body, "blocks")).unwrap();
    let buttons = &blocks.as_array().unwrap().last().unwrap()["elements"];
    assert_eq!((&buttons[0]["action_id"], &buttons[1]["action_id"]), (&"acknowledge".into(), &"look".into()));
    let (token, url) = (buttons[0]["value"].as_str().unwrap(), buttons[1]["url"].as_str().unwrap());
    assert_eq!(url, format!("https://oncall.example.com/p/{token}"));
    wait_for("the delivery", || house.states(incident)[0].1 == DeliveryState::Delivered);

    house.engine.execute(AcknowledgeIncident::new(incident), &house.ada).unwrap();
    let (head, body) = next();
    assert!(head.starts_with("post /chat.update "), "{head}");
    assert_eq!((field(&body, "channel"), field(&body, "ts")), ("D1".to_owned(), "1.5".to_owned()));
    let blocks = field(&body, "blocks");
    assert!(blocks.contains("It was acknowledged at") && blocks.contains("look"), "{blocks}");
    assert!(!blocks.contains("\"acknowledge\""), "{blocks}");

    let gone = house.page();
    next();
    wait_for("the end", || house.states(gone)[0].1 == DeliveryState::Failed);
    assert_eq!(house.states(gone)[0].2.as_deref(), Some("Slack says channel_not_found"));
    deliverer.stop().unwrap();
}
