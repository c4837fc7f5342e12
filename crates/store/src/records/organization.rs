//! Stored forms of organizations, members, invitations, API keys and components.

use bincode::{Decode, Encode};
use dogwatch_core::api_key::{ApiKey, KeyHolder};
use dogwatch_core::component::Component;
use dogwatch_core::id::{ApiKeyId, ComponentId, Id, InvitationId};
use dogwatch_core::organization::{Counts, Organization};
use dogwatch_core::secret::SecretHash;
use dogwatch_core::team::{Invitation, Member, Role};
use dogwatch_core::text::{Description, EmailAddress, GroupLabel, Name, OrgName, PersonName};
use dogwatch_core::{OrgId, UserId};
use serde::{Deserialize, Serialize};

use super::text::{Reader, TextV1};
use super::{Entity, Rows, by_byte, json, text, timestamp};
use crate::keys::{self, Table};
use crate::record::{Corrupt, Stored, unpack};

pub(super) fn role_byte(role: Role) -> u8 {
    match role {
        Role::Admin => 1,
        Role::Member => 2,
    }
}

fn role(byte: u8) -> Result<Role, Corrupt> {
    by_byte(&Role::ALL, role_byte, byte)
}

/// An organization.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrganizationV1 {
    name: String,
    #[serde(with = "json::time")]
    created_at: i64,
}

impl Stored for OrganizationV1 {
    const VERSION: u8 = 1;
}

impl Entity for Organization {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = OrganizationV1 { name: self.name.as_str().to_owned(), created_at: self.created_at.as_millis() };
        rows.record(Table::Organization.key(&[&self.id.to_bytes()]), &record)
    }
}

impl OrganizationV1 {
    pub(crate) fn of(self, id: OrgId) -> Result<Organization, Corrupt> {
        Ok(Organization { id, name: text(OrgName::new(self.name))?, created_at: timestamp(self.created_at)? })
    }
}

/// The counts of an organization, before there were policies.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CountsV1 {
    incidents: u64,
    members: u32,
    invitations: u32,
    components: u32,
    api_keys: u32,
    schedules: u32,
}

/// The counts since there are policies.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CountsV2 {
    #[serde(flatten)]
    tally: CountsV1,
    policies: u32,
}

impl Stored for CountsV2 {
    const VERSION: u8 = 2;

    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        if version == 1 { Ok(Self { tally: unpack(payload)?, policies: 0 }) } else { Err(Corrupt::Version) }
    }
}

impl Entity for Counts {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let tally = CountsV1 {
            incidents: self.incidents,
            members: self.members,
            invitations: self.invitations,
            components: self.components,
            api_keys: self.api_keys,
            schedules: self.schedules,
        };
        let record = CountsV2 { tally, policies: self.policies };
        rows.record(Table::Counts.of(self.org, &[]), &record)
    }
}

impl CountsV2 {
    pub(crate) const fn of(self, org: OrgId) -> Counts {
        let Self { tally, policies } = self;
        Counts {
            org,
            incidents: tally.incidents,
            members: tally.members,
            invitations: tally.invitations,
            components: tally.components,
            api_keys: tally.api_keys,
            schedules: tally.schedules,
            policies,
        }
    }
}

/// A member.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberV1 {
    email: String,
    first_name: String,
    last_name: String,
    image_url: Option<String>,
    #[serde(with = "json::role")]
    role: u8,
    #[serde(with = "json::time")]
    joined_at: i64,
    #[serde(with = "json::time::maybe")]
    removed_at: Option<i64>,
}

impl Stored for MemberV1 {
    const VERSION: u8 = 1;
}

impl Entity for Member {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = MemberV1 {
            email: self.email.as_str().to_owned(),
            first_name: self.first_name.as_str().to_owned(),
            last_name: self.last_name.as_str().to_owned(),
            image_url: self.image_url.clone(),
            role: role_byte(self.role),
            joined_at: self.joined_at.as_millis(),
            removed_at: self.removed_at.map(|at| at.as_millis()),
        };
        if self.is_active() {
            rows.index(Table::ActiveMember.record(self.org, self.id));
            rows.index(email_key(self.org, &self.email));
        }
        rows.record(Table::Member.record(self.org, self.id), &record)
    }
}

/// The row that says an e-mail is taken.
pub(crate) fn email_key(org: OrgId, email: &EmailAddress) -> Vec<u8> {
    Table::Email.of(org, &[email.folded().as_bytes()])
}

impl MemberV1 {
    pub(crate) fn of(self, org: OrgId, id: UserId) -> Result<Member, Corrupt> {
        Ok(Member {
            id,
            org,
            email: text(EmailAddress::new(self.email))?,
            first_name: text(PersonName::new(self.first_name))?,
            last_name: text(PersonName::new(self.last_name))?,
            image_url: self.image_url,
            role: role(self.role)?,
            joined_at: timestamp(self.joined_at)?,
            removed_at: self.removed_at.map(timestamp).transpose()?,
        })
    }
}

/// A pending invitation.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvitationV1 {
    email: String,
    #[serde(with = "json::role")]
    role: u8,
    #[serde(with = "json::time")]
    created_at: i64,
    #[serde(with = "json::hash")]
    token: [u8; 32],
}

impl Stored for InvitationV1 {
    const VERSION: u8 = 1;
}

/// Where the invitation with a token is.
#[derive(Debug, Encode, Decode)]
pub(crate) struct PlaceV1 {
    pub(crate) org: [u8; 16],
    pub(crate) invitation: [u8; 16],
}

impl Stored for PlaceV1 {
    const VERSION: u8 = 1;
}

impl Entity for Invitation {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = InvitationV1 {
            email: self.email.as_str().to_owned(),
            role: role_byte(self.role),
            created_at: self.created_at.as_millis(),
            token: self.token.to_bytes(),
        };
        let place = PlaceV1 { org: self.org.to_bytes(), invitation: self.id.to_bytes() };
        rows.index(email_key(self.org, &self.email));
        rows.record(Table::Token.hashed(self.token), &place)?;
        rows.record(Table::Invitation.record(self.org, self.id), &record)
    }
}

impl InvitationV1 {
    pub(crate) fn of(self, org: OrgId, id: InvitationId) -> Result<Invitation, Corrupt> {
        Ok(Invitation {
            id,
            org,
            email: text(EmailAddress::new(self.email))?,
            role: role(self.role)?,
            created_at: timestamp(self.created_at)?,
            token: SecretHash::from_bytes(self.token),
        })
    }
}

/// An API key.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKeyV1 {
    #[serde(with = "json::user")]
    user: [u8; 16],
    name: String,
    #[serde(with = "json::time")]
    created_at: i64,
    #[serde(with = "json::time::maybe")]
    expires_at: Option<i64>,
    last_four: String,
    #[serde(with = "json::hash")]
    hash: [u8; 32],
}

impl Stored for ApiKeyV1 {
    const VERSION: u8 = 1;
}

/// Who holds the API key with a hash: all that letting them in needs.
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
            user: self.user.to_bytes(),
            name: self.name.as_str().to_owned(),
            created_at: self.created_at.as_millis(),
            expires_at,
            last_four: self.last_four.clone(),
            hash: self.hash.to_bytes(),
        };
        let holder =
            HolderV1 { org: self.org.to_bytes(), user: self.user.to_bytes(), key: self.id.to_bytes(), expires_at };
        rows.index(keys::api_key_by_user(self.org, self.user, self.id));
        rows.record(Table::KeyHolder.hashed(self.hash), &holder)?;
        rows.record(Table::ApiKey.record(self.org, self.id), &record)
    }
}

impl ApiKeyV1 {
    pub(crate) fn of(self, org: OrgId, id: ApiKeyId) -> Result<ApiKey, Corrupt> {
        Ok(ApiKey {
            id,
            org,
            user: UserId::from_bytes(self.user),
            name: text(Name::new(self.name))?,
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
            org: OrgId::from_bytes(row.org),
            user: UserId::from_bytes(row.user),
            key: ApiKeyId::from_bytes(row.key),
            expires_at: row.expires_at.map(timestamp).transpose()?,
        })
    }
}

/// A component.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComponentV1 {
    name: String,
    pub(crate) description: Option<TextV1>,
    group_label: Option<String>,
    #[serde(with = "json::time")]
    created_at: i64,
    #[serde(with = "json::time")]
    updated_at: i64,
    #[serde(with = "json::time::maybe")]
    deleted_at: Option<i64>,
}

impl Stored for ComponentV1 {
    const VERSION: u8 = 1;
}

/// What has a name.
#[derive(Debug, Encode, Decode)]
pub(crate) struct NamedV1 {
    pub(crate) id: [u8; 16],
}

impl Stored for NamedV1 {
    const VERSION: u8 = 1;
}

impl Entity for Component {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let description = self.description.as_ref();
        let description = description.map(|text| TextV1::store(text.as_str(), self.org, self.id.to_bytes(), rows));
        let record = ComponentV1 {
            name: self.name.as_str().to_owned(),
            description: description.transpose()?,
            group_label: self.group_label.as_ref().map(|text| text.as_str().to_owned()),
            created_at: self.created_at.as_millis(),
            updated_at: self.updated_at.as_millis(),
            deleted_at: self.deleted_at.map(|at| at.as_millis()),
        };
        if self.is_live() {
            let named = NamedV1 { id: self.id.to_bytes() };
            rows.record(Table::ComponentName.of(self.org, &[self.name.as_str().as_bytes()]), &named)?;
        }
        rows.record(Table::Component.record(self.org, self.id), &record)
    }
}

impl ComponentV1 {
    pub(crate) fn of(self, org: OrgId, id: ComponentId, read: Reader<'_>) -> Result<Component, Corrupt> {
        let description = self.description.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
        Ok(Component {
            id,
            org,
            name: text(Name::new(self.name))?,
            description: description.map(|it| text(Description::new(it))).transpose()?,
            group_label: self.group_label.map(|it| text(GroupLabel::new(it))).transpose()?,
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
            deleted_at: self.deleted_at.map(timestamp).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{decode, encode};

    impl Stored for CountsV1 {
        const VERSION: u8 = 1;
    }

    /// Counts that the first format wrote are read as those of an organization without policies.
    #[test]
    fn counts_of_format_1() {
        let org = OrgId::from_bytes([1; 16]);
        let key = Table::Counts.of(org, &[]);
        let old = CountsV1 { incidents: 1, members: 2, invitations: 3, components: 4, api_keys: 5, schedules: 6 };
        let read: CountsV2 = decode(&key, &encode(&key, &old).unwrap()).unwrap();
        let expected = Counts {
            incidents: 1,
            members: 2,
            invitations: 3,
            components: 4,
            api_keys: 5,
            schedules: 6,
            policies: 0,
            org,
        };
        assert_eq!(read.of(org), expected);
    }
}
