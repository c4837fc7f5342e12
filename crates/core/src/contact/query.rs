//! Contact methods as their readers see them.

use super::{ContactMethod, ContactMethodKind, built_in};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::error::Error;
use crate::id::{ContactMethodId, UserId};
use crate::membership::is_admin;
use crate::team::Member;
use crate::text::Name;
use crate::time::Timestamp;
use crate::world::World;

seal!(ListContactMethods);

/// A contact method as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct ContactMethodView {
    /// The method's id.
    pub id: ContactMethodId,
    /// The member whom it reaches.
    pub user_id: UserId,
    /// Its kind.
    pub kind: ContactMethodKind,
    /// Its name; of the built-in one `E-mail`.
    pub name: Name,
    /// Where it leads; `None` for Slack, where the member is found by e-mail.
    pub address: Option<String>,
    /// Whether the member has shown that it reaches them.
    pub verified: bool,
    /// When it was added; of the built-in one, when the member joined.
    pub created_at: Timestamp,
}

impl From<&ContactMethod> for ContactMethodView {
    fn from(method: &ContactMethod) -> Self {
        Self {
            id: method.id,
            user_id: method.user_id,
            kind: method.address.kind(),
            name: method.name.clone(),
            address: Some(method.address.as_str().to_owned()).filter(|address| !address.is_empty()),
            verified: method.is_verified(),
            created_at: method.created_at,
        }
    }
}

/// The built-in contact method of a member. Code: `not_found`.
pub(super) fn built_in_of(world: &dyn World, user: UserId) -> Result<ContactMethodView, Error> {
    let member = world.member(user)?.filter(Member::is_active).ok_or_else(|| Error::not_found("member"))?;
    Ok(ContactMethodView {
        id: built_in(member.id),
        user_id: member.id,
        kind: ContactMethodKind::Email,
        name: Name::new("E-mail").map_err(|problem| Error::broken(problem.to_string()))?,
        address: Some(member.email.as_str().to_owned()),
        verified: true,
        created_at: member.joined_at,
    })
}

/// The contact methods of a member: the built-in one, then the others, oldest first (contract, section 9). Codes, in the order of the
/// checks: `not_authorized` (those of somebody else, unless the actor is an admin), `not_found` (no such member).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListContactMethods {
    /// The member; `None`: the acting user.
    pub user_id: Option<UserId>,
}

impl ListContactMethods {
    /// The question for one's own.
    #[must_use]
    pub const fn new() -> Self {
        Self { user_id: None }
    }
}

impl Query for ListContactMethods {
    type Caller = ByMember;
    type Reply = Vec<ContactMethodView>;
    const CODES: &'static [Code] = &[Code::NotAuthorized, Code::NotFound];

    fn answer(&self, by: ByMember, view: &View<'_>) -> Result<Vec<ContactMethodView>, Error> {
        let user = self.user_id.unwrap_or(by.user_id);
        if user != by.user_id && !is_admin(view.world, by.user_id)? {
            return Err(Error::refused(Code::NotAuthorized, "the contact methods of others need the role `org:admin`"));
        }
        let mut methods = vec![built_in_of(view.world, user)?];
        methods.extend(view.world.contact_methods(user)?.iter().map(ContactMethodView::from));
        Ok(methods)
    }
}
