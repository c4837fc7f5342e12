//! API keys: made for oneself, listed and revoked by their owner or an admin (contract, section 4).

use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, Query, View, seal};
use crate::error::Error;
use crate::id::{ApiKeyId, OrgId, UserId};
use crate::membership::is_admin;
use crate::secret::{Secret, SecretHash};
use crate::text::Name;
use crate::time::Timestamp;
use crate::world::{Change, Write};
use crate::{checks, limits};

seal!(CreateApiKey, RevokeApiKey, ListApiKeys);

/// An API key as it is stored. Revoked ones are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Names the key.
    pub id: ApiKeyId,
    /// The organization.
    pub org_id: OrgId,
    /// As whom the key acts.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: Name,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// The last four characters of the secret.
    pub last_four: String,
    /// The hash of the secret.
    pub hash: SecretHash,
}

/// What the hash of an API key leads to: all that is needed to let its holder in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHolder {
    /// The organization of the key.
    pub org_id: OrgId,
    /// The user as whom the key acts.
    pub user_id: UserId,
    /// The key.
    pub key: ApiKeyId,
    /// When the key stops working.
    pub expires_at: Option<Timestamp>,
}

/// API keys of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The cost of each is that of its answer,
/// however much else there is.
pub trait ApiKeyPort {
    /// An API key that has not been revoked.
    fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, Error>;
    /// The API keys of a user, oldest first.
    fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>, Error>;
    /// The API keys of all users, oldest first.
    fn api_keys(&self) -> Result<Vec<ApiKey>, Error>;
}

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
            user_id: key.user_id,
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
    type Caller = ByMember;
    type Reply = NewApiKey;
    const CODES: &'static [Code] = &[Code::LimitReached];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<NewApiKey, Error> {
        let user = by.user_id;
        checks::room_for_one(cx.world.api_keys_of(user)?.len(), limits::API_KEYS, "API keys")?;
        cx.count(|counts| {
            counts.api_keys = counts.api_keys.saturating_add(1);
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
    type Caller = ByMember;
    type Reply = ApiKeyId;
    const CODES: &'static [Code] = &[Code::NotFound, Code::NotAuthorized];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<ApiKeyId, Error> {
        let key = cx.world.api_key(self.id)?.ok_or_else(|| Error::not_found("API key"))?;
        let me = by.user_id;
        if key.user_id != me && !is_admin(cx.world, me)? {
            return Err(Error::refused(Code::NotAuthorized, "the API keys of others need the role `org:admin`"));
        }
        cx.count(|counts| {
            counts.api_keys = counts.api_keys.saturating_sub(1);
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
    type Caller = ByMember;
    type Reply = Vec<ApiKeyView>;
    const CODES: &'static [Code] = &[];

    fn answer(&self, by: ByMember, view: &View<'_>) -> Result<Vec<ApiKeyView>, Error> {
        let all = is_admin(view.world, by.user_id)?;
        let keys = if all { view.world.api_keys()? } else { view.world.api_keys_of(by.user_id)? };
        Ok(keys.iter().map(ApiKeyView::from).collect())
    }
}

/// Makes a key for a user. The counts are up to the caller.
pub(crate) fn issue(cx: &mut Context<'_>, user: UserId, name: Name, expires_at: Option<Timestamp>) -> NewApiKey {
    let secret = Secret::api_key(cx.ids);
    let key = ApiKey {
        id: cx.ids.fresh(cx.now),
        org_id: cx.world.org_id(),
        user_id: user,
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
pub(crate) fn first_key_name() -> Result<Name, Error> {
    Name::new("First key").map_err(|problem| Error::broken(problem.to_string()))
}
