"""Connections in a catalog that holds many: finding one by name, creating one durably, listing all. The lookup table of
SQLite and PostgreSQL has as many rows."""

import pathlib
import random
import shutil
import sqlite3
import tempfile
import time

from bench import limits
from bench.measure import Run, ThisProcess, timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Outcome

LOOKUPS = 2000
CREATED_AT_ONCE = 500
KIB = 1 << 10
# Lists of many objects are made here: a disk would take an hour to sync a million creations.
MEMORY = "/dev/shm"


def measure(bench):
    outcome = Outcome()
    durable(bench, outcome)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lakeport-bench-", dir=MEMORY))
    lakeport = bench.new_lakeport("connections", store=folder / "store")
    try:
        grow(bench, outcome, lakeport, folder)
    finally:
        lakeport.stop()
        shutil.rmtree(folder)
    return outcome


def grow(bench, outcome, lakeport, folder):
    sizes = (1_000, 10_000, 100_000) if bench.small else (1_000, 100_000, 1_000_000)
    medians, made = [], 0
    for size in sizes:
        create(lakeport, made, size)
        fill_peers(bench, folder, made, size)
        made = size
        contenders = [
            Contender("Lakeport", LAKEPORT, lambda: found(lakeport, size), "SHOW EXTERNAL CONNECTION conn_i"),
            Contender("PostgreSQL", PEER, lambda: selected(bench.postgres, size),
                      "SELECT uri FROM connections WHERE name = $1"),
            Contender("SQLite in process", LIMIT, lambda: selected_in_process(folder, size), "the same"),
        ]
        medians.append(outcome.compare(f"lookup among {size:,}", contenders, bench.rounds).lakeport.seconds)
    outcome.checks.append(Check(f"lookup: time among {sizes[-1]:,} / among {sizes[0]:,}", medians[-1] / medians[0], 2, 1.2))
    check_listing(outcome, lakeport, made)


def durable(bench, outcome):
    """Creations on disk, one after the other."""
    count = 100 if bench.small else 500

    def created():
        with bench.lakeport.connect() as connection:
            numbers = iter(random.sample(range(10 ** 12), count))
            return timed(bench.lakeport.process, lambda: connection.execute(creation(f"d{next(numbers)}")), count)

    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: answerless(created()), creation("conn_i")),
        Contender("SQLite in process", PEER, lambda: answerless(inserted(bench.scratch / "peer.db", count)),
                  "INSERT INTO connections, synchronous = FULL"),
        Contender("fsync", LIMIT, lambda: limits.synced_writes(bench.scratch / "pages", 300), "write 4 KiB; fdatasync"),
    ]
    table = outcome.compare("durable creation", contenders, bench.rounds)
    rate = table.entry("SQLite in process").seconds / table.lakeport.seconds
    outcome.checks.append(Check("durable creation: rate / SQLite", rate, 0, 0.8, at_most=False))


def answerless(run):
    run.answer = None
    return run


def creation(name):
    return f"CREATE EXTERNAL CONNECTION {name} AS 'nodelocal://1/{name}' WITH (VALIDATE = false)"


def create(lakeport, first, end):
    with lakeport.connect() as connection:
        for start in range(first, end, CREATED_AT_ONCE):
            with connection.pipeline():
                for number in range(start, min(end, start + CREATED_AT_ONCE)):
                    connection.execute(creation(f"conn_{number}"))


def lookups(process, size, find):
    """The median of many lookups of random names."""
    chooser, times = random.Random(size), []

    def work():
        for _ in range(LOOKUPS):
            name = f"conn_{chooser.randrange(size)}"
            start = time.perf_counter()
            row = find(name)
            times.append(time.perf_counter() - start)
            assert row and name in str(row), (name, row)

    run = timed(process, work)
    return Run(sorted(times)[LOOKUPS // 2], run.cpu_seconds / LOOKUPS, run.peak_bytes, run.others)


def found(lakeport, size):
    with lakeport.connect() as connection:
        return lookups(lakeport.process, size, lambda name: connection.execute(f"SHOW EXTERNAL CONNECTION {name}").fetchone())


def selected(postgres, size):
    with postgres.connect() as connection:
        statement = "SELECT uri FROM connections WHERE name = %s"
        return lookups(postgres.process, size, lambda name: connection.execute(statement, (name,)).fetchone())


def selected_in_process(folder, size):
    database = sqlite3.connect(folder / "peer.db")
    statement = "SELECT uri FROM connections WHERE name = ?"
    return lookups(ThisProcess(), size, lambda name: database.execute(statement, (name,)).fetchone())


def open_sqlite(path):
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                           "CREATE TABLE IF NOT EXISTS connections (name TEXT PRIMARY KEY, uri TEXT)")
    return database


def inserted(path, count):
    database = open_sqlite(path)
    numbers = iter(random.sample(range(10 ** 12), count))
    insert = lambda name: database.execute("INSERT INTO connections VALUES (?, ?)", (name, f"nodelocal://1/{name}"))
    return timed(ThisProcess(), lambda: insert(f"d{next(numbers)}"), count)


def fill_peers(bench, folder, first, end):
    rows = [(f"conn_{number}", f"nodelocal://1/conn_{number}") for number in range(first, end)]
    database = open_sqlite(folder / "peer.db")
    database.execute("BEGIN")
    database.executemany("INSERT INTO connections VALUES (?, ?)", rows)
    database.execute("COMMIT")
    with bench.postgres.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS connections (name TEXT PRIMARY KEY, uri TEXT)")
        with connection.cursor().copy("COPY connections FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def check_listing(outcome, lakeport, count):
    """SHOW of all of them: rows must come while the server holds but few of them."""
    before = lakeport.process.resident_bytes()
    lakeport.process.reset_peak()
    with lakeport.connect() as connection, connection.cursor() as cursor:
        start, first, rows = time.perf_counter(), None, 0
        for _ in cursor.stream("SHOW EXTERNAL CONNECTIONS"):
            first = first or time.perf_counter() - start
            rows += 1
    assert rows == count, rows
    held = max(0, lakeport.process.peak_bytes() - before) / count
    outcome.checks.append(Check(f"SHOW of {count:,}: wait for the first row", first * 1000, 1000, 100, unit="ms"))
    outcome.checks.append(Check(f"SHOW of {count:,}: memory per connection", held, 1 * KIB, 64, unit="B"))
    resident = lakeport.process.resident_bytes() / (1 << 20)
    outcome.notes.append(f"With {count:,} connections the server holds {resident:.0f} MiB.")
