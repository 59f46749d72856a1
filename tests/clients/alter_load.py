# flags: --insecure
"""A table is altered again and again while others write it: no write loses the new column's values, and none fails."""

import threading
import time

import psycopg
from psycopg.errors import SerializationFailure, UndefinedColumn

ROUNDS = 12
done = threading.Event()
failures = []
written = {"insert": 0, "update": 0, "copy": 0, "block": 0}
refused = 0


def insert(connection, number):
    connection.execute(f"INSERT INTO t (k, v) VALUES ({number}, 'i')")
    written["insert"] += 1


def update(connection, number):
    connection.execute("UPDATE t SET v = 'u' WHERE k % 7 = 0")
    written["update"] += 1


def copy(connection, number):
    with connection.cursor().copy("COPY t (k, v) FROM STDIN") as rows:
        rows.write_row((number, "c"))
    written["copy"] += 1


def block(connection, number):
    with connection.transaction():
        connection.execute("SELECT count(*) FROM t")
        connection.execute(f"INSERT INTO t (k, v) VALUES ({number}, 'b')")
    written["block"] += 1


def write(work, first):
    """Does one kind of write until the end. COPY and blocks may be refused and are tried again by their client."""
    global refused
    number = first
    with psycopg.connect(autocommit=True) as connection:
        while not done.is_set():
            number += 1
            try:
                work(connection, number)
            except SerializationFailure as error:
                refused += 1
                if work in (insert, update):
                    failures.append((work.__name__, error))
                    return
            except psycopg.Error as error:
                failures.append((work.__name__, error))
                return


with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE TABLE t (k INT PRIMARY KEY, v STRING)")
    works = (insert, update, copy, block)
    writers = [threading.Thread(target=write, args=(work, 1_000_000 * index)) for index, work in enumerate(works, 1)]
    for writer in writers:
        writer.start()
    for turn in range(ROUNDS):
        connection.execute(f"ALTER TABLE t ADD COLUMN n{turn} INT NOT NULL DEFAULT {turn}, ALTER COLUMN v SET DEFAULT 'd'")
        time.sleep(0.2)
        nulls, others = connection.execute(
            f"SELECT count(*) FILTER (WHERE n{turn} IS NULL), count(*) FILTER (WHERE n{turn} <> {turn}) FROM t").fetchone()
        assert (nulls, others) == (0, 0), (turn, nulls, others)
        if turn % 3 == 2:
            connection.execute(f"ALTER TABLE t DROP COLUMN n{turn}")
        if failures:
            break
    done.set()
    for writer in writers:
        writer.join()
    assert not failures, failures
    rows = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    assert rows == written["insert"] + written["copy"] + written["block"], (rows, written)
    for turn in range(ROUNDS):
        if turn % 3 != 2:
            wrong = connection.execute(f"SELECT count(*) FROM t WHERE n{turn} IS DISTINCT FROM {turn}").fetchone()[0]
            assert wrong == 0, (turn, wrong)
    try:
        connection.execute("SELECT n2 FROM t")
        raise AssertionError("a dropped column")
    except UndefinedColumn:
        pass
assert min(written.values()) > 0, written
print(written, f"{refused} refused")
