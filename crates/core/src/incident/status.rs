//! The status machine of incidents: one step at a time, forward only (contract, section 6).

use std::fmt;
use std::str::FromStr;

use crate::validation::Problem;

/// Where in its lifecycle an incident is.
///
/// ```
/// use dogwatch_core::Status;
/// assert!(Status::Investigating.can_become(Status::Identified));
/// assert!(!Status::Investigating.can_become(Status::Resolved));
/// assert!(!Status::Resolved.can_become(Status::Resolved));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// `investigating`: every incident begins here.
    Investigating,
    /// `identified`: the cause is known.
    Identified,
    /// `monitoring`: a fix is in place and watched.
    Monitoring,
    /// `resolved`: over, for good.
    Resolved,
}

impl Status {
    /// All statuses, in the order of the lifecycle.
    pub const ALL: [Self; 4] = [Self::Investigating, Self::Identified, Self::Monitoring, Self::Resolved];

    /// The status that may follow this one; none after `resolved`.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Investigating => Some(Self::Identified),
            Self::Identified => Some(Self::Monitoring),
            Self::Monitoring => Some(Self::Resolved),
            Self::Resolved => None,
        }
    }

    /// Whether an incident with this status may get that one.
    #[must_use]
    pub fn can_become(self, to: Self) -> bool {
        self.next() == Some(to)
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Investigating => "investigating",
            Self::Identified => "identified",
            Self::Monitoring => "monitoring",
            Self::Resolved => "resolved",
        }
    }
}

impl FromStr for Status {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| Problem::new("must be `investigating`, `identified`, `monitoring` or `resolved`"))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Status::{self, Identified, Investigating, Monitoring, Resolved};

    /// All sixteen pairs, against the contract's list of the permitted three.
    #[test]
    fn every_pair() {
        let permitted = [(Investigating, Identified), (Identified, Monitoring), (Monitoring, Resolved)];
        for from in Status::ALL {
            for to in Status::ALL {
                assert_eq!(from.can_become(to), permitted.contains(&(from, to)), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn words() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().unwrap(), status);
        }
        assert!("Resolved".parse::<Status>().is_err());
        assert!("".parse::<Status>().is_err());
    }
}
