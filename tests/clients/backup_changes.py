# flags: --insecure
"""What changes while backups are made, or between them: told, not left out; and what failed or died leaves nothing."""

import os
import pathlib
import tempfile

import psycopg

from faults.lakeport import Lakeport, refusal, until

FINAL = ("succeeded", "failed", "canceled")


def now(connection):
    return connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::INT8").fetchone()[0]


def ended(connection, job):
    """State and error of a job when it is over."""
    state = lambda: connection.execute(f"SELECT status, error FROM [SHOW JOB {job}]").fetchone()
    return until(f"job {job} ends", lambda: state()[0] in FINAL and state())


def dropped(folder, first):
    """A table that was dropped between two layers is not left out of a cluster restore in silence."""
    with first.connect() as connection:
        run = connection.execute
        run("CREATE DATABASE gone")
        gone = now(connection)
        run("DROP DATABASE gone")
        run("CREATE DATABASE d")
        for name in ("kept", "lost"):
            run(f"CREATE TABLE d.{name} AS SELECT 1 AS a")
        run("BACKUP INTO 'nodelocal://1/dropped' WITH revision_history")
        [before] = run("SHOW BACKUPS IN 'nodelocal://1/dropped'").fetchone()
        moment = now(connection)
        run("DROP TABLE d.lost")
        run("BACKUP INTO LATEST IN 'nodelocal://1/dropped' WITH revision_history")
    second = Lakeport(folder / "second", flags=first.flags)
    second.must_start()
    try:
        with second.connect() as connection:
            restore = "RESTORE FROM LATEST IN 'nodelocal://1/dropped'"
            error = refusal(connection, f"{restore} AS OF SYSTEM TIME '{moment}'")
            assert error.sqlstate == "22023" and '"lost" was dropped between' in str(error), error
            connection.execute(restore)
            assert connection.execute("SELECT table_name FROM [SHOW TABLES FROM d]").fetchall() == [("kept",)]
            connection.execute("DROP DATABASE d CASCADE")
            error = refusal(connection, f"RESTORE FROM '{before}' IN 'nodelocal://1/dropped' AS OF SYSTEM TIME '{gone}'")
            assert error.sqlstate == "22023" and "a database was dropped by" in str(error), error
    finally:
        second.kill()


def renamed(first):
    """A backup of a database that gets another name before it is made fails: it would have nothing."""
    first.kill()
    first.must_start("backup.start:delay")
    with first.connect() as connection:
        run = connection.execute
        [job] = run("BACKUP DATABASE d INTO 'nodelocal://1/renamed' WITH detached").fetchone()
        run("ALTER DATABASE d RENAME TO e")
        state, error = ended(connection, job)
        assert (state, "its database renamed" in error) == ("failed", True), (state, error)
        assert run("SHOW BACKUPS IN 'nodelocal://1/renamed'").fetchall() == []
        run("ALTER DATABASE e RENAME TO d")


def undone(first):
    """A backup that fails ends when its files can be deleted, and leaves none."""
    first.kill()
    lists = ",".join(f"storage.list:error:{number}" for number in range(2, 5))
    first.must_start(f"backup.manifest:error,{lists}")
    with first.connect() as connection:
        [job] = connection.execute("BACKUP DATABASE d INTO 'nodelocal://1/undone' WITH detached").fetchone()
        assert ended(connection, job)[0] == "failed"
    left = [path for path in (pathlib.Path(first.flags[-1]) / "undone").rglob("*") if path.is_file()]
    assert not left, left


def swept(first):
    """What a killed server has left half written behind nodelocal goes with the next start."""
    folder = pathlib.Path(first.flags[-1]) / "renamed/data"
    (folder / "empty").mkdir(parents=True)
    old, young, foreign = folder / ".tmp-0123456789abcdef", folder / ".tmp-fedcba9876543210", folder / ".tmpfile"
    for file in (old, young, foreign):
        file.write_bytes(b"x")
    for file in (old, foreign):
        os.utime(file, (0, 0))
    first.kill()
    first.must_start()
    until("half written files are swept", lambda: not old.exists())
    assert young.exists() and foreign.exists() and (folder / "empty").exists()


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    (folder / "shared").mkdir()
    first = Lakeport(folder / "first", flags=["--external-io-dir", str(folder / "shared")])
    first.must_start()
    try:
        dropped(folder, first)
        renamed(first)
        undone(first)
        swept(first)
    finally:
        first.kill()
