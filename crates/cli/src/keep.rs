//! The [`Keeper`] keeps the store open while the server runs: with its ticker, its delivery, and the socket for other commands.
//!
//! When storage fails, because the disk is full or gone, reads are answered from what there is, and the store is opened again as soon
//! as its folder can be written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use dogwatch_deliver::Deliverer;
use dogwatch_http::unavailable;
use dogwatch_store::backend::SledOptions;
use dogwatch_store::{Engine, OpenError, Ticker};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::failure::Failure;
use crate::mail::Mail;
use crate::socket::Socket;

/// How often it is looked whether storage has failed.
const LOOK: Duration = Duration::from_millis(250);
/// The shortest and the longest wait before the store is opened again.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// The room that there must be in the folder: what the journal and the database take when they grow.
const ROOM: usize = 16 << 20;

/// Whether a folder with a store cannot be written for lack of room.
pub(crate) fn lacks_room(data: &Path) -> bool {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    data.join("db").exists() && has_room(data).is_err_and(|why| full.contains(&why.kind()))
}

/// The socket over which tasks come. Without it, they have to wait until this server stops.
pub(crate) fn socket(data: &Path, engine: &Engine) -> Option<Socket> {
    let socket = Socket::listen(data, engine.downgrade());
    socket
        .map_err(|why| tracing::warn!(%why, "there is no socket in the folder: other commands find the store in use"))
        .ok()
}

/// How far a server is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It serves.
    Serves,
    /// It serves still, and leaves to others what only one does.
    Leaves,
    /// It has answered its last request.
    Ends,
}

/// The ticker of a store and its delivery.
pub(crate) struct Started {
    ticker: Ticker,
    delivery: Deliverer,
}

impl Started {
    /// Ends both, and waits for it.
    pub(crate) fn stop(self) {
        // What made one end by itself has been said already. It escalates while the last message is sent.
        let _ = self.delivery.stop();
        let _ = self.ticker.stop();
    }
}

/// Keeps a store open.
pub(crate) struct Keeper<R> {
    /// The folder of the store.
    pub(crate) data: PathBuf,
    /// How long tasks under way may take when the server stops.
    pub(crate) drain_time: Duration,
    /// How what is in the outbox is sent.
    pub(crate) mail: Mail,
    /// Makes the API over a store that was opened.
    pub(crate) router: R,
    /// Where the latest API is put.
    pub(crate) latest: watch::Sender<Router>,
}

impl<R: Fn(&Engine) -> Router> Keeper<R> {
    /// Keeps the store open until it is to stop. After a failure of storage, and when it is not open yet, it waits until the folder can
    /// be written, and opens the store again.
    pub(crate) async fn run(
        self,
        mut engine: Option<Engine>,
        mut socket_of_engine: Option<Socket>,
        mut stages: watch::Receiver<Stage>,
    ) -> Result<(), Failure> {
        loop {
            if let Some(open) = &engine {
                let started = self.started(open, &mut stages).await;
                let failed = async {
                    while open.failure().is_none() {
                        sleep(LOOK).await;
                    }
                };
                let ends = tokio::select! {
                    biased;
                    _ = stages.wait_for(|stage| *stage == Stage::Ends) => true,
                    () = failed => false,
                };
                let (socket, drain_time) = (socket_of_engine.take(), self.drain_time);
                let end = move || {
                    if let Some(started) = started {
                        started.stop();
                    }
                    if ends {
                        let _ = socket.map(|socket| socket.close(drain_time));
                    }
                };
                spawn_blocking(end).await.map_err(io::Error::other)?;
                if ends {
                    return Ok(());
                }
                // Why is in the log already.
                tracing::error!("the store is opened again as soon as its folder can be written");
            }
            let opened = tokio::select! {
                _ = stages.wait_for(|stage| *stage == Stage::Ends) => return Ok(()),
                opened = reopened(&self.data, engine.take(), &self.latest) => opened,
            };
            tracing::warn!("the store is open again");
            drop(self.latest.send_replace((self.router)(&opened)));
            socket_of_engine = socket(&self.data, &opened);
            engine = Some(opened);
        }
    }
}

impl<R> Keeper<R> {
    /// Starts the ticker of a store and its delivery, as often as it takes; `None` when the server is to stop before.
    async fn started(&self, engine: &Engine, stages: &mut watch::Receiver<Stage>) -> Option<Started> {
        loop {
            match self.start(engine) {
                Ok(started) => return Some(started),
                Err(why) => tracing::error!(%why, "pages are neither written nor sent: it is tried again"),
            }
            tokio::select! {
                _ = stages.wait_for(|stage| *stage == Stage::Ends) => return None,
                () = sleep(LONGEST) => {}
            }
        }
    }

    /// Starts the ticker of a store and its delivery.
    pub(crate) fn start(&self, engine: &Engine) -> Result<Started, Failure> {
        let ticker = engine.start_ticker()?;
        let delivery = self.mail.start(engine, &self.data)?;
        Ok(Started { ticker, delivery })
    }
}

/// Opens the store again, as often as it takes. Until the folder can be written, the engine that has failed answers reads.
async fn reopened(data: &Path, mut failed: Option<Engine>, latest: &watch::Sender<Router>) -> Engine {
    let (mut wait, mut in_use) = (SHORTEST, false);
    loop {
        sleep(wait).await;
        wait = wait.saturating_mul(2).min(LONGEST);
        let folder = data.to_path_buf();
        // Whoever has the store open, such as a request or a task that is not finished, needs the room more.
        if !in_use {
            let has_room = tokio::task::spawn_blocking(move || has_room(&folder)).await;
            if let Ok(Err(why)) = has_room {
                tracing::error!(%why, "the folder of the store cannot be written");
                continue;
            }
        }
        if let Some(engine) = failed.take() {
            // Requests under way hold it, too: the folder is free when they are finished.
            drop(latest.send_replace(unavailable()));
            drop(tokio::task::spawn_blocking(move || drop(engine)));
        }
        let mut existing = SledOptions::default();
        existing.create = false;
        let opened = Engine::builder().sled_options(existing).open_in_background(data).await;
        in_use = matches!(opened, Err(OpenError::InUse { .. }));
        match opened {
            Ok(engine) => return engine,
            Err(OpenError::InUse { .. }) => wait = SHORTEST,
            Err(why) => tracing::error!(%why, "the store cannot be opened"),
        }
    }
}

/// Checks that the folder can be written, by writing into it.
fn has_room(data: &Path) -> io::Result<()> {
    let path = data.join("room.tmp");
    let written = File::create(&path).and_then(|mut file| {
        (0..ROOM / ZEROS.len()).try_for_each(|_| file.write_all(&ZEROS))?;
        file.sync_all()
    });
    let _ = fs::remove_file(&path);
    written
}

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
