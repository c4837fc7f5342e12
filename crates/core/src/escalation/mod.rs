//! Escalation: policies, their layers, and what a run of one does to an incident (contract, section 9).
//!
//! What a run may do is decided in [`run`](self) as a state machine without any I/O. Here it meets the world: a policy's layers
//! are what a run goes along, as they were when it started; whom a layer reaches is looked up when it fires.
//!
//! The snapshot costs nothing when an incident is created. A policy counts its revisions: a run remembers which one it
//! started on, and an edit of layers that a run has started on keeps the old ones ([`PastPolicyLayer`]).

mod begin;
mod layers;
mod model;
mod policies;
mod port;
mod query;
mod run;

pub use begin::Lookups;
pub use layers::{AddPolicyLayer, EditPolicyLayer, OrderPolicyLayers, RemovePolicyLayer};
pub use model::{Escalation, PastPolicyLayer, Policy, PolicyLayer, Position, Target, TargetUsers};
pub use policies::{CreatePolicy, DeletePolicy, EditPolicy};
pub use port::EscalationPort;
pub use query::{GetPolicy, ListPolicies, PolicyLayerView, PolicyView, Preview, PreviewPolicy, PreviewedLayer};
pub use run::{AckTimeout, Run, RunLayer, RunState};

pub(crate) use begin::{attached, begin, step};
pub(crate) use layers::leave_policies;
pub(crate) use run::{Input, Output};

use crate::error::Error;
use crate::id::PolicyId;

/// The policy with this id. Code: `not_found`.
fn find(world: &(impl EscalationPort + ?Sized), id: PolicyId) -> Result<Policy, Error> {
    world.policy(id)?.ok_or_else(|| Error::not_found("escalation policy"))
}

/// The layers of a policy, by position.
fn by_position(mut layers: Vec<PolicyLayer>) -> Vec<PolicyLayer> {
    layers.sort_by_key(|layer| layer.position);
    layers
}
