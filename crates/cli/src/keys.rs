//! `dogwatch key`: API keys, managed by the operator, who holds the data folder.
//!
//! A key is created as the member whose key it is; keys are listed and revoked as the first admin of the organization.

use dogwatch_store::Engine;
use dogwatch_store::rules::api_key::{CreateApiKey, ListApiKeys, RevokeApiKey};
use dogwatch_store::rules::id::ApiKeyId;
use dogwatch_store::rules::team::ListTeam;
use dogwatch_store::rules::text::{EmailAddress, Name};
use dogwatch_store::rules::{Actor, Error as Refusal, OrgId, Timestamp, Validation};
use serde_json::json;

use crate::cli::{CreateKeyArgs, ListKeysArgs, RevokeKeyArgs, StoreArgs};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::look::{open_as_admin, organization};

/// `dogwatch key create`
pub(crate) fn create(args: &CreateKeyArgs, desk: &mut Desk) -> Result<(), Failure> {
    let mut check = Validation::new();
    let org = check.optional("--org-id", args.store.org_id.as_deref().map(OrgId::parse));
    let email = check.field("--email", EmailAddress::new(&args.email));
    let name = check.field("--name", Name::new(&args.name));
    let expires_at = check.optional("--expires-at", args.expires_at.as_deref().map(Timestamp::parse));
    let (org, email, name, expires_at) = check.finish(|| Some((org?, email?, name?, expires_at?)))?;
    let engine = desk.engine(&args.store.data)?;
    let org = organization(&engine, org)?;
    let team = engine.query(&ListTeam, &engine.first_admin(org)?)?;
    let member = team.members.iter().find(|member| member.email.folded() == email.folded());
    let member = member.ok_or_else(|| Refusal::not_found("member"))?;
    let made = engine.execute(CreateApiKey { name, expires_at }, &Actor::member(org, member.id))?;
    desk.print(&json!({ "keyId": made.key.id.to_string(), "apiKey": made.secret.reveal() }))
}

/// `dogwatch key list`
pub(crate) fn list(args: &ListKeysArgs, desk: &mut Desk) -> Result<(), Failure> {
    let (engine, admin) = opened(&args.store, desk)?;
    for key in engine.query(&ListApiKeys, &admin)? {
        desk.print(&json!({
            "keyId": key.id.to_string(),
            "name": key.name.as_str(),
            "userId": key.user_id.to_string(),
            "createdAt": key.created_at.to_string(),
            "expiresAt": key.expires_at.map(|at| at.to_string()),
            "lastFour": key.last_four,
        }))?;
    }
    Ok(())
}

/// `dogwatch key revoke`
pub(crate) fn revoke(args: &RevokeKeyArgs, desk: &mut Desk) -> Result<(), Failure> {
    let mut check = Validation::new();
    let id = check.field("--key-id", ApiKeyId::parse(&args.key_id));
    let id = check.finish(|| id)?;
    let (engine, admin) = opened(&args.store, desk)?;
    let id = engine.execute(RevokeApiKey { id }, &admin)?;
    desk.print(&json!({ "keyId": id.to_string(), "revoked": true }))
}

fn opened(store: &StoreArgs, desk: &Desk) -> Result<(Engine, Actor), Failure> {
    let mut check = Validation::new();
    let org = check.optional("--org-id", store.org_id.as_deref().map(OrgId::parse));
    let org = check.finish(|| org)?;
    open_as_admin(desk, &store.data, org)
}
