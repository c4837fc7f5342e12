//! What a sender of messages is ([`Channel`]), and how it fails ([`SendError`]).

use std::time::Duration;

use dogwatch_store::rules::outbox::Transport;

use crate::message::Message;

/// Sends messages to people, in one way.
///
/// It is called by several threads at once, blocks while it sends, and must end by itself: see [`Channel::longest`]. What it has sent and
/// could not say so is sent again, so it passes on [`Message::id`], which is the same on every try.
pub trait Channel: Send + Sync + 'static {
    /// What it serves: a kind of contact method, or the webhooks of organizations.
    fn transport(&self) -> Transport;

    /// How long sending a message may take at most, a minute by default. What hangs is sent again after about twice that.
    fn longest(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`SendError::Temporary`] when another try may do better, [`SendError::Permanent`] when none can.
    fn send(&self, message: &Message) -> Result<(), SendError>;

    /// Sends a message, and gives what the channel finds it by, if it can change what it has sent: at most 200 bytes. For a page, it gets
    /// a message [`What::Edit`](crate::What::Edit) when something becomes of the incident. By default nothing can be changed.
    ///
    /// # Errors
    /// As [`Channel::send`].
    fn send_editable(&self, message: &Message) -> Result<Option<String>, SendError> {
        self.send(message).map(|()| None)
    }
}

impl Channel for Box<dyn Channel> {
    fn transport(&self) -> Transport {
        (**self).transport()
    }

    fn longest(&self) -> Duration {
        (**self).longest()
    }

    fn send(&self, message: &Message) -> Result<(), SendError> {
        (**self).send(message)
    }

    fn send_editable(&self, message: &Message) -> Result<Option<String>, SendError> {
        (**self).send_editable(message)
    }
}

/// Why a message was not sent. The text is for the operator: it names no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Another try may do better: no connection, a time-out, a server that is busy.
    #[error("{reason}")]
    Temporary {
        /// What went wrong.
        reason: String,
        /// How long the other side asks to wait, if it does.
        after: Option<Duration>,
    },
    /// No try can do better: the address is refused.
    #[error("{reason}")]
    Permanent {
        /// What is wrong.
        reason: String,
    },
}

impl SendError {
    /// A failure after which another try may do better.
    #[must_use]
    pub fn temporary(reason: impl Into<String>) -> Self {
        Self::Temporary { reason: reason.into(), after: None }
    }

    /// The same as a failure for now, where somebody may mend what is for good elsewhere.
    #[cfg(feature = "web")]
    pub(crate) fn for_now(self) -> Self {
        match self {
            Self::Permanent { reason } => Self::temporary(reason),
            temporary @ Self::Temporary { .. } => temporary,
        }
    }

    /// A failure for good.
    #[must_use]
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent { reason: reason.into() }
    }
}
