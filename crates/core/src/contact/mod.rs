//! Contact methods: the ways in which a member is told of a page (contract, section 9).
//!
//! Every member has a built-in one, their own e-mail address. Its id is that of the member in another form ([`built_in`]).

use crate::id::{ContactMethodId, Id, UserId};
use crate::words::words;

words! {
    /// The kind of a contact method.
    ContactMethodKind, "kind of contact method", "must be `email`, `webhook`, `ntfy` or `slack`" {
        /// `email`: mail to an address.
        Email = "email",
        /// `webhook`: a signed request to a URL.
        Webhook = "webhook",
        /// `ntfy`: a message to a topic of an ntfy server.
        Ntfy = "ntfy",
        /// `slack`: a direct message.
        Slack = "slack",
    }
}

/// The id of a member's built-in contact method.
#[must_use]
pub fn built_in(user: UserId) -> ContactMethodId {
    ContactMethodId::from_bytes(user.to_bytes())
}
