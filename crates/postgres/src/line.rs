//! A [`Line`]: one connection to PostgreSQL, and the thread that drives it.
//!
//! The thread has a runtime of its own, so that whoever calls may be anywhere, also in another runtime. Whatever takes longer than its deadline
//! is given up together with the connection; the next call connects anew. A statement that was sent is never cancelled.

use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dogwatch_store::backend::BackendError;
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::tls::Tls;
use crate::{STATEMENT, sql};

/// How a connection is made.
#[derive(Clone)]
pub(crate) struct Way {
    /// One for each host.
    pub(crate) configs: Vec<Config>,
    /// `None` when connections are not encrypted.
    pub(crate) tls: Option<Tls>,
    /// How long connecting to one host may take.
    pub(crate) connecting: Duration,
}

/// Why a statement gave no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// There is no connection; nothing was sent.
    #[error("cannot connect: {0}")]
    NotConnected(String),
    /// The database refused the statement, or the connection broke.
    #[error("{}", shown(.0))]
    Refused(#[source] tokio_postgres::Error),
    /// No answer came in time.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// What the database gave is not what was written there.
    #[error("the tables hold something else: {0}")]
    Odd(&'static str),
    /// The thread has ended.
    #[error("the connection's thread has ended")]
    Ended,
}

/// An error with its cause, which says what the database said.
pub(crate) fn shown(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

impl Failed {
    pub(crate) fn doing(self, doing: &'static str) -> BackendError {
        BackendError::new(doing, self.to_string())
    }

    /// Whether the statement certainly did nothing. A connection that ends while a commit waits for a standby leaves it open.
    pub(crate) fn did_nothing(&self) -> bool {
        match self {
            Self::NotConnected(_) => true,
            Self::Refused(error) => error.as_db_error().is_some_and(|said| {
                // Connections that end (08), and whoever ends them (57).
                let class = said.code().code().get(..2).unwrap_or_default();
                !["08", "57", "XX"].contains(&class)
            }),
            Self::Late(_) | Self::Odd(_) | Self::Ended => false,
        }
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Refused(error)
    }
}

/// A connection while a thread uses it.
pub(crate) struct Link {
    way: Way,
    runtime: Runtime,
    connection: Option<Connection>,
}

/// A connection, which ends when it is dropped, also while an answer is waited for.
struct Connection {
    client: Client,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Does something with the connection, which is made if there is none, and is given up when it fails or takes longer than the deadline.
    pub(crate) fn run<R>(
        &mut self,
        deadline: Duration,
        work: impl AsyncFnOnce(&mut Client) -> Result<R, Failed>,
    ) -> Result<R, Failed> {
        let Self { way, runtime, connection } = self;
        runtime.block_on(async {
            // The runtime stands still between calls: let it see first whether the connection has ended meanwhile.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            let mut present = match connection.take().filter(|present| !present.client.is_closed()) {
                Some(present) => present,
                None => connected(way).await?,
            };
            let done = timeout(deadline, work(&mut present.client)).await.map_err(|_| Failed::Late(deadline))?;
            // What the database refuses leaves the connection as it was, as long as it is open.
            let usable = match &done {
                Ok(_) => true,
                Err(Failed::Refused(error)) => {
                    // A server that takes no writes any more is another's standby now.
                    error.code().is_some_and(|code| *code != SqlState::READ_ONLY_SQL_TRANSACTION)
                }
                Err(_) => false,
            };
            if usable && !present.client.is_closed() {
                *connection = Some(present);
            }
            done
        })
    }
}

/// Connects to the first host that takes writes. Each has its own time: one that takes connections and does not answer keeps nobody from the next.
async fn connected(way: &Way) -> Result<Connection, Failed> {
    let mut last = None;
    for config in &way.configs {
        let connecting = async {
            let (client, task) = match &way.tls {
                Some(tls) => {
                    let (client, connection) = config.connect(tls.clone()).await?;
                    (client, tokio::spawn(connection).abort_handle())
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    (client, tokio::spawn(connection).abort_handle())
                }
            };
            let connection = Connection { client, task };
            connection.client.batch_execute(sql::SESSION).await?;
            Ok::<_, tokio_postgres::Error>(connection)
        };
        match timeout(way.connecting, connecting).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(why)) => last = Some(shown(&why)),
            Err(_) => last = Some(format!("no answer within {} s", way.connecting.as_secs())),
        }
    }
    Err(Failed::NotConnected(last.unwrap_or_else(|| "no host is named".to_owned())))
}

type Call = Box<dyn FnOnce(&mut Link) + Send>;

/// One connection and its thread, which ends when the line is dropped.
pub(crate) struct Line {
    calls: Option<Sender<Call>>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    pub(crate) fn open(name: &str, way: Way) -> std::io::Result<Self> {
        let (calls, coming) = mpsc::channel::<Call>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            let mut link = Link { way, runtime, connection: None };
            for call in coming {
                call(&mut link);
            }
        };
        let thread = thread::Builder::new().name(format!("dogwatch-pg-{name}")).spawn(run)?;
        Ok(Self { calls: Some(calls), thread: Some(thread) })
    }

    /// Hands something in to be done with the connection, after what was handed in before.
    pub(crate) fn hand_in(&self, work: impl FnOnce(&mut Link) + Send + 'static) -> Result<(), Failed> {
        let calls = self.calls.as_ref().ok_or(Failed::Ended)?;
        calls.send(Box::new(work)).map_err(|_| Failed::Ended)
    }

    /// As [`Line::hand_in`], and waits for the result.
    pub(crate) fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Link) -> Result<R, Failed> + Send + 'static,
    ) -> Result<R, Failed> {
        let (answer, answered) = mpsc::channel();
        self.hand_in(move |link| drop(answer.send(work(link))))?;
        answered.recv().map_err(|_| Failed::Ended)?
    }

    /// Has a statement or a few done within the usual time, and waits for the result.
    pub(crate) fn run<R: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl AsyncFnOnce(&mut Client) -> Result<R, Failed> + Send + 'static,
    ) -> Result<R, BackendError> {
        self.call(move |link| link.run(STATEMENT, work)).map_err(|why| why.doing(doing))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            // It may be dropped by its own thread, within a call.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
