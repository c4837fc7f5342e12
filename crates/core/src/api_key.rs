//! API keys: the secrets with which members call the API (contract, section 4).
//!
//! A key acts as its user, with the role that the user has at the time. Members make keys for themselves ([`CreateApiKey`]), 20
//! at most, and see and revoke them ([`ListApiKeys`], [`RevokeApiKey`]); an admin sees and revokes those of everybody. Whoever
//! joins an organization gets a first key. Of a secret only the SHA-256 is stored: a [`NewApiKey`] is the only reply that shows
//! it.
//!
//! How a key lets its holder in is in [`crate::caller::authenticate`]; secrets and hashes are in [`crate::secret`].

use crate::caller::{Actor, ByMember};
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

/// An API key as it is stored. A revoked key is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The key's id: `key_` and 32 hexadecimal digits.
    pub id: ApiKeyId,
    /// The organization that the key belongs to.
    pub org_id: OrgId,
    /// The member as whom the key acts.
    pub user_id: UserId,
    /// The name that its owner gave it: 1–100 characters; several keys may have the same.
    pub name: Name,
    /// When it was created.
    pub created_at: Timestamp,
    /// The instant from which on it does not work; `None`: it works until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// The last four characters of the secret, by which people tell keys apart.
    pub last_four: String,
    /// The SHA-256 of the secret.
    pub hash: SecretHash,
}

/// What is found under the hash of an API key: all that is needed to let its holder in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHolder {
    /// The organization of the key.
    pub org_id: OrgId,
    /// The member as whom the key acts.
    pub user_id: UserId,
    /// The key's id.
    pub key: ApiKeyId,
    /// The instant from which on the key does not work; `None`: it works until it is revoked.
    pub expires_at: Option<Timestamp>,
}

impl KeyHolder {
    /// As whom the key acts.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor::member(self.org_id, self.user_id)
    }
}

/// The API keys of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait ApiKeyPort {
    /// The API key with this id, unless it has been revoked.
    fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
        let _ = id;
        Ok(None)
    }
    /// The API keys of a user, oldest first, expired ones included.
    fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>, Error> {
        let _ = user;
        Ok(Vec::new())
    }
    /// The API keys of all users, oldest first, expired ones included.
    fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        Ok(Vec::new())
    }
}

/// An API key as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct ApiKeyView {
    /// The key's id: `key_` and 32 hexadecimal digits.
    pub id: ApiKeyId,
    /// The name that its owner gave it: 1–100 characters.
    pub name: Name,
    /// The member as whom the key acts.
    pub user_id: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// The instant from which on it does not work; `None`: it works until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// The last four characters of the secret, by which people tell keys apart.
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

/// The reply to [`CreateApiKey`]: a key that has just been made. The secret is shown here and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct NewApiKey {
    /// The key.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub key: ApiKeyView,
    /// What its holder presents: `scl_live_` and 32 characters of `[A-Za-z0-9]`.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::json::reveal"))]
    pub secret: Secret,
}

/// Makes an API key for the acting user (contract, section 4). Codes: `limit_reached` (20 keys of a member, expired ones
/// included).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateApiKey {
    /// A name for the key: 1–100 characters; it need not be unique.
    pub name: Name,
    /// The instant from which on it does not work, which may be past; `None`: it works until it is revoked.
    pub expires_at: Option<Timestamp>,
}

impl CreateApiKey {
    /// A key that works until it is revoked.
    #[must_use]
    pub const fn new(name: Name) -> Self {
        Self { name, expires_at: None }
    }
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

/// Revokes an API key, which stops working at once (contract, section 4). Codes: `not_found`; `not_authorized` for somebody
/// else's key, unless the actor is an admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokeApiKey {
    /// The API key to revoke.
    pub id: ApiKeyId,
}

impl RevokeApiKey {
    /// The revocation of this key.
    #[must_use]
    pub const fn new(id: ApiKeyId) -> Self {
        Self { id }
    }
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

/// The API keys that the actor may see, oldest first: all of the organization's for an admin, their own for anybody else
/// (contract, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Makes an API key for a user and adds it to the decision. The caller counts it in the counts of the organization.
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

/// The name of the key that a person gets with joining.
pub(crate) fn first_key_name() -> Result<Name, Error> {
    Name::new("First key").map_err(|problem| Error::broken(problem.to_string()))
}
