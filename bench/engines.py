"""DuckDB and polars at work. Each function is called in a process of its own and times only the work itself."""

import decimal
import importlib.resources
import os
import pathlib
from importlib.metadata import distributions

import duckdb
import polars

from bench import lineitem
from bench.emulators import PEERS
from bench.measure import ThisProcess, timed

THREADS = os.cpu_count()
# Where DuckDB with its extension for buckets is.
WITH_BUCKETS = tuple(PEERS.glob("duckdb/lib/python*/site-packages"))


def sync(path):
    """Makes a finished file durable, as a table's commit is."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def read_csv(path, header=True):
    return f"read_csv('{path}', header = {header}, columns = {lineitem.DUCKDB_COLUMNS})"


def read_parquet(files):
    return f"read_parquet({[str(file) for file in files]})"


def duckdb_fingerprint(relation):
    (row,) = duckdb.execute(lineitem.FINGERPRINT + relation).fetchall()
    return row


def duckdb_copy(source, target, options):
    """COPY of all rows of `source` to a durable file."""
    connection = duckdb.connect(config={"preserve_insertion_order": "false"})

    def work():
        connection.execute(f"COPY (SELECT * FROM {source}) TO '{target}' ({options})")
        sync(target)

    return timed(ThisProcess(), work)


def duckdb_load(source, database):
    """CSV to a table of a new, durable database file; answers the table's fingerprint."""
    pathlib.Path(database).unlink(missing_ok=True)
    connection = duckdb.connect(database, config={"preserve_insertion_order": "false"})

    def work():
        connection.execute(f"CREATE TABLE loaded AS SELECT * FROM {source}")
        connection.execute("CHECKPOINT")
        sync(database)

    run = timed(ThisProcess(), work)
    (run.answer,) = connection.execute(lineitem.FINGERPRINT + "loaded").fetchall()
    return run


def polars_import(source, target):
    """CSV to a durable Parquet file, compressed as the table's files are."""
    types = {"BIGINT": polars.Int64, "INTEGER": polars.Int32, "DOUBLE": polars.Float64, "VARCHAR": polars.String,
             "DATE": polars.Date}
    schema = {name: types[ty] for name, _, ty in lineitem.COLUMNS}

    def work():
        polars.scan_csv(source, schema=schema).sink_parquet(target, compression="zstd")
        sync(target)

    return timed(ThisProcess(), work)


def duckdb_query(files, statement, times, emulator=None):
    """A statement on Parquet files, once to warm up and then timed."""
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW lineitem AS FROM {read_parquet(files)}")
    work = lambda: connection.execute(statement).fetchall()
    work()
    run = timed(ThisProcess(), work, times, emulator)
    run.answer = rounded(run.answer)
    return run


def duckdb_bucket_query(facts, folder, statement, times, emulator):
    """A statement on the Parquet files of a folder of a bucket, once to warm up and then timed. Its DuckDB has httpfs."""
    connection = duckdb.connect()
    extensions = importlib.resources.files("duckdb_extension_httpfs") / "extensions"
    connection.execute(f"LOAD '{extensions / f'v{duckdb.__version__}' / 'httpfs.duckdb_extension'}'")
    endpoint = facts["S3_ENDPOINT"].removeprefix("http://")
    connection.execute(f"""CREATE SECRET (TYPE s3, KEY_ID '{facts["S3_KEY"]}', SECRET '{facts["S3_SECRET"]}',
        ENDPOINT '{endpoint}', URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')""")
    connection.execute(f"CREATE VIEW lineitem AS FROM read_parquet('s3://{facts['S3_BUCKET']}/{folder}/*.parquet')")
    work = lambda: connection.execute(statement).fetchall()
    work()
    run = timed(ThisProcess(), work, times, emulator)
    run.answer = rounded(run.answer)
    return run


def version_with_buckets():
    (found,) = distributions(name="duckdb", path=[str(folder) for folder in WITH_BUCKETS])
    return found.version


def write_many(folder, files, rows):
    """Parquet files of rows with ids that go on from file to file; answers their sizes."""
    folder.mkdir()
    for file in range(files):
        ids = polars.Series("id", range(file * rows, (file + 1) * rows))
        values = (ids * 2654435761 % 1_000_003).alias("value")
        polars.DataFrame([ids, values]).write_parquet(folder / f"{file:05}.parquet")
    return [path.stat().st_size for path in folder.iterdir()]


def polars_query(files, statement, times):
    context = polars.SQLContext(lineitem=polars.scan_parquet(files))
    work = lambda: context.execute(statement).collect().rows()
    work()
    run = timed(ThisProcess(), work, times)
    run.answer = rounded(run.answer)
    return run


def rounded(rows):
    """Rows whose floating-point sums do not depend on the order of adding."""
    return sorted(tuple(to_9_digits(value) for value in row) for row in rows)


def to_9_digits(value):
    is_number = isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool)
    return float(f"{float(value):.9g}") if is_number else value
