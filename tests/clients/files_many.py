# flags: --insecure
"""Very many files of a bucket: listed and removed page by page, in little memory, and given up in the middle."""

import os
import re
import threading
import urllib.request

import psycopg
from psycopg.errors import QueryCanceled

from peers.bucket import PAGE, Bucket

FILES = 100_000
# Beside what the server has before; the names alone would be more than 20 MiB, and each takes its place several times.
GROWTH_MIB_MAX = 16


def resident_mib():
    page = urllib.request.urlopen(f"http://{os.environ['TEST_HTTP']}/metrics").read().decode()
    return float(re.search(r"^process_resident_memory_bytes (\S+)", page, re.M)[1]) / (1 << 20)


def listed(connection):
    """The number of files, told as they come, and what the server has taken for it at most, in MiB."""
    count, most = 0, 0
    before = resident_mib()
    for count, _ in enumerate(connection.cursor().stream("LIST @many"), 1):
        if count % (20 * PAGE) == 1:
            most = max(most, resident_mib())
    return count, most - before


bucket = Bucket({f"logs/{number:08}-{'x' * 200}.csv": b"1\n" for number in range(FILES)})
# What is beside the stage's folder is none of its files.
bucket.files["logs-old/kept.csv"] = b"1\n"
with psycopg.connect(autocommit=True) as connection, psycopg.connect(autocommit=True) as other:
    connection.execute(f"""CREATE STAGE many URL = 's3://bucket/logs/' CONNECTION = (ENDPOINT_URL = '{bucket.endpoint}'
        ACCESS_KEY_ID = 'any' SECRET_ACCESS_KEY = 'any' REGION = 'us-east-1')""")
    for _ in range(2):
        pages_before = bucket.listed
        count, growth = listed(connection)
        assert count == FILES and bucket.listed - pages_before == FILES, (count, bucket.listed)
        print(f"listing {count} files took {growth:.1f} MiB")
    assert growth < GROWTH_MIB_MAX, growth
    # Given up while files go: those that are left are there, and another REMOVE takes them.
    begun, resumed = threading.Event(), threading.Event()

    def hold(number):
        if number > 10:
            begun.set()
            assert resumed.wait(120)

    bucket.before_deletion = hold
    outcome = []

    def remove():
        try:
            connection.execute("REMOVE @many")
        except psycopg.Error as error:
            outcome.append(error)

    remover = threading.Thread(target=remove)
    remover.start()
    assert begun.wait(60), outcome
    connection.cancel()
    remover.join()
    assert len(outcome) == 1 and isinstance(outcome[0], QueryCanceled), outcome
    resumed.set()
    left = other.execute("SELECT count(*) FROM [LIST @many]").fetchone()[0]
    assert 0 < left < FILES, left
    other.execute("REMOVE @many")
    assert other.execute("SELECT count(*) FROM [LIST @many]").fetchone() == (0,)
    assert list(bucket.files) == ["logs-old/kept.csv"], len(bucket.files)
