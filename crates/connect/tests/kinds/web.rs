//! The `http` kind against a web server of a few lines.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::scratch::{open, scratch};
use lakeport_connect::{Error, Target, conformance, expand, probe};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What every file holds.
const CONTENT: &str = "0123456789";

/// Heads of the requests seen.
type Seen = Arc<Mutex<Vec<String>>>;

/// Serves files, ranges, one missing file, and redirects; tells its address.
async fn serve() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8(head).unwrap();
                stream.write_all(answer(&head).as_bytes()).await?;
                log.lock().unwrap().push(head);
                stream.shutdown().await
            });
        }
    });
    (address, seen)
}

fn answer(head: &str) -> String {
    let path = head.split(' ').nth(1).unwrap();
    let close = "connection: close\r\nlast-modified: Sat, 01 Jan 2022 00:00:00 GMT\r\netag: \"1\"";
    let (status, body) = match path.split('?').next().unwrap() {
        "/missing" => return format!("HTTP/1.1 404 Not Found\r\n{close}\r\ncontent-length: 0\r\n\r\n"),
        "/secret" => return format!("HTTP/1.1 403 Forbidden\r\n{close}\r\ncontent-length: 0\r\n\r\n"),
        "/away" => return redirect("http://169.254.169.254/latest"),
        "/elsewhere" => return redirect("http://localhost:1/x"),
        "/moved" => return redirect("/here"),
        _ => match head.to_lowercase().split_once("range: bytes=") {
            Some((_, range)) => {
                let (start, end) = range.split("\r\n").next().unwrap().split_once('-').unwrap();
                let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
                (format!("206 Partial Content\r\ncontent-range: bytes {start}-{end}/10"), &CONTENT[start..=end])
            }
            None => ("200 OK".to_string(), CONTENT),
        },
    };
    let length = body.len();
    let body = if head.starts_with("HEAD") { "" } else { body };
    format!("HTTP/1.1 {status}\r\n{close}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

async fn read(store: &dyn ObjectStore, path: &str) -> Result<String, Error> {
    let bytes = store.get(&Path::from(path)).await?.bytes().await?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn files_are_read_whole_and_in_ranges() {
    let (address, _) = serve().await;
    let (_folder, cx) = scratch();
    for scheme in ["http", "file-http"] {
        let store = open(&format!("{scheme}://{address}/data"), &cx).await;
        assert_eq!(read(&*store, "a.csv").await.unwrap(), CONTENT);
        assert_eq!(store.get_range(&Path::from("a.csv"), 2..5).await.unwrap(), "234");
        assert_eq!(store.head(&Path::from("a.csv")).await.unwrap().size, 10);
        let capability = Target::parse(&format!("{scheme}://{address}")).unwrap().spec().capability;
        conformance::storage(&*store, capability).await;
    }
    let store = open(&format!("http://{address}"), &cx).await;
    assert!(matches!(read(&*store, "missing").await, Err(Error::NotFound(_))));
    assert!(matches!(read(&*store, "secret").await, Err(Error::Denied(_))));
    assert_eq!(expand(&*store, "x/a.csv").await.unwrap()[0].size, 10);
    let error = expand(&*store, "x/*.csv").await.unwrap_err();
    assert_eq!(error.to_string(), "http storage does not support listing");
}

#[tokio::test]
async fn parameters_and_passwords_are_sent_and_never_shown() {
    let (address, seen) = serve().await;
    let (_folder, cx) = scratch();
    let uri = format!("http://user:pass@{address}/data?token=top%20secret");
    let store = open(&uri, &cx).await;
    assert_eq!(read(&*store, "a b.csv").await.unwrap(), CONTENT);
    let head = seen.lock().unwrap()[0].clone();
    assert!(head.starts_with("GET /data/a%20b.csv?token=top+secret HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("authorization: basic dxnlcjpwyxnz"), "{head}");
    let target = Target::parse(&uri).unwrap();
    assert_eq!(target.redacted(), format!("http://user:redacted@{address}/data?redacted=redacted"));

    let gone = Target::parse("http://user:pass@127.0.0.1:1/data?token=top%20secret").unwrap();
    let error = probe(&gone, &cx, Duration::from_secs(3)).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(!text.contains("secret") && !text.contains("pass"), "{text}");
}

#[tokio::test]
async fn redirects_stay_on_their_host() {
    let (address, _) = serve().await;
    let (_folder, cx) = scratch();
    let store = open(&format!("http://{address}"), &cx).await;
    assert_eq!(read(&*store, "moved").await.unwrap(), CONTENT);
    for path in ["away", "elsewhere"] {
        let error = read(&*store, path).await.unwrap_err();
        assert!(matches!(error, Error::Forbidden(_)), "{error:?}");
        assert_eq!(error.to_string(), "a redirect to another host is not followed");
    }
}

#[tokio::test]
async fn a_connection_needs_a_server_that_answers() {
    let (address, _) = serve().await;
    let (_folder, cx) = scratch();
    let check = async |uri: String| probe(&Target::parse(&uri).unwrap(), &cx, Duration::from_secs(5)).await;
    check(format!("http://{address}/data")).await.unwrap();
    check(format!("http://{address}/missing")).await.unwrap();
    assert!(matches!(check(format!("http://{address}/secret")).await, Err(Error::Denied(_))));
    assert!(matches!(check("http://127.0.0.1:1".into()).await, Err(Error::Unreachable(_))));
    assert!(matches!(check("http://169.254.169.254/latest".into()).await, Err(Error::Forbidden(_))));
}
