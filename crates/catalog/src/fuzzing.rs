//! What holds for everything that may be found in a store; for fuzzers and tests.

use std::fmt::Debug;

use lakeport_base::scram::Verifier;
use lakeport_base::{Env, Secret, SqlType};

use crate::model::{FormatOptions, SchedulePlan, ScheduleRun};
use crate::seal::{DataKey, KEY_BYTES, MasterKey, Place};
use crate::stored::{JobConnections, RoleProfile, Shape, TableShape};

const PLACE: Place<'static> = Place { kind: "connection", id: "101", version: 3 };

/// Reads a text as each stored shape. What can be read is stored and read again as the same.
///
/// # Panics
/// When that does not hold.
pub fn shapes(text: &str) {
    shape::<TableShape>(text);
    shape::<RoleProfile>(text);
    shape::<JobConnections>(text);
    shape::<FormatOptions>(text);
    shape::<SchedulePlan>(text);
    shape::<ScheduleRun>(text);
    Verifier::parse(text);
    if let Some(ty) = SqlType::parse(text) {
        assert_eq!(SqlType::parse(&ty.to_string()), Some(ty));
    }
}

fn shape<S: Shape + PartialEq + Debug>(text: &str) {
    let Ok(value) = S::decode(text) else { return };
    let stored = value.encode().expect("what was read can be stored");
    assert_eq!(S::decode(&stored).expect("what was stored can be read"), value);
}

/// Takes bytes for a sealed secret and a wrapped key, which they are not, and seals them: they open as they were, and
/// not with one byte changed.
///
/// # Panics
/// When that does not hold.
pub fn sealed(data: &[u8]) {
    let env = Env::system();
    let master = MasterKey::from_bytes(&[7; KEY_BYTES]).expect("as long as a key");
    let key = DataKey::generate(&env);
    assert!(key.open(data, PLACE).is_err());
    assert!(DataKey::unwrap(data, &master).is_err());
    let key = DataKey::unwrap(&key.wrap(&master, &env), &master).expect("its own master key");
    let secret = Secret::new(String::from_utf8_lossy(data).into_owned());
    let mut sealed = key.seal(&secret, PLACE, &env);
    assert_eq!(key.open(&sealed, PLACE).expect("sealed for this place"), secret);
    let changed = data.len() % sealed.len();
    sealed[changed] ^= 1;
    assert!(key.open(&sealed, PLACE).is_err());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_read_back_and_rubbish_does_no_harm() {
        for text in [
            include_str!("samples/table_1.json"),
            include_str!("samples/role_1.json"),
            include_str!("samples/job_connections_1.json"),
            include_str!("samples/format_options_1.json"),
            include_str!("samples/schedule_plan_1.json"),
            include_str!("samples/schedule_plan_2.json"),
            include_str!("samples/schedule_run_1.json"),
            "decimal(10,2)[]",
            "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA",
            "{\"version\":",
            "",
        ] {
            shapes(text);
            sealed(text.as_bytes());
        }
    }
}
