//! What holds for every rotation, in every zone; and a second opinion, written with another zone database.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{Duration, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc};
use dogwatch_core::id::Id;
use dogwatch_core::oncall::{Phase, Rotation, RotationLength, RotationSettings, RotationType, Shift};
use dogwatch_core::{Timestamp, UserId, Zone};
use dogwatch_testkit::cases;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

static ZONES: LazyLock<Vec<String>> = LazyLock::new(Zone::names);

fn at(millis: i64) -> Timestamp {
    Timestamp::clamped(millis)
}

fn user(n: usize) -> UserId {
    UserId::from_bytes([u8::try_from(n).unwrap() + 1; 16])
}

/// A rotation of up to five people, who are all different.
#[derive(Debug, Clone)]
struct Case {
    zone: String,
    days: i64,
    handoff: u16,
    from: i64,
    people: usize,
}

impl Case {
    fn terms(&self) -> Rotation {
        let input = RotationSettings {
            zone: Zone::new(&self.zone).unwrap(),
            length: RotationLength::new(RotationType::Custom, self.days).unwrap(),
            handoff: dogwatch_core::oncall::HandoffTime::from_minutes(self.handoff).unwrap(),
            effective_from: at(self.from),
            effective_until: None,
            participants: (0..self.people).map(user).collect(),
        };
        Rotation::new(input, Phase::default())
    }
}

/// Any instant of the years 1970–2100, most often one near a time when clocks like to change.
fn instants() -> impl Strategy<Value = i64> {
    let near_midnight = (0_i64..47_000, 0_i64..3 * HOUR).prop_map(|(day, past)| day * DAY + past);
    prop_oneof![2 => 0..47_000 * DAY, 1 => near_midnight]
}

fn rotations() -> impl Strategy<Value = Case> {
    let days = prop_oneof![3 => Just(1_i64), 1 => Just(7), 1 => 1_i64..15, 1 => 1_i64..=366];
    let handoff = prop_oneof![2 => 0_u16..180, 1 => 0_u16..1_440, 1 => Just(0_u16)];
    (0..ZONES.len(), days, handoff, instants(), 1_usize..=5).prop_map(|(zone, days, handoff, from, people)| Case {
        zone: ZONES[zone].clone(),
        days,
        handoff,
        from,
        people,
    })
}

fn shifts(terms: &Rotation, from: i64, to: i64) -> Vec<Shift> {
    let mut shifts = Vec::new();
    terms.shifts(at(from), at(to), &mut shifts);
    shifts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(2_000)))]

    /// A question for an instant and one for a range give the same, at every boundary and around it.
    #[test]
    fn the_point_is_in_the_range(rotation in rotations(), ahead in 0_i64..20_000, length in 1_i64..60) {
        let terms = rotation.terms();
        let from = (rotation.from + ahead * DAY).min(Timestamp::MAX.as_millis() - 400 * DAY);
        let to = from + length * rotation.days.min(6) * DAY;
        let found = shifts(&terms, from, to);
        for shift in &found {
            let (first, last) = (shift.starts_at.as_millis(), shift.ends_at.as_millis() - 1);
            for probe in [first, first + 1, i64::midpoint(first, last), last] {
                prop_assert_eq!(terms.on_call(at(probe.min(last))), Some(shift.user_id), "{} {:?}", at(probe), shift);
            }
            if first > from {
                prop_assert_ne!(terms.on_call(at(first - 1)), Some(shift.user_id), "{:?}", shift);
            }
        }
    }

    /// Sorted, never overlapping, never inverted, merged when touching and equal, without a gap once it holds.
    #[test]
    fn shifts_are_a_line(rotation in rotations(), before in 0_i64..10, length in 1_i64..80) {
        let terms = rotation.terms();
        let (from, to) = ((rotation.from - before * DAY).max(0), rotation.from + length * DAY);
        let found = shifts(&terms, from, to);
        prop_assert_eq!(found.first().unwrap().starts_at, at(rotation.from.max(from)));
        prop_assert_eq!(found.last().unwrap().ends_at, at(to));
        prop_assert!(found.iter().all(|shift| shift.starts_at < shift.ends_at));
        for pair in found.windows(2) {
            prop_assert_eq!(pair[0].ends_at, pair[1].starts_at);
            prop_assert_ne!(pair[0].user_id, pair[1].user_id);
        }
    }

    /// A window is the cut of a larger window.
    #[test]
    fn a_window_is_a_cut(rotation in rotations(), ahead in 0_i64..9_000, a in 0_i64..40, b in 0_i64..40 * 86_400, c in 0_i64..40) {
        let terms = rotation.terms();
        let from = rotation.from + ahead * DAY - 20 * DAY;
        let (inner, to) = (from + a * DAY, from + a * DAY + b * 1_000);
        let cut: Vec<_> = shifts(&terms, from.max(0), to + c * DAY)
            .into_iter()
            .map(|shift| Shift { starts_at: shift.starts_at.max(at(inner)), ends_at: shift.ends_at.min(at(to)), ..shift })
            .filter(|shift| shift.starts_at < shift.ends_at)
            .collect();
        prop_assert_eq!(shifts(&terms, inner, to), cut);
    }

    /// Turns go round in order. Over whole cycles everybody has the same number of them, but for skipped days.
    #[test]
    fn turns_go_round(rotation in rotations(), ahead in 0_i64..3_000) {
        let terms = rotation.terms();
        let people = i64::try_from(rotation.people).unwrap();
        let first = terms.boundaries(at(rotation.from + ahead * DAY));
        let from = rotation.from + ahead * DAY;
        let to = from + 4 * people * rotation.days * DAY;
        let mut turns: BTreeMap<UserId, i64> = BTreeMap::new();
        let found = shifts(&terms, from, to);
        for pair in found.windows(2) {
            let skipped = (1..people).map(|step| (pair[0].user_id.to_bytes()[0] - 1 + u8::try_from(step).unwrap()) % u8::try_from(people).unwrap());
            let next = pair[1].user_id.to_bytes()[0] - 1;
            let empty = skipped.clone().position(|candidate| candidate == next).unwrap();
            // A shift is empty only on a day that did not exist.
            prop_assert!(empty == 0 || rotation.days == 1, "{:?}", pair);
        }
        // The first and the last are cut by the range; of the rest, as many whole cycles as there are.
        let whole = found.get(1..found.len().saturating_sub(1)).unwrap_or_default();
        for shift in &whole[..whole.len() / rotation.people * rotation.people] {
            *turns.entry(shift.user_id).or_default() += 1;
        }
        if rotation.people > 1 {
            let counts = (0..rotation.people).map(|person| turns.get(&user(person)).copied().unwrap_or(0));
            let (least, most) = (counts.clone().min().unwrap(), counts.max().unwrap());
            prop_assert!(most - least <= 1, "{:?} from turn {}", turns, first);
        }
    }

    /// What changes next is the next boundary between different people, and nothing changes before.
    #[test]
    fn next_is_next(rotation in rotations(), ahead in 0_i64..400 * 24) {
        let terms = rotation.terms();
        let from = rotation.from + ahead * HOUR;
        let found = shifts(&terms, from, from + 2 * rotation.days.max(2) * DAY);
        let expected = if rotation.people == 1 { None } else { Some(found[0].ends_at) };
        prop_assert_eq!(terms.next_change(at(from)), expected);
    }
}

/// The instant of a local time, by chrono-tz, the naive way: in a gap, walk back to a time that exists.
fn naive_instant(zone: chrono_tz::Tz, local: NaiveDateTime) -> Option<i64> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => Some(instant.timestamp_millis()),
        LocalResult::None => {
            let back = (1..3_000).find(|minutes| {
                zone.from_local_datetime(&(local - Duration::minutes(*minutes))).earliest().is_some()
            })?;
            let existing = zone.from_local_datetime(&(local - Duration::minutes(back))).latest()?;
            Some(existing.timestamp_millis() + back * 60_000)
        }
    }
}

/// Whether the two databases give the zone the same offset for a few days around an instant.
fn databases_agree(zone: chrono_tz::Tz, ours: &Zone, millis: i64) -> bool {
    (-60..=60).all(|hours| {
        let millis = millis + hours * HOUR;
        let theirs =
            zone.offset_from_utc_datetime(&chrono::DateTime::<Utc>::from_timestamp_millis(millis).unwrap().naive_utc());
        Timestamp::from_millis(millis)
            .is_none_or(|at| ours.local_time(at).offset_seconds == theirs.fix().local_minus_utc())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(1_500)))]

    /// A walk day by day, with chrono-tz, finds the same handoffs, wherever the two databases agree.
    #[test]
    fn a_second_opinion(rotation in rotations(), days in 1_i64..120) {
        let Ok(zone) = rotation.zone.parse::<chrono_tz::Tz>() else { return Ok(()) };
        let terms = rotation.terms();
        let ours = Zone::new(&rotation.zone).unwrap();
        let end = rotation.from + days * DAY;
        // chrono-tz has no rule after 2099.
        prop_assume!(end < 4_070_908_800_000);
        let anchor: NaiveDate = zone
            .from_utc_datetime(&chrono::DateTime::<Utc>::from_timestamp_millis(rotation.from).unwrap().naive_utc())
            .date_naive();
        prop_assume!(databases_agree(zone, &ours, rotation.from));
        let time = chrono::NaiveTime::from_num_seconds_from_midnight_opt(u32::from(rotation.handoff) * 60, 0).unwrap();
        let mut day = anchor;
        let mut boundaries = Vec::new();
        let mut date = 0_i64;
        while let Some(next) = day.succ_opt() {
            day = next;
            date += 1;
            if date % rotation.days != 0 {
                continue;
            }
            let Some(instant) = naive_instant(zone, day.and_time(time)) else { break };
            prop_assume!(databases_agree(zone, &ours, instant));
            boundaries.push(instant);
            if instant > end {
                break;
            }
        }
        for (n, boundary) in boundaries.iter().enumerate() {
            // How many of them are at or before: on a skipped day two are the same.
            let passed = boundaries.iter().filter(|other| *other <= boundary).count();
            prop_assert_eq!(terms.boundaries(at(*boundary)), i64::try_from(passed).unwrap(), "boundary {} at {}", n + 1, at(*boundary));
            let before = boundaries.iter().filter(|other| *other < boundary).count();
            prop_assert_eq!(terms.boundaries(at(*boundary - 1)), i64::try_from(before).unwrap(), "just before boundary {}", n + 1);
        }
    }
}

/// The oracle is worth nothing if the databases hardly ever agree.
#[test]
fn the_databases_mostly_agree() {
    let mut agree = 0;
    for name in ZONES.iter() {
        let ours = Zone::new(name).unwrap();
        let theirs = name.parse::<chrono_tz::Tz>();
        agree += usize::from(theirs.is_ok_and(|zone| databases_agree(zone, &ours, 1_750_000_000_000)));
    }
    assert!(agree * 100 > ZONES.len() * 95, "{agree} of {}", ZONES.len());
}
