//! `ARCHITECTURE.md` against the code: its invariants, and the places that it names.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// All files of the crates that hold code or settings of the compiler.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs" || end == "toml") {
            found.push(path);
        }
    }
}

/// What stands between `begin` and the next `]`, wherever it stands.
fn marked(text: &str, begin: &str) -> BTreeSet<String> {
    text.split(begin).skip(1).map(|rest| rest.split(']').next().unwrap().to_owned()).collect()
}

#[test]
fn every_invariant_stands_at_the_code_that_keeps_it() {
    let mut files = vec![root().join("Cargo.toml")];
    for krate in fs::read_dir(root().join("crates")).unwrap() {
        let krate = krate.unwrap().path();
        sources(&krate.join("src"), &mut files);
        files.extend([krate.join("Cargo.toml"), krate.join("clippy.toml")].into_iter().filter(|file| file.exists()));
    }
    let code: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let listed = marked(&page(), "- **[");
    assert!(listed.len() > 10, "{listed:?}");
    assert_eq!(marked(&code, "Invariant ["), listed);
}

/// Each row of the map begins with a path: of a crate, or of something in the crate above.
#[test]
fn every_place_on_the_map_exists() {
    let page = page();
    let map = page.split("| path | what lives there |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut sources = PathBuf::new();
    let mut places = 0;
    for row in map.lines().skip(2) {
        let named = row.split('|').nth(1).unwrap();
        for place in named.split('`').skip(1).step_by(2) {
            let inside = place.starts_with("  ") || named.trim().starts_with("`  ");
            let path = if inside { sources.join(place.trim()) } else { root().join(place) };
            if !inside {
                sources = path.join("src");
            }
            let path = path.to_str().unwrap().replace("<room>", "");
            assert!(Path::new(&path).exists(), "{path}");
            places += 1;
        }
    }
    assert!(places > 40, "{places}");
}

/// A resource has its room under one name: what `http` and the model test have, core and `store` have as well.
#[test]
fn rooms_have_one_name() {
    let rooms = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        entries.map(|entry| name(entry.unwrap().path())).filter(|name| name != "mod").collect()
    };
    let (core, store) = (rooms("crates/core/src"), rooms("crates/store/src/rooms"));
    for folder in ["crates/http/src/rooms", "crates/testkit/src/rooms"] {
        for room in rooms(folder) {
            assert!(core.contains(&room) && store.contains(&room), "{folder}/{room}");
        }
    }
}
