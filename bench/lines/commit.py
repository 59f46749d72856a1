"""One-row INSERTs into one table, each committed before the next of its client; 1 client and 8, the same number of rows."""

import statistics
import threading
import time

from bench import limits
from bench.measure import timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Outcome

CLIENTS = 8
# Commits at each end whose times are compared; single ones wait for the disk too unevenly.
END = 100


def measure(bench):
    outcome = Outcome()
    commits = 400 if bench.small else 2000
    rounds = 1 if bench.small else bench.rounds
    delays = []
    tables = [compare(bench, outcome, clients, commits, rounds, delays) for clients in (1, CLIENTS)]
    one, many = (table.lakeport.seconds for table in tables)
    outcome.checks.append(Check(f"commits: rate of {CLIENTS} clients / rate of 1", one / many, 3, None, at_most=False))
    fsync = tables[0].entry("fsync").seconds
    outcome.checks.append(Check("commits: rate of 1 client / fsync rate", fsync / one, 0, 0.5, at_most=False))
    drift = statistics.median(later(times) for times in delays)
    outcome.checks.append(Check(f"commits: time of the last {END} / of the first {END}", drift, 1.3, 1.2))
    return outcome


def later(times):
    return statistics.median(times[-END:]) / statistics.median(times[:END])


def compare(bench, outcome, clients, commits, rounds, delays):
    def rows_of(server):
        times = []
        run = inserted(server, clients, commits, times)
        if server is bench.lakeport and clients == 1:
            delays.append(times)
        return run

    statement = f"INSERT INTO commits VALUES ($1, $2) by {clients} clients"
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: rows_of(bench.lakeport), statement),
        Contender("PostgreSQL", PEER, lambda: rows_of(bench.postgres), "the same"),
        Contender("fsync", LIMIT, lambda: limits.synced_writes(bench.scratch / "pages", 300), "write 4 KiB; fdatasync"),
    ]
    return outcome.compare(f"{commits:,} commits by {clients} clients, each", contenders, rounds)


def inserted(server, clients, commits, times):
    """One run on a new table; `times` gets how long each commit took."""
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS commits")
        connection.execute("CREATE TABLE commits (id INT8, body TEXT)")

        def work():
            threads = [threading.Thread(target=client, args=(server, first, commits, clients, times))
                       for first in range(clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        run = timed(server.process, work)
        run.seconds, run.cpu_seconds = run.seconds / commits, run.cpu_seconds / commits
        run.answer = connection.execute("SELECT count(*), sum(id)::INT8 FROM commits").fetchone()
    return run


def client(server, first, commits, step, times):
    with server.connect() as connection:
        for number in range(first, commits, step):
            start = time.perf_counter()
            connection.execute("INSERT INTO commits VALUES (%s, %s)", (number, f"row {number}"))
            times.append(time.perf_counter() - start)
