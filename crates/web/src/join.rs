//! The page with which an invited person joins: GET shows a form for their name, POST makes them a member and shows their API key,
//! once.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use dogwatch_store::Error;
use dogwatch_store::rules::team::{AcceptInvitation, Invited, LookAtInvitation};
use dogwatch_store::rules::text::PersonName;
use dogwatch_store::rules::{Actor, Secret};
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

use crate::Site;
use crate::reply::{STYLE, is_foreign};

/// The largest form, in bytes: two names of 100 characters, each of which may take twelve.
const LARGEST: usize = 4 << 10;
/// How long a form may take to arrive.
const FORM_TIME: Duration = Duration::from_secs(10);

#[derive(Template)]
#[template(path = "join.html")]
struct Form<'a> {
    style: &'a str,
    organization: &'a str,
    email: &'a str,
    /// What does not fit.
    problem: Option<&'a str>,
    first: &'a str,
    last: &'a str,
}

#[derive(Template)]
#[template(path = "joined.html")]
struct Welcome<'a> {
    style: &'a str,
    organization: &'a str,
    key: &'a str,
}

fn invited(site: &Site, token: &str) -> Result<Invited, Error> {
    let look = LookAtInvitation::new(Secret::new(token));
    site.engine.query(&look, &Actor::Anybody)
}

fn form(site: &Site, invited: &Invited, problem: Option<&str>, (first, last): (&str, &str)) -> Response<Body> {
    let (organization, email) = (invited.organization.as_str(), invited.email.as_str());
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    site.page(status, &Form { style: STYLE, organization, email, problem, first, last })
}

pub(crate) async fn show(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Response<Body> {
    match invited(&site, &token) {
        Ok(invited) => form(&site, &invited, None, ("", "")),
        Err(error) => site.denied(&error.into()),
    }
}

pub(crate) async fn accept(
    State(site): State<Arc<Site>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let invited = match invited(&site, &token) {
        Ok(invited) => invited,
        Err(error) => return site.denied(&error.into()),
    };
    if is_foreign(&headers) {
        return site.foreign();
    }
    let Ok(Ok(body)) = timeout(FORM_TIME, Limited::new(body, LARGEST).collect()).await else {
        return site.said(
            StatusCode::BAD_REQUEST,
            "Not understood",
            "The form did not arrive as a whole. Go back and try again.",
        );
    };
    let body = body.to_bytes();
    let (mut first, mut last) = (String::new(), String::new());
    for (name, value) in form_urlencoded::parse(&body) {
        match &*name {
            "first" => first = value.into_owned(),
            "last" => last = value.into_owned(),
            _ => {}
        }
    }
    let (first, last) = (first.trim(), last.trim());
    let names = PersonName::new(first).and_then(|one| Ok((one, PersonName::new(last)?)));
    let (first_name, last_name) = match names {
        Ok(names) => names,
        Err(problem) => {
            let problem = format!("A name {}.", problem.what());
            return form(&site, &invited, Some(&problem), (first, last));
        }
    };
    let command = AcceptInvitation::new(Secret::new(token), first_name, last_name);
    match site.execute(command, &Actor::Anybody).await {
        Ok(joined) => {
            let (organization, key) = (invited.organization.as_str(), joined.api_key.secret.reveal());
            site.page(StatusCode::OK, &Welcome { style: STYLE, organization, key })
        }
        Err(error) => site.denied(&error.into()),
    }
}
