//! The entities: contact methods, and the settings of a member.

use crate::id::{ContactMethodId, Id, OrgId, UserId};
use crate::outbox::Recipient;
use crate::secret::SecretHash;
use crate::text::{EmailAddress, HttpUrl, Name};
use crate::time::Timestamp;
use crate::validation::Problem;
use crate::words::words;

words! {
    /// The kind of a contact method.
    ContactMethodKind, "kind of contact method", "must be `email`, `webhook`, `ntfy` or `slack`" {
        /// `email`: mail to an address.
        Email = "email",
        /// `webhook`: a request to a URL.
        Webhook = "webhook",
        /// `ntfy`: a message to a topic of an ntfy server.
        Ntfy = "ntfy",
        /// `slack`: a direct message in the operator's Slack workspace.
        Slack = "slack",
    }
}

/// Where a contact method leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContactAddress {
    /// Mail to an address.
    Email(EmailAddress),
    /// A request to a URL, which begins with `https://`.
    Webhook(HttpUrl),
    /// A message to a topic of an ntfy server: the server's URL, and the topic as its path.
    Ntfy(HttpUrl),
    /// A direct message in Slack: the member is found there by their e-mail address.
    Slack,
}

impl ContactAddress {
    /// An address of a kind, if it is one: a webhook begins with `https://`, ntfy has a topic in its path, and no query, and
    /// Slack has none: it is empty.
    ///
    /// # Errors
    /// A [`Problem`] that says what is wrong without repeating the address.
    pub fn new(kind: ContactMethodKind, text: impl AsRef<str>) -> Result<Self, Problem> {
        let address = Self::stored(kind, text)?;
        address.check()?;
        Ok(address)
    }

    /// The address of a kind that somebody has given, or has left out, as for Slack.
    ///
    /// # Errors
    /// As [`ContactAddress::new`]; for Slack whatever was given, also an empty text.
    pub fn given(kind: ContactMethodKind, text: Option<&str>) -> Result<Self, Problem> {
        match (kind, text) {
            (ContactMethodKind::Slack, Some(_)) => Err(slack_has_none()),
            (_, text) => Self::new(kind, text.unwrap_or_default()),
        }
    }

    /// An address that was stored, whatever would be refused today.
    ///
    /// # Errors
    /// A [`Problem`] when it is no e-mail address or URL at all.
    pub fn stored(kind: ContactMethodKind, text: impl AsRef<str>) -> Result<Self, Problem> {
        Ok(match kind {
            ContactMethodKind::Email => Self::Email(EmailAddress::new(text)?),
            ContactMethodKind::Webhook => Self::Webhook(HttpUrl::new(text)?),
            ContactMethodKind::Ntfy => Self::Ntfy(HttpUrl::new(text)?),
            ContactMethodKind::Slack if text.as_ref().is_empty() => Self::Slack,
            ContactMethodKind::Slack => return Err(slack_has_none()),
        })
    }

    /// Refuses a URL that does not do for its kind.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let wrong = |what| Err(Problem::new("address", what));
        match self {
            Self::Webhook(url) => url.need_https("address"),
            Self::Ntfy(url) if !url.has_path() || url.as_str().contains('?') => {
                wrong("must name a topic in its path, and have no query")
            }
            Self::Email(_) | Self::Ntfy(_) | Self::Slack => Ok(()),
        }
    }

    /// The kind of a contact method with this address.
    #[must_use]
    pub const fn kind(&self) -> ContactMethodKind {
        match self {
            Self::Email(_) => ContactMethodKind::Email,
            Self::Webhook(_) => ContactMethodKind::Webhook,
            Self::Ntfy(_) => ContactMethodKind::Ntfy,
            Self::Slack => ContactMethodKind::Slack,
        }
    }

    /// The address as text; empty where there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(address) => address.as_str(),
            Self::Webhook(url) | Self::Ntfy(url) => url.as_str(),
            Self::Slack => "",
        }
    }
}

fn slack_has_none() -> Problem {
    Problem::new("address", "must be left out: a member is found in Slack by e-mail")
}

/// The code with which a contact method is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingCode {
    /// The SHA-256 of the method's id and the code.
    pub hash: SecretHash,
    /// The first instant at which it is not valid any more.
    pub expires_at: Timestamp,
    /// How often a code may still be tried.
    pub tries: u8,
}

/// A contact method that a member has added. The built-in one is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactMethod {
    /// The method's id.
    pub id: ContactMethodId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The member whom it reaches.
    pub user_id: UserId,
    /// The name that the member gave it: 1–100 characters; several may have the same.
    pub name: Name,
    /// Where it leads.
    pub address: ContactAddress,
    /// When it was added.
    pub created_at: Timestamp,
    /// The code with which it is verified; `None` once it is.
    pub code: Option<PendingCode>,
    /// When a test was last sent to it.
    pub tested_at: Option<Timestamp>,
}

impl ContactMethod {
    /// The recipient of what goes over it.
    #[must_use]
    pub const fn recipient(&self) -> Recipient {
        Recipient::Method { user: self.user_id, method: self.id, kind: self.address.kind() }
    }

    /// Whether the member has shown that it reaches them.
    #[must_use]
    pub const fn is_verified(&self) -> bool {
        self.code.is_none()
    }
}

/// When a contact method is told of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct NotificationRule {
    /// The contact method.
    pub contact_method_id: ContactMethodId,
    /// How many minutes after the page, 0–1,440.
    pub delay_minutes: u16,
}

/// What a member has set about how they are told. One who has set nothing has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactSettings {
    /// The organization.
    pub org_id: OrgId,
    /// The member.
    pub user_id: UserId,
    /// Their notification rules, at most 20; without any, the built-in method is told at once.
    pub rules: Vec<NotificationRule>,
    /// When a test was last sent to the built-in contact method.
    pub tested_at: Option<Timestamp>,
    /// When the last codes were sent, oldest first, at most 10.
    pub codes_at: Vec<Timestamp>,
}

impl ContactSettings {
    /// Those of a member who has set nothing.
    #[must_use]
    pub const fn none(org_id: OrgId, user_id: UserId) -> Self {
        Self { org_id, user_id, rules: Vec::new(), tested_at: None, codes_at: Vec::new() }
    }

    /// Whether they say nothing, so that they need not be kept.
    pub(super) const fn says_nothing(&self) -> bool {
        self.rules.is_empty() && self.tested_at.is_none() && self.codes_at.is_empty()
    }
}

/// The id of a member's built-in contact method.
#[must_use]
pub fn built_in(user: UserId) -> ContactMethodId {
    ContactMethodId::from_bytes(user.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let (https, topic) = ("must begin with `https://`", "must name a topic in its path, and have no query");
        for (kind, text, expected) in [
            (ContactMethodKind::Email, "ada@example.com", Ok(())),
            (ContactMethodKind::Webhook, "https://hooks.example.com/?key=a", Ok(())),
            (ContactMethodKind::Webhook, "http://hooks.example.com/on-call", Err(https)),
            (ContactMethodKind::Ntfy, "http://ntfy.example.com/on-call", Ok(())),
            (ContactMethodKind::Ntfy, "https://ntfy.example.com/", Err(topic)),
            (ContactMethodKind::Ntfy, "https://ntfy.example.com", Err(topic)),
            (ContactMethodKind::Ntfy, "https://ntfy.example.com/on-call?auth=a", Err(topic)),
            (ContactMethodKind::Slack, "", Ok(())),
        ] {
            let made = ContactAddress::new(kind, text);
            assert_eq!(made.as_ref().map(|_| ()).map_err(Problem::what), expected, "{text}");
            let stored = ContactAddress::stored(kind, text).unwrap();
            assert_eq!((stored.kind(), stored.as_str()), (kind, text));
        }
        for kind in ContactMethodKind::ALL {
            assert!(ContactAddress::stored(kind, "on call").is_err(), "{kind}");
        }
    }
}
