# flags: --insecure
# peer: s3
"""A connection is altered again and again under load: every operation sees the old or the new options, and none fails."""

import os
import threading

import psycopg

base = (f"?AWS_ACCESS_KEY_ID={os.environ['S3_KEY']}&AWS_SECRET_ACCESS_KEY={os.environ['S3_SECRET']}"
        f"&AWS_ENDPOINT={os.environ['S3_ENDPOINT']}&AWS_REGION=us-east-1")
buckets = (os.environ["S3_BUCKET"], os.environ["S3_OTHER_BUCKET"])
done = threading.Event()
failures = []
runs = 0


def use(number):
    global runs
    with psycopg.connect(autocommit=True) as connection:
        while not done.is_set():
            try:
                connection.execute(f"EXPORT INTO CSV 'external://rotating/{number}' FROM SELECT 1, 'x'")
                connection.execute("CHECK EXTERNAL CONNECTION 'external://rotating' WITH TRANSFER = '1KiB'")
                runs += 1
            except psycopg.Error as error:
                failures.append(error)
                return


with psycopg.connect(autocommit=True) as connection:
    connection.execute(f"CREATE EXTERNAL CONNECTION rotating AS 's3://{buckets[0]}/rotation{base}'")
    users = [threading.Thread(target=use, args=(number,)) for number in range(3)]
    for user in users:
        user.start()
    for turn in range(20):
        connection.execute(f"ALTER EXTERNAL CONNECTION rotating AS 's3://{buckets[turn % 2]}/rotation{base}'")
    done.set()
    for user in users:
        user.join()
assert not failures, failures
assert runs > 5, runs
print(f"{runs} runs")
