//! Pages that are kept, and read again when they may have changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use dogwatch_store::rules::status_page::{PublicPage, ShowStatusPage};
use dogwatch_store::rules::text::Slug;
use dogwatch_store::rules::{Actor, Code};
use dogwatch_store::{Engine, Error};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex as Turns;

use super::{Form, StatusSettings};

/// How long a page is kept although something has changed: so often is the page of a busy engine read.
const SOON: Duration = Duration::from_millis(250);
/// How long a page is kept when nothing changes: days begin, and what is not up goes on not being up.
const LATE: Duration = Duration::from_secs(5);
/// The most pages that are kept.
const MOST: usize = 1_000;

/// Why a page is not shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// There is none with this slug, or it is not published.
    NoSuchPage,
    /// It cannot be read now.
    Unavailable,
}

/// The pages that were asked for lately.
pub(super) struct Pages {
    engine: Engine,
    kept: Mutex<HashMap<Slug, Arc<Place>>>,
}

/// Where a page is kept. Whoever reads it again holds the turn, so that it is read once however many ask.
#[derive(Default)]
struct Place {
    turn: Turns<()>,
    kept: Mutex<Option<Arc<Kept>>>,
}

impl Place {
    fn kept(&self) -> Option<Arc<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A page as it was read, and its forms so far.
pub(super) struct Kept {
    page: PublicPage,
    /// The revision of the engine before it was read.
    revision: u64,
    read_at: Instant,
    forms: Mutex<BTreeMap<Form, Rendered>>,
}

/// The bytes of a form, and their tag.
#[derive(Clone)]
struct Rendered {
    bytes: Bytes,
    tag: Arc<str>,
}

/// The tag of what is shown: a hash of it.
pub(super) fn tag(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let digits: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

impl Kept {
    /// The page in a form, which is rendered once.
    pub(super) fn rendered(&self, form: Form, settings: &StatusSettings) -> Option<(Bytes, Arc<str>)> {
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = forms.get(&form) {
            return Some((it.bytes.clone(), Arc::clone(&it.tag)));
        }
        let bytes = form.render(&self.page, settings)?;
        let rendered = Rendered { tag: tag(&bytes).into(), bytes };
        forms.insert(form, rendered.clone());
        Some((rendered.bytes, rendered.tag))
    }
}

impl Pages {
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine, kept: Mutex::default() }
    }

    /// Whether a page need not be read again.
    fn is_fresh(&self, kept: &Kept) -> bool {
        let age = kept.read_at.elapsed();
        age < SOON || age < LATE && kept.revision == self.engine.revision()
    }

    /// The page with a slug.
    pub(super) async fn page(&self, slug: &str) -> Result<Arc<Kept>, Failure> {
        let slug = Slug::new(slug).map_err(|_| Failure::NoSuchPage)?;
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&slug).cloned();
        let place = known.unwrap_or_default();
        if let Some(kept) = place.kept().filter(|kept| self.is_fresh(kept)) {
            return Ok(kept);
        }
        let _turn = place.turn.lock().await;
        // Somebody may have read it meanwhile.
        if let Some(kept) = place.kept().filter(|kept| self.is_fresh(kept)) {
            return Ok(kept);
        }
        let revision = self.engine.revision();
        let query = ShowStatusPage::new(slug.clone(), self.engine.now());
        let read = match self.engine.submit_query(query, &Actor::Anybody) {
            Ok(pending) => pending.await,
            Err(error) => Err(error),
        };
        match read {
            Ok(page) => {
                let (read_at, forms) = (Instant::now(), Mutex::default());
                let kept = Arc::new(Kept { page, revision, read_at, forms });
                *place.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&kept));
                self.keep(slug, &place);
                Ok(kept)
            }
            Err(error) => self.not_read(&slug, &place, &error),
        }
    }

    /// Keeps a page that there is. Slugs that somebody makes up take no room.
    fn keep(&self, slug: Slug, place: &Arc<Place>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST && !kept.contains_key(&slug) {
            let oldest = kept.iter().min_by_key(|(_, place)| place.kept().map(|kept| kept.read_at));
            if let Some(oldest) = oldest.map(|(slug, _)| slug.clone()) {
                kept.remove(&oldest);
            }
        }
        kept.insert(slug, Arc::clone(place));
    }

    /// A page that cannot be read now is shown as it was, if it was.
    fn not_read(&self, slug: &Slug, place: &Place, error: &Error) -> Result<Arc<Kept>, Failure> {
        if error.code() == Code::NotFound {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(slug);
            *place.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return Err(Failure::NoSuchPage);
        }
        tracing::error!(%error, %slug, "a status page cannot be read");
        place.kept().ok_or(Failure::Unavailable)
    }
}
