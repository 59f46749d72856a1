//! The format against itself: what is written comes back, what was touched does not.

use std::sync::Arc;

use lakeport_base::{Env, hex};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::chain::{Chain, Layer, Replay};
use crate::format::FORMAT;
use crate::keys::EncryptionInfo;
use crate::layout::{LOCK, LayerPath, Subdir, end_of_mark, latest_mark};
use crate::room::{Room, Scale};
use crate::sealed::{self, ChainKey, HEADER_BYTES, Opener, Protection, SEGMENT_BYTES, Sealer, TAG_BYTES};
use crate::{Collection, Error, manifest};

const PATH: &str = "2022/09/19-134559.68/BACKUP_MANIFEST";

fn protections() -> [Protection; 2] {
    [Protection::Checksums, Protection::Encrypted(ChainKey::from_bytes(&[7; 32]).unwrap())]
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn what_is_sealed_opens() {
    for protection in protections() {
        for bytes in [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES] {
            let file = sealed::seal(&protection, PATH, &Env::system(), &content(bytes));
            let segments = bytes.div_ceil(SEGMENT_BYTES).max(1);
            assert_eq!(file.len(), HEADER_BYTES + bytes + segments * TAG_BYTES);
            assert_eq!(sealed::open(&protection, PATH, file).unwrap(), content(bytes));
        }
    }
}

#[test]
fn every_changed_byte_is_found() {
    for protection in protections() {
        let file = sealed::seal(&protection, PATH, &Env::system(), &content(100));
        for at in 0..file.len() {
            let mut touched = file.clone();
            touched[at] ^= 1;
            assert!(sealed::open(&protection, PATH, touched).is_err(), "byte {at}");
        }
        for end in 0..file.len() {
            assert!(sealed::open(&protection, PATH, file[..end].to_vec()).is_err(), "cut at {end}");
        }
        assert!(sealed::open(&protection, "another/path", file).is_err());
    }
}

#[test]
fn segments_keep_their_places() {
    const STRIDE: usize = SEGMENT_BYTES + TAG_BYTES;
    for protection in protections() {
        let file = sealed::seal(&protection, PATH, &Env::system(), &content(3 * SEGMENT_BYTES));
        let segment = |number: usize| HEADER_BYTES + number * STRIDE..HEADER_BYTES + (number + 1) * STRIDE;
        let swapped = [&file[..HEADER_BYTES], &file[segment(1)], &file[segment(0)], &file[segment(2)]].concat();
        let dropped = [&file[..HEADER_BYTES], &file[segment(0)], &file[segment(1)]].concat();
        let repeated = [&file[..], &file[segment(2)]].concat();
        for touched in [swapped, dropped, repeated] {
            assert!(matches!(sealed::open(&protection, PATH, touched), Err(Error::Corrupt { .. })));
        }
    }
}

#[test]
fn another_key_is_told_before_anything_is_opened() {
    let [_, protection] = protections();
    let file = sealed::seal(&protection, PATH, &Env::system(), b"rides");
    let other = Protection::Encrypted(ChainKey::from_bytes(&[8; 32]).unwrap());
    assert!(matches!(sealed::open(&other, PATH, file), Err(Error::Corrupt { .. })));
}

#[test]
fn parts_open_alone() {
    for protection in protections() {
        let content = content(5 * SEGMENT_BYTES + 17);
        let salt = [3; 32];
        let mut file = Vec::new();
        let mut sealer = Sealer::new(&protection, PATH, &salt, &mut file);
        content.chunks(1000).for_each(|chunk| sealer.push(chunk, &mut file));
        sealer.finish(&mut file);
        let opener = Opener::new(&protection, PATH, &salt, file.len() as u64).unwrap();
        assert_eq!(opener.content_bytes(), content.len() as u64);
        for range in [0..1, 65_535..65_537, 65_536..131_072, 327_680..327_697, 0..327_697, 327_697..327_697] {
            let (first, place) = opener.locate(&range).unwrap();
            let sealed = &file[place.start as usize..place.end as usize];
            let opened = opener.open(first, sealed.into()).unwrap().concat();
            let start = range.start as usize - first as usize * SEGMENT_BYTES;
            let found = &opened[start..start + (range.end - range.start) as usize];
            assert_eq!(found, &content[range.start as usize..range.end as usize], "{range:?}");
        }
        assert!(opener.locate(&(0..327_698)).is_err());
    }
}

/// The vector of `docs/format/backup.md`.
#[test]
fn the_published_vector_holds() {
    let protection =
        Protection::Encrypted(ChainKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap());
    let mut file = Vec::new();
    let mut sealer = Sealer::new(&protection, PATH, &std::array::from_fn(|at| 0x20 + at as u8), &mut file);
    sealer.push(b"lakeport", &mut file);
    sealer.finish(&mut file);
    assert_eq!(hex::encode(&file), VECTOR);
}

const VECTOR: &str = "4c4b504201010000202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\
                      f6d6ec4adbab43614c39f4e2dc11db8066d44f6869b64ebba6c7057ccdbf571e\
                      9b25c8c71774ce86b1f55090ed43786949284211e807efa0";

#[test]
fn paths_tell_their_time() {
    let end = 1_663_595_159_680_000;
    let full = Subdir::of(end);
    assert_eq!(full.shown(), "/2022/09/19-134559.68");
    assert_eq!(Subdir::parse("2022/09/19-134559.68").unwrap(), full);
    assert_eq!(Subdir::parse("/2022/09/19-134559.68/").unwrap(), full);
    let layer = full.incremental(end, end + 45_543_350_000);
    assert_eq!(layer.to_string(), "incrementals/2022/09/19-134559.68/20220920/022503.03-20220919-134559.68");
    assert_eq!(end_of_mark(&latest_mark(end)), Some(end));
    assert!(latest_mark(end + 1) < latest_mark(end));
}

#[test]
fn no_path_leads_out() {
    for text in ["", "..", "2022/09/../../etc-134559.68", "incrementals/2022/09/19-134559.68", "2022/09/19-134559.6x"] {
        assert!(matches!(Subdir::parse(text), Err(Error::Invalid { .. })), "{text}");
    }
}

fn empty_manifest() -> manifest::Manifest {
    manifest::Manifest {
        format: FORMAT,
        id: "0".to_string(),
        previous: None,
        start: None,
        end: 1_663_595_159_680_000,
        revisions_since: None,
        job: 1,
        server: String::new(),
        cluster: None,
        targets: manifest::Targets::Cluster,
        catalog: manifest::Catalog::default(),
        packs: Vec::new(),
        tables: Vec::new(),
    }
}

#[test]
fn other_versions_are_named() {
    for format in [0, FORMAT + 1] {
        let [clear, _] = protections();
        let file = manifest::Manifest { format, ..empty_manifest() };
        let file = file.seal(&clear, PATH, &Env::system(), u64::MAX).unwrap();
        let error = manifest::Manifest::open(&clear, PATH, file, &Room::default()).unwrap_err();
        assert_eq!(error.sqlstate().code(), "0A000");
        let text = format!("{PATH} is in version {format} of the backup format; this server reads version 1");
        assert_eq!(error.to_string(), text);
        assert_eq!(error.hint().is_some(), format > FORMAT, "a newer Lakeport reads no older one");
        let path = Path::from("2022/09/19-134559.68/ENCRYPTION-INFO");
        let info = format!(r#"{{"format":{format},"check":"","keys":[]}}"#);
        let error = EncryptionInfo::decode(&path, info.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("2022/09/19-134559.68/ENCRYPTION-INFO is in version "), "{error}");
    }
}

#[test]
fn what_repeats_itself_is_read_back_and_does_not_swell() {
    let [clear, _] = protections();
    let mut manifest = empty_manifest();
    manifest.server = "x".repeat(5 << 20);
    let file = manifest.seal(&clear, PATH, &Env::system(), u64::MAX).unwrap();
    assert_eq!(manifest::Manifest::open(&clear, PATH, file, &Room::default()).unwrap(), manifest);
    // The same, packed as tightly as a stranger might.
    let json = serde_json::to_vec(&manifest).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gzip, &json).unwrap();
    let bomb = sealed::seal(&clear, PATH, &Env::system(), &gzip.finish().unwrap());
    assert!(matches!(manifest::Manifest::open(&clear, PATH, bomb, &Room::default()), Err(Error::Corrupt { .. })));
}

/// What a manifest takes of its chain's room.
fn weight(manifest: &manifest::Manifest) -> u64 {
    let mut scale = Scale::default();
    scale.add(&serde_json::to_vec(manifest).unwrap());
    scale.weight
}

#[test]
fn what_is_small_as_json_weighs_what_it_takes() {
    let weighed = |parts: &[&[u8]]| {
        let mut scale = Scale::default();
        parts.iter().for_each(|part| scale.add(part));
        (scale.bytes, scale.weight)
    };
    assert_eq!(weighed(&[br#"["","",""]"#.as_slice()]), (10, 10 + 2 * 24));
    let texts: &[u8] = br#"[",,\",\\",{"a":","}]"#;
    assert_eq!(weighed(&[texts]), (21, 21 + 24));
    for at in 0..texts.len() {
        assert_eq!(weighed(&[&texts[..at], &texts[at..]]), weighed(&[texts]), "cut at {at}");
    }
}

/// A chain of full backups' lists that say nothing, and its weight.
async fn chain_of(layers: i64) -> (Collection, Subdir, u64) {
    let collection = Collection::new(Arc::new(InMemory::new()));
    let full = empty_manifest();
    let subdir = Subdir::of(full.end);
    let (mut path, mut manifest, mut sum) = (subdir.full(), full, 0);
    for layer in 1..=layers {
        sum += weight(&manifest);
        let file = manifest.seal(&Protection::Checksums, path.manifest().as_ref(), &Env::system(), u64::MAX).unwrap();
        collection.store().put(&path.manifest(), file.clone().into()).await.unwrap();
        let below = collection.layer(path, &Protection::Checksums).await.unwrap().unwrap();
        let (start, end) = (manifest.end, manifest.end + 1_000_000 * layer);
        path = subdir.incremental(start, end);
        manifest = manifest::Manifest { previous: Some(below.link), start: Some(start), end, ..manifest };
    }
    (collection, subdir, sum)
}

#[tokio::test]
async fn the_manifests_of_a_chain_share_one_room() {
    let (collection, subdir, weight) = chain_of(20).await;
    let chain = async |room: u64| -> crate::Result<Chain> {
        collection.chain_in(&subdir, &Protection::Checksums, Room::of(room as usize)).await
    };
    assert_eq!(chain(weight).await.unwrap().room, 0);
    let with_room = chain(weight + 7).await.unwrap();
    assert_eq!((with_room.layers.len(), with_room.room), (20, 7));
    for room in [weight - 1, weight / 2] {
        let refusal = chain(room).await.unwrap_err().to_string();
        assert!(refusal.contains("more than a chain may have"), "{refusal}");
    }
}

#[tokio::test]
async fn layers_replayed_one_by_one_are_the_chain() {
    let (collection, subdir, _) = chain_of(4).await;
    let mut chain = collection.chain(&subdir, &Protection::Checksums).await.unwrap();
    let file = |path: String| manifest::File { path, bytes: 1, rows: 1, stats: None, pack: 0, offset: 0 };
    for (index, layer) in chain.layers.iter_mut().enumerate() {
        let end = layer.manifest.end;
        let version = manifest::Version {
            version: index as u64,
            at: end,
            schema: (index == 0).then(|| "{}".to_string()),
            added: vec![file(index.to_string())],
            removed: index.checked_sub(2).map(|old| old.to_string()).into_iter().collect(),
        };
        let mut listed = layer.manifest.clone();
        listed.packs = vec![manifest::Pack { id: String::new(), bytes: 1, salt: String::new() }];
        listed.tables = vec![manifest::TableHistory { table: 7, versions: vec![version] }];
        let bytes = listed.seal(&Protection::Checksums, layer.path.manifest().as_ref(), &Env::system(), u64::MAX);
        let (path, bytes) = (layer.path.clone(), bytes.unwrap().into());
        *layer = Layer::open(path, &Protection::Checksums, bytes, &Room::default()).unwrap();
    }
    let mut replay = Replay::default();
    for (index, layer) in chain.layers.iter().enumerate() {
        replay.add(layer).unwrap();
        let [replayed, found] =
            [replay.table(7), chain.table_at(7, 4, layer.manifest.end).unwrap().as_ref()].map(|state| {
                state.map(|state| (state.version, state.files.keys().map(|path| path.to_string()).collect::<Vec<_>>()))
            });
        assert_eq!(replayed, found);
        assert_eq!(found.unwrap().1.len(), (index + 1).min(2));
        assert!(replay.table(8).is_none());
    }
}

#[test]
fn a_manifest_that_is_too_large_is_told_before_it_is_sealed() {
    let manifest = empty_manifest();
    let weight = weight(&manifest);
    let seal = |room| manifest.seal(&Protection::Checksums, PATH, &Env::system(), room);
    assert!(manifest.check_size(weight).is_ok() && seal(weight).is_ok());
    assert!(matches!(manifest.check_size(weight - 1), Err(Error::Invalid { .. })));
    assert!(matches!(seal(weight - 1), Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn sizes_are_looked_at_before_files_are_read() {
    let store = Arc::new(InMemory::new());
    let collection = Collection::new(store.clone());
    let subdir = Subdir::of(empty_manifest().end);
    let put = async |path: Path, bytes: usize| store.put(&path, vec![b' '; bytes].into()).await.unwrap();
    put(subdir.encryption_info(1), (1 << 20) + 1).await;
    let refusal = collection.infos(&subdir).await.unwrap_err().to_string();
    assert!(refusal.contains("1048577 bytes"), "{refusal}");
    put(subdir.full().manifest(), (64 << 20) + 1).await;
    let refusal = collection.layer(subdir.full(), &Protection::Checksums).await.unwrap_err().to_string();
    assert!(refusal.contains("67108865 bytes"), "{refusal}");
    put(subdir.file(LOCK), 1 << 20).await;
    assert!(collection.lock(&subdir, "job 1").await.is_err());
}

#[tokio::test]
async fn keys_are_counted_before_they_are_tried() {
    let store = Arc::new(InMemory::new());
    let collection = Collection::new(store.clone());
    let subdir = Subdir::of(empty_manifest().end);
    let entry = r#"{"passphrase":{"salt":"","memory_kib":262144,"passes":16,"lanes":16,"wrapped":""}}"#;
    let info = |keys: usize| format!(r#"{{"format":1,"check":"","keys":[{}]}}"#, vec![entry; keys].join(","));
    for (number, keys) in [(1, 3), (2, 1)] {
        store.put(&subdir.encryption_info(number), info(keys).into()).await.unwrap();
    }
    assert_eq!(collection.infos(&subdir).await.unwrap().len(), 2);
    store.put(&subdir.encryption_info(3), info(1).into()).await.unwrap();
    assert!(matches!(collection.infos(&subdir).await, Err(Error::Corrupt { .. })));
}

#[test]
fn a_file_tells_its_layer() {
    let full = Subdir::parse("2022/09/19-134559.68").unwrap();
    let layer = full.incremental(1_663_595_159_680_000, 1_663_635_723_040_000);
    let of = |file: &str| LayerPath::of_file(&full, &Path::from(format!("incrementals/{file}")));
    for file in ["BACKUP_MANIFEST", "data/00.pack"] {
        assert_eq!(LayerPath::of_file(&full, &layer.file(file)), Some(layer.clone()));
    }
    for stranger in [
        "2022/09/19-134559.68/notes",
        "2022/09/19-134559.68/20220920/010203.04-20220919-134559.68",
        "2022/09/19-134559.68/20220920/010203.04-20220919-134559.680/BACKUP_MANIFEST",
        "2022/09/19-134559.68x/20220920/010203.04-20220919-134559.68/BACKUP_MANIFEST",
    ] {
        assert_eq!(of(stranger), None, "{stranger}");
    }
}
