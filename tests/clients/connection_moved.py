# flags: --insecure
"""Connections that are led to another place: what is told of all that follows them there."""

import os
import pathlib

import psycopg

connection = psycopg.connect(autocommit=True)
told = []
connection.add_notice_handler(lambda notice: told.append((notice.severity, notice.message_primary, notice.message_hint)))


def expect(statement, *notices):
    told.clear()
    connection.execute(statement)
    assert told == list(notices), (statement, told)


def led(name, *followers):
    message = f'external connection "{name}" leads to another place, and with it {", ".join(followers)}'
    return "NOTICE", message, "no file was moved"


folder = pathlib.Path(os.environ["TEST_EXTERN"]) / "moved"
(folder / "in").mkdir(parents=True)

expect("CREATE EXTERNAL CONNECTION c AS 'nodelocal://1/moved'")
expect("ALTER EXTERNAL CONNECTION c AS 'nodelocal://1/elsewhere'")
expect("ALTER EXTERNAL CONNECTION c AS 'nodelocal://1/moved'")
expect("CREATE STAGE beside URL = 'fs:///moved/'")
expect("CREATE STAGE s URL = 'external://c/in/'")
expect("CREATE STAGE t URL = 'external://c/'")
# The same place in other words.
expect("ALTER EXTERNAL CONNECTION c AS 'nodelocal://self/moved/'")
expect("ALTER EXTERNAL CONNECTION c AS 'nodelocal://1/elsewhere'", led("c", "stage s", "stage t"))
expect("CREATE DATABASE d WITH LOCATION = 'external://c/d'")
expect("ALTER EXTERNAL CONNECTION c AS 'nodelocal://1/moved'", led("c", "database d", "stage s", "stage t"))

# Buckets: neither other keys nor another form of the same endpoint are another place.
keys = "AWS_ACCESS_KEY_ID={}&AWS_SECRET_ACCESS_KEY=s&AWS_REGION=r&AWS_ENDPOINT={}"
alter = "ALTER EXTERNAL CONNECTION b AS 's3://{}/x?" + keys + "' WITH (VALIDATE = false)"
expect("CREATE EXTERNAL CONNECTION b AS 's3://lake/x?" + keys.format("k", "http://127.0.0.1:9") + "' WITH (VALIDATE = false)")
expect("CREATE STAGE of_b URL = 'external://b/'")
expect(alter.format("lake", "rotated", "http://127.0.0.1:9"))
expect(alter.format("lake", "rotated", "http://127.0.0.1:9/"))
expect(alter.format("other", "rotated", "http://127.0.0.1:9"), led("b", "stage of_b"))
expect(alter.format("other", "rotated", "http://127.0.0.1:8"), led("b", "stage of_b"))
expect("CREATE OR REPLACE CONNECTION b STORAGE_TYPE = 's3' ACCESS_KEY_ID = 'k' SECRET_ACCESS_KEY = 's' "
       "ENDPOINT_URL = 'http://127.0.0.1:8' REGION = 'r'", led("b", "stage of_b"))
expect("CREATE OR REPLACE CONNECTION b STORAGE_TYPE = 's3' ACCESS_KEY_ID = 'k2' SECRET_ACCESS_KEY = 's2' "
       "ENDPOINT_URL = 'http://127.0.0.1:8' REGION = 'r'")
