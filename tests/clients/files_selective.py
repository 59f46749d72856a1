# flags: --insecure
"""A query that has use for few of a thousand files in a bucket, and for little of each, asks the bucket for little."""

import io
import threading

import numpy
import psycopg
import pyarrow
from pyarrow import parquet

from peers.bucket import Bucket

FILES, GROUPS, ROWS = 1000, 8, 1024
FILE_ROWS = GROUPS * ROWS
# Of all bytes, the footers included.
SHARE_MAX = 0.05
# Footers that are read at the same time, at least.
AT_ONCE_MIN = 32

dice = numpy.random.default_rng(5)
NOISE = pyarrow.py_buffer(dice.bytes(FILE_ROWS * 32))


def content(number, codec="none"):
    """About 400 KB of rows that no codec makes smaller, ordered by their key, in row groups with an index of pages."""
    first = number * FILE_ROWS
    table = pyarrow.table({
        "key": numpy.arange(first, first + FILE_ROWS),
        "value": numpy.arange(first, first + FILE_ROWS)[::-1] * 7,
        "noise": pyarrow.Array.from_buffers(pyarrow.binary(32), FILE_ROWS, [None, NOISE]),
    })
    out = io.BytesIO()
    index = {"write_page_index": number % 2 == 0}
    parquet.write_table(table, out, row_group_size=ROWS, use_dictionary=False, compression=codec, **index)
    return out.getvalue()


bucket = Bucket({f"rows/part-{number:04}.parquet": content(number) for number in range(FILES)})
total = sum(map(len, bucket.files.values()))
assert FILES * (256 << 10) < total < FILES << 20, total
met = threading.Barrier(AT_ONCE_MIN)
waiting = iter(range(AT_ONCE_MIN))


def together(_):
    """The first requests wait for each other, and fail if they do not come together."""
    with bucket.lock:
        is_first = next(waiting, None) is not None
    if is_first:
        met.wait(30)


bucket.before_file = together
with psycopg.connect(autocommit=True) as connection:
    connection.execute(f"""CREATE STAGE rows URL = 's3://bucket/rows/' CONNECTION = (ENDPOINT_URL = '{bucket.endpoint}'
        ACCESS_KEY_ID = 'any' SECRET_ACCESS_KEY = 'any' REGION = 'us-east-1')""")

    def share(query, expected):
        """The part of all bytes that is read for a query."""
        served, requests = bucket.served_bytes, bucket.requests
        found = connection.execute(query).fetchall()
        assert found == expected, found
        part = (bucket.served_bytes - served) / total
        print(f"{part:.2%} in {bucket.requests - requests} requests: {query}")
        return part

    # One row of one file, after the footers of all.
    key = 777 * FILE_ROWS + 3 * ROWS + 5
    assert share(f"SELECT count(noise), max(key) FROM @rows WHERE key = {key}", [(1, key)]) < SHARE_MAX
    assert met.broken is False and next(waiting, None) is None
    # One row group of every hundredth file; footers are known by now.
    keys = ", ".join(str(number * FILE_ROWS + 1) for number in range(0, FILES, 100))
    assert share(f"SELECT count(noise) FROM @rows WHERE key IN ({keys})", [(10,)]) < SHARE_MAX / 10
    # The first rows of the last file.
    least = (FILES - 1) * FILE_ROWS
    assert share(f"SELECT count(*) FROM @rows WHERE key BETWEEN {least} AND {least + 9}", [(10,)]) < SHARE_MAX / 10
    # What footers tell.
    told = [(FILES * FILE_ROWS, 0, FILES * FILE_ROWS - 1)]
    assert share("SELECT count(*), min(key), max(key) FROM @rows", told) < SHARE_MAX
    # What has been read is known, until the file is another one.
    again = f"SELECT count(noise), max(key) FROM @rows WHERE key = {key}"
    assert share(again, [(1, key)]) == 0
    with bucket.lock:
        bucket.files["rows/part-0777.parquet"] = content(779, "snappy")
    assert 0 < share(again, [(0, None)]) < SHARE_MAX / 10
