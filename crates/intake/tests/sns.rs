//! Messages of SNS, signed here with a key whose certificate is beside this file: what is taken, and what is forged.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dogwatch_intake::{AlertState, SnsKind, sns};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

const CERTIFICATE: &[u8] = include_bytes!("sns/certificate.pem");
const ANOTHER: &[u8] = include_bytes!("sns/another.pem");
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:alarms";
const PLACE: &str =
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";
const CONFIRM: &str = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=y";

/// Signs a message as SNS does.
fn signed(mut message: Value) -> Value {
    let names: &[&str] = match message["Type"].as_str().unwrap() {
        "Notification" => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    };
    let said = names.iter().filter_map(|name| Some(format!("{name}\n{}\n", message[*name].as_str()?)));
    let text = said.collect::<String>();
    let key = RsaKeyPair::from_pkcs8(include_bytes!("sns/key.pk8")).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    message["Signature"] = STANDARD.encode(signature).into();
    message
}

fn notification(old: &str, new: &str) -> Value {
    let alarm = json!({
        "AlarmName": "Queue too long", "AlarmDescription": "Orders wait.", "AWSAccountId": "123456789012", "Region": "EU (Ireland)",
        "AlarmArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:Queue too long", "OldStateValue": old, "NewStateValue": new,
        "NewStateReason": "Threshold crossed", "StateChangeTime": "2026-04-07T10:00:00.000+0000",
        "Trigger": {"MetricName": "Length", "Namespace": "AWS/SQS"},
    });
    json!({
        "Type": "Notification", "MessageId": "m-1", "TopicArn": TOPIC, "Subject": "ALARM: \"Queue too long\"", "Message": alarm.to_string(),
        "Timestamp": "2026-04-07T10:00:00.000Z", "SignatureVersion": "2", "SigningCertURL": PLACE, "UnsubscribeURL": "https://x",
    })
}

fn subscription() -> Value {
    json!({
        "Type": "SubscriptionConfirmation", "MessageId": "m-0", "TopicArn": TOPIC, "Message": "You have chosen to subscribe.", "Token": "t",
        "SubscribeURL": CONFIRM, "Timestamp": "2026-04-07T10:00:00.000Z", "SignatureVersion": "2", "SigningCertURL": PLACE,
    })
}

#[test]
fn what_is_signed_is_taken() {
    let message = sns(signed(notification("OK", "ALARM")).to_string().as_bytes()).unwrap();
    message.verify(CERTIFICATE).unwrap();
    assert_eq!(
        (message.kind, message.topic.as_str(), message.certificate_url.as_str()),
        (SnsKind::Notification, TOPIC, PLACE)
    );
    let alert = message.alarm().unwrap();
    assert_eq!((alert.report.as_deref(), alert.group), (Some("m-1"), None));
    assert!(alert.key.ends_with(":alarm:Queue too long"), "{}", alert.key);
    let AlertState::Firing(firing) = alert.state else { panic!("it fires") };
    assert_eq!((firing.title.as_str(), firing.summary.as_str()), ("Queue too long", "Threshold crossed"));
    assert!(
        firing.description.contains("Orders wait.") && firing.description.contains("metric: Length"),
        "{}",
        firing.description
    );
    let mut without = notification("OK", "ALARM");
    without.as_object_mut().unwrap().remove("Subject");
    sns(signed(without).to_string().as_bytes()).unwrap().verify(CERTIFICATE).unwrap();
    let confirm = sns(signed(subscription()).to_string().as_bytes()).unwrap();
    confirm.verify(CERTIFICATE).unwrap();
    assert_eq!((confirm.kind, confirm.subscribe_url.as_deref()), (SnsKind::Subscription, Some(CONFIRM)));
}

/// The rules of alarms.
#[test]
fn alarms() {
    for (old, new, expected) in [
        ("OK", "ALARM", "fires"),
        ("ALARM", "OK", "over"),
        ("OK", "INSUFFICIENT_DATA", "nothing"),
        ("INSUFFICIENT_DATA", "OK", "nothing"),
        ("INSUFFICIENT_DATA", "ALARM", "nothing"),
        ("ALARM", "INSUFFICIENT_DATA", "nothing"),
        ("ALARM", "ALARM", "nothing"),
        ("", "", "nothing"),
    ] {
        let message = sns(signed(notification(old, new)).to_string().as_bytes()).unwrap();
        let came_to = match message.alarm().map(|alert| alert.state) {
            Some(AlertState::Firing(_)) => "fires",
            Some(AlertState::Resolved) => "over",
            Some(AlertState::Acknowledged) => "acknowledged",
            None => "nothing",
        };
        assert_eq!(came_to, expected, "{old} to {new}");
    }
    for text in ["", "words", "[]", "{}", r#"{"AlarmName": "x"}"#] {
        let mut message = notification("OK", "ALARM");
        message["Message"] = text.into();
        assert_eq!(sns(signed(message).to_string().as_bytes()).unwrap().alarm(), None, "{text}");
    }
}

#[test]
fn what_is_forged_is_refused() {
    let good = signed(notification("OK", "ALARM"));
    for (name, value) in [
        ("Message", json!("{}")),
        ("MessageId", json!("m-2")),
        ("Subject", json!("another")),
        ("Timestamp", json!("2026-04-07T10:00:01.000Z")),
        ("TopicArn", json!("arn:aws:sns:eu-west-1:123456789012:others")),
        ("Signature", json!("AAAA")),
    ] {
        let mut forged = good.clone();
        forged[name] = value;
        let message = sns(forged.to_string().as_bytes()).unwrap();
        assert!(message.verify(CERTIFICATE).is_err(), "{name} was changed");
    }
    let message = sns(good.to_string().as_bytes()).unwrap();
    for (certificate, what) in [
        (ANOTHER, "of another key"),
        (b"" as &[u8], "none"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "damaged"),
    ] {
        assert!(message.verify(certificate).is_err(), "{what}");
    }
    let file = "SimpleNotificationService-0123.pem";
    for url in [
        format!("http://sns.eu-west-1.amazonaws.com/{file}"),
        format!("https://sns.eu-west-2.amazonaws.com/{file}"),
        format!("https://sns.eu-west-1.amazonaws.com.evil.example/{file}"),
        format!("https://sns.eu-west-1.amazonaws.com:8443/{file}"),
        format!("https://user@sns.eu-west-1.amazonaws.com/{file}"),
        format!("https://sns.eu-west-1.amazonaws.com@evil.example/{file}"),
        format!("https://sns.eu-west-1.amazonaws.com\\@evil.example/{file}"),
        format!("https://evil.example/sns.eu-west-1.amazonaws.com/{file}"),
        format!("https://s3.eu-west-1.amazonaws.com/bucket/{file}"),
        format!("https://sns.eu-west-1.amazonaws.com/bucket/{file}"),
        format!("https://sns.eu-west-1.amazonaws.com/../{file}"),
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-.pem".to_owned(),
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-a/b.pem".to_owned(),
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123.pem?x".to_owned(),
        "https://sns.eu-west-1.amazonaws.com".to_owned(),
        String::new(),
    ] {
        let mut forged = good.clone();
        forged["SigningCertURL"] = url.clone().into();
        assert!(sns(forged.to_string().as_bytes()).is_err(), "{url}");
    }
    for url in [
        "https://evil.example/?Action=ConfirmSubscription&x",
        "https://sns.eu-west-1.amazonaws.com/?Action=Other&x",
        "",
    ] {
        let mut forged = subscription();
        forged["SubscribeURL"] = url.into();
        assert!(sns(signed(forged).to_string().as_bytes()).is_err(), "{url}");
    }
    for topic in [
        "",
        "alarms",
        "arn:aws:sqs:eu-west-1:1:x",
        "arn:aws:sns::1:x",
        "arn:aws:sns:eu.west:1:x",
        "arn:aws:sns:eu-west-1:1:x:y",
        "arn:evil:sns:eu-west-1:1:x",
    ] {
        let mut forged = good.clone();
        forged["TopicArn"] = topic.into();
        assert!(sns(forged.to_string().as_bytes()).is_err(), "{topic}");
    }
    let mut first = good;
    first["SignatureVersion"] = "1".into();
    let refusal = sns(first.to_string().as_bytes()).unwrap_err();
    assert!(refusal.errors[0].contains("--attribute-name SignatureVersion --attribute-value 2"), "{refusal}");
    for body in ["", "[]", "{}", r#"{"Type": "Other"}"#] {
        assert!(sns(body.as_bytes()).is_err(), "{body}");
    }
}

/// What is signed is one text. Whoever has seen a message cannot cut the same text into another one, which would act again.
#[test]
fn what_is_signed_is_cut_in_one_way() {
    let mut cut = signed(notification("OK", "ALARM"));
    let subject = cut["Subject"].as_str().unwrap().to_owned();
    cut["MessageId"] = format!("m-1\nSubject\n{subject}").into();
    cut.as_object_mut().unwrap().remove("Subject");
    let taken = sns(cut.to_string().as_bytes()).and_then(|message| message.verify(CERTIFICATE));
    assert!(taken.is_err(), "the subject became a part of the id");
    for (name, message) in [
        ("MessageId", notification("OK", "ALARM")),
        ("Subject", notification("OK", "ALARM")),
        ("Timestamp", notification("OK", "ALARM")),
        ("Timestamp", subscription()),
        ("Token", subscription()),
    ] {
        for end in ["\n", "\nmore"] {
            let mut broken = message.clone();
            broken[name] = format!("{}{end}", message[name].as_str().unwrap()).into();
            assert!(sns(signed(broken).to_string().as_bytes()).is_err(), "{name} with {end:?}");
        }
    }
    let mut lines = notification("OK", "ALARM");
    lines["Message"] = "of\nmany\r\nlines\n".into();
    sns(signed(lines).to_string().as_bytes()).unwrap().verify(CERTIFICATE).unwrap();
}

/// Nothing of a message may be missing, whatever is signed.
#[test]
fn what_is_missing_is_said() {
    for (message, names) in [
        (notification("OK", "ALARM"), &["Message", "MessageId", "Timestamp"][..]),
        (subscription(), &["Message", "MessageId", "Timestamp", "Token"]),
    ] {
        for name in names {
            let mut without = message.clone();
            without.as_object_mut().unwrap().remove(*name);
            let mut null = message.clone();
            null[*name] = Value::Null;
            for message in [without, null] {
                let refusal = sns(signed(message).to_string().as_bytes()).unwrap_err();
                assert_eq!(refusal.errors, [format!("'{name}' is missing")]);
            }
        }
    }
}

/// `sns.s3.amazonaws.com` and `sns.s3-eu-west-1.amazonaws.com` are places of a bucket named `sns`, which anybody may have.
#[test]
fn what_is_no_region() {
    for region in [
        "s3",
        "s3-eu-west-1",
        "s3-website-eu-west-1",
        "eu",
        "eu-west",
        "eu-1",
        "-",
        "--1",
        "eu--1",
        "eu-west-",
        "eu-west-x",
        "e1-west-1",
    ] {
        let mut foreign = notification("OK", "ALARM");
        foreign["TopicArn"] = format!("arn:aws:sns:{region}:123456789012:alarms").into();
        foreign["SigningCertURL"] =
            format!("https://sns.{region}.amazonaws.com/SimpleNotificationService-0123.pem").into();
        assert!(sns(signed(foreign).to_string().as_bytes()).is_err(), "{region}");
    }
    for region in ["us-east-1", "ap-southeast-12", "us-gov-west-1", "us-isob-east-1", "mx-central-1"] {
        let mut known = notification("OK", "ALARM");
        known["TopicArn"] = format!("arn:aws:sns:{region}:123456789012:alarms").into();
        known["SigningCertURL"] =
            format!("https://sns.{region}.amazonaws.com/SimpleNotificationService-0123.pem").into();
        sns(signed(known).to_string().as_bytes()).unwrap().verify(CERTIFICATE).unwrap();
    }
}

/// In China the host has another end.
#[test]
fn regions() {
    let mut china = notification("OK", "ALARM");
    china["TopicArn"] = "arn:aws-cn:sns:cn-north-1:123456789012:alarms".into();
    china["SigningCertURL"] = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0123.pem".into();
    sns(signed(china).to_string().as_bytes()).unwrap().verify(CERTIFICATE).unwrap();
}

/// Messages whose verdict is known, and what AWS's validator for JavaScript makes of them (`.ci/sns.mjs` asks it); `messages.mjs` wrote them.
#[test]
fn messages_that_two_judge() {
    let table: Value = serde_json::from_slice(include_bytes!("sns/messages.json")).unwrap();
    let messages = table["messages"].as_array().unwrap();
    assert!(messages.len() > 200, "{}", messages.len());
    for message in messages {
        let field = |name: &str| message[name].as_str().unwrap();
        let certificate = &table["certificates"][field("certificate")];
        let read = sns(field("body").as_bytes());
        let verified = read.and_then(|read| read.verify(certificate.as_str().unwrap_or_default().as_bytes()));
        let verdict = if verified.is_ok() { "taken" } else { "refused" };
        assert_eq!(verdict, field("ours"), "{}: {verified:?}", field("name"));
        assert_eq!(field("ours") == field("theirs"), message["why"].is_null(), "{}", field("name"));
    }
}
