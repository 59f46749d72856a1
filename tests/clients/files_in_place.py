# flags: --insecure
# log: place=".*/orc-rust-
"""Files that other programs have written, read where they lie: ORC, Avro, nested Parquet; broken, changing and many of them."""

import gzip
import os
import pathlib
import random

import psycopg
import pyarrow
from pyarrow import orc, parquet

folder = pathlib.Path(os.environ["TEST_EXTERN"]) / "in_place"
folder.mkdir()
connection = psycopg.connect(autocommit=True)


def rows(query, *params):
    return connection.execute(query, *params).fetchall()


def refusal(query):
    try:
        rows(query)
    except psycopg.Error as error:
        return error
    raise AssertionError(f"{query} was answered")


def located(name, file_format="parquet"):
    return f"'nodelocal://1/in_place/{name}' (FILE_FORMAT => '{file_format}')"


table = pyarrow.table({
    "id": pyarrow.array([1, 2, 3], pyarrow.int64()),
    "name": ["a", None, "c"],
    "pair": [{"A": 1, "B": "x"}, None, {"A": 3, "B": None}],
    "list": pyarrow.array([[1, 2], [], None], pyarrow.list_(pyarrow.int32())),
})

# What the two formats that describe themselves tell is the same.
parquet.write_table(table.append_column("big", pyarrow.array([0, 1, 2**64 - 1], pyarrow.uint64())), folder / "nested.parquet")
orc.write_table(table.drop_columns(["list"]), folder / "nested.orc")
found = rows(f"SELECT id, name, list FROM {located('nested.parquet')} ORDER BY id")
assert found == [(1, "a", [1, 2]), (2, None, []), (3, "c", None)], found
for name, file_format in (("nested.parquet", "parquet"), ("nested.orc", "orc")):
    found = rows(f"SELECT id, name FROM {located(name, file_format)} ORDER BY id")
    assert found == [(1, "a"), (2, None), (3, "c")], found
    found = rows(f"SELECT $1:pair.A::INT8, metadata$file_row_number FROM {located(name, file_format)} ORDER BY 2")
    assert found == [(1, 0), (None, 1), (3, 2)], found
    found = rows(f"SELECT $1 FROM {located(name, file_format)} WHERE $1:id::INT8 = 1")
    assert found[0][0]["pair"] == {"A": 1, "B": "x"}, found
    assert found[0][0].get("list") == ([1, 2] if file_format == "parquet" else None), found
    found = rows(f"SELECT max(id), metadata$filename FROM {located(name, file_format)} GROUP BY 2")
    assert found == [(3, name)], found
assert rows(f"SELECT max(big) FROM {located('nested.parquet')}") == [(2**64 - 1,)]

# CREATE TABLE knows the types that INFER_SCHEMA tells, and the table takes the file.
found = rows("SELECT column_name, type FROM INFER_SCHEMA(LOCATION => 'nodelocal://1/in_place/nested.parquet')")
assert dict(found) == {"id": "BIGINT", "name": "VARCHAR", "pair": "VARIANT", "list": "ARRAY(INT)", "big": "DECIMAL(20,0)"}, found
connection.execute(f"CREATE TABLE nested ({', '.join(f'{name} {ty}' for name, ty in found)})")
connection.execute("COPY INTO nested FROM 'nodelocal://1/in_place/nested.parquet'")
found = rows("SELECT pair, list, big FROM nested ORDER BY id")
assert found == [({"A": 1, "B": "x"}, [1, 2], 0), (None, [], 1), ({"A": 3, "B": None}, None, 2**64 - 1)], found
found = rows("SELECT column_name, type, nullable FROM INFER_SCHEMA(LOCATION => 'nodelocal://1/in_place/nested.orc', FILE_FORMAT => 'orc')")
assert found == [("id", "BIGINT", True), ("name", "VARCHAR", True), ("pair", "VARIANT", True)], found

# Lists and maps, within each other too.
nested = table.append_column("map", pyarrow.array([[("k", 1)], None, [("a", None), ("b", 2)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())))
nested = nested.append_column("deep", pyarrow.array([[[{"l": ["x"]}], []], None, [None, [None, {"l": None}]]]))
orc.write_table(nested, folder / "lists.orc")
parquet.write_table(nested, folder / "lists.parquet")
for columns in ("id, name, list, map, pair", "list", "map", "$1", "$1:map.k", "$1:deep[0][0].l[0]", "metadata$file_row_number, list"):
    orc_rows, parquet_rows = (rows(f"SELECT {columns} FROM {located(f'lists.{kind}', kind)}") for kind in ("orc", "parquet"))
    assert orc_rows == parquet_rows, (columns, orc_rows, parquet_rows)
assert sorted(rows(f"SELECT $1:map.b::INT, $1:id FROM {located('lists.parquet', 'parquet')}"), key=str) == [(2, 3), (None, 1), (None, 2)]
found = rows(f"SELECT map, map::STRING FROM {located('lists.parquet', 'parquet')} ORDER BY id")
assert found == [('{"k": 1}',) * 2, (None,) * 2, ('{"a": null, "b": 2}',) * 2], found
connection.execute("CREATE TABLE maps (id INT, map JSONB)")
connection.execute("COPY INTO maps FROM 'nodelocal://1/in_place/lists.parquet' FILE_FORMAT = (TYPE = PARQUET)")
found = rows("SELECT map FROM maps ORDER BY id")
assert found == [({"k": 1},), (None,), ({"a": None, "b": 2},)], found
assert rows(f"SELECT list FROM {located('lists.orc', 'orc')} ORDER BY id") == [([1, 2],), ([],), (None,)]
found = rows("SELECT column_name, type FROM INFER_SCHEMA(LOCATION => 'nodelocal://1/in_place/lists.orc', FILE_FORMAT => 'orc')")
assert dict(found)["list"] == "ARRAY(INT)", found
numbers = [[n] * (n % 300) for n in range(5000)]
orc.write_table(pyarrow.table({"n": numbers}), folder / "many.orc", compression="zlib", stripe_size=1 << 16)
assert rows(f"SELECT n FROM {located('many.orc', 'orc')}") == [(row,) for row in numbers]
orc.write_table(nested.drop_columns(["deep"]), folder / "shown.orc")
connection.execute("CREATE TABLE lists (id INT, list INT[])")
connection.execute("COPY INTO lists FROM 'nodelocal://1/in_place/shown.orc' FILE_FORMAT = (TYPE = ORC)")
assert rows("SELECT id, list FROM lists ORDER BY id") == [(1, [1, 2]), (2, []), (3, None)]

error = refusal("COPY INTO lists FROM 'nodelocal://1/in_place/lists.parquet' FILE_FORMAT = (TYPE = PARQUET) SCHEMA_EVOLUTION = () FORCE = TRUE")
assert error.sqlstate == "0A000" and 'no column is made of "map", of type Map' in str(error), error
connection.execute("CREATE TABLE evolved (id INT)")
connection.execute("COPY INTO evolved FROM 'nodelocal://1/in_place/many.orc' FILE_FORMAT = (TYPE = ORC) SCHEMA_EVOLUTION = ()")
assert rows("SELECT max(id), sum(n[1]) FROM evolved") == [(None, sum(row[0] for row in numbers if row))]

# Lengths that promise more than is held at once, and more lists within lists than are bounded.
orc.write_table(pyarrow.table({"id": range(2048), "n": [[0] * 300] * 2048}), folder / "long.orc", compression="uncompressed")
content = (folder / "long.orc").read_bytes()
runs = b"\xc1\xff\xac\x02\x00"
assert content.count(runs) == 4, content.count(runs)
(folder / "promises.orc").write_bytes(content.replace(runs, b"\xc1\xff\xff\x7f\x00"))
assert rows(f"SELECT sum(id) FROM {located('promises.orc', 'orc')}") == [(2047 * 1024,)]
error = refusal(f"SELECT n FROM {located('promises.orc', 'orc')}")
assert error.sqlstate == "54000" and "promises.orc: a column has lists of 16776192 values in 1024 rows" in str(error), error
# What a column may hold is shared with those that are read beside it only.
wide = {f"c{column}": [0] * 1024 for column in range(100)}
orc.write_table(pyarrow.table({"n": [[0] * 200] * 1024, **wide}), folder / "wide.orc")
assert rows(f"SELECT count(*), max(array_length(n, 1)), max(c7) FROM {located('wide.orc', 'orc')}") == [(1024, 200, 0)]
error = refusal(f"SELECT * FROM {located('wide.orc', 'orc')}")
assert error.sqlstate == "54000" and "lists of 204800 values in 1024 rows" in str(error), error
deep = pyarrow.array([1])
for _ in range(5):
    deep = pyarrow.array([deep.to_pylist()], pyarrow.list_(deep.type))
orc.write_table(pyarrow.table({"id": [1], "five": deep}), folder / "five.orc")
error = refusal(f"SELECT * FROM {located('five.orc', 'orc')}")
assert error.sqlstate == "0A000" and 'column "five" has 5 lists or maps within each other' in str(error), error
assert rows(f"SELECT id FROM {located('five.orc', 'orc')}") == [(1,)]

# A container of two records, by hand: magic, schema, mark, block, mark.
schema = b'{"type":"record","name":"r","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}'
mark = b"0123456789abcdef"


def sized(content):
    length, number = b"", len(content) << 1
    while number > 127:
        length, number = length + bytes([number & 127 | 128]), number >> 7
    return length + bytes([number]) + content


records = b"\x02" + sized(b"x") + b"\x04" + sized(b"y")
head = b"Obj\x01\x02" + sized(b"avro.schema") + sized(schema) + b"\x00" + mark
(folder / "two.avro").write_bytes(head + b"\x04" + sized(records) + mark)
assert rows(f"SELECT $1 FROM {located('two.avro', 'avro')}") == [({"a": 1, "b": "x"},), ({"a": 2, "b": "y"},)]
assert rows(f"SELECT $1:b, metadata$file_row_number FROM {located('two.avro', 'avro')} WHERE $1:a::INT8 = 2") == [("y", 1)]
found = rows("SELECT column_name, type, nullable FROM INFER_SCHEMA(LOCATION => 'nodelocal://1/in_place/two.avro', FILE_FORMAT => 'avro')")
assert found == [("a", "BIGINT", False), ("b", "VARCHAR", False)], found

# A value of a union is what its own type has.
schema = b'{"type":"record","name":"r","fields":[{"name":"u","type":["null","int","string"]}]}'
union = b"Obj\x01\x02" + sized(b"avro.schema") + sized(schema) + b"\x00" + mark
(folder / "union.avro").write_bytes(union + b"\x06" + sized(b"\x04\x02x" + b"\x02\x0e" + b"\x00") + mark)
assert rows(f"SELECT $1 FROM {located('union.avro', 'avro')}") == [({"u": "x"},), ({"u": 7},), ({"u": None},)]
connection.execute("CREATE TABLE unions (u STRING)")
connection.execute("COPY INTO unions FROM 'nodelocal://1/in_place/union.avro' FILE_FORMAT = (TYPE = AVRO)")
assert rows("SELECT u FROM unions") == [("x",), ("7",), (None,)]

(folder / "cut.avro").write_bytes((head + b"\x04" + sized(records) + mark)[:-20])
error = refusal(f"SELECT $1 FROM {located('cut.avro', 'avro')}")
assert error.sqlstate == "22P04" and "cut.avro: error parsing block 1" in str(error), error

# Described before it runs, and run twice.
cursor = connection.execute(f"SELECT id, name FROM {located('nested.parquet')}", prepare=True)
assert [(column.name, column.type_code) for column in cursor.description] == [("id", 20), ("name", 25)]

# Whatever bytes a file holds, an answer or an error comes, and the error names the file.
dice = random.Random(5)
for name, file_format in (("nested.parquet", "parquet"), ("nested.orc", "orc"), ("lists.orc", "orc")):
    whole = (folder / name).read_bytes()
    for turn in range(40):
        damaged = bytearray(whole)
        for _ in range(dice.choice((1, 3))):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        (folder / "damaged").write_bytes(damaged[:dice.randrange(len(damaged))] if turn % 4 == 0 else damaged)
        for columns in ("*", "$1"):
            try:
                rows(f"SELECT {columns} FROM {located('damaged', file_format)}")
            except psycopg.Error as error:
                assert error.sqlstate not in ("XX000", None), (turn, error)
                assert error.sqlstate != "22P04" or "in_place/damaged" in str(error), (turn, error)

# Of several files the broken one is named, whichever are read beside it.
(folder / "several").mkdir()
for part in range(8):
    text = pyarrow.table({"text": [f"{part} {number}" * 20 for number in range(5000)]})
    parquet.write_table(text, folder / f"several/{part}.parquet", compression="zstd", use_dictionary=False)
damaged = bytearray((folder / "several/5.parquet").read_bytes())
damaged[1000:2000] = bytes(1000)
(folder / "several/5.parquet").write_bytes(damaged)
error = refusal(f"SELECT sum(length(text)) FROM {located('several/')}")
assert error.sqlstate == "22P04" and "several/5.parquet" in str(error) and "4.parquet" not in str(error), error

# Without statistics nothing is known of nulls.
parquet.write_table(pyarrow.table({"f": [1.0, None], "n": [1, None]}), folder / "untold.parquet", write_statistics=False)
assert rows(f"SELECT count(f), count(n) FROM {located('untold.parquet')}") == [(1, 1)]
assert rows(f"SELECT count(*) FROM {located('untold.parquet')} WHERE f IS NULL AND n IS NULL") == [(1,)]

# A file that is replaced is another file, not the one whose footer is known.
small, large = pyarrow.table({"n": [1]}), pyarrow.table({"n": list(range(1000))})
for content in (small, large, small):
    parquet.write_table(content, folder / "changing.parquet")
    found = rows(f"SELECT count(n), sum(n) FROM {located('changing.parquet')}")
    assert found == [(content.num_rows, sum(content["n"].to_pylist()))], found

# Many files, of which few are read.
many = folder / "many"
for day in range(200):
    (many / f"day={day}").mkdir(parents=True)
    parquet.write_table(pyarrow.table({"n": [day * 10, day * 10 + 1]}), many / f"day={day}" / "part.parquet")
assert rows(f"SELECT count(*), sum(n) FROM {located('many/')}") == [(400, 398200)]
assert rows(f"SELECT n FROM {located('many/')} WHERE day = 7 AND n = 71") == [(71,)]
plan = "\n".join(row[1] for row in rows(f"EXPLAIN SELECT * FROM {located('many/')} WHERE n = 1501"))
assert "day=150/" in plan and "day=149/" not in plan, plan

# Rows wider than any table.
wide = ",".join(f"v{column}" for column in range(10_000))
(folder / "wide.csv").write_text(f"{wide}\n1,2\n")
assert rows(f"SELECT $10000, $2 FROM {located('wide.csv', 'csv')} ORDER BY 2") == [(None, "2"), ("v9999", "v1")]

# A few bytes that become many: read piece by piece, or refused when they are one record.
with gzip.open(folder / "bomb.csv.gz", "wb") as file:
    for _ in range(200):
        file.write(b"0" * (1 << 20))
connection.execute("CREATE FILE FORMAT packed TYPE = CSV COMPRESSION = AUTO")
error = refusal(f"SELECT $1 FROM {located('bomb.csv.gz', 'packed')}")
assert error.sqlstate == "54000" and "bomb.csv.gz" in str(error), error
