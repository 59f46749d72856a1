# flags: --insecure
"""psycopg 3: transactions, errors, COPY, cancel, pipelines, prepared statements."""

import datetime
import threading
import time

import psycopg
from psycopg import errors


def fails(connection, error, statement, parameters=None):
    try:
        connection.execute(statement, parameters)
    except error as caught:
        return caught
    raise AssertionError(f"{statement} did not fail")


with psycopg.connect() as connection:
    connection.execute("CREATE TABLE t (a INT PRIMARY KEY, b STRING)")
    connection.commit()

    # Transaction blocks of the driver.
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES (1, 'one')")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
    connection.rollback()
    try:
        with connection.transaction():
            connection.execute("INSERT INTO t VALUES (2, 'two')")
            raise KeyError
    except KeyError:
        pass
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
    connection.rollback()

    # Blocks within blocks are savepoints.
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES (2, 'two')")
        try:
            with connection.transaction():
                connection.execute("INSERT INTO t VALUES (3, 'three')")
                with connection.transaction():
                    connection.execute("INSERT INTO t VALUES (1, 'again')")
        except errors.UniqueViolation:
            pass
        with connection.transaction():
            connection.execute("UPDATE t SET b = 'TWO' WHERE a = 2")
    assert connection.execute("SELECT a, b FROM t ORDER BY a").fetchall() == [(1, "one"), (2, "TWO")]
    connection.execute("DELETE FROM t WHERE a = 2")
    connection.commit()

    # An interval is one for the driver.
    assert connection.execute("SELECT INTERVAL '1 day 00:00:01'").fetchone() == (datetime.timedelta(days=1, seconds=1),)

    # MERGE with parameters.
    merged = connection.execute(
        "MERGE INTO t USING (VALUES (1, 'new'), (2, 'two')) AS s (a, b) ON t.a = s.a "
        "WHEN MATCHED THEN UPDATE SET b = %s || s.b WHEN NOT MATCHED THEN INSERT VALUES (s.a, %s) "
        "RETURNING merge_action(), t.*", ("very ", "second")).fetchall()
    assert sorted(merged) == [("INSERT", 2, "second"), ("UPDATE", 1, "very new")], merged
    connection.rollback()

    # Errors carry code, position and hint, and the connection goes on.
    error = fails(connection, errors.UniqueViolation, "INSERT INTO t VALUES (%s, 'again')", (1,))
    assert error.sqlstate == "23505", error.sqlstate
    fails(connection, errors.InFailedSqlTransaction, "SELECT 1")
    connection.rollback()
    error = fails(connection, errors.SyntaxError, "SELECT 1 FORM t")
    assert error.diag.statement_position == "15", error.diag.statement_position
    connection.rollback()
    fails(connection, errors.UndefinedTable, "SELECT * FROM nope")
    connection.rollback()
    fails(connection, errors.InvalidTextRepresentation, "SELECT %s::INT", ("x",))
    connection.rollback()
    fails(connection, errors.DivisionByZero, "SELECT 1 / %s", (0,))
    connection.rollback()
    connection.autocommit = True

    # COPY in: text, CSV, binary; a broken one leaves nothing.
    with connection.cursor() as cursor:
        with cursor.copy("COPY t FROM STDIN") as copy:
            copy.write_row((10, "tab\tnew\nline\\"))
            copy.write_row((11, None))
        with cursor.copy("COPY t (b, a) FROM STDIN WITH (FORMAT csv, HEADER true, DELIMITER ';', NULL 'none')") as copy:
            copy.write('b;a\n"semi;colon";12\nnone;13\n')
        with cursor.copy("COPY t FROM STDIN WITH (FORMAT binary)") as copy:
            copy.set_types(["int8", "text"])
            for i in range(20, 3020):
                copy.write_row((i, f"row {i}"))
        assert cursor.rowcount == 3000, cursor.rowcount
        rows = cursor.execute("SELECT a, b FROM t WHERE a BETWEEN 10 AND 13 ORDER BY a").fetchall()
        assert rows == [(10, "tab\tnew\nline\\"), (11, None), (12, "semi;colon"), (13, None)], rows
        for data, error in (("9050\tx\n9051\ty\tz\n", errors.BadCopyFileFormat), ("9050\tx\nnumber\ty\n", errors.InvalidTextRepresentation),
                            ("9050\tx\n1\tdouble\n", errors.UniqueViolation)):
            try:
                with cursor.copy("COPY t FROM STDIN") as copy:
                    copy.write(data)
                raise AssertionError(f"COPY took {data!r}")
            except error:
                pass
        try:
            with cursor.copy("COPY t FROM STDIN") as copy:
                copy.write_row((9060, "given up"))
                raise KeyError
        except KeyError:
            pass
        assert cursor.execute("SELECT count(*) FROM t WHERE a IN (9050, 9051, 9060)").fetchone() == (0,)

        # COPY out.
        with cursor.copy("COPY (SELECT a, b FROM t WHERE a < 13 ORDER BY a) TO STDOUT") as copy:
            assert b"".join(copy) == b"1\tone\n10\ttab\\tnew\\nline\\\\\n11\t\\N\n12\tsemi;colon\n"
        with cursor.copy("COPY (SELECT a, b FROM t WHERE a IN (11, 12) ORDER BY a) TO STDOUT WITH (FORMAT csv, HEADER)") as copy:
            assert b"".join(copy) == b"a,b\n11,\n12,semi;colon\n"
        with cursor.copy("COPY t TO STDOUT WITH (FORMAT binary)") as copy:
            copy.set_types(["int8", "text"])
            assert len(list(copy.rows())) == 3005

    # Cancel: in planning and running, and while rows are sent.
    def cancel_after(seconds):
        threading.Timer(seconds, connection.cancel_safe).start()

    started = time.monotonic()
    cancel_after(0.3)
    fails(connection, errors.QueryCanceled, "SELECT count(*) FROM generate_series(1, 30000000) a, generate_series(1, 1000) b")
    cancel_after(0.3)
    try:
        with connection.cursor() as cursor:
            for _ in cursor.stream("SELECT a.value, repeat('x', 200) FROM generate_series(1, 100000000) AS a(value)"):
                pass
        raise AssertionError("the stream was not cancelled")
    except errors.QueryCanceled:
        pass
    assert time.monotonic() - started < 10, "cancelling took long"
    assert connection.execute("SELECT 1").fetchone() == (1,)

    # A pipeline is one transaction up to its Sync: an error undoes what came before it and aborts the rest.
    with connection.pipeline():
        first = connection.execute("SELECT 1")
        second = connection.execute("SELECT 2")
        assert (first.fetchone(), second.fetchone()) == ((1,), (2,))
    try:
        with connection.pipeline():
            connection.execute("INSERT INTO t VALUES (9070, 'x')")
            connection.execute("SELECT nope")
            connection.execute("INSERT INTO t VALUES (9071, 'x')")
        raise AssertionError("the pipeline did not fail")
    except (errors.UndefinedColumn, errors.PipelineAborted):
        pass
    assert connection.execute("SELECT count(*) FROM t WHERE a IN (9070, 9071)").fetchone() == (0,)
    with connection.pipeline():
        connection.execute("INSERT INTO t (a) VALUES (9072)")
        seen = connection.execute("SELECT count(*) FROM t WHERE a = 9072")
        connection.execute("INSERT INTO t (a) VALUES (9073)")
        assert seen.fetchone() == (1,), "a pipeline does not see its own rows"
    assert connection.execute("DELETE FROM t WHERE a IN (9072, 9073)").rowcount == 2

    # A cursor on the server: rows come as they are asked for.
    with connection.transaction(), connection.cursor(name="numbers") as numbers:
        numbers.itersize = 100
        numbers.execute("SELECT i FROM generate_series(1, 1000) AS s (i) WHERE i <= %s", (1000,))
        assert numbers.description[0].name == "i"
        assert sum(row[0] for row in numbers) == 500_500

    # Statements prepared on the server see a changed table.
    for i in range(3):
        assert connection.execute("SELECT b FROM t WHERE a = %s", (10,), prepare=True).fetchone()[0].startswith("tab")
    connection.execute("ALTER TABLE t ADD COLUMN c INT DEFAULT 5")
    assert connection.execute("SELECT c FROM t WHERE a = %s", (10,), prepare=True).fetchone() == (5,)
    # A write whose rows the client would not understand is refused before it is done.
    connection.execute("CREATE TABLE noted (a INT)")
    note = "INSERT INTO noted VALUES (%s) RETURNING *"
    for _ in range(2):
        connection.execute(note, (1,), prepare=True)
    with psycopg.connect(autocommit=True) as other:
        other.execute("ALTER TABLE noted ADD COLUMN b INT")
    fails(connection, errors.FeatureNotSupported, note, (1,))
    assert connection.execute("SELECT count(*) FROM noted").fetchone() == (2,)

    # Two sessions at once.
    with psycopg.connect(autocommit=True) as other:
        other.execute("INSERT INTO t (a) VALUES (9080)")
        assert connection.execute("SELECT count(*) FROM t WHERE a = 9080").fetchone() == (1,)

    # Concurrent small inserts all arrive.
    def insert(writer):
        with psycopg.connect(autocommit=True) as own:
            for i in range(25):
                own.execute("INSERT INTO t (a) VALUES (%s)", (10_000 + writer * 100 + i,))

    writers = [threading.Thread(target=insert, args=(writer,)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert connection.execute("SELECT count(*) FROM t WHERE a >= 10000").fetchone() == (100,)
