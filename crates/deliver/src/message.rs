//! What a message says. Every channel takes the words from here, so that a mail and a chat cannot disagree.

use std::fmt::Write;

use dogwatch_store::rules::Timestamp;
use dogwatch_store::rules::id::{Id, NotificationId, WebhookId};
use dogwatch_store::rules::incident::{AuditEvent, IncidentView, UpdateView};
use dogwatch_store::rules::outbox::PageReason;
use dogwatch_store::rules::text::{EmailAddress, HttpUrl, Name};
use dogwatch_store::rules::webhook::WebhookSecret;

/// A message to one person, or to a webhook of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The id of the notification: the same on every try.
    pub id: NotificationId,
    /// Where it goes.
    pub to: Address,
    /// The name of the organization.
    pub organization: String,
    /// What it is about.
    pub what: What,
    /// The instant at which it is sent.
    pub now: Timestamp,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// By mail.
    Email(EmailAddress),
    /// To a URL.
    Webhook(HttpUrl),
    /// To a topic of an ntfy server: the server's URL, and the topic as its path.
    Ntfy(HttpUrl),
    /// By direct message in Slack, to whoever has this e-mail address there.
    Slack(EmailAddress),
    /// To a webhook of the organization.
    Endpoint {
        /// Where it leads.
        url: HttpUrl,
        /// The secrets with which it is signed: each makes a signature.
        secrets: Vec<WebhookSecret>,
    },
}

/// What a message is about.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// An incident: look at it, now.
    Page(Box<Paged>),
    /// An invitation to the organization.
    Invitation(Invited),
    /// The code with which the contact method is verified.
    Code(String),
    /// Nothing: the contact method, or the webhook, works.
    Test,
    /// What happened to an incident: for a webhook of the organization.
    Event(Box<Happened>),
    /// A webhook of the organization was disabled: for its admins.
    WebhookDisabled(DisabledWebhook),
    /// What has become of the incident of a page, which was sent as this: see [`Channel::send_editable`](crate::Channel::send_editable).
    Edit(Box<Paged>, String),
}

impl std::fmt::Debug for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Page(page) => f.debug_tuple("Page").field(page).finish(),
            Self::Invitation(invited) => f.debug_tuple("Invitation").field(invited).finish(),
            Self::Code(_) => f.write_str("Code(…)"),
            Self::Test => f.write_str("Test"),
            Self::Event(happened) => f.debug_tuple("Event").field(happened).finish(),
            Self::Edit(page, sent_as) => f.debug_tuple("Edit").field(page).field(sent_as).finish(),
            Self::WebhookDisabled(disabled) => f.debug_tuple("WebhookDisabled").field(disabled).finish(),
        }
    }
}

/// The incident of a page.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Paged {
    /// The incident, as it is now.
    pub incident: IncidentView,
    /// Why this person is paged.
    pub reason: PageReason,
    /// The link to a page that shows the incident; `None` when the server has no public address.
    pub link: Option<String>,
    /// Whether the incident can be acknowledged there.
    pub acts: bool,
    /// Whether this is a page that was sent before, and what has become of its incident is told.
    pub before: bool,
}

/// The link is a secret, and is not shown.
impl std::fmt::Debug for Paged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { incident, reason, link, acts, before } = self;
        let link = link.as_ref().map(|_| "…");
        let mut shown = f.debug_struct("Paged");
        shown
            .field("incident", incident)
            .field("reason", reason)
            .field("link", &link)
            .field("acts", acts)
            .field("before", before)
            .finish()
    }
}

/// What happened to an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Happened {
    /// The incident, as it is now.
    pub incident: IncidentView,
    /// What happened.
    pub event: AuditEvent,
    /// The update that the event tells of, as it is now; the text of an internal one only where that is wanted.
    pub update: Option<UpdateView>,
}

/// A webhook that was disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DisabledWebhook {
    /// The webhook's id.
    pub id: WebhookId,
    /// Its name when it was disabled.
    pub name: Name,
    /// Why.
    pub reason: String,
}

/// An invitation.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invited {
    /// The link with which it is accepted; `None` when the server has no public address.
    pub link: Option<String>,
    /// The token that accepts it.
    pub token: String,
}

impl std::fmt::Debug for Invited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Invited(…)")
    }
}

/// A stretch of time for people, in its largest fitting unit.
fn long(from: Timestamp, to: Timestamp) -> String {
    // To the nearest minute: what was sent a moment after its page is five minutes before a timeout of five minutes.
    let minutes = to.since(from).as_secs().saturating_add(30) / 60;
    let (count, unit) = match minutes {
        0 => return "less than a minute".to_owned(),
        1..=119 => (minutes, "minute"),
        120..=2_879 => (minutes / 60, "hour"),
        _ => (minutes / (24 * 60), "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// A text in parts, which channels set as they can.
pub(crate) struct Parts {
    /// Names and values.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// Sentences.
    pub(crate) said: Vec<String>,
    /// What is written on the link, and where it leads.
    pub(crate) link: Option<(&'static str, String)>,
}

impl Message {
    /// A message to try out a channel, which is in no outbox.
    #[must_use]
    pub fn test(to: Address, organization: impl Into<String>, now: Timestamp) -> Self {
        // An id begins with the instant, so that two tests are not taken for one message.
        let id = NotificationId::from_bytes((u128::from(now.as_millis().unsigned_abs()) << 80).to_be_bytes());
        Self { id, to, organization: organization.into(), what: What::Test, now }
    }

    /// One line that says what it is about. That of a page is the same for all pages of an incident.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.what {
            What::Page(page) | What::Edit(page, _) => {
                format!("[#{}] {}", page.incident.sequential_id, page.incident.title)
            }
            What::Invitation(_) => format!("You are invited to {}", self.organization),
            What::Code(code) => format!("{code} is your code for {}", self.organization),
            What::Test => format!("A test from {}", self.organization),
            What::Event(it) => {
                format!("[#{}] {}: {}", it.incident.sequential_id, it.incident.title, it.event.event.name())
            }
            What::WebhookDisabled(it) => format!("The webhook {} of {} was disabled", it.name, self.organization),
        }
    }

    /// The link that it carries.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        match &self.what {
            What::Page(page) | What::Edit(page, _) => page.link.as_deref(),
            What::Invitation(invited) => invited.link.as_deref(),
            What::Code(_) | What::Test | What::Event(_) | What::WebhookDisabled(_) => None,
        }
    }

    /// A few lines, for where the subject and the link stand elsewhere.
    #[must_use]
    pub fn short(&self) -> String {
        let Parts { facts, said, .. } = self.parts();
        let facts = facts.into_iter().take(2).map(|(_, value)| value).collect::<Vec<_>>().join(", ");
        let said = said.into_iter().take(2).collect::<Vec<_>>().join(" ");
        if facts.is_empty() { said } else { format!("{facts}\n{said}") }
    }

    /// The whole message as plain text, with lines that end with a line feed.
    #[must_use]
    pub fn text(&self) -> String {
        let Parts { facts, said, link } = self.parts();
        let mut text = format!("{}\n\n", self.subject());
        // Each sentence has an empty line in front of it.
        if facts.is_empty() {
            text.truncate(text.len().saturating_sub(1));
        }
        for (name, value) in facts {
            let _ = writeln!(text, "{:<10} {value}", format!("{name}:"));
        }
        for sentence in said {
            let _ = write!(text, "\n{sentence}\n");
        }
        if let Some((label, link)) = link {
            let _ = write!(text, "\n{label}:\n{link}\n");
        }
        text
    }

    pub(crate) fn parts(&self) -> Parts {
        match &self.what {
            What::Page(page) | What::Edit(page, _) => self.page(page),
            What::Invitation(invited) => {
                let hold = "Whoever has this message can join in your name: do not pass it on.";
                let mut said = vec![format!("{} uses dogwatch for its incidents and invites you.", self.organization)];
                if invited.link.is_none() {
                    said.push(format!("Accept with this token: {}", invited.token));
                }
                said.push(hold.to_owned());
                Parts { facts: Vec::new(), said, link: invited.link.clone().map(|link| ("Join", link)) }
            }
            What::Code(code) => {
                let said = vec![
                    format!("Verify this contact method with the code {code}. It is valid for ten minutes."),
                    "If you do not know what this is about, do nothing: you will hear no more.".to_owned(),
                ];
                Parts { facts: Vec::new(), said, link: None }
            }
            What::Test => {
                let said = vec!["This contact method works: pages will reach you here.".to_owned()];
                Parts { facts: Vec::new(), said, link: None }
            }
            What::Event(it) => {
                let facts = vec![("Event", it.event.event.name().to_string()), ("At", it.event.at().minute())];
                Parts { facts, said: Vec::new(), link: None }
            }
            What::WebhookDisabled(it) => {
                let facts = vec![("Webhook", it.id.to_string()), ("Why", it.reason.clone())];
                let said = vec![
                    "What happens to incidents is not sent to it any more, and what waited for it will not be."
                        .to_owned(),
                    "When its receiver works again, an admin can enable it: POST /v1/webhooks/{id}/enable.".to_owned(),
                ];
                Parts { facts, said, link: None }
            }
        }
    }

    fn page(&self, page: &Paged) -> Parts {
        let incident = &page.incident;
        let opened = format!("{} ({} ago)", incident.created_at.minute(), long(incident.created_at, self.now));
        let mut facts = vec![
            ("Severity", incident.severity.to_string()),
            ("Status", incident.status.to_string()),
            ("Opened", opened),
        ];
        if !incident.affected_components.is_empty() {
            let names: Vec<_> = incident.affected_components.iter().map(|one| one.name.as_str()).collect();
            facts.push(("Affects", names.join(", ")));
        }
        facts.push(("For", self.organization.clone()));
        let why = match (page.reason, incident.current_layer_position) {
            (PageReason::Handoff, _) => "You are paged because the incident was handed to you.".to_owned(),
            (PageReason::Escalation, Some(layer)) => {
                format!("You are paged by layer {layer} of the escalation policy.")
            }
            (PageReason::Escalation, None) => "You are paged by the escalation policy.".to_owned(),
        };
        let next = match (incident.resolved_at, incident.acknowledged_at, incident.next_escalation_at) {
            (Some(at), ..) => format!("It was resolved at {}.", at.minute()),
            (_, Some(at), _) => format!("It was acknowledged at {}.", at.minute()),
            _ if page.before => "It was handed off since: somebody else may have it now.".to_owned(),
            (_, _, Some(at)) if self.now < at => {
                let (at, wait) = (at.minute(), long(self.now, at));
                format!(
                    "Nobody has acknowledged it. If nobody does by {at}, in {wait}, the next layer is paged, if there is one."
                )
            }
            (_, _, Some(_)) => "Nobody has acknowledged it, and its time is up.".to_owned(),
            _ => "Nobody has acknowledged it, and nobody else will be paged.".to_owned(),
        };
        let mut said = vec![why, next];
        said.extend(incident.description.as_ref().map(|text| text.as_str().to_owned()));
        let label = if page.acts { "Look at it and acknowledge" } else { "Look at it" };
        Parts { facts, said, link: page.link.clone().map(|link| (label, link)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_of_time() {
        let from = Timestamp::from_millis(0).unwrap();
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000).unwrap();
        for (seconds, expected) in [
            (0, "less than a minute"),
            (29, "less than a minute"),
            (30, "1 minute"),
            (60, "1 minute"),
            (4 * 60 + 59, "5 minutes"),
            (119 * 60, "119 minutes"),
            (120 * 60, "2 hours"),
            (47 * 3_600, "47 hours"),
            (48 * 3_600, "2 days"),
            (900 * 86_400, "900 days"),
        ] {
            assert_eq!(long(from, at(seconds)), expected, "{seconds}");
        }
        assert_eq!(long(at(60), from), "less than a minute");
        assert_eq!(at(60).minute(), "1970-01-01 00:01 UTC");
    }
}
