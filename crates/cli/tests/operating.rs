//! What `docs/operating.md` and `deploy/` say is so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use support::Server;

mod support;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

fn dogwatch(args: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dogwatch")).args(args).envs(environment.iter().copied()).output().unwrap()
}

/// Each flag of `serve` and its default, as its help says.
fn flags() -> BTreeMap<String, String> {
    let help = String::from_utf8(dogwatch(&["serve", "--help"], &[]).stdout).unwrap();
    let mut flags = BTreeMap::new();
    let mut name = String::new();
    for line in help.lines().map(str::trim) {
        let flag = line.split_whitespace().find(|word| word.starts_with("--"));
        if let Some(flag) = flag.filter(|_| line.starts_with('-')) {
            name = flag.to_owned();
            flags.insert(name.clone(), if line.contains('<') { "none" } else { "off" }.to_owned());
        }
        if let Some((_, default)) = line.split_once("[default: ") {
            flags.insert(name.clone(), default.trim_end_matches(']').to_owned());
        }
    }
    flags.remove("--help");
    flags
}

#[test]
fn the_table_of_settings() {
    let mut told = BTreeMap::new();
    for line in read("docs/operating.md").lines().filter(|line| line.starts_with("| `--")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        for name in cells[1].split(", ") {
            told.insert(name.trim_matches('`').to_owned(), cells[2].trim_matches('`').to_owned());
        }
    }
    assert_eq!(told, flags());
}

#[test]
fn the_metrics_exist() {
    let (folder, letters) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(folder.path(), &["--mail-folder", letters.path().to_str().unwrap()]);
    server.request("GET", "/v1/components", &server.key(), None);
    let shown = server.raw(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let operating = read("docs/operating.md");
    let named: Vec<_> =
        operating.lines().filter_map(|line| line.strip_prefix("| `dogwatch_")?.split('`').next()).collect();
    assert!(named.len() > 5);
    for name in named {
        assert!(shown.contains(&format!("\ndogwatch_{name}")), "dogwatch_{name} is not in {shown}");
    }
}

#[test]
fn a_file_with_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dogwatch.toml");
    let path = file.to_str().unwrap();
    let check = |text: &str, args: &[&str], environment: &[(&str, &str)]| {
        std::fs::write(&file, text).unwrap();
        let output = dogwatch(&[&["config", "check", "--config", path], args].concat(), environment);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), said)
    };
    let operating = read("docs/operating.md");
    let example = operating.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let letters = folder.path().join("mail");
    let mail = ["--mail-folder", letters.to_str().unwrap()];
    assert_eq!(check(example, &mail, &[]), (true, "the settings fit\n".to_owned()));
    let nobody = "the settings fit, but pages reach nobody: no mail\n";
    assert_eq!(check(example, &[], &[]), (true, nobody.to_owned()));
    for (text, problem) in [
        ("connections = \"many\"", "invalid value 'many' for '--connections <N>'"),
        ("rate-per-key = \"0\"", "must be N a second, N/BURST, or `off`"),
        ("colour = \"red\"", "`colour` is no setting of"),
        ("config = \"x\"", "`config` is no setting of"),
        ("connections = [1]", "`connections` must be a string, a number"),
        ("connections = ", "dogwatch.toml: "),
        ("listen = \"nowhere\"", "invalid socket address"),
        ("tls-cert = \"nowhere\"", "--tls-key"),
    ] {
        let (fits, said) = check(text, &[], &[]);
        assert!(!fits && said.contains(problem), "{text}: {said}");
    }
    // The flag counts most, then the environment, then the file.
    let wrong = "connections = \"many\"";
    assert!(check(wrong, &["--connections", "5"], &[]).0);
    assert!(check(wrong, &[], &[("DOGWATCH_CONNECTIONS", "5")]).0);
    assert!(!check("connections = 5", &[], &[("DOGWATCH_CONNECTIONS", "many")]).0);
    // And it is what is served.
    std::fs::write(&file, "connections = 1\nexisting = true\nquiet = true\n").unwrap();
    let data = folder.path().join("data");
    drop(Server::start(&data, &[]));
    let server = Server::start(&data, &["--config", path]);
    let held = server.connect();
    let mut refused = false;
    for _ in 0..100 {
        refused = refused
            || server.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").contains("overloaded");
    }
    assert!(refused, "there is one seat");
    drop(held);
}

#[test]
fn the_unit_and_the_image_start_it_right() {
    let unit = read("deploy/dogwatch.service");
    let exec = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/dogwatch serve ")).unwrap();
    let image = read("deploy/Dockerfile");
    let command = image.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    let command: Vec<String> = serde_json::from_str(command).unwrap();
    assert_eq!(command[0], "serve");
    let unit: Vec<_> = exec.split_whitespace().collect();
    let image: Vec<_> = command[1..].iter().map(String::as_str).collect();
    for args in [unit, image] {
        let output = dogwatch(&[&["config", "check"], &args[..]].concat(), &[]);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
