# flags: --insecure
"""A reader of backups written from docs/format/backup.md alone: decrypts a chain, checks all of it, reads its tables."""

import http.server
import os
import pathlib
import subprocess
import threading

import psycopg

from faults.backup import Collection, opened

VECTOR = """4c4b504201010000 202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f
            f6d6ec4adbab43614c39f4e2dc11db8066d44f6869b64ebba6c7057ccdbf571e
            9b25c8c71774ce86 b1f55090ed43786949284211e807efa0"""



class Refusing(http.server.BaseHTTPRequestHandler):
    """A bucket that lets nobody in."""

    def do_GET(self):
        body = b"<Error><Code>AccessDenied</Code><Message>not you</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", len(body))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


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
    for uri, part in {"nodelocal://1/sealed": "give the folder itself", "external://safe": "SHOW CREATE EXTERNAL CONNECTION",
                      "userfile:///sealed": "below the server's --warehouse"}.items():
        assert part in lakeport("list", uri, fails=True), uri
    phrase = extern / "phrase"
    phrase.write_text("a passphrase\n")
    assert lakeport("list", sealed) == f"/{Collection(sealed).latest()[0]}\n"
    assert lakeport("show", sealed, fails=True) == "lakeport: error: file appears encrypted: give --passphrase-file or --kms\n"
    wrong = extern / "wrong"
    wrong.write_text("another passphrase\n")
    hint = "message authentication failed\nhint: give the file of another passphrase, or --kms\n"
    assert lakeport("show", sealed, "--passphrase-file", str(wrong), fails=True).endswith(hint)
    key = "aws-kms:///k?REGION=r&AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=hunter2"
    assert lakeport("show", sealed, "--kms", key, fails=True).endswith("hint: give the URI of another key, or --passphrase-file\n")
    hint = "hint: leave out --passphrase-file and --kms\n"
    assert lakeport("verify", str(extern / "clear"), "--passphrase-file", str(phrase), fails=True).endswith(hint)
    empty = extern / "empty"
    empty.mkdir()
    assert lakeport("list", str(empty), fails=True).startswith("lakeport: error: there is no backup in ")
    assert "path does not contain a completed latest backup" in lakeport("show", str(empty), fails=True)
    # A failure of a storage is said once, and without the secret.
    bucket = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=bucket.serve_forever, daemon=True).start()
    uri = f"s3://b/p?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=hunter2&AWS_REGION=r&AWS_ENDPOINT=http://127.0.0.1:{bucket.server_port}"
    refused = lakeport("list", uri, fails=True)
    assert refused == "lakeport: error: AccessDenied: not you\nhint: check the key, and that it may read, write and list there\n", refused
    shown = lakeport("show", sealed, "--passphrase-file", str(phrase))
    assert "full backup of" in shown and "d.public.t: 50000 rows" in shown and "incremental backup of" in shown, shown
    assert "2 layers" in lakeport("verify", sealed, "LATEST", "--passphrase-file", str(phrase))
    pack = next(pathlib.Path(sealed).rglob("*.pack"))
    flipped = bytearray(pack.read_bytes())
    flipped[100_000] ^= 1
    pack.write_bytes(flipped)
    assert "1 of" in lakeport("verify", sealed, "--passphrase-file", str(phrase), fails=True)
