//! The page that the link in a page leads to: GET shows the incident and one button, POST acknowledges it.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use dogwatch_store::rules::incident::{AcknowledgeIncident, AcknowledgedVia, Author, GetIncident, IncidentView};
use dogwatch_store::rules::link::PageLink;
use dogwatch_store::rules::{Actor, Timestamp};

use crate::Site;
use crate::reply::{Denied, STYLE, is_foreign};

#[derive(Template)]
#[template(path = "incident.html")]
struct Shown<'a> {
    style: &'a str,
    number: u64,
    title: &'a str,
    severity: &'a str,
    status: &'a str,
    opened: String,
    affected: String,
    description: &'a str,
    acknowledged: Option<String>,
    resolved: Option<String>,
    next: Option<String>,
    /// Whether there is a button.
    acts: bool,
}

/// What a link leads to: the incident, and the member for whom it is.
fn found(site: &Site, token: &str) -> Result<(PageLink, IncidentView), Denied> {
    let link = PageLink::read(token, &site.settings.key, site.engine.now()).ok_or(Denied::NoSuchLink)?;
    let actor = Actor::member(link.org_id, link.user_id);
    Ok((link, site.engine.query(&GetIncident::new(link.incident_id), &actor)?.incident))
}

pub(crate) async fn show(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Response<Body> {
    match found(&site, &token) {
        Ok((link, incident)) => shown_page(&site, &link, &incident),
        Err(denied) => site.denied(&denied),
    }
}

fn shown_page(site: &Site, link: &PageLink, incident: &IncidentView) -> Response<Body> {
    // Members do not see the names of others.
    let who = |by: Author| match by {
        Author::User(user) if user == link.user_id => "you",
        Author::User(_) => "another member",
        Author::Integration(_) => "the monitoring system",
    };
    let acknowledged = incident.acknowledged_at.zip(incident.acknowledged_by);
    let acknowledged = acknowledged.map(|(at, by)| format!("{}, {}", who(by), at.minute()));
    let affected: Vec<_> = incident.affected_components.iter().map(|one| one.name.as_str()).collect();
    let page = Shown {
        style: STYLE,
        number: incident.sequential_id,
        title: incident.title.as_str(),
        severity: incident.severity.as_str(),
        status: incident.status.as_str(),
        opened: incident.created_at.minute(),
        affected: affected.join(", "),
        description: incident.description.as_ref().map(|text| text.as_str()).unwrap_or_default(),
        acts: site.settings.acknowledge && acknowledged.is_none() && incident.resolved_at.is_none(),
        acknowledged,
        resolved: incident.resolved_at.map(Timestamp::minute),
        next: incident.next_escalation_at.map(Timestamp::minute),
    };
    site.page(StatusCode::OK, &page)
}

pub(crate) async fn acknowledge(
    State(site): State<Arc<Site>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let link = match found(&site, &token) {
        Ok((link, _)) => link,
        Err(denied) => return site.denied(&denied),
    };
    if is_foreign(&headers) {
        return site.foreign();
    }
    if !site.settings.acknowledge {
        return site.said(StatusCode::FORBIDDEN, "This link only shows", "Acknowledge with your client instead.");
    }
    let actor = Actor::member(link.org_id, link.user_id);
    let mut command = AcknowledgeIncident::new(link.incident_id);
    command.via = Some(AcknowledgedVia::Link);
    match site.execute(command, &actor).await {
        // The browser shows the page anew, so that going back or reloading sends nothing again.
        Ok(_) => {
            let mut response = site.said(StatusCode::SEE_OTHER, "Acknowledged", "");
            // Relative, so that it works below a path of a proxy, too.
            response.headers_mut().extend(token.parse().ok().map(|place| (header::LOCATION, place)));
            response
        }
        Err(error) => site.denied(&error.into()),
    }
}
