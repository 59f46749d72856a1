use std::os::unix::fs::PermissionsExt;

use super::*;

const PLACE: Place<'static> = Place { kind: "connection", id: "101", version: 3 };

fn key() -> DataKey {
    DataKey(Key::from_bytes(&[7; KEY_BYTES]).unwrap())
}

fn secret() -> Secret<String> {
    Secret::new("s3://bucket?AWS_SECRET_ACCESS_KEY=frozen".to_string())
}

#[test]
fn a_sealed_secret_opens_only_in_its_place() {
    let env = Env::system();
    let sealed = key().seal(&secret(), PLACE, &env);
    assert_eq!(key().open(&sealed, PLACE).unwrap(), secret());
    assert_ne!(sealed, key().seal(&secret(), PLACE, &env), "every seal has its own nonce");
    let elsewhere = [Place { id: "102", ..PLACE }, Place { version: 4, ..PLACE }, Place { kind: "role", ..PLACE }];
    for place in elsewhere {
        assert!(key().open(&sealed, place).is_err(), "{place:?}");
    }
    assert!(DataKey::generate(&env).open(&sealed, PLACE).is_err());
}

#[test]
fn any_changed_or_missing_byte_is_noticed() {
    let sealed = key().seal(&secret(), PLACE, &Env::system());
    for i in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[i] ^= 1;
        assert!(key().open(&changed, PLACE).is_err(), "byte {i}");
        assert!(key().open(&sealed[..i], PLACE).is_err(), "{i} bytes");
    }
}

#[test]
fn frozen_samples_open() {
    let samples: serde_json::Value = serde_json::from_str(include_str!("../samples/sealed_1.json")).unwrap();
    let bytes = |name: &str| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.decode(samples[name].as_str().unwrap()).unwrap()
    };
    let master = MasterKey::from_bytes(&[9; KEY_BYTES]).unwrap();
    let key = DataKey::unwrap(&bytes("wrapped_data_key"), &master).unwrap();
    assert_eq!(key.open(&bytes("connection_101_version_3"), PLACE).unwrap(), secret());
}

#[test]
fn a_missing_key_file_is_made_once_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let env = Env::system();
    let made = MasterKey::load_or_create(&path, &env).unwrap();
    let loaded = MasterKey::load_or_create(&path, &env).unwrap();
    assert_eq!(made.0.0, loaded.0.0);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_key_file_is_raw_bytes_or_base64_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let load = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        MasterKey::load_or_create(&path, &Env::system())
    };
    assert_eq!(*load(&[9; KEY_BYTES]).unwrap().0.0, [9; KEY_BYTES]);
    let text = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
    assert_eq!(*load(text.as_bytes()).unwrap().0.0, [9; KEY_BYTES]);
    assert_eq!(*load(format!("{text}\r\n").as_bytes()).unwrap().0.0, [9; KEY_BYTES]);
    for content in [&b""[..], &[9; 31], &[9; 33], b"not a key", &[b'C'; 5000]] {
        let error = load(content).unwrap_err();
        assert!(matches!(error, Error::MasterKey(_)), "{error}");
    }
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let env = Env::system();
    MasterKey::load_or_create(&path, &env).unwrap();
    for mode in [0o640, 0o604, 0o620] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let text = MasterKey::load_or_create(&path, &env).unwrap_err().to_string();
        assert!(text.contains("chmod 600") && text.contains("master.key"), "{text}");
    }
}

#[test]
fn keys_do_not_print() {
    assert_eq!(format!("{:?}", MasterKey::from_bytes(&[9; KEY_BYTES]).unwrap()), "[master key]");
}
