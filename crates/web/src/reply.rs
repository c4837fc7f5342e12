//! What all pages have in common: their frame, their headers, and the pages that say that something is not there.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dogwatch_store::Error;
use dogwatch_store::rules::{Actor, Code, Command};
use sha2::{Digest, Sha256};
use std::sync::Arc;

use crate::Site;

/// The style of all pages, which stands in each.
pub(crate) const STYLE: &str = include_str!("../templates/style.css");

/// The policy for what a page may load: nothing but its own style. No other site can show it in a frame, and its forms go here.
pub(crate) fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "message.html")]
struct Said<'a> {
    style: &'a str,
    title: &'a str,
    text: &'a str,
}

/// Why a page is not shown.
pub(crate) enum Denied {
    /// The link leads nowhere.
    NoSuchLink,
    /// The engine has refused.
    Engine(Error),
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl Site {
    /// Executes a command.
    pub(crate) async fn execute<C: Command>(&self, command: C, actor: &Actor) -> Result<C::Reply, Error> {
        self.engine.submit(command, actor)?.await
    }

    /// A page as a response.
    pub(crate) fn page(&self, status: StatusCode, page: &impl Template) -> Response<Body> {
        let (status, html) = match page.render() {
            Ok(html) => (status, html),
            Err(why) => {
                tracing::error!(%why, "a page cannot be rendered");
                (StatusCode::INTERNAL_SERVER_ERROR, String::new())
            }
        };
        let mut response = Response::new(Body::from(html));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &str| {
            headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        };
        set(header::CONTENT_TYPE, "text/html; charset=utf-8");
        set(header::CACHE_CONTROL, "no-store");
        // The address of the page is a secret: nobody is told of it by a link on it.
        set(header::REFERRER_POLICY, "no-referrer");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::CONTENT_SECURITY_POLICY, &self.policy);
        set(HeaderName::from_static("x-robots-tag"), "noindex");
        response
    }

    pub(crate) fn said(&self, status: StatusCode, title: &str, text: &str) -> Response<Body> {
        self.page(status, &Said { style: STYLE, title, text })
    }

    /// What is said of a form that another site has sent: see [`is_foreign`].
    pub(crate) fn foreign(&self) -> Response<Body> {
        let what = "Another site has sent this form. Open the link itself.";
        self.said(StatusCode::FORBIDDEN, "Not from there", what)
    }

    /// What is said of a link that leads nowhere: to whoever guesses, all of them look alike.
    fn no_such_link(&self) -> Response<Body> {
        self.said(StatusCode::NOT_FOUND, "This link does not work", "It may be too old, or was copied only in part.")
    }

    /// What is said in place of a page.
    pub(crate) fn denied(&self, why: &Denied) -> Response<Body> {
        let Denied::Engine(error) = why else { return self.no_such_link() };
        match error.code() {
            // The last is what somebody is told who is no member any more.
            Code::NotFound | Code::NotAuthorized | Code::InvalidApiKey => self.no_such_link(),
            Code::Internal => {
                tracing::error!(%error, "a page cannot be shown");
                self.said(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Something is broken",
                    "Try again, and tell your operator.",
                )
            }
            _ => {
                let later = "Nobody knows whether it happened. Go back and look again in a moment.";
                self.said(StatusCode::SERVICE_UNAVAILABLE, "Not now", later)
            }
        }
    }
}

pub(crate) async fn wrong_method(State(site): State<Arc<Site>>) -> Response<Body> {
    site.said(StatusCode::METHOD_NOT_ALLOWED, "That cannot be done here", "Open the link in a browser.")
}

/// Whether a browser says that a form was sent by a page of another site.
pub(crate) fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}
