//! Options, columns and data of a COPY.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lakeport_wire::fuzzing::copy(data));
