//! Direct messages in Slack (`slack`): a member is found there by their e-mail address. A page has a button that acknowledges, and changes
//! in its place when something becomes of its incident.
//!
//! It takes a bot token with the scopes `users:read`, `users:read.email` and `chat:write`. What the button does is up to whoever answers Slack's
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

/// What Slack says when no try can do better: of a member who is not there, of a message that it does not take or does not change any
/// more. All else is for now, also what it says of our token: somebody may mend that.
const FOR_GOOD: [&str; 12] = [
    "users_not_found",
    "user_not_found",
    "channel_not_found",
    "cannot_dm_bot",
    "is_archived",
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "msg_too_long",
    "invalid_blocks",
    "invalid_blocks_format",
    "no_text",
];

/// Direct messages in one Slack workspace.
pub struct Slack {
    client: Client,
    api: String,
    token: Secret,
    button: bool,
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
    /// The workspace of a bot token (`xoxb-…`). Pages have no button that acknowledges: see [`Slack::with_button`].
    #[must_use]
    pub fn new(token: Secret, allowed: AllowedHosts) -> Self {
        Self { client: Client::new(allowed), api: API.to_owned(), token, button: false, known: Mutex::default() }
    }

    /// The same over another API, such as `https://slack-gov.com/api`, without a slash at its end.
    #[must_use]
    pub fn at(mut self, api: impl Into<String>) -> Self {
        self.api = api.into();
        self
    }

    /// The same with a button that acknowledges, where pages link to where that can be done. Somebody must answer what Slack sends when it is
    /// pressed.
    #[must_use]
    pub const fn with_button(mut self) -> Self {
        self.button = true;
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
        let blocks = Value::Array(blocks(message, self.button)).to_string();
        let shown = [("text", text.as_str()), ("blocks", blocks.as_str())];
        if let What::Edit(_, sent_as) = &message.what {
            let (channel, ts) =
                sent_as.split_once('/').ok_or_else(|| SendError::permanent("it was not sent over Slack"))?;
            let update = [&[("channel", channel), ("ts", ts)][..], &shown].concat();
            return self.call("chat.update", &update).map(|_| None);
        }
        let user = self.user(email)?;
        let post = [&[("channel", user.as_str()), ("unfurl_links", "false")][..], &shown].concat();
        let sent = self.call("chat.postMessage", &post).inspect_err(|why| {
            // Whoever it was may have another id by now.
            if let SendError::Permanent { .. } = why {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(email);
            }
        })?;
        let part = |name| sent.get(name).and_then(Value::as_str);
        Ok(part("channel").zip(part("ts")).map(|(channel, ts)| format!("{channel}/{ts}")))
    }
}

/// A text in which nothing is taken for a mention or a link.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn plain(text: &str, most: usize) -> Value {
    // It is not said what is counted: these are most.
    let mut units = 0;
    let fits = |c: &char| {
        units += c.len_utf16();
        units <= most
    };
    json!({ "type": "plain_text", "text": text.chars().take_while(fits).collect::<String>(), "emoji": false })
}

/// A message as Slack shows it. All of it is plain text, so that nothing in it is taken for a mention or a link.
pub(crate) fn blocks(message: &Message, button: bool) -> Vec<Value> {
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
    let acts = button && matches!(&message.what, What::Page(page) if page.acts);
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
