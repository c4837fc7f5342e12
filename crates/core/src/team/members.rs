//! The members of an organization: who they are, their roles, and their removal (contract, section 4).

use super::invitations::InvitationView;
use super::{Member, Role};
use crate::caller::ByAdmin;
use crate::code::Code;
use crate::command::{Command, Context, Query, View, seal};
use crate::contact::leave_contacts;
use crate::error::Error;
use crate::id::UserId;
use crate::removal::{self, Removed};
use crate::world::{Change, World, Write};

seal!(ListTeam, GetMember, ChangeRole, RemoveMember);

/// The reply to [`ListTeam`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct Team {
    /// The members who have not been removed, by the time at which they joined.
    pub members: Vec<Member>,
    /// The pending invitations, oldest first.
    pub invitations: Vec<InvitationView>,
}

/// The members and the pending invitations of the organization (contract, section 4). Admin only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListTeam;

impl Query for ListTeam {
    type Caller = ByAdmin;
    type Reply = Team;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByAdmin, view: &View<'_>) -> Result<Team, Error> {
        let invitations = view.world.invitations()?.iter().map(InvitationView::from).collect();
        Ok(Team { members: view.world.members()?, invitations })
    }
}

/// One member who has not been removed (contract, section 4). Admin only. Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetMember {
    /// The member to look at.
    pub user_id: UserId,
}

impl GetMember {
    /// The question for this member.
    #[must_use]
    pub const fn new(user_id: UserId) -> Self {
        Self { user_id }
    }
}

impl Query for GetMember {
    type Caller = ByAdmin;
    type Reply = Member;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByAdmin, view: &View<'_>) -> Result<Member, Error> {
        active(view.world, self.user_id)
    }
}

/// Gives a member another role (contract, section 4). Admin only. Codes: `not_found`, `cannot_change_own_role` (even if
/// unchanged).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeRole {
    /// The member whose role changes.
    pub user_id: UserId,
    /// The role that they have from now on.
    pub role: Role,
}

impl ChangeRole {
    /// The change of this member to that role.
    #[must_use]
    pub const fn new(user_id: UserId, role: Role) -> Self {
        Self { user_id, role }
    }
}

impl Command for ChangeRole {
    type Caller = ByAdmin;
    type Reply = Member;
    const CODES: &'static [Code] = &[Code::NotFound, Code::CannotChangeOwnRole];

    fn decide(self, by: ByAdmin, cx: &mut Context<'_>) -> Result<Member, Error> {
        let before = active(cx.world, self.user_id)?;
        if self.user_id == by.user_id {
            return Err(Error::refused(Code::CannotChangeOwnRole, "nobody changes their own role"));
        }
        let mut after = before.clone();
        after.role = self.role;
        if after != before {
            cx.write(Write::Member(Change::edited(before, after.clone())));
        }
        Ok(after)
    }
}

/// Removes a member (contract, section 4). Their access ends at once and their API keys are deleted. They leave every rotation
/// and every policy layer from now on, and their running and future overrides end now. They stay named in history, and
/// incidents they own stay theirs. Admin only. Codes: `not_found`, `cannot_remove_self`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveMember {
    /// The member to remove.
    pub user_id: UserId,
}

impl RemoveMember {
    /// The removal of this member.
    #[must_use]
    pub const fn new(user_id: UserId) -> Self {
        Self { user_id }
    }
}

impl Command for RemoveMember {
    type Caller = ByAdmin;
    type Reply = UserId;
    const CODES: &'static [Code] = &[Code::NotFound, Code::CannotRemoveSelf];

    fn decide(self, by: ByAdmin, cx: &mut Context<'_>) -> Result<UserId, Error> {
        let before = active(cx.world, self.user_id)?;
        if self.user_id == by.user_id {
            return Err(Error::refused(Code::CannotRemoveSelf, "nobody removes themselves"));
        }
        let keys = cx.world.api_keys_of(self.user_id)?;
        let revoked = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        cx.count(|counts| {
            counts.members = counts.members.saturating_sub(1);
            counts.api_keys = counts.api_keys.saturating_sub(revoked);
            Ok(())
        })?;
        for key in keys {
            cx.write(Write::ApiKey(Change::gone(key)));
        }
        leave_contacts(cx, self.user_id)?;
        if !removal::leave(cx, self.user_id, cx.now)? {
            removal::begin(cx, Removed::Member(self.user_id), by.user_id);
        }
        let mut after = before.clone();
        after.removed_at = Some(cx.now.max(before.joined_at));
        cx.write(Write::Member(Change::edited(before, after)));
        Ok(self.user_id)
    }
}

/// The member with this id, unless they have been removed. Code: `not_found`.
fn active(world: &dyn World, user: UserId) -> Result<Member, Error> {
    world.member(user)?.filter(Member::is_active).ok_or_else(|| Error::not_found("member"))
}
