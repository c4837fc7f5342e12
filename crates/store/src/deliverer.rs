//! The [`Delivery`]: a thread that hands notifications to a closure, and settles them as it says.
//!
//! It claims a few at a time, so that what it holds is sent within its lease; what is left when the lease is nearly over is given
//! back. Each is settled as soon as its sending ends. It ends by itself only when storage fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dogwatch_core::Error as Refusal;
use dogwatch_core::contact::ContactMethod;
use dogwatch_core::incident::{AuditEvent, IncidentView, UpdateView};
use dogwatch_core::organization::Organization;
use dogwatch_core::outbox::{LONGEST_LEASE, Message, Notification, Recipient, Transport};
use dogwatch_core::team::Member;
use dogwatch_core::webhook::Webhook;
use dogwatch_core::world::State;

use crate::commit::pending;
use crate::delivery::{Claims, Wanted};
use crate::engine::Engine;
use crate::error::{Error, OpenError};

/// The most notifications that are held at a time.
const AT_ONCE: usize = 16;
/// The longest wait before the outbox is looked at again.
const LONGEST_NAP: Duration = Duration::from_secs(10);
/// The shortest lease. With a shorter one, a claim would be over before it could be settled.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// The wait before something that failed is tried again: a claim, or a notification that could not be read or whose sending
/// panicked.
const RETRY: Duration = Duration::from_secs(10);

/// A notification with what it takes to tell its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// The notification: a page, an invitation with its token, a code, or a test.
    pub notification: Notification,
    /// The organization that it belongs to.
    pub organization: Organization,
    /// The member for whom it is, also one who has been removed since; `None` for an invitation.
    pub member: Option<Member>,
    /// The contact method over which it goes; `None` for the built-in one, for an invitation, and when it was removed meanwhile.
    pub method: Option<ContactMethod>,
    /// The incident of a page, an event or an edit as it is now; `None` for anything else.
    pub incident: Option<IncidentView>,
    /// The webhook of an event or a test for one; `None` for anything else, and when it was deleted meanwhile.
    pub webhook: Option<Webhook>,
    /// What happened, for a webhook; `None` for anything else.
    pub event: Option<AuditEvent>,
    /// The update that the event tells of, as it is now; `None` for any other event.
    pub update: Option<UpdateView>,
}

/// What became of an attempt to send a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sending {
    /// It was delivered.
    Sent,
    /// Nobody has tried: it is claimed again after this time, a day at most. Later notifications of the same recipient wait for it.
    Later(Duration),
    /// It could not be sent now: it is tried again after a while, and has failed an hour after it was due. Later notifications of the
    /// same recipient wait for it.
    Again {
        /// Why: for the operator; 100 characters are kept.
        reason: String,
        /// How long the other side asks to wait, if it does.
        after: Option<Duration>,
    },
    /// It can never be delivered. It leaves the outbox; a page becomes an event of its incident, `page_failed`.
    Failed {
        /// Why: for the operator; 100 characters are kept.
        reason: String,
    },
}

/// A running delivery: see [`Engine::start_delivery`]. It stops when it is dropped, which blocks until a sending that is under way
/// is finished: do not drop it while holding a lock that the closure takes. It holds a clone of the engine.
#[must_use = "delivery stops when it is dropped"]
#[derive(Debug)]
pub struct Delivery {
    engine: Engine,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    failed: AtomicU64,
}

impl Engine {
    /// Starts a thread that hands each notification to `send`, until the delivery is stopped or dropped.
    ///
    /// `lease` is how long a few sendings (16 at most) may take together, one second to one hour: what is not settled by then may
    /// be handed out again, and everything but [`Sending::Sent`] does nothing then. Choose more than twice the longest. Each is delivered at least once, and in order per recipient. `send` runs on the one thread, one notification at a
    /// time; for more at once, start several. When it panics, the notification is tried again ten seconds later, and counted
    /// ([`Delivery::failed`]).
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogwatch_store::{Engine, Sending};
    /// # use dogwatch_store::rules::{Actor, organization::CreateOrganization};
    /// # use dogwatch_store::rules::incident::{CreateIncident, HandOffIncident, Severity};
    /// # let engine = Engine::in_memory()?;
    /// # let created = engine.execute(CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?,
    /// #     "Ada".parse()?, "Byron".parse()?), &Actor::Operator)?;
    /// # let (ada, owner) = (created.actor(), created.admin.member.id);
    /// let (told, telling) = std::sync::mpsc::channel();
    /// let delivery = engine.start_delivery(Duration::from_secs(60), move |envelope| {
    ///     if let (Some(member), Some(incident)) = (&envelope.member, &envelope.incident) {
    ///         told.send(format!("To: {}, #{} {}", member.email, incident.sequential_id, incident.title)).unwrap();
    ///     }
    ///     Sending::Sent
    /// })?;
    /// let open = CreateIncident::new("Checkout is down".parse()?, Severity::Critical, owner);
    /// let incident = engine.execute(open, &ada)?;
    /// engine.execute(HandOffIncident::new(incident.id, owner), &ada)?;
    /// assert_eq!(telling.recv()?, "To: ada@example.com, #1 Checkout is down");
    /// delivery.stop()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OpenError::Thread`] when the thread cannot be started.
    pub fn start_delivery(
        &self,
        lease: Duration,
        send: impl FnMut(&Envelope) -> Sending + Send + 'static,
    ) -> Result<Delivery, OpenError> {
        let shared = Arc::new(Shared::default());
        let (engine, state) = (self.clone(), Arc::clone(&shared));
        let run = move || run(&engine, &state, lease, send);
        let thread =
            thread::Builder::new().name("dogwatch-delivery".to_owned()).spawn(run).map_err(OpenError::Thread)?;
        Ok(Delivery { engine: self.clone(), shared, thread: Some(thread) })
    }

    /// What it takes to tell the recipient of a notification, as it is now.
    ///
    /// # Errors
    /// `internal_error` when the store cannot be read.
    pub fn envelope(&self, notification: Notification) -> Result<Envelope, Error> {
        Ok(self.read(|state| {
            let org = notification.org_id;
            let world = state.world(org);
            let organization = world.organization()?;
            let organization =
                organization.ok_or_else(|| Refusal::broken("a notification without its organization"))?;
            let mut envelope = Envelope {
                notification,
                organization,
                member: None,
                method: None,
                incident: None,
                webhook: None,
                event: None,
                update: None,
            };
            match envelope.notification.recipient {
                Recipient::Member(user) => envelope.member = world.member(user)?,
                Recipient::Method { user, method, .. } => {
                    (envelope.member, envelope.method) = (world.member(user)?, world.contact_method(user, method)?);
                }
                Recipient::Webhook(id) => envelope.webhook = world.webhook(id)?,
                Recipient::Invited(_) => {}
            }
            match envelope.notification.message {
                // Any member may see an incident. Who is paged may have been removed since.
                Message::Page { incident_id, .. } | Message::Edit { incident_id, .. } => {
                    envelope.incident = Some(IncidentView::read(incident_id, &*world)?);
                }
                Message::Event { incident_id, event_id } => {
                    envelope.incident = Some(IncidentView::read(incident_id, &*world)?);
                    (envelope.event, envelope.update) = AuditEvent::find(incident_id, event_id, &*world)?;
                }
                Message::Invitation { .. } | Message::Code { .. } | Message::Test | Message::WebhookDisabled { .. } => {
                }
            }
            Ok::<_, Refusal>(envelope)
        })?)
    }
}

impl Delivery {
    /// Stops the delivery. A sending that is under way is finished and settled first; the rest is given back.
    ///
    /// # Errors
    /// What made the delivery end by itself: storage that failed.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    /// Whether the delivery still runs. It ends by itself only when storage fails and the engine must be opened again.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// The number of notifications that were sent and confirmed.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// The number of attempts that failed without an answer of the closure: it panicked, or the store could not be read. Each is
    /// repeated.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.shared.stop.store(true, Ordering::Release);
        self.engine.deadlines().raise();
        // The thread waits for the engine: one of the engine's threads must not wait for it, nor it for itself.
        if pending::makes_answers() || thread.thread().id() == thread::current().id() {
            return Ok(());
        }
        thread.join().unwrap_or(Err(Error::OutcomeUnknown))
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        // The error with which the thread ended is given by `stop` only.
        let _ = self.end();
    }
}

fn run(
    engine: &Engine,
    shared: &Shared,
    lease: Duration,
    mut send: impl FnMut(&Envelope) -> Sending,
) -> Result<(), Error> {
    let lease = lease.clamp(SHORTEST_LEASE, LONGEST_LEASE);
    let stopped = || shared.stop.load(Ordering::Acquire);
    while !stopped() {
        // The count is read before the outbox: a change in between, or a stop, then cuts the wait short.
        let seen = engine.deadlines().count();
        let turn = engine
            .wait_for_notifications_or(LONGEST_NAP, stopped)
            .and_then(|()| if stopped() { Ok(Turn::Done) } else { deliver(engine, shared, lease, &mut send) });
        match turn {
            Ok(Turn::Done) => {}
            // What is ready and cannot be claimed is damaged: looking at it again at once would not help.
            Ok(Turn::Nothing) => engine.deadlines().wait(seen, RETRY),
            Err(error) if error.ends_engine() => return Err(error),
            Err(_) => {
                shared.failed.fetch_add(1, Ordering::Relaxed);
                engine.deadlines().wait(seen, RETRY);
            }
        }
    }
    Ok(())
}

/// Whether a turn had anything to do.
enum Turn {
    Done,
    Nothing,
}

/// Claims a few notifications and sends each.
fn deliver(
    engine: &Engine,
    shared: &Shared,
    lease: Duration,
    send: &mut impl FnMut(&Envelope) -> Sending,
) -> Result<Turn, Error> {
    let began = Instant::now();
    // Each transport has its share, so that no number of mails keeps a webhook waiting.
    let share = |transport| Wanted { transport, limit: AT_ONCE, lease };
    let Claims { notifications: claimed, ended } = engine.claim_over(&Transport::ALL.map(share))?;
    if claimed.is_empty() && ended == 0 && !shared.stop.load(Ordering::Acquire) {
        return Ok(Turn::Nothing);
    }
    for (n, notification) in claimed.into_iter().enumerate() {
        // The first is always sent, so that there is progress with any lease.
        let late = n > 0 && began.elapsed() >= lease / 2;
        let settled = if late || shared.stop.load(Ordering::Acquire) {
            engine.give_back(&[notification.receipt()], Duration::ZERO).map(drop)
        } else {
            send_one(engine, shared, notification, send)
        };
        match settled {
            Ok(()) => {}
            Err(error) if error.ends_engine() => return Err(error),
            // One that cannot be settled must not keep those of others.
            Err(_) => drop(shared.failed.fetch_add(1, Ordering::Relaxed)),
        }
    }
    Ok(Turn::Done)
}

/// Sends one notification, and settles it as the closure says.
fn send_one(
    engine: &Engine,
    shared: &Shared,
    notification: Notification,
    send: &mut impl FnMut(&Envelope) -> Sending,
) -> Result<(), Error> {
    let receipt = [notification.receipt()];
    let sending = engine.envelope(notification).ok().and_then(|it| {
        // A defect of one message must not end the delivery of all.
        catch_unwind(AssertUnwindSafe(|| send(&it))).ok()
    });
    match sending {
        Some(Sending::Sent) => {
            let confirmed = u64::try_from(engine.confirm(&receipt)?).unwrap_or(0);
            shared.sent.fetch_add(confirmed, Ordering::Relaxed);
        }
        Some(Sending::Later(after)) => drop(engine.give_back(&receipt, after)?),
        Some(Sending::Again { reason, after }) => {
            for receipt in &receipt {
                engine.retry(receipt, &reason, after)?;
            }
        }
        Some(Sending::Failed { reason }) => drop(engine.fail(&receipt, &reason)?),
        None => {
            engine.give_back(&receipt, RETRY)?;
            shared.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}
