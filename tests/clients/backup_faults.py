# flags: --insecure
# peer: sts
"""A server is killed, or fails, at each point of BACKUP, RESTORE and ALTER BACKUP: afterwards the old state or the new."""

import concurrent.futures
import os
import pathlib
import shutil
import tempfile

import psycopg

from faults import looks
from faults.backup import Collection
from faults.lakeport import Lakeport, fault_points, until

PASSPHRASE = "a passphrase"
KEYS = f"encryption_passphrase = '{PASSPHRASE}'"
# What is done until it meets the fault, by the first part of the point's name.
DEEDS = {"backup": ("full", "incremental"), "restore": ("restore",), "alter": ("add key", "drop key")}
# Points that something is written after.
WRITES = ("backup.key", "backup.pack", "backup.manifest", "restore.table", "alter.backup")
FAILURES = {"error": "58030", "disk-full": "53100", "panic": "XX000"}
# Points at which the work is done, and the job has no record of it.
DONE = ("backup.written", "backup.marked", "restore.published")
ROWS = 500
# Servers at a time.
WORKERS = 3


def kms(key):
    return (f"aws-kms:///{key}?AWS_ACCESS_KEY_ID={os.environ['STS_KEY']}&AWS_SECRET_ACCESS_KEY={os.environ['STS_SECRET']}"
            f"&AWS_ENDPOINT={os.environ['STS_ENDPOINT']}&REGION=us-east-1")


STATEMENTS = {
    "full": f"BACKUP DATABASE d INTO 'nodelocal://1/fresh' WITH revision_history, {KEYS}",
    "incremental": f"BACKUP DATABASE d INTO LATEST IN 'nodelocal://1/chain' WITH revision_history, {KEYS}",
    "restore": f"RESTORE DATABASE d FROM LATEST IN 'nodelocal://1/chain' WITH new_db_name = 'restored', {KEYS}",
    "add key": "ALTER BACKUP LATEST IN 'nodelocal://1/kms' ADD NEW_KMS = 'external://second' WITH OLD_KMS = 'external://first'",
    "drop key": "ALTER BACKUP LATEST IN 'nodelocal://1/kms' DROP KMS = 'external://third'",
}


def cells(points):
    """Every point with every deed that reaches it and every failure that means something there."""
    for point in points:
        for deed in DEEDS.get(point.split(".")[0], ()):
            # The key of a chain is made with its full backup.
            if (point, deed) != ("backup.key", "incremental"):
                yield point, deed, "kill"
                yield point, deed, "error"
                yield point, deed, "panic"
                if point in WRITES:
                    yield point, deed, "disk-full"


def set_up(server):
    """A database with two tables, a chain of two layers and one that opens with keys of a key service."""
    server.must_start()
    with server.connect() as connection:
        run = connection.execute
        run("CREATE DATABASE d")
        run("CREATE TABLE d.t (a INT8 PRIMARY KEY, b STRING)")
        run("CREATE TABLE d.u (a INT8 PRIMARY KEY)")
        run(f"INSERT INTO d.t SELECT n, 'row ' || n FROM generate_series(1, {ROWS}) AS n")
        run(f"BACKUP DATABASE d INTO 'nodelocal://1/chain' WITH revision_history, {KEYS}")
        chain = Collection(server.extern / "chain", PASSPHRASE)
        chain.cheapen(chain.latest()[0])
        change(connection)
        run(STATEMENTS["incremental"])
        change(connection)
        for name, key in (("first", "KMS_KEY"), ("second", "KMS_OTHER_KEY"), ("third", "KMS_ALIAS")):
            run(f"CREATE EXTERNAL CONNECTION {name} AS '{kms(os.environ[key])}'")
        run("BACKUP DATABASE d INTO 'nodelocal://1/kms' WITH kms = ('external://first', 'external://third')")
    server.stop()


def change(connection):
    connection.execute("INSERT INTO d.u SELECT coalesce(max(a), 0) + 1 FROM d.u")
    connection.execute("UPDATE d.t SET b = b || '.' WHERE a % 10 = 0")


def content(connection, database):
    return [sorted(connection.execute(f"SELECT * FROM {database}.{table}").fetchall()) for table in ("t", "u")]


def exists(connection, database):
    return bool(connection.execute("SELECT 1 FROM [SHOW DATABASES] WHERE database_name = %s", [database]).fetchall())


class Cell:
    """One store on which one deed meets one fault."""

    def __init__(self, store, point, deed, action):
        self.server = Lakeport(store)
        self.point, self.deed, self.action = point, deed, action
        place = {"full": "fresh"}.get(deed, "chain")
        self.place, self.collection = place, Collection(self.server.extern / place, PASSPHRASE)
        self.layers = self.count_layers()

    @property
    def is_done_and_failed(self):
        """A job whose thread panics is not tried again, even when all of it is done."""
        return self.action == "panic" and self.point in DONE

    def count_layers(self):
        return len(self.collection.chain()[0]) if self.collection.fulls() else 0

    def walk(self):
        self.meet()
        with self.server.connect() as connection:
            until("jobs ended", lambda: not looks.unfinished_jobs(connection), 120)
            self.look(connection)
            if self.action == "kill":
                self.go_on(connection)
            elif self.answer is not None and not self.is_done_and_failed:
                # It is met once only.
                connection.execute(STATEMENTS[self.deed])
        looks.check_store(self.server.store)
        self.server.kill()

    def meet(self):
        """Runs the statement into the fault; leaves a server that is well."""
        self.server.must_start(f"{self.point}:{self.action}:1")
        try:
            with self.server.connect() as connection:
                connection.execute(STATEMENTS[self.deed])
                self.answer = None
        except psycopg.Error as error:
            self.answer = error
        if self.action == "kill":
            assert self.answer is not None and self.server.ends_within(30), f"{self.point} was not reached"
            self.server.must_start()
        elif self.answer is None:
            # A job that has got somewhere tries again by itself.
            assert "tried again" in self.server.log.read_text(), f"{self.point} was not reached"
        else:
            assert self.answer.sqlstate == FAILURES[self.action], (self.answer.sqlstate, self.answer)
        if self.action == "panic" and self.deed == "restore":
            # What unwinds past a restore leaves the folders of its tables, as a kill does, until the next start.
            self.server.stop()
            self.server.must_start()

    def look(self, connection):
        """What was begun is there whole, or nothing of it is."""
        if self.point == "alter.backup":
            self.look_at_keys(connection)
            return
        if self.deed == "full" and self.collection.fulls():
            self.collection.cheapen(self.collection.latest()[0])
        jobs = connection.execute("SELECT status FROM [SHOW JOBS] ORDER BY job_id").fetchall()
        wanted = "failed" if self.answer is not None and self.action != "kill" else "succeeded"
        assert jobs[-1] == (wanted,), (jobs[-1], wanted)
        is_done = wanted == "succeeded" or self.is_done_and_failed
        if self.deed == "restore":
            assert exists(connection, "restored") == is_done
            if is_done:
                # The last change came after the chain's last layer.
                assert content(connection, "restored")[1] == [(1,)]
        else:
            assert self.count_layers() == self.layers + is_done, (self.count_layers(), self.layers)
            if is_done:
                self.restores(connection, "copy")
        until("no folder of an unknown table", lambda: not looks.unknown_folders(self.server.store), 30)
        strays = self.collection.strays()
        assert not strays, f"files of no layer: {strays}"

    def restores(self, connection, name):
        """The newest layer has what the database has."""
        chain = f"LATEST IN 'nodelocal://1/{self.place}'"
        connection.execute(f"RESTORE DATABASE d FROM {chain} WITH new_db_name = '{name}', {KEYS}")
        assert content(connection, name) == content(connection, "d"), name

    def go_on(self, connection):
        """The next layer and the next restore find nothing in their way."""
        if self.point == "alter.backup":
            return
        change(connection)
        connection.execute(f"BACKUP DATABASE d INTO LATEST IN 'nodelocal://1/{self.place}' WITH revision_history, {KEYS}")
        self.restores(connection, "later")

    def look_at_keys(self, connection):
        """All keys of before and none else; then the statement again, and all keys of after."""
        files = "SELECT count(*) FROM [SHOW BACKUP ENCRYPTION FROM LATEST IN 'nodelocal://1/kms']"
        assert connection.execute(files).fetchone() == (2,)
        self.open_with(connection, "first", "third")
        if self.action == "kill":
            connection.execute(STATEMENTS[self.deed])
            self.open_with(connection, "first", *(["second", "third"] if self.deed == "add key" else []))

    def open_with(self, connection, *keys):
        for key in keys:
            connection.execute(f"SHOW BACKUP LATEST IN 'nodelocal://1/kms' WITH kms = 'external://{key}'")


# What may be half done when a backup is made.
ALTERATIONS = ("RENAME COLUMN b TO c", "DROP COLUMN b", "ADD COLUMN c INT8 DEFAULT 7")


def half_altered(template, folder):
    """A server ends when the log has what ALTER TABLE does and the catalog has not: a backup has what the catalog has."""
    for number, alteration in enumerate(ALTERATIONS):
        server = Lakeport(folder / f"altered-{number}")
        shutil.copytree(template.store, server.store)
        server.must_start("table.altered:kill")
        try:
            with server.connect() as connection:
                connection.execute(f"ALTER TABLE d.t {alteration}")
        except psycopg.Error:
            assert server.ends_within(30)
        server.must_start()
        with server.connect() as connection:
            for options in ("", " WITH revision_history"):
                place = f"nodelocal://1/{len(options)}"
                connection.execute(f"BACKUP DATABASE d INTO '{place}'{options}")
                connection.execute(f"RESTORE DATABASE d FROM LATEST IN '{place}' WITH new_db_name = 'e'")
                columns = [connection.execute(f"SELECT * FROM {name}.t LIMIT 1").description for name in ("d", "e")]
                assert [column.name for column in columns[0]] == [column.name for column in columns[1]], alteration
                assert content(connection, "d") == content(connection, "e"), alteration
                connection.execute("DROP DATABASE e CASCADE")
        server.kill()


def walked(template, folder, cell):
    """Walks one cell; answers what was wrong."""
    store = folder / "-".join(cell).replace(" ", "-")
    shutil.copytree(template, store)
    walk = Cell(store, *cell)
    try:
        walk.walk()
    except Exception as error:
        return f"{' '.join(cell)}: {type(error).__name__} {error}"
    finally:
        if walk.server.is_running():
            walk.server.kill()
        shutil.rmtree(store)
    return None


with tempfile.TemporaryDirectory(prefix="lakeport-backup-") as name:
    folder = pathlib.Path(name)
    template = Lakeport(folder / "template")
    set_up(template)
    points = [point for point in fault_points(template.binary) if point.split(".")[0] in DEEDS]
    todo = list(cells(points))
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(lambda cell: walked(template.store, folder, cell), todo))
    half_altered(template, folder)
    wrong = [text for text in found if text]
    assert not wrong, "\n".join(wrong)
    kills = {point for point, _, action in todo if action == "kill"}
    assert kills == set(points) and len(points) >= 13, set(points) - kills
    print(f"{len(todo)} faults at {len(points)} points of BACKUP, RESTORE and ALTER BACKUP; nothing lost, nothing left")
