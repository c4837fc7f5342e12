//! The [`Deliverer`]: threads that claim, make messages, hand them to a channel, and settle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dogwatch_store::rules::Timestamp;
use dogwatch_store::rules::link::{MasterKey, PAGE_LINK, PageLink};
use dogwatch_store::rules::outbox::{Message as Content, Notification};
use dogwatch_store::{Delivery, Engine, Envelope, Error, OpenError, Sending};

use crate::channel::{Channel, SendError};
use crate::message::{Invited, Message, Paged, What};

/// How long a few sendings may take together. Each ends by itself long before.
const LEASE: Duration = Duration::from_secs(600);

/// The links that messages carry.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Links {
    /// The key from which links are derived.
    pub key: MasterKey,
    /// Where people reach the server, such as `https://oncall.example.com`, without a slash at its end.
    pub public_url: String,
    /// Whether an incident can be acknowledged with the link in a page, or is only shown there.
    pub acknowledge: bool,
}

impl Links {
    /// Links to a server, with which incidents can be acknowledged.
    #[must_use]
    pub fn new(key: MasterKey, public_url: impl Into<String>) -> Self {
        let public_url = public_url.into().trim_end_matches('/').to_owned();
        Self { key, public_url, acknowledge: true }
    }
}

/// How messages are made and sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The links that messages carry; by default they carry none.
    pub links: Option<Links>,
    /// How many messages are sent at the same time, 4 by default.
    pub workers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { links: None, workers: 4 }
    }
}

impl Settings {
    /// The defaults, with links.
    #[must_use]
    pub fn with_links(links: Links) -> Self {
        Self { links: Some(links), ..Self::default() }
    }
}

/// How many sendings have ended in which way, since the start.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    retried: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// Messages that were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Attempts that failed and are repeated.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.retried.load(Ordering::Relaxed)
    }

    /// Messages that were given up.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Running deliveries. They stop when it is dropped, which waits for what is being sent; what is claimed and not being sent is given
/// back.
#[must_use = "delivery stops when it is dropped"]
#[derive(Debug)]
pub struct Deliverer {
    threads: Vec<Delivery>,
}

impl Deliverer {
    /// Starts threads that send what is in the outbox, until it is stopped or dropped.
    ///
    /// # Errors
    /// [`OpenError::Thread`] when a thread cannot be started.
    pub fn start(engine: &Engine, settings: Settings, channel: impl Channel) -> Result<Self, OpenError> {
        Self::counting(engine, settings, channel, &Arc::default())
    }

    /// As [`Deliverer::start`], with counts that outlive it.
    ///
    /// # Errors
    /// As [`Deliverer::start`].
    pub fn counting(
        engine: &Engine,
        settings: Settings,
        channel: impl Channel,
        counts: &Arc<Counts>,
    ) -> Result<Self, OpenError> {
        let workers = settings.workers.max(1);
        let shared = Arc::new((settings, channel));
        let start = |_| {
            let (shared, clock, counts) = (Arc::clone(&shared), engine.downgrade(), Arc::clone(counts));
            engine.start_delivery(LEASE, move |envelope| {
                // The delivery holds the engine.
                let Some(engine) = clock.upgrade() else { return Sending::Later(Duration::ZERO) };
                let (settings, channel) = &*shared;
                let now = engine.now();
                drop(engine);
                deliver(settings, channel, envelope, now, &counts)
            })
        };
        Ok(Self { threads: (0..workers).map(start).collect::<Result<_, _>>()? })
    }

    /// Whether all threads still run. They end by themselves only when storage fails.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.threads.iter().all(Delivery::is_running)
    }

    /// Stops. What is being sent is finished and settled first.
    ///
    /// # Errors
    /// What made a thread end by itself: storage that failed.
    pub fn stop(self) -> Result<(), Error> {
        self.threads.into_iter().map(Delivery::stop).fold(Ok(()), Result::and)
    }
}

/// Sends one notification, and says what becomes of it.
fn deliver(
    settings: &Settings,
    channel: &impl Channel,
    envelope: &Envelope,
    now: Timestamp,
    counts: &Counts,
) -> Sending {
    let notification = &envelope.notification;
    let (id, kind) = (notification.id, notification.message.kind());
    let attempts = notification.attempts;
    let Some(message) = message(settings, envelope, now) else {
        tracing::error!(%id, %kind, "a notification without anybody to send it to has failed");
        counts.failed.fetch_add(1, Ordering::Relaxed);
        return Sending::Failed { reason: "there is nobody to send it to".to_owned() };
    };
    match channel.send(&message) {
        Ok(()) => {
            counts.sent.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%id, %kind, attempts, "delivered");
            Sending::Sent
        }
        Err(SendError::Temporary { reason, after }) => {
            counts.retried.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%id, %kind, attempts, reason, "not delivered: it is tried again, for an hour after it was due");
            Sending::Again { reason, after }
        }
        Err(SendError::Permanent { reason }) => {
            counts.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%id, %kind, attempts, reason, "not delivered, and not tried again");
            Sending::Failed { reason }
        }
    }
}

/// The message for a notification; `None` when nobody is to be told.
fn message(settings: &Settings, envelope: &Envelope, now: Timestamp) -> Option<Message> {
    let Notification { id, org_id, message, .. } = &envelope.notification;
    let links = settings.links.as_ref();
    let url = |links: &Links, path: &str, token: &str| format!("{}/{path}/{token}", links.public_url);
    let (to, what) = match message {
        Content::Page { incident_id, reason, .. } => {
            let (member, incident) = (envelope.member.as_ref()?, envelope.incident.clone()?);
            let link = PageLink {
                org_id: *org_id,
                incident_id: *incident_id,
                user_id: member.id,
                notification_id: *id,
                expires_at: now.plus(PAGE_LINK),
            };
            let page = links.map(|links| url(links, "p", &link.token(&links.key)));
            let acts = links.is_some_and(|links| links.acknowledge);
            let paged = Paged { incident, reason: *reason, link: page, acts };
            (member.email.clone(), What::Page(Box::new(paged)))
        }
        Content::Invitation { email, token } => {
            let token = token.as_ref()?.reveal().to_owned();
            (email.clone(), What::Invitation(Invited { link: links.map(|links| url(links, "join", &token)), token }))
        }
    };
    let organization = envelope.organization.name.as_str().to_owned();
    Some(Message { id: *id, to, organization, what, now })
}
