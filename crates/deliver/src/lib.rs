//! Delivery: pages and invitations leave the outbox of an engine and reach people (contract, section 9).
//!
//! A [`Deliverer`] runs threads that claim what waits, make a [`Message`] of it, hand it to a [`Channel`], and settle the claim as that
//! says: delivered, tried again later, or failed for good. What a message says is decided in one place ([`Message`]), so that
//! channels cannot disagree.
//!
//! Each kind of contact method has a channel, with threads of its own, so that a slow one holds up no other. Here are e-mail (feature
//! `email`), over SMTP ([`Smtp`]) or into a folder to try things out ([`MailFolder`]), and HTTP (feature `web`), to URLs ([`Webhook`]),
//! to topics of ntfy servers ([`Ntfy`]), to members in Slack ([`Slack`]), and signed, to the webhooks of organizations ([`OrganizationWebhook`]). A program brings another by implementing [`Channel`]:
//!
//! ```
//! use dogwatch_deliver::{Address, Channel, Deliverer, Message, SendError, Settings};
//! use dogwatch_store::Engine;
//! use dogwatch_store::rules::outbox::Transport;
//! # use dogwatch_store::rules::{Actor, incident::*, organization::CreateOrganization};
//!
//! struct Told(std::sync::mpsc::Sender<String>);
//!
//! impl Channel for Told {
//!     fn transport(&self) -> Transport {
//!         Transport::Email
//!     }
//!
//!     fn send(&self, message: &Message) -> Result<(), SendError> {
//!         let Address::Email(to) = &message.to else { return Err(SendError::permanent("no address")) };
//!         self.0.send(format!("{to}: {}", message.subject())).map_err(|_| SendError::permanent("nobody listens"))
//!     }
//! }
//!
//! let engine = Engine::in_memory()?;
//! let (told, telling) = std::sync::mpsc::channel();
//! let deliverer = Deliverer::start(&engine, Settings::default(), vec![Box::new(Told(told))])?;
//! # let created = engine.execute(CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?,
//! #     "Ada".parse()?, "Byron".parse()?), &Actor::Operator)?;
//! # let (ada, owner) = (created.actor(), created.admin.member.id);
//! let open = CreateIncident::new("Checkout is down".parse()?, Severity::Critical, owner);
//! let incident = engine.execute(open, &ada)?;
//! engine.execute(HandOffIncident::new(incident.id, owner), &ada)?;
//! assert_eq!(telling.recv()?, "ada@example.com: [#1] Checkout is down");
//! deliverer.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "web")]
mod address;
mod channel;
mod deliverer;
#[cfg(feature = "email")]
mod email;
#[cfg(all(feature = "email", feature = "web", any(test, feature = "fuzzing")))]
#[doc(hidden)]
pub mod fuzzing;
mod held;
mod message;
#[cfg(feature = "web")]
mod slack;
mod slots;
#[cfg(feature = "web")]
mod web;

#[cfg(feature = "web")]
pub use address::AllowedHosts;
pub use channel::{Channel, SendError};
pub use deliverer::{Counts, Deliverer, Links, Settings};
#[cfg(feature = "email")]
pub use email::{MailFolder, Sender, SettingsError, Smtp};
pub use message::{Address, DisabledWebhook, Happened, Invited, Message, Paged, What};
#[cfg(feature = "web")]
pub use slack::Slack;
#[cfg(feature = "web")]
pub use web::{Ntfy, OrganizationWebhook, Webhook, fetch, try_out};
