//! What many tests begin with.

use dogwatch_core::{Actor, CreateOrganization, OrganizationCreated};
use dogwatch_store::Engine;

/// The command that creates the organization Harbour with its admin Ada Byron.
#[must_use]
pub fn create_organization() -> CreateOrganization {
    CreateOrganization {
        name: "Harbour".parse().unwrap(),
        admin_email: "ada@example.com".parse().unwrap(),
        first_name: "Ada".parse().unwrap(),
        last_name: "Byron".parse().unwrap(),
    }
}

/// An organization in an engine.
#[must_use]
pub fn organization(engine: &Engine) -> OrganizationCreated {
    engine.execute(create_organization(), &Actor::Operator).unwrap()
}
