//! Random sequences of operations, restarts among them, against the naive model; in memory and on disk.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use dogwatch_store::backend::MemoryBackend;
use dogwatch_store::journal::Position;
use dogwatch_store::{Engine, ManualClock, ReadOnly, Report, Until, import, restore};
use dogwatch_testkit::{oncall, ops, parsers, run, targets};
use proptest::prelude::*;
use serde_json::Value;

/// So many cases, and not for ever at a failing one.
fn config(usual: u32) -> ProptestConfig {
    ProptestConfig { max_shrink_time: 20_000, ..ProptestConfig::with_cases(dogwatch_testkit::cases(usual)) }
}

fn in_memory(steps: &[ops::Step]) {
    let backend = MemoryBackend::new();
    let mut open =
        |clock: ManualClock, seed| Engine::builder().clock(clock).id_seed(seed).with_backend(backend.clone()).unwrap();
    run::run(steps, &mut open);
}

fn on_disk(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let backup = folder.path().join("backup");
    let mut open = |clock: ManualClock, seed| {
        let engine = Engine::builder().clock(clock).id_seed(seed).open(&data).unwrap();
        engine.backup_increment(&backup, &mut |_| ()).unwrap();
        engine
    };
    run::run(&ops::steps(bytes), &mut open);
    let engine = Engine::open(&data).unwrap();
    engine.backup_increment(&backup, &mut |_| ()).unwrap();
    // A copy does not have the bookmark of the backup.
    engine.bookmarks().unwrap().iter().for_each(|(name, _)| engine.remove_bookmark(name).unwrap());
    drop(engine);
    let store = ReadOnly::open(&data).unwrap();
    export_and_import(folder.path(), &store);
    replay(&store);
    drop(store);
    restored(folder.path(), &data, &backup);
}

/// The changes from the beginning on, one after another, end in what is exported now, except what followers are not shown.
fn replay(store: &ReadOnly) {
    let (mut changes, mut export) = (Vec::new(), Vec::new());
    store.changes(Position::default(), &mut changes, &mut |_| ()).unwrap();
    store.export(&mut export, &mut |_| ()).unwrap();
    let lines = |bytes: &[u8]| -> Vec<Value> {
        bytes
            .split(|byte| *byte == b'\n')
            .filter(|it| !it.is_empty())
            .map(|it| serde_json::from_slice(it).unwrap())
            .collect()
    };
    let name = |entity: &Value| {
        let (kind, id) = (entity["type"].as_str().unwrap().to_owned(), entity["id"].as_str().unwrap().to_owned());
        (kind, id)
    };
    let mut replayed = BTreeMap::new();
    for change in lines(&changes) {
        let mut entity = change["entity"].clone();
        let before = match change["what"].as_str().unwrap() {
            "deleted" => replayed.remove(&name(&entity)),
            _ => {
                entity.as_object_mut().unwrap().remove("leftOut");
                replayed.insert(name(&entity), entity.clone())
            }
        };
        let known = change["what"] != "created";
        assert_eq!(before.is_some(), known, "{change}");
    }
    let shown = [
        "organization",
        "member",
        "invitation",
        "apiKey",
        "component",
        "incident",
        "update",
        "schedule",
        "rotationLayer",
        "override",
        "policy",
        "policyLayer",
        "webhook",
        "statusPage",
        "maintenance",
        "integration",
    ];
    let exported = lines(&export).into_iter().filter(|line| shown.contains(&line["type"].as_str().unwrap()));
    let exported: BTreeMap<_, _> = exported
        .map(|mut line| {
            let fields = line.as_object_mut().unwrap();
            match fields["type"].as_str() {
                Some("apiKey") => assert!(fields.remove("hash").is_some()),
                Some("invitation" | "integration") => assert!(fields.remove("token").is_some()),
                _ => {}
            }
            (name(&line), line)
        })
        .collect();
    assert_eq!(replayed, exported);
}

/// A backup that was begun with the store, and brought up to date whenever it was opened, is restored as it was at any commit.
fn restored(folder: &Path, data: &Path, backup: &Path) {
    let last = ReadOnly::open(data).unwrap().head().position;
    let begun = {
        let all = restore(backup, folder.join("all"), Until::Last, &mut |_| ()).unwrap();
        // What the backup does not have is that its own bookmark was moved, and removed.
        assert_eq!(all.position.number + 2, last.number);
        all.position.number - all.commits
    };
    let export = |store: &ReadOnly| {
        let mut out = Vec::new();
        store.export(&mut out, &mut |_| ()).unwrap();
        out
    };
    assert_eq!(export(&ReadOnly::open(folder.join("all")).unwrap()), export(&ReadOnly::open(data).unwrap()));
    let at = Position { term: 0, number: u64::midpoint(begun, last.number) };
    let part = restore(backup, folder.join("part"), Until::Position(at), &mut |_| ()).unwrap();
    assert_eq!(part.position, at);
    let part = ReadOnly::open(folder.join("part")).unwrap();
    assert_eq!((part.head().position, part.verify(&mut |_| ()).findings), (at, vec![]));
}

/// What is exported, imported and exported again is the same to the byte; a copy holds the same, too.
fn export_and_import(folder: &Path, store: &ReadOnly) {
    let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
    store.export(&mut first, &mut |_| ()).unwrap();
    let (imported, copied) = (folder.join("imported"), folder.join("copied"));
    import(&mut first.as_slice(), &imported, &mut |_| ()).unwrap();
    let again = ReadOnly::open(&imported).unwrap();
    assert_eq!(again.verify(&mut |_| ()), Report { rows: again.verify(&mut |_| ()).rows, ..clean(&first) });
    again.export(&mut second, &mut |_| ()).unwrap();
    assert_eq!(String::from_utf8(first.clone()).unwrap(), String::from_utf8(second).unwrap());

    store.backup(&copied, &mut |_| ()).unwrap();
    let copy = ReadOnly::open(&copied).unwrap();
    assert_eq!(copy.verify(&mut |_| ()), store.verify(&mut |_| ()));
    assert_eq!(copy.stats().unwrap().tables, store.stats().unwrap().tables);
    copy.export(&mut third, &mut |_| ()).unwrap();
    assert_eq!(first, third);
}

/// The report on a store of these lines: a thing each, but for the first and the last.
fn clean(lines: &[u8]) -> Report {
    let lines = lines.split(|byte| *byte == b'\n').count() - 1;
    Report { things: u64::try_from(lines - 2).unwrap(), ..Report::default() }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn the_engine_agrees_with_the_model(bytes in prop::collection::vec(any::<u8>(), 200..4_000)) {
        in_memory(&ops::steps(&bytes));
    }
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn the_rules_agree_with_the_model(bytes in prop::collection::vec(any::<u8>(), 200..4_000)) {
        targets::rules(&bytes);
    }
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn status_pages_agree_with_the_model(bytes in prop::collection::vec(any::<u8>(), 200..1_500)) {
        run::run_rules(&ops::steps_about_a_page(&bytes));
    }
}

proptest! {
    #![proptest_config(config(30))]

    #[test]
    fn stored_status_pages_agree_with_the_model(bytes in prop::collection::vec(any::<u8>(), 200..1_500)) {
        in_memory(&ops::steps_about_a_page(&bytes));
    }
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn alerts_agree_with_the_model(bytes in prop::collection::vec(any::<u8>(), 100..1_500)) {
        run::run_rules(&ops::steps_about_alerts(&bytes));
    }
}

proptest! {
    #![proptest_config(config(30))]

    #[test]
    fn stored_alerts_agree_with_the_model(bytes in prop::collection::vec(any::<u8>(), 100..1_500)) {
        in_memory(&ops::steps_about_alerts(&bytes));
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn the_engine_agrees_with_the_model_on_disk(bytes in prop::collection::vec(any::<u8>(), 200..2_000)) {
        on_disk(&bytes);
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn schedules_under_edits_agree_with_the_oracle(bytes in prop::collection::vec(any::<u8>(), 100..1_500)) {
        oncall::run(&bytes);
    }
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn parsers_agree_with_a_naive_reading(text in texts()) {
        parsers::check(&text);
    }
}

/// Texts near the edges of every parser: timestamps, ids, e-mails, plain words, anything.
fn texts() -> impl Strategy<Value = String> {
    let timestamp = "(19[67][0-9]|20[0-9]{2}|9999)-(0[0-9]|1[0-3])-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:([0-5][0-9]|60)(\\.[0-9]{0,12})?(Z|z|[+-][0-2][0-9]:[0-6][0-9])?";
    prop_oneof![
        4 => timestamp,
        1 => "(19[67][0-9]|9999)-(0[1-9]|1[0-2])-[0-3][0-9]",
        2 => "(org_|user_|orginv_|key_|sh_|inc1_|)[0-9a-f]{32}",
        2 => "[0-9a-fA-F]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        1 => "[a-zA-Z.+]{0,8}@[a-z.-]{0,12}",
        2 => "https?://([a-z]{1,3}@)?(\\[[0-9a-f:]{1,9}\\]|[a-zA-Z0-9._-]{1,12})(:[0-9]{0,6})?(/[!-~]{0,9})?([?#][!-~]{0,5})?",
        1 => "[0-9+ -]{0,4}",
        2 => "\\PC{0,120}",
        1 => "(.|\\n|\\t){0,20}",
        1 => "[a \\n]{98,102}",
        1 => "[a🦀]{9998,10002}",
        1 => ".{254,257}",
    ]
}
