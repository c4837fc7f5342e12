//! Alarms of Amazon CloudWatch, over SNS (contract, section 14): the route, and the certificates with which messages are signed.
//!
//! Nothing here knows how to fetch: the program says ([`RouterBuilder::fetch`](crate::RouterBuilder::fetch)). Only places at SNS are asked for, only once
//! somebody has shown a token, a few at once, and a certificate is kept for a day.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use dogwatch_intake::{Refusal, SnsKind, SnsMessage, sns};
use dogwatch_store::rules::integration::{IntegrationKind, Received};
use dogwatch_store::rules::text::TopicArn;
use dogwatch_store::rules::{Code, Secret};
use tokio::sync::Semaphore;

use crate::api::Api;
use crate::error::Failure;
use crate::intake::{Incoming, NotReceived, Token, not_received, patiently, plain, sentences};

/// The largest message, in bytes: SNS sends 256 KiB at most, in JSON.
const LARGEST: usize = 1 << 20;
/// How long a certificate is kept, how many are, and how many are fetched at once.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
const MOST_KEPT: usize = 64;
const AT_ONCE: usize = 4;

/// Fetches what is at a URL: blocks, and gives a text for the log when it cannot.
pub(crate) type Fetch = Arc<dyn Fn(&str) -> Result<Vec<u8>, String> + Send + Sync>;

/// Certificates by their place, and since when each is kept.
type Kept = HashMap<String, (Instant, Arc<Vec<u8>>)>;

/// What is fetched from SNS.
pub(crate) struct Fetched {
    fetch: Option<Fetch>,
    certificates: Mutex<Kept>,
    at_once: Semaphore,
}

impl Fetched {
    pub(crate) fn new(fetch: Option<Fetch>) -> Self {
        Self { fetch, certificates: Mutex::default(), at_once: Semaphore::new(AT_ONCE) }
    }

    /// Fetches what is at a URL, on a thread that may block.
    async fn get(&self, url: &str) -> Result<Vec<u8>, Failure> {
        let failed = |why: &str| {
            tracing::warn!(%url, why, "what SNS says is there cannot be fetched");
            Failure::new(Code::Unavailable, "what SNS says is there cannot be fetched")
        };
        let Some(fetch) = self.fetch.clone() else { return Err(failed("this program fetches nothing")) };
        let _turn = self.at_once.acquire().await.map_err(|_| failed("it is stopping"))?;
        let place = url.to_owned();
        let fetched = tokio::task::spawn_blocking(move || fetch(&place)).await;
        match fetched {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(why)) => Err(failed(&why)),
            Err(_) => Err(failed("fetching it panicked")),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The certificate at a URL.
    async fn certificate(&self, url: &str) -> Result<Arc<Vec<u8>>, Failure> {
        let known = self.kept().get(url).filter(|(at, _)| at.elapsed() < KEPT_FOR).map(|(_, kept)| Arc::clone(kept));
        if let Some(known) = known {
            return Ok(known);
        }
        Ok(Arc::new(self.get(url).await?))
    }

    /// Keeps a certificate whose signature held.
    fn keep(&self, url: &str, certificate: Arc<Vec<u8>>) {
        let mut kept = self.kept();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.entry(url.to_owned()).or_insert((Instant::now(), certificate));
    }
}

/// Receives a message of SNS.
pub(crate) async fn cloudwatch(State(api): State<Arc<Api>>, Token(token): Token, request: Request) -> Response<Body> {
    const KIND: IntegrationKind = IntegrationKind::CloudWatch;
    let received = async {
        let (mut incoming, body) = Incoming::of(api, request)?;
        incoming.admit(&token, KIND)?;
        let message = incoming.read(body, LARGEST, sns).await?;
        let certificate = incoming.api.fetched.certificate(&message.certificate_url).await?;
        message.verify(&certificate)?;
        incoming.api.fetched.keep(&message.certificate_url, certificate);
        told(&incoming, &token, &message).await
    };
    match received.await {
        Ok(text) => plain(StatusCode::OK, text),
        Err(why) => not_received(why, |why| plain(patiently(why), sentences(why).join("\n") + "\n")).await,
    }
}

/// Does what a message of SNS says, whose signature holds.
async fn told(incoming: &Incoming, token: &Secret, message: &SnsMessage) -> Result<&'static str, NotReceived> {
    let foreign = || Refusal { errors: vec!["another topic was confirmed, or none".to_owned()] };
    let topic = TopicArn::new(&message.topic).map_err(|_| foreign())?;
    let engine = &incoming.api.engine;
    match (message.kind, &message.subscribe_url) {
        (SnsKind::Subscription, Some(url)) => {
            let confirmed = incoming.answer(engine.submit_topic(token, topic)?).await?;
            if confirmed.first() != Some(&true) {
                return Err(foreign().into());
            }
            // When it cannot be fetched now, SNS asks again, and the topic is the same.
            incoming.api.fetched.get(url).await?;
            tracing::info!(topic = message.topic, "a topic of SNS was confirmed");
            Ok("confirmed\n")
        }
        (SnsKind::Notification, _) => {
            let received = incoming.answer(engine.submit_from_topic(token, topic, message.alarm())?).await?;
            let outcome: Received = received.into_iter().flatten().next().ok_or_else(foreign)?;
            incoming.api.metrics.count_alert(IntegrationKind::CloudWatch, outcome);
            Ok("received\n")
        }
        (SnsKind::Subscription | SnsKind::Unsubscription, _) => Ok("noted\n"),
    }
}
