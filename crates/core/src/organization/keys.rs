//! API keys: made for oneself, listed and revoked by their owner or an admin.

use super::ApiKey;
use crate::actor::Access;
use crate::checks;
use crate::code::Code;
use crate::command::{Command, Context, Query, View};
use crate::error::Error;
use crate::id::{ApiKeyId, UserId};
use crate::limits;
use crate::secret::Secret;
use crate::text::Name;
use crate::time::Timestamp;
use crate::world::{Change, Write};

/// An API key as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyView {
    /// Names the key.
    pub id: ApiKeyId,
    /// What its owner calls it.
    pub name: Name,
    /// As whom it acts.
    pub user_id: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// The last four characters of the secret.
    pub last_four: String,
}

impl From<&ApiKey> for ApiKeyView {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name.clone(),
            user_id: key.user,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_four: key.last_four.clone(),
        }
    }
}

/// A key that has just been made. The secret is shown here and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// The key.
    pub key: ApiKeyView,
    /// What its holder presents.
    pub secret: Secret,
}

/// Makes an API key for the acting user. Codes: `limit_reached` (20 of a member).
#[derive(Debug, Clone)]
pub struct CreateApiKey {
    /// What to call it.
    pub name: Name,
    /// When it stops working; never, if absent.
    pub expires_at: Option<Timestamp>,
}

impl Command for CreateApiKey {
    type Reply = NewApiKey;
    const ACCESS: Access = Access::Member;

    fn decide(self, cx: &mut Context<'_>) -> Result<NewApiKey, Error> {
        let user = cx.me()?;
        checks::room_for_one(cx.world.api_keys_of(user)?.len(), limits::API_KEYS, "API keys")?;
        cx.count(|tally| {
            tally.api_keys = tally.api_keys.saturating_add(1);
            Ok(())
        })?;
        Ok(issue(cx, user, self.name, self.expires_at))
    }
}

/// Revokes an API key; it stops working at once. Codes: `not_found`; `not_authorized` for somebody else's key, unless
/// the actor is an admin.
#[derive(Debug, Clone, Copy)]
pub struct RevokeApiKey {
    /// Which one.
    pub id: ApiKeyId,
}

impl Command for RevokeApiKey {
    type Reply = ApiKeyId;
    const ACCESS: Access = Access::Member;

    fn decide(self, cx: &mut Context<'_>) -> Result<ApiKeyId, Error> {
        let key = cx.world.api_key(self.id)?.ok_or_else(|| Error::not_found("API key"))?;
        let me = cx.me()?;
        if key.user != me && !checks::is_admin(cx.world, me)? {
            return Err(Error::refused(Code::NotAuthorized, "the API keys of others need the role `org:admin`"));
        }
        cx.count(|tally| {
            tally.api_keys = tally.api_keys.saturating_sub(1);
            Ok(())
        })?;
        cx.write(Write::ApiKey(Change::gone(key)));
        Ok(self.id)
    }
}

/// The API keys that the actor may see, oldest first: all of them for an admin, their own for anybody else.
#[derive(Debug, Clone, Copy)]
pub struct ListApiKeys;

impl Query for ListApiKeys {
    type Reply = Vec<ApiKeyView>;
    const ACCESS: Access = Access::Member;

    fn answer(&self, view: &View<'_>) -> Result<Vec<ApiKeyView>, Error> {
        let all = checks::is_admin(view.world, view.me)?;
        let keys = if all { view.world.api_keys()? } else { view.world.api_keys_of(view.me)? };
        Ok(keys.iter().map(ApiKeyView::from).collect())
    }
}

/// Makes a key for a user. The counts are up to the caller.
pub(super) fn issue(cx: &mut Context<'_>, user: UserId, name: Name, expires_at: Option<Timestamp>) -> NewApiKey {
    let secret = Secret::api_key(cx.ids);
    let key = ApiKey {
        id: cx.ids.fresh(cx.now),
        org: cx.world.org_id(),
        user,
        name,
        created_at: cx.now,
        expires_at,
        last_four: secret.last_four(),
        hash: secret.hash(),
    };
    let made = NewApiKey { key: ApiKeyView::from(&key), secret };
    cx.write(Write::ApiKey(Change::created(key)));
    made
}

/// What the key that comes with joining is called.
pub(super) fn first_key_name() -> Result<Name, Error> {
    Name::new("First key").map_err(|problem| Error::broken(problem.to_string()))
}
