//! The `dogwatch` program: incident response in one folder, from the command line.
//!
//! It parses arguments, calls the engine, and prints; no rule lives here. Results for programs go to standard output as lines
//! of JSON, everything for people to standard error or, where it is the point of the command, to standard output.

mod cli;
mod config;
mod demo;
mod failure;
mod keys;
mod log;
mod look;
mod manage;
mod oncall;
mod rehearse;
mod serve;
mod stage;
mod tools;

use std::io::Write;
use std::process::ExitCode;

use crate::cli::{Command, ConfigCommand, KeyCommand, MemberCommand};

/// The memory allocator: faster for what the engine does than the system's; see `BENCHMARKS.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match config::parse().command {
        Command::Init(args) => manage::init(&args),
        Command::Member { command: MemberCommand::Add(args) } => manage::add_member(&args),
        Command::Key { command: KeyCommand::Create(args) } => keys::create(&args),
        Command::Key { command: KeyCommand::List(args) } => keys::list(&args),
        Command::Key { command: KeyCommand::Revoke(args) } => keys::revoke(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Config { command: ConfigCommand::Check(args) } => serve::check(&args),
        Command::Oncall(args) => oncall::run(&args),
        Command::Rehearse(args) => rehearse::run(&args),
        Command::Verify(args) => tools::verify(&args),
        Command::Export(args) => tools::export(&args),
        Command::Import(args) => tools::import(&args),
        Command::Backup(args) => tools::backup(&args),
        Command::Restore(args) => tools::restore(&args),
        Command::Changes(args) => tools::changes(&args),
        Command::Compact(args) => tools::compact(&args),
        Command::Stats(args) => tools::stats(&args),
        Command::Demo(args) => demo::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has closed it: not a failure of the command.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // If even standard error is gone, the exit code still tells.
            let _ = write!(anstream::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}
