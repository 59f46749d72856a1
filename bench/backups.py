"""What the lines of backups share: the database, statements, chains."""

import os
import shutil
from functools import cache

from bench.measure import timed
from bench.tools import SECRET

PASSPHRASE = f"encryption_passphrase = '{SECRET}'"
# Copies of lineitem in the database `big`: of about 1 GiB.
TABLES = 10


@cache
def big(bench):
    """Fills the database `big`; answers the names of its tables."""
    lineitem = bench.lineitem(bench.rows)
    tables = [f"big_{number}" for number in range(TABLES)]
    with bench.lakeport.connect() as connection:
        connection.execute("CREATE DATABASE big")
        for table in tables:
            connection.execute(f"CREATE TABLE big.{table} AS SELECT * FROM {lineitem}")
    return tables


def files_of(bench, tables):
    """The files that the tables consist of now."""
    return [file for table in tables for file in bench.lakeport.data_files(table)]


def size(files):
    return sum(os.path.getsize(file) for file in files)


def statement(bench, text):
    """The run of a BACKUP or RESTORE. Its `bytes` and `rows` are what the statement says it has copied."""
    with bench.lakeport.connect() as connection:
        run = timed(bench.lakeport.process, lambda: connection.execute(text).fetchone())
    _job, status, _fraction, run.rows, _entries, run.bytes = run.answer
    if status != "succeeded":
        raise RuntimeError(f"{text}: {status}")
    run.answer = None
    return run


def full(bench, targets, folder, key=None):
    """A full backup into a new collection, clear without a key."""
    shutil.rmtree(bench.data / folder, ignore_errors=True)
    return statement(bench, f"BACKUP {targets} INTO 'nodelocal://1/{folder}'" + (f" WITH {key}" if key else ""))


def layer(bench, targets, folder, key):
    """A layer on top of the newest chain."""
    return statement(bench, f"BACKUP {targets} INTO LATEST IN 'nodelocal://1/{folder}' WITH {key}")


def restored(bench, database, folder, key, keep=False):
    """The database comes back as `again`."""
    run = statement(bench, f"RESTORE DATABASE {database} FROM LATEST IN 'nodelocal://1/{folder}' WITH new_db_name = 'again', {key}")
    run.answer = run.bytes
    if not keep:
        drop(bench, "again")
    return run


def drop(bench, *databases):
    with bench.lakeport.connect() as connection:
        for database in databases:
            connection.execute(f"DROP DATABASE {database} CASCADE")


def insert(bench, table, rows):
    """Adds so many rows of lineitem to a table."""
    if rows:
        with bench.lakeport.connect() as connection:
            connection.execute(f"INSERT INTO {table} SELECT * FROM {bench.lineitem(bench.rows)} LIMIT {rows}")
