//! The [`Deliverer`]: a thread that claims, and for each channel a few that make messages, send them and settle. No more is claimed for a
//! channel than one message for each of its threads, and one more that is at hand when it is done. One more thread makes the claims
//! longer of what takes long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dogwatch_store::rules::Timestamp;
use dogwatch_store::rules::contact::ContactAddress;
use dogwatch_store::rules::incident::UpdateVisibility;
use dogwatch_store::rules::link::{MasterKey, PAGE_LINK, PageLink};
use dogwatch_store::rules::outbox::{Message as Content, Notification, Recipient, Retried, Transport};
use dogwatch_store::{Engine, Envelope, Error, OpenError, Wanted};

use crate::channel::{Channel, SendError};
use crate::held::Held;
use crate::message::{Address, DisabledWebhook, Happened, Invited, Message, Paged, What};
use crate::slots::Slots;

/// The most notifications that are claimed at once over a transport without a channel.
const AT_ONCE: usize = 32;
/// The longest wait before the outbox and the wish to stop are looked at again.
const LOOK: Duration = Duration::from_millis(500);
/// The wait after a claim that gave nothing; it doubles up to [`LOOK`].
const PAUSE: Duration = Duration::from_millis(20);
/// How much longer a message is held at most than it may take, and the one before it.
const SPARE: Duration = Duration::from_secs(30);
/// A claim is made longer when this part of its lease has passed.
const PART: u32 = 4;

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
    /// How many messages each channel sends at the same time, 4 by default.
    pub workers: usize,
    /// The key from which the secrets of webhooks are derived; by default that of the links. Without one, no webhook of an organization is
    /// told anything.
    pub key: Option<MasterKey>,
    /// What is left waiting when it goes over one of these transports and there is no channel for that: one may come later. By default
    /// nothing is: it is tried again and fails in the end, a page after an hour.
    pub leave: Vec<Transport>,
    /// How long what is being sent when the program is killed is held before somebody sends it again, and what is behind it: 20 s by
    /// default, and at least a second. While the program runs, what it sends is held for as long as that takes.
    pub lease: Duration,
}

impl Settings {
    fn lease(&self) -> Duration {
        self.lease.max(Duration::from_secs(1))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { links: None, workers: 4, key: None, leave: Vec::new(), lease: Duration::from_secs(20) }
    }
}

impl Settings {
    /// The defaults, with links.
    #[must_use]
    pub fn with_links(links: Links) -> Self {
        Self { key: Some(links.key.clone()), links: Some(links), ..Self::default() }
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
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<(), Error>>>,
}

/// What all threads share.
struct Shared {
    engine: Engine,
    settings: Settings,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    slots: Slots,
    held: Held,
}

/// A channel's threads, as the thread that claims sees them.
struct Desk {
    transport: Transport,
    /// How long a message is held at most.
    most: Duration,
    queue: SyncSender<Notification>,
}

impl Deliverer {
    /// Starts threads that send what is in the outbox, until it is stopped or dropped. What goes over a transport that has
    /// no channel here is tried again, and fails after an hour, unless [`Settings::leave`] says otherwise.
    ///
    /// # Errors
    /// [`OpenError::Thread`] when a thread cannot be started.
    pub fn start(engine: &Engine, settings: Settings, channels: Vec<Box<dyn Channel>>) -> Result<Self, OpenError> {
        Self::counting(engine, settings, channels, &Arc::default())
    }

    /// As [`Deliverer::start`], with counts that outlive it.
    ///
    /// # Errors
    /// As [`Deliverer::start`].
    pub fn counting(
        engine: &Engine,
        settings: Settings,
        channels: Vec<Box<dyn Channel>>,
        counts: &Arc<Counts>,
    ) -> Result<Self, OpenError> {
        let workers = settings.workers.max(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, counts) = (engine.clone(), Arc::clone(counts));
        // One message for each thread, and one that it can go on with.
        let each = workers.saturating_mul(2);
        let slots = Slots::new(channels.len(), each);
        let held = Held::default();
        let shared = Arc::new(Shared { engine, settings, counts, stop: Arc::clone(&stop), slots, held });
        // When a thread cannot be started, dropping this ends those before it.
        let mut all = Self { stop, threads: Vec::new() };
        let mut desks = Vec::new();
        for (number, channel) in channels.into_iter().enumerate() {
            let (queue, work) = sync_channel(each);
            let most = channel.longest().saturating_mul(2).saturating_add(SPARE);
            desks.push(Desk { transport: channel.transport(), most, queue });
            let (channel, work) = (Arc::new(channel), Arc::new(Mutex::new(work)));
            for _ in 0..workers {
                let (shared, channel, work) = (Arc::clone(&shared), Arc::clone(&channel), Arc::clone(&work));
                all.spawn(move || send_all(&shared, number, &*channel, &work))?;
            }
        }
        let holding = Arc::clone(&shared);
        all.spawn(move || hold_all(&holding))?;
        all.spawn(move || claim_all(&shared, &desks))?;
        Ok(all)
    }

    fn spawn(&mut self, run: impl FnOnce() -> Result<(), Error> + Send + 'static) -> Result<(), OpenError> {
        let thread =
            thread::Builder::new().name("dogwatch-deliver".to_owned()).spawn(run).map_err(OpenError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Whether all threads still run. They end by themselves only when storage fails.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }

    /// Stops. What is being sent is finished and settled first.
    ///
    /// # Errors
    /// What made a thread end by itself: storage that failed.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        self.stop.store(true, Ordering::Release);
        let threads = std::mem::take(&mut self.threads).into_iter();
        threads.map(|thread| thread.join().unwrap_or(Err(Error::OutcomeUnknown))).fold(Ok(()), Result::and)
    }
}

impl Drop for Deliverer {
    fn drop(&mut self) {
        // The error with which a thread ended is given by `stop` only.
        let _ = self.end();
    }
}

/// Passes on an error after which nothing can be done any more; says others, and goes on.
fn unless_broken<T>(outcome: Result<T, Error>) -> Result<Option<T>, Error> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.ends_engine() => Err(error),
        Err(error) => {
            tracing::error!(%error, "a notification cannot be settled");
            Ok(None)
        }
    }
}

/// Claims notifications and hands each to the threads of its channel.
fn claim_all(shared: &Shared, desks: &[Desk]) -> Result<(), Error> {
    let stopped = || shared.stop.load(Ordering::Acquire);
    let mut pause = PAUSE;
    while !stopped() {
        if unless_broken(shared.engine.wait_for_notifications(LOOK))?.is_none() {
            thread::sleep(LOOK);
        }
        if stopped() {
            break;
        }
        let (free, seen) = shared.slots.free();
        let claims =
            unless_broken(shared.engine.claim_over(&wanted(desks, &free, &shared.settings)))?.unwrap_or_default();
        if claims.notifications.is_empty() && claims.ended == 0 {
            // What waits is for a channel that is busy, or is damaged: then to look at it again and again would not help.
            shared.slots.wait(seen, pause);
            pause = pause.saturating_mul(2).min(LOOK);
        } else {
            pause = PAUSE;
        }
        for notification in claims.notifications {
            hand_over(shared, desks, notification)?;
        }
    }
    Ok(())
}

/// Makes the claims longer of what takes long to send, until nothing is sent any more.
fn hold_all(shared: &Shared) -> Result<(), Error> {
    let lease = shared.settings.lease();
    let age = lease / PART;
    while !shared.stop.load(Ordering::Acquire) || !shared.held.is_empty() {
        thread::sleep(LOOK.min(age));
        unless_broken(shared.held.lengthen(&shared.engine, age, lease))?;
    }
    Ok(())
}

/// What is wanted: for each channel as many as it has slots that are free. What goes over a transport without a channel is wanted, too, to
/// be told that there is none; unless it is to be left waiting.
fn wanted(desks: &[Desk], free: &[usize], settings: &Settings) -> Vec<Wanted> {
    let over = |transport| {
        let without = if settings.leave.contains(&transport) { 0 } else { AT_ONCE };
        let desk = desks.iter().zip(free).find(|(desk, _)| desk.transport == transport);
        let limit = desk.map_or(without, |(_, free)| *free);
        Wanted { transport, limit, lease: settings.lease() }
    };
    Transport::ALL.into_iter().map(over).filter(|wanted| wanted.limit > 0).collect()
}

fn hand_over(shared: &Shared, desks: &[Desk], notification: Notification) -> Result<(), Error> {
    let receipt = notification.receipt();
    let transport = notification.transport();
    let Some((number, desk)) = desks.iter().enumerate().find(|(_, desk)| desk.transport == transport) else {
        shared.counts.retried.fetch_add(1, Ordering::Relaxed);
        let reason = "there is no channel for this";
        unless_broken(shared.engine.retry(&receipt, reason, None))?;
        return Ok(());
    };
    shared.slots.take(number);
    shared.held.add(receipt, desk.most);
    // There are as many places as slots: only without threads it finds none.
    if desk.queue.try_send(notification).is_err() {
        shared.slots.give(number);
        shared.held.remove(&receipt);
        unless_broken(shared.engine.give_back(&[receipt], LOOK))?;
    }
    Ok(())
}

/// A slot that is given back when the message that took it is settled, however that ends.
struct Slot<'a> {
    slots: &'a Slots,
    number: usize,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.slots.give(self.number);
    }
}

/// Sends what is handed to a channel, until nothing is any more.
fn send_all(
    shared: &Shared,
    number: usize,
    channel: &dyn Channel,
    work: &Mutex<Receiver<Notification>>,
) -> Result<(), Error> {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(notification) = next else { return Ok(()) };
        let _slot = Slot { slots: &shared.slots, number };
        let receipt = notification.receipt();
        if shared.stop.load(Ordering::Acquire) {
            shared.held.remove(&receipt);
            unless_broken(shared.engine.give_back(&[receipt], Duration::ZERO))?;
            continue;
        }
        let (id, kind, attempts) = (notification.id, notification.message.kind(), notification.attempts);
        let over = channel.transport();
        let sent = match shared.engine.envelope(notification) {
            Ok(envelope) => {
                let now = shared.engine.now();
                // A defect of one message must not end the delivery of all.
                let send = || channel.send_editable(&message(&shared.settings, &envelope, now)?);
                catch_unwind(AssertUnwindSafe(send))
                    .unwrap_or_else(|_| Err(SendError::temporary("a defect: the channel panicked")))
            }
            Err(_) => Err(SendError::temporary("it cannot be read")),
        };
        shared.held.remove(&receipt);
        let count = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
        match sent {
            Ok(sent_as) => {
                count(&shared.counts.sent);
                tracing::info!(%id, %kind, %over, attempts, "delivered");
                unless_broken(match sent_as {
                    Some(sent_as) => shared.engine.confirm_as(&receipt, sent_as),
                    None => shared.engine.confirm(&[receipt]),
                })?;
            }
            Err(SendError::Temporary { reason, after }) => {
                match unless_broken(shared.engine.retry(&receipt, &reason, after))? {
                    Some(Retried::Failed) => {
                        count(&shared.counts.failed);
                        tracing::error!(%id, %kind, %over, attempts, reason, "not delivered for long enough, and given up");
                    }
                    _ => {
                        count(&shared.counts.retried);
                        tracing::warn!(%id, %kind, %over, attempts, reason, "not delivered: it is tried again");
                    }
                }
            }
            Err(SendError::Permanent { reason }) => {
                count(&shared.counts.failed);
                tracing::error!(%id, %kind, %over, attempts, reason, "not delivered, and not tried again");
                unless_broken(shared.engine.fail(&[receipt], &reason))?;
            }
        }
    }
}

fn nobody() -> SendError {
    SendError::permanent("there is nobody to send it to")
}

/// The message for a notification.
fn message(settings: &Settings, envelope: &Envelope, now: Timestamp) -> Result<Message, SendError> {
    let Notification { id, org_id, recipient, message, .. } = &envelope.notification;
    let links = settings.links.as_ref();
    let url = |links: &Links, path: &str, token: &str| format!("{}/{path}/{token}", links.public_url);
    let to = || address(*recipient, settings, envelope, now);
    let (to, what) = match message {
        Content::Page { incident_id, reason, .. } | Content::Edit { incident_id, reason, .. } => {
            let (member, incident) = envelope.member.as_ref().zip(envelope.incident.clone()).ok_or_else(nobody)?;
            let link = PageLink {
                org_id: *org_id,
                incident_id: *incident_id,
                user_id: member.id,
                notification_id: *id,
                expires_at: now.plus(PAGE_LINK),
            };
            let page = links.map(|links| url(links, "p", &link.token(&links.key)));
            let sent_as = match message {
                Content::Edit { sent_as, .. } => Some(sent_as.clone()),
                _ => None,
            };
            // What somebody has settled needs no button.
            let acts = sent_as.is_none() && links.is_some_and(|links| links.acknowledge);
            let paged = Box::new(Paged { incident, reason: *reason, link: page, acts, before: sent_as.is_some() });
            let what = match sent_as {
                Some(sent_as) => What::Edit(paged, sent_as),
                None => What::Page(paged),
            };
            (to()?, what)
        }
        Content::Invitation { email, token } => {
            let token = token.as_ref().ok_or_else(nobody)?.reveal().to_owned();
            let link = links.map(|links| url(links, "join", &token));
            (Address::Email(email.clone()), What::Invitation(Invited { link, token }))
        }
        Content::Code { code } => {
            let code = code.as_ref().ok_or_else(nobody)?.reveal().to_owned();
            (to()?, What::Code(code))
        }
        Content::Test => (to()?, What::Test),
        Content::Event { .. } => {
            let to = to()?;
            let internal = envelope.webhook.as_ref().is_some_and(|webhook| webhook.include_internal);
            let (incident, event) = envelope.incident.clone().zip(envelope.event.clone()).ok_or_else(nobody)?;
            let mut update = envelope.update.clone();
            if let Some(update) =
                update.as_mut().filter(|update| update.visibility == UpdateVisibility::Internal && !internal)
            {
                update.body = None;
            }
            (to, What::Event(Box::new(Happened { incident, event, update })))
        }
        Content::WebhookDisabled { webhook_id, name, reason } => {
            let disabled = DisabledWebhook { id: *webhook_id, name: name.clone(), reason: reason.clone() };
            (to()?, What::WebhookDisabled(disabled))
        }
    };
    let organization = envelope.organization.name.as_str().to_owned();
    Ok(Message { id: *id, to, organization, what, now })
}

/// Where a notification goes.
fn address(
    recipient: Recipient,
    settings: &Settings,
    envelope: &Envelope,
    now: Timestamp,
) -> Result<Address, SendError> {
    if let Recipient::Webhook(_) = recipient {
        let webhook = envelope.webhook.as_ref().ok_or_else(nobody)?;
        // Somebody may find the key again.
        let key = settings.key.as_ref().ok_or_else(|| SendError::temporary("there is no key to sign it with"))?;
        return Ok(Address::Endpoint { url: webhook.url.clone(), secrets: webhook.secrets(key, now) });
    }
    let member = envelope.member.as_ref().ok_or_else(nobody)?;
    Ok(match (recipient, envelope.method.as_ref().map(|method| &method.address)) {
        (Recipient::Method { .. }, None) => return Err(nobody()),
        (_, None) => Address::Email(member.email.clone()),
        (_, Some(ContactAddress::Email(address))) => Address::Email(address.clone()),
        (_, Some(ContactAddress::Webhook(url))) => Address::Webhook(url.clone()),
        (_, Some(ContactAddress::Ntfy(url))) => Address::Ntfy(url.clone()),
        (_, Some(ContactAddress::Slack)) => Address::Slack(member.email.clone()),
    })
}
