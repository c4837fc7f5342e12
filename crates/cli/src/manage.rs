//! `dogwatch init` and `dogwatch member`: organizations and members, created by the operator, who holds the data folder.
//!
//! Arguments are checked before the store is opened. The result is one line of JSON.

use dogwatch_store::Engine;
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::team::{AddMember, Joined};
use dogwatch_store::rules::text::{EmailAddress, OrgName, PersonName};
use dogwatch_store::rules::{Actor, OrgId, Validation};
use serde_json::json;

use crate::cli::{AddMemberArgs, InitArgs};
use crate::failure::Failure;
use crate::look::print;

/// `dogwatch init`
pub(crate) fn init(args: &InitArgs) -> Result<(), Failure> {
    let mut check = Validation::new();
    let name = check.field("--org", OrgName::new(&args.org));
    let admin_email = check.field("--admin-email", EmailAddress::new(&args.admin_email));
    let first_name = check.field("--first-name", PersonName::new(&args.first_name));
    let last_name = check.field("--last-name", PersonName::new(&args.last_name));
    let command = check.finish(|| Some(CreateOrganization::new(name?, admin_email?, first_name?, last_name?)))?;
    let created = Engine::open(&args.data)?.execute(command, &Actor::Operator)?;
    print(&json!({
        "orgId": created.organization.id.to_string(),
        "userId": created.admin.member.id.to_string(),
        "apiKey": created.admin.api_key.secret.reveal(),
    }))
}

/// `dogwatch member add`
pub(crate) fn add_member(args: &AddMemberArgs) -> Result<(), Failure> {
    let mut check = Validation::new();
    let org = check.field("--org-id", OrgId::parse(&args.org_id));
    let email = check.field("--email", EmailAddress::new(&args.email));
    let first_name = check.field("--first-name", PersonName::new(&args.first_name));
    let last_name = check.field("--last-name", PersonName::new(&args.last_name));
    let role = check.field("--role", args.role.parse());
    let command = check.finish(|| Some(AddMember::new(org?, email?, first_name?, last_name?, role?)))?;
    let Joined { member, api_key } = Engine::open_existing(&args.data)?.execute(command, &Actor::Operator)?;
    print(&json!({ "userId": member.id.to_string(), "apiKey": api_key.secret.reveal() }))
}
