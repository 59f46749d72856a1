# flags: --insecure
"""Structures, maps and lists of Parquet files: their parts, what compares them, and what is said of those that cannot be."""

import json
import os
import pathlib
from decimal import Decimal

import psycopg
import pyarrow
from pyarrow import parquet

folder = pathlib.Path(os.environ["TEST_EXTERN"]) / "parts"
folder.mkdir()
connection = psycopg.connect(autocommit=True)

parquet.write_table(pyarrow.table({
    "st": [{"a": 1, "b": {"c": "x"}}, {"a": 2, "b": {"c": "y"}}],
    "m": pyarrow.array([[("k", 1)], [("l", 2)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    "l": [[1, 2], [0, 5]],
    "ls": [[{"a": 1}], [{"a": 2}]],
    "flat": [{"a": 1}, {"a": 2}],
    "n": [1, 2],
}), folder / "all.parquet")
FILES = "'nodelocal://1/parts/all.parquet'"


def rows(query):
    return connection.execute(query.replace("@files", FILES)).fetchall()


def refused(query, sqlstate, *words):
    try:
        rows(query)
    except psycopg.Error as error:
        assert error.sqlstate == sqlstate, (query, error)
        told = f"{error} {error.diag.message_hint}"
        assert all(word in told for word in words) and "Struct(" not in told and "Map(" not in told, (query, told)
        return
    raise AssertionError(f"{query} was answered")


# A part has the name that PostgreSQL gives it.
for written, name in [("st.a", "a"), ("(st).a", "a"), ("f.st.a", "a"), ("st['a']", "st"), ("(st).b.c", "c"), ("l[1]", "l"), ("st.a + 1", "?column?")]:
    cursor = connection.execute(f"SELECT {written} FROM {FILES} f ORDER BY n")
    assert [column.name for column in cursor.description] == [name], (written, cursor.description)
assert rows("SELECT st['a'], st:a, (st).a, st.a, st -> 'a' FROM @files WHERE st['a'] > 1") == [(2, 2, 2, 2, 2)]
assert rows("SELECT st['b']['c'], f.st:b.c, (st).b.c FROM @files f WHERE n = 1") == [("x", "x", "x")]
assert rows("SELECT m['k'], m:l, ls[1]['a'], l[2:2] FROM @files ORDER BY n") == [(1, None, 1, [2]), (None, 2, 2, [5])]
assert rows("SELECT st.a, count(*) FROM @files GROUP BY st.a ORDER BY st.a") == [(1, 1), (2, 1)]
refused("SELECT st['zz'] FROM @files", "42703", 'column "zz" not found in data type record')
refused("SELECT st.zz FROM @files", "42703", 'column "zz"')
refused("SELECT l['a'] FROM @files", "42804", "an item of an array has no name, such as 'a'", "items[1]")

# All of them can be shown.
assert rows("SELECT ls, array_agg(m) FROM @files WHERE n = 1 GROUP BY ls") == [(['{"a": 1}'], ['{"k": 1}'])]

# What has an order is compared; what has none is refused before anything is read.
assert rows("SELECT min(l), max(l), max(flat)::STRING, min(l[1]) FROM @files") == [([0, 5], [1, 2], '{"a": 2}', 0)]
for extreme in ["min(m)", "max(ls)", "max(st)", "min(m) OVER ()"]:
    refused(f"SELECT {extreme} FROM @files", "42883", f"function {extreme[:3]}(record", "no order", "cast them first")
refused("SELECT rank() OVER (ORDER BY m) FROM @files", "42883", "ordering operator for type record", "cast")
for aggregate in ["sum(st)", "sum(m)", "upper(st)"]:
    refused(f"SELECT {aggregate} FROM @files", "42883", "(record) does not exist")
refused("SELECT st + 1 FROM @files", "42883", "operator does not exist: record + bigint")
refused("SELECT st::INT FROM @files", "42846", "cannot cast type record to bigint")
refused("SELECT st LIKE 'a' FROM @files", "42804", "record")

# Inside of structures and maps lists are those of JSON, and so are numbers that JSON has no word for.
parquet.write_table(pyarrow.table({
    "s": [{"l": [1, None, 2], "f": float("nan"), "ls": [{"x": "a\"b"}]}],
    "m": pyarrow.array([[("k", [1, 2])]], pyarrow.map_(pyarrow.string(), pyarrow.list_(pyarrow.int64()))),
}), folder / "inner.parquet")
INNER = "'nodelocal://1/parts/inner.parquet'"
inside = {"l": [1, None, 2], "f": "NaN", "ls": [{"x": "a\"b"}]}
shown = rows(f"SELECT s::STRING, m::STRING FROM {INNER}")
assert [json.loads(text) for text in shown[0]] == [inside, {"k": [1, 2]}], shown
connection.execute(f"CREATE TABLE inner_texts AS SELECT s, m FROM {INNER}")
stored = rows("SELECT s::STRING, m::STRING FROM inner_texts")
assert [json.loads(text) for text in stored[0]] == [inside, {"k": [1, 2]}], stored

# Lists of tables, whose items have a type of their own, are as those of files.
connection.execute("CREATE TABLE lists (l INT[], t UUID[])")
connection.execute("INSERT INTO lists VALUES (ARRAY[1, 2], NULL), (ARRAY[0, 5], NULL)")
assert rows("SELECT min(l), max(l), min(t) FROM lists") == [([0, 5], [1, 2], None)]

# Numbers of more digits than DECIMAL has.
parquet.write_table(pyarrow.table({
    "d": pyarrow.array([Decimal("1.5")], pyarrow.decimal256(50, 4)),
    "e": pyarrow.array([Decimal("1.5")], pyarrow.decimal256(76, 40)),
    "f": pyarrow.array([Decimal("1.5")], pyarrow.decimal256(38, 4)),
}), folder / "wide.parquet")
WIDE = "'nodelocal://1/parts/wide.parquet'"
types = connection.execute("SELECT column_name, type FROM INFER_SCHEMA(LOCATION => 'nodelocal://1/parts/wide.parquet')").fetchall()
assert types == [("d", "VARCHAR"), ("e", "VARCHAR"), ("f", "DECIMAL(38,4)")], types
assert rows(f"SELECT d FROM {WIDE} WHERE d > 1") == [(Decimal("1.5"),)]
assert rows(f"SELECT $1:e::STRING FROM {WIDE}") == [("1.5" + "0" * 39,)]
refused(f"SELECT e FROM {WIDE}", "22003", "DECIMAL has 38 digits at most", "$1:name reads numbers of any size")
connection.execute("CREATE TABLE texts (d VARCHAR, e VARCHAR, f DECIMAL(38, 4))")
connection.execute(f"COPY INTO texts FROM {WIDE}")
assert rows("SELECT d, e, f FROM texts") == [("1.5000", "1.5" + "0" * 39, Decimal("1.5"))]
connection.execute("CREATE TABLE narrow (e DECIMAL(38, 38))")
refused(f"COPY INTO narrow FROM {WIDE}", "22003", 'column "e" as DECIMAL(38,38): 1.5', "is out of range")
