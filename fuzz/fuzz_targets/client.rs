//! What a client sends: startup packets, messages, parameters.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lakeport_wire::fuzzing::client(data));
