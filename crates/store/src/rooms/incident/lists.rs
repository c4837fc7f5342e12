//! Lists of incidents: the scans that answer a filtered list, and their merge into one list, newest first.

use std::iter::Peekable;

use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{IncidentFilter, Severity, Status};
use dogwatch_core::{Error, OrgId, Timestamp};

use super::{newest_first, severity_byte, status_byte};
use crate::backend::Pair;
use crate::table::{Table, end_of};

/// The scans that answer a list of incidents, as pairs of a start and an exclusive end. Each is newest first: its keys end with
/// the inverted id of the incident.
pub(crate) fn incident_lists(
    org: OrgId,
    filter: &IncidentFilter,
    after: Option<IncidentId>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let range = |prefix| incident_range(prefix, filter, after);
    if filter.status.is_none() && filter.severity.is_none() {
        return vec![range(Table::INCIDENT.of(org, &[]))];
    }
    let statuses = Status::ALL.into_iter().filter(|status| filter.status.is_none_or(|wanted| wanted == *status));
    let severities = |status| {
        let wanted = |severity: &Severity| filter.severity.is_none_or(|wanted| wanted == *severity);
        let severities = Severity::ALL.into_iter().filter(wanted);
        severities.map(move |severity| [status_byte(status), severity_byte(severity)])
    };
    statuses.flat_map(severities).map(|both| range(Table::BY_STATUS_AND_SEVERITY.of(org, &[&both]))).collect()
}

/// The range of the keys with a prefix whose incidents were created in a filter's span (`from` and `to` included) and come
/// behind a cursor.
fn incident_range(prefix: Vec<u8>, filter: &IncidentFilter, after: Option<IncidentId>) -> (Vec<u8>, Vec<u8>) {
    let mut start = prefix.clone();
    if let Some(to) = filter.to {
        start.extend_from_slice(&inverted_millis(to));
    }
    if let Some(after) = after {
        let mut behind = prefix.clone();
        behind.extend_from_slice(&newest_first(after));
        behind.push(0);
        start = start.max(behind);
    }
    let end = match filter.from {
        None => end_of(&prefix),
        Some(from) => {
            let mut last = prefix;
            last.extend_from_slice(&inverted_millis(from));
            end_of(&last)
        }
    };
    (start, end)
}

/// The first six bytes of the inverted ids that were made at an instant.
fn inverted_millis(at: Timestamp) -> [u8; 6] {
    let [_, _, rest @ ..] = at.as_millis().to_be_bytes();
    rest.map(|byte| !byte)
}

/// Merges lists of incidents into one, each of which is in the order of the last `N` bytes of its keys.
pub(super) fn merged<const N: usize, L: Iterator<Item = Result<Pair, Error>>>(
    mut lists: Vec<Peekable<L>>,
) -> impl Iterator<Item = Result<Pair, Error>> {
    std::iter::from_fn(move || {
        // Inverted ids end the keys, so the newest is the least. An error comes first of all.
        let next = |list: &mut Peekable<L>| match list.peek() {
            Some(Ok((key, _))) => Some(key.last_chunk::<N>().copied()),
            Some(Err(_)) => Some(None),
            None => None,
        };
        let heads = lists.iter_mut().enumerate().filter_map(|(at, list)| Some((next(list)?, at)));
        let (_, first) = heads.min()?;
        lists.get_mut(first)?.next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::incident::{by_status_and_severity, incident_key};
    use dogwatch_core::id::Id;

    /// A cursor may come from a list with another filter: incidents that are newer than `to` stay out all the same.
    #[test]
    fn a_cursor_does_not_widen_a_list() {
        let org = OrgId::from_bytes([1; 16]);
        let at = |millis: i64| Timestamp::from_millis(millis).unwrap();
        let made_at = |millis: i64| dogwatch_core::IdSource::from_seed([1; 32]).fresh::<IncidentId>(at(millis));
        let filter = IncidentFilter { from: Some(at(10)), to: Some(at(20)), ..Default::default() };
        for (cursor, incident, listed) in [
            (None, 20, true),
            (None, 21, false),
            (None, 10, true),
            (None, 9, false),
            (Some(30), 25, false),
            (Some(30), 20, true),
            (Some(15), 16, false),
            (Some(15), 14, true),
            (Some(15), 15, false),
            (Some(5), 10, false),
        ] {
            let lists = incident_lists(org, &filter, cursor.map(made_at));
            let key = incident_key(org, made_at(incident));
            let found = lists.iter().any(|(start, end)| *start <= key && key < *end);
            assert_eq!(found, listed, "cursor {cursor:?}, incident {incident}");
        }
    }

    /// Every incident is in exactly one list of each filter that it fits, and in none of any other filter.
    #[test]
    fn the_lists_of_a_filter() {
        let (org, id) = (OrgId::from_bytes([1; 16]), IncidentId::from_bytes([2; 16]));
        let statuses = || Status::ALL.into_iter().map(Some).chain([None]);
        let severities = || Severity::ALL.into_iter().map(Some).chain([None]);
        for (status, severity) in statuses().flat_map(|status| severities().map(move |severity| (status, severity))) {
            let filter = IncidentFilter { status, severity, ..Default::default() };
            let lists = incident_lists(org, &filter, None);
            for (is, of) in Status::ALL.into_iter().flat_map(|is| Severity::ALL.map(|of| (is, of))) {
                let keys = [incident_key(org, id), by_status_and_severity(org, is, of, id)];
                let found = |(start, end): &&(Vec<u8>, Vec<u8>)| keys.iter().any(|key| start <= key && key < end);
                let fits = status.is_none_or(|wanted| wanted == is) && severity.is_none_or(|wanted| wanted == of);
                assert_eq!(lists.iter().filter(found).count(), usize::from(fits), "{filter:?}: {is:?} {of:?}");
            }
        }
    }
}
