//! Metrics for Prometheus, served at `/metrics`: requests and their latency by route, and the load of the engine.
//!
//! Labels come from fixed sets, so the number of series is bounded.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use dogwatch_store::Engine;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

/// The metrics: those of requests are counted as they come, the gauges are read from the engine with each scrape.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    latency: Family<RouteLabel, Histogram>,
    queue: Gauge,
    batches: Gauge,
    batched: Gauge,
    writable: Gauge,
    timers: Gauge,
    outbox: Gauge,
}

/// The number up to which waiting escalation runs, and recipients with notifications to deliver, are counted for each scrape.
const COUNTED: usize = 10_000;

fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 4.0, 10))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("dogwatch");
        let requests = Family::default();
        // The buckets go from 50 µs to 13 s.
        let latency = Family::new_with_constructor(histogram as fn() -> Histogram);
        let (queue, batches, batched, writable) =
            (Gauge::default(), Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("http_requests", "Requests by method, route and status", Family::clone(&requests));
        registry.register("http_request_seconds", "How long requests took, by route", Family::clone(&latency));
        registry.register("command_queue_depth", "Commands that wait for the writer", queue.clone());
        registry.register("commit_batches", "Batches committed since the start", batches.clone());
        registry.register("commit_batch_commands", "Commands in these batches", batched.clone());
        registry.register("writable", "1 unless storage has failed", writable.clone());
        let (timers, outbox) = (Gauge::default(), Gauge::default());
        registry.register("pending_timers", "Escalation runs that wait, counted up to 10,000", timers.clone());
        registry.register("outbox_depth", "Users with pages to deliver, counted up to 10,000", outbox.clone());
        Self { registry, requests, latency, queue, batches, batched, writable, timers, outbox }
    }
}

impl Metrics {
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

    /// All metrics in the OpenMetrics text format.
    pub(crate) fn render(&self, engine: &Engine) -> Response<Body> {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let load = engine.load();
        self.queue.set(gauge(load.queued));
        self.batches.set(gauge(load.batches));
        self.batched.set(gauge(load.commands));
        self.writable.set(i64::from(engine.is_writable()));
        if let Ok((timers, outbox)) = engine.pending(COUNTED) {
            self.timers.set(i64::try_from(timers).unwrap_or(i64::MAX));
            self.outbox.set(i64::try_from(outbox).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        let mut response = match encode(&mut text, &self.registry) {
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
