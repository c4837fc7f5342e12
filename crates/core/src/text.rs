//! Text with its limits (contract, section 1), valid by construction.
//!
//! Each type can only be made from text that satisfies its rule, so no command checks again. Lengths count Unicode scalar
//! values. Text is kept exactly as sent. Names, titles and labels have no control characters; bodies, notes and descriptions
//! may hold line breaks and tabs. Cloning is cheap: the text is shared.

use std::sync::Arc;

use crate::validation::Problem;

/// The characters that a type of text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextForm {
    /// No control characters, and at least one character that is seen: neither white space nor without a shape.
    Name,
    /// No control characters; may be blank.
    Line,
    /// No control characters but line breaks and tabs; may be blank.
    Block,
}

/// The rule of a type of text, for whoever describes requests.
pub trait TextRule {
    /// The characters that it may hold.
    const FORM: TextForm;
    /// The shortest allowed text, in Unicode scalar values.
    const SHORTEST: usize;
    /// The longest allowed text, in Unicode scalar values.
    const LONGEST: usize;
}

fn check(noun: &'static str, text: &str, form: TextForm, min: usize, max: usize) -> Result<(), Problem> {
    // Nearly all text is printable ASCII with something to say: one look at each byte settles it.
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let said = text.bytes().any(|byte| byte != b' ');
    if plain && said && (min..=max).contains(&text.len()) {
        return Ok(());
    }
    // A text of `max` scalars has at most 4 * max bytes: an absurdly long one is refused without counting it.
    let length = if text.len() > max.saturating_mul(4) { usize::MAX } else { text.chars().count() };
    if length < min {
        return Err(Problem::new(noun, "must not be empty"));
    }
    if length > max {
        return Err(Problem::new(noun, format!("must be at most {max} characters long")));
    }
    let allowed = |c: char| match form {
        TextForm::Name | TextForm::Line => !c.is_control(),
        TextForm::Block => !c.is_control() || matches!(c, '\n' | '\r' | '\t'),
    };
    if !text.chars().all(allowed) {
        return Err(Problem::new(noun, "must not hold control characters"));
    }
    if form == TextForm::Name && text.chars().all(char::is_whitespace) {
        return Err(Problem::new(noun, "must not be only white space"));
    }
    if form == TextForm::Name && text.chars().all(|c| c.is_whitespace() || is_shapeless(c)) {
        return Err(Problem::new(noun, "must not be only characters that show nothing"));
    }
    Ok(())
}

/// A text made to fit: what a form does not allow becomes a space, and what is too long is cut, with `…` at its end.
fn fit(text: &str, form: TextForm, max: usize) -> String {
    let breaks = |c: char| form == TextForm::Block && matches!(c, '\n' | '\r' | '\t');
    let mut fits: String = text
        .trim()
        .chars()
        .take(max.saturating_add(1))
        .map(|c| if c.is_control() && !breaks(c) { ' ' } else { c })
        .collect();
    if fits.chars().count() > max {
        fits = fits.chars().take(max.saturating_sub(1)).chain(['…']).collect();
    }
    fits
}

/// Whether a character shows nothing by itself: those that Unicode 17 has as `Default_Ignorable_Code_Point`.
const fn is_shapeless(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

macro_rules! text {
    ($($(#[$doc:meta])* $name:ident $noun:literal: $form:ident $min:literal ..= $max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest allowed text, in Unicode scalar values.
            pub const MAX: usize = $max;

            /// The text, if it satisfies the rule of this type.
            ///
            /// # Errors
            /// A [`Problem`] that says what is wrong without repeating the text.
            pub fn new(text: impl AsRef<str>) -> Result<Self, Problem> {
                let text = text.as_ref();
                check($noun, text, TextForm::$form, $min, $max)?;
                Ok(Self(Arc::from(text)))
            }

            /// As much of a text as this type takes: without white space around it, with spaces in place of characters that it does not allow,
            /// and cut, with `…` at its end, if it is too long. `None` when nothing is left that it takes.
            #[must_use]
            pub fn fitted(text: &str) -> Option<Self> {
                Self::new(fit(text, TextForm::$form, $max)).ok()
            }

            /// The text, if it satisfied the rule of this type when it was stored: names were once allowed to show nothing.
            ///
            /// # Errors
            /// As [`Self::new`].
            pub fn stored(text: impl AsRef<str>) -> Result<Self, Problem> {
                let text = text.as_ref();
                let form = if matches!(TextForm::$form, TextForm::Name) { TextForm::Line } else { TextForm::$form };
                check($noun, text, form, $min, $max)?;
                Ok(Self(Arc::from(text)))
            }

            /// The text as it was sent.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TextRule for $name {
            const FORM: TextForm = TextForm::$form;
            const SHORTEST: usize = $min;
            const LONGEST: usize = $max;
        }

        text_impls!($name);
    )*};
}

macro_rules! text_impls {
    ($name:ident) => {
        impl std::str::FromStr for $name {
            type Err = Problem;
            fn from_str(text: &str) -> Result<Self, Problem> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

text! {
    /// The title of an incident: 1–100 characters (contract, section 6).
    ///
    /// ```
    /// use dogwatch_core::text::Title;
    /// assert_eq!(Title::new("Checkout is down").unwrap().as_str(), "Checkout is down");
    /// assert!(Title::new("").is_err());
    /// assert!(Title::new("two\nlines").is_err());
    /// ```
    Title "title": Name 1..=100;
    /// The name of a component or an API key: 1–100 characters (contract, sections 4 and 5).
    Name "name": Name 1..=100;
    /// The name of an organization: 1–255 characters (contract, section 4).
    OrgName "organization name": Name 1..=255;
    /// The name of a schedule or of a rotation layer: 1–255 characters (contract, section 7).
    ScheduleName "schedule name": Name 1..=255;
    /// The name of an escalation policy: 1–255 characters (contract, section 9).
    PolicyName "policy name": Name 1..=255;
    /// The reason for an override: at most 255 characters (contract, section 7).
    Reason "reason": Block 0..=255;
    /// The first or last name of a person: 1–100 characters (contract, section 4).
    PersonName "first or last name": Name 1..=100;
    /// The label under which components are grouped: at most 100 characters (contract, section 5).
    GroupLabel "group label": Line 0..=100;
    /// The description of a component, schedule or escalation policy: at most 1,000 characters (contract, sections 5, 7 and 9).
    Description "description": Block 0..=1_000;
    /// The description of an incident: at most 10,000 characters (contract, section 6).
    IncidentDescription "description": Block 0..=10_000;
    /// The body of an incident update: 1–10,000 characters (contract, section 6).
    UpdateBody "update body": Block 1..=10_000;
    /// What a signal says: at most 1,024 characters (contract, section 14).
    Summary "summary": Line 0..=1_024;
    /// Where a signal comes from: at most 255 characters (contract, section 14).
    AlertSource "source": Line 0..=255;
    /// The key of a signal: at most 255 characters (contract, section 14).
    DedupKey "dedup key": Line 0..=255;
    /// The name of a topic of SNS: 1–256 characters (contract, section 14).
    TopicArn "topic": Name 1..=256;
    /// The note with which an incident is resolved: at most 10,000 characters; an empty one is no note (contract, section 6).
    ResolutionNote "resolution note": Block 0..=10_000;
}

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident $noun:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        text_impls!($name);

        impl $name {
            /// The text, if it is 1–255 visible ASCII characters.
            ///
            /// # Errors
            /// A [`Problem`] that says what is wrong without repeating the text.
            pub fn new(text: impl AsRef<str>) -> Result<Self, Problem> {
                let text = text.as_ref();
                let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
                let problem = || Problem::new($noun, "must be 1 to 255 visible ASCII characters");
                if fits { Ok(Self(Arc::from(text))) } else { Err(problem()) }
            }

            /// The text as it was sent.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    )*};
}

tokens! {
    /// The header `Idempotency-Key`, with which a repeated request happens once (contract, section 12): 1–255 visible ASCII
    /// characters.
    ///
    /// ```
    /// use dogwatch_core::text::IdempotencyKey;
    /// assert!(IdempotencyKey::new("order-4711").is_ok());
    /// assert!(IdempotencyKey::new("two words").is_err());
    /// ```
    IdempotencyKey "idempotency key";
    /// The name that an embedding program has for an organization or a member, such as its own id of a user (contract, section
    /// 4): 1–255 visible ASCII characters.
    ///
    /// ```
    /// use dogwatch_core::text::ExternalId;
    /// assert_eq!(ExternalId::new("tenant/4711").unwrap().as_str(), "tenant/4711");
    /// assert!(ExternalId::new("").is_err());
    /// ```
    ExternalId "external id";
}

/// An e-mail address of at most 320 characters, kept as sent (contract, section 4).
///
/// The rule is the one browsers use for `<input type=email>`: a local part of ASCII letters, digits and
/// ``.!#$%&'*+/=?^_`{|}~-``, an `@`, and dot-separated domain labels of letters, digits and inner hyphens, 63 at most each.
///
/// ```
/// use dogwatch_core::text::EmailAddress;
/// let email = EmailAddress::new("Ada@Example.com").unwrap();
/// assert_eq!(email.as_str(), "Ada@Example.com");
/// assert_eq!(email.folded(), "ada@example.com");
/// assert!(EmailAddress::new("ada@").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(Arc<str>);

text_impls!(EmailAddress);

/// The URL of a service: `http://` or `https://`, a host and perhaps a port, a path and a query; at most 2,000 visible ASCII
/// characters, without user, password or fragment (contract, section 9).
///
/// ```
/// use dogwatch_core::text::HttpUrl;
/// assert!(HttpUrl::new("https://hooks.example.com:8443/on-call?key=a").unwrap().is_https());
/// assert!(HttpUrl::new("https://user@example.com/").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpUrl(Arc<str>);

text_impls!(HttpUrl);

impl HttpUrl {
    /// The longest allowed URL, in characters.
    pub const MAX: usize = 2_000;

    /// The URL, if it is one.
    ///
    /// # Errors
    /// A [`Problem`] that says what is wrong without repeating the URL.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Problem> {
        let text = text.as_ref();
        if text.len() > Self::MAX {
            return Err(Problem::new("URL", "must be at most 2000 characters long"));
        }
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let plain = |byte: u8| {
            byte.is_ascii_graphic()
                && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\' | b'`' | b'{' | b'}' | b'|' | b'^')
        };
        let fits = rest.is_some_and(|rest| {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            rest.bytes().all(plain) && rest.get(..end).is_some_and(is_host_and_port)
        });
        if fits {
            Ok(Self(Arc::from(text)))
        } else {
            Err(Problem::new("URL", "must be like `https://example.com/path`"))
        }
    }

    /// Refuses a URL that does not begin with `https://`, in this field.
    pub(crate) fn need_https(&self, field: &'static str) -> Result<(), Problem> {
        if self.is_https() { Ok(()) } else { Err(Problem::new(field, "must begin with `https://`")) }
    }

    /// The URL as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it begins with `https://`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether it has a path beyond the first slash.
    #[must_use]
    pub fn has_path(&self) -> bool {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split_once('/').is_some_and(|(_, path)| !path.trim_matches('/').is_empty() && !path.starts_with('?'))
    }
}

/// What stands for a status page in addresses: 3–63 of `a`–`z`, `0`–`9` and `-`, which is at neither end (contract, section 13).
///
/// ```
/// use dogwatch_core::text::Slug;
/// assert!(Slug::new("harbour-status").is_ok());
/// assert!(Slug::new("Harbour").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(Arc<str>);

text_impls!(Slug);

impl Slug {
    /// The slug, if it is one.
    ///
    /// # Errors
    /// A [`Problem`] that says what is wrong without repeating the text.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Problem> {
        let text = text.as_ref();
        if text.len() >= 3 && is_label(text) && text.bytes().all(|byte| !byte.is_ascii_uppercase()) {
            return Ok(Self(Arc::from(text)));
        }
        Err(Problem::new("slug", "must be 3 to 63 of `a` to `z`, `0` to `9` and `-`, which is at neither end"))
    }

    /// The slug as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is the name or address of a host, perhaps with a port.
fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        // The address of IPv6 stands in brackets.
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                ("v6", port.strip_prefix(':').or(port.is_empty().then_some("443")))
            }
            _ => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("443")),
        },
    };
    let port = port.is_some_and(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let label = |label: &str| is_label(label) || label.contains('_') && is_label(&label.replace('_', "x"));
    port && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

impl EmailAddress {
    /// The longest allowed address, in characters.
    pub const MAX: usize = 320;

    /// The address, if it is one.
    ///
    /// # Errors
    /// A [`Problem`] that says what is wrong without repeating the address.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Problem> {
        let text = text.as_ref();
        if text.len() > Self::MAX {
            return Err(Problem::new("email", "must be at most 320 characters long"));
        }
        let valid =
            text.split_once('@').is_some_and(|(local, domain)| is_local_part(local) && domain.split('.').all(is_label));
        if valid { Ok(Self(Arc::from(text))) } else { Err(Problem::new("email", "must be an e-mail address")) }
    }

    /// The address as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which addresses are compared: ASCII letters in lower case.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

fn is_local_part(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b))
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts<T>(made: impl Into<Result<T, Problem>>) -> bool {
        made.into().is_ok()
    }

    #[test]
    fn titles() {
        let cases: &[(&str, bool)] = &[
            ("a", true),
            ("  padded  ", true),
            ("日本語の件名", true),
            ("zero\u{200B}width", true),
            ("\u{200B}", false),
            (" \u{FEFF}\u{2060} \u{AD}", false),
            ("\u{E0041}", false),
            ("\u{2764}\u{FE0F}", true),
            ("", false),
            (" ", false),
            ("\u{3000}\u{00A0}", false),
            ("a\tb", false),
            ("a\nb", false),
            ("a\u{0000}b", false),
            ("a\u{007F}b", false),
            ("a\u{0085}b", false),
        ];
        for (text, expected) in cases {
            assert_eq!(accepts(Title::new(text)), *expected, "{text:?}");
        }
    }

    #[test]
    fn lengths_count_scalar_values() {
        for c in ['a', 'é', '日', '🦀'] {
            let of = |n: usize| c.to_string().repeat(n);
            assert!(accepts(Title::new(of(100))), "{c}");
            assert!(!accepts(Title::new(of(101))), "{c}");
            assert!(accepts(UpdateBody::new(of(10_000))), "{c}");
            assert!(!accepts(UpdateBody::new(of(10_001))), "{c}");
        }
    }

    #[test]
    fn blocks() {
        assert!(accepts(UpdateBody::new("one\r\n\ttwo\n")));
        assert!(accepts(UpdateBody::new(" ")));
        assert!(!accepts(UpdateBody::new("")));
        assert!(!accepts(UpdateBody::new("bell\u{7}")));
        assert!(accepts(ResolutionNote::new("")));
        assert!(accepts(GroupLabel::new("")));
        assert!(!accepts(GroupLabel::new("a\nb")));
    }

    #[test]
    fn emails() {
        let long_local = format!("{}@e.co", "a".repeat(315));
        let too_long = format!("{}@e.co", "a".repeat(316));
        let long_label = format!("a@{}.com", "b".repeat(64));
        let cases: &[(&str, bool)] = &[
            ("ada@example.com", true),
            ("a.b+c@x-y.example", true),
            ("o'brien@example.com", true),
            ("root@localhost", true),
            (&long_local, true),
            (&too_long, false),
            (&long_label, false),
            ("", false),
            ("@", false),
            ("ada", false),
            ("ada@", false),
            ("@example.com", false),
            ("a@b@c", false),
            ("a@-b.com", false),
            ("a@b-.com", false),
            ("a@b..com", false),
            ("a b@c.com", false),
            ("ada@exämple.com", false),
            ("ada@example.com\n", false),
        ];
        for (text, expected) in cases {
            assert_eq!(accepts(EmailAddress::new(text)), *expected, "{text:?}");
        }
    }
}
