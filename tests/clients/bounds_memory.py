# flags: --insecure --memory-limit 32MiB
"""A statement that needs more memory than there is fails by itself; beside it and after it others run."""

import psycopg

with psycopg.connect(autocommit=True) as connection, psycopg.connect(autocommit=True) as other:
    other.execute("BEGIN")
    for _ in range(3):
        try:
            connection.execute("SELECT array_length(array_agg(a.x), 1) FROM generate_series(1, 8000000) AS a(x)")
            raise AssertionError("an array of 8,000,000 numbers fitted into 32 MiB")
        except psycopg.errors.OutOfMemory as error:
            assert error.sqlstate == "53200"
        assert other.execute("SELECT 1").fetchone() == (1,)
    # What can spill does.
    rows = connection.execute("SELECT a.x FROM generate_series(1, 3000000) AS a(x) ORDER BY a.x % 1000, a.x LIMIT 2").fetchall()
    assert rows == [(1000,), (2000,)], rows
    rows = connection.execute("SELECT count(*) FROM (SELECT DISTINCT a.x FROM generate_series(1, 2000000) AS a(x))").fetchone()
    assert rows == (2000000,), rows
