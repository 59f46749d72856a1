//! Texts of statements.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = str::from_utf8(data) {
        lakeport_sql::fuzzing::statements(text);
    }
});
