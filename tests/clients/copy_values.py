# flags: --insecure
"""Values of Parquet files in columns of other types: they stay what they are, or COPY INTO refuses them."""

import datetime
import decimal
import os
import pathlib

import psycopg
import pyarrow
from pyarrow import parquet

folder = pathlib.Path(os.environ["TEST_EXTERN"]) / "values"
folder.mkdir()
connection = psycopg.connect(autocommit=True, prepare_threshold=None)

noon = datetime.datetime(2024, 1, 1, 12)
day = datetime.datetime(2024, 1, 1)
VALUES = {
    "1.5": pyarrow.array([1.5], pyarrow.float64()),
    "2.0": pyarrow.array([2.0], pyarrow.float64()),
    "1e300": pyarrow.array([1e300], pyarrow.float64()),
    "300": pyarrow.array([300], pyarrow.int64()),
    "true": pyarrow.array([True]),
    "1.55": pyarrow.array([decimal.Decimal("1.55")], pyarrow.decimal128(10, 2)),
    "noon": pyarrow.array([noon], pyarrow.timestamp("us")),
    "midnight": pyarrow.array([day], pyarrow.timestamp("ns")),
    "day": pyarrow.array([day.date()], pyarrow.date32()),
    "late": pyarrow.array([datetime.date(9999, 12, 31)], pyarrow.date32()),
    "list": pyarrow.array([[1.0, None, 3.0]], pyarrow.list_(pyarrow.float64())),
    "fractions": pyarrow.array([[1.5]], pyarrow.list_(pyarrow.float64())),
    "bytes": pyarrow.array([b"ab"]),
    "nothing": pyarrow.nulls(1),
}
KEPT = [
    ("2.0", "INT8", 2), ("300", "INT2", 300), ("300", "FLOAT8", 300.0), ("1.5", "DECIMAL(4,2)", decimal.Decimal("1.50")),
    ("1.5", "STRING", "1.5"), ("1.5", "JSONB", 1.5), ("true", "JSONB", True), ("day", "JSONB", "2024-01-01"),
    ("day", "TIMESTAMP", day), ("late", "TIMESTAMP", datetime.datetime(9999, 12, 31)), ("midnight", "DATE", day.date()),
    ("noon", "TIMESTAMPTZ", noon.replace(tzinfo=datetime.timezone.utc)), ("list", "INT4[]", [1, None, 3]),
    ("list", "STRING[]", ["1", None, "3"]), ("list", "JSONB", [1, None, 3]), ("bytes", "BYTES", b"ab"), ("nothing", "DATE", None),
]
REFUSED = [
    ("1.5", "INT8", "22P02"), ("1.5", "TIMESTAMP", "42804"), ("1.5", "TIMESTAMPTZ", "42804"), ("1.5", "INT8[]", "42804"),
    ("1.55", "INT8[]", "42804"), ("1.55", "INT8", "22P02"), ("1e300", "FLOAT4", "22003"), ("300", "DATE", "42804"),
    ("300", "BYTES", "42804"), ("300", "BOOL", "42804"), ("true", "INT8", "42804"), ("noon", "INT8", "42804"),
    ("noon", "DATE", "22P02"), ("day", "INT4", "42804"), ("fractions", "INT8[]", "22P02"), ("bytes", "INT8", "42804"),
]

for name, values in VALUES.items():
    parquet.write_table(pyarrow.table({"v": values}), folder / f"{name}.parquet")


def loaded(name, ty):
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute(f"CREATE TABLE t (v {ty})")
    connection.execute(f"COPY INTO t FROM 'nodelocal://1/values/{name}.parquet'")
    return connection.execute("SELECT v FROM t").fetchall()


connection.execute("SET timezone = 'UTC'")
for name, ty, expected in KEPT:
    assert loaded(name, ty) == [(expected,)], (name, ty, loaded(name, ty))
for name, ty, code in REFUSED:
    try:
        found = loaded(name, ty)
    except psycopg.Error as error:
        assert error.sqlstate == code and f"column \"v\" as {ty}" in str(error), (name, ty, error)
    else:
        raise AssertionError(f"{name} was loaded into {ty}: {found}")
print("ok")
