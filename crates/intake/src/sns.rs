//! Amazon SNS over HTTPS, with alarms of CloudWatch in it: messages, their signatures, and where certificates may come from.
//!
//! A message says where the certificate is with which it is signed. Whoever forges messages would name a place of their own, so only the
//! hosts of SNS count, in the region of the topic. Nothing here connects: whoever uses it fetches the certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{Alert, AlertState, Firing};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use webpki::EndEntityCert;

use crate::text::{Paragraphs, Text};
use crate::{Refusal, json};

/// What a message of SNS is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnsKind {
    /// The topic asks whether it may send.
    Subscription,
    /// The topic has something to tell.
    Notification,
    /// The topic does not send any more.
    Unsubscription,
}

/// A message of SNS whose form is right. That it comes from SNS is known once its signature has been checked ([`SnsMessage::verify`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnsMessage {
    /// What it is for.
    pub kind: SnsKind,
    /// The topic.
    pub topic: String,
    /// The place of the certificate with which it is signed: of a host of SNS, in the region of the topic.
    pub certificate_url: String,
    /// Where a subscription is confirmed: of the same host; `None` of a notification.
    pub subscribe_url: Option<String>,
    id: String,
    text: String,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Request {
    #[serde(rename = "Type")]
    kind: Text,
    message_id: Text,
    topic_arn: Text,
    subject: Option<Text>,
    message: Option<Text>,
    timestamp: Text,
    token: Text,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Text,
    signature: Text,
    signature_version: Text,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: Text,
}

/// Reads a message of Amazon SNS.
///
/// # Errors
/// A [`Refusal`]: no JSON object, a field that is missing, or that has a line break but is not the message itself, a kind that there is not, a
/// signature of version 1 (the refusal says how to switch), a certificate or a confirmation anywhere else than at SNS, in the region of the topic.
pub fn sns(body: &[u8]) -> Result<SnsMessage, Refusal> {
    let request: Request = json(body)?;
    let kind = match request.kind.0.as_str() {
        "SubscriptionConfirmation" => SnsKind::Subscription,
        "Notification" => SnsKind::Notification,
        "UnsubscribeConfirmation" => SnsKind::Unsubscription,
        _ => return Err(Refusal::one("'Type' is none of SNS")),
    };
    let topic = request.topic_arn.0.clone();
    let region = region_of(&topic).ok_or_else(|| Refusal::one("'TopicArn' is no topic of SNS"))?;
    if request.signature_version.0 != "2" {
        return Err(Refusal::one(format!(
            "only 'SignatureVersion' 2 is taken: aws sns set-topic-attributes --topic-arn {topic} --attribute-name SignatureVersion \
             --attribute-value 2"
        )));
    }
    let certificate_url = request.signing_cert_url.0.clone();
    let path = at_sns(&certificate_url, region).ok_or_else(|| Refusal::one("'SigningCertURL' is not of SNS"))?;
    let name = path.strip_prefix("/SimpleNotificationService-").and_then(|rest| rest.strip_suffix(".pem"));
    if !name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Err(Refusal::one("'SigningCertURL' is no certificate of SNS"));
    }
    let subscribe_url = match kind {
        SnsKind::Notification => None,
        SnsKind::Subscription | SnsKind::Unsubscription => {
            let url = request.subscribe_url.0.clone();
            let asks = at_sns(&url, region).is_some_and(|path| path.starts_with("/?Action=ConfirmSubscription&"));
            Some(url).filter(|_| asks).map(Some).ok_or_else(|| Refusal::one("'SubscribeURL' is not of SNS"))?
        }
    };
    let Some(text) = request.message.as_ref().map(|text| text.0.clone()) else {
        return Err(Refusal::one("'Message' is missing"));
    };
    let (id, time) = (("MessageId", &request.message_id), ("Timestamp", &request.timestamp));
    let token = Some(("Token", &request.token)).filter(|_| kind != SnsKind::Notification);
    if let Some((name, _)) = [id, time].into_iter().chain(token).find(|(_, text)| text.0.is_empty()) {
        return Err(Refusal::one(format!("'{name}' is missing")));
    }
    // What is signed is one text of lines, which must not be cut anywhere else: only the message itself may have more than one.
    let subject = request.subject.as_ref().map(|subject| ("Subject", subject));
    if let Some((name, _)) = [id, time].into_iter().chain(token).chain(subject).find(|(_, text)| text.0.contains('\n'))
    {
        return Err(Refusal::one(format!("'{name}' has a line break")));
    }
    let signature = STANDARD.decode(&request.signature.0).map_err(|_| Refusal::one("'Signature' is not base64"))?;
    let signed = signed(&request, kind, &text);
    Ok(SnsMessage { kind, topic, certificate_url, subscribe_url, id: request.message_id.0, text, signed, signature })
}

/// The region of a topic: `arn:aws:sns:REGION:ACCOUNT:NAME`.
fn region_of(topic: &str) -> Option<&str> {
    let mut parts = topic.split(':');
    let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, name) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = arn == "arn"
        && matches!(partition, "aws" | "aws-cn" | "aws-us-gov")
        && service == "sns"
        && is_region(region)
        && !account.is_empty()
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && !name.is_empty()
        && parts.next().is_none();
    fits.then_some(region)
}

/// Whether it has the form of a region, such as `eu-west-1`: words, and then a number. `sns.s3.amazonaws.com` and `sns.s3-eu-west-1.amazonaws.com`
/// are what somebody has put into a bucket.
fn is_region(text: &str) -> bool {
    let mut words = text.split('-');
    let number = words.next_back().unwrap_or_default();
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && words.clone().count() >= 2
        && words.all(is_word)
}

/// The path and query of a URL at the host of SNS in a region, over HTTPS, with nothing else in it.
fn at_sns<'a>(url: &'a str, region: &str) -> Option<&'a str> {
    let rest = url.strip_prefix("https://sns.")?.strip_prefix(region)?.strip_prefix(".amazonaws.com")?;
    let path = rest.strip_prefix(".cn").unwrap_or(rest);
    // Nothing that could be a port, a user or another host.
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'@');
    (path.starts_with('/') && path.bytes().all(plain)).then_some(path)
}

/// The text that is signed: names and values, each with a line break behind it.
fn signed(request: &Request, kind: SnsKind, message: &str) -> Vec<u8> {
    let mut text = String::new();
    let mut add = |name: &str, value: &str| {
        text.extend([name, "\n", value, "\n"]);
    };
    add("Message", message);
    add("MessageId", &request.message_id.0);
    match kind {
        SnsKind::Notification => {
            if let Some(subject) = request.subject.as_ref().filter(|subject| !subject.0.is_empty()) {
                add("Subject", &subject.0);
            }
            add("Timestamp", &request.timestamp.0);
        }
        SnsKind::Subscription | SnsKind::Unsubscription => {
            add("SubscribeURL", &request.subscribe_url.0);
            add("Timestamp", &request.timestamp.0);
            add("Token", &request.token.0);
        }
    }
    add("TopicArn", &request.topic_arn.0);
    add("Type", &request.kind.0);
    text.into_bytes()
}

impl SnsMessage {
    /// Checks the signature with the certificate, in PEM, from [`SnsMessage::certificate_url`].
    ///
    /// # Errors
    /// A [`Refusal`] when it does not hold, or the certificate cannot be read.
    pub fn verify(&self, certificate: &[u8]) -> Result<(), Refusal> {
        let unread = || Refusal::one("the certificate cannot be read");
        let certificate = CertificateDer::from_pem_slice(certificate).map_err(|_| unread())?;
        let certificate = EndEntityCert::try_from(&certificate).map_err(|_| unread())?;
        let held =
            certificate.verify_signature(webpki::ring::RSA_PKCS1_2048_8192_SHA256, &self.signed, &self.signature);
        held.map_err(|_| Refusal::one("'Signature' does not hold"))
    }

    /// The alarm of CloudWatch in a notification: from `OK` to `ALARM` it fires, from `ALARM` to `OK` it is over. Anything else is none.
    #[must_use]
    pub fn alarm(&self) -> Option<Alert> {
        let alarm: Alarm = serde_json::from_str(&self.text).ok()?;
        let key = alarm.alarm_arn.said().or_else(|| alarm.alarm_name.said())?.to_owned();
        let state = match (alarm.old_state_value.0.as_str(), alarm.new_state_value.0.as_str()) {
            ("OK", "ALARM") => AlertState::Firing(Box::new(alarm.firing())),
            ("ALARM", "OK") => AlertState::Resolved,
            _ => return None,
        };
        Some(Alert { key, group: None, state, report: Some(self.id.clone()) })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Alarm {
    alarm_name: Text,
    alarm_arn: Text,
    alarm_description: Text,
    #[serde(rename = "AWSAccountId")]
    account: Text,
    region: Text,
    old_state_value: Text,
    new_state_value: Text,
    new_state_reason: Text,
    trigger: Option<Trigger>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Trigger {
    metric_name: Text,
    namespace: Text,
}

impl Alarm {
    fn firing(&self) -> Firing {
        let mut description = Paragraphs::default();
        description.paragraph(&self.alarm_description.0);
        description.paragraph(&self.new_state_reason.0);
        let lines = [("alarm", &self.alarm_name), ("region", &self.region), ("account", &self.account)];
        description.lines(lines.map(|(name, text)| (name, text.0.as_str())));
        if let Some(trigger) = &self.trigger {
            let lines = [("metric", &trigger.metric_name), ("namespace", &trigger.namespace)];
            description.lines(lines.map(|(name, text)| (name, text.0.as_str())));
        }
        let reason = self.new_state_reason.said().unwrap_or(&self.alarm_name.0);
        Firing {
            severity: Severity::High,
            title: self.alarm_name.0.clone(),
            summary: reason.to_owned(),
            source: "CloudWatch".to_owned(),
            description: description.finish(),
        }
    }
}
