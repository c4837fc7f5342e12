//! The [`Task`]s: what the program does with a store and then ends. A server that has the store open does them for it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::{
    AddIntegrationArgs, AddMemberArgs, BackupArgs, ChangesArgs, CopyArgs, CreateKeyArgs, DeliveriesArgs, ExportArgs,
    InitArgs, IntegrationArgs, InviteArgs, ListIntegrationsArgs, ListKeysArgs, OncallArgs, RehearseArgs, RevokeKeyArgs,
    StatusArgs, VerifyArgs,
};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::{deliveries, integration, keys, manage, oncall, rehearse, status, tools};

/// A task and its arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Task {
    Init(InitArgs),
    AddMember(AddMemberArgs),
    Invite(InviteArgs),
    CreateKey(CreateKeyArgs),
    ListKeys(ListKeysArgs),
    RevokeKey(RevokeKeyArgs),
    Oncall(OncallArgs),
    Rehearse(RehearseArgs),
    Status(StatusArgs),
    Verify(VerifyArgs),
    Export(ExportArgs),
    Backup(BackupArgs),
    Changes(ChangesArgs),
    Compact(CopyArgs),
    Stats(VerifyArgs),
    Deliveries(DeliveriesArgs),
    AddIntegration(AddIntegrationArgs),
    ListIntegrations(ListIntegrationsArgs),
    RotateToken(IntegrationArgs),
    DeleteIntegration(IntegrationArgs),
}

impl Task {
    /// The folder of the store.
    pub(crate) fn data(&self) -> &Path {
        match self {
            Self::Init(args) => &args.data,
            Self::AddMember(args) => &args.data,
            Self::Invite(args) => &args.store.data,
            Self::CreateKey(args) => &args.store.data,
            Self::ListKeys(args) => &args.store.data,
            Self::RevokeKey(args) => &args.store.data,
            Self::Oncall(args) => &args.data,
            Self::Rehearse(args) => &args.data,
            Self::Status(args) => &args.data,
            Self::Verify(args) | Self::Stats(args) => &args.data,
            Self::Export(args) => &args.data,
            Self::Backup(args) => &args.copy.data,
            Self::Changes(args) => &args.data,
            Self::Compact(args) => &args.data,
            Self::Deliveries(args) => &args.data,
            Self::AddIntegration(args) => &args.store.data,
            Self::ListIntegrations(args) => &args.store.data,
            Self::RotateToken(args) | Self::DeleteIntegration(args) => &args.store.data,
        }
    }

    /// The folder that is made, which the server makes where the caller says, not where it runs itself.
    pub(crate) fn with_whole_paths(mut self) -> io::Result<Self> {
        let folder: Option<&mut PathBuf> = match &mut self {
            Self::Backup(args) => Some(&mut args.copy.to),
            Self::Compact(args) => Some(&mut args.to),
            _ => None,
        };
        if let Some(folder) = folder {
            *folder = std::path::absolute(&*folder)?;
        }
        Ok(self)
    }

    /// Takes the file that the output is to go to, so that the caller writes it.
    pub(crate) fn take_file(&mut self) -> Option<PathBuf> {
        if let Self::Export(args) = self { args.to.take() } else { None }
    }

    /// Does it.
    pub(crate) fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        match self {
            Self::Init(args) => manage::init(args, desk),
            Self::AddMember(args) => manage::add_member(args, desk),
            Self::Invite(args) => manage::invite(args, desk),
            Self::CreateKey(args) => keys::create(args, desk),
            Self::ListKeys(args) => keys::list(args, desk),
            Self::RevokeKey(args) => keys::revoke(args, desk),
            Self::Oncall(args) => oncall::run(args, desk),
            Self::Rehearse(args) => rehearse::run(args, desk),
            Self::Status(args) => status::run(args, desk),
            Self::Verify(args) => tools::verify(args, desk),
            Self::Export(args) => tools::export(args, desk),
            Self::Backup(args) => tools::backup(args, desk),
            Self::Changes(args) => tools::changes(args, desk),
            Self::Compact(args) => tools::compact(args, desk),
            Self::Stats(args) => tools::stats(args, desk),
            Self::Deliveries(args) => deliveries::run(args, desk),
            Self::AddIntegration(args) => integration::add(args, desk),
            Self::ListIntegrations(args) => integration::list(args, desk),
            Self::RotateToken(args) => integration::rotate(args, desk),
            Self::DeleteIntegration(args) => integration::delete(args, desk),
        }
    }
}
