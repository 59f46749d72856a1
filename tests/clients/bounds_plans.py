# flags: --insecure
"""The widest and deepest statements that are taken are planned and run; those beyond are refused, and the server lives."""

import psycopg


def join(count, item, between=", "):
    return between.join(item.format(n) for n in range(count))


TAKEN = {
    "columns": f"SELECT {join(1664, 'a + {0} AS c{0}')} FROM generate_series(1, 3) AS t(a)",
    "IN": f"SELECT * FROM generate_series(1, 3) AS t(a) WHERE a IN ({join(65_535, '{}')})",
    "array": f"SELECT array_length(ARRAY[{join(20_000, '{}')}], 1)",
    "ORDER BY": f"SELECT 1 FROM generate_series(1, 3) AS t(a) ORDER BY {join(400, 'a + {}')}",
    "GROUP BY": f"SELECT count(*) FROM generate_series(1, 3) AS t(a) GROUP BY {join(1664, 'a + {}')}",
    "CUBE": f"SELECT count(*) FROM generate_series(1, 3) AS t(a) GROUP BY CUBE ({join(12, 'a + {}')})",
    "aggregates": f"SELECT {join(800, 'sum(a + {})')} FROM generate_series(1, 3) AS t(a)",
    "windows": f"SELECT {join(100, 'sum(a) OVER (ORDER BY a + {})')} FROM generate_series(1, 3) AS t(a)",
    "VALUES": f"SELECT count(*) FROM (VALUES {join(20_000, '({0}, {0})')}) AS t",
    "joins": "SELECT count(*) FROM generate_series(1, 2) AS t(a) "
    + " ".join(f"JOIN generate_series(1, 2) AS t{n}(a) ON t{n}.a = t.a" for n in range(100)),
    "UNION": " UNION ALL ".join(["SELECT 1"] * 250),
    "sum": "SELECT " + "+".join(["1"] * 2000),
    "casts": "SELECT 1" + "::INT" * 2000,
    "OR": "SELECT * FROM generate_series(1, 3) AS t(a) WHERE " + join(1000, "a = {}", " OR "),
    "CASE": f"SELECT CASE {join(600, 'WHEN a = {0} THEN {0}', ' ')} END FROM generate_series(1, 3) AS t(a)",
    "brackets": "SELECT " + "(" * 60 + "1" + ")" * 60,
}

TWICE = ", ".join(f"t{n} AS (SELECT a.x FROM t{n - 1} AS a, t{n - 1} AS b)" for n in range(1, 30))
REFUSED = {
    f"SELECT {join(1665, '{}')}": "54011",
    f"SELECT {join(66_000, '{}')}": "54011",
    f"SELECT a.*, b.* FROM (SELECT {join(900, '{0} AS a{0}')}) AS a, (SELECT {join(900, '{0} AS b{0}')}) AS b": "54011",
    f"SELECT 1 IN ({join(65_536, '{}')})": "54001",
    f"SELECT count(*) FROM generate_series(1, 3) AS t(a) GROUP BY CUBE ({join(13, 'a + {}')})": "54001",
    f"SELECT count(*) FROM {join(300, '(SELECT 1) AS t{}')}": "54001",
    f"WITH t0 AS (SELECT 1 AS x), {TWICE} SELECT * FROM t29": "54001",
    f"CREATE TABLE wide ({join(2000, 'c{} INT8')})": "54011",
}

with psycopg.connect(autocommit=True) as connection:
    for name, statement in TAKEN.items():
        assert connection.execute(statement).fetchall(), name
    for statement, code in REFUSED.items():
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            assert error.sqlstate == code, (statement[:60], error.sqlstate, str(error)[:200])
        else:
            raise AssertionError(f"taken: {statement[:60]}")
        try:
            connection.execute(statement, prepare=True)
        except psycopg.Error as error:
            assert error.sqlstate == code, (statement[:60], error.sqlstate)
    assert connection.execute("SELECT 1").fetchone() == (1,)
