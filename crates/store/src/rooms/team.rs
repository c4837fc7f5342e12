//! The stored form of members and pending invitations.
//!
//! Removed members keep their record, which says when they were removed, but not their rows in the indexes. Invitations that
//! were accepted or revoked are deleted. The index of e-mail addresses covers both, since an address is unique among them.

use std::sync::Arc;

use bincode::{Decode, Encode};
use dogwatch_core::id::{Id, InvitationId};
use dogwatch_core::secret::SecretHash;
use dogwatch_core::team::{Invitation, Member, Role, TeamPort};
use dogwatch_core::text::{EmailAddress, ExternalId, PersonName};
use dogwatch_core::{Error, OrgId, UserId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

#[cfg(feature = "export")]
use super::json;
use super::text::Reader;
use super::{Entity, Line, NamedV1, Raw, Row, Rows, by_byte, text, timestamp};
use crate::record::{Corrupt, Stored, unpack};
use crate::table::Table;
use crate::tools::Verifier;
use crate::view::{OrgView, corrupt, id_at_end};

impl Table {
    /// Members by user id, removed ones included.
    pub(crate) const MEMBER: Self = Self::new(b'm', "Member");
    /// Index of the members who have not been removed.
    pub(crate) const ACTIVE_MEMBER: Self = Self::new(b'M', "ActiveMember");
    /// The members who have not been removed, by external id.
    pub(crate) const MEMBER_BY_EXTERNAL_ID: Self = Self::new(b'U', "MemberByExternalId");
    /// Index of the e-mail addresses, in lower case, of members who have not been removed and of pending invitations.
    pub(crate) const EMAIL: Self = Self::new(b'e', "Email");
    /// Pending invitations by id.
    pub(crate) const INVITATION: Self = Self::new(b'i', "Invitation");
    /// Organization and id of each pending invitation, by the hash of its token.
    pub(crate) const TOKEN: Self = Self::new(b'T', "Token");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] =
    &[Table::MEMBER, Table::ACTIVE_MEMBER, Table::MEMBER_BY_EXTERNAL_ID, Table::EMAIL, Table::INVITATION, Table::TOKEN];

pub(super) fn role_byte(role: Role) -> u8 {
    match role {
        Role::Admin => 1,
        Role::Member => 2,
    }
}

fn role(byte: u8) -> Result<Role, Corrupt> {
    by_byte(&Role::ALL, role_byte, byte)
}

/// The record of a member. Organization and user id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct MemberV1 {
    email: String,
    first_name: String,
    last_name: String,
    image_url: Option<String>,
    #[cfg_attr(feature = "export", serde(with = "json::role"))]
    role: u8,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    joined_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    removed_at: Option<i64>,
}

/// The record of a member in version 2: that of version 1, and the external id.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct MemberV2 {
    #[cfg_attr(feature = "export", serde(flatten))]
    base: MemberV1,
    #[cfg_attr(feature = "export", serde(default, skip_serializing_if = "Option::is_none"))]
    external_id: Option<String>,
}

impl Stored for MemberV2 {
    const VERSION: u8 = 2;

    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        if version == 1 { Ok(Self { base: unpack(payload)?, external_id: None }) } else { Err(Corrupt::Version) }
    }
}

/// The key of the index row of a member's external id.
fn member_by_external_id(org: OrgId, external_id: &ExternalId) -> Vec<u8> {
    Table::MEMBER_BY_EXTERNAL_ID.of(org, &[external_id.as_str().as_bytes()])
}

impl Entity for Member {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let base = MemberV1 {
            email: self.email.as_str().to_owned(),
            first_name: self.first_name.as_str().to_owned(),
            last_name: self.last_name.as_str().to_owned(),
            image_url: self.image_url.clone(),
            role: role_byte(self.role),
            joined_at: self.joined_at.as_millis(),
            removed_at: self.removed_at.map(|at| at.as_millis()),
        };
        let record = MemberV2 { base, external_id: self.external_id.as_ref().map(|id| id.as_str().to_owned()) };
        if let Some(external_id) = self.external_id.as_ref().filter(|_| self.is_active()) {
            rows.record(member_by_external_id(self.org_id, external_id), &NamedV1 { id: self.id.to_bytes() })?;
        }
        if self.is_active() {
            rows.index(Table::ACTIVE_MEMBER.record(self.org_id, self.id));
            rows.index(email_key(self.org_id, &self.email));
        }
        rows.record(Table::MEMBER.record(self.org_id, self.id), &record)
    }

    fn check(&self, _: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.of(self.org_id).counts.members += u32::from(self.is_active());
    }
}

/// The key of the index row of an e-mail address that is taken. Addresses are compared with ASCII letters in lower case.
pub(crate) fn email_key(org: OrgId, email: &EmailAddress) -> Vec<u8> {
    Table::EMAIL.of(org, &[email.folded().as_bytes()])
}

impl MemberV2 {
    pub(crate) fn of(self, org: OrgId, id: UserId) -> Result<Member, Corrupt> {
        let Self { base, external_id } = self;
        Ok(Member {
            id,
            org_id: org,
            email: text(EmailAddress::new(base.email))?,
            first_name: text(PersonName::stored(base.first_name))?,
            last_name: text(PersonName::stored(base.last_name))?,
            image_url: base.image_url,
            external_id: external_id.map(ExternalId::new).map(text).transpose()?,
            role: role(base.role)?,
            joined_at: timestamp(base.joined_at)?,
            removed_at: base.removed_at.map(timestamp).transpose()?,
        })
    }
}

/// The line of a member in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct MemberLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: MemberV2,
}

impl Line for MemberLine {
    type Entity = Member;
    const TABLES: &'static [Table] = &[Table::MEMBER];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<Member, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), UserId::from_bytes(self.id))
    }
}

/// The record of a pending invitation. Organization and id are in the key; `token` is the SHA-256 of the token.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct InvitationV1 {
    email: String,
    #[cfg_attr(feature = "export", serde(with = "json::role"))]
    role: u8,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::hash"))]
    token: [u8; 32],
}

impl Stored for InvitationV1 {
    const VERSION: u8 = 1;
}

/// The record under the hash of a token: organization and id of the invitation.
#[derive(Debug, Encode, Decode)]
pub(crate) struct TokenV1 {
    pub(crate) org: [u8; 16],
    pub(crate) invitation: [u8; 16],
}

impl Stored for TokenV1 {
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
        let place = TokenV1 { org: self.org_id.to_bytes(), invitation: self.id.to_bytes() };
        rows.index(email_key(self.org_id, &self.email));
        rows.record(Table::TOKEN.hashed(self.token), &place)?;
        rows.record(Table::INVITATION.record(self.org_id, self.id), &record)
    }

    fn check(&self, _: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.of(self.org_id).counts.invitations += 1;
    }
}

impl InvitationV1 {
    pub(crate) fn of(self, org: OrgId, id: InvitationId) -> Result<Invitation, Corrupt> {
        Ok(Invitation {
            id,
            org_id: org,
            email: text(EmailAddress::new(self.email))?,
            role: role(self.role)?,
            created_at: timestamp(self.created_at)?,
            token: SecretHash::from_bytes(self.token),
        })
    }
}

/// The line of a pending invitation in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct InvitationLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<InvitationId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: InvitationV1,
}

impl Line for InvitationLine {
    type Entity = Invitation;
    const TABLES: &'static [Table] = &[Table::INVITATION];
    const FOLLOWED: bool = true;
    const HASHES: &'static [&'static str] = &["token"];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<Invitation, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), InvitationId::from_bytes(self.id))
    }
}

#[deny(clippy::missing_trait_methods)]
impl TeamPort for OrgView<'_> {
    fn member(&self, id: UserId) -> Result<Option<Member>, Error> {
        let member = self.cached(&Table::MEMBER.record(self.org, id), |row: MemberV2, _| row.of(self.org, id))?;
        Ok(member.map(Arc::unwrap_or_clone))
    }

    fn is_member(&self, id: UserId) -> Result<bool, Error> {
        Ok(self.store.get(&Table::ACTIVE_MEMBER.record(self.org, id))?.is_some())
    }

    fn members(&self) -> Result<Vec<Member>, Error> {
        let prefix = Table::ACTIVE_MEMBER.of(self.org, &[]);
        let member = |key: &[u8]| {
            let id = id_at_end(key).map_err(|why| corrupt(key, why))?;
            self.member(id)?.ok_or_else(|| corrupt(key, Corrupt::Missing))
        };
        self.store.under(&prefix).map(|pair| member(&pair?.0)).collect()
    }

    fn member_with(&self, external_id: &ExternalId) -> Result<Option<UserId>, Error> {
        let named = self.store.record::<NamedV1>(&member_by_external_id(self.org, external_id))?;
        Ok(named.map(|named| UserId::from_bytes(named.id)))
    }

    fn email_taken(&self, email: &EmailAddress) -> Result<bool, Error> {
        Ok(self.store.get(&email_key(self.org, email))?.is_some())
    }

    fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, Error> {
        self.entity(&Table::INVITATION.record(self.org, id), |row: InvitationV1| row.of(self.org, id))
    }

    fn invitation_by_token(&self, token: SecretHash) -> Result<Option<Invitation>, Error> {
        let place = self.store.record::<TokenV1>(&Table::TOKEN.hashed(token))?;
        match place.filter(|place| place.org == self.org.to_bytes()) {
            Some(place) => self.invitation(InvitationId::from_bytes(place.invitation)),
            None => Ok(None),
        }
    }

    fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        self.store.records(&Table::INVITATION.of(self.org, &[]), |row: InvitationV1, id| row.of(self.org, id))
    }
}
