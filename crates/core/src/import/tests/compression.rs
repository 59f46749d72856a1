//! Compressed files, whole and broken.

use async_compression::tokio::write::{BzEncoder, GzipEncoder, ZstdEncoder};
use tokio::io::AsyncWriteExt;

use super::server_with;

/// Ways to compress, with the name that tells and the value of `decompress`.
#[derive(Clone, Copy, Debug)]
enum Codec {
    Gzip,
    Bzip2,
    Zstd,
}

const CODECS: [(Codec, &str, &str); 3] =
    [(Codec::Gzip, "gz", "gzip"), (Codec::Bzip2, "bz2", "bzip"), (Codec::Zstd, "zst", "zstd")];

macro_rules! packed_by {
    ($encoder:ident, $content:expr) => {{
        let mut encoder = $encoder::new(Vec::new());
        encoder.write_all($content).await.unwrap();
        encoder.shutdown().await.unwrap();
        encoder.into_inner()
    }};
}

async fn packed(codec: Codec, content: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Gzip => packed_by!(GzipEncoder, content),
        Codec::Bzip2 => packed_by!(BzEncoder, content),
        Codec::Zstd => packed_by!(ZstdEncoder, content),
    }
}

fn numbers(from: u32, to: u32) -> String {
    (from..to).map(|number| format!("{number}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_unpacked_by_their_names_or_as_told() {
    for (codec, extension, value) in CODECS {
        let (stub, root) = server_with("id INT8").await;
        stub.write(&format!("f.csv.{extension}"), packed(codec, b"1\n2\n").await);
        root.ok(&format!("IMPORT INTO t CSV DATA ('nodelocal://1/f.csv.{extension}')")).await;
        stub.write("odd", packed(codec, b"3\n").await);
        root.ok(&format!("IMPORT INTO t CSV DATA ('nodelocal://1/odd') WITH decompress = '{value}'")).await;
        assert_eq!(stub.engine.rows(), [["1"], ["2"], ["3"]], "{codec:?}");
        let (code, _) = root
            .error(&format!("IMPORT INTO t CSV DATA ('nodelocal://1/f.csv.{extension}') WITH decompress = 'none'"))
            .await;
        assert!(["22021", "22P02"].contains(&code.as_str()), "{codec:?}: {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_follow_each_other() {
    for (codec, extension, _) in CODECS {
        let (stub, root) = server_with("id INT8").await;
        let mut members = packed(codec, b"1\n").await;
        members.extend(packed(codec, b"2\n3").await);
        members.extend(packed(codec, b"0\n").await);
        stub.write(&format!("f.csv.{extension}"), members);
        root.ok(&format!("IMPORT INTO t CSV DATA ('nodelocal://1/f.csv.{extension}')")).await;
        assert_eq!(stub.engine.rows(), [["1"], ["2"], ["30"]], "{codec:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_or_something_else_is_refused() {
    for (codec, extension, value) in CODECS {
        let (stub, root) = server_with("id INT8").await;
        let whole = packed(codec, numbers(0, 50_000).as_bytes()).await;
        for kept in [1, whole.len() / 2, whole.len() - 1] {
            stub.write(&format!("f.csv.{extension}"), &whole[..kept]);
            let (code, message) =
                root.error(&format!("IMPORT INTO t CSV DATA ('nodelocal://1/f.csv.{extension}')")).await;
            let expected = format!("nodelocal://1/f.csv.{extension}: cannot decompress: ");
            assert!(code == "22P04" && message.starts_with(&expected), "{codec:?} {kept}: {code} {message}");
        }
        stub.write("plain", "1\n");
        let (code, _) =
            root.error(&format!("IMPORT INTO t CSV DATA ('nodelocal://1/plain') WITH decompress = '{value}'")).await;
        assert_eq!(code, "22P04", "{codec:?}");
        assert!(stub.engine.rows().is_empty());
    }
}

/// 256 MiB of one letter: held back piece by piece, and refused once it is longer than a row may be.
#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_refused() {
    let (stub, root) = server_with("name TEXT").await;
    let letters = vec![b'a'; 256 << 20];
    for (codec, extension) in [(Codec::Gzip, "gz"), (Codec::Zstd, "zst")] {
        let bomb = packed(codec, &letters).await;
        assert!(bomb.len() < 1 << 20);
        stub.write(&format!("bomb.csv.{extension}"), bomb);
        let (code, message) =
            root.error(&format!("IMPORT INTO t CSV DATA ('nodelocal://1/bomb.csv.{extension}')")).await;
        assert_eq!(code, "54000");
        assert!(message.ends_with("error parsing row 1: longer than 64 MiB"), "{message}");
    }
}
