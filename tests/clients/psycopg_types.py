# flags: --insecure
"""psycopg 3: every type there and back, as text and in binary, as parameters and as results."""

import datetime
import decimal
import uuid

import psycopg
from psycopg.types.json import Jsonb

UTC = datetime.timezone.utc
ROWS = [
    ("BOOL", True), ("BOOL", False),
    ("INT2", -32768), ("INT4", 2147483647), ("INT8", -9223372036854775808),
    ("FLOAT4", 1.5), ("FLOAT8", -1.25e-7), ("FLOAT8", float("inf")),
    ("DECIMAL(12,3)", decimal.Decimal("123456789.125")), ("DECIMAL(12,3)", decimal.Decimal("-0.001")),
    ("DECIMAL(38,0)", decimal.Decimal("9" * 28)), ("DECIMAL(10,4)", decimal.Decimal("0.0000")),
    ("STRING", "größe 🦫 '\"\\"), ("STRING", ""), ("VARCHAR(5)", "abcde"),
    ("BYTES", bytes(range(256))), ("BYTES", b""),
    ("DATE", datetime.date(2024, 2, 29)), ("DATE", datetime.date(1, 1, 1)), ("DATE", datetime.date(9999, 12, 31)),
    ("TIMESTAMP", datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)),
    ("TIMESTAMPTZ", datetime.datetime(2024, 2, 29, 12, 34, 56, 789000, UTC)),
    ("UUID", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    ("JSONB", {"a": [1, None, "x"], "b": {"c": 1.5}}), ("JSONB", []),
    ("INT[]", [1, None, 3]), ("INT[]", []), ("STRING[]", ["a", "b c", "", None, "NULL", '"', "\\", "{},"]),
    ("FLOAT8[]", [0.5, -2.0]), ("BOOL[]", [True, None]), ("UUID[]", [uuid.UUID(int=7)]),
    ("DATE[]", [datetime.date(2024, 1, 1)]),
    ("TIMESTAMPTZ[]", [datetime.datetime(2024, 1, 1, tzinfo=UTC)]),
    ("DECIMAL(10,2)[]", [decimal.Decimal("1.50"), None]),
]


def parameter(ty, value):
    return Jsonb(value) if ty == "JSONB" and value is not None else value


def check(connection, ty, value, results_binary, parameters):
    with connection.cursor(binary=results_binary) as cursor:
        cursor.execute(f"CREATE TABLE one (k INT PRIMARY KEY, v {ty})")
        cursor.execute(f"INSERT INTO one VALUES (%{parameters}, %{parameters})", (1, parameter(ty, value)))
        cursor.execute(f"INSERT INTO one VALUES (2, %{parameters})", (None,))
        cursor.execute("SELECT v FROM one ORDER BY k")
        rows = [row[0] for row in cursor.fetchall()]
        assert rows == [value, None], (ty, results_binary, parameters, value, rows)
        if not isinstance(value, (list, dict, float)):
            cursor.execute(f"SELECT k FROM one WHERE v = %{parameters}", (parameter(ty, value),))
            assert cursor.fetchall() == [(1,)], (ty, results_binary, parameters, value, "not found by its value")
        cursor.execute("DROP TABLE one")


with psycopg.connect(autocommit=True, prepare_threshold=None) as connection:
    for ty, value in ROWS:
        for results_binary in (False, True):
            for parameters in ("t", "b"):
                check(connection, ty, value, results_binary, parameters)

    # Parameters whose type only the server can tell.
    with connection.cursor() as cursor:
        assert cursor.execute("SELECT %s::INT + 1", ("41",)).fetchone() == (42,)
        assert cursor.execute("SELECT %s::TEXT || 'b'", ("a",)).fetchone() == ("ab",)
        assert cursor.execute("SELECT %s + %s", (1, 2)).fetchone() == (3,)
        cursor.execute("CREATE TABLE many (a INT, b STRING)")
        cursor.executemany("INSERT INTO many VALUES (%s, %s)", [(i, str(i)) for i in range(50)])
        assert cursor.rowcount == 50
        assert cursor.execute("SELECT count(*), sum(a) FROM many WHERE a < %s", (10,)).fetchone() == (10, 45)
        found = cursor.execute("SELECT a FROM many WHERE a = ANY(%s) ORDER BY a", ([3, 5, 70],)).fetchall()
        assert found == [(3,), (5,)], found
        assert cursor.execute("SELECT a FROM many ORDER BY a LIMIT %s OFFSET %s", (2, 1)).fetchall() == [(1,), (2,)]

    # What a client learns of a result.
    cursor = connection.execute("SELECT 1::INT2 AS small, 'x' AS word, 1.5::DECIMAL(4,2) AS price")
    assert [column.name for column in cursor.description] == ["small", "word", "price"]
    assert [column.type_code for column in cursor.description][0:1] == [21]
    assert cursor.description[2].precision == 4 and cursor.description[2].scale == 2, cursor.description[2]

# NUMERIC parameters keep their digits, and a column's precision is its own.
with psycopg.connect(autocommit=True) as connection:
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            for number in ("1.5", "0.00", "-12345678901234567890.125", "100"):
                row = cursor.execute("SELECT %s, %s::NUMERIC", (decimal.Decimal(number),) * 2).fetchone()
                assert [str(value) for value in row] == [number, number], (binary, number, row)
    connection.execute("CREATE TABLE prices (k INT PRIMARY KEY, price DECIMAL(7,2))")
    connection.execute("INSERT INTO prices VALUES (1, %s)", (decimal.Decimal("9.9"),))
    connection.execute("UPDATE prices SET price = price + %s", (decimal.Decimal("0.1"),))
    assert str(connection.execute("SELECT price FROM prices").fetchone()[0]) == "10.00"

# Times in the session's zone: parameters and results, text and binary, COPY both ways.
with psycopg.connect(autocommit=True) as connection:
    connection.execute("SET TIME ZONE 'Europe/Berlin'")
    noon = datetime.datetime(2024, 7, 1, 10, tzinfo=UTC)
    assert connection.info.timezone.key == "Europe/Berlin"
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            value = cursor.execute("SELECT %s::TIMESTAMPTZ", ("2024-07-01 12:00",)).fetchone()[0]
            assert value == noon and value.utcoffset() == datetime.timedelta(hours=2), (binary, value)
            text = cursor.execute("SELECT (%s::TIMESTAMPTZ)::TEXT", (noon,)).fetchone()[0]
            assert text == "2024-07-01 12:00:00+02", text
    connection.execute("CREATE TABLE moments (at TIMESTAMPTZ)")
    with connection.cursor() as cursor:
        with cursor.copy("COPY moments FROM STDIN") as copy:
            copy.write("2024-07-01 12:00\n2024-07-01 12:00+00\n")
        with cursor.copy("COPY (SELECT at FROM moments ORDER BY at) TO STDOUT") as copy:
            assert b"".join(copy) == b"2024-07-01 12:00:00+02\n2024-07-01 14:00:00+02\n"
