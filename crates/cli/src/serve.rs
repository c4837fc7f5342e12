//! `dogwatch serve`: the API over HTTP, from the store in one folder.
//!
//! An empty store gets an organization first. SIGTERM and SIGINT end the command, once the requests under way are finished.
//!
//! Beside the server, the program's other commands have it do what they are to do with the store (`socket.rs`).
//!
//! When storage fails, because the disk is full or gone, reads are answered from what there is, and the store is opened again as soon
//! as its folder can be written ([`keep_open`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::net::ToSocketAddrs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use dogwatch_http::{Certificates, Limits, Metrics, RouterBuilder, Settings, serve_latest, unavailable};
use dogwatch_store::backend::SledOptions;
use dogwatch_store::rules::Actor;
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::{Engine, OpenError, Ticker};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::cli::ServeArgs;
use crate::failure::Failure;
use crate::log::Log;
use crate::look::valid;
use crate::socket::Socket;

/// How often it is looked whether storage has failed.
const LOOK: Duration = Duration::from_millis(250);
/// The shortest and the longest wait before the store is opened again.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// The room that there must be in the folder: what the journal and the database take when they grow.
const ROOM: usize = 16 << 20;

/// Runs the command until SIGTERM or SIGINT.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let level = if args.quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    let filter = args.log_filter.clone().unwrap_or_else(|| Targets::new().with_default(level));
    let log = Log::start(filter, args.log_format);
    let opened = if args.existing { Engine::open_existing(&args.data) } else { Engine::open(&args.data) };
    let engine = match opened {
        Ok(engine) => Some(engine),
        // A process that has ended pages nobody when there is room again.
        Err(why @ (OpenError::Io { .. } | OpenError::Backend(_))) if lacks_room(&args.data) => {
            tracing::error!(%why, "the store cannot be opened, for there is no room: it is tried again and again");
            None
        }
        Err(why) => return Err(why.into()),
    };
    if let Some(engine) = &engine
        && engine.organizations()?.is_empty()
    {
        first_organization(engine, &args.data)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // The engine finishes what was handed in and makes it durable when its last handle is dropped.
    runtime.block_on(listen(args, engine, &log))
}

/// Checks settings without serving: files that they name can be read, and the address can be one.
pub(crate) fn check(args: &ServeArgs) -> Result<(), Failure> {
    certificates(args)?;
    args.listen.to_socket_addrs()?;
    writeln!(io::stdout(), "the settings fit")?;
    Ok(())
}

/// The certificate and its key, if the API is to be served with TLS.
fn certificates(args: &ServeArgs) -> Result<Option<Certificates>, Failure> {
    let files = args.tls_cert.as_ref().zip(args.tls_key.as_ref());
    Ok(files.map(|(certificate, key)| Certificates::read(certificate, key)).transpose()?)
}

/// Reads the certificate again whenever SIGHUP comes. One that cannot be read leaves the old one in place.
fn reload_on_hang_up(certificates: Certificates) -> Result<(), Failure> {
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            match certificates.reload() {
                Ok(()) => tracing::warn!("the certificate was read again"),
                Err(why) => tracing::error!(%why, "the certificate cannot be read again: the old one stays"),
            }
        }
    });
    Ok(())
}

/// How connections are served.
fn settings(args: &ServeArgs, tls: Option<Certificates>) -> Settings {
    let seconds = Duration::from_secs;
    let mut settings = Settings::default();
    settings.tls = tls;
    settings.connections = args.connections;
    settings.connections_per_address = args.connections_per_address;
    settings.trusted_proxies = args.trusted_proxy.clone().unwrap_or_default();
    settings.header_time = seconds(args.header_seconds);
    settings.write_time = seconds(args.write_seconds);
    settings.drain_time = seconds(args.drain_seconds);
    settings
}

/// How much callers may ask for.
fn limits(args: &ServeArgs) -> Limits {
    let mut limits = Limits::default();
    limits.per_key = args.rate_per_key.0;
    limits.per_address = args.rate_per_address.0;
    limits.wrong_keys = args.rate_wrong_keys.0;
    limits.bodies = args.body_memory.saturating_mul(1 << 20);
    limits.query_time = Duration::from_secs(args.query_seconds);
    limits
}

/// The file in the folder of the store that holds the first API key, when nobody sat before a terminal to read it.
const FIRST_KEY: &str = "first-api-key";

/// Makes an empty store usable: an organization, its admin, and an API key. It is shown once on a terminal; what is printed elsewhere
/// is often kept as a log, so there it goes into a file for the owner only.
fn first_organization(engine: &Engine, data: &Path) -> Result<(), Failure> {
    let command = CreateOrganization::new(
        valid("My organization")?,
        valid("admin@example.com")?,
        valid("Admin")?,
        valid("User")?,
    );
    let created = engine.execute(command, &Actor::Operator)?;
    let mut out = io::stdout();
    writeln!(out, "created an organization: {}", created.organization.id)?;
    writeln!(out, "its admin: {}", created.admin.member.id)?;
    let key = created.admin.api_key.secret.reveal();
    if out.is_terminal() {
        writeln!(out, "their API key, shown only now: {key}")?;
    } else {
        let path = data.join(FIRST_KEY);
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
        writeln!(file, "{key}")?;
        file.sync_all()?;
        writeln!(out, "their API key is in `{}`: remove the file when you have it", path.display())?;
    }
    Ok(())
}

async fn listen(args: &ServeArgs, engine: Option<Engine>, log: &Log) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let tls = certificates(args)?;
    if let Some(certificates) = tls.clone() {
        reload_on_hang_up(certificates)?;
    }
    let listener = TcpListener::bind(&args.listen).await?;
    let address = listener.local_addr()?;
    let socket = engine.as_ref().and_then(|engine| socket(&args.data, engine));
    let mut out = io::stdout();
    let scheme = if tls.is_some() { "https" } else { "http" };
    writeln!(out, "listening on {scheme}://{address}")?;
    if tls.is_none() && !address.ip().is_loopback() {
        tracing::warn!(%address, "served without TLS beyond this machine: keys can be read on the way");
    }
    out.flush()?;
    let draining = Arc::new(AtomicBool::new(false));
    let (stops, before) = (Arc::clone(&draining), Duration::from_secs(args.pre_stop_seconds));
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stops.store(true, Ordering::Release);
        if !before.is_zero() {
            tracing::info!("stopping soon: this is no longer ready");
            sleep(before).await;
        }
        tracing::info!("stopping: requests under way are finished");
    };
    let settings = settings(args, tls);
    let (limits, proxies) = (limits(args), settings.trusted_proxies.clone());
    let name = "dogwatch_log_lines_dropped";
    let origins = args.cors_origin.clone();
    let turned_away = Arc::clone(&settings.turned_away);
    let metrics = Metrics::default().counting(name, "Log lines that nobody read in time.", log.dropped()).counting(
        "dogwatch_connections_turned_away",
        "Connections for which there was no seat.",
        move || turned_away.load(Ordering::Relaxed),
    );
    let router = move |engine: &Engine| {
        let builder =
            RouterBuilder::new(engine.clone()).metrics(metrics.of(engine)).limits(limits).cors(origins.clone());
        builder.trusted_proxies(proxies.clone()).draining(Arc::clone(&draining)).build()
    };
    let (latest, routers) = watch::channel(engine.as_ref().map_or_else(unavailable, &router));
    let (ends, ending) = watch::channel(false);
    let kept = tokio::spawn(keep_open(args.data.clone(), engine, socket, settings.drain_time, latest, router, ending));
    let served = serve_latest(listener, routers, settings, stop).await;
    let _ = ends.send(true);
    kept.await.map_err(io::Error::other)??;
    Ok(served?)
}

/// The socket over which tasks come. Without it, they have to wait until this server stops.
fn socket(data: &Path, engine: &Engine) -> Option<Socket> {
    let socket = Socket::listen(data, engine.downgrade());
    socket
        .map_err(|why| tracing::warn!(%why, "there is no socket in the folder: other commands find the store in use"))
        .ok()
}

/// Keeps the store open and its ticker running until it is to stop. After a failure of storage, and when it is not open yet, it waits
/// until the folder can be written, and opens the store again.
async fn keep_open(
    data: PathBuf,
    mut engine: Option<Engine>,
    mut socket_of_engine: Option<Socket>,
    drain_time: Duration,
    latest: watch::Sender<Router>,
    router: impl Fn(&Engine) -> Router,
    mut ending: watch::Receiver<bool>,
) -> Result<(), Failure> {
    loop {
        if let Some(open) = &engine {
            let ticker = open.start_ticker()?;
            let failed = async {
                while open.failure().is_none() {
                    sleep(LOOK).await;
                }
            };
            let ends = tokio::select! {
                _ = ending.wait_for(|end| *end) => true,
                () = failed => false,
            };
            end(ticker);
            let socket = socket_of_engine.take();
            if ends {
                let close = move || socket.map(|socket| socket.close(drain_time));
                tokio::task::spawn_blocking(close).await.map_err(io::Error::other)?;
                return Ok(());
            }
            // Why is in the log already.
            tracing::error!("the store is opened again as soon as its folder can be written");
        }
        let opened = tokio::select! {
            _ = ending.wait_for(|end| *end) => return Ok(()),
            opened = reopened(&data, engine.take(), &latest) => opened,
        };
        tracing::warn!("the store is open again");
        drop(latest.send_replace(router(&opened)));
        socket_of_engine = socket(&data, &opened);
        engine = Some(opened);
    }
}

/// Stops a ticker. What made it end by itself has been said already.
fn end(ticker: Ticker) {
    let _ = ticker.stop();
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

/// Whether a folder with a store cannot be written for lack of room.
fn lacks_room(data: &Path) -> bool {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    data.join("db").exists() && has_room(data).is_err_and(|why| full.contains(&why.kind()))
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
