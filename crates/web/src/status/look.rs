//! What an operator gives a page of their own: a logo, and a colour that is checked for contrast.

use std::fmt;
use std::sync::Arc;

use super::kept::Rendered;

/// The stylesheet of all pages.
const STYLE: &str = include_str!("../../templates/status/style.css");
/// How long caches may keep a stylesheet: its address changes with it.
pub(super) const STYLE_CACHING: &str = "max-age=86400, immutable";

/// What one page has of its own.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Look {
    /// The picture beside the name.
    pub logo: Option<Logo>,
    /// The colour behind the name.
    pub accent: Option<Accent>,
}

/// What a logo or a colour cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookProblem {
    /// A picture that is neither PNG nor SVG.
    #[error("a logo must be a PNG or an SVG")]
    NotAPicture,
    /// A picture with more than 64 KiB.
    #[error("a logo must be at most 64 KiB")]
    TooLarge,
    /// A text that is no colour.
    #[error("a colour must be like `#0b5fff`")]
    NotAColour,
    /// A colour on which white cannot be read (WCAG 2.2, 1.4.3).
    #[error("white on this colour has a contrast below 4.5 to 1")]
    TooLight,
}

/// A picture: PNG or SVG, at most 64 KiB.
#[derive(Clone)]
pub struct Logo {
    rendered: Arc<Rendered>,
    is_png: bool,
}

impl Logo {
    /// The most bytes of a picture.
    pub const MOST: usize = 64 << 10;

    /// The picture that a file holds.
    ///
    /// # Errors
    /// [`LookProblem`]: it is too large, or neither a PNG nor an SVG.
    pub fn new(bytes: Vec<u8>) -> Result<Self, LookProblem> {
        if bytes.len() > Self::MOST {
            return Err(LookProblem::TooLarge);
        }
        let is_png = bytes.starts_with(b"\x89PNG\r\n\x1a\n");
        if !is_png && !std::str::from_utf8(&bytes).is_ok_and(|text| text.contains("<svg")) {
            return Err(LookProblem::NotAPicture);
        }
        Ok(Self { rendered: Arc::new(Rendered::new(bytes.into())), is_png })
    }

    pub(super) fn rendered(&self) -> &Rendered {
        &self.rendered
    }

    pub(super) const fn media_type(&self) -> &'static str {
        if self.is_png { "image/png" } else { "image/svg+xml" }
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logo").field("media_type", &self.media_type()).finish_non_exhaustive()
    }
}

/// A colour on which white can be read.
///
/// ```
/// use dogwatch_web::{Accent, LookProblem};
/// assert!(Accent::new("#0b5fff").is_ok());
/// assert_eq!(Accent::new("#ffee00"), Err(LookProblem::TooLight));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accent([u8; 3]);

impl Accent {
    /// The colour with this code: `#` and six hexadecimal digits.
    ///
    /// # Errors
    /// [`LookProblem`]: it is no code, or white on it has a contrast below 4.5 to 1.
    pub fn new(code: &str) -> Result<Self, LookProblem> {
        let fits = |digits: &&str| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digits = code.strip_prefix('#').filter(fits).ok_or(LookProblem::NotAColour)?;
        let number = u32::from_str_radix(digits, 16).map_err(|_| LookProblem::NotAColour)?;
        let [_, red, green, blue] = number.to_be_bytes();
        let accent = Self([red, green, blue]);
        // White has the luminance 1.
        if 1.05 / (accent.luminance() + 0.05) < 4.5 { Err(LookProblem::TooLight) } else { Ok(accent) }
    }

    /// The relative luminance, as WCAG defines it.
    fn luminance(self) -> f64 {
        let linear = |byte: u8| {
            let part = f64::from(byte) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Accent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// The stylesheet of a page.
pub(super) fn style(look: Option<&Look>) -> String {
    // What is there for whoever changes it is not sent.
    let lines = STYLE.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("/*"));
    let style = lines.collect::<Vec<_>>().join("\n");
    match look.and_then(|look| look.accent) {
        // On paper there is no colour behind the name.
        Some(accent) => format!("{style}\n@media screen {{ :root {{ --accent: {accent}; }} }}\n"),
        None => style,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours() {
        for (code, expected) in [
            ("#000000", Ok(())),
            ("#767676", Ok(())),
            ("#777777", Err(LookProblem::TooLight)),
            ("#ffffff", Err(LookProblem::TooLight)),
            ("#D70000", Ok(())),
            ("000000", Err(LookProblem::NotAColour)),
            ("#00000", Err(LookProblem::NotAColour)),
            ("#00000g", Err(LookProblem::NotAColour)),
            ("#+00000", Err(LookProblem::NotAColour)),
            ("#00é0", Err(LookProblem::NotAColour)),
        ] {
            assert_eq!(Accent::new(code).map(|_| ()), expected, "{code}");
        }
    }

    #[test]
    fn pictures() {
        let is = |bytes: &[u8]| Logo::new(bytes.to_vec()).map(|logo| logo.media_type());
        assert_eq!(is(b"\x89PNG\r\n\x1a\n..."), Ok("image/png"));
        assert_eq!(is(b"<?xml version='1.0'?><svg/>"), Ok("image/svg+xml"));
        assert_eq!(is(b"GIF89a"), Err(LookProblem::NotAPicture));
        assert_eq!(is(&[b' '; Logo::MOST + 1]), Err(LookProblem::TooLarge));
    }
}
