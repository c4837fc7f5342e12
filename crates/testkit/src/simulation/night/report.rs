//! What happened in simulated nights, in numbers.

/// Counts of what happened in one night, or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "counts of what the names say")]
pub struct Report {
    pub incidents: u64,
    pub steps: u64,
    pub ticks: u64,
    pub fired: u64,
    pub pages: u64,
    pub kills: u64,
    pub faults: u64,
    pub unknown: u64,
    pub races: u64,
    pub claims: u64,
    /// How often a component on a status page was seen to have another status.
    pub statuses: u64,
    /// Alerts and beats that were answered.
    pub alerts: u64,
    /// Incidents that integrations opened, storms among them.
    pub alerted: u64,
    pub storms: u64,
    /// Reports that were refused: with a token that does not work, or from a topic that may not report.
    pub refused: u64,
    /// Changes of integrations that were done.
    pub changes: u64,
}

impl Report {
    /// Adds the counts of another night.
    pub fn add(&mut self, other: &Self) {
        self.incidents += other.incidents;
        self.steps += other.steps;
        self.ticks += other.ticks;
        self.fired += other.fired;
        self.pages += other.pages;
        self.kills += other.kills;
        self.faults += other.faults;
        self.unknown += other.unknown;
        self.races += other.races;
        self.claims += other.claims;
        self.statuses += other.statuses;
        self.alerts += other.alerts;
        self.alerted += other.alerted;
        self.storms += other.storms;
        self.refused += other.refused;
        self.changes += other.changes;
    }
}
