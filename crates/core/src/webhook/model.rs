//! The entity: a webhook of an organization.

use crate::id::{OrgId, UserId, WebhookId};
use crate::incident::EventName;
use crate::outbox::Recipient;
use crate::text::{HttpUrl, Name};
use crate::time::Timestamp;
use crate::validation::Problem;

/// Which events a webhook wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookEvents {
    /// Every event, also those that come with later versions: `["*"]`.
    All,
    /// Those with these names, at least one, none twice.
    Some(Vec<EventName>),
}

impl WebhookEvents {
    /// What stands for every event.
    pub const ALL: &'static str = "*";

    /// The events with these names, or all with `"*"` alone.
    ///
    /// # Errors
    /// A [`Problem`] of `events`: none, one twice, or one that there is not.
    pub fn new<T: AsRef<str>>(names: &[T]) -> Result<Self, Problem> {
        let wrong = |what| Err(Problem::new("events", what));
        if let [only] = names
            && only.as_ref() == Self::ALL
        {
            return Ok(Self::All);
        }
        // A list that is much too long is not even looked at.
        if names.is_empty() || names.len() > 2 * EventName::ALL.len() {
            return wrong("must be names of audit events, or `*` alone");
        }
        let mut events: Vec<EventName> = Vec::new();
        for name in names {
            let Ok(event) = name.as_ref().parse() else {
                return wrong("must be names of audit events, or `*` alone");
            };
            if events.contains(&event) {
                return wrong("must not name an event twice");
            }
            events.push(event);
        }
        Ok(Self::Some(events))
    }

    /// Whether an event is among them.
    #[must_use]
    pub fn want(&self, event: EventName) -> bool {
        match self {
            Self::All => true,
            Self::Some(events) => events.contains(&event),
        }
    }

    /// The names, in the order given; `*` for all.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        match self {
            Self::All => vec![Self::ALL],
            Self::Some(events) => events.iter().map(|event| event.as_str()).collect(),
        }
    }
}

/// The URL of an endpoint: `https`, at most 2,000 characters, without user and fragment.
///
/// # Errors
/// A [`Problem`] that says what is wrong without repeating the URL.
pub fn endpoint_url(text: &str) -> Result<HttpUrl, Problem> {
    let url = HttpUrl::new(text)?;
    url.need_https("url")?;
    Ok(url)
}

/// Since when nothing is sent to a webhook, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    /// When it was disabled.
    pub at: Timestamp,
    /// Why: at most 100 characters.
    pub reason: String,
}

/// The secret before the present one, which signs, too, for a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// When the present one replaced it.
    pub at: Timestamp,
    /// Its generation.
    pub generation: u32,
}

/// A webhook of an organization, as it is stored. Its secret is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The webhook's id.
    pub id: WebhookId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its name: 1–100 characters; several may have the same.
    pub name: Name,
    /// Where it leads; it begins with `https://`.
    pub url: HttpUrl,
    /// The events that it wants.
    pub events: WebhookEvents,
    /// Whether the text of internal updates is sent, too.
    pub include_internal: bool,
    /// The admin who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// The generation of its secret: how often that was rotated.
    pub generation: u32,
    /// The secret before this one; `None` when it was never rotated.
    pub rotated: Option<Rotated>,
    /// When a test was last sent to it.
    pub tested_at: Option<Timestamp>,
    /// Since when nothing is sent to it; `None` while it is enabled.
    pub disabled: Option<Disabled>,
    /// The number of the last notification that waited when it was enabled again: events up to there are not sent.
    pub skip_through: u64,
}

impl Webhook {
    /// The recipient of what is sent to it.
    #[must_use]
    pub const fn recipient(&self) -> Recipient {
        Recipient::Webhook(self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        let unknown = "must be names of audit events, or `*` alone";
        let many = vec!["incident_created"; 100];
        for (names, expected) in [
            (&["*"][..], Ok(&["*"][..])),
            (&["incident_created"], Ok(&["incident_created"])),
            (&["page_failed", "incident_created"], Ok(&["page_failed", "incident_created"])),
            (&[], Err(unknown)),
            (&["*", "incident_created"], Err(unknown)),
            (&["incident_closed"], Err(unknown)),
            (&["Incident_Created"], Err(unknown)),
            (&["incident_created", "incident_created"], Err("must not name an event twice")),
            (&many, Err(unknown)),
        ] {
            let made = WebhookEvents::new(names);
            assert_eq!(made.as_ref().map(WebhookEvents::names).map_err(Problem::what), expected.map(<[_]>::to_vec));
        }
        let some = WebhookEvents::new(&["page_failed"]).unwrap();
        assert!(some.want(EventName::PageFailed) && !some.want(EventName::PageDelivered));
        assert!(EventName::ALL.into_iter().all(|event| WebhookEvents::All.want(event)));
    }

    #[test]
    fn endpoints() {
        assert!(endpoint_url("https://example.com/hook?key=a").is_ok());
        assert!(endpoint_url("http://example.com/hook").is_err());
        assert!(endpoint_url("https://user@example.com/").is_err());
    }
}
