//! What the crate shows: few names at its root, and commands and queries whose documentation says what they may be refused with.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and this one reads the sources"
)]

use std::fs;
use std::path::{Path, PathBuf};

use dogwatch_core::{Code, Error, Problem, Timestamp};

fn sources() -> Vec<String> {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What stands between the first `begin` and the next `end` behind it.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let start = text.find(begin).unwrap() + begin.len();
    &text[start..start + text[start..].find(end).unwrap()]
}

#[test]
fn the_root_has_only_what_every_embedder_writes() {
    let lib = include_str!("../src/lib.rs");
    let names: Vec<_> = lib
        .split("pub use ")
        .skip(1)
        .flat_map(|line| {
            line.split(';').next().unwrap().rsplit("::").next().unwrap().trim_matches(['{', '}']).split(',')
        })
        .map(|name| name.trim().trim_matches(['{', '}']).to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.contains(&"Actor".to_owned()) && names.contains(&"decide".to_owned()), "{names:?}");
    assert!(names.len() <= 30, "{} names: {names:?}", names.len());
}

/// The codes that a type's documentation names behind the word `Codes`, in their order, each once.
fn documented(source: &str, operation: &str) -> Vec<Code> {
    let item =
        source.find(&format!("pub struct {operation} ")).or_else(|| source.find(&format!("pub struct {operation};")));
    let above = &source[..item.unwrap()];
    let docs: Vec<_> = above
        .lines()
        .rev()
        .skip_while(|line| line.starts_with("#["))
        .take_while(|line| line.starts_with("///"))
        .collect();
    let docs = docs.into_iter().rev().map(|line| line.trim_start_matches("///").trim()).collect::<Vec<_>>().join("\n");
    let Some((_, said)) = docs.split_once("Codes") else { return Vec::new() };
    let paragraph = said.split("\n\n").next().unwrap();
    let mut codes = Vec::new();
    for word in paragraph.split('`').skip(1).step_by(2) {
        let name = if word == "validation_error" { "" } else { word };
        codes.extend(Code::from_name(name).filter(|code| !codes.contains(code)));
    }
    codes
}

/// `CODES` and the documentation of every command and query name the same codes, in the same order.
#[test]
fn documents_name_the_codes() {
    let mut checked = 0;
    for source in sources() {
        for kind in ["Command", "Query"] {
            for part in source.split(&format!("\nimpl {kind} for ")).skip(1) {
                let operation = part.split(' ').next().unwrap();
                let listed = between(part, "const CODES: &'static [Code] =", "];").trim().trim_start_matches("&[");
                let words: Vec<_> = listed.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
                let shown: Vec<_> =
                    documented(&source, operation).iter().map(|code| format!("Code::{code:?}")).collect();
                assert_eq!(shown, words, "{operation}");
                // All are made the same way, can be compared, and have no private field.
                let unit = source.contains(&format!("pub struct {operation};"));
                let made = source.contains(&format!("\nimpl {operation} {{")) || operation == "ListIncidents";
                assert!(unit || made, "{operation} has a constructor");
                let above = source.split(&format!("pub struct {operation}")).next().unwrap();
                assert!(above.trim_end().lines().last().unwrap().contains("PartialEq, Eq"), "{operation}");
                let fields = if unit { "" } else { between(&source, &format!("pub struct {operation} {{\n"), "\n}") };
                let private =
                    |line: &str| !line.trim_start().starts_with("pub ") && !line.trim_start().starts_with("//");
                assert!(!fields.lines().any(private), "{operation}");
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "{checked}");
}

/// Whoever builds commands with `?` is told which of the values was wrong.
#[test]
fn problems_name_what_they_are_about() {
    fn about<T: std::str::FromStr<Err = Problem> + std::fmt::Debug>(text: &str) -> String {
        let problem = text.parse::<T>().unwrap_err();
        let error = Error::from(problem.clone());
        assert_eq!(error.code(), Code::Validation);
        assert_eq!(error.to_string(), format!("invalid input: {problem}"));
        assert_eq!(
            (error.fields()[0].field.as_str(), error.fields()[0].problem.as_str()),
            (problem.about(), problem.what())
        );
        problem.to_string()
    }
    use dogwatch_core::{escalation, id, incident, oncall, team, text};
    for (shown, expected) in [
        (about::<text::Title>(""), "title must not be empty"),
        (about::<text::Name>("a\nb"), "name must not hold control characters"),
        (about::<text::OrgName>(" "), "organization name must not be only white space"),
        (about::<text::PersonName>(""), "first or last name must not be empty"),
        (about::<text::ScheduleName>(&"x".repeat(256)), "schedule name must be at most 255 characters long"),
        (about::<text::EmailAddress>("nobody"), "email must be an e-mail address"),
        (about::<text::IdempotencyKey>(""), "idempotency key must be 1 to 255 visible ASCII characters"),
        (about::<id::IncidentId>("12"), "incident id must be a UUID, hyphenated and in lower case"),
        (about::<id::UserId>("12"), "user id must be an id of the form `user_…`"),
        (about::<Timestamp>("noon"), "timestamp must be an RFC 3339 timestamp"),
        (about::<oncall::HandoffTime>("9"), "handoff time must be a time as `HH:MM`"),
        (about::<incident::Severity>("bad"), "severity must be `critical`, `high`, `medium` or `low`"),
        (about::<team::Role>("boss"), "role must be `org:admin` or `org:member`"),
        (about::<incident::ListLimit>("0"), "limit must be a number from 1 to 100"),
        (escalation::Position::new(0).unwrap_err().to_string(), "position must be a number from 1 to 2147483647"),
    ] {
        assert_eq!(shown, expected);
    }
}
