//! The limits of the contract's section 11. Past one of them: `limit_reached`.

/// Members of an organization; a pending invitation holds a seat.
pub const MEMBERS: u32 = 10_000;
/// Components of an organization.
pub const COMPONENTS: u32 = 5_000;
/// API keys of a member, expired ones included.
pub const API_KEYS: u32 = 20;
/// On-call schedules of an organization.
pub const SCHEDULES: u32 = 1_000;
/// Rotation layers of a schedule.
pub const LAYERS: u32 = 20;
/// Overrides of a schedule that are not yet over.
pub const OVERRIDES: u32 = 500;
/// Escalation policies of an organization.
pub const POLICIES: u32 = 1_000;
/// Layers of an escalation policy.
pub const POLICY_LAYERS: u32 = 20;
/// Components tagged on one incident.
pub const INCIDENT_COMPONENTS: u32 = 100;
/// Updates of one incident. An update that changes the status is exempt: an incident can always be resolved.
pub const INCIDENT_UPDATES: u32 = 10_000;
