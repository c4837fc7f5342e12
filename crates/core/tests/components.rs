//! Section 5 of the contract: components.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::Patch;
use dogwatch_core::component::{CreateComponent, DeleteComponent, EditComponent, GetComponent, ListComponents};
use dogwatch_core::id::{ComponentId, Id};
use dogwatch_core::incident::{ChangeStatus, SetComponents, Status};
use support::{Harbour, valid, word};

fn create(name: &str) -> CreateComponent {
    CreateComponent { name: valid(name), description: None, group_label: None }
}

fn rename(id: ComponentId, name: &str) -> EditComponent {
    EditComponent { id, name: Some(valid(name)), description: Patch::Keep, group_label: Patch::Keep }
}

#[test]
fn names_are_unique_and_compared_exactly() {
    for (name, expected) in
        [("API", "name_conflict"), ("api", "ok"), ("API ", "ok"), (" API", "ok"), ("Ａ\u{50}I", "ok"), ("Web", "ok")]
    {
        let two = || {
            let mut harbour = Harbour::new();
            let (api, web) = (harbour.component("API"), harbour.component("Website"));
            (harbour, api, web)
        };
        let (mut harbour, ..) = two();
        let ben = harbour.ben;
        assert_eq!(word(&harbour.run(create(name), &ben)), expected, "create {name:?}");
        let (mut harbour, api, web) = two();
        assert_eq!(word(&harbour.run(rename(web, name), &ben)), expected, "rename to {name:?}");
        assert_eq!(word(&harbour.run(rename(api, "API"), &ben)), "ok", "its own name is no conflict");
    }
}

#[test]
fn editing() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let id = harbour.component("API");
    harbour.advance(60);
    let edit = EditComponent {
        id,
        name: None,
        description: Patch::Set(valid("Public\nAPI")),
        group_label: Patch::Set(valid("Core")),
    };
    let edited = harbour.run(edit, &ben).unwrap();
    assert_eq!(edited.updated_at, harbour.now);
    assert_eq!(edited.description.as_ref().unwrap().as_str(), "Public\nAPI");
    harbour.advance(60);
    let nothing = EditComponent { id, name: None, description: Patch::Keep, group_label: Patch::Keep };
    assert_eq!(harbour.run_unchanged(nothing, &ben).unwrap(), edited);
    let clear = EditComponent { id, name: None, description: Patch::Clear, group_label: Patch::Keep };
    let cleared = harbour.run(clear, &ben).unwrap();
    assert_eq!((cleared.description.is_none(), cleared.group_label.is_some()), (true, true));
    let unknown = ComponentId::from_bytes([9; 16]);
    assert_eq!(word(&harbour.run_unchanged(rename(unknown, "API"), &ben)), "not_found");
}

#[test]
fn listed_by_name() {
    let mut harbour = Harbour::new();
    for name in ["Web", "API", "api", "Ä", "Zulu", "10", "9"] {
        harbour.component(name);
    }
    let listed = harbour.ask(&ListComponents, &harbour.ben).unwrap();
    let names: Vec<_> = listed.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["10", "9", "API", "Web", "Zulu", "api", "Ä"]);
}

#[test]
fn a_component_in_use_stays() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let (api, web) = (harbour.component("API"), harbour.component("Web"));
    let incident = harbour.incident();
    harbour.run(SetComponents { id: incident, component_ids: vec![api, web] }, &ben).unwrap();
    assert_eq!(word(&harbour.run_unchanged(DeleteComponent { id: api }, &ben)), "component_in_use");
    harbour.run(SetComponents { id: incident, component_ids: vec![web] }, &ben).unwrap();
    assert_eq!(word(&harbour.run(DeleteComponent { id: api }, &ben)), "ok");

    for to in [Status::Identified, Status::Monitoring] {
        harbour.run(ChangeStatus::new(incident, to), &ben).unwrap();
        assert_eq!(word(&harbour.run_unchanged(DeleteComponent { id: web }, &ben)), "component_in_use", "{to}");
    }
    harbour.run(ChangeStatus::new(incident, Status::Resolved), &ben).unwrap();
    assert_eq!(harbour.run(DeleteComponent { id: web }, &ben).unwrap(), web);

    let shown = harbour.detail(incident).incident.affected_components;
    assert_eq!((shown.len(), shown[0].id, shown[0].name.as_str()), (1, web, "Web"), "id and last name stay");
    assert_eq!(word(&harbour.run_unchanged(DeleteComponent { id: web }, &ben)), "not_found");
    assert_eq!(word(&harbour.ask(&GetComponent { id: web }, &ben)), "not_found");
    assert_eq!(word(&harbour.run_unchanged(rename(web, "Web 2"), &ben)), "not_found");
    assert_eq!(word(&harbour.run(create("Web"), &ben)), "ok", "the name is free again");
    assert_eq!(harbour.detail(incident).incident.affected_components, shown);
}

#[test]
fn five_thousand_components() {
    use dogwatch_core::world::{Change, State, Write};
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let before = harbour.world.world(harbour.org).counts().unwrap();
    let mut full = before;
    full.components = 4_999;
    harbour.world.apply(vec![Write::Counts(Change::edited(before, full))]);
    let last = harbour.component("the last");
    assert_eq!(word(&harbour.run_unchanged(create("one too many"), &ben)), "limit_reached");
    assert_eq!(word(&harbour.run_unchanged(create("the last"), &ben)), "name_conflict", "the name comes first");
    harbour.run(DeleteComponent { id: last }, &ben).unwrap();
    assert_eq!(word(&harbour.run(create("one more"), &ben)), "ok");
}
