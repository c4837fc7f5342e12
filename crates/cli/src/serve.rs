//! `dogwatch serve`: the API over HTTP, from the store in one folder.
//!
//! An empty store gets an organization first. SIGTERM and SIGINT end the command, once the requests under way are finished.

use std::io::Write;
use std::time::Duration;

use dogwatch_http::{Limits, Metrics, RouterBuilder, Settings, serve};
use dogwatch_store::Engine;
use dogwatch_store::rules::Actor;
use dogwatch_store::rules::organization::CreateOrganization;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArgs;
use crate::failure::Failure;
use crate::log::Log;
use crate::look::valid;

/// Runs the command until SIGTERM or SIGINT.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let level = if args.quiet { tracing::Level::WARN } else { tracing::Level::INFO };
    let log = Log::start(level);
    let engine = if args.existing { Engine::open_existing(&args.data)? } else { Engine::open(&args.data)? };
    if engine.organizations()?.is_empty() {
        first_organization(&engine)?;
    }
    let ticker = engine.start_ticker()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(listen(args, &engine, &log))?;
    // The engine finishes what was handed in and makes it durable when its last handle is dropped.
    ticker.stop()?;
    Ok(())
}

/// Makes an empty store usable: an organization, its admin, and an API key that is shown once.
fn first_organization(engine: &Engine) -> Result<(), Failure> {
    let command = CreateOrganization::new(
        valid("My organization")?,
        valid("admin@example.com")?,
        valid("Admin")?,
        valid("User")?,
    );
    let created = engine.execute(command, &Actor::Operator)?;
    let mut out = std::io::stdout();
    writeln!(out, "created an organization: {}", created.organization.id)?;
    writeln!(out, "its admin: {}", created.admin.member.id)?;
    writeln!(out, "their API key, shown only now: {}", created.admin.api_key.secret.reveal())?;
    Ok(())
}

async fn listen(args: &ServeArgs, engine: &Engine, log: &Log) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind(&args.listen).await?;
    let address = listener.local_addr()?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on http://{address}")?;
    out.flush()?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests under way are finished");
    };
    let seconds = Duration::from_secs;
    let mut settings = Settings::default();
    settings.connections = args.connections;
    settings.connections_per_address = args.connections_per_address;
    settings.header_time = seconds(args.header_seconds);
    settings.write_time = seconds(args.write_seconds);
    settings.drain_time = seconds(args.drain_seconds);
    let mut limits = Limits::default();
    limits.per_key = args.rate_per_key.0;
    limits.per_address = args.rate_per_address.0;
    limits.wrong_keys = args.rate_wrong_keys.0;
    limits.bodies = args.body_memory.saturating_mul(1 << 20);
    let metrics = Metrics::new(engine).counting(
        "dogwatch_log_lines_dropped",
        "Log lines that nobody read in time.",
        log.dropped(),
    );
    let router = RouterBuilder::new(engine.clone()).metrics(metrics).limits(limits).build();
    Ok(serve(listener, router, settings, stop).await?)
}
