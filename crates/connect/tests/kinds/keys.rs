//! Keys: a simulator of Amazon's service, and what services answer when they do not encrypt.

use std::time::{Duration, Instant};

use lakeport_base::Secret;
use lakeport_connect::{Error, Kms, Target, probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::peer::Peer;
use crate::s3::implicit_credentials_come_from_the_environment;
use crate::scratch::scratch;

/// The check's time limit: long enough for one more attempt.
const LIMIT: Duration = Duration::from_secs(2);
/// That of checks that must pass.
const SLOW_LIMIT: Duration = Duration::from_secs(20);

/// A URI of a key of Amazon's.
fn aws(key: &str, endpoint: &str, id: &str, secret: &str) -> Target {
    let secret = secret.replace('+', "%2B");
    let keys = format!("AWS_ACCESS_KEY_ID={id}&AWS_SECRET_ACCESS_KEY={secret}");
    Target::parse(&format!("aws-kms:///{key}?REGION=us-east-1&AWS_ENDPOINT={endpoint}&{keys}")).unwrap()
}

/// A URI of a key of Google's. The values of facts are escaped already.
fn google(peer: &Peer, key: &str, credentials: &str) -> String {
    let fact = |name: &str| peer.fact(name);
    let (ring, endpoint, ca) = (fact("GCP_RING"), fact("KEYS_ENDPOINT"), fact("KEYS_CA"));
    format!("gcp-kms:///{ring}/{key}?CREDENTIALS={}&ENDPOINT={endpoint}&CA_CERT={ca}", fact(credentials))
}

/// A URI of a key of Azure's.
fn azure(peer: &Peer, key: &str, client: &str, secret: &str) -> String {
    let fact = |name: &str| peer.fact(name);
    let (tenant, endpoint, ca) = (fact("AZURE_TENANT"), fact("KEYS_ENDPOINT"), fact("KEYS_CA"));
    let application = format!("AZURE_TENANT_ID={tenant}&AZURE_CLIENT_ID={}&AZURE_CLIENT_SECRET={secret}", fact(client));
    let place = format!("AZURE_VAULT_NAME=lake&ENDPOINT={endpoint}&AZURE_AUTHORITY_HOST={endpoint}&CA_CERT={ca}");
    format!("azure-kms:///{key}?{application}&{place}")
}

fn parse(uri: &str) -> Target {
    Target::parse_kms(uri).unwrap()
}

/// What the check of a connection says; within its time, and without the secret.
async fn refusal(target: &Target, secret: &str) -> Error {
    let (_folder, cx) = scratch();
    let started = Instant::now();
    let error = probe(target, &cx, LIMIT).await.unwrap_err();
    assert!(started.elapsed() < LIMIT + Duration::from_secs(1), "{error}");
    assert!(!format!("{error:?}").contains(secret), "{error:?}");
    error
}

/// Opens two keys and sees what each makes of the other's ciphertext; which is damaged next.
async fn keys_are_apart(target: &Target, other: &Target) {
    let (_folder, cx) = scratch();
    let (key, other) = (target.open_kms(&cx).await.unwrap(), other.open_kms(&cx).await.unwrap());
    let plaintext = Secret::new((0..=255).cycle().take(190).collect::<Vec<u8>>());
    let mut ciphertext = key.encrypt(&plaintext).await.unwrap();
    assert!(key.decrypt(&ciphertext).await.unwrap() == plaintext);
    assert_ne!(ciphertext, key.encrypt(&plaintext).await.unwrap(), "each time another one");
    refuses(&*other, &ciphertext).await;
    let middle = ciphertext.len() - 20;
    ciphertext[middle] ^= 1;
    refuses(&*key, &ciphertext).await;
    let usage = cx.meter.snapshot()[target.spec().name];
    assert_eq!((usage.requests, usage.errors), (5, 2));
}

async fn refuses(key: &dyn Kms, ciphertext: &[u8]) {
    let error = key.decrypt(ciphertext).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_) | Error::Denied(_)), "{error:?}");
}

#[tokio::test]
async fn keys_of_amazon() {
    let Some(peer) = Peer::start("sts") else { return };
    let fact = |name: &str| peer.fact(name);
    let uri = |key: &str, user: &str| {
        aws(fact(key), fact("STS_ENDPOINT"), fact(&format!("{user}_KEY")), fact(&format!("{user}_SECRET")))
    };
    let (_folder, cx) = scratch();
    for (key, user) in [("KMS_KEY", "STS"), ("KMS_ARN", "STS"), ("KMS_ALIAS", "STS"), ("KMS_KEY", "STS_NEXT")] {
        probe(&uri(key, user), &cx, SLOW_LIMIT).await.unwrap();
    }
    keys_are_apart(&uri("KMS_KEY", "STS"), &uri("KMS_OTHER_KEY", "STS")).await;
    implicit_credentials_come_from_the_environment(&uri("KMS_KEY", "STS").to_text());

    let roles =
        format!("{},{};external_id={}", fact("STS_RELAY_ROLE"), fact("STS_GUARDED_ROLE"), fact("STS_EXTERNAL_ID"));
    let with_roles = |roles: &str| {
        let mut uri = uri("KMS_KEY", "STS").uri().clone();
        uri.params.push(("ASSUME_ROLE".into(), roles.into()));
        Target::from_uri(uri).unwrap()
    };
    probe(&with_roles(&roles), &cx, SLOW_LIMIT).await.unwrap();
    let error = refusal(&with_roles(&format!("{};external_id=wrong", fact("STS_GUARDED_ROLE"))), "wrong").await;
    assert!(error.to_string().contains("cannot assume role"), "{error}");

    let error = refusal(&uri("KMS_KEY", "STS_STRANGER"), fact("STS_STRANGER_SECRET")).await;
    assert!(matches!(error, Error::Denied(_)) && error.to_string().contains("AccessDenied"), "{error:?}");
    let wrong = aws(fact("KMS_KEY"), fact("STS_ENDPOINT"), fact("STS_KEY"), "wrong-secret");
    let error = refusal(&wrong, "wrong-secret").await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    let absent = aws("alias/absent", fact("STS_ENDPOINT"), fact("STS_KEY"), fact("STS_SECRET"));
    let error = refusal(&absent, fact("STS_SECRET")).await;
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    let head = "failed to encrypt marker content when setting up External Connection: ";
    assert!(error.to_string().starts_with(head), "{error}");
}

#[tokio::test]
async fn keys_of_google() {
    let Some(peer) = Peer::start("keys") else { return };
    let (_folder, cx) = scratch();
    let uri = |key: &str| google(&peer, key, "GCP_CREDENTIALS");
    let storage_scheme = uri("backups").replace("gcp-kms", "gs");
    for uri in [uri("backups"), google(&peer, "backups", "GCP_NEXT_CREDENTIALS"), storage_scheme] {
        probe(&parse(&uri), &cx, SLOW_LIMIT).await.unwrap();
    }
    keys_are_apart(&parse(&uri("backups")), &parse(&uri("other"))).await;

    let acting = |accounts: &str| parse(&format!("{}&ASSUME_ROLE={accounts}", uri("backups")));
    let (relay, vault) = (peer.fact("GCP_RELAY"), peer.fact("GCP_VAULT"));
    probe(&acting(&format!("{relay},{vault}")), &cx, SLOW_LIMIT).await.unwrap();
    let error = refusal(&acting(vault), "PRIVATE").await;
    assert!(matches!(error, Error::Denied(_)) && error.to_string().contains("cannot act as"), "{error:?}");
    let error = refusal(&acting(relay), "PRIVATE").await;
    assert!(matches!(error, Error::Denied(_)) && error.to_string().contains("PERMISSION_DENIED"), "{error:?}");

    type Is = fn(&Error) -> bool;
    let cases: [(String, Is); 7] = [
        (google(&peer, "backups", "GCP_STRANGER_CREDENTIALS"), |e| matches!(e, Error::Denied(_))),
        (uri("absent"), |e| matches!(e, Error::NotFound(_))),
        (uri("disabled"), |e| matches!(e, Error::Disabled(_)) && e.to_string().contains("DISABLED")),
        (uri("busy"), |e| matches!(e, Error::Throttled(_))),
        (uri("damaged"), |e| matches!(e, Error::Io(_)) && e.to_string().contains("damaged on its way")),
        (uri("backups").split("&CA_CERT").next().unwrap().to_string(), |e| matches!(e, Error::Unreachable(_))),
        (uri("backups").replace("CREDENTIALS=", "BEARER_TOKEN="), |e| {
            matches!(e, Error::Denied(_)) && e.to_string().contains("UNAUTHENTICATED")
        }),
    ];
    for (uri, is) in cases {
        let error = refusal(&parse(&uri), "wrongtoken").await;
        assert!(is(&error), "{error:?}");
    }
}

#[tokio::test]
async fn keys_of_azure() {
    let Some(peer) = Peer::start("keys") else { return };
    let (_folder, cx) = scratch();
    let fact = |name: &str| peer.fact(name);
    let uri = |key: &str| azure(&peer, key, "AZURE_CLIENT", fact("AZURE_SECRET"));
    let key = fact("AZURE_BACKUPS_KEY");
    for uri in [uri(key), azure(&peer, key, "AZURE_CLIENT", fact("AZURE_NEXT_SECRET"))] {
        probe(&parse(&uri), &cx, SLOW_LIMIT).await.unwrap();
    }
    keys_are_apart(&parse(&uri(key)), &parse(&uri(fact("AZURE_OTHER_KEY")))).await;

    type Is = fn(&Error) -> bool;
    let cases: [(String, Is); 5] = [
        (azure(&peer, key, "AZURE_STRANGER", fact("AZURE_STRANGER_SECRET")), |e| {
            matches!(e, Error::Denied(_)) && e.to_string().contains("Forbidden")
        }),
        (azure(&peer, key, "AZURE_CLIENT", "wrong-secret"), |e| {
            matches!(e, Error::Denied(_)) && e.to_string().ends_with("Invalid client secret provided.")
        }),
        (uri("backups/0000"), |e| matches!(e, Error::NotFound(_))),
        (uri(fact("AZURE_DISABLED_KEY")), |e| matches!(e, Error::Disabled(_))),
        (uri(key).split("&CA_CERT").next().unwrap().to_string(), |e| matches!(e, Error::Unreachable(_))),
    ];
    for (uri, is) in cases {
        let error = refusal(&parse(&uri), "wrong-secret").await;
        assert!(is(&error), "{error:?}");
    }
}

/// Gives statuses and bodies as answers in turn, and the last one to all further requests; tells its address.
async fn answering(answers: Vec<(&'static str, &'static str)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let last = *answers.last().unwrap();
    let mut answers = answers.into_iter();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (status, body) = answers.next().unwrap_or(last);
            let _ = stream.read(&mut [0; 64 << 10]).await;
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn failures_are_told_apart() {
    type Is = fn(&Error) -> bool;
    let cases: [(&str, &str, Is); 8] = [
        ("400 Bad Request", r#"{"__type":"DisabledException","message":"k is disabled."}"#, |e| {
            matches!(e, Error::Disabled(_)) && e.to_string().ends_with("DisabledException: k is disabled.")
        }),
        ("400 Bad Request", r#"{"__type":"KMSInvalidStateException","message":"k is pending deletion."}"#, |e| {
            matches!(e, Error::Disabled(_))
        }),
        ("400 Bad Request", r#"{"__type":"ExpiredTokenException","message":"expired"}"#, |e| {
            matches!(e, Error::Denied(_)) && e.hint().is_some_and(|hint| hint.contains("encrypt and decrypt"))
        }),
        ("400 Bad Request", r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#, |e| {
            matches!(e, Error::Throttled(_))
        }),
        ("400 Bad Request", r#"{"__type":"InvalidKeyUsageException","message":"k signs"}"#, |e| {
            matches!(e, Error::Invalid(_))
        }),
        ("500 Internal Server Error", r#"{"__type":"KMSInternalException"}"#, |e| matches!(e, Error::Io(_))),
        ("503 Service Unavailable", "busy", |e| matches!(e, Error::Throttled(_))),
        ("200 OK", "{}", |e| matches!(e, Error::Io(_)) && e.to_string().contains("incomplete")),
    ];
    for (status, body, is) in cases {
        let endpoint = answering(vec![(status, body)]).await;
        let error = refusal(&aws("k", &endpoint, "id", "topsecret"), "topsecret").await;
        assert!(is(&error), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let (busy, done) = ("503 Service Unavailable", r#"{"CiphertextBlob":"AAEC","KeyId":"k"}"#);
    let endpoint = answering(vec![(busy, "busy"), ("429 Too Many Requests", "busy"), ("200 OK", done)]).await;
    let (_folder, cx) = scratch();
    let key = aws("k", &endpoint, "id", "s").open_kms(&cx).await.unwrap();
    assert_eq!(key.encrypt(&Secret::new(vec![1])).await.unwrap(), [0, 1, 2]);
    let usage = cx.meter.snapshot()["aws-kms"];
    assert_eq!((usage.requests, usage.errors), (3, 2));

    let denied = r#"{"__type":"AccessDeniedException","message":"no"}"#;
    let endpoint = answering(vec![("400 Bad Request", denied), ("200 OK", done)]).await;
    let key = aws("k", &endpoint, "id", "s").open_kms(&cx).await.unwrap();
    assert!(matches!(key.encrypt(&Secret::new(vec![1])).await, Err(Error::Denied(_))), "not tried again");
}

#[tokio::test]
async fn unreachable_services_are_given_up_in_time() {
    for endpoint in ["http://127.0.0.1:1", "http://192.0.2.1"] {
        let error = refusal(&aws("k", endpoint, "id", "topsecret"), "topsecret").await;
        assert!(matches!(error, Error::Unreachable(_) | Error::Timeout(_)), "{error:?}");
    }
    let error = refusal(&aws("k", "http://169.254.169.254", "id", "topsecret"), "topsecret").await;
    assert!(matches!(error, Error::Forbidden(_)), "{error:?}");
}

#[tokio::test]
async fn a_key_holds_no_files() {
    let (_folder, cx) = scratch();
    let error = aws("k", "http://127.0.0.1:1", "id", "s").open(&cx).await.unwrap_err();
    assert_eq!(error.to_string(), "STORAGE cannot use object of type KMS");
    assert_eq!(
        error.hint(),
        Some("a connection of kind aws-kms holds a key, for the kms option of BACKUP and RESTORE")
    );
    let error = Target::parse("nodelocal://1/x").unwrap().open_kms(&cx).await.unwrap_err();
    assert_eq!(error.to_string(), "KMS cannot use object of type STORAGE");
    let error = Target::parse_kms("nodelocal://1/x").unwrap_err();
    assert_eq!(error.to_string(), "no factory method found for scheme nodelocal");
}
