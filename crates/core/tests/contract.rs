//! The table of codes in core and the one in `docs/contract.md` are the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use dogwatch_core::{Code, ErrorKind};

const CONTRACT: &str = include_str!("../../../docs/contract.md");

/// The rows of the table with this header, cell by cell.
fn table(header: &str) -> Vec<Vec<&'static str>> {
    let rows = CONTRACT.split_once(header).unwrap().1.split_once("\n\n").unwrap().0;
    let rows = rows.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()).collect()
}

#[test]
fn the_same_codes_in_the_same_order_with_the_same_status() {
    let row = |cells: Vec<&'static str>| (cells[0].split('`').next().unwrap(), cells[1].parse::<u16>().unwrap());
    let documented: Vec<_> = table("| code | status | when |").into_iter().map(row).collect();
    let codes = Code::ALL.iter().filter(|code| **code != Code::Validation);
    let ours: Vec<_> = codes.map(|code| (code.as_str(), code.http_status())).collect();
    assert_eq!(ours, documented);
}

#[test]
fn the_type_of_a_code_permits_its_status() {
    let types = table("| type | status | when |");
    for code in Code::ALL {
        let row = types.iter().find(|cells| cells[0] == code.kind().as_str()).unwrap();
        let status = code.http_status().to_string();
        assert!(row[1].split(',').any(|permitted| permitted.trim() == status), "{code}");
    }
}

#[test]
fn codes_round_trip_by_name() {
    for code in Code::ALL {
        assert_eq!(Code::from_name(code.as_str()), Some(*code));
        assert_eq!(code.row().code, *code);
        assert!(!code.row().meaning.is_empty());
    }
    assert_eq!(Code::from_name("no_such_code"), None);
    assert_eq!(Code::Validation.to_string(), ErrorKind::Validation.as_str());
}
