//! The `dogwatch` program: incident response in one folder, from the command line.
//!
//! It parses arguments, calls the engine, and prints; no rule lives here. When a server has the store open, the server does it.
//! Results for programs go to standard output as lines of JSON, everything for people to standard error or, where it is the point
//! of the command, to standard output.

mod cli;
mod cluster;
mod config;
mod deliveries;
mod demo;
mod desk;
mod failure;
mod integration;
mod keep;
mod keys;
mod log;
mod look;
mod mail;
mod manage;
mod oncall;
mod rehearse;
mod serve;
mod socket;
mod stage;
mod status;
mod task;
mod tools;

use std::io::Write;
use std::process::ExitCode;

use crate::cli::{
    BackupArgs, BackupFromArgs, ClusterCommand, Command, ConfigCommand, CopyArgs, IntegrationCommand, KeyCommand,
    MemberCommand, PageCommand,
};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::task::Task;

/// The memory allocator: faster for what the engine does than the system's; see `BENCHMARKS.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match config::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Config { command: ConfigCommand::Check(args) } => serve::check(&args),
        Command::Import(args) => tools::import(&args),
        Command::Restore(args) => tools::restore(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => carry_out(Task::Init(args)),
        Command::Member { command: MemberCommand::Add(args) } => carry_out(Task::AddMember(args)),
        Command::Member { command: MemberCommand::Invite(args) } => carry_out(Task::Invite(args)),
        Command::Key { command: KeyCommand::Create(args) } => carry_out(Task::CreateKey(args)),
        Command::Key { command: KeyCommand::List(args) } => carry_out(Task::ListKeys(args)),
        Command::Key { command: KeyCommand::Revoke(args) } => carry_out(Task::RevokeKey(args)),
        Command::Oncall(args) => carry_out(Task::Oncall(args)),
        Command::Rehearse(args) => carry_out(Task::Rehearse(args)),
        Command::Status(args) => carry_out(Task::Status(args)),
        Command::Verify(args) => carry_out(Task::Verify(args)),
        Command::Export(args) => carry_out(Task::Export(args)),
        Command::Backup(args) => backup(args),
        Command::Push(args) => cluster::push(&args),
        Command::Cluster { command: ClusterCommand::Status(args) } => cluster::status(&args),
        Command::Cluster { command: ClusterCommand::StepDown(args) } => cluster::step_down(&args),
        Command::Changes(args) => carry_out(Task::Changes(args)),
        Command::Compact(args) => carry_out(Task::Compact(args)),
        Command::Stats(args) => carry_out(Task::Stats(args)),
        Command::Deliveries(args) => carry_out(Task::Deliveries(args)),
        Command::Page { command: PageCommand::Test(args) } => mail::test(&args),
        Command::Integration { command } => match command {
            IntegrationCommand::Add(args) => carry_out(Task::AddIntegration(args)),
            IntegrationCommand::List(args) => carry_out(Task::ListIntegrations(args)),
            IntegrationCommand::RotateToken(args) => carry_out(Task::RotateToken(args)),
            IntegrationCommand::Delete(args) => carry_out(Task::DeleteIntegration(args)),
            IntegrationCommand::Test(args) => integration::test(&args),
        },
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

/// `dogwatch backup`, of a folder or of a store that servers share.
fn backup(args: BackupFromArgs) -> Result<(), Failure> {
    let BackupFromArgs { data, to, incremental, store, access } = args;
    match store {
        Some(url) => cluster::backup(&url, &access, &to),
        None => {
            let copy = CopyArgs { data: data.unwrap_or_default(), to };
            carry_out(Task::Backup(BackupArgs { copy, incremental }))
        }
    }
}

/// Does a task, or has the server do it that has the store open.
fn carry_out(task: Task) -> Result<(), Failure> {
    match socket::server_of(task.data()) {
        Some(server) => socket::ask(&server, task),
        None => task.run(&mut Desk::own()),
    }
}
