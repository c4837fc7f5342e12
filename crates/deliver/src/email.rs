//! E-mail: the message as mail, sent over SMTP or written into a folder.
//!
//! A mail has plain text first and HTML beside it. All tries of a notification have one `Message-ID`, so that a mailbox shows it once,
//! and all pages of an incident are one thread. Each mail is sent over a connection of its own: a pooled one may be stale when a page
//! must go out.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use dogwatch_store::rules::outbox::Transport;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{SmtpTransport, Transport as _};

use crate::channel::{Channel, SendError};
use crate::message::{Address, Message, Parts, What};

/// How long the mail server may take for each of its answers.
const ANSWER: Duration = Duration::from_secs(30);
/// How long it may take until it has a mail: four slow answers.
const LONGEST: Duration = Duration::from_secs(120);
/// Codes with which a server speaks of us and not of the recipient: they are mended by the operator, and the mail goes out then.
const OURS: [u16; 4] = [530, 534, 535, 538];

/// A setting of e-mail that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

/// Whom mail is from: `ops@example.com`, or `On call <ops@example.com>`.
#[derive(Debug, Clone)]
pub struct Sender(Mailbox);

impl std::str::FromStr for Sender {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        text.parse().map(Self).map_err(|why| SettingsError(format!("`{text}` is no address to send from: {why}")))
    }
}

impl Sender {
    fn domain(&self) -> &str {
        self.0.email.domain()
    }

    /// The mail for a message.
    pub(crate) fn mail(&self, message: &Message) -> Result<lettre::Message, SendError> {
        let broken = |why: &dyn std::fmt::Display| SendError::permanent(format!("the mail cannot be made: {why}"));
        let Address::Email(to) = &message.to else { return Err(SendError::permanent("no e-mail address")) };
        let to = to.as_str().parse().or_else(|why| unusual(to.as_str()).ok_or_else(|| broken(&why)))?;
        let id = |id: &dyn std::fmt::Display| format!("<{id}@{}>", self.domain());
        let millis = u64::try_from(message.now.as_millis()).unwrap_or_default();
        let raw = |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
        let mut mail = lettre::Message::builder()
            .from(self.0.clone())
            .to(Mailbox::new(None, to))
            .date(UNIX_EPOCH + Duration::from_millis(millis))
            .subject(message.subject())
            .message_id(Some(id(&message.id)))
            .raw_header(raw("Auto-Submitted", "auto-generated"))
            .raw_header(raw("X-Auto-Response-Suppress", "All"));
        if let What::Page(page) = &message.what {
            // A message that never was, which all pages of the incident answer.
            let thread = id(&page.incident.id);
            mail = mail.references(thread.clone()).in_reply_to(thread).raw_header(raw("Importance", "high"));
        }
        let part = |kind: ContentType, text: String| SinglePart::builder().header(kind).body(text);
        // A line ends with both or with none of them.
        let text = part(ContentType::TEXT_PLAIN, message.text().replace('\r', "").replace('\n', "\r\n"));
        let html = part(ContentType::TEXT_HTML, html(message));
        mail.multipart(MultiPart::alternative().singlepart(text).singlepart(html)).map_err(|why| broken(&why))
    }
}

/// An address that the library finds unusual, such as one with two dots in a row. The server decides; nothing in it can be taken for
/// anything but an address.
fn unusual(address: &str) -> Option<lettre::Address> {
    let (user, domain) = address.rsplit_once('@')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let fits = |part: &str| !part.is_empty() && part.chars().all(plain);
    (fits(user) && fits(domain)).then(|| lettre::Address::new_dangerous(user, domain))
}

/// The text of others, as it stands in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("<br>\r\n"),
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

pub(crate) fn html(message: &Message) -> String {
    let Parts { facts, said, link } = message.parts();
    let subject = escaped(&message.subject());
    let mut html = format!(
        "<!DOCTYPE html>\r\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{subject}</title></head>\r\n\
         <body style=\"font: 16px/1.5 sans-serif\">\r\n<h1 style=\"font-size: 1.25em\">{subject}</h1>\r\n"
    );
    if !facts.is_empty() {
        html.push_str("<table>\r\n");
        for (name, value) in facts {
            let value = escaped(&value);
            let _ = write!(html, "<tr><td>{name}</td><td style=\"padding-left: 1em\">{value}</td></tr>\r\n");
        }
        html.push_str("</table>\r\n");
    }
    for sentence in said {
        let _ = write!(html, "<p>{}</p>\r\n", escaped(&sentence));
    }
    if let Some((label, link)) = link {
        let style = "display: inline-block; padding: 0.75em 1.5em; background: #b3261e; color: #ffffff; \
                     border-radius: 4px; text-decoration: none; font-weight: bold";
        let _ = write!(html, "<p><a href=\"{}\" style=\"{style}\">{label}</a></p>\r\n", escaped(&link));
    }
    html.push_str("</body></html>\r\n");
    html
}

/// Mail over SMTP.
#[derive(Debug)]
pub struct Smtp {
    from: Sender,
    transport: SmtpTransport,
    /// Its name and port, for whoever reads why a mail was not taken.
    server: String,
}

/// How a connection to a mail server is made.
struct Server {
    secure: Secure,
    user: Option<(String, String)>,
    host: String,
    port: u16,
}

/// When a connection is encrypted.
#[derive(Debug, PartialEq, Eq)]
enum Secure {
    /// From its beginning.
    Always,
    /// From `STARTTLS` on, without which nothing is sent.
    Required,
    /// From `STARTTLS` on, if the server has it.
    Offered,
    Never,
}

impl Server {
    /// Reads `smtp://user:password@host:port?tls=required`.
    fn parse(url: &str) -> Result<Self, SettingsError> {
        let wrong = |what: &str| SettingsError(format!("the URL of the mail server {what}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("has no scheme: `smtp://` or `smtps://`"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let user = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let plain =
                |text| decoded(text).ok_or_else(|| wrong("has a user or a password with a `%` that is no code"));
            Ok((plain(name)?, plain(password)?))
        });
        let user = user.transpose()?;
        let (host, port) = match place.rsplit_once(':') {
            // The colons of a bare IPv6 address stand in brackets.
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| wrong("has a port that is no number"))?))
            }
            _ => (place, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || host.contains(['/', '@']) {
            return Err(wrong("names no host"));
        }
        let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let (secure, usual) = match (scheme, query) {
            ("smtps", "") => (Secure::Always, 465),
            ("smtp", "tls=required") => (Secure::Required, 587),
            ("smtp", "tls=offered") => (Secure::Offered, 587),
            ("smtp", "tls=none") => (Secure::Never, 25),
            // A password is never sent in the open, except to this machine.
            ("smtp", "") if user.is_some() && !local => (Secure::Required, 587),
            ("smtp", "") => (Secure::Offered, if user.is_some() { 587 } else { 25 }),
            ("smtp" | "smtps", _) => return Err(wrong("may end with `?tls=required`, `offered` or `none`")),
            _ => return Err(wrong("begins with neither `smtp://` nor `smtps://`")),
        };
        Ok(Self { secure, user, host, port: port.unwrap_or(usual) })
    }
}

/// A text with `%` codes, decoded; `None` when it is not UTF-8 then, or a code is none.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |digit: Option<u8>| char::from(digit?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(if byte == b'%' { hex(rest.next())? << 4 | hex(rest.next())? } else { byte });
    }
    String::from_utf8(bytes).ok()
}

impl Smtp {
    /// Mail through a server: `smtp://host:port`, with a user and a password in front of the host, or `smtps://`.
    ///
    /// `smtp://` uses STARTTLS where the server offers it; where there is a password and the server is not on this machine, nothing is
    /// sent without it. `?tls=required`, `offered` or `none` says otherwise.
    ///
    /// # Errors
    /// When the URL does not fit. Nothing is connected to.
    pub fn new(url: &str, from: Sender) -> Result<Self, SettingsError> {
        let server = Server::parse(url)?;
        let tls = || {
            let made = TlsParameters::new_rustls(server.host.clone());
            made.map_err(|why| SettingsError(format!("TLS to the mail server cannot be set up: {why}")))
        };
        let tls = match server.secure {
            Secure::Always => Tls::Wrapper(tls()?),
            Secure::Required => Tls::Required(tls()?),
            Secure::Offered => Tls::Opportunistic(tls()?),
            Secure::Never => Tls::None,
        };
        let name = format!("{}:{}", server.host, server.port);
        let mut transport = SmtpTransport::builder_dangerous(server.host)
            .port(server.port)
            .tls(tls)
            .timeout(Some(ANSWER))
            .hello_name(ClientId::Domain(from.domain().to_owned()));
        if let Some((user, password)) = server.user {
            transport = transport.credentials(Credentials::new(user, password));
        }
        Ok(Self { from, transport: transport.build(), server: name })
    }
}

impl Channel for Smtp {
    fn transport(&self) -> Transport {
        Transport::Email
    }

    fn longest(&self) -> Duration {
        LONGEST
    }

    fn send(&self, message: &Message) -> Result<(), SendError> {
        let mail = self.from.mail(message)?;
        match self.transport.send(&mail) {
            Ok(_) => Ok(()),
            Err(why) => {
                let code = why.status().map(u16::from);
                let ours = code.is_some_and(|code| OURS.contains(&code));
                let reason = format!("{}: {}", self.server, said(&why, ours));
                if why.is_permanent() && !ours {
                    Err(SendError::permanent(reason))
                } else {
                    Err(SendError::temporary(reason))
                }
            }
        }
    }
}

/// Why a mail was not taken, in words for an operator.
fn said(why: &lettre::transport::smtp::Error, ours: bool) -> String {
    let text = why.to_string();
    // A socket's own time-out comes as the error of a read that would have to wait.
    let mut causes = std::iter::successors(std::error::Error::source(why), |cause| cause.source());
    let would_wait = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::WouldBlock)
    };
    if why.is_timeout() || causes.any(would_wait) {
        return format!("no answer within {} s", ANSWER.as_secs());
    }
    if ours {
        return format!("the user or the password is refused: {text}");
    }
    if text.contains("InvalidContentType") {
        return "no TLS on this port: `smtp://` may be right".to_owned();
    }
    text
}

/// Mail into a folder, as files that mail programs open: to try things out.
#[derive(Debug)]
pub struct MailFolder {
    folder: PathBuf,
    from: Sender,
}

impl MailFolder {
    /// Mail into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: &Path, from: Sender) -> Result<Self, SettingsError> {
        let failed = |why| SettingsError(format!("the folder for mail, `{}`: {why}", folder.display()));
        fs::create_dir_all(folder).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), from })
    }
}

impl Channel for MailFolder {
    fn transport(&self) -> Transport {
        Transport::Email
    }

    fn send(&self, message: &Message) -> Result<(), SendError> {
        let mail = self.from.mail(message)?.formatted();
        // Whoever looks into the folder sees whole mails only. A mail that is sent again is the same file.
        let (path, part) = (self.folder.join(format!("{}.eml", message.id)), format!("{}.part", message.id));
        let part = self.folder.join(part);
        let written = File::create(&part).and_then(|mut file| {
            file.write_all(&mail)?;
            file.sync_all()?;
            fs::rename(&part, &path)
        });
        written.map_err(|why| SendError::temporary(format!("the folder for mail: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dogwatch_store::rules::Timestamp;

    /// A port where nobody listens says so at once.
    #[test]
    fn why_a_server_cannot_be_reached() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let smtp = Smtp::new(&format!("smtp://{closed}"), "oncall@example.com".parse().unwrap()).unwrap();
        let now = Timestamp::from_millis(0).unwrap();
        let why = smtp.send(&Message::test(Address::Email("ada@example.com".parse().unwrap()), "Harbour", now));
        let Err(SendError::Temporary { reason, .. }) = why else { panic!("{why:?}") };
        assert!(reason.contains("refused") && !reason.contains("no answer"), "{reason}");
    }

    #[test]
    fn urls_of_mail_servers() {
        let read = |url: &str| {
            let server = Server::parse(url).map_err(|why| why.to_string())?;
            let user = server.user.map(|(user, password)| format!("{user}|{password}@")).unwrap_or_default();
            Ok::<_, String>(format!("{:?} {user}{}:{}", server.secure, server.host, server.port))
        };
        for (url, expected) in [
            ("smtp://mail.example.com", "Offered mail.example.com:25"),
            ("smtp://mail.example.com:2525/", "Offered mail.example.com:2525"),
            ("smtp://user:pass@mail.example.com", "Required user|pass@mail.example.com:587"),
            ("smtp://user:p%40ss%21@mail.example.com", "Required user|p@ss!@mail.example.com:587"),
            ("smtp://me@example.com:pass@mail.example.com", "Required me@example.com|pass@mail.example.com:587"),
            ("smtp://user:pass@localhost:1025", "Offered user|pass@localhost:1025"),
            ("smtp://user:pass@[::1]:1025", "Offered user|pass@::1:1025"),
            ("smtp://[2001:db8::1]", "Offered 2001:db8::1:25"),
            ("smtp://user:pass@mail.example.com?tls=none", "Never user|pass@mail.example.com:25"),
            ("smtp://mail.example.com?tls=required", "Required mail.example.com:587"),
            ("smtps://user:pass@mail.example.com", "Always user|pass@mail.example.com:465"),
        ] {
            assert_eq!(read(url), Ok(expected.to_owned()), "{url}");
        }
        for (url, expected) in [
            ("mail.example.com", "has no scheme"),
            ("http://mail.example.com", "begins with neither"),
            ("smtp://", "names no host"),
            ("smtp://user:pass@", "names no host"),
            ("smtp://mail.example.com/path", "names no host"),
            ("smtp://mail.example.com:many", "a port that is no number"),
            ("smtp://user:p%4@mail.example.com", "a `%` that is no code"),
            ("smtp://mail.example.com?tls=perhaps", "may end with"),
            ("smtps://mail.example.com?tls=none", "may end with"),
        ] {
            let why = read(url).unwrap_err();
            assert!(why.contains(expected) && !why.contains("p%4"), "{url}: {why}");
        }
    }

    #[test]
    fn whom_mail_is_from() {
        for right in ["ops@example.com", "On call <ops@example.com>", "\"Zahlung, Süd\" <ops@example.com>"] {
            assert_eq!(right.parse::<Sender>().unwrap().domain(), "example.com", "{right}");
        }
        for wrong in ["", "ops", "ops@", "On call", "a@example.com, b@example.com"] {
            assert!(wrong.parse::<Sender>().is_err(), "{wrong}");
        }
    }
}
