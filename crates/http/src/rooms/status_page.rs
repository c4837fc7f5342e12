//! Status pages and maintenances (contract, section 13): the routes, and the shapes of their replies. What anybody sees of a page is not
//! here: it needs no API key, and has its forms beside the API.

use dogwatch_store::rules::id::{ComponentId, MaintenanceId, StatusPageId};
use dogwatch_store::rules::status_page::{
    ComponentStatus, CreateMaintenance, CreateStatusPage, DeleteMaintenance, DeleteStatusPage, EditMaintenance,
    EditStatusPage, GetMaintenance, GetStatusPage, ListMaintenances, ListStatusPages, StatusOverride,
    StatusPage as Page,
};
use dogwatch_store::rules::text::{Description, Name, Slug, Title};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::Field;
use crate::input::{Input, Kind, time};
use crate::route::{Route, command, delete, get, list, patch, post, query};
use crate::shape::{Deleted, each, shown};

fn page(input: &mut Input) -> Option<StatusPageId> {
    input.path("id", Kind::Id(""), StatusPageId::parse)
}

fn maintenance(input: &mut Input) -> Option<MaintenanceId> {
    input.path("maintenanceId", Kind::Id(""), MaintenanceId::parse)
}

fn components(input: &mut Input) -> Option<Option<Vec<ComponentId>>> {
    input.edit_list("componentIds", Page::MOST_COMPONENTS, Kind::Id(""), ComponentId::parse)
}

fn overrides(input: &mut Input) -> Option<Option<Vec<StatusOverride>>> {
    input.edit_objects("overrides", Page::MOST_COMPONENTS, Kind::StatusOverride, by_hand)
}

fn by_hand(value: &Map<String, Value>, place: &str) -> Result<StatusOverride, Vec<Field>> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let problem = |name: &str, what: String| Field { path: format!("{place}/{name}"), problem: what };
    let component = ComponentId::parse(text("componentId")).map_err(|why| problem("componentId", why.to_string()));
    let status = text("status").parse::<ComponentStatus>().map_err(|why| problem("status", why.to_string()));
    match (component, status) {
        (Ok(component_id), Ok(status)) => Ok(StatusOverride { component_id, status }),
        (component, status) => Err(component.err().into_iter().chain(status.err()).collect()),
    }
}

pub(super) fn routes() -> Vec<Route> {
    const PATH: &str = "/status-pages/{id}";
    let mut routes = vec![
        list(
            get("/status-pages", "listStatusPages", "Status pages, oldest first"),
            |_| Some(Ok(ListStatusPages)),
            each::<StatusPage, _>,
        ),
        command(
            post("/status-pages", "createStatusPage", "Create a status page"),
            |input| {
                let name = input.need("name", Kind::text::<Name>(), str::parse);
                let slug = input.need("slug", Kind::Slug, str::parse::<Slug>);
                let published = input.edit_flag("published");
                let timezone = input.may("timezone", Kind::Opaque, |text| Ok(text.to_owned()));
                let (components, overrides) = (components(input), overrides(input));
                let mut create = CreateStatusPage::new(name?, slug?);
                create.published = published?.unwrap_or_default();
                create.timezone = timezone?.unwrap_or(create.timezone);
                create.component_ids = components?.unwrap_or_default();
                create.overrides = overrides?.unwrap_or_default();
                Some(Ok(create))
            },
            shown::<StatusPage, _>,
        ),
        query(
            get(PATH, "getStatusPage", "One status page"),
            |input| Some(Ok(GetStatusPage { id: page(input)? })),
            shown::<StatusPage, _>,
        ),
        command(
            patch(PATH, "editStatusPage", "Change a status page"),
            |input| {
                let id = page(input);
                let name = input.edit("name", Kind::text::<Name>(), str::parse);
                let slug = input.edit("slug", Kind::Slug, str::parse::<Slug>);
                let published = input.edit_flag("published");
                let timezone = input.edit("timezone", Kind::Opaque, |text| Ok(text.to_owned()));
                let (component_ids, overrides) = (components(input), overrides(input));
                Some(Ok(EditStatusPage {
                    id: id?,
                    name: name?,
                    slug: slug?,
                    published: published?,
                    timezone: timezone?,
                    component_ids: component_ids?,
                    overrides: overrides?,
                }))
            },
            shown::<StatusPage, _>,
        ),
        command(
            delete(PATH, "deleteStatusPage", "Delete a status page with its maintenances; its slug is free again"),
            |input| Some(Ok(DeleteStatusPage { id: page(input)? })),
            Deleted::of,
        ),
    ];
    routes.extend(maintenances());
    routes
}

fn maintenances() -> Vec<Route> {
    const ALL: &str = "/status-pages/{id}/maintenances";
    const PATH: &str = "/status-pages/{id}/maintenances/{maintenanceId}";
    vec![
        list(
            get(ALL, "listMaintenances", "Maintenances: those not over and the last 100 that are, the latest first"),
            |input| Some(Ok(ListMaintenances { status_page_id: page(input)? })),
            each::<Maintenance, _>,
        ),
        command(
            post(ALL, "createMaintenance", "Announce a maintenance"),
            |input| {
                let status_page_id = page(input);
                let title = input.need("title", Kind::text::<Title>(), str::parse);
                let description = input.may("description", Kind::text::<Description>(), str::parse);
                let components = input.list("componentIds", Page::MOST_COMPONENTS, Kind::Id(""), ComponentId::parse);
                let starts_at = input.need("startsAt", Kind::Time, time);
                let ends_at = input.need("endsAt", Kind::Time, time);
                let span = starts_at.zip(ends_at).map(|(from, to)| CreateMaintenance::check_span(from, to));
                let span = input.rule("endsAt", span);
                let some = components.as_deref().map(CreateMaintenance::check_components);
                let some = input.rule("componentIds", some);
                span?;
                some?;
                Some(Ok(CreateMaintenance {
                    status_page_id: status_page_id?,
                    title: title?,
                    description: description?,
                    component_ids: components?,
                    starts_at: starts_at?,
                    ends_at: ends_at?,
                }))
            },
            shown::<Maintenance, _>,
        ),
        query(
            get(PATH, "getMaintenance", "One maintenance"),
            |input| {
                let (page, id) = (page(input), maintenance(input));
                Some(Ok(GetMaintenance { status_page_id: page?, id: id? }))
            },
            shown::<Maintenance, _>,
        ),
        command(
            patch(PATH, "editMaintenance", "Change a maintenance that is not over"),
            |input| {
                let (status_page_id, id) = (page(input), maintenance(input));
                let title = input.edit("title", Kind::text::<Title>(), str::parse);
                let description = input.patch("description", Kind::text::<Description>(), str::parse);
                let components = components(input);
                let starts_at = input.edit("startsAt", Kind::Time, time);
                let ends_at = input.edit("endsAt", Kind::Time, time);
                let given = components.as_ref().and_then(|given| given.as_deref());
                let some = given.map_or(Ok(()), CreateMaintenance::check_components);
                let some = input.rule("componentIds", Some(some));
                let span = starts_at.flatten().zip(ends_at.flatten());
                let span = span.map_or(Ok(()), |(from, to)| CreateMaintenance::check_span(from, to));
                let span = input.rule("endsAt", Some(span));
                some?;
                span?;
                Some(Ok(EditMaintenance {
                    status_page_id: status_page_id?,
                    id: id?,
                    title: title?,
                    description: description?,
                    component_ids: components?,
                    starts_at: starts_at?,
                    ends_at: ends_at?,
                }))
            },
            shown::<Maintenance, _>,
        ),
        command(
            delete(PATH, "deleteMaintenance", "Delete a maintenance; one under way ends now"),
            |input| {
                let (page, id) = (page(input), maintenance(input));
                Some(Ok(DeleteMaintenance { status_page_id: page?, id: id? }))
            },
            Deleted::of,
        ),
    ]
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusPage {
    id: String,
    org_id: String,
    name: String,
    slug: String,
    published: bool,
    timezone: String,
    component_ids: Vec<String>,
    overrides: Vec<Override>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
#[schema(as = StatusOverride)]
struct Override {
    component_id: String,
    status: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Maintenance {
    id: String,
    status_page_id: String,
    title: String,
    description: Option<String>,
    component_ids: Vec<String>,
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
    #[schema(format = DateTime)]
    created_at: String,
}
