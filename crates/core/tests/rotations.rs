//! Section 8 of the contract, by hand: where the handoffs of a rotation are when clocks change.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use dogwatch_core::id::Id;
use dogwatch_core::oncall::{Phase, Rotation, RotationLength, RotationSettings, RotationType};
use dogwatch_core::{Timestamp, UserId, Zone};

fn at(text: &str) -> Timestamp {
    // A date and time without seconds is enough for a table.
    let text = if text.len() == 17 { text.replace('Z', ":00Z") } else { text.to_owned() };
    text.parse().unwrap()
}

fn user(letter: char) -> UserId {
    UserId::from_bytes([u8::try_from(letter).unwrap(); 16])
}

fn letter(user: UserId) -> char {
    char::from(user.to_bytes()[0])
}

fn terms(zone: &str, days: i64, handoff: &str, from: &str, people: &str) -> Rotation {
    let input = RotationSettings {
        zone: Zone::new(zone).unwrap(),
        length: RotationLength::new(RotationType::Custom, days).unwrap(),
        handoff: handoff.parse().unwrap(),
        effective_from: at(from),
        effective_until: None,
        participants: people.chars().map(user).collect(),
    };
    Rotation::new(input, Phase::default())
}

/// The shifts up to an instant: who, from when. Every one is also what a question for the instant gives.
fn check(terms: &Rotation, to: &str, expected: &[(char, &str)]) {
    let mut shifts = Vec::new();
    terms.shifts(Timestamp::MIN, at(to), &mut shifts);
    let shown: Vec<_> = shifts.iter().map(|shift| (letter(shift.user_id), shift.starts_at)).collect();
    let wanted: Vec<_> = expected.iter().map(|(who, from)| (*who, at(from))).collect();
    assert_eq!(shown, wanted);
    for shift in &shifts {
        assert_eq!(terms.on_call(shift.starts_at), Some(shift.user_id), "the boundary belongs to the new one");
        let last = Timestamp::from_millis(shift.ends_at.as_millis() - 1).unwrap();
        assert_eq!(terms.on_call(last), Some(shift.user_id));
    }
}

/// A daily rotation of A, B and C: where the first handoffs are.
fn daily(zone: &str, handoff: &str, from: &str, handoffs: [&str; 3]) {
    let end = at(handoffs[2]).plus(std::time::Duration::from_secs(3_600)).to_string();
    let expected = [('A', from), ('B', handoffs[0]), ('C', handoffs[1]), ('A', handoffs[2])];
    check(&terms(zone, 1, handoff, from, "ABC"), &end, &expected);
}

#[test]
fn gap() {
    daily(
        "America/New_York",
        "02:30",
        "2026-03-06T12:00Z",
        ["2026-03-07T07:30Z", "2026-03-08T07:30Z", "2026-03-09T06:30Z"],
    );
}

#[test]
fn fold() {
    daily(
        "America/New_York",
        "01:30",
        "2026-10-30T12:00Z",
        ["2026-10-31T05:30Z", "2026-11-01T05:30Z", "2026-11-02T06:30Z"],
    );
}

#[test]
fn half_hour_change() {
    daily(
        "Australia/Lord_Howe",
        "02:15",
        "2026-10-02T00:00Z",
        ["2026-10-02T15:45Z", "2026-10-03T15:45Z", "2026-10-04T15:15Z"],
    );
}

#[test]
fn change_at_midnight() {
    daily(
        "America/Santiago",
        "00:00",
        "2026-09-04T12:00Z",
        ["2026-09-05T04:00Z", "2026-09-06T04:00Z", "2026-09-07T03:00Z"],
    );
    daily(
        "America/Havana",
        "00:00",
        "2024-03-08T12:00Z",
        ["2024-03-09T05:00Z", "2024-03-10T05:00Z", "2024-03-11T04:00Z"],
    );
    daily(
        "America/Havana",
        "00:30",
        "2024-11-01T12:00Z",
        ["2024-11-02T04:30Z", "2024-11-03T04:30Z", "2024-11-04T05:30Z"],
    );
    daily(
        "Atlantic/Azores",
        "00:00",
        "2026-03-27T12:00Z",
        ["2026-03-28T01:00Z", "2026-03-29T01:00Z", "2026-03-30T00:00Z"],
    );
    daily(
        "Africa/Cairo",
        "00:00",
        "2026-04-22T12:00Z",
        ["2026-04-22T22:00Z", "2026-04-23T22:00Z", "2026-04-24T21:00Z"],
    );
    daily("Asia/Beirut", "00:00", "2026-03-27T12:00Z", ["2026-03-27T22:00Z", "2026-03-28T22:00Z", "2026-03-29T21:00Z"]);
}

/// Until 2011 the clocks of St. John's went back at 00:01, so that midnight came twice: the first one counts.
#[test]
fn midnight_twice() {
    daily(
        "America/St_Johns",
        "00:00",
        "2010-11-05T12:00Z",
        ["2010-11-06T02:30Z", "2010-11-07T02:30Z", "2010-11-08T03:30Z"],
    );
    // In the repeated hour the calendar shows yesterday again, but the handoff has been.
    let rotation = terms("America/St_Johns", 1, "00:00", "2010-11-05T12:00Z", "ABC");
    for instant in ["2010-11-07T02:30Z", "2010-11-07T02:31Z", "2010-11-07T03:00Z", "2010-11-07T03:30Z"] {
        assert_eq!(rotation.on_call(at(instant)).map(letter), Some('C'), "{instant}");
    }
}

#[test]
fn offsets_of_45_minutes() {
    daily(
        "Pacific/Chatham",
        "09:00",
        "2026-04-03T00:00Z",
        ["2026-04-03T19:15Z", "2026-04-04T20:15Z", "2026-04-05T20:15Z"],
    );
}

#[test]
fn two_hour_change() {
    daily(
        "Antarctica/Troll",
        "02:00",
        "2026-03-27T12:00Z",
        ["2026-03-28T02:00Z", "2026-03-29T02:00Z", "2026-03-30T00:00Z"],
    );
}

/// Samoa had no 30 December 2011. The shift of that day is empty, and its owner's turn is over.
#[test]
fn skipped_day() {
    let rotation = terms("Pacific/Apia", 1, "09:00", "2011-12-28T20:00Z", "ABCD");
    check(
        &rotation,
        "2012-01-01T20:00Z",
        &[
            ('A', "2011-12-28T20:00Z"),
            ('B', "2011-12-29T19:00Z"),
            ('D', "2011-12-30T19:00Z"),
            ('A', "2011-12-31T19:00Z"),
            ('B', "2012-01-01T19:00Z"),
        ],
    );
}

#[test]
fn negative_saving() {
    daily(
        "Europe/Dublin",
        "01:30",
        "2026-03-27T12:00Z",
        ["2026-03-28T01:30Z", "2026-03-29T01:30Z", "2026-03-30T00:30Z"],
    );
}

#[test]
fn ramadan() {
    daily(
        "Africa/Casablanca",
        "02:30",
        "2024-03-08T12:00Z",
        ["2024-03-09T01:30Z", "2024-03-10T01:30Z", "2024-03-11T02:30Z"],
    );
    daily(
        "Africa/Casablanca",
        "02:30",
        "2024-04-12T12:00Z",
        ["2024-04-13T02:30Z", "2024-04-14T02:30Z", "2024-04-15T01:30Z"],
    );
}

#[test]
fn leap_day() {
    daily("UTC", "09:00", "2028-02-27T12:00Z", ["2028-02-28T09:00Z", "2028-02-29T09:00Z", "2028-03-01T09:00Z"]);
    daily("UTC", "09:00", "2100-02-27T12:00Z", ["2100-02-28T09:00Z", "2100-03-01T09:00Z", "2100-03-02T09:00Z"]);
}

#[test]
fn far_years() {
    daily(
        "America/New_York",
        "09:00",
        "2038-01-18T20:00Z",
        ["2038-01-19T14:00Z", "2038-01-20T14:00Z", "2038-01-21T14:00Z"],
    );
    daily(
        "America/New_York",
        "02:30",
        "2100-03-12T12:00Z",
        ["2100-03-13T07:30Z", "2100-03-14T07:30Z", "2100-03-15T06:30Z"],
    );
    daily(
        "Europe/Berlin",
        "09:00",
        "9998-07-01T12:00Z",
        ["9998-07-02T07:00Z", "9998-07-03T07:00Z", "9998-07-04T07:00Z"],
    );
}

/// There was no station at Troll before 2005; the database says UTC for then.
#[test]
fn before_any_rule() {
    daily(
        "Antarctica/Troll",
        "09:00",
        "1990-06-01T12:00Z",
        ["1990-06-02T09:00Z", "1990-06-03T09:00Z", "1990-06-04T09:00Z"],
    );
    daily(
        "America/New_York",
        "00:00",
        "1970-01-01T00:00Z",
        ["1970-01-01T05:00Z", "1970-01-02T05:00Z", "1970-01-03T05:00Z"],
    );
}

/// The first turn lasts until the handoff of the next day, whatever the time of day at which the layer begins to hold.
#[test]
fn beginning_before_at_and_after_the_handoff_time() {
    for from in
        ["2026-04-07T00:00Z", "2026-04-07T08:59Z", "2026-04-07T09:00Z", "2026-04-07T09:01Z", "2026-04-07T23:59Z"]
    {
        daily("UTC", "09:00", from, ["2026-04-08T09:00Z", "2026-04-09T09:00Z", "2026-04-10T09:00Z"]);
    }
    let weekly = terms("Europe/Berlin", 7, "09:00", "2026-03-23T12:00Z", "AB");
    check(
        &weekly,
        "2026-04-07T00:00Z",
        &[('A', "2026-03-23T12:00Z"), ('B', "2026-03-30T07:00Z"), ('A', "2026-04-06T07:00Z")],
    );
}

#[test]
fn one_person_and_the_same_person_twice() {
    let alone = terms("UTC", 1, "09:00", "2026-04-07T00:00Z", "A");
    check(&alone, "2026-05-07T00:00Z", &[('A', "2026-04-07T00:00Z")]);
    assert_eq!(alone.next_change(at("2026-04-08T00:00Z")), None);
    let twice = terms("UTC", 1, "09:00", "2026-04-07T00:00Z", "AAB");
    check(
        &twice,
        "2026-04-13T00:00Z",
        &[
            ('A', "2026-04-07T00:00Z"),
            ('B', "2026-04-09T09:00Z"),
            ('A', "2026-04-10T09:00Z"),
            ('B', "2026-04-12T09:00Z"),
        ],
    );
    assert_eq!(twice.next_change(at("2026-04-07T12:00Z")), Some(at("2026-04-09T09:00Z")));
}

#[test]
fn an_end_is_exclusive() {
    let mut input = terms("UTC", 1, "09:00", "2026-04-07T00:00Z", "AB").settings();
    input.effective_until = Some(at("2026-04-08T12:00Z"));
    let ending = Rotation::new(input, Phase::default());
    assert_eq!(ending.on_call(at("2026-04-06T23:59Z")), None);
    assert_eq!(ending.on_call(at("2026-04-08T11:59Z")).map(letter), Some('B'));
    assert_eq!(ending.on_call(at("2026-04-08T12:00Z")), None);
    assert_eq!(ending.next_change(at("2026-04-08T10:00Z")), Some(at("2026-04-08T12:00Z")));
}

/// British Columbia, Alberta and Manitoba keep their summer offset from 2026 on.
#[test]
fn laws_of_2026() {
    for (zone, utc) in [("America/Vancouver", "16:00Z"), ("America/Edmonton", "15:00Z"), ("America/Winnipeg", "14:00Z")]
    {
        for (from, days) in [
            ("2026-10-30T20:00Z", ["2026-10-31", "2026-11-01", "2026-11-02"]),
            ("2027-03-12T20:00Z", ["2027-03-13", "2027-03-14", "2027-03-15"]),
        ] {
            let handoffs = days.map(|day| format!("{day}T{utc}"));
            daily(zone, "09:00", from, [&handoffs[0], &handoffs[1], &handoffs[2]]);
        }
    }
}

/// Every zone, five handoff times, 2,000 daily handoffs from 2026: each is where counting days on a calendar puts it.
#[test]
fn every_handoff_of_every_zone() {
    let beginning = jiff::civil::date(2026, 1, 1);
    let database = jiff::tz::TimeZoneDatabase::bundled();
    for name in Zone::names() {
        let zone = database.get(&name).unwrap();
        for handoff in ["00:00", "00:30", "02:30", "09:00", "23:30"] {
            let time: jiff::civil::Time = handoff.parse().unwrap();
            // Noon is in no gap; the first turn begins there, the next at the first handoff.
            let from = zone.to_timestamp(beginning.at(12, 0, 0, 0)).unwrap();
            let rotation =
                terms(&name, 1, handoff, &Timestamp::from_millis(from.as_millisecond()).unwrap().to_string(), "AB");
            let mut day = beginning;
            let mut expected = vec![from.as_millisecond()];
            for _ in 0..2_000 {
                day = day.tomorrow().unwrap();
                let instant = zone.to_ambiguous_timestamp(day.to_datetime(time)).compatible().unwrap();
                expected.push(instant.as_millisecond());
            }
            let end = Timestamp::from_millis(expected.pop().unwrap()).unwrap();
            let mut shifts = Vec::new();
            rotation.shifts(Timestamp::MIN, end, &mut shifts);
            let starts: Vec<i64> = shifts.iter().map(|shift| shift.starts_at.as_millis()).collect();
            assert_eq!(starts, expected, "{name} {handoff}");
            for shift in shifts.iter().step_by(37) {
                assert_eq!(rotation.on_call(shift.starts_at), Some(shift.user_id), "{name} {handoff} {shift:?}");
            }
        }
    }
}
