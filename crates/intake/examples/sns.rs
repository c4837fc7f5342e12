//! Says of each message of SNS in a file, such as `tests/sns/messages.json`, whether it is taken or refused, a line each.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers fails by panicking, and prints")]

use std::collections::BTreeMap;

use serde::Deserialize;

/// Messages, and the certificates that they name; `null` is none.
#[derive(Deserialize)]
struct Table {
    certificates: BTreeMap<String, Option<String>>,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    certificate: String,
    body: String,
}

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let table: Table = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for message in table.messages {
        let certificate = table.certificates.get(&message.certificate).unwrap().as_deref();
        let verified = dogwatch_intake::sns(message.body.as_bytes())
            .is_ok_and(|read| certificate.is_some_and(|pem| read.verify(pem.as_bytes()).is_ok()));
        println!("{}", if verified { "taken" } else { "refused" });
    }
}
