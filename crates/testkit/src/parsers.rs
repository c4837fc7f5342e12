//! Every parser of core against a naive reading of the same rule: texts, ids, words and timestamps.

use std::ops::RangeInclusive;

use dogwatch_core::id::{
    ApiKeyId, AuditEventId, ComponentId, IncidentId, InvitationId, PolicyId, ScheduleId, StatusEntryId, UpdateId,
};
use dogwatch_core::incident::{Cursor, ListLimit, Severity, Status, UpdateVisibility};
use dogwatch_core::link::{MasterKey, PageLink};
use dogwatch_core::team::Role;
use dogwatch_core::text::{
    Description, EmailAddress, GroupLabel, HttpUrl, IncidentDescription, Name, OrgName, PersonName, ResolutionNote,
    Title, UpdateBody,
};
use dogwatch_core::{OrgId, Timestamp, UserId};

/// Tries a text on every parser; panics when one disagrees with the rule or does not give back the text that it read.
pub fn check(text: &str) {
    texts(text);
    ids(text);
    words(text);
    timestamp(text);
    url(text);
    link(text);
}

/// Of an URL that is accepted, the host can be seen at a glance, and nothing follows it that could be taken for another.
fn url(text: &str) {
    let Ok(url) = HttpUrl::new(text) else { return };
    assert_eq!(url.as_str(), text, "kept as sent");
    let (scheme, rest) = text.split_once("://").unwrap();
    assert!(["http", "https"].contains(&scheme) && url.is_https() == (scheme == "https"), "{text:?}");
    assert!(text.len() <= 2_000 && text.chars().all(|c| ('!'..='~').contains(&c) && c != '#'), "{text:?}");
    let server = rest.split(['/', '?']).next().unwrap();
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().ok()),
        _ => (server, Some(443)),
    };
    assert!(port.is_some_and(|port| port > 0), "{text:?}");
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    assert!(name || address.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok()), "{text:?}");
}

/// The key with which the link among the seeds was made.
const LINK_KEY: [u8; 32] = [7; 32];

/// Only what was made with the key is a link, and one link has one text.
fn link(text: &str) {
    let key = MasterKey::from_bytes(LINK_KEY);
    if let Some(link) = PageLink::read(text, &key, Timestamp::MIN) {
        assert_eq!(link.token(&key), text);
        assert!(PageLink::read(text, &key, link.expires_at).is_none(), "{text:?}");
        assert!(PageLink::read(text, &MasterKey::from_bytes([8; 32]), Timestamp::MIN).is_none(), "{text:?}");
    }
}

/// The characters that show nothing by themselves: `Default_Ignorable_Code_Point` of Unicode.
const SHOWS_NOTHING: [RangeInclusive<u32>; 17] = [
    0xAD..=0xAD,
    0x34F..=0x34F,
    0x61C..=0x61C,
    0x115F..=0x1160,
    0x17B4..=0x17B5,
    0x180B..=0x180F,
    0x200B..=0x200F,
    0x202A..=0x202E,
    0x2060..=0x206F,
    0x3164..=0x3164,
    0xFE00..=0xFE0F,
    0xFEFF..=0xFEFF,
    0xFFA0..=0xFFA0,
    0xFFF0..=0xFFF8,
    0x1BCA0..=0x1BCA3,
    0x1D173..=0x1D17A,
    0xE0000..=0xE0FFF,
];

fn texts(text: &str) {
    let length = text.chars().count();
    let controls = text.chars().filter(|c| c.is_control()).count();
    let breaks = text.chars().filter(|c| ['\n', '\r', '\t'].contains(c)).count();
    let shown =
        text.chars().any(|c| !c.is_whitespace() && !SHOWS_NOTHING.iter().any(|range| range.contains(&u32::from(c))));
    let name = |most| (1..=most).contains(&length) && controls == 0 && shown;
    let line = |most| length <= most && controls == 0;
    let block = |least, most| (least..=most).contains(&length) && controls == breaks;
    macro_rules! agree {
        ($($kind:ident: $rule:expr;)*) => {$(
            let made = $kind::new(text);
            assert_eq!(made.is_ok(), $rule, "{} {text:?}", stringify!($kind));
            if let Ok(made) = made {
                assert_eq!(made.as_str(), text, "kept as sent");
            }
        )*};
    }
    agree! {
        Title: name(100);
        Name: name(100);
        OrgName: name(255);
        PersonName: name(100);
        GroupLabel: line(100);
        Description: block(0, 1_000);
        IncidentDescription: block(0, 10_000);
        UpdateBody: block(1, 10_000);
        ResolutionNote: block(0, 10_000);
    }
    if let Ok(email) = EmailAddress::new(text) {
        assert!(length <= 320 && text.matches('@').count() == 1 && !text.contains(char::is_whitespace));
        assert_eq!((email.as_str(), email.folded()), (text, text.to_lowercase()));
    }
}

fn ids(text: &str) {
    macro_rules! same {
        ($($kind:ident $prefix:literal;)*) => {$(
            let hex = text.strip_prefix($prefix).map(|rest| rest.replace('-', ""));
            let form = hex.is_some_and(|hex| {
                hex.len() == 32 && hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
            });
            if let Ok(id) = $kind::parse(text) {
                assert_eq!(id.to_string(), text);
                assert!(form, "{text:?}");
            }
        )*};
    }
    same! {
        OrgId "org_"; UserId "user_"; InvitationId "orginv_"; ApiKeyId "key_"; StatusEntryId "sh_";
        IncidentId ""; UpdateId ""; AuditEventId ""; ComponentId ""; ScheduleId ""; PolicyId "";
    }
}

fn words(text: &str) {
    let read = [
        text.parse::<Status>().map(|word| word.to_string()),
        text.parse::<Severity>().map(|word| word.to_string()),
        text.parse::<UpdateVisibility>().map(|word| word.to_string()),
        text.parse::<Role>().map(|word| word.to_string()),
        text.parse::<Cursor>().map(|word| word.to_string()),
    ];
    for word in read.into_iter().flatten() {
        assert_eq!(word, text);
    }
    if let Ok(limit) = text.parse::<ListLimit>() {
        assert!((1..=100).contains(&limit.get()));
        assert_eq!(text.parse::<usize>().unwrap(), limit.get());
    }
}

fn timestamp(text: &str) {
    let parsed = Timestamp::parse(text).ok();
    assert_eq!(parsed.map(Timestamp::as_millis), naive(text), "{text:?}");
    if let Some(at) = parsed {
        let shown = at.to_string();
        assert_eq!(shown.len(), 24);
        assert_eq!(Timestamp::parse(&shown).ok(), Some(at), "{shown}");
    }
    for bound in [Timestamp::parse_range_start(text), Timestamp::parse_range_end(text)] {
        assert!(parsed.is_none() || bound.ok() == parsed, "{text:?}");
    }
}

/// RFC 3339, read the slow way: split at the punctuation, count the days year by year.
fn naive(text: &str) -> Option<i64> {
    let text = text.to_ascii_uppercase();
    let (date, rest) = text.split_once('T')?;
    let (time, offset) = match rest.strip_suffix('Z') {
        Some(time) => (time, 0),
        None => {
            let at = rest.rfind(['+', '-'])?;
            let (hours, minutes) = rest.get(at + 1..)?.split_once(':')?;
            let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
            let offset = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
            (rest.get(..at)?, if rest.as_bytes()[at] == b'-' { -offset } else { offset })
        }
    };
    let [year, month, day] = parts(date, '-')?;
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, Some(fraction)),
        None => (time, None),
    };
    let [hour, minute, second] = parts(time, ':')?;
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    let millis = match fraction {
        Some(fraction) => {
            let all = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
            let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
            all.then(|| padded.parse::<i64>().unwrap())?
        }
        None => 0,
    };
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = |month: i64| match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let valid =
        (1..=12).contains(&month) && (1..=length(month)).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !valid || year < 1969 {
        return None;
    }
    let mut days: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    days -= if year == 1969 { 365 } else { 0 };
    days += (1..month).map(length).sum::<i64>() + day - 1;
    let minutes = days * 1_440 + hour * 60 + minute - offset;
    if second == 60 && minutes.rem_euclid(1_440) != 1_439 {
        return None;
    }
    let at = (minutes * 60 + second.min(59)) * 1_000 + millis;
    (0..=253_402_300_799_999).contains(&at).then_some(at)
}

fn parts(text: &str, at: char) -> Option<[&str; 3]> {
    text.split(at).collect::<Vec<_>>().try_into().ok()
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().unwrap())
}
