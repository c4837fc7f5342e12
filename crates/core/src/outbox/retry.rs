//! When a delivery that failed for now is tried again (contract, section 9): soon at first, then every five minutes, for an hour
//! and three times at least. What a webhook of the organization is told is tried for about three days.

use std::time::Duration;

use crate::id::{Id, NotificationId};
use crate::time::Timestamp;

/// The waits after the first attempts; after those, [`LATER`].
const FIRST: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
];
const LATER: Duration = Duration::from_secs(300);

/// How long after it was due a delivery is still tried.
pub const TRIED_FOR: Duration = Duration::from_secs(60 * 60);
/// How often one is tried at least, however late: after a long outage the first try may come too early.
const TRIES: u32 = 3;

/// When a delivery is tried again whose attempt has failed for now; `None` when it has failed for good, since an hour has passed
/// since it was due, and it was tried three times.
///
/// `attempts` is how often it could not be sent (1 after the first time); `asked` is how long the other side asks to wait, if it does.
///
/// ```
/// use dogwatch_core::Timestamp;
/// use dogwatch_core::outbox::next_try;
/// use std::time::Duration;
/// let due: Timestamp = "2026-05-01T03:00:00Z".parse()?;
/// assert_eq!(next_try(1, due, due, None), Some(due.plus(Duration::from_secs(5))));
/// let asked = Duration::from_secs(90);
/// assert_eq!(next_try(1, due, due, Some(asked)), Some(due.plus(asked)));
/// assert_eq!(next_try(14, due, due.plus(Duration::from_secs(3_600)), None), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn next_try(attempts: u32, due: Timestamp, now: Timestamp, asked: Option<Duration>) -> Option<Timestamp> {
    let place = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = FIRST.get(place).copied().unwrap_or(LATER).max(asked.unwrap_or_default());
    // What is asked for may be longer than there is time: then it is tried once more, at the end.
    let end = due.plus(TRIED_FOR);
    if now < end {
        return Some(now.plus(wait).min(end));
    }
    (attempts < TRIES).then(|| now.plus(wait))
}

/// The waits after the attempts to tell a webhook of the organization, in seconds.
const EVENT: [u64; 9] = [5, 5 * 60, 30 * 60, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
const HOUR: u64 = 60 * 60;
/// The longest time that an endpoint may ask to wait.
const ASKED: Duration = Duration::from_secs(24 * HOUR);

/// When a webhook of the organization is told again whose attempt has failed; `None` after the tenth, when it has failed for good.
///
/// `attempts` is how often it could not be told (1 after the first time); `asked` is how long the other side asks to wait, if it does, a
/// day at most. So that what failed together is not tried again together, up to a tenth is added to the wait, which follows from the id.
///
/// ```
/// use dogwatch_core::{Timestamp, id::{Id, NotificationId}};
/// use dogwatch_core::outbox::next_event_try;
/// use std::time::Duration;
/// let (id, now): (_, Timestamp) = (NotificationId::from_bytes([0; 16]), "2026-05-01T03:00:00Z".parse()?);
/// assert_eq!(next_event_try(2, id, now, None), Some(now.plus(Duration::from_secs(300))));
/// assert_eq!(next_event_try(10, id, now, None), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn next_event_try(attempts: u32, id: NotificationId, now: Timestamp, asked: Option<Duration>) -> Option<Timestamp> {
    let place = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let seconds = *EVENT.get(place)?;
    // The last byte of an id is random.
    let [.., random] = id.to_bytes();
    let more = seconds.saturating_mul(1_000).saturating_mul(u64::from(random)) / (10 * 255);
    let wait = Duration::from_secs(seconds).saturating_add(Duration::from_millis(more));
    Some(now.plus(wait.max(asked.unwrap_or_default().min(ASKED))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_of_webhooks() {
        let now: Timestamp = "2026-05-01T03:00:00Z".parse().unwrap();
        for (attempts, last_byte, asked, expected) in [
            (0, 0, None, Some(5_000)),
            (1, 0, None, Some(5_000)),
            (1, 255, None, Some(5_500)),
            (1, 51, None, Some(5_100)),
            (2, 0, None, Some(300_000)),
            (3, 255, None, Some(1_980_000)),
            (9, 0, None, Some(86_400_000)),
            (9, 255, None, Some(95_040_000)),
            (10, 0, None, None),
            (u32::MAX, 0, None, None),
            (1, 0, Some(7), Some(7_000)),
            (1, 0, Some(3), Some(5_000)),
            (1, 0, Some(1_000_000), Some(86_400_000)),
            (10, 0, Some(7), None),
        ] {
            let mut id = [9; 16];
            id[15] = last_byte;
            let got = next_event_try(attempts, NotificationId::from_bytes(id), now, asked.map(Duration::from_secs));
            assert_eq!(got, expected.map(|millis| now.plus(Duration::from_millis(millis))), "{attempts}, {last_byte}");
        }
        // All in all about three days.
        assert_eq!(EVENT.iter().sum::<u64>(), 75 * HOUR + 35 * 60 + 5);
    }

    #[test]
    fn waits() {
        let due: Timestamp = "2026-05-01T03:00:00Z".parse().unwrap();
        let at = |seconds: u64| due.plus(Duration::from_secs(seconds));
        for (attempts, now, asked, expected) in [
            (1, 0, None, Some(5)),
            (2, 10, None, Some(25)),
            (3, 30, None, Some(60)),
            (4, 60, None, Some(120)),
            (5, 120, None, Some(240)),
            (6, 240, None, Some(540)),
            (100, 540, None, Some(840)),
            (0, 0, None, Some(5)),
            (1, 0, Some(3), Some(5)),
            (1, 0, Some(700), Some(700)),
            (1, 0, Some(86_400), Some(3_600)),
            (15, 3_500, None, Some(3_600)),
            (16, 3_599, None, Some(3_600)),
            (17, 3_600, None, None),
            (1, 10_000, None, Some(10_005)),
            (2, 10_000, Some(60), Some(10_060)),
            (3, 10_000, None, None),
        ] {
            let got = next_try(attempts, due, at(now), asked.map(Duration::from_secs));
            assert_eq!(got, expected.map(at), "{attempts} at {now}");
        }
    }
}
