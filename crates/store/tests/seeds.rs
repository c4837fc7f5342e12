//! The seeds of the fuzz targets, run as plain tests.

use std::path::{Path, PathBuf};

use dogwatch_testkit::targets;

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target)
}

#[test]
fn commands() {
    assert!(targets::replay(&seeds("commands"), targets::commands) > 0);
}

#[test]
fn rules() {
    assert!(targets::replay(&seeds("rules"), targets::rules) > 0);
}

#[test]
fn schedules() {
    assert!(targets::replay(&seeds("schedules"), targets::schedules) > 0);
}

#[test]
fn journal() {
    assert!(targets::replay(&seeds("journal"), targets::journal) > 0);
}

#[test]
fn records() {
    assert!(targets::replay(&seeds("records"), targets::records) > 0);
}

#[test]
fn alerts() {
    assert!(targets::replay(&seeds("alerts"), targets::alerts) > 0);
}

#[test]
fn parsers() {
    assert!(targets::replay(&seeds("parsers"), targets::parsers) > 0);
}
