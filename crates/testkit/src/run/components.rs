//! Operations on components.

use dogwatch_core::Actor;
use dogwatch_core::component::{CreateComponent, DeleteComponent, EditComponent};

use super::{Run, agree, compare_component, patch, set, valid};
use crate::model;
use crate::ops::ComponentOp;

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
                if let Some((made, ())) = agree(self.engine().execute(command, actor), expected, op) {
                    self.orgs[org].components.push(model::Component {
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
                if let Some((edited, index)) = agree(self.engine().execute(command, actor), expected, op) {
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
                agree(self.engine().execute(DeleteComponent { id: valid(&id) }, actor), expected, op);
            }
        }
    }
}
