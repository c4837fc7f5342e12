//! Status pages, as anybody sees them (contract, section 13): HTML without a script, our JSON, the shape of Atlassian Statuspage, an Atom
//! feed and a badge.
//!
//! All forms are made of one model, [`PublicPage`], which is read once and kept: until something changes, a quarter of a second at
//! least, and a few seconds at most, since the day goes on. So a page under load costs a few readings a second, and shows a change
//! within a second. What is kept is bounded; each form is rendered when it is first asked for.

mod atlassian;
mod bars;
mod host;
mod html;
mod kept;
mod look;

pub use host::by_host;
pub use look::{Accent, Logo, Look, LookProblem};

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use dogwatch_store::Engine;
use dogwatch_store::rules::status_page::PublicPage;
use dogwatch_store::rules::text::Slug;

use kept::{Pages, Rendered};

/// What a page may load: its own stylesheet and pictures. It may be shown in a frame.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *";
/// What a picture may load, if somebody opens it by itself: its own style.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
/// How long caches may keep what they have.
const CACHING: &str = "max-age=15, stale-while-revalidate=60, stale-if-error=86400";

/// How status pages are shown.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StatusSettings {
    /// The address at which the pages are reached, such as `https://example.com`, for the absolute links that feeds and the shape of
    /// Statuspage need. Without it, those are relative.
    pub public_url: Option<String>,
    /// The addresses of pages that have a name of their own, such as `https://status.example.com`, by slug: see [`by_host`].
    pub public_urls: BTreeMap<Slug, String>,
    /// Logos and colours of pages, by slug.
    pub looks: BTreeMap<Slug, Look>,
}

/// What all requests share.
struct Site {
    pages: Arc<Pages>,
    settings: StatusSettings,
    /// The stylesheet of pages without a look of their own.
    style: Rendered,
    /// Those of the others.
    styles: BTreeMap<Slug, Rendered>,
}

/// The status pages of an engine, under `/status/`. Their links begin there, so the router stands at the root of a site.
///
/// ```
/// use dogwatch_store::Engine;
/// let pages: axum::Router = dogwatch_web::status_pages(Engine::in_memory()?, dogwatch_web::StatusSettings::default());
/// # Ok::<(), dogwatch_store::OpenError>(())
/// ```
pub fn status_pages(engine: Engine, settings: StatusSettings) -> Router {
    let sheet = |look| Rendered::new(look::style(look).into());
    let styles = settings.looks.iter().map(|(slug, look)| (slug.clone(), sheet(Some(look)))).collect();
    let site = Arc::new(Site { pages: Pages::new(engine), style: sheet(None), styles, settings });
    let mut router = Router::new()
        // Our JSON has the address of the page with `.json` behind it.
        .route("/status/{slug}", get(page))
        .route("/status/{slug}/style.css", get(style))
        .route("/status/{slug}/logo", get(logo))
        .route("/status/{slug}/icon.svg", get(icon))
        .route("/status/{slug}/badge.svg", get(badge))
        .route("/status/{slug}/feed.atom", get(feed));
    for form in atlassian::FORMS {
        let show = move |State(site): State<Arc<Site>>, Path(slug): Path<String>, headers: HeaderMap| async move {
            site.answer(&slug, Form::Atlassian(form), &headers).await
        };
        router = router.route(&format!("/status/{{slug}}/api/v2/{}", form.path()), get(show));
    }
    router.with_state(site)
}

/// A form of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Html,
    Json,
    Atlassian(atlassian::Form),
    Feed,
    Badge,
    Icon,
}

impl Form {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json | Self::Atlassian(_) => "application/json",
            Self::Feed => "application/atom+xml; charset=utf-8",
            Self::Badge | Self::Icon => "image/svg+xml",
        }
    }

    /// Whether it is HTML or XML, which some characters must not be in, also not escaped.
    const fn is_markup(self) -> bool {
        !matches!(self, Self::Json | Self::Atlassian(_))
    }

    /// Renders a page in this form; `None` when a template fails, which is logged.
    fn render(self, page: &PublicPage, settings: &StatusSettings) -> Option<Bytes> {
        let look = settings.looks.get(&page.page.slug);
        let own = settings.public_urls.get(&page.page.slug).or(settings.public_url.as_ref());
        let public_url = own.map_or("", String::as_str);
        let rendered = match self {
            Self::Html => html::Html::of(page, look).render().map_err(|why| why.to_string()),
            Self::Json => serde_json::to_string(page).map_err(|why| why.to_string()),
            Self::Atlassian(form) => serde_json::to_string(&form.of(page, public_url)).map_err(|why| why.to_string()),
            Self::Feed => html::Feed::of(page, public_url).render().map_err(|why| why.to_string()),
            Self::Badge => html::Badge::of(page).render().map_err(|why| why.to_string()),
            Self::Icon => html::Icon::of(page).render().map_err(|why| why.to_string()),
        };
        let rendered = rendered.map_err(|why| tracing::error!(%why, form = ?self, "a status page cannot be rendered"));
        let text = rendered.ok()?;
        Some(Bytes::from(if self.is_markup() { without_noncharacters(text) } else { text }))
    }
}

/// A text in which U+FFFD stands for each character that is none.
fn without_noncharacters(text: String) -> String {
    let is_none = |c: char| matches!(u32::from(c), 0xFDD0..=0xFDEF) || u32::from(c) & 0xFFFE == 0xFFFE;
    if text.contains(is_none) { text.replace(is_none, "\u{FFFD}") } else { text }
}

impl Site {
    /// A page in a form.
    async fn answer(&self, slug: &str, form: Form, headers: &HeaderMap) -> Response<Body> {
        let kept = match self.pages.page(slug).await {
            Ok(kept) => kept,
            Err(error) => {
                let (status, text) = match error {
                    kept::Failure::NoSuchPage => (StatusCode::NOT_FOUND, html::NO_SUCH_PAGE),
                    kept::Failure::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, html::UNAVAILABLE),
                };
                return Self::failed(status, form, text);
            }
        };
        match kept.rendered(form, &self.settings) {
            Some(rendered) => shown(form, &rendered, headers),
            None => Self::failed(StatusCode::INTERNAL_SERVER_ERROR, form, html::UNAVAILABLE),
        }
    }

    /// What is said instead of a page: to people in HTML, to programs in the form that they asked for.
    fn failed(status: StatusCode, form: Form, said: (&str, &str)) -> Response<Body> {
        let body = match form {
            Form::Html => html::Instead::of(said).render().unwrap_or_default(),
            Form::Json | Form::Atlassian(_) => serde_json::json!({ "error": { "message": said.1 } }).to_string(),
            Form::Feed | Form::Badge | Form::Icon => String::new(),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
        common(headers, form);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A form as a response, compressed for whoever takes that; 304 when the client has it already.
fn shown(form: Form, rendered: &Rendered, asked: &HeaderMap) -> Response<Body> {
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|tags| is_known(tags, &rendered.tag));
    let gzip = if !known && takes_gzip(asked) { rendered.gzip() } else { None };
    let body = if known { Body::empty() } else { Body::from(gzip.unwrap_or(&rendered.plain).clone()) };
    let mut response = Response::new(body);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::ETAG, rendered.tag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHING));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if gzip.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    common(headers, form);
    response
}

/// Whether a client takes gzip, by its header `Accept-Encoding`.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let takes = |one: &str| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.', ' ']).is_empty());
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    };
    let given = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(takes)
}

fn common(headers: &mut HeaderMap, form: Form) {
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, form.media_type());
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    match form {
        Form::Html => {
            set(header::CONTENT_SECURITY_POLICY, POLICY);
            set(header::REFERRER_POLICY, "no-referrer-when-downgrade");
        }
        Form::Badge | Form::Icon => {
            set(header::CONTENT_SECURITY_POLICY, PICTURE_POLICY);
        }
        Form::Json | Form::Atlassian(_) | Form::Feed => {
            set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        }
    }
}

/// Whether a client has what a tag names, by its header `If-None-Match`.
fn is_known(tags: &HeaderValue, tag: &HeaderValue) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Some((tags, tag)) = tags.to_str().ok().zip(tag.to_str().ok()) else { return false };
    tags.trim() == "*" || tags.split(',').any(|one| plain(one) == plain(tag))
}

async fn page(State(site): State<Arc<Site>>, Path(slug): Path<String>, headers: HeaderMap) -> Response<Body> {
    match slug.strip_suffix(".json") {
        Some(slug) => site.answer(slug, Form::Json, &headers).await,
        None => site.answer(&slug, Form::Html, &headers).await,
    }
}

async fn feed(State(site): State<Arc<Site>>, Path(slug): Path<String>, headers: HeaderMap) -> Response<Body> {
    site.answer(&slug, Form::Feed, &headers).await
}

async fn badge(State(site): State<Arc<Site>>, Path(slug): Path<String>, headers: HeaderMap) -> Response<Body> {
    site.answer(&slug, Form::Badge, &headers).await
}

async fn icon(State(site): State<Arc<Site>>, Path(slug): Path<String>, headers: HeaderMap) -> Response<Body> {
    site.answer(&slug, Form::Icon, &headers).await
}

/// The stylesheet of a page: that of all, with the colour of this one. An address with its tag is kept for long, and any other is not, so
/// that none is kept that is not yet, or not any more, what it names.
async fn style(
    State(site): State<Arc<Site>>,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let style = Slug::new(slug).ok().and_then(|slug| site.styles.get(&slug)).unwrap_or(&site.style);
    let is_this = query.is_some_and(|query| query.strip_prefix("v=") == Some(style.version()));
    let mut response = shown(Form::Html, style, &headers);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    if is_this {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(look::STYLE_CACHING));
    }
    response
}

/// The logo of a page that is published.
async fn logo(State(site): State<Arc<Site>>, Path(slug): Path<String>, headers: HeaderMap) -> Response<Body> {
    let look = Slug::new(&slug).ok().and_then(|slug| site.settings.looks.get(&slug));
    let published = site.pages.page(&slug).await.is_ok();
    let Some(logo) = look.and_then(|look| look.logo.as_ref()).filter(|_| published) else {
        return Site::failed(StatusCode::NOT_FOUND, Form::Badge, html::NO_SUCH_PAGE);
    };
    let mut response = shown(Form::Badge, logo.rendered(), &headers);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(logo.media_type()));
    response
}

/// For the fuzz target `status_page`: every form of a page.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
#[must_use]
pub fn every_form(page: &PublicPage) -> Vec<(&'static str, String)> {
    let settings = StatusSettings::default();
    let forms = [Form::Html, Form::Json, Form::Feed, Form::Badge, Form::Icon];
    let all = forms.into_iter().chain(atlassian::FORMS.map(Form::Atlassian));
    all.filter_map(|form| {
        let bytes = form.render(page, &settings)?;
        Some((form.media_type(), String::from_utf8_lossy(&bytes).into_owned()))
    })
    .collect()
}
