//! Replies of the engine as the texts that the model expects.

use std::fmt::Write as _;

use dogwatch_core::contact::built_in;
use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{
    AuditEvent, AuditEventList, Event, IncidentDetail, IncidentView, ListAuditEvents, ListLimit, UpdateView,
};
use dogwatch_core::outbox::{Message, Notification, PageView, Recipient};

/// A text that may be missing. Texts can be long: to escape them would take longer than all else in a run of the rules.
pub(crate) fn maybe(text: Option<&str>) -> String {
    text.map_or_else(|| "none".to_owned(), |text| format!("<{text}>"))
}

pub(crate) fn incident(view: &IncidentView) -> String {
    let mut text = format!(
        "#{} {} {:?} {} {} {} owner={} by={} created={} updated={} resolved={:?} acknowledged={:?} policy={} at={:?} \
         next={:?} components=",
        view.sequential_id,
        view.id,
        view.title.as_str(),
        maybe(view.description.as_ref().map(|text| text.as_str())),
        view.severity,
        view.status,
        view.owner_id.map(|id| id.to_string()).unwrap_or_default(),
        view.created_by,
        view.created_at.as_millis(),
        view.updated_at.as_millis(),
        view.resolved_at.map(|at| at.as_millis()),
        view.acknowledged_at.zip(view.acknowledged_by).map(|(at, by)| (at.as_millis(), by.to_string())),
        view.escalation_policy_id.map(|id| id.to_string()).unwrap_or_default(),
        view.current_layer_position,
        view.next_escalation_at.map(|at| at.as_millis()),
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
        let actor = event.actor_id.map(|id| id.to_string()).unwrap_or_default();
        let more = details(&event.event);
        writeln!(text, "{} {} {actor}{more}", event.at().as_millis(), event.event.as_str()).unwrap();
    }
    text
}

/// The details of an event: those of a handoff, which the contract names, and those of escalation.
fn details(event: &Event) -> String {
    match event {
        Event::LayerPaged { position, user_ids: users, .. } => {
            let users: Vec<_> = users.iter().map(ToString::to_string).collect();
            format!(" {position} {}", users.join(" "))
        }
        Event::LayerSkipped { position, .. } | Event::LayerTimedOut { position, .. } => format!(" {position}"),
        Event::IncidentHandedOff { previous_owner_id: previous, new_owner_id: new } => {
            format!(" {} {new}", previous.map(|id| id.to_string()).unwrap_or_default())
        }
        Event::PageUndeliverable { user_id, reason, paged_at, .. } => {
            format!(" {reason} for {user_id} at {}", paged_at.as_millis())
        }
        Event::PageDelivered { user_id, .. } => format!(" for {user_id}"),
        Event::PageFailed { user_id, reason, .. } => format!(" for {user_id}: {reason}"),
        _ => String::new(),
    }
}

/// The pages of an incident, with what became of each.
pub(crate) fn pages(pages: &[PageView]) -> Vec<String> {
    let shown = |page: &PageView| {
        let deliveries = page.deliveries.iter().map(|one| {
            let (due, tried) = (one.due_at.as_millis(), one.attempts);
            let method = match one.contact_method_id == built_in(page.user_id) {
                true => "built-in".to_owned(),
                false => one.contact_method_id.to_string(),
            };
            let error = one.last_error.as_deref().unwrap_or_default();
            format!("{} over {method} due {due} tried {tried} {error:?}", one.state)
        });
        let deliveries: Vec<_> = deliveries.collect();
        format!("{} for {} at {}: {}", page.reason, page.user_id, page.created_at.as_millis(), deliveries.join(", "))
    };
    let mut pages: Vec<_> = pages.iter().map(shown).collect();
    pages.sort();
    pages
}

pub(crate) fn notification(one: &Notification) -> String {
    assert_eq!(one.ended, None);
    let over = match one.recipient {
        Recipient::Method { method, .. } => format!(" over {method}"),
        Recipient::Member(_) | Recipient::Invited(_) | Recipient::Webhook(_) => String::new(),
    };
    let what = match (&one.recipient, &one.message) {
        (Recipient::Member(user) | Recipient::Method { user, .. }, message)
            if !matches!(message, Message::Invitation { .. }) =>
        {
            match message {
                Message::Page { incident_id: incident, reason, .. } => format!("{reason} {incident} for {user}{over}"),
                Message::WebhookDisabled { webhook_id, name, reason } => {
                    format!("{webhook_id} {:?} disabled: {reason}, for {user}", name.as_str())
                }
                other => format!("{} for {user}{over}", other.kind()),
            }
        }
        (Recipient::Invited(id), Message::Invitation { email, token }) => {
            format!("invitation {id} for {email} with {}", token.as_ref().map_or("-", |token| token.reveal()))
        }
        (Recipient::Webhook(id), Message::Event { incident_id, .. }) => format!("event of {incident_id} to {id}"),
        (Recipient::Webhook(id), Message::Test) => format!("test to {id}"),
        other => format!("{other:?}"),
    };
    format!("{what} at {}, {} attempts, {} failed", one.created_at.as_millis(), one.attempts, one.failures)
}

pub(crate) fn update(view: &UpdateView) -> String {
    format!(
        "{} in {} {} {:?} {} by {} {} at {} redacted {:?}",
        view.id,
        view.incident_id,
        maybe(view.body.as_ref().map(|body| body.as_str())),
        view.status_change.map(|status| status.as_str()),
        view.visibility,
        view.posted_by.id,
        view.posted_by.name,
        view.posted_at.as_millis(),
        view.redacted_at.zip(view.redacted_by).map(|(at, by)| (at.as_millis(), by.to_string())),
    )
}

/// The whole audit trail of an incident, seven events at a time.
pub(crate) fn whole_trail(id: IncidentId, ask: impl Fn(&ListAuditEvents) -> AuditEventList) -> Vec<AuditEvent> {
    let mut query = ListAuditEvents { limit: ListLimit::new(7).unwrap_or_default(), ..ListAuditEvents::new(id) };
    let mut events = Vec::new();
    loop {
        let found = ask(&query);
        events.extend(found.events);
        match found.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return events,
        }
    }
}
