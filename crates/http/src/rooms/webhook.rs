//! Webhooks of the organization (contract, section 9): the routes, and the shapes of their replies.

use dogwatch_store::rules::Problem;
use dogwatch_store::rules::id::WebhookId;
use dogwatch_store::rules::incident::EventName;
use dogwatch_store::rules::link::MasterKey;
use dogwatch_store::rules::text::Name;
use dogwatch_store::rules::webhook::{
    CreateWebhook, DeleteWebhook, EditWebhook, EnableWebhook, GetWebhook, ListWebhookDeliveries, ListWebhooks,
    RotateWebhookSecret, TestWebhook, WebhookEvents, WebhookSecret, WebhookView, endpoint_url,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::contact::Tested;
use crate::input::{Input, Kind};
use crate::route::{Route, action, command, command_with_secret, delete, get, list, patch, post, query};
use crate::shape::{Deleted, Shown, each, shown};

/// What `events` may hold: the names of all events, and what stands for all of them.
#[allow(clippy::indexing_slicing, reason = "both places are below the number of names")]
const EVENTS: [&str; EventName::WORDS.len() + 1] = {
    let mut all = [WebhookEvents::ALL; EventName::WORDS.len() + 1];
    let mut place = 0;
    while place < EventName::WORDS.len() {
        all[place + 1] = EventName::WORDS[place];
        place += 1;
    }
    all
};

fn webhook(input: &mut Input) -> Option<WebhookId> {
    input.path("id", Kind::Id(""), WebhookId::parse)
}

/// The field `events`: `None` when it is not given.
fn events(input: &mut Input) -> Option<Option<WebhookEvents>> {
    let names =
        input.edit_list("events", EVENTS.len(), Kind::Word(&EVENTS), |text| Ok::<_, Problem>(text.to_owned()))?;
    let events = names.map(|names| WebhookEvents::new(&names));
    match events {
        None => Some(None),
        Some(events) => input.rule("events", Some(events)).map(Some),
    }
}

pub(super) fn routes() -> Vec<Route> {
    const PATH: &str = "/webhooks/{id}";
    vec![
        list(
            get("/webhooks", "listWebhooks", "Webhooks, oldest first"),
            |_| Some(Ok(ListWebhooks)),
            each::<Webhook, _>,
        ),
        command_with_secret(
            post("/webhooks", "createWebhook", "Create a webhook; its secret is shown once"),
            |input| {
                let name = input.need("name", Kind::text::<Name>(), str::parse);
                let url = input.need("url", Kind::Https, endpoint_url);
                let events = events(input);
                let internal = input.edit_flag("includeInternal");
                let mut create = CreateWebhook::new(name?, url?);
                create.events = events?.unwrap_or(WebhookEvents::All);
                create.include_internal = internal?.unwrap_or_default();
                Some(Ok(create))
            },
            with_secret,
            true,
        ),
        query(
            get(PATH, "getWebhook", "One webhook"),
            |input| Some(Ok(GetWebhook { id: webhook(input)? })),
            shown::<Webhook, _>,
        ),
        command(
            patch(PATH, "editWebhook", "Change a webhook"),
            |input| {
                let id = webhook(input);
                let name = input.edit("name", Kind::text::<Name>(), str::parse);
                let url = input.edit("url", Kind::Https, endpoint_url);
                let events = events(input);
                let include_internal = input.edit_flag("includeInternal");
                Some(Ok(EditWebhook {
                    id: id?,
                    name: name?,
                    url: url?,
                    events: events?,
                    include_internal: include_internal?,
                }))
            },
            shown::<Webhook, _>,
        ),
        command(
            delete(PATH, "deleteWebhook", "Delete a webhook; what waits for it is not sent"),
            |input| Some(Ok(DeleteWebhook { id: webhook(input)? })),
            Deleted::of,
        ),
        command_with_secret(
            post(
                "/webhooks/{id}/rotate-secret",
                "rotateWebhookSecret",
                "Give a webhook a new secret; the old one signs, too, for a day",
            ),
            |input| Some(Ok(RotateWebhookSecret { id: webhook(input)? })),
            with_secret,
            false,
        ),
        action(
            post("/webhooks/{id}/test", "testWebhook", "Send a test to a webhook, at most one a minute"),
            |input| Some(Ok(TestWebhook { id: webhook(input)? })),
            Tested::of,
        ),
        action(
            post("/webhooks/{id}/enable", "enableWebhook", "Enable a webhook that was disabled"),
            |input| Some(Ok(EnableWebhook { id: webhook(input)? })),
            shown::<Webhook, _>,
        ),
        list(
            get(
                "/webhooks/{id}/deliveries",
                "listWebhookDeliveries",
                "The last 100 deliveries to a webhook, newest first",
            ),
            |input| Some(Ok(ListWebhookDeliveries { id: webhook(input)? })),
            each::<WebhookDelivery, _>,
        ),
    ]
}

/// A webhook with its secret, which is shown once: a recorded answer holds none.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewWebhook {
    #[serde(flatten)]
    #[schema(inline, value_type = Webhook)]
    webhook: Shown<Webhook, WebhookView>,
    secret: Option<String>,
}

fn with_secret(view: WebhookView, key: Option<&MasterKey>) -> NewWebhook {
    let secret = key.map(|key| WebhookSecret::of(key, view.id, view.generation).to_text().reveal().to_owned());
    NewWebhook { webhook: shown(view), secret }
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Webhook {
    id: String,
    name: String,
    url: String,
    events: Vec<String>,
    include_internal: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    disabled_at: Option<String>,
    disabled_reason: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookDelivery {
    id: String,
    r#type: String,
    event_id: Option<String>,
    incident_id: Option<String>,
    state: String,
    #[schema(format = DateTime)]
    created_at: String,
    attempts: u32,
    last_error: Option<String>,
    #[schema(format = DateTime)]
    delivered_at: Option<String>,
}
