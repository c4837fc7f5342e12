//! What happens to an integration in a step: what was sent to it and how its admins changed it, each with what was answered.

use dogwatch_core::Timestamp;
use dogwatch_core::integration::{Alert, EditIntegration, Received};
use dogwatch_core::text::TopicArn;

/// What a monitor sent at once.
#[derive(Debug, Clone)]
pub enum Sent {
    /// Alerts: all of them arrive, or none.
    Alerts(Vec<Alert>),
    /// A sign of life.
    Beat,
    /// The confirmation of a topic.
    Confirm(TopicArn),
    /// A message from a topic, which tells of an alarm or of something else.
    FromTopic(TopicArn, Option<Alert>),
}

/// What a monitor was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// No integration has the token.
    Refused,
    /// What became of each alert, or of the beat.
    Received(Vec<Received>),
    /// Whether the topic is the one that may report.
    Confirmed(bool),
    /// The topic is not the one that may report.
    Foreign,
}

/// Which token was presented: the number of the rotation that has made it; 0 is the first.
pub type Token = u32;

/// A report and what was answered.
#[derive(Debug, Clone)]
pub struct Post {
    /// What was sent.
    pub sent: Sent,
    /// The token that was presented.
    pub token: Token,
    /// When.
    pub at: Timestamp,
    /// What was answered; `None` when the answer was lost.
    pub reply: Option<Reply>,
}

/// What an admin does to an integration.
#[derive(Debug, Clone)]
pub enum Change {
    /// Other settings.
    Edit(Box<EditIntegration>),
    /// A new token, with this number.
    Rotate(Token),
    /// It goes.
    Delete,
}

/// A change, and whether it was done; `None` when the answer was lost.
pub(super) type Changed = (Change, Option<bool>);
