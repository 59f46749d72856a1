//! URIs of connections, and the option lists that say the same.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = str::from_utf8(data) {
        lakeport_connect::fuzzing::uris(text);
        lakeport_connect::fuzzing::option_lists(text);
    }
});
