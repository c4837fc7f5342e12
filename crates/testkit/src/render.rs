//! Replies of the engine as the texts that the model expects.

use std::fmt::Write as _;

use dogwatch_core::{IncidentDetail, IncidentView, UpdateView};

pub(crate) fn incident(view: &IncidentView) -> String {
    assert_eq!(
        (view.escalation_policy_id, view.acknowledged_at, view.acknowledged_by),
        (None, None, None),
        "nothing of escalation yet"
    );
    assert_eq!((view.current_layer_position, view.next_escalation_at), (None, None));
    let mut text = format!(
        "#{} {} {:?} {:?} {} {} owner={} by={} created={} updated={} resolved={:?} components=",
        view.sequential_id,
        view.id,
        view.title.as_str(),
        view.description.as_ref().map(|text| text.as_str()),
        view.severity,
        view.status,
        view.owner_id.map(|id| id.to_string()).unwrap_or_default(),
        view.created_by,
        view.created_at.as_millis(),
        view.updated_at.as_millis(),
        view.resolved_at.map(|at| at.as_millis()),
    );
    for component in &view.affected_components {
        write!(text, "{}:{:?},", component.id, component.name.as_str()).unwrap();
    }
    text
}

pub(crate) fn past(detail: &IncidentDetail) -> String {
    let mut text = String::new();
    for entry in &detail.status_history {
        let note = entry.resolution_note.as_ref().map(|note| note.as_str());
        writeln!(text, "{} {} {note:?}", entry.changed_at.as_millis(), entry.status).unwrap();
    }
    for event in &detail.audit_trail {
        let actor = event.actor.map(|id| id.to_string()).unwrap_or_default();
        writeln!(text, "{} {} {actor}", event.at().as_millis(), event.event.as_str()).unwrap();
    }
    text
}

pub(crate) fn update(view: &UpdateView) -> String {
    format!(
        "{} in {} {:?} {:?} {} by {} {} at {} redacted {:?}",
        view.id,
        view.incident_id,
        view.body.as_ref().map(|body| body.as_str()),
        view.status_change.map(|status| status.as_str()),
        view.visibility,
        view.posted_by.id,
        view.posted_by.name,
        view.posted_at.as_millis(),
        view.redacted_at.zip(view.redacted_by).map(|(at, by)| (at.as_millis(), by.to_string())),
    )
}
