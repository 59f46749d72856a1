# flags: --insecure
# peer: s3
# log: retry|trying again|will be tried again
"""A bucket behind a network that refuses, cuts, loses and stalls: rows come once, and what cannot be mended is told soon."""

import os
import time

import psycopg

from faults.lakeport import refusal
from faults.proxy import FaultProxy, Rule

ROWS = 30_000
# Rows of a file that is sent in parts.
LARGE = 90_000
proxy = FaultProxy(os.environ["S3_ENDPOINT"])


def uri(endpoint, folder):
    return (f"s3://{os.environ['S3_BUCKET']}/faults-{os.getpid()}/{folder}?AWS_ACCESS_KEY_ID={os.environ['S3_KEY']}"
            f"&AWS_SECRET_ACCESS_KEY={os.environ['S3_SECRET']}&AWS_ENDPOINT={endpoint}&AWS_REGION=us-east-1")


def rows_of(connection, table):
    return connection.execute(f"SELECT count(*), count(DISTINCT a) FROM {table}").fetchone()


def imported(connection, source, expected):
    connection.execute("TRUNCATE t")
    connection.execute(f"IMPORT INTO t CSV DATA ('{source}')")
    assert rows_of(connection, "t") == (expected, expected), rows_of(connection, "t")


def exported(connection, folder, rows):
    """Writes a query's rows and answers what they are when read back past the proxy."""
    query = f"SELECT n, repeat('x', 100) FROM generate_series(1, {rows}) AS n"
    connection.execute(f"EXPORT INTO CSV 'external://lake/{folder}' FROM {query}")
    imported(connection, f"external://direct/{folder}/*.csv", rows)


def refusing(connection):
    """503 SlowDown and its like: tried again until it works, without a storm of requests."""
    for status, rate in ((503, 0.1), (503, 0.3), (500, 0.2), (429, 0.2)):
        proxy.use(Rule("refuse", status, rate=rate))
        exported(connection, f"refused-{status}-{rate}", 20_000)
        imported(connection, "external://lake/source/*.csv", ROWS)
        faults, requests = proxy.rules[0].done, len(proxy.requests)
        proxy.use()
        exported(connection, f"calm-{status}-{rate}", 20_000)
        imported(connection, "external://lake/source/*.csv", ROWS)
        needed = len(proxy.requests)
        assert requests <= 1.2 * needed + faults, f"{requests} requests for {needed} and {faults} faults"


def losing(connection):
    """The request was done and its answer lost: nothing comes twice, nothing fails."""
    for number, (method, path, rows) in enumerate((
            ("PUT", ".csv", 1000), ("POST", "?uploads", LARGE), ("PUT", "partNumber", LARGE), ("POST", "?uploadId", LARGE))):
        proxy.use(Rule("lose", method=method, path=path, times=1))
        exported(connection, f"lost-{number}", rows)
        assert proxy.rules[0].done == 1, (method, path)
    proxy.use(Rule("lose", method="GET", times=3))
    imported(connection, "external://lake/source/*.csv", ROWS)
    # A commit of a table's log is put if absent: its own entry is no other writer's.
    proxy.use()
    connection.execute("CREATE DATABASE IF NOT EXISTS away WITH LOCATION = 'external://lake/tables'")
    connection.execute("CREATE TABLE away.t (a INT8 PRIMARY KEY)")
    for number in range(5):
        proxy.use(Rule("lose", method="PUT", path="_delta_log", times=1))
        connection.execute(f"INSERT INTO away.t VALUES ({number})")
        assert proxy.rules[0].done == 1
    proxy.use(Rule("lose", method="PUT", path="_delta_log", times=1))
    connection.execute("UPDATE away.t SET a = a + 10 WHERE a = 0")
    proxy.use()
    assert connection.execute("SELECT count(*), sum(a) FROM away.t").fetchone() == (5, 20)


def cutting(connection):
    """The connection ends in the middle of a file: reading goes on from there."""
    proxy.use(Rule("cut", 300_000, method="GET", path="source", times=2))
    imported(connection, "external://lake/source/*.csv", ROWS)
    assert proxy.rules[0].done == 2


def denied(connection):
    """What no second try can mend is not tried again."""
    for status, code in ((403, "28000"), (401, "28000"), (404, "58P01")):
        for statement in ("IMPORT INTO t CSV DATA ('external://lake/source/{}.csv')",
                          "EXPORT INTO CSV 'external://lake/denied' FROM SELECT 1"):
            proxy.use(Rule("refuse", status))
            started = time.monotonic()
            error = refusal(connection, statement.format("no"))
            assert error.sqlstate == code, (status, statement, error.sqlstate, error)
            assert len(proxy.requests) <= 2, (status, statement, proxy.requests)
            assert time.monotonic() - started < 5, (status, statement)


def stalling(connection):
    """Nobody waits for ever for a peer that has vanished, and others are not held up."""
    proxy.use(Rule("silent"))
    connection.execute("SET CLUSTER SETTING connection.check_timeout = '2s'")
    started = time.monotonic()
    error = refusal(connection, f"CREATE EXTERNAL CONNECTION gone AS '{uri(proxy.endpoint, 'gone')}'")
    assert error.sqlstate == "08006" and time.monotonic() - started < 5, (error.sqlstate, error)
    started = time.monotonic()
    row = connection.execute("CHECK EXTERNAL CONNECTION 'external://lake' WITH TRANSFER = '1KiB'").fetchone()
    assert row[2] is False and time.monotonic() - started < 15, (row, time.monotonic() - started)
    proxy.use(Rule("silent", method="GET", path="source"))
    connection.execute("SET statement_timeout = '1s'")
    error = refusal(connection, "IMPORT INTO t CSV DATA ('external://lake/source/*.csv')")
    assert error.sqlstate == "57014", error
    connection.execute("SET statement_timeout = 0")


with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE TABLE t (a INT8, b STRING)")
    connection.execute(f"CREATE EXTERNAL CONNECTION direct AS '{uri(os.environ['S3_ENDPOINT'], '')}'")
    connection.execute(f"CREATE EXTERNAL CONNECTION lake AS '{uri(proxy.endpoint, '')}'")
    source = f"SELECT n, repeat('x', 100) FROM generate_series(1, {ROWS}) AS n"
    connection.execute(f"EXPORT INTO CSV 'external://direct/source' FROM {source}")
    for part in (denied, cutting, losing, refusing, stalling):
        started = time.monotonic()
        part(connection)
        print(f"{part.__name__}: {time.monotonic() - started:.1f} s")
