# flags: --insecure
# peer: s3
"""Readers loop over files in place, in a stage and by URI, while the key of their connection changes a hundred times."""

import os
import threading

import psycopg

KEYS = [(os.environ[f"S3_{name}KEY"], os.environ[f"S3_{name}SECRET"]) for name in ("", "NEXT_")]
SOURCES = ("@rotating/", "'external://rotating/'", "@rotating/rows (PATTERN => '.*parquet')")
FILES, ROWS = 4, 1000
done = threading.Event()
failures = []
runs = [0] * len(SOURCES)


def uri(turn):
    key, secret = KEYS[turn % 2]
    return (f"s3://{os.environ['S3_BUCKET']}/in-place-{os.getpid()}?AWS_ACCESS_KEY_ID={key}&AWS_SECRET_ACCESS_KEY={secret}"
            f"&AWS_ENDPOINT={os.environ['S3_ENDPOINT']}&AWS_REGION=us-east-1")


def read(number):
    with psycopg.connect(autocommit=True) as connection:
        while not done.is_set():
            try:
                query = f"SELECT count(*), sum(n), max(length(word)) FROM {SOURCES[number]}"
                row = connection.execute(query).fetchone()
                assert row == (FILES * ROWS, FILES * ROWS * (ROWS + 1) // 2, 6), row
                runs[number] += 1
            except (psycopg.Error, AssertionError) as error:
                failures.append(error)
                return


with psycopg.connect(autocommit=True) as connection:
    connection.execute(f"CREATE EXTERNAL CONNECTION rotating AS '{uri(0)}'")
    connection.execute("CREATE STAGE rotating URL = 'external://rotating/'")
    for file in range(FILES):
        connection.execute(f"""EXPORT INTO PARQUET 'external://rotating/rows-{file}'
            FROM SELECT n, 'word' || (n % 10) || '.' AS word FROM generate_series(1, {ROWS}) AS n""")
    readers = [threading.Thread(target=read, args=(number,)) for number in range(len(SOURCES))]
    for reader in readers:
        reader.start()
    for turn in range(1, 101):
        connection.execute(f"ALTER EXTERNAL CONNECTION rotating AS '{uri(turn)}'")
    done.set()
    for reader in readers:
        reader.join()
assert not failures, failures
assert min(runs) > 2, runs
print(f"{runs} queries")
