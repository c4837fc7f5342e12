//! Direct messages in Slack (`slack`): a member is found there by their e-mail address. A page has a button that acknowledges, and changes
//! in its place when something becomes of its incident.
//!
//! It takes a bot token with the scopes `users:read.email` and `chat:write`. What the button does is up to whoever answers Slack's
//! request: it carries the token of the link in a page.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dogwatch_store::rules::Secret;
use dogwatch_store::rules::outbox::Transport;
use dogwatch_store::rules::text::EmailAddress;
use serde_json::{Value, json};

use crate::address::AllowedHosts;
use crate::channel::{Channel, SendError};
use crate::message::{Address, Message, Parts, What};
use crate::web::Client;

/// Where Slack's API is.
const API: &str = "https://slack.com/api";
/// How long a message may take: a request to find the member, and one to send it.
const TIME: Duration = Duration::from_secs(20);
/// How long it is remembered who has an e-mail address, and of how many.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);
const KNOWN: usize = 10_000;
/// The most characters of a text in a block, and of one of its fields.
const SECTION: usize = 3_000;
const FIELD: usize = 2_000;
/// The most characters of a heading.
const HEADING: usize = 150;

/// What Slack says when no try can do better. All else is for now, also what it says of our token: somebody may mend that.
const FOR_GOOD: [&str; 5] =
    ["users_not_found", "channel_not_found", "message_not_found", "cant_update_message", "is_archived"];

/// Direct messages in one Slack workspace.
pub struct Slack {
    client: Client,
    api: String,
    token: Secret,
    /// The ids of users by e-mail address, and since when each is known.
    known: Mutex<HashMap<EmailAddress, (String, Instant)>>,
}

/// The token is a secret, and is not shown.
impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slack").field("api", &self.api).finish_non_exhaustive()
    }
}

impl Slack {
    /// The workspace of a bot token (`xoxb-…`).
    #[must_use]
    pub fn new(token: Secret, allowed: AllowedHosts) -> Self {
        Self { client: Client::new(allowed), api: API.to_owned(), token, known: Mutex::default() }
    }

    /// The same over another API, such as `https://slack-gov.com/api`, without a slash at its end.
    #[must_use]
    pub fn at(mut self, api: impl Into<String>) -> Self {
        self.api = api.into();
        self
    }

    /// Calls a method. Forms are what all methods take.
    fn call(&self, method: &str, fields: &[(&str, &str)]) -> Result<Value, SendError> {
        let answer = self.client.call(&format!("{}/{method}", self.api), self.token.reveal(), fields)?;
        if answer.get("ok").and_then(Value::as_bool) == Some(true) {
            return Ok(answer);
        }
        // It is one of Slack's own words.
        let why = answer.get("error").and_then(Value::as_str).unwrap_or("no reason");
        let reason = format!("Slack says {}", why.chars().take(60).collect::<String>());
        Err(if FOR_GOOD.contains(&why) { SendError::permanent(reason) } else { SendError::temporary(reason) })
    }

    /// The id of the user with an e-mail address.
    fn user(&self, email: &EmailAddress) -> Result<String, SendError> {
        let known = |known: &HashMap<EmailAddress, (String, Instant)>| {
            known.get(email).filter(|(_, since)| since.elapsed() < KNOWN_FOR).map(|(id, _)| id.clone())
        };
        if let Some(id) = known(&self.known.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(id);
        }
        let answer = self.call("users.lookupByEmail", &[("email", email.as_str())])?;
        let id = answer.pointer("/user/id").and_then(Value::as_str);
        let id = id.ok_or_else(|| SendError::temporary("Slack names no user"))?.to_owned();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(email.clone(), (id.clone(), Instant::now()));
        Ok(id)
    }
}

impl Channel for Slack {
    fn transport(&self) -> Transport {
        Transport::Slack
    }

    fn longest(&self) -> Duration {
        TIME
    }

    fn send(&self, message: &Message) -> Result<(), SendError> {
        self.send_editable(message).map(drop)
    }

    fn send_editable(&self, message: &Message) -> Result<Option<String>, SendError> {
        let Address::Slack(email) = &message.to else { return Err(SendError::permanent("no e-mail address")) };
        let text = format!("{}\n{}", escaped(&message.subject()), escaped(&message.short()));
        let blocks = Value::Array(blocks(message)).to_string();
        let shown = [("text", text.as_str()), ("blocks", blocks.as_str())];
        if let What::Edit(_, sent_as) = &message.what {
            let (channel, ts) =
                sent_as.split_once('/').ok_or_else(|| SendError::permanent("it was not sent over Slack"))?;
            let update = [&[("channel", channel), ("ts", ts)][..], &shown].concat();
            return self.call("chat.update", &update).map(|_| None);
        }
        let user = self.user(email)?;
        let post = [&[("channel", user.as_str()), ("unfurl_links", "false")][..], &shown].concat();
        let sent = self.call("chat.postMessage", &post)?;
        let part = |name| sent.get(name).and_then(Value::as_str);
        Ok(part("channel").zip(part("ts")).map(|(channel, ts)| format!("{channel}/{ts}")))
    }
}

/// A text in which nothing is taken for a mention or a link.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn plain(text: &str, most: usize) -> Value {
    json!({ "type": "plain_text", "text": text.chars().take(most).collect::<String>(), "emoji": false })
}

/// A message as Slack shows it. All of it is plain text, so that nothing in it is taken for a mention or a link.
pub(crate) fn blocks(message: &Message) -> Vec<Value> {
    let Parts { facts, said, link } = message.parts();
    let mut blocks = vec![json!({ "type": "header", "text": plain(&message.subject(), HEADING) })];
    if !facts.is_empty() {
        let fields: Vec<_> =
            facts.iter().take(10).map(|(name, value)| plain(&format!("{name}: {value}"), FIELD)).collect();
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    if !said.is_empty() {
        blocks.push(json!({ "type": "section", "text": plain(&said.join("\n"), SECTION) }));
    }
    let acts = matches!(&message.what, What::Page(page) if page.acts);
    if let Some((_, link)) = link {
        let mut buttons = Vec::new();
        // The last part of the link is its token, which the button carries.
        if let Some(token) = link.rsplit('/').next().filter(|_| acts) {
            buttons.push(json!({ "type": "button", "action_id": "acknowledge", "style": "primary",
                "text": plain("Acknowledge", 75), "value": token }));
        }
        buttons.push(json!({ "type": "button", "action_id": "look", "text": plain("Look at it", 75), "url": link }));
        blocks.push(json!({ "type": "actions", "elements": buttons }));
    }
    blocks
}
