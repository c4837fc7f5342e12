#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| match data.split_first() {
    // What Slack sends: no bytes are a token that is none of ours.
    Some((b'{', _)) => {
        let payload = [b"payload=", data].concat();
        let _ = dogwatch_web::slack_token(&payload);
    }
    _ => dogwatch_deliver::fuzzing::render(data),
});
