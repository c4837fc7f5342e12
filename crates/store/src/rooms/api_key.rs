//! The stored form of API keys: a record by organization and id, an index by user, and a record of the holder by the hash of
//! the secret, with which one read authenticates a request. Secrets are not stored. Revoked keys are deleted.

use bincode::{Decode, Encode};
use dogwatch_core::api_key::{ApiKey, ApiKeyPort, KeyHolder};
use dogwatch_core::id::{ApiKeyId, Id};
use dogwatch_core::secret::SecretHash;
use dogwatch_core::text::Name;
use dogwatch_core::{Error, OrgId, UserId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

#[cfg(feature = "export")]
use super::json;
use super::text::Reader;
use super::{Entity, Line, Raw, Row, Rows, text, timestamp};
use crate::record::{Corrupt, Stored};
use crate::table::Table;
use crate::tools::Verifier;
use crate::view::{OrgView, corrupt, id_at_end};

impl Table {
    /// API keys by id.
    pub(crate) const API_KEY: Self = Self::new(b'a', "ApiKey");
    /// API keys by user.
    pub(crate) const API_KEY_BY_USER: Self = Self::new(b'A', "ApiKeyByUser");
    /// The holders of API keys, by the hash of the secret.
    pub(crate) const KEY_HOLDER: Self = Self::new(b'K', "KeyHolder");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[Table::API_KEY, Table::API_KEY_BY_USER, Table::KEY_HOLDER];

/// The record of an API key. Organization and id are in the key of the row.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct ApiKeyV1 {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    user: [u8; 16],
    name: String,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    expires_at: Option<i64>,
    last_four: String,
    #[cfg_attr(feature = "export", serde(with = "json::hash"))]
    hash: [u8; 32],
}

impl Stored for ApiKeyV1 {
    const VERSION: u8 = 1;
}

/// The record of the holder of an API key: all that authentication needs.
#[derive(Debug, Encode, Decode)]
pub(crate) struct HolderV1 {
    org: [u8; 16],
    user: [u8; 16],
    key: [u8; 16],
    expires_at: Option<i64>,
}

impl Stored for HolderV1 {
    const VERSION: u8 = 1;
}

impl Entity for ApiKey {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let expires_at = self.expires_at.map(|at| at.as_millis());
        let record = ApiKeyV1 {
            user: self.user_id.to_bytes(),
            name: self.name.as_str().to_owned(),
            created_at: self.created_at.as_millis(),
            expires_at,
            last_four: self.last_four.clone(),
            hash: self.hash.to_bytes(),
        };
        let holder = HolderV1 {
            org: self.org_id.to_bytes(),
            user: self.user_id.to_bytes(),
            key: self.id.to_bytes(),
            expires_at,
        };
        rows.index(api_key_by_user(self.org_id, self.user_id, self.id));
        rows.record(Table::KEY_HOLDER.hashed(self.hash), &holder)?;
        rows.record(Table::API_KEY.record(self.org_id, self.id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.of(self.org_id).counts.api_keys += 1;
        verifier.need_users(key, self.org_id, [self.user_id]);
    }
}

impl ApiKeyV1 {
    pub(crate) fn of(self, org: OrgId, id: ApiKeyId) -> Result<ApiKey, Corrupt> {
        Ok(ApiKey {
            id,
            org_id: org,
            user_id: UserId::from_bytes(self.user),
            name: text(Name::stored(self.name))?,
            created_at: timestamp(self.created_at)?,
            expires_at: self.expires_at.map(timestamp).transpose()?,
            last_four: self.last_four,
            hash: SecretHash::from_bytes(self.hash),
        })
    }
}

impl TryFrom<HolderV1> for KeyHolder {
    type Error = Corrupt;
    fn try_from(row: HolderV1) -> Result<Self, Corrupt> {
        Ok(Self {
            org_id: OrgId::from_bytes(row.org),
            user_id: UserId::from_bytes(row.user),
            key: ApiKeyId::from_bytes(row.key),
            expires_at: row.expires_at.map(timestamp).transpose()?,
        })
    }
}

/// The line of an API key in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct ApiKeyLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ApiKeyId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: ApiKeyV1,
}

impl Line for ApiKeyLine {
    type Entity = ApiKey;
    const TABLES: &'static [Table] = &[Table::API_KEY];
    const FOLLOWED: bool = true;
    const HASHES: &'static [&'static str] = &["hash"];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<ApiKey, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), ApiKeyId::from_bytes(self.id))
    }
}

/// The key of the index row of an API key by user.
pub(crate) fn api_key_by_user(org: OrgId, user: UserId, key: ApiKeyId) -> Vec<u8> {
    Table::API_KEY_BY_USER.of(org, &[&user.to_bytes(), &key.to_bytes()])
}

#[deny(clippy::missing_trait_methods)]
impl ApiKeyPort for OrgView<'_> {
    fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
        self.entity(&Table::API_KEY.record(self.org, id), |row: ApiKeyV1| row.of(self.org, id))
    }

    fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>, Error> {
        let key_of = |key: &[u8]| {
            let id = id_at_end(key).map_err(|why| corrupt(key, why))?;
            self.api_key(id)?.ok_or_else(|| corrupt(key, Corrupt::Missing))
        };
        self.store.under(&Table::API_KEY_BY_USER.record(self.org, user)).map(|pair| key_of(&pair?.0)).collect()
    }

    fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        self.store.records(&Table::API_KEY.of(self.org, &[]), |row: ApiKeyV1, id| row.of(self.org, id))
    }
}
