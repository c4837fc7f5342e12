//! The limits of the contract's section 11. One more than a limit allows is refused with `limit_reached`.
//!
//! Lengths of text are in [`crate::text`].

/// The most members of an organization. A pending invitation counts as one.
pub const MEMBERS: u32 = 10_000;
/// The most components of an organization.
pub const COMPONENTS: u32 = 5_000;
/// The most API keys of a member. Expired ones count until they are revoked.
pub const API_KEYS: u32 = 20;
/// The most contact methods of a member, with the built-in one.
pub const CONTACT_METHODS: u32 = 10;
/// The most on-call schedules of an organization.
pub const SCHEDULES: u32 = 1_000;
/// The most rotation layers of a schedule.
pub const LAYERS: u32 = 20;
/// The most overrides of a schedule that are not yet over.
pub const OVERRIDES: u32 = 500;
/// The most escalation policies of an organization.
pub const POLICIES: u32 = 1_000;
/// The most layers of an escalation policy.
pub const POLICY_LAYERS: u32 = 20;
/// The most webhooks of an organization.
pub const WEBHOOKS: u32 = 50;
/// The most status pages of an organization.
pub const STATUS_PAGES: u32 = 20;
/// The most maintenances of a status page that are not over.
pub const MAINTENANCES: u32 = 100;
/// The most integrations of an organization.
pub const INTEGRATIONS: u32 = 200;
/// The most components that one incident affects.
pub const INCIDENT_COMPONENTS: u32 = 100;
/// The most updates of one incident. An update that changes the status is exempt: an incident can always be resolved.
pub const INCIDENT_UPDATES: u32 = 10_000;
