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

use dogwatch_core::Code;

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
                let listed = between(part, "const CODES: &'static [Code] = &[", "];");
                let words: Vec<_> = listed.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
                let shown: Vec<_> =
                    documented(&source, operation).iter().map(|code| format!("Code::{code:?}")).collect();
                assert_eq!(shown, words, "{operation}");
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "{checked}");
}
