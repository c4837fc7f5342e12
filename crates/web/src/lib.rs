//! Pages for people over an engine: the one that the link in a page leads to (`/p/{token}`), where an incident is looked at and
//! acknowledged (contract, section 9), and the one with which an invited person joins (`/join/{token}`; section 4). And what Slack tells of a
//! button that was pressed (`/slack/interactive`).
//!
//! The pages of the link and of joining work on a phone at three in the morning: dark, large, one button, no script. Looking changes nothing: mail scanners look at
//! every link. [`router`] gives an [`axum::Router`] with these paths.
//!
//! Status pages (`/status/{slug}`; section 13) are for customers: [`status_pages`].

mod join;
mod page;
mod reply;
mod slack;
mod status;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use status::every_form;
pub use status::{Accent, Logo, Look, LookProblem, StatusSettings, by_host, status_pages};

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use dogwatch_store::Engine;
use dogwatch_store::rules::Secret;
use dogwatch_store::rules::link::MasterKey;

/// For the fuzz target `messages`: the token in what Slack sends, if a button that acknowledges was pressed.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
#[must_use]
pub fn slack_token(body: &[u8]) -> Option<String> {
    slack::token(body)
}

/// What the pages need besides the engine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The key from which the links in pages were derived.
    pub key: MasterKey,
    /// Whether an incident can be acknowledged with the link in a page; otherwise it is only shown. On by default.
    pub acknowledge: bool,
    /// The secret with which Slack signs its requests, for `/slack/interactive`; without it there is no such route.
    pub slack_signing_secret: Option<Secret>,
}

impl Settings {
    /// The defaults, with a key.
    #[must_use]
    pub const fn new(key: MasterKey) -> Self {
        Self { key, acknowledge: true, slack_signing_secret: None }
    }
}

/// What all pages share.
#[derive(Debug)]
struct Site {
    engine: Engine,
    settings: Settings,
    /// The header that allows our own style, and nothing else.
    policy: String,
}

/// The pages, to be merged into the router of a site, or set beside an API. Messages link to them at the root of the public URL; the key
/// must be the one of those links.
///
/// ```
/// use dogwatch_store::Engine;
/// use dogwatch_store::rules::link::MasterKey;
/// let engine = Engine::in_memory()?;
/// let pages: axum::Router = dogwatch_web::router(engine, dogwatch_web::Settings::new(MasterKey::from_bytes([7; 32])));
/// # Ok::<(), dogwatch_store::OpenError>(())
/// ```
pub fn router(engine: Engine, settings: Settings) -> Router {
    let site = Arc::new(Site { engine, settings, policy: reply::policy() });
    let router = if site.settings.slack_signing_secret.is_some() {
        Router::new().route("/slack/interactive", post(slack::interactive).fallback(reply::wrong_method))
    } else {
        Router::new()
    };
    router
        .route("/p/{token}", get(page::show).post(page::acknowledge).fallback(reply::wrong_method))
        .route("/join/{token}", get(join::show).post(join::accept).fallback(reply::wrong_method))
        .with_state(site)
}
