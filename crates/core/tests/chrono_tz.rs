//! The conversions behind the feature `chrono-tz`.
#![cfg(feature = "chrono-tz")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono_tz::Tz;
use dogwatch_core::Zone;

#[test]
fn zones_convert_by_name_both_ways() {
    for name in ["Europe/Berlin", "UTC", "US/Eastern", "Pacific/Apia"] {
        let theirs: Tz = name.parse().unwrap();
        let ours = Zone::try_from(theirs).unwrap();
        assert_eq!(ours.name(), name);
        assert_eq!(Tz::try_from(&ours).unwrap(), theirs);
    }
}
