//! Alerts in: monitors open incidents, and resolve them (contract, section 14).
//!
//! An [`Integration`] is a monitoring system that may report. Each alert that it reports is a [`Signal`], found by its key; signals that
//! belong together are an [`AlertGroup`], and a group is one incident. What a group does is a total function of its state and what
//! happens ([`GroupState`]): it may wait before it opens its incident, in case the alert goes by itself, and it waits before it resolves
//! it, in case the alert comes back. Both waits are timers of the engine ([`crate::ticks`]).
//!
//! [`ReceiveAlert`], [`ReceiveBeat`] and [`ReceiveFromTopic`] are for whoever holds the token of an integration. An alert is never refused for what it says: text
//! is made to fit. What an integration does to an incident, it does as an [`Author`](crate::incident::Author) of its own.
//!
//! When more than 60 groups begin within ten minutes, further ones are one group, the storm, until no new alert has come for ten
//! minutes. Nothing is dropped.

mod beat;
mod commands;
mod flow;
mod model;
mod port;
mod query;
mod receive;
mod topic;

pub use beat::ReceiveBeat;
pub use commands::{CreateIntegration, DeleteIntegration, EditIntegration, NewToken, RotateIntegrationToken, Settings};
pub use model::{
    AlertGroup, AlertKey, FirstAlert, GroupState, Heartbeat, Integration, IntegrationKind, Severities, SeverityOutcome,
    Signal, SomeSeverities, Storm, Traffic,
};
pub use port::IntegrationPort;
pub use query::{
    GetIntegration, IntegrationSetting, IntegrationView, ListIntegrations, ListSignals, SignalCursor, SignalList,
    SignalView,
};
pub use receive::{Alert, AlertState, Firing, ReceiveAlert, Received, holder};

pub use topic::{ConfirmTopic, ReceiveFromTopic};

pub(crate) use beat::fall_silent;
pub(crate) use commands::{Named, refers};
pub(crate) use receive::{incident_resolved, let_time_pass};
