//! The arithmetic of one rotation (contract, section 8).
//!
//! Boundary k is the local date `d0 + k·L` at the handoff time: civil time first, zone last, always counted from the anchor
//! `d0`, never from boundary k−1. So which turn it is at an instant is a division and at most a few looks at a clock, however
//! old the rotation is, and no change of the clocks can make it stick.

use std::sync::Arc;

use super::{HandoffTime, RotationLength};
use crate::id::UserId;
use crate::time::Timestamp;
use crate::zone::{Day, Instants, Zone};

/// The settings of a layer in the zone of its schedule, and from which turn it goes on: whose turn it is, at every instant.
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

/// A turn that is known, from which all others are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phase {
    /// How many boundaries had passed, counted from the anchor.
    pub boundaries: i64,
    /// Whose turn it was then: an index into the list of participants.
    pub participant: u32,
}

/// One person's time on call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Who.
    pub user_id: UserId,
    /// From this instant on.
    pub starts_at: Timestamp,
    /// Until just before this instant.
    pub ends_at: Timestamp,
}

/// The settings that decide when whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationSettings {
    /// In which zone dates and handoff times are meant.
    pub zone: Zone,
    /// How long a turn is.
    pub length: RotationLength,
    /// When turns begin.
    pub handoff: HandoffTime,
    /// The layer holds from here on.
    pub effective_from: Timestamp,
    /// And until just before here.
    pub effective_until: Option<Timestamp>,
    /// Whose turns, in order.
    pub participants: Arc<[UserId]>,
}

impl Rotation {
    /// A rotation that goes on from a turn; from the first one with [`Phase::default`].
    #[must_use]
    pub fn new(settings: RotationSettings, phase: Phase) -> Self {
        let anchor = settings.zone.day(settings.effective_from);
        let RotationSettings { zone, length, handoff, effective_from, effective_until, participants } = settings;
        Self { zone, length, handoff, effective_from, effective_until, participants, phase, anchor }
    }

    /// The settings.
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

    /// From which turn it goes on.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The list of participants.
    #[must_use]
    pub fn participants(&self) -> &[UserId] {
        &self.participants
    }

    /// From when the layer holds.
    #[must_use]
    pub const fn effective_from(&self) -> Timestamp {
        self.effective_from
    }

    /// The first instant at which it does not hold any more.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.effective_until.unwrap_or(Timestamp::MAX)
    }

    fn holds(&self, at: Timestamp) -> bool {
        self.effective_from <= at && self.effective_until.is_none_or(|end| at < end)
    }

    fn days(&self) -> i64 {
        i64::from(self.length.days())
    }

    /// The local date of boundary `k`.
    fn boundary_day(&self, k: i64) -> Option<Day> {
        Day::try_from(i64::from(self.anchor) + k.checked_mul(self.days())?).ok()
    }

    /// Boundary `k`, for k ≥ 1; `None` past the year 9999.
    fn boundary(&self, k: i64) -> Option<Timestamp> {
        self.zone.instant(self.boundary_day(k)?, self.handoff.minutes())
    }

    /// How many boundaries are at or before an instant.
    #[must_use]
    pub fn boundaries(&self, at: Timestamp) -> i64 {
        let today = i64::from(self.zone.day(at));
        let mut k = (today - i64::from(self.anchor)).div_euclid(self.days()).max(0);
        let date = |k: i64| i64::from(self.anchor) + k * self.days();
        // A boundary that is more than a day away from the local date needs no look at the clock: no change of the clocks
        // moves one so far. One of today may be later today; one of tomorrow may have been, when midnight was repeated;
        // one of yesterday may be still to come, when it was moved out of a gap.
        while date(k + 1) <= today + 1 && self.boundary(k + 1).is_some_and(|boundary| boundary <= at) {
            k += 1;
        }
        while k > 0 && date(k) >= today - 1 && self.boundary(k).is_none_or(|boundary| boundary > at) {
            k -= 1;
        }
        k
    }

    /// Whose turn it is when so many boundaries have passed: an index into the list of participants.
    fn turn(&self, boundaries: i64) -> usize {
        let people = i64::try_from(self.participants.len()).unwrap_or(1).max(1);
        let index = (boundaries - self.phase.boundaries + i64::from(self.phase.participant)).rem_euclid(people);
        usize::try_from(index).unwrap_or(0)
    }

    /// Whose turn it is at an instant, if the layer holds and has participants: an index into their list.
    #[must_use]
    pub fn turn_at(&self, at: Timestamp) -> Option<usize> {
        (self.holds(at) && !self.participants.is_empty()).then(|| self.turn(self.boundaries(at)))
    }

    /// Who is on call at an instant.
    #[must_use]
    pub fn on_call(&self, at: Timestamp) -> Option<UserId> {
        self.participants.get(self.turn_at(at)?).copied()
    }

    /// The first instant after `at` at which [`Rotation::on_call`] may change; it does not change before.
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
        // Turns that follow one another in the same hands are one: look for the next that is not.
        let people = i64::try_from(self.participants.len()).unwrap_or(0);
        let other = (1..people).find(|ahead| self.participants.get(self.turn(count + ahead)) != now);
        let handoff = other.and_then(|ahead| self.boundary(count + ahead));
        match (handoff, end) {
            (Some(handoff), Some(end)) => Some(handoff.min(end)),
            (handoff, end) => handoff.or(end),
        }
    }

    /// Adds the shifts in a range, ascending. A shift that goes on where the last one ended, in the same hands, continues it.
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

    /// Goes on under new settings from `now`: whoever is on call stays so if they are still listed, else the first of the
    /// list begins. Before `now` nothing changes, since the old rotation is kept for it.
    ///
    /// A rotation that does not hold yet has nobody on call who could stay: turns count from the anchor of the new settings, as
    /// if it had been created with them. So they do when the new settings hold only later.
    #[must_use]
    pub fn revised(&self, settings: RotationSettings, now: Timestamp) -> Self {
        let mut revised = Self::new(settings, Phase::default());
        if self.effective_from > now || revised.effective_from > now {
            return revised;
        }
        let turn = self.turn_at(now).and_then(|turn| {
            let user = self.participants.get(turn)?;
            // With the same person listed twice, the same turn if it is still theirs.
            let stays = revised.participants.get(turn) == Some(user);
            if stays { Some(turn) } else { revised.participants.iter().position(|other| other == user) }
        });
        let participant = u32::try_from(turn.unwrap_or(0)).unwrap_or(0);
        revised.phase = Phase { boundaries: revised.boundaries(now), participant };
        revised
    }
}

/// Adds a shift, or lengthens the last one if it goes on in the same hands.
fn push(shifts: &mut Vec<Shift>, shift: Shift) {
    match shifts.last_mut() {
        Some(last) if last.user_id == shift.user_id && last.ends_at == shift.starts_at => last.ends_at = shift.ends_at,
        _ => shifts.push(shift),
    }
}
