"""COPY TO STDOUT of a whole table to psql. In PostgreSQL the table is unlogged and in its cache."""

import subprocess
import time
import zlib

from bench import limits
from bench.growth import check_growth
from bench.lakeport import environment
from bench.measure import timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Disagreement, Outcome

MIB = 1 << 20


def measure(bench):
    outcome = Outcome()
    check_rows(bench, bench.sizes[0])
    rows = bench.rows
    ours, theirs = bench.lineitem(rows), bench.postgres_lineitem(rows)
    sent_bytes = streamed(bench.lakeport, ours).answer
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: streamed(bench.lakeport, ours), 'psql -c "COPY lineitem TO STDOUT" >/dev/null'),
        Contender("PostgreSQL", PEER, lambda: streamed(bench.postgres, theirs), "the same"),
        Contender("loopback", LIMIT, lambda: limits.loopback(sent_bytes), "as many bytes over a loopback socket"),
    ]
    table = outcome.compare(f"COPY TO STDOUT ({rows:,} rows, {sent_bytes / 1e6:.0f} MB)", contenders, bench.rounds)
    outcome.check_rate(table, "PostgreSQL", 1.5, 3.0)
    outcome.checks.append(Check("COPY TO STDOUT: peak memory", table.lakeport.peak_bytes / MIB, 1024, 512, unit="MiB"))
    runs = [streamed(bench.lakeport, bench.lineitem(rows)) for rows in bench.sizes]
    check_growth(outcome, "COPY TO STDOUT", bench.sizes, runs, 1.05, 1.0)
    first = max(first_row(bench, rows) for rows in bench.sizes)
    outcome.checks.append(Check("COPY TO STDOUT: longest wait for the first row", first * 1000, 100, 50, unit="ms"))
    return outcome


def streamed(server, table):
    """psql reads it all; the answer is the number of bytes."""

    def work():
        command = ["psql", "-X", "-q", "-c", f"COPY {table} TO STDOUT"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(server)) as psql:
            counted = subprocess.run(["wc", "-c"], stdin=psql.stdout, capture_output=True, check=True)
        return int(counted.stdout)

    return timed(server.process, work)


def check_rows(bench, rows):
    """Compares the lines themselves, in whatever order they come."""
    sums = [sum_of_lines(bench.lakeport, bench.lineitem(rows)), sum_of_lines(bench.postgres, bench.postgres_lineitem(rows))]
    if sums[0] != sums[1]:
        raise Disagreement(f"COPY TO STDOUT: Lakeport's and PostgreSQL's lines differ: {sums}")


def sum_of_lines(server, table):
    with server.connect() as connection, connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:
        return sum(zlib.crc32(line) for line in copy)


def first_row(bench, rows):
    table = bench.lineitem(rows)
    with bench.lakeport.connect() as connection:
        start = time.perf_counter()
        with connection.cursor().copy(f"COPY (SELECT * FROM {table} LIMIT 100000) TO STDOUT") as copy:
            copy.read()
            waited = time.perf_counter() - start
            for _ in copy:
                pass
    return waited
