//! The stored form of contact methods, and of what members have set about how they are told. The built-in method is not stored.

use bincode::{Decode, Encode};
use dogwatch_core::contact::{
    ContactAddress, ContactMethod, ContactMethodKind, ContactPort, ContactSettings, NotificationRule, PendingCode,
    built_in,
};
use dogwatch_core::id::{ContactMethodId, Id};
use dogwatch_core::secret::SecretHash;
use dogwatch_core::text::Name;
use dogwatch_core::{Error, OrgId, UserId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

#[cfg(feature = "export")]
use super::json;
use super::text::Reader;
use super::{Entity, Line, Raw, Row, Rows, by_byte, text, timestamp};
use crate::record::{Corrupt, Stored};
use crate::table::Table;
use crate::tools::Verifier;
use crate::view::OrgView;

impl Table {
    /// Contact methods by user.
    pub(crate) const CONTACT_METHOD: Self = Self::new(b'f', "ContactMethod");
    /// What members have set about how they are told.
    pub(crate) const CONTACT_SETTINGS: Self = Self::new(b'F', "ContactSettings");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[Table::CONTACT_METHOD, Table::CONTACT_SETTINGS];

pub(crate) const fn kind_byte(kind: ContactMethodKind) -> u8 {
    match kind {
        ContactMethodKind::Email => 1,
        ContactMethodKind::Webhook => 2,
        ContactMethodKind::Ntfy => 3,
        ContactMethodKind::Slack => 4,
    }
}

/// The record of a contact method. Organization, user and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct ContactMethodV1 {
    name: String,
    #[cfg_attr(feature = "export", serde(with = "json::contact_method_kind"))]
    kind: u8,
    address: String,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    code: Option<CodeV1>,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    tested_at: Option<i64>,
}

/// The code with which a contact method is verified.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct CodeV1 {
    #[cfg_attr(feature = "export", serde(with = "json::hash"))]
    hash: [u8; 32],
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    expires_at: i64,
    tries: u8,
}

impl Stored for ContactMethodV1 {
    const VERSION: u8 = 1;
}

pub(crate) fn method_key(org: OrgId, user: UserId, id: ContactMethodId) -> Vec<u8> {
    Table::CONTACT_METHOD.of(org, &[&user.to_bytes(), &id.to_bytes()])
}

impl Entity for ContactMethod {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = ContactMethodV1 {
            name: self.name.as_str().to_owned(),
            kind: kind_byte(self.address.kind()),
            address: self.address.as_str().to_owned(),
            created_at: self.created_at.as_millis(),
            code: self.code.map(|code| CodeV1 {
                hash: code.hash.to_bytes(),
                expires_at: code.expires_at.as_millis(),
                tries: code.tries,
            }),
            tested_at: self.tested_at.map(|at| at.as_millis()),
        };
        rows.record(method_key(self.org_id, self.user_id, self.id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_users(key, self.org_id, [self.user_id]);
    }
}

impl ContactMethodV1 {
    fn of(self, org: OrgId, user: UserId, id: ContactMethodId) -> Result<ContactMethod, Corrupt> {
        let kind = by_byte(&ContactMethodKind::ALL, kind_byte, self.kind)?;
        let address = text(ContactAddress::stored(kind, self.address))?;
        let code = match self.code {
            Some(code) => Some(PendingCode {
                hash: SecretHash::from_bytes(code.hash),
                expires_at: timestamp(code.expires_at)?,
                tries: code.tries,
            }),
            None => None,
        };
        Ok(ContactMethod {
            id,
            org_id: org,
            user_id: user,
            name: text(Name::stored(self.name))?,
            address,
            created_at: timestamp(self.created_at)?,
            code,
            tested_at: self.tested_at.map(timestamp).transpose()?,
        })
    }
}

/// The record of what a member has set. Organization and user are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct ContactSettingsV1 {
    rules: Vec<RuleV1>,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    tested_at: Option<i64>,
    #[cfg_attr(feature = "export", serde(with = "json::time::list"))]
    codes_at: Vec<i64>,
}

#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct RuleV1 {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ContactMethodId>"))]
    method: [u8; 16],
    minutes: u16,
}

impl Stored for ContactSettingsV1 {
    const VERSION: u8 = 1;
}

impl Entity for ContactSettings {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let rule =
            |rule: &NotificationRule| RuleV1 { method: rule.contact_method_id.to_bytes(), minutes: rule.delay_minutes };
        let record = ContactSettingsV1 {
            rules: self.rules.iter().map(rule).collect(),
            tested_at: self.tested_at.map(|at| at.as_millis()),
            codes_at: self.codes_at.iter().map(|at| at.as_millis()).collect(),
        };
        rows.record(Table::CONTACT_SETTINGS.record(self.org_id, self.user_id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_users(key, self.org_id, [self.user_id]);
        for rule in self.rules.iter().filter(|rule| rule.contact_method_id != built_in(self.user_id)) {
            verifier.need(key, &method_key(self.org_id, self.user_id, rule.contact_method_id), "a contact method");
        }
    }
}

impl ContactSettingsV1 {
    fn of(self, org: OrgId, user: UserId) -> Result<ContactSettings, Corrupt> {
        let rule = |rule: RuleV1| {
            text(NotificationRule::new(ContactMethodId::from_bytes(rule.method), i64::from(rule.minutes)))
        };
        Ok(ContactSettings {
            org_id: org,
            user_id: user,
            rules: self.rules.into_iter().map(rule).collect::<Result<_, _>>()?,
            tested_at: self.tested_at.map(timestamp).transpose()?,
            codes_at: self.codes_at.into_iter().map(timestamp).collect::<Result<_, _>>()?,
        })
    }
}

/// The line of a contact method in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct ContactMethodLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    user: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ContactMethodId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: ContactMethodV1,
}

impl Line for ContactMethodLine {
    type Entity = ContactMethod;
    const TABLES: &'static [Table] = &[Table::CONTACT_METHOD];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, user: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<ContactMethod, Corrupt> {
        let (user, id) = (UserId::from_bytes(self.user), ContactMethodId::from_bytes(self.id));
        self.record.of(OrgId::from_bytes(self.org), user, id)
    }
}

/// The line of what a member has set in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct ContactSettingsLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    user: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: ContactSettingsV1,
}

impl Line for ContactSettingsLine {
    type Entity = ContactSettings;
    const TABLES: &'static [Table] = &[Table::CONTACT_SETTINGS];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, user: row.id()?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<ContactSettings, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), UserId::from_bytes(self.user))
    }
}

#[deny(clippy::missing_trait_methods)]
impl ContactPort for OrgView<'_> {
    fn contact_method(&self, user: UserId, id: ContactMethodId) -> Result<Option<ContactMethod>, Error> {
        self.entity(&method_key(self.org, user, id), |row: ContactMethodV1| row.of(self.org, user, id))
    }

    fn contact_methods(&self, user: UserId) -> Result<Vec<ContactMethod>, Error> {
        let prefix = Table::CONTACT_METHOD.record(self.org, user);
        self.store.records(&prefix, |row: ContactMethodV1, id| row.of(self.org, user, id))
    }

    fn contact_settings(&self, user: UserId) -> Result<Option<ContactSettings>, Error> {
        let key = Table::CONTACT_SETTINGS.record(self.org, user);
        self.entity(&key, |row: ContactSettingsV1| row.of(self.org, user))
    }
}
