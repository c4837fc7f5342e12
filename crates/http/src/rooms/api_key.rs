//! API keys (contract, section 4): the routes, and the shapes of their replies.

use dogwatch_store::rules::api_key::{CreateApiKey, ListApiKeys, RevokeApiKey};
use dogwatch_store::rules::id::ApiKeyId;
use dogwatch_store::rules::text::Name;
use utoipa::ToSchema;

use crate::input::{Kind, time};
use crate::route::{Route, command, delete, get, list, post};
use crate::shape::{Deleted, each, shown};

pub(super) fn routes() -> Vec<Route> {
    vec![
        list(
            get("/api-keys", "listApiKeys", "API keys: all of them for an admin, else one's own"),
            |_| Some(Ok(ListApiKeys)),
            each::<ApiKey, _>,
        ),
        command(
            post("/api-keys", "createApiKey", "Create an API key; its secret is shown once"),
            |input| {
                let name = input.need("name", Kind::text::<Name>(), str::parse);
                let expires_at = input.may("expiresAt", Kind::Time, time);
                Some(Ok(CreateApiKey { name: name?, expires_at: expires_at? }))
            },
            shown::<NewApiKey, _>,
        ),
        command(
            delete("/api-keys/{keyId}", "revokeApiKey", "Revoke an API key"),
            |input| {
                let id = input.path("keyId", Kind::Id("key_"), ApiKeyId::parse);
                Some(Ok(RevokeApiKey { id: id? }))
            },
            Deleted::of,
        ),
    ]
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKey {
    id: String,
    name: String,
    user_id: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    last_four: String,
}

/// A key with its secret, which is shown once: a recorded answer holds none.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
pub(crate) struct NewApiKey {
    #[serde(flatten)]
    key: ApiKey,
    secret: Option<String>,
}
