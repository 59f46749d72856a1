"""Backups without a server: a reader written from docs/format/backup.md alone, and a writer for what a stranger may make."""

import base64
import gzip
import hashlib
import json
import os
import pathlib
import threading

import pyarrow
import pyarrow.parquet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CONTEXT = b"lakeport backup 1\0"
SEGMENT, TAG, HEADER = 65536, 16, 72
# OpenSSL has threads for one derivation at a time, and fails others.
deriving = threading.Lock()


def hkdf(key, salt, info):
    return HKDF(algorithm=SHA256(), length=64, salt=salt, info=info).derive(key)


def argon2id(passphrase, salt, cost):
    kdf = Argon2id(salt=salt, length=32, iterations=cost["passes"], lanes=cost["lanes"], memory_cost=cost["memory_kib"])
    with deriving:
        return kdf.derive(passphrase.encode())


def opened(file, path, chain_key):
    """The content of a sealed file."""
    assert file[:5] == b"LKPB\x01" and file[6:8] == b"\0\0", path
    assert file[5] == (chain_key is not None), path
    salt, commitment, body = file[8:40], file[40:72], file[HEADER:]
    if chain_key is None:
        base = hashlib.sha256(CONTEXT + path.encode() + b"\0" + salt).digest()
    else:
        okm = hkdf(chain_key, salt, CONTEXT + path.encode())
        assert okm[32:] == commitment, f"{path} has another key"
        cipher = AESGCM(okm[:32])
    content = []
    count = -(-len(body) // (SEGMENT + TAG))
    for number in range(count):
        segment = body[number * (SEGMENT + TAG):(number + 1) * (SEGMENT + TAG)]
        nonce = number.to_bytes(8, "big") + b"\0\0\0" + bytes([number == count - 1])
        if chain_key is None:
            assert hashlib.sha256(base + nonce + segment[:-TAG]).digest()[:TAG] == segment[-TAG:], path
            content.append(segment[:-TAG])
        else:
            content.append(cipher.decrypt(nonce, segment, None))
    return b"".join(content)


def sealed(content, path, chain_key=None):
    """A sealed file with this content."""
    salt, file = os.urandom(32), [b"LKPB\x01", bytes([chain_key is not None]), b"\0\0"]
    if chain_key is None:
        base = hashlib.sha256(CONTEXT + path.encode() + b"\0" + salt).digest()
        commitment = bytes(32)
    else:
        okm = hkdf(chain_key, salt, CONTEXT + path.encode())
        cipher, commitment = AESGCM(okm[:32]), okm[32:]
    file += [salt, commitment]
    count = max(1, -(-len(content) // SEGMENT))
    for number in range(count):
        segment = content[number * SEGMENT:(number + 1) * SEGMENT]
        nonce = number.to_bytes(8, "big") + b"\0\0\0" + bytes([number == count - 1])
        if chain_key is None:
            file += [segment, hashlib.sha256(base + nonce + segment).digest()[:TAG]]
        else:
            file.append(cipher.encrypt(nonce, segment, None))
    return b"".join(file)


def sealed_manifest(manifest, path, chain_key=None):
    return sealed(gzip.compress(json.dumps(manifest).encode()), path, chain_key)


class Collection:
    def __init__(self, folder, passphrase=None):
        self.folder, self.passphrase = pathlib.Path(folder), passphrase
        self.found_keys = {}

    def fulls(self):
        """Folder and end of each finished full backup, the newest first."""
        marks = sorted((self.folder / "metadata/latest").glob("LATEST-*"))
        end = lambda mark: 2**64 - 1 - int(mark.name.removeprefix("LATEST-"), 16)
        return [(mark.read_text().removeprefix("/"), end(mark)) for mark in marks]

    def latest(self):
        return self.fulls()[0]

    def cheapen(self, full):
        """Wraps the key of a chain again, for the same passphrase, with parameters that take a test no time."""
        key = self.key(full)
        cost = {"memory_kib": 64, "passes": 1, "lanes": 1}
        salt, nonce = os.urandom(16), os.urandom(12)
        wrapped = nonce + AESGCM(argon2id(self.passphrase, salt, cost)).encrypt(nonce, key, CONTEXT + b"passphrase")
        entry = {"salt": base64.b64encode(salt).decode(), **cost, "wrapped": base64.b64encode(wrapped).decode()}
        info = {"format": 1, "check": hkdf(key, b"", CONTEXT + b"key check")[:32].hex(), "keys": [{"passphrase": entry}]}
        (self.folder / full / "ENCRYPTION-INFO").write_text(json.dumps(info))

    def key(self, full):
        """The key of a chain; none of a clear one."""
        if full not in self.found_keys:
            self.found_keys[full] = self.unwrapped_key(full)
        return self.found_keys[full]

    def unwrapped_key(self, full):
        files = sorted((self.folder / full).glob("ENCRYPTION-INFO*"))
        if not files:
            return None
        for info in (json.loads(file.read_text()) for file in files):
            assert info["format"] == 1
            for entry in info["keys"]:
                if "passphrase" not in entry:
                    continue
                entry = entry["passphrase"]
                derived = argon2id(self.passphrase, base64.b64decode(entry["salt"]), entry)
                wrapped = base64.b64decode(entry["wrapped"])
                key = AESGCM(derived).decrypt(wrapped[:12], wrapped[12:], CONTEXT + b"passphrase")
                assert hkdf(key, b"", CONTEXT + b"key check")[:32].hex() == info["check"]
                return key
        raise AssertionError("no entry of a passphrase")

    def chain(self, place=None):
        """The manifests of a chain, else of the newest, oldest first, each with its folder."""
        full, end = place or self.latest()
        key = self.key(full)
        folders = [full] + [str(path.parent.relative_to(self.folder))
                            for path in sorted((self.folder / "incrementals" / full).rglob("BACKUP_MANIFEST"))]
        layers, below = [], None
        for folder in folders:
            path = f"{folder}/BACKUP_MANIFEST"
            file = (self.folder / path).read_bytes()
            manifest = json.loads(gzip.decompress(opened(file, path, key)))
            assert manifest["format"] == 1 and manifest["previous"] == below, folder
            below = {"id": manifest["id"], "sha256": hashlib.sha256(file).hexdigest()}
            layers.append((folder, manifest))
        assert layers[0][1]["end"] == end
        return layers, key

    def files(self):
        """All files of the collection."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def strays(self):
        """The files that belong to no finished layer."""
        known = {name for name in self.files() if name.startswith("metadata/latest/LATEST-")}
        for place in self.fulls():
            known |= {name for name in self.files() if name.startswith(f"{place[0]}/ENCRYPTION-INFO")}
            for folder, manifest in self.chain(place)[0]:
                known.add(f"{folder}/BACKUP_MANIFEST")
                known |= {f"{folder}/data/{pack['id']}.pack" for pack in manifest["packs"]}
        return self.files() - known

    def tables(self, moment=None):
        """Name and rows of each table at a moment."""
        layers, key = self.chain()
        moment = moment or layers[-1][1]["end"]
        chosen = next(index for index, (_, manifest) in enumerate(layers) if manifest["end"] >= moment)
        manifest = layers[chosen][1]
        assert moment == manifest["end"] or (manifest["revisions_since"] or moment + 1) <= moment
        found = {}
        for table in manifest["catalog"]["tables"]:
            files, schema = {}, None
            for folder, layer in layers[:chosen + 1]:
                for history in (history for history in layer["tables"] if history["table"] == table["id"]):
                    for version in history["versions"]:
                        if version["at"] > moment:
                            continue
                        schema = version["schema"] or schema
                        for path in version["removed"]:
                            del files[path]
                        for file in version["added"]:
                            files[file["path"]] = (folder, layer["packs"][file["pack"]], file)
            if schema:
                found[table["name"]] = rows(schema, [self.file(*place, key) for place in files.values()])
        return found

    def file(self, folder, pack, file, key):
        path = f"{folder}/data/{pack['id']}.pack"
        sealed = (self.folder / path).read_bytes()
        assert len(sealed) == pack["bytes"] and sealed[8:40].hex() == pack["salt"]
        content = opened(sealed, path, key)[file["offset"]:file["offset"] + file["bytes"]]
        return content


def rows(schema, files):
    fields = [field for field in json.loads(schema)["fields"] if not field["metadata"].get("lakeport.dropped")]
    found = []
    for file in files:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(file), use_threads=False, pre_buffer=False)
        columns = [table[field["name"]].to_pylist() if field["name"] in table.column_names else [None] * table.num_rows
                   for field in fields]
        found += list(zip(*columns))
    return sorted(found)
