# flags: --insecure
"""Torn last writes: of the catalog, of a table's log, of files on their way. What was acknowledged is there, or the problem is named."""

import pathlib
import random
import re
import shutil
import struct
import tempfile

from faults.lakeport import Lakeport, refusal

VERSIONS = 12
dice = random.Random(5)


def definition(version):
    return f"nodelocal://1/place-{version}"


def version_of(connection):
    (uri,) = connection.execute("SELECT connection_uri FROM [SHOW EXTERNAL CONNECTION 'c']").fetchone()
    return int(re.search(r"place-(\d+)", uri)[1])


def tip(wal):
    """Where the last valid frame of a write-ahead log starts and ends: the log is written again from its start now and then."""
    text = wal.read_bytes()
    page, salts = struct.unpack(">I", text[8:12])[0], text[16:24]
    frame = page + 24
    end = 32
    while text[end + 8:end + 16] == salts and end + frame <= len(text):
        end += frame
    return end - frame, end


def torn_catalogs(wal):
    """The log as a crash may leave it: shorter, or with garbage at its end."""
    start, end = tip(wal)
    text = wal.read_bytes()
    for lost in (1, 23, 512, 2048, end - start - 24, end - start):
        yield f"{lost} bytes short", text[:end - lost]
    for length in (1, 8, 512, end - start):
        yield f"{length} bytes of garbage", text[:end - length] + dice.randbytes(length) + text[end:]
    yield "garbage after its end", text[:end] + dice.randbytes(3000)


def with_copy(store, change, look):
    """Changes a copy of a killed server's store and looks at what a server makes of it."""
    with tempfile.TemporaryDirectory(prefix="lakeport-torn-") as folder:
        copy = Lakeport(pathlib.Path(folder) / "store")
        shutil.copytree(store, copy.store)
        change(copy.store)
        copy.must_start()
        with copy.connect() as connection:
            look(copy, connection)
        copy.stop()


def catalog(server):
    wal = server.store / "catalog.db-wal"
    for name, text in list(torn_catalogs(wal)):
        def tear(store):
            (store / "catalog.db-wal").write_bytes(text)
            (store / "catalog.db-shm").unlink(missing_ok=True)

        def look(_, connection):
            version = version_of(connection)
            # Only the transaction that was being written may be gone.
            assert version in (VERSIONS - 1, VERSIONS), f"{name}: version {version}"
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (3,), name
            connection.execute(f"ALTER EXTERNAL CONNECTION c AS '{definition(99)}' WITH (VALIDATE = false)")
            assert version_of(connection) == 99

        with_copy(server.store, tear, look)


def log_folder(store):
    (folder,) = (log for log in store.glob("warehouse/*/*/_delta_log") if (log / f"{3:020}.json").exists())
    return folder


def log_entry(server):
    """A foreign writer has died while it wrote the next version."""
    whole = (log_folder(server.store) / f"{3:020}.json").read_bytes()
    for name, text in [("cut", whole[:len(whole) * 2 // 3]), ("empty", b""), ("garbage", dice.randbytes(200)),
                       ("no object", b"[1]\n"), ("zeros", bytes(512))]:
        def tear(store):
            (log_folder(store) / f"{4:020}.json").write_bytes(text)

        def look(copy, connection):
            for statement in ("SELECT count(*) FROM t", "INSERT INTO t VALUES (4)", "DELETE FROM t WHERE a = 1"):
                error = refusal(connection, statement)
                assert error.sqlstate == "XX001", (name, statement, error.sqlstate, error)
                assert "version 4" in str(error) and error.diag.message_hint, (name, error)
            # Other tables are not touched by it.
            connection.execute("INSERT INTO u VALUES (1)")
            # The remedy that the hint names.
            (log_folder(copy.store) / f"{4:020}.json").unlink()
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (3,), name
            connection.execute("INSERT INTO t VALUES (4)")
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (4,), name

        with_copy(server.store, tear, look)


def staged_files(server):
    """What a crash of our own leaves: hidden files, in part written."""
    def leave(store):
        log = log_folder(store)
        for folder in (log, log.parent, store / "warehouse"):
            (folder / ".tmp-0123456789abcdef").write_bytes(b'{"add":')

    def look(copy, connection):
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (3,)
        assert not list(copy.store.rglob(".tmp-*"))

    with_copy(server.store, leave, look)


def checkpoint_hint(server):
    """The file that names the last checkpoint is a hint only."""
    for text in (b"", b'{"version":', dice.randbytes(50)):
        def look(_, connection):
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (3,), text
            connection.execute("INSERT INTO t VALUES (4)")

        with_copy(server.store, lambda store: (log_folder(store) / "_last_checkpoint").write_bytes(text), look)


with tempfile.TemporaryDirectory(prefix="lakeport-torn-") as folder:
    server = Lakeport(pathlib.Path(folder) / "store")
    server.must_start()
    with server.connect() as connection:
        connection.execute("CREATE TABLE t (a INT8)")
        connection.execute("CREATE TABLE u (a INT8)")
        for number in range(3):
            connection.execute(f"INSERT INTO t VALUES ({number})")
        connection.execute(f"CREATE EXTERNAL CONNECTION c AS '{definition(0)}' WITH (VALIDATE = false)")
        for version in range(1, VERSIONS + 1):
            connection.execute(f"ALTER EXTERNAL CONNECTION c AS '{definition(version)}' WITH (VALIDATE = false)")
        server.kill()
    catalog(server)
    log_entry(server)
    staged_files(server)
    checkpoint_hint(server)
