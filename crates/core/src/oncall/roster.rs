//! The one resolver: who is on call at an instant, over a range, and when that changes next (contract, section 8).

use std::collections::BTreeMap;

use super::{Override, PastOrder, PastRotation, Rotation, RotationLayer, Schedule, Shift};
use crate::id::{OverrideId, RotationLayerId, UserId};
use crate::time::Timestamp;

/// Somebody on call, and what puts them on call: a layer or an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct OnCallTarget {
    /// The user who is on call.
    pub user_id: UserId,
    /// The layer in which it is their turn; `None` with an override.
    pub layer_id: Option<RotationLayerId>,
    /// The override that puts them on call; `None` with a layer.
    pub override_id: Option<OverrideId>,
}

/// Who is on call in a schedule at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct OnCall {
    /// The participant of the active layer with the lowest position, or whom an override puts in their stead; `None` when
    /// nobody is on call.
    pub owner: Option<OnCallTarget>,
    /// The owner and the participants of the other active layers, in position order, each user once.
    pub paging_targets: Vec<OnCallTarget>,
}

/// Who is on call in a schedule from an instant until just before another, as long as nobody edits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The first instant of which this is known.
    pub from: Timestamp,
    /// The first instant of which it is not known any more: something may change there.
    pub until: Timestamp,
    /// The owner and everybody else on call.
    pub on_call: OnCall,
}

impl Standing {
    /// Whether it is known for an instant.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// A stretch of time with one owner of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct FinalShift {
    /// The owner, and what makes them so: a layer or an override.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub target: OnCallTarget,
    /// Its first instant.
    pub starts_at: Timestamp,
    /// The first instant behind it.
    pub ends_at: Timestamp,
}

/// A stretch of time in which nobody owns the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct Gap {
    /// Its first instant.
    pub starts_at: Timestamp,
    /// The first instant behind it.
    pub ends_at: Timestamp,
}

/// The shifts of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct LayerShifts {
    /// The layer, which may have been removed.
    pub layer_id: RotationLayerId,
    /// Its shifts, ascending, never overlapping.
    pub shifts: Vec<Shift>,
}

/// The reply to [`ShiftsOnCall`](super::ShiftsOnCall): who is on call over a range. At every instant of it this agrees with
/// [`Roster::on_call`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct Shifts {
    /// The shifts per layer, by position; removed layers come last, if they had shifts in the range.
    pub layers: Vec<LayerShifts>,
    /// The owner over time, ascending: `final` in replies.
    #[cfg_attr(feature = "serde", serde(rename = "final"))]
    pub final_shifts: Vec<FinalShift>,
    /// The stretches of the range without an owner, ascending.
    pub gaps: Vec<Gap>,
}

/// The rotation that a layer has from one instant until just before another.
#[derive(Debug, Clone)]
struct Span {
    since: Timestamp,
    until: Timestamp,
    rotation: Rotation,
}

/// A layer with all its rotations.
#[derive(Debug, Clone)]
struct LayerHistory {
    id: RotationLayerId,
    /// Its rotations, ascending, never overlapping.
    spans: Vec<Span>,
}

/// A stretch of time in which the layers are in one order.
#[derive(Debug, Clone)]
struct Epoch {
    since: Timestamp,
    until: Timestamp,
    /// Indices in the list of layers, by position.
    layers: Vec<usize>,
}

/// All that says who is on call in a schedule, from some instant on: a pure function of the instant.
// Invariant [one-resolver].
#[derive(Debug, Clone)]
pub struct Roster {
    /// All layers, also removed ones, in the order of their ids.
    layers: Vec<LayerHistory>,
    /// The orders of the layers, ascending, never overlapping.
    epochs: Vec<Epoch>,
    /// The overrides, in the order of their numbers.
    overrides: Vec<Override>,
    /// How many layers there are now. In the last epoch they come first, removed ones behind them.
    present: usize,
    /// From when on something may be missing.
    known_until: Timestamp,
}

/// When something changes for the first time after an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextChange {
    At(Timestamp),
    /// Never, or not within the handoffs that are looked at.
    Never,
    /// Not before this instant, from which on it is not known.
    Unknown(Timestamp),
}

/// Until when something holds that has no end: ranges end there, since the last instant of all has no successor.
const END: Timestamp = Timestamp::MAX;

/// How many handoffs, and other beginnings and ends, [`Roster::next_change`] looks at before it gives up.
pub(super) const LOOK_AHEAD: usize = 4_096;

impl Roster {
    /// A roster of the layers as they are, of what they were before, and of overrides. It reaches back as far as `past`,
    /// `orders` and `overrides` do.
    #[must_use]
    pub fn new(
        schedule: &Schedule,
        present: Vec<RotationLayer>,
        past: Vec<PastRotation>,
        orders: Vec<PastOrder>,
        mut overrides: Vec<Override>,
    ) -> Self {
        let mut spans: BTreeMap<RotationLayerId, Vec<Span>> = BTreeMap::new();
        for past in past {
            let span = Span { since: past.since, until: past.until, rotation: past.rotation };
            spans.entry(past.layer_id).or_default().push(span);
        }
        for layer in present {
            let span = Span { since: layer.since, until: END, rotation: layer.rotation };
            spans.entry(layer.id).or_default().push(span);
        }
        let mut layers: Vec<LayerHistory> = spans.into_iter().map(|(id, spans)| LayerHistory { id, spans }).collect();
        layers.iter_mut().for_each(|layer| layer.spans.sort_by_key(|span| span.since));
        overrides.sort_by_key(|one| one.number);

        let mut orders: Vec<_> = orders.into_iter().map(|past| (past.since, past.until, past.order)).collect();
        orders.push((schedule.order_since, END, schedule.order.clone()));
        orders.sort_by_key(|(since, ..)| *since);
        let epochs = orders.into_iter().map(|(since, until, order)| {
            let mut indices: Vec<usize> =
                order.iter().filter_map(|id| layers.binary_search_by_key(id, |layer| layer.id).ok()).collect();
            // A layer that is created later, but holds here, stands behind all that stood here then.
            let late = (0..layers.len()).filter(|index| !indices.contains(index)).collect::<Vec<_>>();
            indices.extend(late);
            Epoch { since, until, layers: indices }
        });
        Self { epochs: epochs.collect(), layers, overrides, present: schedule.order.len(), known_until: END }
    }

    /// The same, of which something may be missing from an instant on.
    pub(super) const fn known_until(mut self, until: Timestamp) -> Self {
        self.known_until = until;
        self
    }

    /// The epoch that holds at an instant.
    fn epoch(&self, at: Timestamp) -> Option<&Epoch> {
        let after = self.epochs.partition_point(|epoch| epoch.since <= at);
        self.epochs.get(after.checked_sub(1)?)
    }

    /// The layer with this index and the user who is on call in it, if it is active at an instant.
    fn in_layer(&self, index: usize, at: Timestamp) -> Option<(RotationLayerId, UserId)> {
        let layer = self.layers.get(index)?;
        let after = layer.spans.partition_point(|span| span.since <= at);
        let span = layer.spans.get(after.checked_sub(1)?).filter(|span| at < span.until || span.until == END)?;
        Some((layer.id, span.rotation.on_call(at)?))
    }

    /// Whom an override puts on call at an instant: of several, the one created last.
    fn override_at(&self, at: Timestamp) -> Option<OnCallTarget> {
        let last = self.overrides.iter().rev().find(|one| one.holds(at))?;
        Some(OnCallTarget { user_id: last.user_id, layer_id: None, override_id: Some(last.id) })
    }

    /// The participants of the layers that are active at an instant, by position.
    fn turns(&self, at: Timestamp) -> impl Iterator<Item = OnCallTarget> + '_ {
        let layers = self.epoch(at).map(|epoch| epoch.layers.as_slice()).unwrap_or_default();
        layers.iter().filter_map(move |index| {
            let (layer, user) = self.in_layer(*index, at)?;
            Some(OnCallTarget { user_id: user, layer_id: Some(layer), override_id: None })
        })
    }

    /// The owner at an instant; `None` when nobody is on call.
    #[must_use]
    pub fn owner(&self, at: Timestamp) -> Option<OnCallTarget> {
        self.override_at(at).or_else(|| self.turns(at).next())
    }

    /// The owner and everybody else on call at an instant.
    #[must_use]
    pub fn on_call(&self, at: Timestamp) -> OnCall {
        let mut turns = self.turns(at);
        let first = turns.next();
        let owner = self.override_at(at).or(first);
        let mut paging_targets: Vec<OnCallTarget> = Vec::new();
        for target in owner.into_iter().chain(turns) {
            if paging_targets.iter().all(|other| other.user_id != target.user_id) {
                paging_targets.push(target);
            }
        }
        OnCall { owner, paging_targets }
    }

    /// Who is on call at an instant, and until when nothing begins or ends that could change it.
    pub(super) fn standing(&self, at: Timestamp) -> Standing {
        let until = self.next_edge(at).unwrap_or(END).min(self.known_until);
        Standing { from: at, until, on_call: self.on_call(at) }
    }

    /// The first instant after `at` at which [`Roster::on_call`] gives another answer: other people, or the same for another
    /// reason.
    ///
    /// `None` when that never happens, or not within the next 4,096 handoffs (whose changes nobody sees, such as those of a
    /// user who is on call anyway).
    #[must_use]
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        match self.look_for_change(&self.on_call(at), at, &mut { LOOK_AHEAD }) {
            NextChange::At(at) => Some(at),
            NextChange::Never | NextChange::Unknown(_) => None,
        }
    }

    /// The first instant after `at` at which somebody else is on call than `now`, among the `left` next handoffs, beginnings and ends.
    pub(super) fn look_for_change(&self, now: &OnCall, mut at: Timestamp, left: &mut usize) -> NextChange {
        while *left > 0 {
            match self.next_edge(at).filter(|edge| *edge < self.known_until || self.known_until == END) {
                Some(edge) => at = edge,
                None if self.known_until == END => return NextChange::Never,
                None => return NextChange::Unknown(self.known_until),
            }
            *left = left.saturating_sub(1);
            if self.on_call(at) != *now {
                return NextChange::At(at);
            }
        }
        NextChange::Never
    }

    /// The first instant after `at` at which anything begins or ends: a turn, a rotation, an order or an override.
    fn next_edge(&self, at: Timestamp) -> Option<Timestamp> {
        let epoch = self.epoch(at).map(|epoch| epoch.until).filter(|until| *until != END);
        let overrides = self.overrides.iter().flat_map(|one| [one.starts_at, one.ends_at]);
        let layers = self.layers.iter().filter_map(|layer| {
            let after = layer.spans.partition_point(|span| span.since <= at);
            let next = layer.spans.get(after).map(|span| span.since);
            let span = after.checked_sub(1).and_then(|index| layer.spans.get(index)).filter(|span| at < span.until);
            let turn = span.and_then(|span| span.rotation.next_change(at));
            let end = span.map(|span| span.until).filter(|until| *until != END);
            [turn, end, next].into_iter().flatten().min()
        });
        epoch.into_iter().chain(overrides).chain(layers).filter(|edge| *edge > at).min()
    }

    /// Who is on call over a range, cut to it. At every instant of it this agrees with [`Roster::on_call`].
    #[must_use]
    pub fn shifts(&self, from: Timestamp, to: Timestamp) -> Shifts {
        let per_layer: Vec<Vec<Shift>> = self.layers.iter().map(|layer| layer.shifts(from, to)).collect();
        let mut final_shifts = Vec::new();
        for epoch in &self.epochs {
            let (from, to) = (from.max(epoch.since), to.min(epoch.until));
            if from < to {
                let layers =
                    epoch.layers.iter().filter_map(|index| Some((self.layers.get(*index)?.id, per_layer.get(*index)?)));
                owners(from, to, layers).into_iter().for_each(|shift| push_final(&mut final_shifts, shift));
            }
        }
        let final_shifts = laid_over(&final_shifts, &self.overrides_over(from, to));
        let gaps = gaps(from, to, &final_shifts);
        let order = self.epochs.last().map(|epoch| epoch.layers.clone()).unwrap_or_default();
        let mut per_layer: Vec<Option<Vec<Shift>>> = per_layer.into_iter().map(Some).collect();
        let layers = order.into_iter().enumerate().filter_map(|(position, index)| {
            let shifts = per_layer.get_mut(index)?.take()?;
            let shown = position < self.present || !shifts.is_empty();
            shown.then_some(LayerShifts { layer_id: self.layers.get(index)?.id, shifts })
        });
        Shifts { layers: layers.collect(), final_shifts, gaps }
    }

    /// Whom overrides put on call over a range, ascending: of several at once, the one created last.
    fn overrides_over(&self, from: Timestamp, to: Timestamp) -> Vec<FinalShift> {
        let mut edges: BTreeMap<Timestamp, Vec<(bool, &Override)>> = BTreeMap::new();
        for one in &self.overrides {
            let (starts_at, ends_at) = (one.starts_at.max(from), one.ends_at.min(to));
            if starts_at < ends_at {
                edges.entry(starts_at).or_default().push((true, one));
                edges.entry(ends_at).or_default().push((false, one));
            }
        }
        let mut active: BTreeMap<u64, &Override> = BTreeMap::new();
        let mut shifts = Vec::new();
        let mut since = from;
        for (at, changes) in edges {
            if let Some((_, winner)) = active.last_key_value()
                && since < at
            {
                let target = OnCallTarget { user_id: winner.user_id, layer_id: None, override_id: Some(winner.id) };
                push_final(&mut shifts, FinalShift { target, starts_at: since, ends_at: at });
            }
            for (begins, one) in changes {
                if begins {
                    active.insert(one.number, one)
                } else {
                    active.remove(&one.number)
                };
            }
            since = at;
        }
        shifts
    }
}

impl LayerHistory {
    /// The shifts of the layer in a range, ascending, cut to it.
    fn shifts(&self, from: Timestamp, to: Timestamp) -> Vec<Shift> {
        let mut shifts = Vec::new();
        for span in &self.spans {
            span.rotation.shifts(from.max(span.since), to.min(span.until), &mut shifts);
        }
        shifts
    }
}

/// The owner over a range in which the layers are in one order: each layer fills the gaps that those before it leave.
fn owners<'a>(
    from: Timestamp,
    to: Timestamp,
    layers: impl Iterator<Item = (RotationLayerId, &'a Vec<Shift>)>,
) -> Vec<FinalShift> {
    let mut open = vec![Gap { starts_at: from, ends_at: to }];
    let mut owners = Vec::new();
    for (layer, shifts) in layers {
        if open.is_empty() {
            break;
        }
        let mut still_open = Vec::new();
        let mut rest = shifts.iter().peekable();
        for gap in open {
            let mut at = gap.starts_at;
            while rest.next_if(|shift| shift.ends_at <= at).is_some() {}
            while let Some(shift) = rest.peek().filter(|shift| shift.starts_at < gap.ends_at) {
                let (starts_at, ends_at) = (shift.starts_at.max(at), shift.ends_at.min(gap.ends_at));
                if at < starts_at {
                    still_open.push(Gap { starts_at: at, ends_at: starts_at });
                }
                let target = OnCallTarget { user_id: shift.user_id, layer_id: Some(layer), override_id: None };
                owners.push(FinalShift { target, starts_at, ends_at });
                at = ends_at;
                // A shift that goes on behind this gap may fill the next one, too.
                if shift.ends_at > gap.ends_at {
                    break;
                }
                rest.next();
            }
            if at < gap.ends_at {
                still_open.push(Gap { starts_at: at, ends_at: gap.ends_at });
            }
        }
        open = still_open;
    }
    owners.sort_by_key(|shift| shift.starts_at);
    let mut merged = Vec::with_capacity(owners.len());
    owners.into_iter().for_each(|shift| push_final(&mut merged, shift));
    merged
}

/// Adds a stretch, or lengthens the last one if this begins where it ends, with the same person for the same reason.
fn push_final(shifts: &mut Vec<FinalShift>, shift: FinalShift) {
    match shifts.last_mut() {
        Some(last) if last.target == shift.target && last.ends_at == shift.starts_at => last.ends_at = shift.ends_at,
        _ => shifts.push(shift),
    }
}

/// The owner over time, with overrides in place of whatever they cover. Both lists ascend and do not overlap within themselves.
fn laid_over(shifts: &[FinalShift], over: &[FinalShift]) -> Vec<FinalShift> {
    if over.is_empty() {
        return shifts.to_vec();
    }
    let mut pieces = over.to_vec();
    let mut rest = over.iter().peekable();
    for shift in shifts {
        let mut at = shift.starts_at;
        while rest.next_if(|cover| cover.ends_at <= at).is_some() {}
        while let Some(cover) = rest.peek().filter(|cover| cover.starts_at < shift.ends_at) {
            if at < cover.starts_at {
                pieces.push(FinalShift { starts_at: at, ends_at: cover.starts_at, ..*shift });
            }
            at = cover.ends_at;
            if cover.ends_at > shift.ends_at {
                break;
            }
            rest.next();
        }
        if at < shift.ends_at {
            pieces.push(FinalShift { starts_at: at, ..*shift });
        }
    }
    pieces.sort_by_key(|shift| shift.starts_at);
    pieces
}

/// The stretches of a range that no shift covers.
fn gaps(from: Timestamp, to: Timestamp, shifts: &[FinalShift]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut at = from;
    for shift in shifts {
        if at < shift.starts_at {
            gaps.push(Gap { starts_at: at, ends_at: shift.starts_at });
        }
        at = shift.ends_at;
    }
    if at < to {
        gaps.push(Gap { starts_at: at, ends_at: to });
    }
    gaps
}
