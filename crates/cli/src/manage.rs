//! `dogwatch init` and `dogwatch member`: organizations and members, created by the operator, who holds the data folder.
//!
//! Arguments are checked before the store is opened. The result is one line of JSON.

use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::team::{AddMember, InviteMember, Joined};
use dogwatch_store::rules::text::{EmailAddress, OrgName, PersonName};
use dogwatch_store::rules::{Actor, OrgId, Validation};
use serde_json::json;

use crate::cli::{AddMemberArgs, InitArgs, InviteArgs};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::look::open_as_admin;

/// `dogwatch init`
pub(crate) fn init(args: &InitArgs, desk: &mut Desk) -> Result<(), Failure> {
    let mut check = Validation::new();
    let name = check.field("--org", OrgName::new(&args.org));
    let admin_email = check.field("--admin-email", EmailAddress::new(&args.admin_email));
    let first_name = check.field("--first-name", PersonName::new(&args.first_name));
    let last_name = check.field("--last-name", PersonName::new(&args.last_name));
    let command = check.finish(|| Some(CreateOrganization::new(name?, admin_email?, first_name?, last_name?)))?;
    let created = desk.engine_or_new(&args.data)?.execute(command, &Actor::Operator)?;
    desk.print(&json!({
        "orgId": created.organization.id.to_string(),
        "userId": created.admin.member.id.to_string(),
        "apiKey": created.admin.api_key.secret.reveal(),
    }))
}

/// `dogwatch member add`
pub(crate) fn add_member(args: &AddMemberArgs, desk: &mut Desk) -> Result<(), Failure> {
    let mut check = Validation::new();
    let org = check.field("--org-id", OrgId::parse(&args.org_id));
    let email = check.field("--email", EmailAddress::new(&args.email));
    let first_name = check.field("--first-name", PersonName::new(&args.first_name));
    let last_name = check.field("--last-name", PersonName::new(&args.last_name));
    let role = check.field("--role", args.role.parse());
    let command = check.finish(|| Some(AddMember::new(org?, email?, first_name?, last_name?, role?)))?;
    let Joined { member, api_key } = desk.engine(&args.data)?.execute(command, &Actor::Operator)?;
    desk.print(&json!({ "userId": member.id.to_string(), "apiKey": api_key.secret.reveal() }))
}

/// `dogwatch member invite`
pub(crate) fn invite(args: &InviteArgs, desk: &mut Desk) -> Result<(), Failure> {
    let mut check = Validation::new();
    let org = check.optional("--org-id", args.store.org_id.as_deref().map(OrgId::parse));
    let email = check.field("--email", EmailAddress::new(&args.email));
    let role = check.field("--role", args.role.parse());
    let (org, email, role) = check.finish(|| Some((org?, email?, role?)))?;
    let (engine, admin) = open_as_admin(desk, &args.store.data, org)?;
    let sent = engine.execute(InviteMember::new(email, role), &admin)?;
    desk.print(&json!({ "invitationId": sent.invitation.id.to_string(), "token": sent.token.reveal() }))
}
