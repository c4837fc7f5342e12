//! How `dogwatch serve` sends what is in the outbox: mail over a server or into a folder, and over HTTP what members want and what webhooks
//! are told; and the pages that messages link to. Without a mail server, mail waits for one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use dogwatch_deliver::{
    Address, AllowedHosts, Channel, Counts, Deliverer, Links, MailFolder, Message, Ntfy, OrganizationWebhook, Sender,
    Settings, Slack, Smtp, Webhook,
};
use dogwatch_http::Metrics;
use dogwatch_store::rules::link::MasterKey;
use dogwatch_store::rules::outbox::Transport;
use dogwatch_store::rules::text::EmailAddress;
use dogwatch_store::rules::{Secret, Validation};
use dogwatch_store::{Clock, Engine, OpenError, SystemClock, master_key};

use crate::cli::{LinksArg, MailArgs, PageTestArgs, ServeArgs};
use crate::failure::Failure;

/// The variable of the environment that holds the URL of the mail server, with its password.
const URL: &str = "DOGWATCH_SMTP_URL";
/// Whom mail in a folder is from, unless somebody says.
const NOBODY: &str = "dogwatch@localhost.localdomain";

/// The variables of the environment that hold what opens a Slack workspace, and what its requests are signed with.
const SLACK_TOKEN: &str = "DOGWATCH_SLACK_TOKEN";
const SLACK_SIGNING_SECRET: &str = "DOGWATCH_SLACK_SIGNING_SECRET";

/// A secret of the operator: from a file, which counts more and must hold one, or from the environment.
pub(crate) fn secret(file: Option<&Path>, variable: &str) -> Result<Option<String>, Failure> {
    let secret = match file {
        Some(path) => fs::read_to_string(path).map_err(Failure::file(path))?,
        None => std::env::var(variable).unwrap_or_default(),
    };
    match (secret.trim(), file) {
        ("", Some(path)) => Err(Failure::Settings(format!("the file `{}` holds nothing", path.display()))),
        ("", None) => Ok(None),
        (secret, _) => Ok(Some(secret.to_owned())),
    }
}

/// Where mail goes.
#[derive(Clone)]
enum Way {
    Server { url: String, from: Sender },
    Folder { folder: PathBuf, from: Sender },
}

/// The URL of a server may hold a password.
impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server { .. } => "Server(…)",
            Self::Folder { .. } => "Folder(…)",
        })
    }
}

impl Way {
    fn channel(&self) -> Result<Box<dyn Channel>, Failure> {
        Ok(match self {
            Self::Server { url, from } => Box::new(Smtp::new(url, from.clone())?),
            Self::Folder { folder, from } => Box::new(MailFolder::new(folder, from.clone())?),
        })
    }
}

/// Where the settings send mail; `None` when they name neither a server nor a folder.
fn way(args: &MailArgs) -> Result<Option<Way>, Failure> {
    let from = || args.mail_from.clone();
    let url = secret(args.smtp_url_file.as_deref(), URL)?;
    Ok(match (&args.mail_folder, url) {
        (Some(_), Some(_)) => {
            return Err(Failure::Settings(format!("mail goes to a server (`{URL}`) or into a folder, not both")));
        }
        (Some(folder), None) => {
            let from = from().map_or_else(|| NOBODY.parse(), Ok)?;
            Some(Way::Folder { folder: folder.clone(), from })
        }
        (None, Some(url)) => {
            let unknown = || Failure::Settings("whom mail is from is not set: `--mail-from`".to_owned());
            Some(Way::Server { url, from: from().ok_or_else(unknown)? })
        }
        (None, None) => None,
    })
}

/// `dogwatch page test`
pub(crate) fn test(args: &PageTestArgs) -> Result<(), Failure> {
    let mut check = Validation::new();
    let email = check.field("--email", EmailAddress::new(&args.email));
    let to = check.finish(|| email)?;
    let none = || Failure::Settings(format!("there is no mail server: set `{URL}`, or `--mail-folder`"));
    let channel = way(&args.mail)?.ok_or_else(none)?.channel()?;
    let message = Message::test(Address::Email(to.clone()), "dogwatch", SystemClock.now());
    channel.send(&message).map_err(|why| Failure::Settings(why.to_string()))?;
    writeln!(std::io::stdout(), "{}", serde_json::json!({ "sentTo": to.as_str() }))?;
    Ok(())
}

/// How what is in the outbox is sent.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    way: Option<Way>,
    public_url: String,
    acknowledge: bool,
    allowed: AllowedHosts,
    /// The token of a Slack workspace, and where its API is.
    slack: Option<(Secret, String)>,
    slack_signing_secret: Option<Secret>,
    counts: Arc<Counts>,
}

impl Mail {
    /// What the settings say.
    pub(crate) fn of(args: &ServeArgs) -> Result<Self, Failure> {
        let way = way(&args.mail)?;
        let public_url = args.public_url.clone().unwrap_or_default();
        let (acknowledge, allowed) = (args.links == LinksArg::Act, AllowedHosts::new(args.allow_internal.clone()));
        let token = secret(args.slack_token_file.as_deref(), SLACK_TOKEN)?;
        let slack = token.map(|token| (Secret::new(token), args.slack_api.trim_end_matches('/').to_owned()));
        let signing = secret(args.slack_signing_secret_file.as_deref(), SLACK_SIGNING_SECRET)?.map(Secret::new);
        let mail = Self {
            way,
            public_url,
            acknowledge,
            allowed,
            slack,
            slack_signing_secret: signing,
            counts: Arc::default(),
        };
        // What does not fit is said before anything is served.
        mail.channels()?;
        Ok(mail)
    }

    /// Whether mail is sent: there is a server or a folder.
    pub(crate) const fn is_sent(&self) -> bool {
        self.way.is_some()
    }

    /// The same, with the address at which the server listens, where people reach it unless the settings say otherwise.
    pub(crate) fn at(mut self, listening: &str) -> Self {
        if self.public_url.is_empty() {
            listening.clone_into(&mut self.public_url);
            if matches!(self.way, Some(Way::Server { .. })) {
                tracing::warn!(
                    listening,
                    "messages link to where this listens, which may work on this machine only: `--public-url`"
                );
            }
        }
        self
    }

    fn channels(&self) -> Result<Vec<Box<dyn Channel>>, Failure> {
        let allowed = || self.allowed.clone();
        let mut all: Vec<Box<dyn Channel>> = vec![
            Box::new(Webhook::new(allowed())),
            Box::new(Ntfy::new(allowed())),
            Box::new(OrganizationWebhook::new(allowed())),
        ];
        if let Some((token, api)) = &self.slack {
            let slack = Slack::new(token.clone(), allowed()).at(api);
            // Without the secret nobody answers the button.
            let answered = self.slack_signing_secret.is_some();
            all.push(Box::new(if answered { slack.with_button() } else { slack }));
        }
        all.extend(self.way.as_ref().map(Way::channel).transpose()?);
        Ok(all)
    }

    /// Starts to send what is in the outbox of a store.
    pub(crate) fn start(&self, engine: &Engine, data: &Path) -> Result<Deliverer, Failure> {
        let links = self.key(data).map(|key| {
            let mut links = Links::new(key, self.public_url.clone());
            links.acknowledge = self.acknowledge;
            links
        });
        let mut settings = links.map_or_else(Settings::default, Settings::with_links);
        let mut channels = self.channels()?;
        // Mail waits for a server, and webhooks for the key with which they are signed; other channels were taken away on purpose.
        settings.leave.push(Transport::Email);
        if settings.key.is_none() {
            settings.leave.push(Transport::OrganizationWebhook);
            channels.retain(|channel| channel.transport() != Transport::OrganizationWebhook);
        }
        let started: Result<Deliverer, OpenError> = Deliverer::counting(engine, settings, channels, &self.counts);
        Ok(started?)
    }

    /// The pages to which messages link.
    pub(crate) fn pages(&self, engine: &Engine, key: MasterKey) -> Router {
        let mut settings = dogwatch_web::Settings::new(key);
        settings.acknowledge = self.acknowledge;
        settings.slack_signing_secret.clone_from(&self.slack_signing_secret);
        dogwatch_web::router(engine.clone(), settings)
    }

    /// The key of links and of the secrets of webhooks. Without it, as on a disk that was full before it was ever made, pages go out
    /// without links, and webhooks wait.
    pub(crate) fn key(&self, data: &Path) -> Option<MasterKey> {
        let missing = "there is no master key: messages carry no links, and webhooks are told nothing";
        master_key(data).map_err(|why| tracing::error!(%why, "{missing}")).ok()
    }

    /// Shows what was sent in metrics.
    pub(crate) fn counts(&self) -> Box<dyn FnOnce(Metrics) -> Metrics> {
        let (counts, ways) =
            (Arc::clone(&self.counts), if self.is_sent() { 3 + u64::from(self.slack.is_some()) } else { 0 });
        Box::new(move |metrics| {
            let read = |read: fn(&Counts) -> u64| {
                let counts = Arc::clone(&counts);
                move || read(&counts)
            };
            channels(metrics, ways)
                .counting(
                    "dogwatch_messages_sent",
                    "Pages, invitations, codes, tests and events that were sent.",
                    read(Counts::sent),
                )
                .counting(
                    "dogwatch_messages_retried",
                    "Attempts to send that failed and are repeated.",
                    read(Counts::retried),
                )
                .counting(
                    "dogwatch_messages_failed",
                    "Pages, invitations, codes, tests and events that were given up.",
                    read(Counts::failed),
                )
        })
    }
}

fn channels(metrics: Metrics, count: u64) -> Metrics {
    metrics.gauging(
        "dogwatch_channels",
        "The ways in which pages are sent; 0 without mail, over which everybody is told who has not set anything else.",
        move || count,
    )
}
