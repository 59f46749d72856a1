# flags: --insecure
"""A reader of backups written from docs/format/backup.md alone: decrypts a chain, checks all of it, reads its tables."""

import base64
import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess

import psycopg
import pyarrow
import pyarrow.parquet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CONTEXT = b"lakeport backup 1\0"
SEGMENT, TAG, HEADER = 65536, 16, 72
VECTOR = """4c4b504201010000 202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f
            f6d6ec4adbab43614c39f4e2dc11db8066d44f6869b64ebba6c7057ccdbf571e
            9b25c8c71774ce86 b1f55090ed43786949284211e807efa0"""


def hkdf(key, salt, info):
    return HKDF(algorithm=SHA256(), length=64, salt=salt, info=info).derive(key)


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


class Collection:
    def __init__(self, folder, passphrase=None):
        self.folder, self.passphrase = pathlib.Path(folder), passphrase

    def latest(self):
        marks = sorted((self.folder / "metadata/latest").iterdir())
        end = 2**64 - 1 - int(marks[0].name.removeprefix("LATEST-"), 16)
        return marks[0].read_text().removeprefix("/"), end

    def key(self, full):
        files = sorted((self.folder / full).glob("ENCRYPTION-INFO*"))
        if not files:
            return None
        for info in (json.loads(file.read_text()) for file in files):
            assert info["format"] == 1
            for entry in info["keys"]:
                if "passphrase" not in entry:
                    continue
                entry = {name: entry["passphrase"][name] for name in entry["passphrase"]}
                derived = Argon2id(salt=base64.b64decode(entry["salt"]), length=32, iterations=entry["passes"],
                                   lanes=entry["lanes"], memory_cost=entry["memory_kib"]).derive(self.passphrase.encode())
                wrapped = base64.b64decode(entry["wrapped"])
                key = AESGCM(derived).decrypt(wrapped[:12], wrapped[12:], CONTEXT + b"passphrase")
                assert hkdf(key, b"", CONTEXT + b"key check")[:32].hex() == info["check"]
                return key
        raise AssertionError("no entry of a passphrase")

    def chain(self):
        """The manifests of the newest chain, oldest first, each with its folder."""
        full, end = self.latest()
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
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        return content


def rows(schema, files):
    fields = [field for field in json.loads(schema)["fields"] if not field["metadata"].get("lakeport.dropped")]
    found = []
    for file in files:
        table = pyarrow.parquet.read_table(io.BytesIO(file))
        columns = [table[field["name"]].to_pylist() if field["name"] in table.column_names else [None] * table.num_rows
                   for field in fields]
        found += list(zip(*columns))
    return sorted(found)


vector = opened(bytes.fromhex(VECTOR), "2022/09/19-134559.68/BACKUP_MANIFEST", bytes(range(32)))
assert vector == b"lakeport", vector

with psycopg.connect(autocommit=True) as connection:
    extern = pathlib.Path(os.environ["TEST_STORE"]) / "extern"
    run = connection.execute

    def now():
        return run("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::INT8").fetchone()[0]

    run("CREATE DATABASE d")
    run("CREATE TABLE d.t (a INT PRIMARY KEY, b STRING, c DECIMAL(9,2), d DATE, e BYTES)")
    run("INSERT INTO d.t SELECT n, 'row ' || n, n / 4.0, '2026-01-01'::DATE + n % 365, 'x'::BYTES"
        " FROM generate_series(1, 50000) AS n")
    places = {"clear": ("", None), "sealed": (", encryption_passphrase = 'a passphrase'", "a passphrase")}
    for place, (keys, _) in places.items():
        run(f"BACKUP DATABASE d INTO 'nodelocal://1/{place}' WITH revision_history{keys}")
    moments = []
    for change in ("UPDATE d.t SET b = 'changed' WHERE a % 100 = 0", "DELETE FROM d.t WHERE a > 40000",
                   "ALTER TABLE d.t DROP COLUMN c", "CREATE TABLE d.u AS SELECT a FROM d.t WHERE a < 10"):
        run(change)
        moments.append((now(), sorted(run("SELECT * FROM d.t").fetchall())))
    for place, (keys, _) in places.items():
        run(f"BACKUP DATABASE d INTO LATEST IN 'nodelocal://1/{place}' WITH revision_history{keys}")
    for place, (_, passphrase) in places.items():
        collection = Collection(extern / place, passphrase)
        found = collection.tables()
        assert found["t"] == moments[-1][1], place
        assert found["u"] == [(n,) for n in range(1, 10)], place
        for moment, expected in moments:
            assert collection.tables(moment)["t"] == expected, (place, moment)

    # The same without a server.
    def lakeport(*arguments, fails=False):
        result = subprocess.run([os.environ["TEST_BINARY"], "backup", *arguments], capture_output=True, text=True, timeout=60)
        assert (result.returncode != 0) == fails, (arguments, result.stdout, result.stderr)
        return result.stderr if fails else result.stdout

    sealed = str(extern / "sealed")
    phrase = extern / "phrase"
    phrase.write_text("a passphrase\n")
    assert lakeport("list", sealed) == f"/{Collection(sealed).latest()[0]}\n"
    assert "use --passphrase-file or --kms: file appears encrypted" in lakeport("show", sealed, fails=True)
    shown = lakeport("show", sealed, "--passphrase-file", str(phrase))
    assert "full backup of" in shown and "d.t: 50000 rows" in shown and "incremental backup of" in shown, shown
    assert "2 layers" in lakeport("verify", sealed, "LATEST", "--passphrase-file", str(phrase))
    pack = next(pathlib.Path(sealed).rglob("*.pack"))
    flipped = bytearray(pack.read_bytes())
    flipped[100_000] ^= 1
    pack.write_bytes(flipped)
    assert "1 of" in lakeport("verify", sealed, "--passphrase-file", str(phrase), fails=True)
