//! The command line: its commands and arguments. Their help is made from the doc comments in this file.

use std::path::PathBuf;

use axum::http::HeaderValue;
use clap::{Args, Parser, Subcommand};
use dogwatch_deliver::Sender;
use dogwatch_http::{Rate, TrustedProxies};
use dogwatch_store::rules::text::Slug;
use dogwatch_web::Accent;
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::Targets;

/// Incident response in one folder: incidents with an enforced lifecycle, on-call schedules, escalation; without a database.
#[derive(Debug, Parser)]
#[command(name = "dogwatch", version = version(), arg_required_else_help = true, after_help = "Start with `dogwatch demo`.")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The program's version, and that of the zone rules it was built with.
fn version() -> String {
    format!("{} (tzdata {})", env!("CARGO_PKG_VERSION"), dogwatch_store::rules::Zone::database_version())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an organization and its first admin
    ///
    /// Prints one line of JSON: {"orgId": …, "userId": …, "apiKey": …}. The API key is shown here and never again. The
    /// folder is created if it does not exist; one folder holds any number of organizations.
    Init(InitArgs),
    /// Manage the members of an organization
    Member {
        /// What to do.
        #[command(subcommand)]
        command: MemberCommand,
    },
    /// Manage API keys
    Key {
        /// What to do.
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Serve the API over HTTP
    ///
    /// Prints `listening on http://ADDR` when it is ready. An empty folder gets an organization and an admin, and their API
    /// key is printed once. SIGTERM and SIGINT finish the requests under way and make everything durable.
    Serve(ServeArgs),
    /// Look at the settings of `serve`
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Draw who is on call in the coming weeks
    ///
    /// A row for each layer and one for who is on call in the end; override and gap stand out. All times are the
    /// schedule's own.
    Oncall(OncallArgs),
    /// Tell who would be paged when, if nobody acknowledged
    ///
    /// Layer by layer of an escalation policy, with the people's own local times, the layers that would be skipped, and the
    /// end of the chain. Nothing happens: nobody is paged.
    Rehearse(RehearseArgs),
    /// Draw a status page, as anybody sees it
    ///
    /// Components with their last 60 days, maintenances, and incidents with what was said of them in public.
    Status(StatusArgs),
    /// Check that a store is what was written and fits together
    ///
    /// Looks at every row: records, checksums, indexes both ways, counts and numbers, timers, pages and audit trails. Prints a
    /// line of JSON for each finding, with the key of the row, and one with the counts. Exit code 0: nothing is wrong.
    Verify(VerifyArgs),
    /// Write everything as lines of JSON, but for secrets in plain text
    ///
    /// The same content always gives the same bytes. `dogwatch import` makes a store of it again.
    Export(ExportArgs),
    /// Make a store of an export
    ///
    /// All of it or nothing: what is not an export, or does not fit together, is refused with the number of the line.
    Import(ImportArgs),
    /// Copy a store into a fresh folder
    ///
    /// With --incremental, the first call copies the store, and each later one adds what was committed since: `dogwatch restore` then
    /// restores any moment. When a server has the store open, it writes the copy, of one moment, while it goes on. With --store, what is copied is a
    /// store that servers share; the copy is a store in a folder.
    Backup(BackupFromArgs),
    /// Move a store from its folder into an empty store that servers share
    ///
    /// Prints one line of JSON: {"rows": …, "position": …}. The folder stays as it is; no server may have it open.
    Push(PushArgs),
    /// Look after servers that share a store
    Cluster {
        /// What to do.
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Make a store of a backup, as it was at a moment
    ///
    /// Prints the position of the last commit that it has. The backup stays as it is. With --at, it must be an incremental backup.
    Restore(RestoreArgs),
    /// Print what happened, a line of JSON for each change
    ///
    /// Who created, changed or deleted what, in order, as far as the journal goes back; secrets and their hashes are left out. With
    /// --bookmark, the journal keeps what this command has not printed yet, and the next call goes on there.
    Changes(ChangesArgs),
    /// Rewrite a store into a fresh folder, as small as it can be
    ///
    /// Prints how many bytes were won. The old folder stays as it is: move the new one into its place when you are content.
    Compact(CopyArgs),
    /// Count what there is, table by table
    Stats(VerifyArgs),
    /// List what waits to be delivered, and what has failed and why, one line of JSON each
    ///
    /// First what waits, then what has failed in the last 30 days. An incident says so, too: `GET /v1/incidents/{id}/pages`.
    Deliveries(DeliveriesArgs),
    /// Let monitoring systems open incidents
    Integration {
        /// What to do.
        #[command(subcommand)]
        command: IntegrationCommand,
    },
    /// Try out how pages are sent
    Page {
        /// What to do.
        #[command(subcommand)]
        command: PageCommand,
    },
    /// Play an incident from opening to resolution, and look at what is on disk afterwards
    ///
    /// Real commands on a real store; only the clock is moved by hand, so that an hour takes a moment.
    Demo(DemoArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Make somebody a member, without an invitation
    ///
    /// Prints one line of JSON: {"userId": …, "apiKey": …}. The API key is shown here and never again.
    Add(AddMemberArgs),
    /// Invite somebody
    ///
    /// Prints one line of JSON: {"invitationId": …, "token": …}. With the token, which is shown here and never again, they accept the
    /// invitation: `POST /v1/invitations/accept`.
    Invite(InviteArgs),
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct DeliveriesArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PageCommand {
    /// Send a mail to an address, with the settings that `serve` would have
    ///
    /// Prints one line of JSON: {"sentTo": …}. Exit code 0: the mail server has taken it.
    Test(PageTestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PageTestArgs {
    /// To whom
    #[arg(long, value_name = "EMAIL")]
    pub(crate) email: String,
    #[command(flatten)]
    pub(crate) mail: MailArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IntegrationCommand {
    /// Add one, and print what to paste into the configuration of its sender
    ///
    /// Prints one line of JSON: {"integrationId": …, "token": …}, and what to paste. The token is shown here and never again.
    Add(AddIntegrationArgs),
    /// List the integrations of an organization, one line of JSON each
    List(ListIntegrationsArgs),
    /// Give one a new token; the old one does not work any more
    RotateToken(IntegrationArgs),
    /// Delete one; its incidents stay
    Delete(IntegrationArgs),
    /// Send a test over the network, as the sender would: an alert that fires and is over at once
    ///
    /// Prints one line of JSON for each request: {"sent": …, "status": …, "answer": …}. It opens an incident, which pages people like any
    /// other. Exit code 0: all was received.
    Test(TestIntegrationArgs),
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct AddIntegrationArgs {
    /// Where it is kept.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// What it understands: alertmanager, pagerduty, generic, heartbeat or cloudwatch
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: String,
    /// What it is called, 1 to 100 characters
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// The name of the schedule whose owner owns its incidents, and whose policy pages
    #[arg(long, value_name = "NAME")]
    pub(crate) schedule: Option<String>,
    /// Severities whose alerts are dropped, with commas in between
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) drop: Vec<String>,
    /// How long an alert lasts before its incident is opened: 0 to 3,600
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) pause: i64,
    /// How long it is quiet before its incident is resolved: 0 to 86,400
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) resolve_after: i64,
    /// How often a heartbeat comes: 1 to 2,678,400; for heartbeats only
    #[arg(long, value_name = "SECONDS")]
    pub(crate) period: Option<i64>,
    /// How much later one is missed: 0 to 86,400
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) grace: i64,
    /// Where senders reach the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct ListIntegrationsArgs {
    /// Where they are kept.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct IntegrationArgs {
    /// Where it is kept.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The integration, as `integration list` shows it: `int_…`
    #[arg(long, value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct TestIntegrationArgs {
    /// What it understands
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: String,
    /// Its token
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: String,
    /// Where senders reach the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create an API key for a member
    ///
    /// Prints one line of JSON: {"keyId": …, "apiKey": …}. The API key is shown here and never again.
    Create(CreateKeyArgs),
    /// List the API keys of an organization, one line of JSON each
    List(ListKeysArgs),
    /// Revoke an API key
    Revoke(RevokeKeyArgs),
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct StoreArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The organization, if the store holds several: `org_…`
    #[arg(long, value_name = "ID")]
    pub(crate) org_id: Option<String>,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct VerifyArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct ExportArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// A file that does not exist yet; standard output, if absent
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The folder of the new store; it must not exist yet, or be empty
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The export; standard input, if absent
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct CopyArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The folder of the copy; it must not exist yet, or be empty
    #[arg(value_name = "TO")]
    pub(crate) to: PathBuf,
}

/// A backup of a store in a folder.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BackupArgs {
    pub(crate) copy: CopyArgs,
    pub(crate) incremental: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupFromArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR", required_unless_present = "store")]
    pub(crate) data: Option<PathBuf>,
    /// The folder of the copy; it must not exist yet, or be empty
    #[arg(value_name = "TO")]
    pub(crate) to: PathBuf,
    /// Add to the backup that the folder holds, or begin one that can be added to
    #[arg(long, conflicts_with = "store")]
    pub(crate) incremental: bool,
    /// The URL of the PostgreSQL, in place of a folder
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) access: StoreAccessArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The folder of the backup
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// The folder of the new store; it must not exist yet, or be empty
    #[arg(value_name = "TO")]
    pub(crate) to: PathBuf,
    /// The moment, as in 2026-04-07T10:00:00Z, or the position of a commit, as in 0/12; all that there is, if absent
    #[arg(long, value_name = "TIME|POSITION")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct ChangesArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Print what came after this position, as in 0/12
    #[arg(long, value_name = "POSITION", required_unless_present = "bookmark")]
    pub(crate) from: Option<String>,
    /// Go on where the last call with this name ended; with --from, begin there. 1 to 100 characters
    #[arg(long, value_name = "NAME")]
    pub(crate) bookmark: Option<String>,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct CreateKeyArgs {
    /// Where it is kept.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The e-mail address of the member as whom the key acts
    #[arg(long, value_name = "EMAIL")]
    pub(crate) email: String,
    /// What the key is called, 1 to 100 characters
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// When it stops working, as in 2026-04-07T10:00:00Z; never, if absent
    #[arg(long, value_name = "TIME")]
    pub(crate) expires_at: Option<String>,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct ListKeysArgs {
    /// Where they are kept.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct RevokeKeyArgs {
    /// Where it is kept.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The key, as `key list` shows it: `key_…`
    #[arg(long, value_name = "ID")]
    pub(crate) key_id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// A file with settings, in TOML, with the names of these flags
    ///
    /// The command line counts more than the environment, and that more than the file.
    #[arg(long, value_name = "FILE", env = "DOGWATCH_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The folder of the store; it is created if it does not exist
    #[arg(long, value_name = "DIR", default_value = "dogwatch-data", env = "DOGWATCH_DATA")]
    pub(crate) data: PathBuf,
    /// Where to listen; with port 0 a free one is picked
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", env = "DOGWATCH_LISTEN")]
    pub(crate) listen: String,
    /// Serve TLS, with this certificate in PEM and those behind it; SIGHUP reads it again
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "DOGWATCH_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "DOGWATCH_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// How many connections there may be at once
    #[arg(long, value_name = "N", default_value_t = 1_024, env = "DOGWATCH_CONNECTIONS")]
    pub(crate) connections: usize,
    /// How many of them from one address, or one /64 of IPv6; not of a trusted proxy
    #[arg(long, value_name = "N", default_value_t = 256, env = "DOGWATCH_CONNECTIONS_PER_ADDRESS")]
    pub(crate) connections_per_address: usize,
    /// Proxies whose `X-Forwarded-For` counts: addresses and networks, with commas in between
    #[arg(long, value_name = "LIST", env = "DOGWATCH_TRUSTED_PROXY")]
    pub(crate) trusted_proxy: Option<TrustedProxies>,
    /// Origins of web pages whose scripts may call the API, with commas in between
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "DOGWATCH_CORS_ORIGIN")]
    pub(crate) cors_origin: Vec<HeaderValue>,
    /// How long a client may take for its headers, and a connection may be idle
    #[arg(long, value_name = "SECONDS", default_value_t = 10, env = "DOGWATCH_HEADER_SECONDS")]
    pub(crate) header_seconds: u64,
    /// How long a client may read nothing of an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, env = "DOGWATCH_WRITE_SECONDS")]
    pub(crate) write_seconds: u64,
    /// How long a question may take that is more than a look-up, such as who is on call in all schedules
    #[arg(long, value_name = "SECONDS", default_value_t = 10, env = "DOGWATCH_QUERY_SECONDS")]
    pub(crate) query_seconds: u64,
    /// How long the server goes on, and says that it is not ready, before it stops
    #[arg(long, value_name = "SECONDS", default_value_t = 0, env = "DOGWATCH_PRE_STOP_SECONDS")]
    pub(crate) pre_stop_seconds: u64,
    /// How long requests under way may take when the server stops
    #[arg(long, value_name = "SECONDS", default_value_t = 60, env = "DOGWATCH_DRAIN_SECONDS")]
    pub(crate) drain_seconds: u64,
    /// How often an API key may be used: N a second and BURST at once, or `off`
    #[arg(long, value_name = "N/BURST", default_value = "20000/50000", env = "DOGWATCH_RATE_PER_KEY", value_parser = rate)]
    pub(crate) rate_per_key: RateArg,
    /// How often an address may ask, or a /64 of IPv6
    #[arg(long, value_name = "N/BURST", default_value = "40000/100000", env = "DOGWATCH_RATE_PER_ADDRESS", value_parser = rate)]
    pub(crate) rate_per_address: RateArg,
    /// How often an address may present a key that is not valid
    #[arg(long, value_name = "N/BURST", default_value = "5/50", env = "DOGWATCH_RATE_WRONG_KEYS", value_parser = rate)]
    pub(crate) rate_wrong_keys: RateArg,
    /// How much memory the bodies of all requests may take together
    #[arg(long, value_name = "MIB", default_value_t = 32, env = "DOGWATCH_BODY_MEMORY")]
    pub(crate) body_memory: usize,
    /// Where people reach this server, such as `https://oncall.example.com`: messages link there
    ///
    /// By default the address on which it listens.
    #[arg(long, value_name = "URL", env = "DOGWATCH_PUBLIC_URL", value_parser = public_url)]
    pub(crate) public_url: Option<String>,
    /// Names under which status pages are reached at the root, as HOST=SLUG, with commas in between
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "DOGWATCH_STATUS_PAGES", value_parser = host_of_page)]
    pub(crate) status_pages: Vec<(String, Slug)>,
    /// Colours behind the names of status pages, as SLUG=#RRGGBB, with commas in between; white must be legible on them
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "DOGWATCH_STATUS_COLORS", value_parser = colour_of_page)]
    pub(crate) status_colors: Vec<(Slug, Accent)>,
    /// Logos of status pages, as SLUG=FILE, with commas in between: PNG or SVG, at most 64 KiB
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "DOGWATCH_STATUS_LOGOS", value_parser = logo_of_page)]
    pub(crate) status_logos: Vec<(Slug, PathBuf)>,
    #[command(flatten)]
    pub(crate) mail: MailArgs,
    /// Hosts of this network to which webhooks and ntfy may go, with commas in between; others must be public
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "DOGWATCH_ALLOW_INTERNAL")]
    pub(crate) allow_internal: Vec<String>,
    /// A file with the bot token of a Slack workspace (`xoxb-…`), where members who want it are told of pages
    ///
    /// The environment variable `DOGWATCH_SLACK_TOKEN` may hold the token itself.
    #[arg(long, value_name = "FILE", env = "DOGWATCH_SLACK_TOKEN_FILE")]
    pub(crate) slack_token_file: Option<PathBuf>,
    /// A file with the signing secret of the Slack app, for buttons that acknowledge: its request URL is `PUBLIC-URL/slack/interactive`
    ///
    /// The environment variable `DOGWATCH_SLACK_SIGNING_SECRET` may hold the secret itself.
    #[arg(long, value_name = "FILE", env = "DOGWATCH_SLACK_SIGNING_SECRET_FILE")]
    pub(crate) slack_signing_secret_file: Option<PathBuf>,
    /// Where Slack's API is
    #[arg(long, value_name = "URL", default_value = "https://slack.com/api", env = "DOGWATCH_SLACK_API")]
    pub(crate) slack_api: String,
    /// What the link in a page can do: `act`: acknowledge the incident; `view`: only show it
    #[arg(long, value_name = "WHAT", default_value = "act", env = "DOGWATCH_LINKS")]
    pub(crate) links: LinksArg,
    /// Share a store with other servers: the URL of a PostgreSQL, such as `postgres://dogwatch@db1,db2/dogwatch?sslmode=require`
    ///
    /// The folder holds a copy then, which is made anew when it is lost. One server leads, the others pass requests on to it and take over.
    #[arg(long, value_name = "URL", requires = "advertise", env = "DOGWATCH_STORE")]
    pub(crate) store: Option<String>,
    /// Where the other servers reach this one, such as `http://10.0.0.7:8080`
    #[arg(long, value_name = "URL", env = "DOGWATCH_ADVERTISE", value_parser = public_url)]
    pub(crate) advertise: Option<String>,
    /// What this server is called among the others, in ASCII; where it is reached, if absent
    #[arg(long, value_name = "NAME", env = "DOGWATCH_NAME")]
    pub(crate) name: Option<String>,
    /// How long the lead lasts after it was renewed last: 2 to 300. When the leader is gone, another server takes over after that
    #[arg(long, value_name = "SECONDS", default_value_t = 10, env = "DOGWATCH_LEASE", value_parser = clap::value_parser!(u64).range(2..=300))]
    pub(crate) lease: u64,
    #[command(flatten)]
    pub(crate) access: StoreAccessArgs,
    /// Refuse a folder without a store, instead of making one
    #[arg(long, env = "DOGWATCH_EXISTING")]
    pub(crate) existing: bool,
    /// How the log is written: `text` or `json`, a line for each event
    #[arg(long, value_name = "FORMAT", default_value = "text", env = "DOGWATCH_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    /// What is logged, in place of `info`: levels of parts, with commas in between, as in `warn,dogwatch_http=info`
    #[arg(long, value_name = "FILTER", env = "DOGWATCH_LOG_FILTER", conflicts_with = "quiet")]
    pub(crate) log_filter: Option<Targets>,
    /// Log only what is wrong
    #[arg(long, env = "DOGWATCH_QUIET")]
    pub(crate) quiet: bool,
}

impl ServeArgs {
    /// The command with the arguments of `serve` only, for those who look them up.
    pub(crate) fn augment() -> clap::Command {
        <Self as clap::Args>::augment_args(clap::Command::new("serve"))
    }
}

/// How a store is reached that servers share.
#[derive(Debug, Args)]
pub(crate) struct StoreAccessArgs {
    /// A file with the certificates of the authorities that the database is trusted by, in PEM; those of the system, if absent
    #[arg(long, value_name = "FILE", env = "DOGWATCH_STORE_CA")]
    pub(crate) store_ca: Option<PathBuf>,
    /// A file with the password of the database
    ///
    /// The environment variable `DOGWATCH_STORE_PASSWORD` may hold the password itself.
    #[arg(long, value_name = "FILE", env = "DOGWATCH_STORE_PASSWORD_FILE")]
    pub(crate) store_password_file: Option<PathBuf>,
}

/// A store that servers share.
#[derive(Debug, Args)]
pub(crate) struct SharedArgs {
    /// The URL of the PostgreSQL
    #[arg(long, value_name = "URL", env = "DOGWATCH_STORE")]
    pub(crate) store: String,
    #[command(flatten)]
    pub(crate) access: StoreAccessArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where it goes.
    #[command(flatten)]
    pub(crate) to: SharedArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Say who leads, how far it is, and whether standbys have the commits
    ///
    /// Prints one line of JSON: {"leader": …, "address": …, "term": …, "leaseMillis": …, "position": …, "waitsFor": …, "synchronous": …}.
    Status(SharedArgs),
    /// End the term of the server that leads; another one takes over
    ///
    /// Prints one line of JSON: {"term": …}. What the leader has not committed by then has not happened.
    StepDown(SharedArgs),
}

/// How mail is sent.
#[derive(Debug, Args)]
pub(crate) struct MailArgs {
    /// A file with the URL of the mail server: `smtp://user:password@host:port`, or `smtps://`
    ///
    /// The environment variable `DOGWATCH_SMTP_URL` may hold the URL itself. `smtp://` uses STARTTLS where the server offers it, and
    /// sends no password without it, except to this machine; `?tls=required`, `offered` or `none` at its end says otherwise.
    #[arg(long, value_name = "FILE", env = "DOGWATCH_SMTP_URL_FILE")]
    pub(crate) smtp_url_file: Option<PathBuf>,
    /// Whom mail is from: an address, with a name in front of it in `Name <address>`
    #[arg(long, value_name = "ADDRESS", env = "DOGWATCH_MAIL_FROM")]
    pub(crate) mail_from: Option<Sender>,
    /// Write mail into this folder instead of sending it, to try things out
    #[arg(long, value_name = "DIR", env = "DOGWATCH_MAIL_FOLDER", conflicts_with = "smtp_url_file")]
    pub(crate) mail_folder: Option<PathBuf>,
}

/// What the link in a page can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LinksArg {
    Act,
    View,
}

/// An address that links can begin with: a scheme, a host, and perhaps a path.
fn public_url(text: &str) -> Result<String, String> {
    let place = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let fits =
        |place: &str| !place.is_empty() && !place.starts_with('/') && place.bytes().all(|byte| byte.is_ascii_graphic());
    let plain = |place: &str| !place.contains(['?', '#', '@', '"', '<', '>', '\\']);
    match place.filter(|place| fits(place) && plain(place)) {
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
        None => Err("must be like `https://oncall.example.com`".to_owned()),
    }
}

/// The two sides of `A=B`, the first of which is a slug.
fn of_page(text: &str) -> Result<(Slug, &str), String> {
    let (slug, value) = text.split_once('=').ok_or("must be like `SLUG=…`")?;
    Ok((Slug::new(slug.trim()).map_err(|problem| problem.to_string())?, value.trim()))
}

fn host_of_page(text: &str) -> Result<(String, Slug), String> {
    let (host, slug) = text.split_once('=').ok_or("must be like `status.example.com=SLUG`")?;
    let host = host.trim().to_ascii_lowercase();
    if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) {
        return Err("must begin with a name of a host, without a port".to_owned());
    }
    Ok((host, Slug::new(slug.trim()).map_err(|problem| problem.to_string())?))
}

fn colour_of_page(text: &str) -> Result<(Slug, Accent), String> {
    let (slug, code) = of_page(text)?;
    Ok((slug, Accent::new(code).map_err(|problem| problem.to_string())?))
}

fn logo_of_page(text: &str) -> Result<(Slug, PathBuf), String> {
    of_page(text).map(|(slug, file)| (slug, PathBuf::from(file)))
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the settings that `serve` would have, from the same flags, environment and file
    ///
    /// Nothing is opened and nothing is served. Exit code 0: they fit.
    Check(ServeArgs),
}

/// A rate, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateArg(pub(crate) Option<Rate>);

fn rate(text: &str) -> Result<RateArg, &'static str> {
    if text == "off" {
        return Ok(RateArg(None));
    }
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
    let (per_second, burst) = text.split_once('/').unwrap_or((text, text));
    let rate = number(per_second).zip(number(burst)).map(|(per_second, burst)| Rate::new(per_second, burst));
    rate.map(|rate| RateArg(Some(rate))).ok_or("must be N a second, N/BURST, or `off`")
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct InitArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The name of the organization, 1 to 255 characters
    #[arg(long, value_name = "NAME")]
    pub(crate) org: String,
    /// The e-mail address of its first admin
    #[arg(long, value_name = "EMAIL")]
    pub(crate) admin_email: String,
    /// The first name of the admin, 1 to 100 characters
    #[arg(long, value_name = "NAME", default_value = "Admin")]
    pub(crate) first_name: String,
    /// The last name of the admin, 1 to 100 characters
    #[arg(long, value_name = "NAME", default_value = "User")]
    pub(crate) last_name: String,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct AddMemberArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The organization, as `init` printed it: `org_…`
    #[arg(long, value_name = "ID")]
    pub(crate) org_id: String,
    /// The e-mail address of the new member
    #[arg(long, value_name = "EMAIL")]
    pub(crate) email: String,
    /// The first name of the new member, 1 to 100 characters
    #[arg(long, value_name = "NAME")]
    pub(crate) first_name: String,
    /// The last name of the new member, 1 to 100 characters
    #[arg(long, value_name = "NAME")]
    pub(crate) last_name: String,
    /// What they may do: `org:member`, or `org:admin` for the team as well
    #[arg(long, value_name = "ROLE", default_value = "org:member")]
    pub(crate) role: String,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct InviteArgs {
    /// Where it is kept.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The e-mail address of whom is invited
    #[arg(long, value_name = "EMAIL")]
    pub(crate) email: String,
    /// What they may do: `org:member`, or `org:admin` for the team as well
    #[arg(long, value_name = "ROLE", default_value = "org:member")]
    pub(crate) role: String,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct StatusArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The slug of the page, which is published
    #[arg(long, value_name = "SLUG")]
    pub(crate) slug: String,
    /// The instant up to which its days are drawn, RFC 3339 [default: now]; statuses and incidents are the present ones
    #[arg(long, value_name = "INSTANT")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct OncallArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The name of the schedule
    #[arg(long, value_name = "NAME")]
    pub(crate) schedule: String,
    /// How many weeks to draw, 1 to 52
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=52))]
    pub(crate) weeks: u8,
    /// The organization, if the store holds several: `org_…`
    #[arg(long, value_name = "ID")]
    pub(crate) org_id: Option<String>,
    /// Draw as of this instant instead of now, as in 2026-04-07T10:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct RehearseArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The name of the escalation policy
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: String,
    /// The organization, if the store holds several: `org_…`
    #[arg(long, value_name = "ID")]
    pub(crate) org_id: Option<String>,
    /// When the incident would open, as in 2026-04-07T10:00:00Z; now, if absent
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The folder of the store; a temporary one, removed at the end, if absent
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
