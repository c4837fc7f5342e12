//! Pages that are kept, and read again when they may have changed.
//!
//! A page is read by one task at a time, however many ask for it, also by nobody's leave: who asked may have gone. Meanwhile the others
//! get the page as it was, if it is not too old. What is kept is bounded in number and bytes; slugs that somebody makes up take no room
//! once they are answered.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::HeaderValue;
use dogwatch_store::rules::status_page::{PublicPage, ShowStatusPage};
use dogwatch_store::rules::text::Slug;
use dogwatch_store::rules::{Actor, Code};
use dogwatch_store::{Engine, Error};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex as Turns;

use super::{Form, StatusSettings};

/// How long a page is kept although something has changed: so often is the page of a busy engine read.
const SOON: Duration = Duration::from_millis(250);
/// How long a page is kept when nothing changes: days begin, and what is not up goes on not being up. So long it is also shown while
/// somebody reads it again.
const LATE: Duration = Duration::from_secs(5);
/// The most pages that are kept.
const MOST: usize = 1_000;
/// The most bytes of their forms, of all together; there may be those of one page more.
const MOST_BYTES: usize = 64 << 20;
/// The bytes of a page that is not rendered yet, and of what stands around it.
const LEAST_BYTES: usize = 4 << 10;
/// Forms below this many bytes are not worth compressing.
const COMPRESSED_FROM: usize = 1 << 10;

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

/// Where a page is kept. Whoever reads it again holds the turn.
#[derive(Default)]
struct Place {
    turn: Turns<()>,
    kept: Mutex<Option<Arc<Kept>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Place {
    fn kept(&self) -> Option<Arc<Kept>> {
        locked(&self.kept).clone()
    }
}

/// A page as it was read, and its forms so far.
pub(super) struct Kept {
    page: PublicPage,
    /// The revision of the engine before it was read.
    revision: u64,
    read_at: Instant,
    forms: Mutex<BTreeMap<Form, Arc<Rendered>>>,
    bytes: AtomicUsize,
}

/// A form: its bytes, their tag, and the bytes compressed, once somebody takes that. Both are the same page, so the tag is weak.
pub(super) struct Rendered {
    pub(super) plain: Bytes,
    pub(super) tag: HeaderValue,
    gzip: OnceLock<Option<Bytes>>,
}

/// A hash of what is shown, in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

impl Rendered {
    pub(super) fn new(plain: Bytes) -> Self {
        let tag = HeaderValue::from_str(&format!("W/\"{}\"", hash(&plain)));
        let tag = tag.unwrap_or_else(|_| HeaderValue::from_static("W/\"\""));
        Self { plain, tag, gzip: OnceLock::new() }
    }

    /// The hash in the tag.
    pub(super) fn version(&self) -> &str {
        self.tag.to_str().unwrap_or_default().trim_start_matches("W/").trim_matches('"')
    }

    /// The bytes compressed, if that is worth it.
    pub(super) fn gzip(&self) -> Option<&Bytes> {
        self.gzip.get_or_init(|| gzip(&self.plain)).as_ref()
    }
}

/// Bytes compressed, if that is worth it.
fn gzip(plain: &[u8]) -> Option<Bytes> {
    if plain.len() < COMPRESSED_FROM {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(plain).and_then(|()| encoder.finish()).ok().map(Bytes::from)
}

impl Kept {
    /// The page in a form, which is rendered once.
    pub(super) fn rendered(&self, form: Form, settings: &StatusSettings) -> Option<Arc<Rendered>> {
        let mut forms = locked(&self.forms);
        if let Some(rendered) = forms.get(&form) {
            return Some(Arc::clone(rendered));
        }
        let rendered = Arc::new(Rendered::new(form.render(&self.page, settings)?));
        // As much again at most, when it is compressed.
        self.bytes.fetch_add(rendered.plain.len().saturating_mul(2), Ordering::Relaxed);
        forms.insert(form, Arc::clone(&rendered));
        Some(rendered)
    }
}

impl Pages {
    pub(super) fn new(engine: Engine) -> Arc<Self> {
        Arc::new(Self { engine, kept: Mutex::default() })
    }

    /// Whether a page need not be read again.
    fn is_fresh(&self, kept: &Kept) -> bool {
        let age = kept.read_at.elapsed();
        age < SOON || age < LATE && kept.revision == self.engine.revision()
    }

    /// The page with a slug.
    pub(super) async fn page(self: &Arc<Self>, slug: &str) -> Result<Arc<Kept>, Failure> {
        let slug = Slug::new(slug).map_err(|_| Failure::NoSuchPage)?;
        let place = Arc::clone(locked(&self.kept).entry(slug.clone()).or_default());
        let kept = place.kept();
        if let Some(kept) = kept.as_ref().filter(|kept| self.is_fresh(kept)) {
            return Ok(Arc::clone(kept));
        }
        if let Some(kept) = kept.filter(|kept| kept.read_at.elapsed() < LATE && place.turn.try_lock().is_err()) {
            // Somebody reads it again already.
            return Ok(kept);
        }
        let pages = Arc::clone(self);
        // Whoever asked may go: what is begun is ended.
        let read = tokio::spawn(async move { pages.read(slug, &place).await });
        read.await.unwrap_or(Err(Failure::Unavailable))
    }

    /// Reads a page, unless somebody else has just done so.
    async fn read(&self, slug: Slug, place: &Arc<Place>) -> Result<Arc<Kept>, Failure> {
        let _turn = place.turn.lock().await;
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
                let (read_at, forms, bytes) = (Instant::now(), Mutex::default(), AtomicUsize::new(LEAST_BYTES));
                let kept = Arc::new(Kept { page, revision, read_at, forms, bytes });
                *locked(&place.kept) = Some(Arc::clone(&kept));
                self.keep(slug, place);
                Ok(kept)
            }
            Err(error) => self.not_read(&slug, place, &error),
        }
    }

    /// Keeps a page, and lets go of those that were read longest ago when they are too many.
    fn keep(&self, slug: Slug, place: &Arc<Place>) {
        let mut kept = locked(&self.kept);
        kept.insert(slug, Arc::clone(place));
        let mut all: Vec<_> = kept
            .iter()
            .filter_map(|(slug, place)| Some((place.kept()?, slug.clone())))
            .map(|(kept, slug)| (kept.read_at, kept.bytes.load(Ordering::Relaxed), slug))
            .collect();
        let (mut number, mut bytes) = (all.len(), all.iter().map(|(_, bytes, _)| bytes).sum::<usize>());
        if number <= MOST && bytes <= MOST_BYTES {
            return;
        }
        all.sort();
        for (_, own, slug) in all {
            if number <= MOST && bytes <= MOST_BYTES || number == 1 {
                break;
            }
            (number, bytes) = (number - 1, bytes - own);
            kept.remove(&slug);
        }
    }

    /// A page that cannot be read now is shown as it was, if it was.
    fn not_read(&self, slug: &Slug, place: &Place, error: &Error) -> Result<Arc<Kept>, Failure> {
        let is_gone = error.code() == Code::NotFound;
        if is_gone {
            *locked(&place.kept) = None;
        } else {
            tracing::error!(%error, %slug, "a status page cannot be read");
        }
        let before = place.kept();
        if before.is_none() {
            locked(&self.kept).remove(slug);
        }
        before.ok_or(if is_gone { Failure::NoSuchPage } else { Failure::Unavailable })
    }
}
