# flags: --insecure
"""Writes that are cancelled at any moment: what answers 57014 has left nothing, what answers OK is there."""

import collections
import os
import pathlib
import random
import threading
import time

import psycopg
from psycopg.errors import QueryCanceled

ROUNDS = 30
random.seed(7)
outcomes = collections.Counter()


def run(connection, statement, delay):
    """Runs a statement and cancels it after a delay; whether it was done."""
    timer = threading.Timer(delay, connection.cancel)
    timer.start()
    try:
        connection.execute(statement)
        return True
    except QueryCanceled:
        return False
    finally:
        timer.cancel()
        timer.join()


def longest(connection, statement):
    """Seconds that a statement takes when nobody disturbs it."""
    start = time.monotonic()
    connection.execute(statement)
    return time.monotonic() - start


def each(kind, connection, statement, undo, is_done):
    """Cancels a statement at moments spread over its length; compares its answer with what is there."""
    limit = longest(connection, statement) * 1.2
    connection.execute(undo)
    for number in range(ROUNDS):
        done = run(connection, statement, limit * (number + random.random()) / ROUNDS)
        outcomes[kind, done] += 1
        assert is_done() == done, (kind, number, done)
        if done:
            connection.execute(undo)


with psycopg.connect(autocommit=True) as connection, psycopg.connect(autocommit=True) as other:
    def count(query):
        return other.execute(query).fetchone()[0]

    def has(table, column="%"):
        return count("SELECT count(*) FROM information_schema.columns "
                     f"WHERE table_name = '{table}' AND column_name LIKE '{column}'") > 0

    connection.execute("CREATE TABLE t (k INT PRIMARY KEY, v STRING)")
    connection.execute("CREATE TABLE plain (k INT)")
    rows = "".join(f"{number}\n" for number in range(20_000))
    pathlib.Path(os.environ["TEST_EXTERN"], "cancelled.csv").write_text(rows)
    connection.execute("INSERT INTO t SELECT value, 'old' FROM generate_series(1, 1000) AS g(value)")

    each("insert", connection, "INSERT INTO plain VALUES (1), (2)", "TRUNCATE plain",
         lambda: count("SELECT count(*) FROM plain") == 2)
    each("update", connection, "UPDATE t SET v = 'new'", "UPDATE t SET v = 'old'",
         lambda: count("SELECT count(*) FROM t WHERE v = 'new'") == 1000)
    each("truncate", connection, "TRUNCATE t",
         "UPSERT INTO t SELECT value, 'old' FROM generate_series(1, 1000) AS g(value)",
         lambda: count("SELECT count(*) FROM t") == 0)
    each("alter", connection, "ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 1, RENAME COLUMN v TO w",
         "ALTER TABLE t DROP COLUMN n, RENAME COLUMN w TO v",
         lambda: has("t", "n") and has("t", "w"))
    each("create as", connection, "CREATE TABLE made AS SELECT value FROM generate_series(1, 5000) AS g(value)",
         "DROP TABLE made", lambda: has("made"))
    each("import", connection, "IMPORT INTO plain CSV DATA ('nodelocal://1/cancelled.csv')", "TRUNCATE plain",
         lambda: count("SELECT count(*) FROM plain") == 20_000)
    each("role", connection, "CREATE ROLE carla", "DROP ROLE carla",
         lambda: count("SELECT count(*) FROM pg_roles WHERE rolname = 'carla'") == 1)
    tables = {entry.parent for entry in pathlib.Path(os.environ["TEST_STORE"]).rglob("_delta_log/*.json")}
    assert len(tables) == 2, tables
    nulls = count("SELECT count(*) FROM t WHERE v IS NULL")
    assert nulls == 0, nulls

    # A block: COMMIT is the moment that counts.
    for number in range(ROUNDS):
        connection.execute("BEGIN")
        connection.execute("INSERT INTO plain VALUES (3)")
        done = run(connection, "COMMIT", random.random() * 0.03)
        outcomes["commit", done] += 1
        there = count("SELECT count(*) FROM plain") == 1
        assert there == done, (number, there, done)
        connection.execute("ROLLBACK")
        connection.execute("TRUNCATE plain")

    # A time limit is the same.
    for number in range(ROUNDS):
        connection.execute(f"SET statement_timeout = {1 + number}")
        try:
            connection.execute("INSERT INTO plain VALUES (4)")
            done = True
        except QueryCanceled as error:
            assert "timeout" in str(error), error
            done = False
        connection.execute("SET statement_timeout = 0")
        outcomes["timeout", done] += 1
        assert (count("SELECT count(*) FROM plain") == 1) == done, (number, done)
        connection.execute("TRUNCATE plain")

for (kind, done), number in sorted(outcomes.items()):
    print(f"{kind}: {number} {'done' if done else 'cancelled'}")
assert sum(number for (_, done), number in outcomes.items() if done) > ROUNDS / 2, outcomes
assert sum(number for (_, done), number in outcomes.items() if not done) > ROUNDS / 2, outcomes
