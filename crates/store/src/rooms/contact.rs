//! The stored form of contact methods.

use dogwatch_core::contact::ContactMethodKind;

pub(crate) const fn kind_byte(kind: ContactMethodKind) -> u8 {
    match kind {
        ContactMethodKind::Email => 1,
        ContactMethodKind::Webhook => 2,
        ContactMethodKind::Ntfy => 3,
        ContactMethodKind::Slack => 4,
    }
}
