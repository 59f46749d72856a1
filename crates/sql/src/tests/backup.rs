//! What BACKUP and its kin refuse.

use crate::{SyntaxErrorKind, parse_one};

#[test]
fn forms_of_the_past_name_those_of_today() {
    for (text, hint) in [
        ("BACKUP DATABASE d TO 'a'", "write BACKUP INTO 'collection', or INTO LATEST IN 'collection'"),
        ("BACKUP TO 'a'", "write BACKUP INTO 'collection', or INTO LATEST IN 'collection'"),
        (
            "BACKUP INTO 'a' INCREMENTAL FROM 'b'",
            "write BACKUP INTO LATEST IN 'collection' to add to the last backup of a collection",
        ),
        (
            "BACKUP INTO LATEST IN 'a' WITH incremental_location = 'b'",
            "leave it out: incremental backups lie in the collection of their full backup",
        ),
        (
            "RESTORE FROM LATEST IN 'a' WITH detached, incremental_location = ('b')",
            "leave it out: incremental backups lie in the collection of their full backup",
        ),
        ("RESTORE DATABASE d FROM 'a'", "write {LATEST | 'subdirectory'} IN 'collection'"),
        ("SHOW BACKUPS", "write SHOW BACKUPS IN 'collection'"),
        ("SHOW BACKUPS 'a'", "write SHOW BACKUPS IN 'collection'"),
        ("SHOW BACKUP 'a'", "write {LATEST | 'subdirectory'} IN 'collection'"),
    ] {
        assert_eq!(parse_one(text).expect_err(text).hint.as_deref(), Some(hint), "{text}");
    }
    for text in ["BACKUP DATABASE d TO 'a'", "BACKUP TO 'a'", "BACKUP TABLE t TO ('a', 'b')"] {
        let error = parse_one(text).expect_err(text);
        assert_eq!((error.message.as_str(), error.kind), ("BACKUP TO is not supported", SyntaxErrorKind::Unsupported));
    }
}

#[test]
fn options_of_many_nodes_are_refused_unless_off() {
    for (text, option) in [
        ("BACKUP INTO 'a' WITH EXECUTION LOCALITY = 'region=a'", "execution locality"),
        ("BACKUP INTO 'a' WITH STRICT STORAGE LOCALITY", "strict storage locality"),
        ("BACKUP INTO 'a' WITH include_all_virtual_clusters", "include_all_virtual_clusters"),
        ("BACKUP INTO 'a' WITH updates_cluster_monitoring_metrics = true", "updates_cluster_monitoring_metrics"),
        ("RESTORE FROM LATEST IN 'a' WITH EXPERIMENTAL DEFERRED COPY", "experimental deferred copy"),
        ("RESTORE FROM LATEST IN 'a' WITH virtual_cluster_name = 'b'", "virtual_cluster_name"),
    ] {
        let error = parse_one(text).expect_err(text);
        assert_eq!(error.message, format!("option {option} is not supported"), "{text}");
        assert_eq!(error.kind, SyntaxErrorKind::Unsupported, "{text}");
    }
    assert!(parse_one("BACKUP INTO 'a' WITH updates_cluster_monitoring_metrics = false").is_ok());
}

#[test]
fn an_option_is_given_once() {
    for (text, message) in [
        ("BACKUP INTO 'a' WITH detached, detached", "option detached is given more than once"),
        ("SHOW BACKUP LATEST IN 'a' WITH SKIP SIZE, SKIP SIZE", "option skip size is given more than once"),
        (
            "BACKUP INTO 'a' WITH kms = 'k', encryption_passphrase = 'p'",
            "cannot have both encryption_passphrase and kms option set",
        ),
        ("BACKUP INTO 'a' WITH detached = maybe", "at or near \"maybe\": syntax error: expected TRUE or FALSE"),
        ("ALTER BACKUP LATEST IN 'a'", "at or near \"EOF\": syntax error: expected ADD NEW_KMS or DROP KMS"),
    ] {
        assert_eq!(parse_one(text).expect_err(text).message, message, "{text}");
    }
    let error = parse_one("BACKUP INTO 'a' WITH revision_histroy").expect_err("misspelt");
    assert_eq!(error.hint.as_deref(), Some("did you mean REVISION_HISTORY?"));
    let error = parse_one("RESTORE FROM LATEST IN 'a' WITH nonsense").expect_err("unknown");
    let hint = error.hint.expect("the options are listed");
    assert!(hint.starts_with("the options are into_db, new_db_name, detached, schema_only"), "{hint}");
}
