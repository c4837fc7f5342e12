//! The output of the demo: lines with a clock in the margin, legible at 80 columns, with colour or without.
//!
//! A [`Stage`] writes headings, acts and their outcomes, notes, and rows of records. Long text is broken at spaces.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use dogwatch_store::rules::Timestamp;
use dogwatch_store::rules::status_page::PublicPage;

use crate::status;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// The widest line, in characters.
const WIDTH: usize = 80;
/// The column at which text begins, behind the clock.
const MARGIN: usize = 10;
/// Columns of the kind of a row: the longest event of an audit trail, and two spaces.
const WHAT: usize = 23;

/// The output to which the demo is written.
pub(crate) struct Stage<W> {
    out: W,
}

impl<W: Write> Stage<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out }
    }

    /// A heading.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n  {BOLD}{text}{BOLD:#}\n")
    }

    /// An act: who does what, at an instant.
    pub(crate) fn act(&mut self, at: Timestamp, who: &str, does: &str) -> io::Result<()> {
        let text = format!("{who} {does}");
        let mut lines = wrapped(&text, WIDTH - MARGIN).into_iter();
        let first = lines.next().unwrap_or_default();
        let first = first.strip_prefix(who).unwrap_or(&first).to_owned();
        writeln!(self.out, "  {DIM}{}{DIM:#}   {BOLD}{who}{BOLD:#}{first}", clock(at))?;
        lines.try_for_each(|line| writeln!(self.out, "{:MARGIN$}{line}", ""))
    }

    /// The outcome of an act that worked.
    pub(crate) fn done(&mut self, text: &str) -> io::Result<()> {
        self.outcome(GOOD, "+", text)
    }

    /// The outcome of an act that was refused: the code, then the reason.
    pub(crate) fn refused(&mut self, code: &str, why: &str) -> io::Result<()> {
        writeln!(self.out, "{:MARGIN$}{BAD}- refused: {code}{BAD:#}", "")?;
        self.note(why)
    }

    fn outcome(&mut self, style: Style, mark: &str, text: &str) -> io::Result<()> {
        for (n, line) in wrapped(text, WIDTH - MARGIN - 2).iter().enumerate() {
            let mark = if n == 0 { mark } else { " " };
            writeln!(self.out, "{:MARGIN$}{style}{mark} {line}{style:#}", "")?;
        }
        Ok(())
    }

    /// An explanation, dimmed.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        let lines = wrapped(text, WIDTH - MARGIN - 2);
        lines.iter().try_for_each(|line| writeln!(self.out, "{:MARGIN$}  {DIM}{line}{DIM:#}", ""))
    }

    /// A row of a record: its instant, its kind, and more about it.
    pub(crate) fn row(&mut self, at: Timestamp, what: impl Display, more: &str) -> io::Result<()> {
        let what = what.to_string();
        let mut lines = wrapped(more, WIDTH - MARGIN - WHAT).into_iter();
        let first = lines.next().unwrap_or_default();
        let row = format!("{what:<WHAT$}{first}");
        writeln!(self.out, "  {DIM}{}{DIM:#}   {}", clock(at), row.trim_end())?;
        lines.try_for_each(|line| writeln!(self.out, "{:width$}{line}", "", width = MARGIN + WHAT))
    }

    /// A name and a value.
    pub(crate) fn fact(&mut self, name: &str, value: impl Display) -> io::Result<()> {
        writeln!(self.out, "  {DIM}{name:<12}{DIM:#}{value}")
    }

    /// A status page.
    pub(crate) fn draw(&mut self, page: &PublicPage) -> io::Result<()> {
        status::draw(page, &mut self.out)
    }

    /// An empty line.
    pub(crate) fn gap(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }
}

/// The hours and minutes of an instant, in UTC: `02:13`.
fn clock(at: Timestamp) -> String {
    at.to_string().chars().skip(11).take(5).collect()
}

/// Lines of at most `width` characters, broken at spaces where there are any.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_at_spaces() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefgh ij", 4), ["abcdefgh", "ij"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn the_clock_is_hours_and_minutes() {
        assert_eq!(clock("2026-04-07T02:13:59.999Z".parse().unwrap()), "02:13");
    }
}
