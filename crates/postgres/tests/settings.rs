//! Where the database is: what may be said, and what must be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use dogwatch_postgres::Settings;

#[test]
fn whether_a_connection_is_encrypted_is_not_guessed() {
    let table = [
        ("postgres://dogwatch@localhost/dogwatch", true),
        ("postgres://dogwatch@127.0.0.1,[::1]/dogwatch", true),
        ("host=/run/postgresql user=dogwatch", true),
        ("postgres://dogwatch@db1.example/dogwatch", false),
        ("postgres://dogwatch@localhost,db1.example/dogwatch", false),
        ("postgres://dogwatch@db1.example/dogwatch?sslmode=disable", true),
        ("postgres://dogwatch@db1.example/dogwatch?sslmode=prefer", false),
        ("postgres://dogwatch@db1.example,db2.example/dogwatch?sslmode=require&target_session_attrs=any", true),
        ("postgres://dogwatch@db1.example/dogwatch?sslmode=perhaps", false),
        ("postgres://dogwatch@db1.example/dogwatch?statement_timeout=3", false),
        ("mysql://dogwatch@localhost/dogwatch", false),
        ("", false),
    ];
    for (url, fits) in table {
        assert_eq!(Settings::new(url).is_ok(), fits, "{url}");
    }
}

#[test]
fn a_password_is_not_shown() {
    let inside = Settings::new("postgres://dogwatch:hunter2@localhost/dogwatch").unwrap();
    assert!(inside.has_password());
    let apart = Settings::new("postgres://dogwatch@localhost/dogwatch").unwrap();
    assert!(!apart.has_password());
    for settings in [inside, apart.password("hunter2")] {
        assert!(settings.has_password());
        let shown = format!("{settings:?}");
        assert!(shown.contains("localhost") && !shown.contains("hunter2"), "{shown}");
    }
}
