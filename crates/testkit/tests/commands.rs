//! Random commands: they reach every kind, most that are valid succeed, and no sequence leaves a store in disorder.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use dogwatch_testkit::commands::{AnyCommand, Known, any_command, valid_command};
use dogwatch_testkit::house::House;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

fn kind(command: &AnyCommand) -> String {
    format!("{command:?}").split('(').next().unwrap().to_owned()
}

/// Of each kind: how often it was drawn, and how often it succeeded.
fn outcomes(strategy: impl Fn(&Known) -> BoxedStrategy<AnyCommand>) -> BTreeMap<String, (u32, u32)> {
    let (mut seen, mut runner) = (BTreeMap::<String, (u32, u32)>::new(), TestRunner::deterministic());
    for _ in 0..12 {
        let mut house = House::new();
        for _ in 0..400 {
            let command = strategy(&house.known).new_tree(&mut runner).unwrap().current();
            let count = seen.entry(kind(&command)).or_default();
            count.0 += 1;
            count.1 += u32::from(command.execute(&house.engine, &house.admin, &mut house.known).is_ok());
        }
        assert!(house.engine.verify(&mut |_| ()).is_clean());
    }
    seen
}

#[test]
fn every_kind_is_drawn_and_can_succeed() {
    for seen in [outcomes(|known| any_command(known).boxed()), outcomes(|known| valid_command(known).boxed())] {
        assert_eq!(seen.len(), AnyCommand::KINDS, "{seen:?}");
        let never: Vec<_> = seen.iter().filter(|(_, (_, done))| *done == 0).collect();
        assert!(never.is_empty(), "never succeeded: {never:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(dogwatch_testkit::cases(64)))]

    /// The same bytes give the same commands, and commands in transactions do what they do by themselves.
    #[test]
    fn a_transaction_is_the_same_commands(bytes in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        let (mut one, mut other) = (House::new(), House::new());
        let mut source = Unstructured::new(&bytes);
        for _ in 0..20 {
            let command = AnyCommand::arbitrary(&mut source, &one.known).unwrap();
            let again = command.clone();
            let done = command.execute(&one.engine, &one.admin, &mut one.known);
            let mut known = other.known.clone();
            let in_one = other.engine.transact(&other.admin, move |tx| again.execute_in(tx, &mut known).map(|()| known));
            prop_assert_eq!(done.as_ref().err().map(ToString::to_string), in_one.as_ref().err().map(ToString::to_string));
            other.known = in_one.unwrap_or(other.known);
            prop_assert_eq!(&one.known, &other.known);
        }
    }
}
