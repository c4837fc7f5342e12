//! The journal that several dogwatch servers share, in PostgreSQL 15 or newer (contract, section 15).
//!
//! ```no_run
//! use dogwatch_postgres::{PostgresJournal, Settings};
//! use dogwatch_store::Engine;
//! use dogwatch_store::cluster::{Cluster, ClusterOptions, Server};
//! use std::sync::Arc;
//!
//! let journal = PostgresJournal::connect(Settings::new("postgres://dogwatch@db1,db2/dogwatch?sslmode=require")?)?;
//! let options = ClusterOptions::new(Server::new("a", "http://10.0.0.7:8080"));
//! let cluster = Cluster::join("data", Arc::new(journal), options, Engine::builder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A commit is one statement, which appends it after exactly the commit before, or does nothing. It is as durable as PostgreSQL makes what it
//! acknowledges: with synchronous replication, on two machines. When an answer was lost, what became of the commit is found out by sending it
//! again, and by a write that changes nothing, after which the log can be believed. See `ARCHITECTURE.md`, "Several machines".

mod copy;
mod journal;
mod line;
mod sql;
mod tls;

use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use dogwatch_store::backend::BackendError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::line::{Failed, Line, Way, shown};
use crate::tls::Tls;

/// How long connecting to one host may take.
const CONNECTING: Duration = Duration::from_secs(3);
/// How long a statement may take.
const STATEMENT: Duration = Duration::from_secs(5);
/// How long it is asked what became of a commit, by default.
const PATIENCE: Duration = Duration::from_secs(30);
/// The oldest version of PostgreSQL that this is tested with.
const OLDEST: i32 = 150_000;

/// Where the database is, and how it is reached.
#[derive(Clone)]
pub struct Settings {
    config: Config,
    authorities: Option<PathBuf>,
    patience: Duration,
}

impl Settings {
    /// Settings from a URL, or from words as libpq knows them: `postgres://dogwatch@db1,db2/dogwatch?sslmode=require`. Of several hosts, the
    /// first is taken that accepts writes. A host that is not this machine needs `sslmode=require`, or `sslmode=disable` in so many words.
    ///
    /// # Errors
    /// [`ConnectError::Settings`] for what cannot be read, and for hosts of which it is not said whether the connection is encrypted.
    pub fn new(url: &str) -> Result<Self, ConnectError> {
        let parsed = url.parse::<Config>();
        let mut config = parsed.map_err(|why| ConnectError::Settings(shown(&why)))?;
        if config.get_hosts().is_empty() {
            return Err(ConnectError::Settings("it is not said on which host the database is".to_owned()));
        }
        let says = url.contains("sslmode");
        if !says && !config.get_hosts().iter().all(is_here) {
            let why = "the database is elsewhere: say `sslmode=require`, or `sslmode=disable`";
            return Err(ConnectError::Settings(why.to_owned()));
        }
        if config.get_ssl_mode() == SslMode::Prefer {
            if says {
                let why = "`sslmode` is `require` or `disable`: what is preferred only can be prevented";
                return Err(ConnectError::Settings(why.to_owned()));
            }
            config.ssl_mode(SslMode::Disable);
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.application_name("dogwatch");
        config.connect_timeout(Duration::from_secs(2));
        config.tcp_user_timeout(STATEMENT);
        config.keepalives_idle(STATEMENT);
        Ok(Self { config, authorities: None, patience: PATIENCE })
    }

    /// Sets the password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// Whether a password is set, or stands in the URL.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Sets the file with the certificates of the authorities to trust, in PEM; by default those of the system are trusted.
    #[must_use]
    pub fn authorities(mut self, file: impl Into<PathBuf>) -> Self {
        self.authorities = Some(file.into());
        self
    }

    /// Sets for how long it is asked what became of a commit whose answer was lost, before that is left open; 30 s by default.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// Whether a host is this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.config.get_hosts();
        f.debug_struct("Settings")
            .field("hosts", &hosts)
            .field("database", &self.config.get_dbname())
            .finish_non_exhaustive()
    }
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The settings do not fit.
    #[error("the settings of the shared store do not fit: {0}")]
    Settings(String),
    /// The certificates of the authorities cannot be read.
    #[error("cannot read the certificates to trust: {0}")]
    Authorities(std::io::Error),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The database cannot be reached, or refuses what is asked of it.
    #[error(transparent)]
    Database(#[from] BackendError),
    /// PostgreSQL is too old.
    #[error("PostgreSQL has version {}, and must have 15 or a newer one", .0 / 10_000)]
    TooOld(i32),
    /// The tables were arranged by a newer version.
    #[error("the tables have arrangement {found}, but this version knows {known}; use a newer version")]
    NewerLayout {
        /// The arrangement of the tables.
        found: i32,
        /// The one that this version knows.
        known: i32,
    },
}

/// Whether the database waits for a standby before it acknowledges a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    /// The standbys that a commit waits for, as PostgreSQL has it in `synchronous_standby_names`; empty when it waits for none.
    pub waits_for: String,
    /// How many of them follow at present.
    pub synchronous: u32,
}

/// A journal in PostgreSQL, which several servers share. It has two connections: one for commits, one for everything else.
pub struct PostgresJournal {
    commits: Line,
    others: Line,
    identity: [u8; 16],
    patience: Duration,
    /// The milliseconds of the lease, by which each commit renews it.
    lease: AtomicI64,
    /// The bytes of the log, as of the last look at who leads.
    size: AtomicI64,
    /// As whom this journal has campaigned.
    name: Mutex<String>,
}

impl fmt::Debug for PostgresJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresJournal")
    }
}

impl PostgresJournal {
    /// Opens the journal in a database, and makes its tables if they are not there.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(settings: Settings) -> Result<Self, ConnectError> {
        let Settings { config, authorities, patience } = settings;
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(Tls::new(authorities.as_deref()).map_err(ConnectError::Authorities)?),
        };
        let way = Way { configs: for_each_host(&config), tls, connecting: CONNECTING };
        let others = Line::open("others", way.clone()).map_err(ConnectError::Thread)?;
        let commits = Line::open("commits", way).map_err(ConnectError::Thread)?;
        let mut identity = [0; 16];
        getrandom::fill(&mut identity).map_err(|why| ConnectError::Thread(std::io::Error::other(why)))?;
        let version: i32 = others.run("asking for the version", async |client| {
            Ok(client.query_one(sql::VERSION, &[]).await?.try_get(0)?)
        })?;
        if version < OLDEST {
            return Err(ConnectError::TooOld(version));
        }
        let (layout, identity) =
            others.run("making the tables", async move |client| prepare(client, identity).await)?;
        if layout > sql::LAYOUT {
            return Err(ConnectError::NewerLayout { found: layout, known: sql::LAYOUT });
        }
        Ok(Self {
            commits,
            others,
            identity,
            patience,
            lease: AtomicI64::default(),
            size: AtomicI64::default(),
            name: Mutex::default(),
        })
    }

    /// Whether the database waits for a standby before it acknowledges a commit. What it does not wait for, it loses when its machine is lost.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn replication(&self) -> Result<Replication, BackendError> {
        let (waits_for, synchronous) = self.others.run("asking for the standbys", async |client| {
            let row = client.query_one(sql::SYNCHRONOUS, &[]).await?;
            Ok((row.try_get::<_, String>(0)?, row.try_get::<_, i64>(1)?))
        })?;
        Ok(Replication { waits_for, synchronous: u32::try_from(synchronous).unwrap_or(0) })
    }
}

/// The same settings for each host by itself.
fn for_each_host(config: &Config) -> Vec<Config> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let places = hosts.iter().enumerate().map(|(place, host)| {
        let mut one = Config::new();
        match host {
            Host::Tcp(name) => drop(one.host(name)),
            #[cfg(unix)]
            Host::Unix(path) => drop(one.host_path(path)),
        }
        // One port counts for all hosts.
        ports.get(place).or_else(|| ports.first()).map(|port| one.port(*port));
        addresses.get(place).map(|address| one.hostaddr(*address));
        config.get_user().map(|user| one.user(user));
        config.get_password().map(|password| one.password(password));
        config.get_dbname().map(|name| one.dbname(name));
        config.get_options().map(|options| one.options(options));
        config.get_application_name().map(|name| one.application_name(name));
        config.get_connect_timeout().map(|most| one.connect_timeout(*most));
        config.get_tcp_user_timeout().map(|most| one.tcp_user_timeout(*most));
        one.ssl_mode(config.get_ssl_mode())
            .channel_binding(config.get_channel_binding())
            .target_session_attrs(config.get_target_session_attrs())
            .keepalives_idle(config.get_keepalives_idle());
        one
    });
    places.collect()
}

/// Makes the tables, unless they are there. Gives their arrangement, and the identity of the store.
async fn prepare(client: &mut tokio_postgres::Client, identity: [u8; 16]) -> Result<(i32, [u8; 16]), Failed> {
    if !client.query_one(sql::ARE_THERE, &[]).await?.try_get::<_, bool>(0)? {
        let making = client.transaction().await?;
        making.batch_execute(sql::MAKE).await?;
        making.execute(sql::BEGIN, &[&sql::LAYOUT, &&identity[..]]).await?;
        making.commit().await?;
    }
    let row = client.query_one(sql::IDENTITY, &[]).await?;
    let identity = row.try_get::<_, &[u8]>(1)?;
    Ok((row.try_get(0)?, identity.try_into().map_err(|_| Failed::Odd("an identity that is too short"))?))
}
