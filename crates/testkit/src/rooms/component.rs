//! Components: the operations, the model, and both sides of each operation.

use dogwatch_core::Actor;
use dogwatch_core::component::{
    Component as Shown, CreateComponent, DeleteComponent, EditComponent, GetComponent, ListComponents,
};
use dogwatch_store::Engine;

use arbitrary::{Result, Unstructured};

use super::Org;
use crate::fixture::{did, valid};
use crate::model::{Expected, Millis, ensure};
use crate::ops::{Field, Pick, field, label, name, pick, text};
use crate::run::{Run, agree, millis, patch, set};

use super::incident::{Incident, RESOLVED};

/// An operation on components.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum ComponentOp {
    Create { name: String, description: Option<String>, label: Option<String> },
    Edit { component: Pick, name: Option<String>, description: Field<String>, label: Field<String> },
    Delete { component: Pick },
}

pub(super) fn operation(source: &mut Unstructured<'_>, org: usize) -> Result<ComponentOp> {
    Ok(match source.int_in_range(0..=3)? {
        0 | 1 => ComponentOp::Create { name: name(source)?, description: text(source)?, label: label(source)? },
        2 => ComponentOp::Edit {
            component: pick(source, org)?,
            name: if source.arbitrary()? { Some(name(source)?) } else { None },
            description: field(source, text)?,
            label: field(source, label)?,
        },
        _ => ComponentOp::Delete { component: pick(source, org)? },
    })
}

/// A component, as the model keeps it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Component {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub label: Option<String>,
    pub created: Millis,
    pub updated: Millis,
    pub deleted: bool,
}

impl Org {
    fn name_free(&self, name: &str, own: Option<usize>) -> Expected<()> {
        let mut others = self.components.iter().enumerate().filter(|(index, _)| Some(*index) != own);
        ensure(!others.any(|(_, component)| !component.deleted && component.name == name), "name_conflict")
    }

    /// Whether the actor may create a component of this name, else the code of the refusal.
    pub fn create_component(&self, actor: usize, name: &str) -> Expected<()> {
        self.actor(actor)?;
        self.name_free(name, None)
    }

    /// The component to edit, if the edit is allowed, else the code of the refusal.
    pub fn edit_component(&self, actor: usize, index: Option<usize>, name: Option<&String>) -> Expected<usize> {
        self.actor(actor)?;
        let index = index.filter(|index| !self.components[*index].deleted).ok_or("not_found")?;
        if let Some(name) = name {
            self.name_free(name, Some(index))?;
        }
        Ok(index)
    }

    /// Deletes a component.
    pub fn delete_component(&mut self, actor: usize, index: Option<usize>) -> Expected<()> {
        self.actor(actor)?;
        let index = index.filter(|index| !self.components[*index].deleted).ok_or("not_found")?;
        let used = |incident: &Incident| incident.status != RESOLVED && incident.components.contains(&index);
        let named = self.integrations.iter().any(|one| !one.deleted && one.component == Some(index));
        ensure(!self.incidents.iter().any(used) && !self.is_on_a_page(index) && !named, "component_in_use")?;
        self.components[index].deleted = true;
        Ok(())
    }

    pub(super) fn component_set(&self, components: &[(String, Option<usize>)]) -> Expected<Vec<usize>> {
        for (n, (id, _)) in components.iter().enumerate() {
            ensure(!components[..n].iter().any(|(earlier, _)| earlier == id), "duplicate_component_id")?;
        }
        let here = |index: Option<usize>| index.filter(|index| !self.components[*index].deleted);
        components.iter().map(|(_, index)| here(*index).ok_or("invalid_component_id")).collect()
    }
}

/// Creates a component in an organization and deletes it.
pub(super) fn fill(engine: &Engine, admin: &Actor) {
    let description = Some(valid("What is in the basket"));
    let create = CreateComponent { name: valid("Basket"), description, group_label: Some(valid("Shop")) };
    let basket = did(engine, create, admin).id;
    did(engine, DeleteComponent { id: basket }, admin);
}

impl Run<'_> {
    pub(super) fn component_op(&mut self, op: &ComponentOp, org: usize, me: usize, actor: &Actor) {
        let now = self.now();
        match op {
            ComponentOp::Create { name, description, label } => {
                let expected = self.orgs[org].create_component(me, name);
                let command = CreateComponent {
                    name: valid(name),
                    description: description.as_deref().map(valid),
                    group_label: label.as_deref().map(valid),
                };
                if let Some((made, ())) = agree(self.subject().execute(command, actor), expected, op) {
                    self.orgs[org].components.push(Component {
                        id: made.id.to_string(),
                        name: name.clone(),
                        description: description.clone(),
                        label: label.clone(),
                        created: now,
                        updated: now,
                        deleted: false,
                    });
                    compare_component(self.orgs[org].components.last().unwrap(), &made);
                }
            }
            ComponentOp::Edit { component, name, description, label } => {
                let (id, index) = self.component(*component, org);
                let expected = self.orgs[org].edit_component(me, index, name.as_ref());
                let command = EditComponent {
                    id: valid(&id),
                    name: name.as_deref().map(valid),
                    description: patch(description),
                    group_label: patch(label),
                };
                if let Some((edited, index)) = agree(self.subject().execute(command, actor), expected, op) {
                    let component = &mut self.orgs[org].components[index];
                    let before = (component.name.clone(), component.description.clone(), component.label.clone());
                    if let Some(name) = name {
                        component.name.clone_from(name);
                    }
                    set(&mut component.description, description);
                    set(&mut component.label, label);
                    if before != (component.name.clone(), component.description.clone(), component.label.clone()) {
                        component.updated = component.updated.max(now);
                    }
                    compare_component(component, &edited);
                }
            }
            ComponentOp::Delete { component } => {
                let (id, index) = self.component(*component, org);
                let expected = self.orgs[org].delete_component(me, index);
                agree(self.subject().execute(DeleteComponent { id: valid(&id) }, actor), expected, op);
            }
        }
    }
}

impl Run<'_> {
    pub(super) fn compare_components(&self, model: &Org, actor: &Actor) {
        let components = self.subject().query(&ListComponents, actor).unwrap();
        let mut expected: Vec<_> = model.components.iter().filter(|component| !component.deleted).collect();
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(components.len(), expected.len());
        for (component, expected) in components.iter().zip(expected) {
            compare_component(expected, component);
            assert_eq!(self.subject().query(&GetComponent { id: component.id }, actor).unwrap(), *component);
        }
    }
}

fn compare_component(expected: &Component, got: &Shown) {
    let got = (
        got.id.to_string(),
        got.name.to_string(),
        got.description.as_ref().map(ToString::to_string),
        got.group_label.as_ref().map(ToString::to_string),
        millis(got.created_at),
        millis(got.updated_at),
    );
    let expected = expected.clone();
    assert_eq!(
        got,
        (expected.id, expected.name, expected.description, expected.label, expected.created, expected.updated)
    );
}
