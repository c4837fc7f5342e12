//! Types that all parts of the naive model share; each resource has its own part (see [`crate::rooms`]).

use crate::rooms::Org;

/// An instant, in milliseconds since 1970.
pub type Millis = i64;

/// What the model expects of an operation: a value, or the code of a refusal.
pub type Expected<T> = Result<T, &'static str>;

/// Expects a refusal with this code unless the rule is kept.
pub(crate) fn ensure(rule: bool, code: &'static str) -> Expected<()> {
    if rule { Ok(()) } else { Err(code) }
}

/// Who did something to an incident: a member, or an integration, by their places in the organization's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the two authors of the contract")]
pub enum By {
    Member(usize),
    Integration(usize),
}

impl From<usize> for By {
    fn from(member: usize) -> Self {
        Self::Member(member)
    }
}

impl Org {
    /// Who did something, by their id.
    pub(crate) fn author(&self, by: By) -> &String {
        match by {
            By::Member(member) => &self.members[member].id,
            By::Integration(integration) => &self.integrations[integration].id,
        }
    }

    /// What they are called.
    pub(crate) fn author_name(&self, by: By) -> String {
        match by {
            By::Member(member) => format!("{} {}", self.members[member].first, self.members[member].last),
            By::Integration(integration) => self.integrations[integration].name.clone(),
        }
    }
}

/// What waits for a tick, by its place in the lists of its organization. At one instant they go on in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the words of the contract")]
pub enum Waits {
    Run(usize),
    Heartbeat(usize),
    Group(usize, usize),
    Maintenance(usize),
}

/// Something whose time has come: since when, what decides the order of what is due at one instant, and what it is.
pub(crate) type Overdue = (Millis, (u8, String), Waits);

impl Org {
    /// Whether something that waits still does, and its time has come.
    #[must_use]
    pub fn is_due(&self, what: Waits, now: Millis) -> bool {
        let all = [self.overdue(now), self.overdue_alerts(now), self.overdue_maintenances(now)].concat();
        all.iter().any(|(.., waits)| *waits == what)
    }

    /// Something that has waited goes on. Gives the incident that this changes.
    pub fn go_on(&mut self, what: Waits, now: Millis) -> Option<usize> {
        match what {
            Waits::Run(incident) => {
                self.time_out(incident, now);
                Some(incident)
            }
            Waits::Heartbeat(integration) => self.fall_silent(integration, now),
            Waits::Group(integration, group) => self.let_group_go_on(integration, group, now),
            Waits::Maintenance(index) => {
                self.let_maintenance_go_on(index, now);
                None
            }
        }
    }
}
