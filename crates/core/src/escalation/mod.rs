//! Escalation: policies, their layers, and the run of a policy for an incident (contract, section 9).
//!
//! A policy says whom to page about an incident, and whom next if nobody acknowledges: its layers fire in the order of their
//! positions, each names a schedule or users, and each waits a number of minutes before the next one fires. Commands:
//! [`CreatePolicy`], [`EditPolicy`] and [`DeletePolicy`]; [`AddPolicyLayer`], [`EditPolicyLayer`], [`OrderPolicyLayers`] and
//! [`RemovePolicyLayer`]. Queries: [`GetPolicy`], [`ListPolicies`], and [`PreviewPolicy`], which says who would be paged, and
//! when.
//!
//! A run starts when an incident is created with a policy. [`Run`] is a state machine without any I/O, which decides what a run
//! does. It goes along the layers as they were when it started; whom a layer reaches is looked up when it fires.
//!
//! That snapshot of the layers costs nothing when an incident is created. A policy counts its revisions: a run remembers the
//! revision it started on, and an edit of layers that a run has started on keeps the old ones ([`PastPolicyLayer`]).
//!
//! What acknowledging and handing off do to a run is in [`crate::incident`]; what lets time pass is in [`crate::ticks`]; how
//! pages travel is in [`crate::outbox`].

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
