//! What a catalog holds: shapes, jobs, sealed secrets.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    lakeport_catalog::fuzzing::sealed(data);
    if let Ok(text) = str::from_utf8(data) {
        lakeport_catalog::fuzzing::shapes(text);
        lakeport_core::fuzzing::jobs(text);
    }
});
