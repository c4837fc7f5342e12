//! Several servers on one store (contract, section 15): the [`SharedJournal`], and what a server does in the [`Cluster`].
//!
//! The truth is in a journal that all servers share. A **term** is the time for which one of them leads: it decides commands and appends
//! commits. Each server has a copy of the rows in a folder of its own, which follows the journal; reads come from there. Whoever
//! wants to lead when nobody does, campaigns: the journal gives the lead to one of them, for a **lease**, which the leader renews.
//!
//! The fence is the position, not the lease: a commit is appended only in the present term, and only after exactly the commit against
//! which it was decided. So a leader that has lost the lead without knowing writes nothing, whatever clocks and pauses do; the lease only
//! decides who tries.
//!
//! ```text
//!  follows ── nobody has the lease, and the campaign is won ──▶ leads
//!     ▲                                                          │ another term has begun, storage has failed,
//!     └───────────── the copy is opened again ◀──────────────────┘ its clock was set, or it retires
//! ```

mod copy;
mod memory;
mod role;
mod run;

use std::fmt;
use std::time::Duration;

use dogwatch_core::Timestamp;

pub use memory::MemorySharedJournal;
pub use role::{Cluster, Role};

use crate::backend::{BackendError, Pair};
use crate::journal::{Head, Journal};

/// A server of a cluster, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// Its name, unique in the cluster.
    pub name: String,
    /// Where the other servers reach it, such as `http://10.0.0.7:8080`.
    pub address: String,
}

impl Server {
    /// A server of this name at this address.
    #[must_use]
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: name.into(), address: address.into() }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.address)
    }
}

/// What a shared journal says of who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// The last commit.
    pub head: Head,
    /// The present term, or the last one; 0 before the first.
    pub term: u64,
    /// Who leads in it, or led; `None` before the first term, and after the leader has resigned.
    pub leader: Option<Server>,
    /// For how much longer the lease lasts; zero when it is over.
    pub left: Duration,
    /// The instant on the journal's clock.
    pub now: Timestamp,
}

/// How a campaign ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Campaign {
    /// A new term has begun, in which the candidate leads.
    Won {
        /// The term.
        term: u64,
        /// The commit after which its first is appended.
        head: Head,
    },
    /// Somebody else leads.
    Lost,
}

/// Why a shared journal was not filled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FillError {
    /// It holds commits already.
    #[error("there is a store already")]
    NotEmpty,
    /// It cannot be written, or what it was to be filled with cannot be read.
    #[error(transparent)]
    Storage(#[from] BackendError),
}

/// A journal that several servers share, with the rows that its commits made, and the lease of the leader.
///
/// [`Journal::append`] takes a commit only in the present term, and only after the last commit. It returns when the commit is as durable
/// as the journal makes it. When an answer was lost, the journal finds out what became of the commit before it gives
/// [`AppendError::Unknown`](crate::journal::AppendError::Unknown). The journal forgets old commits by itself: [`Journal::forget`] need do nothing.
///
/// The clock of leases is the journal's own.
pub trait SharedJournal: Journal {
    /// What tells this store from any other: random bytes that never change.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn identity(&self) -> Result<[u8; 16], BackendError>;

    /// The last commit, and who leads.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn leadership(&self) -> Result<Leadership, BackendError>;

    /// Begins a new term in which `server` leads, for a lease, if the term is still `seen` and its lease is over.
    ///
    /// # Errors
    /// When the journal cannot be written; the term may have begun.
    fn campaign(&self, server: &Server, seen: u64, lease: Duration) -> Result<Campaign, BackendError>;

    /// Lengthens the lease of a term from now on, and gives the last commit; `None` when another term has begun. It never begins one.
    ///
    /// # Errors
    /// When the journal cannot be written; the lease may be longer.
    fn renew(&self, term: u64, lease: Duration) -> Result<Option<Head>, BackendError>;

    /// Ends the lease of a term, if it is the present one.
    ///
    /// # Errors
    /// When the journal cannot be written; the lease may be over.
    fn resign(&self, term: u64) -> Result<(), BackendError>;

    /// Ends the present term, whoever leads in it: the next commit of that leader is refused.
    ///
    /// # Errors
    /// When the journal cannot be written; the term may have ended.
    fn depose(&self) -> Result<(), BackendError>;

    /// Gives all rows as they are after a commit, ascending by key, and the head of that commit.
    ///
    /// # Errors
    /// When the journal cannot be read, and the errors of `take`.
    fn copy(&self, take: &mut dyn FnMut(Pair) -> Result<(), BackendError>) -> Result<Head, BackendError>;

    /// Fills a journal that holds no commit with rows as they are after a commit.
    ///
    /// # Errors
    /// [`FillError`]; nothing is there then.
    fn fill(&self, head: &Head, rows: &mut dyn Iterator<Item = Result<Pair, BackendError>>) -> Result<(), FillError>;

    /// Notes the fingerprint of the master key that the servers have in common; `false` when another one is noted already.
    ///
    /// # Errors
    /// When the journal cannot be written.
    fn agree_on_key(&self, fingerprint: &[u8; 16]) -> Result<bool, BackendError>;
}

/// How a server takes part in a cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// This server.
    pub server: Server,
    /// How long the lead lasts after it was renewed; 10 s by default, at least 100 ms. When a leader is gone, another server takes over after
    /// that.
    pub lease: Duration,
    /// How far this server's clock may be from that of the journal, if it is to lead; 2 s by default.
    pub clock_tolerance: Duration,
    /// Bytes of memory for the cache of the copy's database; 64 MiB by default.
    pub cache_bytes: u64,
}

impl ClusterOptions {
    /// The defaults for a server.
    #[must_use]
    pub const fn new(server: Server) -> Self {
        Self { server, lease: Duration::from_secs(10), clock_tolerance: Duration::from_secs(2), cache_bytes: 64 << 20 }
    }

    /// The lease, which is never too short to be renewed in time.
    fn lease(&self) -> Duration {
        self.lease.max(Duration::from_millis(100))
    }
}
