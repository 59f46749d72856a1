# flags: --insecure
"""Backups that a stranger has written: what they claim is refused or does no harm, and nothing is written outside."""

import copy
import gzip
import json
import os
import pathlib

import psycopg

from faults.backup import Collection, sealed, sealed_manifest

MOST = 2**64 - 1
REFUSALS = ("XX001", "22023", "58P01", "0A000", "42704", "42P07", "3D000", "22P02", "42703", "42601", "42602", "42622")
store = pathlib.Path(os.environ["TEST_STORE"])
PATHS = ["../../x", "../x", "/etc/x", "/", "", ".", "..", "a/../../x", "a//b", "a/./b", "x\0y", "_delta_log/0.json",
         f"_delta_log/{0:020}.json", "_delta_log/_last_checkpoint", "_delta_log", "%2e%2e/%2e%2e/x", "..%2f..%2fx", "a/..%2f..%2fx",
         "C:\\x", "\\\\host\\x", "file:///tmp/x", "x" * 300, "x/" * 30 + "x", "x/" * 3000 + "x", "\u202e.parquet", "a b#?&.parquet"]
NUMBERS = [-1, 1.5, "1", None, 2**62, 2**63, MOST, 2**64, 10**30]
PACK_IDS = ["", "x", "../" * 10 + "etc/passwd", "a/b", "0" * 31, "0" * 33, "A" * 32, "0" * 32, "..", None, 7]
NAMES = ["", "a/b", "..", "a\0b", "x" * 100_000, "t; DROP TABLE d.t", '"', None]
SCHEMAS = ["", "{}", "[]", "null", "[" * 100_000, '{"type":"struct"}',
           '{"type":"struct","fields":[{"name":"a","type":"nonsense","nullable":true,"metadata":{}}]}',
           '{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":{}}]}',
           '{"type":"struct","fields":[' + ",".join(['{"name":"a","type":"long","nullable":true,"metadata":{}}'] * 2) + "]}",
           '{"type":"struct","fields":[{"name":"a","type":"decimal(999,-5)","nullable":true,"metadata":{}}]}']
DEFAULTS = ["(SELECT 1); DROP TABLE d.t", "1/0", "nonsense(", "nextval('x')", "(" * 5000, "", "'x'::BYTES"]


def changes():
    """What a manifest is made to claim: a name, and what changes it."""
    file = lambda manifest: manifest["tables"][0]["versions"][0]["added"][0]
    version = lambda manifest: manifest["tables"][0]["versions"][0]
    table = lambda manifest: manifest["catalog"]["tables"][0]

    def put(place, field, value):
        return lambda manifest: place(manifest).__setitem__(field, value)

    for value in PATHS:
        yield f"path {value[:40]!r}", put(file, "path", value)
        yield f"removed {value[:40]!r}", put(version, "removed", [value])
    for value in NUMBERS:
        for field in ("offset", "bytes", "rows", "pack"):
            yield f"{field} {value}", put(file, field, value)
        yield f"size of a pack {value}", put(lambda manifest: manifest["packs"][0], "bytes", value)
        for field in ("version", "at"):
            yield f"{field} {value}", put(version, field, value)
        for field in ("format", "start", "end", "revisions_since", "job"):
            yield f"{field} {value}", put(lambda manifest: manifest, field, value)
        for field in ("id", "database", "schema"):
            yield f"{field} of a table {value}", put(table, field, value)
    for value in PACK_IDS:
        yield f"pack {str(value)[:40]!r}", put(lambda manifest: manifest["packs"][0], "id", value)
        yield f"salt {str(value)[:40]!r}", put(lambda manifest: manifest["packs"][0], "salt", value)
    for value in NAMES:
        yield f"name of a table {str(value)[:40]!r}", put(table, "name", value)
        yield f"owner {str(value)[:40]!r}", put(table, "owner", value)
        yield f"key {str(value)[:40]!r}", put(table, "primary_key", [value])
        yield f"schema {str(value)[:40]!r}", put(lambda manifest: manifest["catalog"]["schemas"][0], "name", value)
        yield f"column {str(value)[:40]!r}", put(lambda manifest: table(manifest)["columns"][0], "stored_name", value)
    for value in SCHEMAS:
        yield f"schema {value[:40]!r} of {len(value)}", put(version, "schema", value)
    for value in DEFAULTS:
        yield f"default {value[:40]!r}", put(lambda manifest: table(manifest)["columns"][1], "default", value)
    for value in ("", "{}", "[", '{"numRecords":-5}', '{"numRecords":1e300,"minValues":{"a":"x"}}', "[" * 100_000):
        yield f"stats {value[:40]!r} of {len(value)}", put(file, "stats", value)
    for value in ("everything", {"databases": "d"}, {"tables": [[1]]}, [], None):
        yield f"targets {value}", put(lambda manifest: manifest, "targets", value)
    for value in (None, {}, {"id": "0" * 32, "sha256": "0" * 64}):
        yield f"previous {value}", put(lambda manifest: manifest, "previous", value)
    for field in ("catalog", "packs", "tables", "id", "targets", "format"):
        yield f"no {field}", lambda manifest, field=field: manifest.pop(field)
    yield "no packs", put(lambda manifest: manifest, "packs", [])
    yield "a table twice", lambda manifest: manifest["catalog"]["tables"].append(copy.deepcopy(table(manifest)))
    yield "a history twice", lambda manifest: manifest["tables"].append(copy.deepcopy(manifest["tables"][0]))
    yield "a file twice", lambda manifest: version(manifest)["added"].append(copy.deepcopy(file(manifest)))
    yield "a database twice", lambda manifest: manifest["catalog"]["databases"].append(
        copy.deepcopy(manifest["catalog"]["databases"][0]))
    yield "a version twice", lambda manifest: manifest["tables"][0]["versions"].append(copy.deepcopy(version(manifest)))
    yield "no files", put(version, "added", [])

    def immense(manifest, field):
        for number in range(3):
            version(manifest)["added"].append(dict(file(manifest), path=f"more-{number}.parquet", **{field: 2**63}))

    yield "rows beyond all numbers", lambda manifest: immense(manifest, "rows")
    yield "bytes beyond all numbers", lambda manifest: immense(manifest, "bytes")
    yield "a schema of no database", put(lambda manifest: manifest["catalog"]["schemas"][0], "database", 77)
    yield "an unknown field of 10 MB", put(lambda manifest: manifest, "x", ["y" * 1000] * 10_000)


def raw(manifest):
    """Contents of a manifest's file that are no manifest, or one that is too large."""
    good = json.dumps(manifest).encode()
    yield "no gzip", b"x" * 100
    yield "nothing", b""
    yield "gzip of nothing", gzip.compress(b"")
    yield "gzip cut off", gzip.compress(good)[:-9]
    yield "two manifests", gzip.compress(good + good)
    yield "10 MB of brackets", gzip.compress(b"[" * 10_000_000, 1)
    yield "10 MB of objects", gzip.compress(b'{"format":1,"x":' + b'{"a":' * 2_000_000, 1)
    yield "a gzip bomb", gzip.compress(b" " * (300 << 20), 1)
    yield "a number without end", gzip.compress(b'{"format":' + b"9" * 1_000_000)
    yield "no UTF-8", gzip.compress(good.replace(b'"job"', b'"\xff\xfe"'))


def infos(info):
    """Files of wrapped keys."""
    for field, values in {"memory_kib": [0, 1, 2**18 + 1, 2**32 - 1, 2**32, -1], "passes": [0, 17, 2**32 - 1],
                          "lanes": [0, 17, 2**24, 2**32 - 1], "salt": ["", "AAAA", "?", "A" * 100_000],
                          "wrapped": ["", "AAAA", "?", "A" * 100_000]}.items():
        for value in values:
            changed = copy.deepcopy(info)
            changed["keys"][0]["passphrase"][field] = value
            yield f"{field} {str(value)[:20]}", json.dumps(changed).encode()
    for field, values in {"format": [0, 2, MOST, "1"], "check": ["", "0" * 64, "x" * 64], "keys": [[], None, [{}], [[]], {}]}.items():
        for value in values:
            yield f"{field} {value}", json.dumps(dict(info, **{field: value})).encode()
    # Each entry may ask for seconds of work, each file for memory.
    dear = copy.deepcopy(info["keys"][0])
    dear["passphrase"].update(memory_kib=2**18, passes=16, lanes=16)
    yield "many passphrases", json.dumps(dict(info, keys=[dear] * 200)).encode()
    key = {"kms": {"kind": "aws-kms", "key_sha256": "0" * 64, "wrapped": "AAAA"}}
    yield "many keys", json.dumps(dict(info, keys=info["keys"] + [key] * 1000)).encode()
    yield "a large file", json.dumps(info).encode() + b" " * (2 << 20)
    yield "nothing", b""
    yield "brackets", b"[" * 10_000_000
    yield "no UTF-8", b"\xff" * 1000


def lies(manifest):
    """A manifest that tells of files what is not in them."""
    manifest = copy.deepcopy(manifest)
    names = [column["stored_name"] for column in manifest["catalog"]["tables"][0]["columns"]]
    bounds = dict(zip(names, [10**6, "zzz"]))
    told = {"numRecords": 7, "minValues": bounds, "maxValues": bounds, "nullCount": dict.fromkeys(names, 7)}
    for version in manifest["tables"][0]["versions"]:
        for file in version["added"]:
            file.update(rows=7, stats=json.dumps(told))
    return manifest


def files():
    """All that is there, the catalog and the tables of databases aside."""
    # A catalog's log grows with every job.
    found = [path for path in store.parent.rglob("*") if path.is_file() and not path.name.startswith("catalog.db")]
    return {str(path) for path in found if (store / "warehouse") not in path.parents}


class Target:
    def __init__(self, connection, place, key=""):
        self.connection, self.place, self.key = connection, f"'nodelocal://1/{place}'", key
        self.refused, self.done = 0, 0

    def statements(self):
        options = ", ".join(filter(None, [self.key, "new_db_name = 'hostile'"]))
        keyed = f" WITH {self.key}" if self.key else ""
        yield f"SHOW BACKUP SCHEMAS FROM LATEST IN {self.place}{keyed}"
        yield f"RESTORE DATABASE d FROM LATEST IN {self.place} WITH {options}, schema_only, verify_backup_table_data"
        yield f"RESTORE DATABASE d FROM LATEST IN {self.place} WITH {options}"

    def tried(self, what):
        """Every statement answers, with an error of its kind or with what does no harm."""
        complaints = []
        for statement in self.statements():
            try:
                self.connection.execute(statement)
                self.done += 1
            except psycopg.Error as error:
                self.refused += 1
                if error.sqlstate not in REFUSALS:
                    complaints.append(f"{what}: {statement[:30]}: {error.sqlstate} {str(error)[:300]}")
                if self.connection.closed:
                    raise AssertionError("\n".join(complaints)) from error
            if "RESTORE" in statement:
                complaints += self.used(what)
        return complaints

    def used(self, what):
        """What was restored can be looked at and dropped."""
        databases = self.connection.execute("SELECT database_name FROM [SHOW DATABASES]").fetchall()
        if ("hostile",) not in databases:
            return []
        try:
            for statement in ("SELECT * FROM hostile.t", "INSERT INTO hostile.t (a) VALUES (-1)", "SELECT count(*) FROM hostile.t"):
                try:
                    self.connection.execute(statement)
                except psycopg.Error as error:
                    if error.sqlstate is None or error.sqlstate in ("XX000", "58030"):
                        return [f"{what}: {statement}: {error.sqlstate} {str(error)[:300]}"]
            return []
        finally:
            self.connection.execute("DROP DATABASE hostile CASCADE")


with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE DATABASE d")
    connection.execute("CREATE TABLE d.t (a INT8 PRIMARY KEY, b STRING DEFAULT 'x')")
    connection.execute("INSERT INTO d.t SELECT n, 'row ' || n FROM generate_series(1, 60) AS n")
    connection.execute("INSERT INTO d.t SELECT n, 'row ' || n FROM generate_series(61, 100) AS n")
    expected = connection.execute("SELECT * FROM d.t ORDER BY a").fetchall()
    connection.execute("BACKUP DATABASE d INTO 'nodelocal://1/clear'")
    connection.execute("BACKUP DATABASE d INTO 'nodelocal://1/sealed' WITH encryption_passphrase = 'x'")
    clear, wrapped = Collection(store / "extern/clear"), Collection(store / "extern/sealed", "x")
    wrapped.cheapen(wrapped.latest()[0])
    [(folder, manifest)], _ = clear.chain()
    path = f"{folder}/BACKUP_MANIFEST"
    info_path = wrapped.folder / wrapped.latest()[0] / "ENCRYPTION-INFO"
    before, complaints, tried = files(), [], 0
    target = Target(connection, "clear")
    for what, change in changes():
        changed = copy.deepcopy(manifest)
        change(changed)
        (clear.folder / path).write_bytes(sealed_manifest(changed, path))
        complaints += target.tried(what)
        tried += 1
    for what, content in raw(manifest):
        (clear.folder / path).write_bytes(sealed(content, path))
        complaints += target.tried(what)
        tried += 1
    good = info_path.read_bytes()
    target_sealed = Target(connection, "sealed", "encryption_passphrase = 'x'")
    for what, content in infos(json.loads(good)):
        info_path.write_bytes(content)
        complaints += target_sealed.tried(what)
        tried += 1
    # A default is one expression. SHOW BACKUP may show what it is.
    for default in ("(SELECT 1); DROP TABLE d.t", "nonsense(", "(" * 5000, "", "1, b INT", "1 PRIMARY KEY"):
        changed = copy.deepcopy(manifest)
        changed["catalog"]["tables"][0]["columns"][1]["default"] = default
        (clear.folder / path).write_bytes(sealed_manifest(changed, path))
        refused = target.refused
        complaints += target.tried(f"default {default[:20]}")
        assert target.refused == refused + 2, f"restored with default {default[:20]!r}"
    # More than a reader reads.
    done = target.done
    (clear.folder / path).write_bytes(sealed_manifest(manifest, path) + b" " * (70 << 20))
    complaints += target.tried("a large manifest")
    assert target.done == done, "a large manifest was read"
    assert not complaints, f"{len(complaints)} complaints\n" + "\n".join(complaints)
    assert files() == before, files() ^ before
    assert connection.execute("SELECT * FROM d.t ORDER BY a").fetchall() == expected
    # What a manifest says of the contents of files is not believed.
    (clear.folder / path).write_bytes(sealed_manifest(lies(manifest), path))
    connection.execute(f"RESTORE DATABASE d FROM LATEST IN {target.place} WITH new_db_name = 'told'")
    for query in ("SELECT count(*), count(b), min(a), max(a), max(b) FROM", "SELECT b FROM", "SELECT count(*) FROM"):
        where = "" if "min" in query else " WHERE a = 50" if "b" in query else " WHERE b IS NULL"
        found, right = [connection.execute(f"{query} {database}.t{where}").fetchall() for database in ("told", "d")]
        assert found == right, (query, found, right)
    connection.execute("DROP DATABASE told CASCADE")
    # And what was never touched is restored.
    (clear.folder / path).write_bytes(sealed_manifest(manifest, path))
    info_path.write_bytes(good)
    for place in (target, target_sealed):
        assert not place.tried("the backup as it was")
    refused = target.refused + target_sealed.refused
    print(f"{tried} hostile files, {refused} statements refused, {target.done + target_sealed.done} done without harm")
