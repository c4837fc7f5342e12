//! The statuses of incidents, and which may follow which: one step at a time, forward only (contract, section 6).

use crate::words::words;

words! {
    /// The stage of an incident's lifecycle, in the order of the lifecycle.
    ///
    /// ```
    /// use dogwatch_core::incident::Status;
    /// assert!(Status::Investigating.can_become(Status::Identified));
    /// assert!(!Status::Investigating.can_become(Status::Resolved));
    /// assert!(!Status::Resolved.can_become(Status::Resolved));
    /// ```
    Status, "status", "must be `investigating`, `identified`, `monitoring` or `resolved`" {
        /// `investigating`: every incident begins here.
        Investigating = "investigating",
        /// `identified`: the cause is known.
        Identified = "identified",
        /// `monitoring`: a fix is in place and watched.
        Monitoring = "monitoring",
        /// `resolved`: over, for good.
        Resolved = "resolved",
    }
}

impl Status {
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

    /// Whether an incident with this status may move to that one.
    #[must_use]
    pub fn can_become(self, to: Self) -> bool {
        self.next() == Some(to)
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
