//! The arithmetic of one rotation (contract, section 8).
//!
//! Boundary k, where a turn ends and the next begins, is the local date `d0 + k·L` at the handoff time: civil time first, zone
//! last, always counted from the anchor `d0`, never from boundary k−1. So which turn it is at an instant is a division and at
//! most a few conversions from local time, however old the rotation is, and no change of the clocks can make it stick.

use std::sync::Arc;

use super::{HandoffTime, RotationLength};
use crate::id::UserId;
use crate::time::Timestamp;
use crate::zone::{Day, Instants, Zone};

/// The rotation of a layer: its settings in the zone of the schedule, and a turn from which the others are counted. It says
/// whose turn it is, at every instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    zone: Zone,
    length: RotationLength,
    handoff: HandoffTime,
    effective_from: Timestamp,
    effective_until: Option<Timestamp>,
    participants: Arc<[UserId]>,
    phase: Phase,
    /// `d0`: the local date of `effective_from`.
    anchor: Day,
}

/// A turn whose participant is known, from which all others are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phase {
    /// How many boundaries lie between the anchor and this turn.
    pub boundaries: i64,
    /// Whose turn it is: an index in the list of participants.
    pub participant: u32,
}

/// One person's uninterrupted time on call in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct Shift {
    /// The user who is on call.
    pub user_id: UserId,
    /// Its first instant.
    pub starts_at: Timestamp,
    /// The first instant behind it.
    pub ends_at: Timestamp,
}

/// The settings of a rotation: who takes turns, and when (contract, section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationSettings {
    /// The time zone of dates and handoff times.
    pub zone: Zone,
    /// The length of a turn.
    pub length: RotationLength,
    /// The local time at which turns begin.
    pub handoff: HandoffTime,
    /// The first instant at which the layer holds. Its local date is the anchor from which turns are counted.
    pub effective_from: Timestamp,
    /// The first instant at which the layer does not hold any more; `None`: it holds for good.
    pub effective_until: Option<Timestamp>,
    /// Who takes turns, in order: 1–50, repeats allowed; empty when all of them have left the organization.
    pub participants: Arc<[UserId]>,
}

impl Rotation {
    /// A rotation in which the turn of `phase` is known; with [`Phase::default`], the first participant has the first turn.
    #[must_use]
    pub fn new(settings: RotationSettings, phase: Phase) -> Self {
        let anchor = settings.zone.day(settings.effective_from);
        let RotationSettings { zone, length, handoff, effective_from, effective_until, participants } = settings;
        Self { zone, length, handoff, effective_from, effective_until, participants, phase, anchor }
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> RotationSettings {
        RotationSettings {
            zone: self.zone.clone(),
            length: self.length,
            handoff: self.handoff,
            effective_from: self.effective_from,
            effective_until: self.effective_until,
            participants: Arc::clone(&self.participants),
        }
    }

    /// The turn from which the others are counted.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Who takes turns, in order.
    #[must_use]
    pub fn participants(&self) -> &[UserId] {
        &self.participants
    }

    /// The first instant at which it holds.
    #[must_use]
    pub const fn effective_from(&self) -> Timestamp {
        self.effective_from
    }

    /// The first instant at which it does not hold any more; [`Timestamp::MAX`] if it holds for good.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.effective_until.unwrap_or(Timestamp::MAX)
    }

    /// Whether it is effective at an instant.
    fn holds(&self, at: Timestamp) -> bool {
        self.effective_from <= at && self.effective_until.is_none_or(|end| at < end)
    }

    /// The days of a turn.
    fn days(&self) -> i64 {
        i64::from(self.length.days())
    }

    /// The local date of boundary `k`; `None` far outside of the range of dates.
    fn boundary_day(&self, k: i64) -> Option<Day> {
        Day::try_from(i64::from(self.anchor) + k.checked_mul(self.days())?).ok()
    }

    /// Boundary `k`, for k ≥ 1; `None` past the year 9999.
    // Invariant [from-the-anchor].
    fn boundary(&self, k: i64) -> Option<Timestamp> {
        self.zone.instant(self.boundary_day(k)?, self.handoff.minutes())
    }

    /// How many boundaries lie at or before an instant.
    #[must_use]
    pub fn boundaries(&self, at: Timestamp) -> i64 {
        let today = i64::from(self.zone.day(at));
        let mut k = (today - i64::from(self.anchor)).div_euclid(self.days()).max(0);
        let date = |k: i64| i64::from(self.anchor) + k * self.days();
        // A boundary more than a day away from the local date lies on that side of the instant: no change of the clocks moves
        // one so far. One of today may be later today; one of tomorrow may be past, when midnight is repeated; one of yesterday
        // may be still to come, when a gap moves it.
        while date(k + 1) <= today + 1 && self.boundary(k + 1).is_some_and(|boundary| boundary <= at) {
            k += 1;
        }
        while k > 0 && date(k) >= today - 1 && self.boundary(k).is_none_or(|boundary| boundary > at) {
            k -= 1;
        }
        k
    }

    /// Whose turn it is between this many boundaries and the next: an index in the list of participants.
    fn turn(&self, boundaries: i64) -> usize {
        let people = i64::try_from(self.participants.len()).unwrap_or(1).max(1);
        let index = (boundaries - self.phase.boundaries + i64::from(self.phase.participant)).rem_euclid(people);
        usize::try_from(index).unwrap_or(0)
    }

    /// Whose turn it is at an instant: an index in the list of participants; `None` when the rotation does not hold, or has
    /// none.
    #[must_use]
    pub fn turn_at(&self, at: Timestamp) -> Option<usize> {
        (self.holds(at) && !self.participants.is_empty()).then(|| self.turn(self.boundaries(at)))
    }

    /// The user who is on call at an instant.
    #[must_use]
    pub fn on_call(&self, at: Timestamp) -> Option<UserId> {
        self.participants.get(self.turn_at(at)?).copied()
    }

    /// The first instant after `at` at which [`Rotation::on_call`] may change; `None` when it never does.
    #[must_use]
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        if at < self.effective_from {
            return Some(self.effective_from);
        }
        if !self.holds(at) {
            return None;
        }
        let end = self.effective_until;
        let count = self.boundaries(at);
        let now = self.participants.get(self.turn(count));
        // Turns of the same person that follow one another are one: look for the next turn of another.
        let people = i64::try_from(self.participants.len()).unwrap_or(0);
        let other = (1..people).find(|ahead| self.participants.get(self.turn(count + ahead)) != now);
        let handoff = other.and_then(|ahead| self.boundary(count + ahead));
        match (handoff, end) {
            (Some(handoff), Some(end)) => Some(handoff.min(end)),
            (handoff, end) => handoff.or(end),
        }
    }

    /// Adds the shifts in a range to a list, ascending, cut to the range. A shift that begins where the last of the list ends,
    /// of the same person, lengthens that one.
    pub fn shifts(&self, from: Timestamp, to: Timestamp, shifts: &mut Vec<Shift>) {
        let (mut starts_at, to) = (from.max(self.effective_from), to.min(self.end()));
        if starts_at >= to || self.participants.is_empty() {
            return;
        }
        let mut count = self.boundaries(starts_at);
        let mut turn = self.turn(count);
        let mut instants = Instants::new(&self.zone);
        while starts_at < to {
            let next = self.boundary_day(count + 1).and_then(|day| instants.of(day, self.handoff.minutes()));
            let ends_at = next.map_or(to, |next| next.min(to));
            // On a skipped day two boundaries are the same instant, and the shift between them is empty.
            if starts_at < ends_at
                && let Some(user) = self.participants.get(turn)
            {
                push(shifts, Shift { user_id: *user, starts_at, ends_at });
            }
            starts_at = starts_at.max(ends_at);
            count += 1;
            turn = if turn + 1 >= self.participants.len() { 0 } else { turn + 1 };
        }
    }

    /// The rotation that goes on from this one under new settings at `now`: whoever is on call stays on call if they are still
    /// listed, else the first of the list begins. Before `now` nothing changes, since the old rotation is kept for it.
    ///
    /// A rotation that does not hold yet has nobody on call who could stay: turns count from the anchor of the new settings, as
    /// if it had been created with them. The same is true when the new settings hold only later.
    #[must_use]
    pub fn revised(&self, settings: RotationSettings, now: Timestamp) -> Self {
        let mut revised = Self::new(settings, Phase::default());
        if self.effective_from > now || revised.effective_from > now {
            return revised;
        }
        let turn = self.turn_at(now).and_then(|turn| {
            let user = self.participants.get(turn)?;
            // With the same person listed twice, the same index if it is still theirs, else the first that is.
            let stays = revised.participants.get(turn) == Some(user);
            if stays { Some(turn) } else { revised.participants.iter().position(|other| other == user) }
        });
        let participant = u32::try_from(turn.unwrap_or(0)).unwrap_or(0);
        revised.phase = Phase { boundaries: revised.boundaries(now), participant };
        revised
    }
}

/// Adds a shift, or lengthens the last one if this begins where it ends and is of the same person.
fn push(shifts: &mut Vec<Shift>, shift: Shift) {
    match shifts.last_mut() {
        Some(last) if last.user_id == shift.user_id && last.ends_at == shift.starts_at => last.ends_at = shift.ends_at,
        _ => shifts.push(shift),
    }
}
