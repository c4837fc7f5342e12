//! What must hold of every message in every channel, however odd the texts in it: for the fuzz target `messages`, and for tests.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "what is fuzzed fails by panicking")]

use arbitrary::{Result, Unstructured};
use dogwatch_store::rules::Timestamp;
use dogwatch_store::rules::component::ComponentRef;
use dogwatch_store::rules::id::{AuditEventId, ComponentId, Id, IncidentId, NotificationId, OrgId, UpdateId, UserId};
use dogwatch_store::rules::incident::{
    ActorRef, AuditEvent, Event, IncidentView, Severity, Status, UpdateView, UpdateVisibility,
};
use dogwatch_store::rules::outbox::PageReason;
use dogwatch_store::rules::text::{IncidentDescription, Name, Title, UpdateBody};
use serde_json::Value;

use crate::email::{Sender, html};
use crate::message::{Address, Happened, Message, Paged, What};
use crate::slack::blocks;
use crate::web::{posted, published, signed};

/// Pieces of texts that mean something to some channel.
const ODD: [&str; 24] = [
    "<script>",
    "</b>",
    "&amp;",
    "\"",
    "'",
    "\u{2028}",
    "<!channel>",
    "<@U1>",
    "*",
    "_",
    "`",
    "[x](y)",
    "=?utf-8?q?x?=",
    "\n.\n",
    "\r\nBcc: x@example.com",
    "\t",
    "🦀",
    "é",
    "\u{202e}",
    "日本",
    ": ",
    "%0a",
    "https://example.com/",
    " ",
];

fn text(source: &mut Unstructured<'_>, most: usize) -> Result<String> {
    let mut text = String::new();
    for _ in 0..source.int_in_range(0..=most)? {
        match source.int_in_range(0..=3)? {
            0 => text.push_str(source.choose(&ODD)?),
            1 => text.push(source.arbitrary()?),
            _ => text.push(char::from(source.int_in_range(b' '..=b'~')?)),
        }
    }
    Ok(text)
}

/// A text for a single line, of 100 characters at most.
fn line(source: &mut Unstructured<'_>, most: usize) -> Result<String> {
    Ok(text(source, most)?.chars().filter(|c| !c.is_control()).take(100).collect())
}

fn incident(source: &mut Unstructured<'_>) -> Result<IncidentView> {
    let title = Title::new(line(source, 40)?);
    let repeated = source.int_in_range(1..=200)?;
    let description = text(source, 60)?.repeat(repeated).chars().take(10_000).collect::<String>();
    let component = |source: &mut Unstructured<'_>| {
        let name = Name::new(line(source, 30)?);
        Ok(name.ok().map(|name| ComponentRef { id: ComponentId::from_bytes([7; 16]), name }))
    };
    let mut affected_components = Vec::new();
    for _ in 0..source.int_in_range(0..=5)? {
        affected_components.extend(component(source)?);
    }
    let at = |source: &mut Unstructured<'_>| Ok(Timestamp::clamped(source.int_in_range(0..=4_000_000_000_000_i64)?));
    let maybe = |source: &mut Unstructured<'_>| Ok(if source.arbitrary()? { Some(at(source)?) } else { None });
    Ok(IncidentView {
        id: IncidentId::from_bytes([1; 16]),
        org_id: OrgId::from_bytes([2; 16]),
        sequential_id: source.arbitrary()?,
        title: title.or_else(|_| Title::new("Checkout is down")).map_err(|_| arbitrary::Error::IncorrectFormat)?,
        description: IncidentDescription::new(description).ok(),
        severity: *source.choose(&Severity::ALL)?,
        status: *source.choose(&Status::ALL)?,
        owner_id: None,
        escalation_policy_id: None,
        affected_components,
        acknowledged_at: maybe(source)?,
        acknowledged_by: None,
        current_layer_position: source.arbitrary()?,
        next_escalation_at: maybe(source)?,
        created_by: UserId::from_bytes([3; 16]).into(),
        created_at: at(source)?,
        updated_at: at(source)?,
        resolved_at: maybe(source)?,
    })
}

fn message(source: &mut Unstructured<'_>) -> Result<Message> {
    let incident = incident(source)?;
    let what = if source.arbitrary()? {
        let link = if source.arbitrary()? { Some("https://oncall.example.com/p/token".to_owned()) } else { None };
        let acts = source.arbitrary()?;
        let reason = *source.choose(&PageReason::ALL)?;
        What::Page(Box::new(Paged { incident, reason, link, acts, before: source.arbitrary()? }))
    } else {
        let body = UpdateBody::new(
            text(source, 200)?.repeat(source.int_in_range(1..=300)?).chars().take(10_000).collect::<String>(),
        );
        let (id, visibility) = (UpdateId::from_bytes([4; 16]), UpdateVisibility::Internal);
        let update = UpdateView {
            id,
            incident_id: incident.id,
            body: body.ok(),
            status_change: None,
            visibility,
            posted_by: ActorRef { id: UserId::from_bytes([3; 16]).into(), name: "Ada Byron".to_owned() },
            posted_at: incident.updated_at,
            redacted_at: None,
            redacted_by: None,
        };
        let event = match source.int_in_range(0..=2)? {
            0 => Event::UpdatePosted { update_id: id, visibility },
            1 => Event::ComponentsChanged {
                added: vec![ComponentId::from_bytes([7; 16]); 100],
                removed: vec![ComponentId::from_bytes([8; 16]); 100],
            },
            _ => Event::EscalationExhausted,
        };
        let update = matches!(event, Event::UpdatePosted { .. }).then_some(update);
        let event = AuditEvent { id: AuditEventId::from_bytes([5; 16]), actor_id: None, event };
        What::Event(Box::new(Happened { incident, event, update }))
    };
    let to = "ada@example.com".parse().map_err(|_| arbitrary::Error::IncorrectFormat)?;
    let organization = text(source, 40)?.chars().filter(|c| !c.is_control()).collect();
    let (id, now) =
        (NotificationId::from_bytes([6; 16]), Timestamp::clamped(source.int_in_range(0..=4_000_000_000_000_i64)?));
    Ok(Message { id, to: Address::Email(to), organization, what, now })
}

/// Makes a message of bytes, and what each channel makes of it.
///
/// # Panics
/// When one of them is not what its receiver takes.
pub fn render(bytes: &[u8]) {
    let Ok(message) = message(&mut Unstructured::new(bytes)) else { return };
    check_mail(&message);
    check_html(&html(&message));
    check_slack(&message);
    let json = |body: Vec<u8>| serde_json::from_slice::<Value>(&body).expect("JSON");
    match &message.what {
        What::Page(page) => {
            let body = json(posted(&message).expect("a body"));
            assert_eq!(body["incident"]["title"], page.incident.title.as_str());
            let body = json(published(&message, "on-call").expect("a body"));
            assert!((3..=5).contains(&body["priority"].as_u64().unwrap_or_default()));
        }
        _ => {
            let (_, body) = signed(&message).expect("a body");
            assert!(body.len() < 20_000, "{} bytes", body.len());
            assert_eq!(json(body)["data"]["event"]["id"], "05050505-0505-0505-0505-050505050505");
        }
    }
}

/// The headers that a mail may have.
const HEADERS: [&str; 12] = [
    "from",
    "to",
    "date",
    "subject",
    "message-id",
    "auto-submitted",
    "x-auto-response-suppress",
    "references",
    "in-reply-to",
    "importance",
    "mime-version",
    "content-type",
];

/// No text becomes a header, no line is too long, and nothing ends the mail early.
fn check_mail(message: &Message) {
    let from: Sender = "On call <oncall@example.com>".parse().expect("a sender");
    let mail = from.mail(message).expect("a mail").formatted();
    let mail = String::from_utf8(mail).expect("ASCII");
    assert!(mail.is_ascii());
    for line in mail.split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{line:?}");
    }
    let (head, _) = mail.split_once("\r\n\r\n").expect("a body");
    let mut seen = Vec::new();
    for line in head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])) {
        let name = line.split(':').next().unwrap_or_default().to_lowercase();
        assert!(HEADERS.contains(&name.as_str()) && !seen.contains(&name), "{name:?} in {head:?}");
        seen.push(name);
    }
}

/// Only our own tags are there, and they are balanced.
fn check_html(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    for tag in html.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "{text:?}");
        let name = tag.split(' ').next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None => {
                let known =
                    ["html", "head", "meta", "title", "body", "h1", "table", "tr", "td", "p", "a", "br", "!DOCTYPE"];
                assert!(known.contains(&name), "{name:?}");
                if !["meta", "br", "!DOCTYPE"].contains(&name) {
                    open.push(name);
                }
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Slack's limits, and nothing but plain text.
fn check_slack(message: &Message) {
    let blocks = blocks(message, true);
    assert!(blocks.len() <= 50);
    let length = |text: &Value| {
        assert_eq!(text["type"], "plain_text", "{text}");
        text["text"].as_str().expect("a text").chars().count()
    };
    for block in &blocks {
        match block["type"].as_str() {
            Some("header") => assert!((1..=150).contains(&length(&block["text"]))),
            Some("section") => match block["fields"].as_array() {
                Some(fields) => assert!(fields.len() <= 10 && fields.iter().all(|field| length(field) <= 2_000)),
                None => assert!((1..=3_000).contains(&length(&block["text"]))),
            },
            Some("actions") => {
                assert!(block["elements"].as_array().is_some_and(|buttons| (1..=2).contains(&buttons.len())));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn every_message_is_what_its_receivers_take(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            super::render(&bytes);
        }
    }
}
