//! Components (contract, section 5): the routes, and the shapes of their replies.

use dogwatch_store::rules::component::{CreateComponent, DeleteComponent, EditComponent, GetComponent, ListComponents};
use dogwatch_store::rules::id::ComponentId;
use dogwatch_store::rules::text::{Description, GroupLabel, Name};
use utoipa::ToSchema;

use crate::input::{Input, Kind};
use crate::route::{Route, command, delete, get, list, patch, post, query};
use crate::shape::{Deleted, each, shown};

fn component(input: &mut Input) -> Option<ComponentId> {
    input.path("id", Kind::Id(""), ComponentId::parse)
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        list(
            get("/components", "listComponents", "Components, by name"),
            |_| Some(Ok(ListComponents)),
            each::<Component, _>,
        ),
        command(
            post("/components", "createComponent", "Create a component"),
            |input| {
                let name = input.need("name", Kind::text::<Name>(), str::parse);
                let description = input.may("description", Kind::text::<Description>(), str::parse);
                let group_label = input.may("groupLabel", Kind::text::<GroupLabel>(), str::parse);
                Some(Ok(CreateComponent { name: name?, description: description?, group_label: group_label? }))
            },
            shown::<Component, _>,
        ),
        query(
            get("/components/{id}", "getComponent", "One component"),
            |input| Some(Ok(GetComponent { id: component(input)? })),
            shown::<Component, _>,
        ),
        command(
            patch("/components/{id}", "editComponent", "Change a component"),
            |input| {
                let id = component(input);
                let name = input.edit("name", Kind::text::<Name>(), str::parse);
                let description = input.patch("description", Kind::text::<Description>(), str::parse);
                let group_label = input.patch("groupLabel", Kind::text::<GroupLabel>(), str::parse);
                Some(Ok(EditComponent { id: id?, name: name?, description: description?, group_label: group_label? }))
            },
            shown::<Component, _>,
        ),
        command(
            delete("/components/{id}", "deleteComponent", "Delete a component"),
            |input| Some(Ok(DeleteComponent { id: component(input)? })),
            Deleted::of,
        ),
    ]
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Component {
    id: String,
    org_id: String,
    name: String,
    description: Option<String>,
    group_label: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}
