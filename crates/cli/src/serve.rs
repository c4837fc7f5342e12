//! `dogwatch serve`: the API over HTTP, from the store in one folder.
//!
//! An empty store gets an organization first. SIGTERM and SIGINT end the command, once the requests under way are finished.
//!
//! Beside the server, the program's other commands have it do what they are to do with the store (`socket.rs`).
//!
//! The store is kept open by the keeper (`keep.rs`), and what is in its outbox is sent as `mail.rs` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::net::ToSocketAddrs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dogwatch_http::{Certificates, Limits, Metrics, RouterBuilder, Settings, serve_latest, unavailable};
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::{Actor, Error as Refusal};
use dogwatch_store::{Engine, OpenError};
use dogwatch_web::{Logo, StatusSettings, by_host};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::cli::ServeArgs;
use crate::cluster::{self, Member};
use crate::failure::Failure;
use crate::keep::{Keeper, Stage, lacks_room, socket};
use crate::log::Log;
use crate::look::valid;
use crate::mail::Mail;

/// What is said when pages are not sent.
const NOBODY: &str = "pages reach nobody: there is no mail server (`DOGWATCH_SMTP_URL`)";

/// Runs the command until SIGTERM or SIGINT.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let level = if args.quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    let filter = args.log_filter.clone().unwrap_or_else(|| Targets::new().with_default(level));
    let log = Log::start(filter, args.log_format)?;
    // What does not fit is said before anything is opened.
    let mail = Mail::of(args)?;
    let draining = Arc::new(AtomicBool::new(false));
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    if let Some(url) = &args.store {
        let member = Member::join(args, url, &draining)?;
        return runtime()?.block_on(listen(args, Kept::Shared(member), draining, mail, &log));
    }
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
    // The engine finishes what was handed in and makes it durable when its last handle is dropped.
    runtime()?.block_on(listen(args, Kept::Folder(engine), draining, mail, &log))
}

/// What is served.
enum Kept {
    /// A store in a folder; `None` while there is no room to open it.
    Folder(Option<Engine>),
    /// A store that several servers share.
    Shared(Member),
}

impl Kept {
    /// The engine that is open from the beginning, if there is one.
    const fn engine(&self) -> Option<&Engine> {
        match self {
            Self::Folder(engine) => engine.as_ref(),
            Self::Shared(_) => None,
        }
    }
}

/// Checks settings without serving: files that they name can be read, and the address can be one.
pub(crate) fn check(args: &ServeArgs) -> Result<(), Failure> {
    certificates(args)?;
    status_pages(args)?;
    let mail = Mail::of(args)?;
    if let Some(url) = &args.store {
        cluster::settings(url, &args.access)?;
    }
    args.listen.to_socket_addrs()?;
    writeln!(
        io::stdout(),
        "the settings fit{}",
        if mail.is_sent() { "" } else { ", but pages reach nobody: no mail" }
    )?;
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

/// How status pages look, and where they are reached.
fn status_pages(args: &ServeArgs) -> Result<StatusSettings, Failure> {
    let mut settings = StatusSettings::default();
    settings.public_url.clone_from(&args.public_url);
    let mut hosts = BTreeSet::new();
    for (host, slug) in &args.status_pages {
        if !hosts.insert(host) {
            return Err(Refusal::invalid("--status-pages", format!("`{host}` must be given once")).into());
        }
        // A name of its own is one that people see, and so has TLS, in whichever way.
        settings.public_urls.entry(slug.clone()).or_insert_with(|| format!("https://{host}"));
    }
    for (slug, accent) in &args.status_colors {
        settings.looks.entry(slug.clone()).or_default().accent = Some(*accent);
    }
    for (slug, file) in &args.status_logos {
        let refused =
            |why: &dyn std::fmt::Display| Refusal::invalid("--status-logos", format!("{}: {why}", file.display()));
        let bytes = std::fs::read(file).map_err(|why| refused(&why))?;
        let logo = Logo::new(bytes).map_err(|why| refused(&why))?;
        settings.looks.entry(slug.clone()).or_default().logo = Some(logo);
    }
    Ok(settings)
}

/// The file in the folder of the store that holds the first API key, when nobody sat before a terminal to read it.
const FIRST_KEY: &str = "first-api-key";

/// Makes an empty store usable: an organization, its admin, and an API key. It is shown once on a terminal; what is printed elsewhere
/// is often kept as a log, so there it goes into a file for the owner only.
pub(crate) fn first_organization(engine: &Engine, data: &Path) -> Result<(), Failure> {
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

async fn listen(args: &ServeArgs, kept: Kept, draining: Arc<AtomicBool>, mail: Mail, log: &Log) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let tls = certificates(args)?;
    if let Some(certificates) = tls.clone() {
        reload_on_hang_up(certificates)?;
    }
    let listener = TcpListener::bind(&args.listen).await?;
    let address = listener.local_addr()?;
    let socket = kept.engine().and_then(|engine| socket(&args.data, engine));
    let mut out = io::stdout();
    let scheme = if tls.is_some() { "https" } else { "http" };
    writeln!(out, "listening on {scheme}://{address}")?;
    if tls.is_none() && !address.ip().is_loopback() {
        tracing::warn!(%address, "served without TLS beyond this machine: keys can be read on the way");
    }
    out.flush()?;
    let (stops, before) = (Arc::clone(&draining), Duration::from_secs(args.pre_stop_seconds));
    let (stages, stage) = watch::channel(Stage::Serves);
    let (leaves, (left, has_left)) = (stages.clone(), oneshot::channel());
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
        // If another server can lead, it does before this one takes no more connections.
        let _ = leaves.send(Stage::Leaves);
        let _ = has_left.await;
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
    let mail = mail.at(&format!("{scheme}://{address}"));
    let mut metrics = mail.counts()(metrics);
    let neighbours = match &kept {
        Kept::Folder(_) => None,
        Kept::Shared(member) => {
            metrics = member.counts(metrics);
            Some(member.neighbours.clone())
        }
    };
    let notice = if mail.is_sent() { "" } else { NOBODY };
    if !mail.is_sent() {
        tracing::warn!("{NOBODY}");
    }
    let (data, links, pages) = (args.data.clone(), mail.clone(), status_pages(args)?);
    let hosts: BTreeMap<_, _> = args.status_pages.iter().cloned().collect();
    let router = move |engine: &Engine| {
        let builder =
            RouterBuilder::new(engine.clone()).metrics(metrics.of(engine)).limits(limits).cors(origins.clone());
        let builder = builder.trusted_proxies(proxies.clone()).draining(Arc::clone(&draining)).notice(notice);
        let builder = builder.fetch(|url| dogwatch_deliver::fetch(url).map_err(|why| why.to_string()));
        let pages = dogwatch_web::status_pages(engine.clone(), pages.clone());
        let router = match links.key(&data) {
            Some(key) => builder.beside(pages.merge(links.pages(engine, key.clone()))).master_key(key).build(),
            None => builder.beside(pages).build(),
        };
        let router = match &neighbours {
            Some(neighbours) => neighbours.around(router),
            None => router,
        };
        by_host(router, hosts.clone())
    };
    let first = kept.engine().map_or_else(unavailable, &router);
    let (latest, routers) = watch::channel(first);
    let keeper = Keeper { data: args.data.clone(), drain_time: settings.drain_time, mail, router, latest };
    let kept = match kept {
        Kept::Folder(engine) => {
            // There is nobody to leave anything to.
            drop(left);
            tokio::spawn(keeper.run(engine, socket, stage))
        }
        Kept::Shared(member) => tokio::spawn(member.run(keeper, stage, left)),
    };
    let served = serve_latest(listener, routers, settings, stop).await;
    let _ = stages.send(Stage::Ends);
    kept.await.map_err(io::Error::other)??;
    Ok(served?)
}
