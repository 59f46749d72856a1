# flags: --insecure
# peer: s3
# peer: sts
# log: trying again|tried again|files of an unfinished backup remain
"""Backups in a bucket behind a failing network: a statement is done or says what failed, and leaves the old state or the new.

Each fault meets one request of BACKUP, RESTORE or ALTER BACKUP, or all from one on until the client is told.
"""

import collections
import concurrent.futures
import itertools
import os
import pathlib
import queue
import sys
import tempfile
import time

import psycopg
from pyarrow import fs

from faults import looks
from faults.backup import Collection
from faults.lakeport import until
from faults.proxy import FaultProxy, Rule

ROWS = 2000
# Seconds that one request of the server may take, and one statement.
REQUEST_LIMIT, STATEMENT_LIMIT = 2, 60
WORKERS = 4
# What is tried again until it works, and what a server is told that did not live to see that.
PASSING = {429: "53000", 500: "58030", 503: "53000"}
DENIED = {401: "28000", 403: "28000"}
GONE = ("08006", "08001")
FOLDER = f"backups-{os.getpid()}"
bucket = fs.S3FileSystem(access_key=os.environ["S3_KEY"], secret_key=os.environ["S3_SECRET"], region="us-east-1",
                         endpoint_override=os.environ["S3_ENDPOINT"].removeprefix("http://"), scheme="http")


def s3(endpoint):
    return (f"s3://{os.environ['S3_BUCKET']}/{FOLDER}?AWS_ACCESS_KEY_ID={os.environ['S3_KEY']}"
            f"&AWS_SECRET_ACCESS_KEY={os.environ['S3_SECRET']}&AWS_ENDPOINT={endpoint}&AWS_REGION=us-east-1")


def kms(key):
    return (f"aws-kms:///{key}?AWS_ACCESS_KEY_ID={os.environ['STS_KEY']}&AWS_SECRET_ACCESS_KEY={os.environ['STS_SECRET']}"
            f"&AWS_ENDPOINT={os.environ['STS_ENDPOINT']}&REGION=us-east-1")


class Worker:
    """A session, and a connection to the bucket through a proxy of its own."""

    def __init__(self, number):
        self.lake, self.proxy = f"lake_{number}", FaultProxy(os.environ["S3_ENDPOINT"])
        self.session = psycopg.connect(autocommit=True)
        self.session.execute(f"CREATE EXTERNAL CONNECTION {self.lake} AS '{s3(self.proxy.endpoint)}'")


class Deed:
    """A statement with a collection of its own, what it needs before, and how to see what it did."""

    def __init__(self, worker, cell):
        self.worker, self.cell, self.run = worker, cell, worker.session.execute
        self.direct = f"external://direct/{cell}"
        self.place = f"external://{worker.lake}/{cell}"

    def attempt(self):
        try:
            self.run(self.statement())
        except psycopg.Error as error:
            return error
        return None

    def unfinished(self):
        query = f"SELECT status FROM [SHOW JOBS] WHERE description LIKE %s AND status NOT IN {looks.FINAL}"
        return self.run(query, [f"%{self.worker.lake}/%"]).fetchall()

    def collection(self, folder):
        """The collection as it is in the bucket."""
        source = f"{os.environ['S3_BUCKET']}/{FOLDER}/{self.cell}"
        for found in bucket.get_file_info(fs.FileSelector(source, recursive=True, allow_not_found=True)):
            if found.type == fs.FileType.File:
                copy = pathlib.Path(folder) / os.path.relpath(found.path, source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                with bucket.open_input_stream(found.path) as file:
                    copy.write_bytes(file.read())
        return Collection(folder)


class Full(Deed):
    def prepare(self):
        pass

    def statement(self):
        return f"BACKUP DATABASE d INTO '{self.place}'"

    def look(self):
        """Full backups and layers on the newest."""
        with tempfile.TemporaryDirectory() as folder:
            found = self.collection(folder)
            return len(found.fulls()), len(found.chain()[0]) if found.fulls() else 0

    def finish(self):
        """The next layer finds nothing in its way, has what the database has, and there are no files of no layer."""
        self.run(f"BACKUP DATABASE d INTO LATEST IN '{self.direct}'")
        with tempfile.TemporaryDirectory() as folder:
            strays = self.collection(folder).strays()
            assert not strays, f"files of no layer: {strays}"
        self.run(f"RESTORE DATABASE d FROM LATEST IN '{self.direct}' WITH new_db_name = '{self.worker.lake}'")
        self.compare()

    def compare(self):
        query = "SELECT count(*), sum(a), min(b), max(b) FROM {}.t"
        rows = [self.run(query.format(name)).fetchone() for name in ("d", self.worker.lake)]
        assert rows[0] == rows[1], rows
        self.run(f"DROP DATABASE {self.worker.lake} CASCADE")


class Incremental(Full):
    def prepare(self):
        self.run(f"BACKUP DATABASE d INTO '{self.direct}' AS OF SYSTEM TIME '{moment}'")

    def statement(self):
        return f"BACKUP DATABASE d INTO LATEST IN '{self.place}'"


class Restore(Full):
    def prepare(self):
        Incremental.prepare(self)
        self.run(f"BACKUP DATABASE d INTO LATEST IN '{self.direct}'")

    def statement(self):
        return f"RESTORE DATABASE d FROM LATEST IN '{self.place}' WITH new_db_name = '{self.worker.lake}'"

    def look(self):
        return self.run("SELECT count(*) FROM [SHOW DATABASES] WHERE database_name = %s", [self.worker.lake]).fetchone()

    def finish(self):
        self.compare()


class AddKey(Deed):
    def prepare(self):
        self.run(f"BACKUP DATABASE d INTO '{self.direct}' WITH kms = 'external://first'")

    def statement(self):
        return f"ALTER BACKUP LATEST IN '{self.place}' ADD NEW_KMS = 'external://second' WITH OLD_KMS = 'external://first'"

    def look(self):
        """By how many of the keys the chain opens."""
        return sum(self.opens_with(key) for key in ("first", "second"))

    def opens_with(self, key):
        try:
            self.run(f"SHOW BACKUP LATEST IN '{self.direct}' WITH kms = 'external://{key}'")
        except psycopg.Error as error:
            assert "was not used when encrypting" in str(error), error
            return False
        return True

    def finish(self):
        assert self.look() == 2


DEEDS = {"full": Full, "incremental": Incremental, "restore": Restore, "add key": AddKey}


def met(worker, name, number, rule, lasts):
    """Lets a deed meet a fault; answers whether there was a request to meet it."""
    deed = DEEDS[name](worker, f"{name.replace(' ', '-')}-{number}")
    deed.prepare()
    before = deed.look()
    worker.proxy.use(rule)
    started = time.monotonic()
    error = deed.attempt()
    took = time.monotonic() - started
    was_met = rule.done > 0
    worker.proxy.use()
    assert took < STATEMENT_LIMIT, f"it took {took:.0f} s"
    check(error, rule, lasts, worker.lake)
    until("its job ended", lambda: not deed.unfinished(), 60)
    after = deed.look()
    if error is not None:
        assert after == before or name != "restore", (before, after)
        again = deed.attempt()
        assert again is None, f"the second try: {again.sqlstate} {again}"
        after = deed.look()
    assert after != before, "nothing was done"
    deed.finish()
    outcomes[name, "done" if error is None else error.sqlstate] += was_met
    return was_met


def check(error, rule, lasts, lake):
    """What may pass passes when it does; an error has the code of its cause, and names place and cause."""
    if error is None:
        return
    code, text = error.sqlstate, str(error)
    allowed = {*GONE, "58030"}
    if rule.action == "refuse":
        status = int(rule.value)
        allowed = {404: {"58P01", "XX001", "22023"}}.get(status) or {(PASSING | DENIED)[status], *(GONE if lasts else ())}
        assert lasts or status not in PASSING, f"not tried again: {code} {text}"
    assert rule.action != "lose", f"a lost answer was taken for a failure: {code} {text}"
    assert code in allowed, f"{code} {text}"
    assert lake in text or code in ("XX001", "22023", "58P01"), f"the place is not named: {text}"


def faults():
    """Every fault: its name, how to make it at a request, whether it lasts, and which share of the requests meets it.

    With the argument `all` every request meets every fault."""
    for status in (401, 403, 404, *PASSING):
        yield f"{status}", lambda at, status=status: Rule("refuse", status, after=at, times=1), False, 2
    for action, value, share in (("lose", 0, 1), ("cut", 10, 2), ("silent", 0, 5), ("slow", 1, 5), ("stall", 10, 5),
                                 ("deaf", 0, 5)):
        yield action, lambda at, rule=(action, value): Rule(*rule, after=at, times=1), False, share
    for action, value in (("refuse", 503), ("silent", 0)):
        yield f"lasting {action}", lambda at, rule=(action, value): Rule(*rule, after=at), True, 6


def walk(turn, deed, fault, rule, lasts, share):
    """One fault at requests of a deed, one after the other, until there is none."""
    wrong, count = [], 0
    worker = workers.get()
    step = 1 if "all" in sys.argv else share
    try:
        for at in itertools.count(turn % step, step):
            try:
                if not met(worker, deed, next(numbers), rule(at), lasts):
                    break
            except Exception as error:
                worker.proxy.use()
                wrong.append(f"{deed}, {fault}, request {at}: {type(error).__name__} {error}"[:600])
            count += 1
    finally:
        workers.put(worker)
    return fault, count, wrong


outcomes, numbers = collections.Counter(), itertools.count()
with psycopg.connect(autocommit=True) as connection:
    run = connection.execute
    run(f"SET CLUSTER SETTING cloudstorage.timeout = '{REQUEST_LIMIT}s'")
    run(f"CREATE EXTERNAL CONNECTION direct AS '{s3(os.environ['S3_ENDPOINT'])}'")
    for name, key in (("first", "KMS_KEY"), ("second", "KMS_OTHER_KEY")):
        run(f"CREATE EXTERNAL CONNECTION {name} AS '{kms(os.environ[key])}'")
    run("CREATE DATABASE d")
    run("CREATE TABLE d.t (a INT8 PRIMARY KEY, b STRING)")
    run(f"INSERT INTO d.t SELECT n, repeat('x', 100) FROM generate_series(1, {ROWS}) AS n")
    (moment,) = run("SELECT clock_timestamp()::STRING").fetchone()
    run(f"INSERT INTO d.t SELECT n, repeat('y', 100) FROM generate_series({ROWS + 1}, {2 * ROWS}) AS n")
    workers = queue.Queue()
    for number in range(WORKERS):
        workers.put(Worker(number))
    todo = [(deed, *fault) for fault in faults() for deed in DEEDS]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(lambda cell: walk(cell[0], *cell[1]), enumerate(todo)))
    wrong = [text for _, _, texts in found for text in texts]
    assert not wrong, "\n".join(wrong)
    counts = collections.Counter()
    for fault, count, _ in found:
        counts[fault] += count
    print(", ".join(f"{fault}: {count}" for fault, count in counts.items()))
    print(", ".join(f"{deed} {outcome}: {count}" for (deed, outcome), count in sorted(outcomes.items())))
