# flags: --insecure
"""A full disk: every statement says so, does nothing by half, and works again once there is room."""

import os
import pathlib
import subprocess
import tempfile

import psycopg

from faults import looks
from faults.lakeport import Lakeport, refusal, until

ROWS = 20_000


def set_up(server):
    folder = server.extern / "files"
    folder.mkdir(parents=True)
    (folder / "rows.csv").write_text("".join(f"{n},{n % 7 * 'x'}\n" for n in range(ROWS)))
    with server.connect() as connection:
        connection.execute("CREATE TABLE t (a INT8, b STRING DEFAULT 'y', d INT8, e INT8)")
        connection.execute("CREATE TABLE many (a INT8)")
        connection.execute("INSERT INTO t (a) SELECT n FROM generate_series(1, 1000) AS n")
        connection.execute("CREATE EXTERNAL CONNECTION files AS 'nodelocal://1/files'")
        connection.execute("CREATE DATABASE other")
        connection.execute("BACKUP TABLE t INTO 'nodelocal://1/made'")
        connection.execute("CREATE EXTERNAL CONNECTION moving AS 'nodelocal://1/old' WITH (VALIDATE = false)")


def copy(connection):
    with connection.cursor().copy("COPY t (a, b) FROM STDIN") as copy:
        for number in range(3000):
            copy.write_row((number, "z" * 500))


# What is tried, and whether it needs room in the warehouse or in the catalog.
STATEMENTS = {
    "INSERT": "INSERT INTO t (a) VALUES (1)",
    "UPDATE": "UPDATE t SET b = 'other' WHERE a = 5",
    "DELETE": "DELETE FROM t WHERE a < 500",
    "COPY": copy,
    "IMPORT": "IMPORT INTO t (a, b) CSV DATA ('external://files/rows.csv')",
    "EXPORT": "EXPORT INTO CSV 'external://files/out' FROM SELECT n FROM generate_series(1, 50000) AS n",
    "CREATE TABLE": "CREATE TABLE fresh AS SELECT * FROM t",
    "ADD COLUMN": "ALTER TABLE t ADD COLUMN c INT8 DEFAULT 7",
    "RENAME COLUMN": "ALTER TABLE t RENAME COLUMN d TO dd",
    "DROP COLUMN": "ALTER TABLE t DROP COLUMN e",
    "ALTER CONNECTION": "ALTER EXTERNAL CONNECTION moving AS 'nodelocal://1/new' WITH (VALIDATE = false)",
    "BACKUP": "BACKUP TABLE t INTO 'nodelocal://1/backups'",
    "BACKUP LATEST": "BACKUP TABLE t INTO LATEST IN 'nodelocal://1/made'",
    "RESTORE": "RESTORE TABLE t FROM LATEST IN 'nodelocal://1/made' WITH into_db = 'other'",
    "ALTER ROLE": f"ALTER ROLE root SET application_name = '{'r' * 100_000}'",
}


def state(connection):
    """All that the statements might change."""
    with connection.cursor() as cursor:
        rows = cursor.execute("SELECT * FROM t ORDER BY 1, 2").fetchall()
        names = [column.name for column in cursor.description]
    tables = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_name = 'fresh'").fetchall()
    uri = connection.execute("SELECT connection_uri FROM [SHOW EXTERNAL CONNECTION 'moving']").fetchone()
    backups = connection.execute("SELECT count(*) FROM [SHOW BACKUPS IN 'nodelocal://1/backups']").fetchone()
    layers = connection.execute("SELECT DISTINCT end_time FROM [SHOW BACKUP LATEST IN 'nodelocal://1/made']").fetchall()
    restored = connection.execute("SHOW TABLES FROM other").fetchall()
    return names, rows, tables, uri, backups, len(layers), restored


def run(connection, statement):
    statement(connection) if callable(statement) else connection.execute(statement)


def must_fail(connection, name, before):
    """53100 with a hint and nothing changed."""
    try:
        run(connection, STATEMENTS[name])
    except psycopg.Error as error:
        assert error.sqlstate == "53100", (name, error.sqlstate, error)
        assert error.diag.message_hint, (name, error)
    else:
        raise AssertionError(f"{name} succeeded on a full disk")
    assert state(connection) == before, f"{name} was done by half"


def injected(server, binary):
    """The points at which a write can fail, one statement after another."""
    points = {
        "local.stage": ("INSERT", "COPY", "IMPORT", "CREATE TABLE", "ADD COLUMN", "RENAME COLUMN", "UPDATE", "EXPORT",
                        "BACKUP"),
        "local.write": ("INSERT", "COPY", "IMPORT", "CREATE TABLE", "DROP COLUMN", "DELETE", "EXPORT", "RESTORE"),
        "local.sync": ("INSERT", "COPY", "IMPORT", "ADD COLUMN", "BACKUP LATEST"),
        "file.stage": ("INSERT", "COPY", "IMPORT", "ADD COLUMN"),
        "log.commit": ("INSERT", "COPY", "IMPORT", "ADD COLUMN", "RENAME COLUMN", "DROP COLUMN", "DELETE"),
        "catalog.commit": ("ADD COLUMN", "RENAME COLUMN", "DROP COLUMN", "ALTER CONNECTION", "ALTER ROLE", "CREATE TABLE",
                           "IMPORT", "BACKUP", "RESTORE"),
    }
    for point, names in points.items():
        server.must_start()
        with server.connect() as connection:
            before = state(connection)
        server.stop()
        server.must_start(f"{point}:disk-full")
        with server.connect() as connection:
            for name in names:
                must_fail(connection, name, before)
        server.kill()
        server.must_start()
        with server.connect() as connection:
            assert state(connection) == before, point
            until("jobs ended", lambda: not looks.unfinished_jobs(connection))
        looks.check_store(server.store)
        server.stop()


def mounted(folder, mebibytes):
    """A small file system in memory, where the machine lets us have one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0


def fill(path):
    """Takes the last byte of room."""
    with path.open("wb", buffering=0) as ballast:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    ballast.write(bytes(size))
            except OSError:
                pass


def on_a_full_disk(folder):
    server = Lakeport(folder / "store", folder=folder.parent / "full")
    server.must_start()
    set_up(server)
    ballast = folder / "ballast"
    with server.connect() as connection:
        for number in range(40):
            connection.execute(f"INSERT INTO many VALUES ({number})")
        before = state(connection)
        fill(ballast)
        full = 0
        for name, statement in STATEMENTS.items():
            try:
                run(connection, statement)
            except psycopg.Error as error:
                assert error.sqlstate == "53100" and error.diag.message_hint, (name, error.sqlstate, error)
                full += 1
                if name not in ("ALTER CONNECTION", "ALTER ROLE"):
                    assert state(connection) == before, f"{name} was done by half"
            else:
                # The catalog's own log may still have room for a few rows.
                assert name in ("ALTER CONNECTION", "ALTER ROLE"), f"{name} succeeded on a full disk"
        assert full >= len(STATEMENTS) - 1
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1000,)
        ballast.unlink()
        for name, statement in STATEMENTS.items():
            run(connection, statement)
        (rows,) = connection.execute("SELECT count(*) FROM t").fetchone()
        assert rows == 1000 + 1 - 500 + 3000 + ROWS, rows
        looks.read_by_others(server.store, connection)
    server.kill()
    server.must_start()
    looks.check_store(server.store)
    server.stop()


with tempfile.TemporaryDirectory(prefix="lakeport-full-") as name:
    server = Lakeport(pathlib.Path(name) / "store")
    server.must_start()
    set_up(server)
    server.stop()
    injected(server, server.binary)

    disk = pathlib.Path(name) / "disk"
    disk.mkdir()
    if mounted(disk, 96):
        try:
            on_a_full_disk(disk)
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
    else:
        print("a real full disk was left out: this user may not mount one")
