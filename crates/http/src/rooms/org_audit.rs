//! The audit of an organization (contract, section 10): the route, and the shape of its reply.

use dogwatch_store::rules::org_audit::{ListOrgAudit, OrgAuditCursor};
use utoipa::ToSchema;

use super::incident::limit;
use crate::input::Kind;
use crate::route::{Route, get, query};
use crate::shape::shown;

pub(super) fn routes() -> Vec<Route> {
    vec![query(
        get("/audit", "listOrgAudit", "Who changed the organization's settings, newest first").long(),
        |input| {
            let limit = input.query("limit", Kind::Number(1, 100), limit);
            let cursor = input.query("cursor", Kind::Opaque, str::parse::<OrgAuditCursor>);
            Some(Ok(ListOrgAudit { limit: limit?.unwrap_or_default(), cursor: cursor? }))
        },
        shown::<OrgAuditList, _>,
    )]
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
struct OrgAuditTarget {
    kind: String,
    id: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct OrgAuditEntry {
    id: String,
    #[schema(format = DateTime)]
    at: String,
    actor_id: Option<String>,
    action: String,
    target: OrgAuditTarget,
    #[schema(value_type = Option<Object>)]
    before: Option<serde_json::Value>,
    #[schema(value_type = Option<Object>)]
    after: Option<serde_json::Value>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrgAuditList {
    entries: Vec<OrgAuditEntry>,
    next_cursor: Option<String>,
}
