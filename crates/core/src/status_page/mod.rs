//! Status pages: what customers see of components and incidents (contract, section 13).
//!
//! A [`StatusPage`] shows components, each with a [`ComponentStatus`] and how it was over the last 90 days, the incidents that affect
//! them, and [`Maintenance`]s. Admins publish pages ([`CreateStatusPage`], [`EditStatusPage`], [`DeleteStatusPage`]) and announce
//! maintenances ([`CreateMaintenance`], [`EditMaintenance`], [`DeleteMaintenance`]); any member looks at them ([`GetStatusPage`],
//! [`ListStatusPages`], [`GetMaintenance`], [`ListMaintenances`]). [`ShowStatusPage`] is what anybody sees of a published page.
//!
//! The status of a component on a page follows from an override, the maintenances under way, and the unresolved incidents that
//! affect it. Whatever changes one of them writes the new status ([`StatusChange`]) in the same commit, so how a component was stays
//! true whatever changes later. Maintenances begin and end by [`crate::ticks`].

mod commands;
mod days;
mod maintenances;
mod model;
mod port;
mod query;
mod show;
mod status;

pub use commands::{CreateStatusPage, DeleteStatusPage, EditStatusPage};
pub use days::{Date, ShownDay, Uptime};
pub use maintenances::{CreateMaintenance, DeleteMaintenance, EditMaintenance};
pub use model::{
    ComponentStatus, Maintenance, MaintenanceState, MaintenanceView, StatusChange, StatusOverride, StatusPage,
};
pub use port::StatusPagePort;
pub use query::{GetMaintenance, GetStatusPage, ListMaintenances, ListStatusPages};
pub use show::{
    PublicPage, ShowStatusPage, ShownComponent, ShownHistoryDay, ShownIncident, ShownMaintenance, ShownPage,
    ShownUpdate,
};

pub(crate) use maintenances::let_time_pass;
pub(crate) use status::{has_public_surface, incident_changed};
