# flags: --insecure
# log: BACKUP-LOCK" exists already
"""Backups beside each other and beside changes: one layer each or a refusal, and the state of one moment."""

import os
import pathlib
import tempfile
import threading
import time

import psycopg

from faults import looks
from faults.backup import Collection
from faults.lakeport import Lakeport, refusal, until

ROUNDS, WRITERS = 5, 4
# Folders are named by hundredths of a second.
APART = 0.015
# What a backup is answered that another one was in the way of.
BUSY = ("40001", "55006", "42710", "22023", "55000")
store = pathlib.Path(os.environ["TEST_STORE"])


def race(statement):
    """The same statement by several sessions at once; answers how many it was done for."""
    answers, start = [], threading.Barrier(WRITERS)

    def run(number):
        with psycopg.connect(autocommit=True) as connection:
            start.wait()
            time.sleep(number * APART)
            try:
                connection.execute(statement)
                answers.append("done")
            except psycopg.Error as error:
                answers.append((error.sqlstate, str(error)))

    threads = [threading.Thread(target=run, args=[number]) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [answer for answer in answers if answer != "done" and answer[0] not in BUSY]
    assert not wrong and len(answers) == WRITERS, answers
    return answers.count("done")


def jobs(connection):
    return connection.execute("SELECT status, error, description FROM [SHOW JOBS] ORDER BY job_id DESC LIMIT 9").fetchall()


def races(connection):
    collection = Collection(store / "extern/races")
    run = connection.execute
    fulls = layers = 0
    for number in range(ROUNDS):
        run(f"INSERT INTO d.t SELECT {number * 100} + n FROM generate_series(1, 100) AS n")
        done = race("BACKUP DATABASE d INTO 'nodelocal://1/races'")
        assert done, "a race that nobody won"
        fulls += done
        assert len(collection.fulls()) == fulls
        done = 0
        for _ in range(2):
            run("UPDATE d.t SET a = -a WHERE a % 10 = 1")
            added = race("BACKUP DATABASE d INTO LATEST IN 'nodelocal://1/races'")
            assert added, "a race that nobody won"
            done += added
        layers += done
        found = len(collection.chain()[0])
        assert found >= 1 + done, (found, done, jobs(connection))
        assert not collection.strays(), collection.strays()
        run("RESTORE DATABASE d FROM LATEST IN 'nodelocal://1/races' WITH new_db_name = 'copy'")
        assert run("SELECT a FROM copy.t ORDER BY a").fetchall() == run("SELECT a FROM d.t ORDER BY a").fetchall()
        run("DROP DATABASE copy CASCADE")
    # Restores of one name.
    for _ in range(ROUNDS):
        answers = []
        race_of_names(answers)
        assert answers.count("done") == 1 and set(answers) <= {"done", "42P04", "40001"}, answers
        assert run("SELECT count(*) FROM same.t").fetchone() == (ROUNDS * 100,)
        run("DROP DATABASE same CASCADE")
    return fulls, layers


def race_of_names(answers):
    def run():
        with psycopg.connect(autocommit=True) as connection:
            try:
                connection.execute("RESTORE DATABASE d FROM LATEST IN 'nodelocal://1/races' WITH new_db_name = 'same'")
                answers.append("done")
            except psycopg.Error as error:
                answers.append(error.sqlstate)

    threads = [threading.Thread(target=run) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def refusals(connection):
    """Collections without a backup, names that are taken."""
    empty = "LATEST IN 'nodelocal://1/empty'"
    for statement in (f"BACKUP DATABASE d INTO {empty}", f"RESTORE DATABASE d FROM {empty}", f"SHOW BACKUP {empty}"):
        error = refusal(connection, statement)
        assert error.sqlstate == "58P01" and "path does not contain a completed latest backup" in str(error), error
    for statement, state in {
        "RESTORE DATABASE d FROM LATEST IN 'nodelocal://1/races'": "42P04",
        "RESTORE DATABASE d FROM LATEST IN 'nodelocal://1/races' WITH new_db_name = 'defaultdb'": "42P04",
        "RESTORE TABLE d.t FROM LATEST IN 'nodelocal://1/races'": "42P07",
        "RESTORE TABLE d.t FROM LATEST IN 'nodelocal://1/races' WITH into_db = 'd'": "42P07",
        "RESTORE TABLE d.t FROM LATEST IN 'nodelocal://1/races' WITH into_db = 'nowhere'": "3D000",
    }.items():
        error = refusal(connection, statement)
        assert error.sqlstate == state, (statement, error.sqlstate, error)
    assert connection.execute("SELECT count(*) FROM d.t").fetchone() == (ROUNDS * 100,)


def of_a_job_that_ended(connection):
    """A lock that its job could not give back does not stand in the way for ever, and what else it left goes too."""
    run = connection.execute
    (job, *_) = run("BACKUP DATABASE d INTO 'nodelocal://1/stale'").fetchone()
    collection = Collection(store / "extern/stale")
    full, _ = collection.latest()
    lock = collection.folder / full / "BACKUP-LOCK"
    below = full.replace("/", "")
    left = collection.folder / "incrementals" / full / f"{below[:8]}/235959.99-{below}" / "data"
    left.mkdir(parents=True)
    (left / f"{'0' * 32}.pack").write_bytes(b"rows of a layer that was not finished")
    lock.write_text("job 1")
    error = refusal(connection, "BACKUP DATABASE d INTO LATEST IN 'nodelocal://1/stale'")
    assert "another backup is writing there" in str(error) and lock.exists() and len(collection.strays()) == 2, error
    lock.write_text(f"job {job}")
    run("BACKUP DATABASE d INTO LATEST IN 'nodelocal://1/stale'")
    assert not collection.strays() and len(collection.chain()[0]) == 2, collection.strays()


def during(folder, point, change):
    """A change while a backup waits at a point: the backup shows the moment at which it was asked for."""
    server = Lakeport(folder / point)
    server.must_start(f"{point}:delay")
    with server.connect() as connection, server.connect() as other:
        run = connection.execute
        run("SET CLUSTER SETTING gc.ttl = '1s'")
        run("CREATE DATABASE d")
        run("CREATE TABLE d.t (a INT8 PRIMARY KEY, b STRING)")
        run("CREATE TABLE d.u (a INT8 PRIMARY KEY)")
        run("INSERT INTO d.t SELECT n, 'row ' || n FROM generate_series(1, 1000) AS n")
        before = run("SELECT * FROM d.t ORDER BY a").fetchall()
        (job,) = run("BACKUP DATABASE d INTO 'nodelocal://1/place' WITH detached").fetchone()
        if point in WITH_PACKS:
            until("a pack is written", lambda: list((server.extern / "place").rglob("*.pack")))
        for statement in change:
            other.execute(statement)
        until("the backup has ended", lambda: not looks.unfinished_jobs(other))
        status = run(f"SELECT status, error FROM [SHOW JOB {job}]").fetchone()
        assert status[0] == "succeeded", (point, change, status)
        run("RESTORE DATABASE d FROM LATEST IN 'nodelocal://1/place' WITH new_db_name = 'e'")
        assert run("SELECT * FROM e.t ORDER BY a").fetchall() == before, (point, change)
        assert run("SELECT count(*) FROM e.u").fetchone() == (0,)
        assert not Collection(server.extern / "place").strays()
    server.kill()


def of_one_moment(folder):
    """A backup that is held up until another one has made the same layer is refused, and leaves that one alone."""
    server = Lakeport(folder / "moment")
    server.must_start("backup.start:delay:2")
    with server.connect() as connection:
        run = connection.execute
        run("CREATE DATABASE d")
        run("CREATE TABLE d.t AS SELECT 1 AS a")
        moment = run("SELECT clock_timestamp()::STRING").fetchone()[0]
        for _ in range(2):
            run(f"BACKUP DATABASE d INTO 'nodelocal://1/place' AS OF SYSTEM TIME '{moment}' WITH detached")
        until("the backups have ended", lambda: not looks.unfinished_jobs(connection))
        states = run("SELECT status FROM [SHOW JOBS] ORDER BY 1").fetchall()
        assert states == [("failed",), ("succeeded",)], states
        assert not Collection(server.extern / "place").strays()
        run("RESTORE DATABASE d FROM LATEST IN 'nodelocal://1/place' WITH new_db_name = 'e'")
        assert run("SELECT * FROM e.t").fetchall() == [(1,)]
    server.kill()


# Points that are reached when packs are written.
WITH_PACKS = ("backup.packed", "backup.manifest")
CHANGES = {
    "dropped": ["DROP TABLE d.t"],
    "altered": ["ALTER TABLE d.t DROP COLUMN b", "ALTER TABLE d.t ADD COLUMN c INT8 DEFAULT 7"],
    "renamed": ["ALTER TABLE d.t RENAME COLUMN b TO c"],
    "emptied": ["DELETE FROM d.t WHERE a > 0", "INSERT INTO d.t VALUES (1, 'other')"],
    "added to": ["CREATE TABLE d.late AS SELECT 1 AS a"],
}

with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE DATABASE d")
    connection.execute("CREATE TABLE d.t (a INT8)")
    fulls, layers = races(connection)
    refusals(connection)
    of_a_job_that_ended(connection)

changes, wrong = 0, []
with tempfile.TemporaryDirectory(prefix="lakeport-backup-") as name:
    of_one_moment(pathlib.Path(name))
    for point in ("backup.start", "backup.pack", *WITH_PACKS):
        for what, change in CHANGES.items():
            # A table that is dropped before its files are listed is left out.
            if what == "dropped" and point not in WITH_PACKS:
                continue
            folder = pathlib.Path(name) / what.replace(" ", "-")
            folder.mkdir(exist_ok=True)
            try:
                during(folder, point, change)
            except Exception as error:
                wrong.append(f"{point}, table {what}: {type(error).__name__} {error}"[:400])
            changes += 1
assert not wrong, "\n".join(wrong)
print(f"{fulls} full backups and {layers} layers of {WRITERS} writers at a time, {changes} changes during a backup")
