//! Metrics for Prometheus, served at `/metrics`: requests and their latency by route, and the load of the engine.
//!
//! Labels come from fixed sets, so the number of series is bounded.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use dogwatch_store::rules::Timestamp;
use dogwatch_store::rules::integration::{IntegrationKind, Received};
use dogwatch_store::{Engine, WeakEngine};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlertLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

/// The metrics of an API: its requests, counted as they come, and the load of its engine, read with each scrape. Clones are the
/// same metrics. They do not keep the engine open; when it is closed, its load is not shown.
///
/// It is a [`Collector`](prometheus_client::collector::Collector): a program that has a registry of its own gathers them there.
///
/// ```
/// use dogwatch_http::{Metrics, RouterBuilder};
/// use dogwatch_store::Engine;
/// use prometheus_client::registry::Registry;
/// let engine = Engine::in_memory()?;
/// let metrics = Metrics::new(&engine);
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(metrics.clone()));
/// let api = RouterBuilder::new(engine).metrics(metrics).build();
/// let mut text = String::new();
/// prometheus_client::encoding::text::encode(&mut text, &registry)?;
/// assert!(text.contains("dogwatch_writable 1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Metrics {
    engine: WeakEngine,
    counters: Vec<OtherCounter>,
    gauges: Vec<OtherCounter>,
    requests: Family<Labels, Counter>,
    latency: Family<RouteLabel, Histogram>,
    alerts: Family<AlertLabels, Counter>,
}

/// A counter or gauge of the program around the API.
#[derive(Clone)]
struct OtherCounter {
    name: &'static str,
    help: &'static str,
    read: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// The number up to which waiting escalation runs, and recipients with notifications to deliver, are counted for each scrape.
const COUNTED: usize = 10_000;

fn histogram() -> Histogram {
    // The buckets go from 50 µs to 13 s.
    Histogram::new(exponential_buckets(0.000_05, 2.0, 19))
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut encode = |name: &str, help: &str, metric: &dyn Encoded| metric.encode(&mut encoder, name, help);
        encode("dogwatch_http_requests", "Requests by method, route and status.", &self.requests)?;
        encode("dogwatch_http_request_seconds", "How long requests took, by route.", &self.latency)?;
        let help = "Alerts that came in over integrations, by kind and what became of them.";
        encode("dogwatch_alerts", help, &self.alerts)?;
        for counter in &self.counters {
            encode(counter.name, counter.help, &ConstCounter::new((counter.read)()))?;
        }
        let gauge = |value: u64| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        for other in &self.gauges {
            encode(other.name, other.help, &gauge((other.read)()))?;
        }
        let Some(engine) = self.engine.upgrade() else { return Ok(()) };
        let load = engine.load();
        encode("dogwatch_command_queue_depth", "Commands that wait for the writer.", &gauge(load.queued))?;
        let counter = |value: u64| ConstCounter::new(value);
        encode("dogwatch_commit_batches", "Batches committed since the store was opened.", &counter(load.batches))?;
        encode("dogwatch_commit_batch_commands", "Commands in these batches.", &counter(load.commands))?;
        let seconds = |took: Duration| ConstCounter::new(took.as_secs_f64());
        let help =
            "How long commands waited until they were decided, all together; with the number of commands, the mean.";
        encode("dogwatch_queue_seconds", help, &seconds(load.queue_time))?;
        let help =
            "How long the journal took to make batches durable, all together; with the number of batches, the mean.";
        encode("dogwatch_commit_seconds", help, &seconds(load.commit_time))?;
        encode("dogwatch_cache_hits", "How often a query found an entity decoded.", &counter(load.cache_hits))?;
        encode("dogwatch_cache_misses", "How often a query had to decode an entity.", &counter(load.cache_misses))?;
        let waited = |since: Option<Timestamp>| {
            let late = since.map_or(0, |since| engine.now().as_millis().saturating_sub(since.as_millis()));
            u64::try_from(late / 1_000).unwrap_or(0)
        };
        let overdue = waited(engine.next_deadline().ok().flatten());
        encode(
            "dogwatch_oldest_due_seconds",
            "How long the oldest escalation run that is due has waited.",
            &gauge(overdue),
        )?;
        let help = "How long the page has waited for its delivery that has waited the longest.";
        encode("dogwatch_oldest_page_seconds", help, &gauge(waited(engine.oldest_ready().ok().flatten())))?;
        if let Some(bytes) = engine.journal_size() {
            encode("dogwatch_journal_bytes", "The bytes that the journal takes on disk.", &gauge(bytes))?;
        }
        let help = "How often a due escalation run could not go on, for its records are damaged.";
        encode("dogwatch_failed_timers", help, &counter(load.failed_timers))?;
        encode("dogwatch_writable", "1 unless storage has failed.", &gauge(u64::from(engine.is_writable())))?;
        if let Ok((timers, outbox)) = engine.pending(COUNTED) {
            let gauge = |value: usize| gauge(u64::try_from(value).unwrap_or(u64::MAX));
            encode("dogwatch_pending_timers", "Escalation runs that wait, counted up to 10,000.", &gauge(timers))?;
            encode("dogwatch_outbox_depth", "Users with pages to deliver, counted up to 10,000.", &gauge(outbox))?;
        }
        Ok(())
    }
}

/// A metric of any type, with its name.
trait Encoded {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> std::fmt::Result;
}

impl<M: EncodeMetric> Encoded for M {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> std::fmt::Result {
        EncodeMetric::encode(self, encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

/// Metrics of no engine yet.
impl Default for Metrics {
    fn default() -> Self {
        let latency = Family::new_with_constructor(histogram as fn() -> Histogram);
        let (counters, gauges) = (Vec::new(), Vec::new());
        Self {
            engine: WeakEngine::default(),
            counters,
            gauges,
            requests: Family::default(),
            latency,
            alerts: Family::default(),
        }
    }
}

impl Metrics {
    /// Metrics of an API over this engine, without any request yet.
    #[must_use]
    pub fn new(engine: &Engine) -> Self {
        Self::default().of(engine)
    }

    /// The same counters, for another engine: one that was opened again.
    #[must_use]
    pub fn of(&self, engine: &Engine) -> Self {
        Self { engine: engine.downgrade(), ..self.clone() }
    }

    /// Shows a counter of the program with the others: `read` gives the number of times that something has happened so far.
    #[must_use]
    pub fn counting(
        mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.counters.push(OtherCounter { name, help, read: Arc::new(read) });
        self
    }

    /// Shows a gauge of the program with the others: `read` gives the present value.
    #[must_use]
    pub fn gauging(
        mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.gauges.push(OtherCounter { name, help, read: Arc::new(read) });
        self
    }

    /// Counts a request. `route` is a path template, so there are no more labels than paths in the table of routes.
    pub(crate) fn count(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => method.as_str(),
            // Anybody can make up methods: all others share one label.
            _ => "other",
        };
        let labels = Labels { method: method.to_owned(), route: route.to_owned(), status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        self.latency.get_or_create(&RouteLabel { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    /// Counts an alert.
    pub(crate) fn count_alert(&self, kind: IntegrationKind, outcome: Received) {
        let labels = AlertLabels { kind: kind.as_str(), outcome: outcome.as_str() };
        self.alerts.get_or_create(&labels).inc();
    }

    /// All metrics in the OpenMetrics text format.
    pub(crate) fn render(&self) -> Response<Body> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        let mut response = match encode(&mut text, &registry) {
            Ok(()) => Response::new(Body::from(text)),
            Err(_) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        };
        let media = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        response
    }
}
