//! The stored form of webhooks of organizations. Their secrets are not stored.

use bincode::{Decode, Encode};
use dogwatch_core::id::{Id, WebhookId};
use dogwatch_core::incident::EventName;
use dogwatch_core::outbox::Notification;
use dogwatch_core::text::{HttpUrl, Name};
use dogwatch_core::webhook::{Disabled, Rotated, Webhook, WebhookEvents, WebhookPort};
use dogwatch_core::{Error, OrgId, UserId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

#[cfg(feature = "export")]
use super::json;
use super::outbox::sent_to_webhook;
use super::text::Reader;
use super::{Entity, Line, Raw, Row, Rows, text, timestamp};
use crate::backend::Pair;
use crate::record::{Corrupt, Stored, decode};
use crate::table::Table;
use crate::tools::Verifier;
use crate::view::{OrgView, id_at_end};

impl Table {
    /// Webhooks of organizations.
    pub(crate) const WEBHOOK: Self = Self::new(b'J', "Webhook");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[Table::WEBHOOK];

/// The record of a webhook. Organization and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct WebhookV1 {
    name: String,
    url: String,
    /// The names of the events that it wants; none: all.
    events: Vec<String>,
    include_internal: bool,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    created_by: [u8; 16],
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    generation: u32,
    rotated: Option<RotatedV1>,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    tested_at: Option<i64>,
    disabled: Option<DisabledV1>,
    /// The number of the last notification that is skipped.
    skip_through: u64,
}

/// The secret before the present one.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct RotatedV1 {
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    at: i64,
    generation: u32,
}

/// Since when nothing is sent, and why.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct DisabledV1 {
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    at: i64,
    reason: String,
}

impl Stored for WebhookV1 {
    const VERSION: u8 = 1;
}

impl Entity for Webhook {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let events = match &self.events {
            WebhookEvents::All => Vec::new(),
            WebhookEvents::Some(events) => events.iter().map(|event| event.as_str().to_owned()).collect(),
        };
        let record = WebhookV1 {
            name: self.name.as_str().to_owned(),
            url: self.url.as_str().to_owned(),
            events,
            include_internal: self.include_internal,
            created_by: self.created_by.to_bytes(),
            created_at: self.created_at.as_millis(),
            generation: self.generation,
            rotated: self.rotated.map(|old| RotatedV1 { at: old.at.as_millis(), generation: old.generation }),
            tested_at: self.tested_at.map(|at| at.as_millis()),
            disabled: self
                .disabled
                .as_ref()
                .map(|disabled| DisabledV1 { at: disabled.at.as_millis(), reason: disabled.reason.clone() }),
            skip_through: self.skip_through,
        };
        rows.record(Table::WEBHOOK.record(self.org_id, self.id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_users(key, self.org_id, [self.created_by]);
    }
}

impl WebhookV1 {
    fn of(self, org: OrgId, id: WebhookId) -> Result<Webhook, Corrupt> {
        let event = |name: &String| name.parse::<EventName>();
        let events = match self.events.as_slice() {
            [] => WebhookEvents::All,
            names => WebhookEvents::Some(text(names.iter().map(event).collect())?),
        };
        let rotated = match self.rotated {
            Some(old) => Some(Rotated { at: timestamp(old.at)?, generation: old.generation }),
            None => None,
        };
        let disabled = match self.disabled {
            Some(disabled) => Some(Disabled { at: timestamp(disabled.at)?, reason: disabled.reason }),
            None => None,
        };
        Ok(Webhook {
            id,
            org_id: org,
            name: text(Name::stored(self.name))?,
            url: text(HttpUrl::new(self.url))?,
            events,
            include_internal: self.include_internal,
            created_by: UserId::from_bytes(self.created_by),
            created_at: timestamp(self.created_at)?,
            generation: self.generation,
            rotated,
            tested_at: self.tested_at.map(timestamp).transpose()?,
            disabled,
            skip_through: self.skip_through,
        })
    }
}

/// The line of a webhook in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct WebhookLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<WebhookId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: WebhookV1,
}

impl Line for WebhookLine {
    type Entity = Webhook;
    const TABLES: &'static [Table] = &[Table::WEBHOOK];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<Webhook, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), WebhookId::from_bytes(self.id))
    }
}

#[deny(clippy::missing_trait_methods)]
impl WebhookPort for OrgView<'_> {
    fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, Error> {
        self.entity(&Table::WEBHOOK.record(self.org, id), |row: WebhookV1| row.of(self.org, id))
    }

    fn webhooks(&self) -> Result<Vec<Webhook>, Error> {
        // A damaged one, which `verify` tells of, must not keep incidents from going on. What cannot be read at all must: no event is lost.
        let rows = self.store.under(&Table::WEBHOOK.of(self.org, &[]));
        let read = |(key, value): Pair| {
            let row = decode::<WebhookV1>(&key, &value).ok()?;
            row.of(self.org, id_at_end(&key).ok()?).ok()
        };
        rows.filter_map(|pair| pair.map(read).transpose()).collect()
    }

    fn webhook_deliveries(&self, id: WebhookId, limit: usize) -> Result<Vec<Notification>, Error> {
        let found = self.store.under(&sent_to_webhook(self.org, id));
        found.take(limit).map(|pair| self.listed_at(&pair?.0)).collect()
    }
}
