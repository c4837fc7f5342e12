//! Messages over HTTP: to a URL of the member's own (`webhook`), to a topic of an ntfy server (`ntfy`), and signed, to the webhooks of
//! organizations.
//!
//! No redirect is followed, no proxy is used, and nothing is connected to that is not public, but for the hosts that the operator
//! allows. Each try takes ten seconds at most. Of an answer only its head is read; of an API, 64 KiB.

use std::sync::LazyLock;
use std::time::Duration;

use dogwatch_store::rules::Timestamp;
use dogwatch_store::rules::incident::{AuditEvent, IncidentView, Severity, Status, UpdateView};
use dogwatch_store::rules::outbox::Transport;
use dogwatch_store::rules::text::{HttpUrl, UpdateBody};
use serde::Serialize;
use serde_json::Value;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::header::RETRY_AFTER;
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;

use crate::address::{AllowedHosts, NotPublic, PublicOnly};
use crate::channel::{Channel, SendError};
use crate::message::{Address, Message, What};

/// How long a try may take.
const TIME: Duration = Duration::from_secs(10);
/// The most bytes that are read of an answer.
const LONGEST_ANSWER: u64 = 64 << 10;
/// The longest time that the other side may ask to wait.
const LONGEST_WAIT: u64 = 24 * 60 * 60;

/// How requests are sent.
fn configured() -> Config {
    Agent::config_builder()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .http_status_as_error(false)
        .timeout_global(Some(TIME))
        .tls_config(TlsConfig::builder().root_certs(trusted()).build())
        .user_agent(concat!("dogwatch/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// What the channels share: how a request is sent, and what its answer means.
#[derive(Debug, Clone)]
pub(crate) struct Client(Agent);

impl Client {
    pub(crate) fn new(allowed: AllowedHosts) -> Self {
        Self(Agent::with_parts(configured(), DefaultConnector::default(), PublicOnly { allowed }))
    }

    fn post(
        &self,
        url: &str,
        id: &str,
        body: &[u8],
        headers: &[(&str, String)],
    ) -> Result<Response<ureq::Body>, SendError> {
        let request = self.0.post(url).header("content-type", "application/json").header("webhook-id", id);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        sent(request.send(body))
    }

    /// Posts a form to an API that answers with JSON, of which 64 KiB are read.
    pub(crate) fn call(&self, url: &str, token: &str, fields: &[(&str, &str)]) -> Result<Value, SendError> {
        let request = self.0.post(url).header("authorization", format!("Bearer {token}"));
        let mut answer = sent(request.send_form(fields.iter().copied()))?;
        // An API says in its body what is for good: any other status is that of something in between, which may be mended.
        judged(&answer).map_err(SendError::for_now)?;
        let text = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        let text = text.map_err(|_| SendError::temporary("the answer cannot be read"))?;
        serde_json::from_slice(&text).map_err(|_| SendError::temporary("the answer is no JSON"))
    }
}

/// Posts JSON to a URL wherever it leads, for trying something out: no redirect is followed, and no address is refused. Gives the status of
/// the answer, and 64 KiB of its text.
///
/// # Errors
/// [`SendError`] when there is no answer within ten seconds.
pub fn try_out(url: &str, body: &[u8]) -> Result<(u16, String), SendError> {
    let agent = Agent::new_with_config(configured());
    let mut answer = sent(agent.post(url).header("content-type", "application/json").send(body))?;
    let text = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec().unwrap_or_default();
    Ok((answer.status().as_u16(), String::from_utf8_lossy(&text).into_owned()))
}

/// Fetches 64 KiB at most from a public address, over HTTPS with a certificate that the operating system trusts, without redirects.
///
/// # Errors
/// [`SendError`] when there is no answer of the status 2xx within ten seconds.
pub fn fetch(url: &str) -> Result<Vec<u8>, SendError> {
    if !url.starts_with("https://") {
        return Err(SendError::permanent("the URL does not begin with https://"));
    }
    let client = Client::new(AllowedHosts::default());
    let mut answer = sent(client.0.get(url).call())?;
    judged(&answer)?;
    let read = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
    read.map_err(|_| SendError::temporary("the answer cannot be read"))
}

/// The answer to a request, or what went wrong with it.
fn sent(answer: Result<Response<ureq::Body>, ureq::Error>) -> Result<Response<ureq::Body>, SendError> {
    match answer {
        Ok(answer) => Ok(answer),
        Err(ureq::Error::Other(why)) if why.is::<NotPublic>() => Err(SendError::permanent(why.to_string())),
        // The text of an error may hold the URL, which may hold a secret.
        Err(ureq::Error::Timeout(what)) => Err(SendError::temporary(format!("time-out: {what}"))),
        Err(ureq::Error::HostNotFound) => Err(SendError::temporary("the host is not found")),
        Err(ureq::Error::Io(why)) => Err(SendError::temporary(format!("no connection: {why}"))),
        Err(ureq::Error::BadUri(_)) => Err(SendError::permanent("the URL is none")),
        Err(_) => Err(SendError::temporary("the request failed")),
    }
}

/// Whom the client trusts: the certificates that the operating system does, as for mail; where it knows none, those of the browsers.
fn trusted() -> RootCerts {
    static TRUSTED: LazyLock<RootCerts> = LazyLock::new(|| {
        let known = rustls_native_certs::load_native_certs().certs;
        let known: Vec<_> = known.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
        if known.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&known) }
    });
    TRUSTED.clone()
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, SendError> {
    serde_json::to_vec(body).map_err(|why| SendError::permanent(format!("it cannot be written: {why}")))
}

/// What a status means: 2xx is success; 408, 425, 429 and 5xx are for now; anything else is for good.
fn judged<B>(answer: &Response<B>) -> Result<(), SendError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let reason = format!("answered {}", status.as_u16());
    let for_now = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    if !status.is_server_error() && !for_now.contains(&status) {
        return Err(SendError::Permanent { reason });
    }
    let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.trim().parse().ok());
    Err(SendError::Temporary { reason, after: after.map(|after: u64| Duration::from_secs(after.min(LONGEST_WAIT))) })
}

/// Requests to URLs of the members' own: a POST with JSON.
#[derive(Debug)]
pub struct Webhook(Client);

impl Webhook {
    /// Requests to public addresses, and to hosts that the operator allows.
    #[must_use]
    pub fn new(allowed: AllowedHosts) -> Self {
        Self(Client::new(allowed))
    }
}

/// The body of a request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    organization: &'a str,
    subject: String,
    text: String,
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<Incident<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Incident<'a> {
    id: String,
    sequential_id: u64,
    title: &'a str,
    severity: &'a str,
    status: &'a str,
}

impl<'a> Incident<'a> {
    fn of(incident: &'a IncidentView) -> Self {
        Self {
            id: incident.id.to_string(),
            sequential_id: incident.sequential_id,
            title: incident.title.as_str(),
            severity: incident.severity.as_str(),
            status: incident.status.as_str(),
        }
    }
}

impl Channel for Webhook {
    fn transport(&self) -> Transport {
        Transport::Webhook
    }

    fn longest(&self) -> Duration {
        TIME
    }

    fn send(&self, message: &Message) -> Result<(), SendError> {
        let Address::Webhook(url) = &message.to else { return Err(SendError::permanent("no URL")) };
        judged(&self.0.post(url.as_str(), &message.id.to_string(), &posted(message)?, &[])?)
    }
}

/// The body of what is sent to a URL of a member.
pub(crate) fn posted(message: &Message) -> Result<Vec<u8>, SendError> {
    let (kind, code, incident) = match &message.what {
        What::Page(page) => ("page", None, Some(Incident::of(&page.incident))),
        What::Code(code) => ("code", Some(code.as_str()), None),
        What::Test => ("test", None, None),
        What::Invitation(_) | What::Event(_) | What::WebhookDisabled(_) | What::Edit(..) => {
            return Err(SendError::permanent("it goes by other ways"));
        }
    };
    written(&Body {
        kind,
        id: message.id.to_string(),
        organization: &message.organization,
        subject: message.subject(),
        text: message.text(),
        link: message.link(),
        code,
        incident,
    })
}

/// Messages to topics of ntfy servers. A page can be acknowledged from the lock screen of a phone.
#[derive(Debug)]
pub struct Ntfy(Client);

impl Ntfy {
    /// Messages to public servers, and to hosts that the operator allows.
    #[must_use]
    pub fn new(allowed: AllowedHosts) -> Self {
        Self(Client::new(allowed))
    }
}

/// A message, as ntfy takes it.
#[derive(Serialize)]
struct Publish<'a> {
    topic: &'a str,
    title: String,
    message: String,
    /// 1–5: from 4 on, phones make a sound at night.
    priority: u8,
    tags: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    click: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Action<'a>>,
}

#[derive(Serialize)]
struct Action<'a> {
    action: &'static str,
    label: &'static str,
    url: &'a str,
    method: &'static str,
    /// The message goes away when it is done.
    clear: bool,
}

/// The root of a server, and the topic, which is the last part of the path.
fn topic(url: &HttpUrl) -> Option<(&str, &str)> {
    let (root, topic) = url.as_str().trim_end_matches('/').rsplit_once('/')?;
    let fits = !topic.is_empty() && !root.ends_with('/') && !topic.contains(['?', '&', '=']);
    fits.then_some((root, topic))
}

impl Channel for Ntfy {
    fn transport(&self) -> Transport {
        Transport::Ntfy
    }

    fn longest(&self) -> Duration {
        TIME
    }

    fn send(&self, message: &Message) -> Result<(), SendError> {
        let Address::Ntfy(url) = &message.to else { return Err(SendError::permanent("no topic")) };
        let (root, topic) = topic(url).ok_or_else(|| SendError::permanent("the URL names no topic"))?;
        judged(&self.0.post(root, &message.id.to_string(), &published(message, topic)?, &[])?)
    }
}

/// The body of a message to a topic.
pub(crate) fn published(message: &Message, topic: &str) -> Result<Vec<u8>, SendError> {
    let (priority, tags): (u8, &[&str]) = match &message.what {
        What::Page(page) if page.incident.severity <= Severity::High => (5, &["rotating_light"]),
        What::Page(_) => (4, &["warning"]),
        _ => (3, &[]),
    };
    let link = message.link();
    let acts = matches!(&message.what, What::Page(page) if page.acts);
    let action = |url| Action { action: "http", label: "Acknowledge", url, method: "POST", clear: true };
    let actions = link.filter(|_| acts).map(action).into_iter().collect();
    let (title, text) = (message.subject(), message.short());
    written(&Publish { topic, title, message: text, priority, tags, click: link, actions })
}

/// Signed requests to the webhooks of organizations, as Standard Webhooks 1.0.0 says.
#[derive(Debug)]
pub struct OrganizationWebhook(Client);

impl OrganizationWebhook {
    /// Requests to public addresses, and to hosts that the operator allows.
    #[must_use]
    pub fn new(allowed: AllowedHosts) -> Self {
        Self(Client::new(allowed))
    }
}

/// What is sent to a webhook of an organization.
#[derive(Serialize)]
struct Signed<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize, Default)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<Outline<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a AuditEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<Update<'a>>,
}

/// An incident without what may be long.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outline<'a> {
    #[serde(flatten)]
    incident: Incident<'a>,
    owner_id: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    acknowledged_at: Option<Timestamp>,
    resolved_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Update<'a> {
    id: String,
    visibility: &'static str,
    status_change: Option<&'static str>,
    body: Option<&'a str>,
    /// Whether the text is only the beginning.
    truncated: bool,
}

/// The most characters of an update that are sent: with all else in a request, they are less than 20 KB.
const UPDATE: usize = 4_000;

impl<'a> Update<'a> {
    fn of(update: &'a UpdateView) -> Self {
        let whole = update.body.as_ref().map(UpdateBody::as_str);
        let end = whole.and_then(|body| body.char_indices().nth(UPDATE)).map(|(end, _)| end);
        Self {
            id: update.id.to_string(),
            visibility: update.visibility.as_str(),
            status_change: update.status_change.map(Status::as_str),
            body: whole.and_then(|body| body.get(..end.unwrap_or(body.len()))),
            truncated: end.is_some(),
        }
    }
}

impl Channel for OrganizationWebhook {
    fn transport(&self) -> Transport {
        Transport::OrganizationWebhook
    }

    fn longest(&self) -> Duration {
        TIME
    }

    fn send(&self, message: &Message) -> Result<(), SendError> {
        let Address::Endpoint { url, secrets } = &message.to else { return Err(SendError::permanent("no endpoint")) };
        let (id, body) = signed(message)?;
        let at = message.now.as_millis().div_euclid(1_000);
        let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(&id, at, &body)).collect();
        let headers = [("webhook-timestamp", at.to_string()), ("webhook-signature", signatures.join(" "))];
        // One that is gone says so; everything else may be mended within the days in which it is tried again.
        let answer = self.0.post(url.as_str(), &id, &body, &headers).map_err(SendError::for_now)?;
        let gone = answer.status() == StatusCode::GONE;
        judged(&answer).map_err(|why| if gone { why } else { why.for_now() })
    }
}

/// The id and the body of what is sent to a webhook of an organization.
pub(crate) fn signed(message: &Message) -> Result<(String, Vec<u8>), SendError> {
    let (id, signed) = match &message.what {
        What::Event(happened) => {
            let (incident, event) = (&happened.incident, &happened.event);
            let outline = Outline {
                incident: Incident::of(incident),
                owner_id: incident.owner_id.map(|id| id.to_string()),
                created_at: incident.created_at,
                updated_at: incident.updated_at,
                acknowledged_at: incident.acknowledged_at,
                resolved_at: incident.resolved_at,
            };
            let update = happened.update.as_ref().map(Update::of);
            let data = Data { incident: Some(outline), event: Some(event), update };
            (event.id.to_string(), Signed { kind: event.event.as_str(), timestamp: event.at(), data })
        }
        What::Test => (message.id.to_string(), Signed { kind: "test", timestamp: message.now, data: Data::default() }),
        _ => return Err(SendError::permanent("it goes by other ways")),
    };
    Ok((id, written(&signed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics() {
        for (url, expected) in [
            ("https://ntfy.sh/on-call", Some(("https://ntfy.sh", "on-call"))),
            ("https://ntfy.example.com:8443/on-call/", Some(("https://ntfy.example.com:8443", "on-call"))),
            ("https://example.com/ntfy/on-call", Some(("https://example.com/ntfy", "on-call"))),
            ("https://ntfy.sh/", None),
            ("https://ntfy.sh", None),
            ("https://ntfy.sh/on-call?auth=x", None),
        ] {
            assert_eq!(topic(&HttpUrl::new(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn what_an_answer_means() {
        let after = |seconds| Duration::from_secs(seconds);
        for (status, header, expected) in [
            (200, None, None),
            (204, None, None),
            (301, None, Some(Err(()))),
            (400, None, Some(Err(()))),
            (404, Some("5"), Some(Err(()))),
            (408, None, Some(Ok(None))),
            (425, None, Some(Ok(None))),
            (429, Some("90"), Some(Ok(Some(after(90))))),
            (429, Some("soon"), Some(Ok(None))),
            (503, Some("99999999"), Some(Ok(Some(after(LONGEST_WAIT))))),
            (500, None, Some(Ok(None))),
        ] {
            let mut answer = Response::builder().status(status);
            if let Some(header) = header {
                answer = answer.header(RETRY_AFTER, header);
            }
            let got = judged(&answer.body(()).unwrap()).err().map(|why| match why {
                SendError::Temporary { after, .. } => Ok(after),
                SendError::Permanent { .. } => Err(()),
            });
            assert_eq!(got, expected, "{status}");
        }
    }
}
