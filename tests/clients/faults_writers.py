# flags: --insecure
"""Eight writers on one table: no update is lost, and no row."""

import threading

import psycopg

WRITERS, BLOCKS, UPDATES, INSERTS = 8, 4, 5, 20
conflicts, failures = [0] * WRITERS, []


def in_block(connection):
    """Reads the counter and writes one more, in one block."""
    connection.execute("BEGIN")
    (n,) = connection.execute("SELECT n FROM counters WHERE id = 1").fetchone()
    connection.execute("UPDATE counters SET n = %s WHERE id = 1", [n + 1])
    connection.execute("COMMIT")


def retried(writer, connection, work):
    while True:
        try:
            return work()
        except psycopg.errors.SerializationFailure:
            conflicts[writer] += 1
            connection.execute("ROLLBACK")


def write(writer):
    try:
        with psycopg.connect(autocommit=True) as connection:
            for _ in range(BLOCKS):
                retried(writer, connection, lambda: in_block(connection))
            for _ in range(UPDATES):
                retried(writer, connection, lambda: connection.execute("UPDATE counters SET n = n + 1 WHERE id = 2"))
            for number in range(INSERTS):
                connection.execute("INSERT INTO log VALUES (%s, %s)", [writer, number])
    except BaseException as error:
        failures.append(error)


with psycopg.connect(autocommit=True) as root:
    root.execute("CREATE TABLE counters (id INT8 PRIMARY KEY, n INT8)")
    root.execute("CREATE TABLE log (writer INT8, number INT8)")
    root.execute("INSERT INTO counters VALUES (1, 0), (2, 0)")
    threads = [threading.Thread(target=write, args=[writer]) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    counters = dict(root.execute("SELECT id, n FROM counters").fetchall())
    assert counters == {1: WRITERS * BLOCKS, 2: WRITERS * UPDATES}, counters
    rows = root.execute("SELECT count(*), count(DISTINCT writer * 1000 + number) FROM log").fetchone()
    assert rows == (WRITERS * INSERTS,) * 2, rows
    print(f"{sum(counters.values())} increments by {WRITERS} writers, none lost; {sum(conflicts)} conflicts tried again")
