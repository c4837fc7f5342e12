//! Contact methods and notification rules: how a member is told of a page (contract, section 9).
//!
//! Every member has a built-in contact method, their own e-mail address; its id is that of the member in another form
//! ([`built_in`]). Others are added by the member ([`AddContactMethod`]) and get a code of six digits, with which they are verified
//! ([`VerifyContactMethod`]); until then they get nothing else. [`SetNotificationRules`] says which of them is told how many minutes
//! after a page; without rules it is the built-in one, at once.
//!
//! A page becomes one notification for each rule: [`crate::outbox`].

mod commands;
mod model;
mod port;
mod query;
mod rules;

pub use commands::{
    AddContactMethod, RemoveContactMethod, RenameContactMethod, TestContactMethod, VerifyContactMethod,
};
pub use model::{
    ContactAddress, ContactMethod, ContactMethodKind, ContactSettings, NotificationRule, PendingCode, built_in,
};
pub use port::ContactPort;
pub use query::{ContactMethodView, ListContactMethods};
pub use rules::{GetNotificationRules, NotificationRules, SetNotificationRules};

pub(crate) use commands::leave_contacts;
pub(crate) use rules::{Way, deliveries};
