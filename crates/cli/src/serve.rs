//! `dogwatch serve`: the API over HTTP, from the store in one folder.
//!
//! An empty store gets an organization first. SIGTERM and SIGINT end the command, once the requests under way are finished.

use std::io::{IsTerminal, Write};

use dogwatch_http::{Settings, router, serve};
use dogwatch_store::Engine;
use dogwatch_store::rules::Actor;
use dogwatch_store::rules::organization::CreateOrganization;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArgs;
use crate::failure::Failure;
use crate::look::valid;

/// Runs the command until SIGTERM or SIGINT.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let level = if args.quiet { tracing::Level::WARN } else { tracing::Level::INFO };
    // This fails when the process has a subscriber already, which then goes on logging.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    let engine = Engine::open(&args.data)?;
    if engine.organizations()?.is_empty() {
        first_organization(&engine)?;
    }
    let ticker = engine.start_ticker()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(listen(args, &engine))?;
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

async fn listen(args: &ServeArgs, engine: &Engine) -> Result<(), Failure> {
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
    let mut settings = Settings::default();
    settings.connections = args.connections;
    Ok(serve(listener, router(engine.clone()), settings, stop).await?)
}
