# flags: --insecure
"""pandas: frames written to tables and read back, through SQLAlchemy."""

import datetime

import numpy
import pandas
from sqlalchemy import create_engine, text

engine = create_engine("postgresql+psycopg://", use_native_hstore=False)
frame = pandas.DataFrame({
    "id": numpy.arange(5_000),
    "city": [None if i % 7 == 0 else f"city {i % 5}" for i in range(5_000)],
    "fare": numpy.arange(5_000) / 4,
    "paid": numpy.arange(5_000) % 2 == 0,
    "at": pandas.date_range("2024-01-01", periods=5_000, freq="h"),
    "zoned": pandas.date_range("2024-01-01", periods=5_000, freq="min", tz="UTC"),
})
frame.to_sql("rides", engine, index=False, method="multi", chunksize=1_000)
read = pandas.read_sql("SELECT * FROM rides ORDER BY id", engine, parse_dates=["zoned"])
for name in frame.columns:
    same = read[name].astype(object).where(read[name].notna(), None) == frame[name].astype(object).where(frame[name].notna(), None)
    assert (same | (read[name].isna() & frame[name].isna())).all(), (name, read[name], frame[name])
sums = pandas.read_sql_query(text("SELECT city, sum(fare) AS fare FROM rides WHERE at < :until GROUP BY city ORDER BY city NULLS LAST"),
                             engine, params={"until": datetime.datetime(2024, 3, 1)}, index_col="city")
wanted = frame[frame["at"] < "2024-03-01"].groupby("city", dropna=False)["fare"].sum()
assert sums["fare"].tolist() == wanted.tolist(), (sums, wanted)

table = pandas.read_sql_table("rides", engine, columns=["id", "fare"])
assert table["fare"].sum() == frame["fare"].sum() and list(table.columns) == ["id", "fare"]
chunks = pandas.read_sql("SELECT id FROM rides", engine, chunksize=1_500)
assert sum(len(chunk) for chunk in chunks) == 5_000

# A table that is there: refused, replaced, grown.
try:
    frame.head(1).to_sql("rides", engine)
    raise AssertionError("the table was there")
except ValueError:
    pass
frame.head(10).to_sql("rides", engine, index=False, if_exists="replace")
frame.tail(10).to_sql("rides", engine, index=False, if_exists="append")
assert pandas.read_sql("SELECT count(*) AS n FROM rides", engine)["n"].tolist() == [20]

# As pandas does it by default: with an index, which is made after the rows.
for _ in range(2):
    frame.head(7).to_sql("indexed", engine, if_exists="replace")
    assert pandas.read_sql("SELECT sum(index) AS n FROM indexed", engine)["n"].tolist() == [21]
