# flags: --insecure
# peer: s3
# peer: sts
"""Buckets with keys that no path can hold: what lists and reads the others tells of them, and goes on."""

import json
import os
import pathlib
import subprocess

import psycopg

# Keys in buckets of servers that keep them as they are, and how messages spell the odd ones.
ODD = {"tab\tc.csv": r'"{}tab\tc.csv"', "line\nc.csv": r'"{}line\nc.csv"', "p//q.csv": '"{}p//q.csv"', "../up.csv": '"{}../up.csv"'}
SERVERS = {"S3": ["tab\tc.csv", "line\nc.csv"], "STS": ["tab\tc.csv", "p//q.csv", "../up.csv"]}
PUT = """
import json, os, sys, boto3
server, keys = json.loads(sys.argv[1])
known = server == "STS"
key, secret, token = (os.environ.get(f"{server}_{'SESSION_' if known else ''}{name}") for name in ("KEY", "SECRET", "TOKEN"))
store = boto3.client("s3", endpoint_url=os.environ[f"{server}_ENDPOINT"], region_name="us-east-1", aws_access_key_id=key,
                     aws_secret_access_key=secret, aws_session_token=token if known else None)
for key in keys:
    store.put_object(Bucket=os.environ[f"{server}_BUCKET"], Key=key, Body=b"1,one\\n")
"""

connection = psycopg.connect(autocommit=True)
told = []
connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
connection.execute("CREATE TABLE t (a INT, b STRING)")


def expect(statement, rows, *notices):
    told.clear()
    cursor = connection.execute(statement)
    assert (cursor.fetchall() if cursor.description else None, told) == (rows, list(notices)), (statement, told)


for server, odd in SERVERS.items():
    folder = f"odd-{os.getpid()}/"
    plain = [f"{folder}in/{name}.csv" for name in ("a", "b")]
    python = pathlib.Path(os.environ["TEST_PEERS"]) / "aws/bin/python"
    keys = plain + [f"{folder}in/{name}" for name in odd]
    subprocess.run([python, "-c", PUT, json.dumps([server, keys])], check=True)
    session = "SESSION_" if server == "STS" else ""
    token = f"SESSION_TOKEN = '{os.environ['STS_SESSION_TOKEN']}'" if session else ""
    connection.execute(f"""CREATE OR REPLACE STAGE s URL = 's3://{os.environ[f"{server}_BUCKET"]}/{folder}'
        CONNECTION = (ENDPOINT_URL = '{os.environ[f"{server}_ENDPOINT"]}' REGION = 'us-east-1' {token}
        ACCESS_KEY_ID = '{os.environ[f"{server}_{session}KEY"]}' SECRET_ACCESS_KEY = '{os.environ[f"{server}_{session}SECRET"]}') FILE_FORMAT = (TYPE = CSV)""")
    spelled = ", ".join(ODD[name].format("in/") for name in sorted(odd))
    passed_over = f"passed over {len(odd)} files in @s/in/: {spelled}"
    names = [(name.removeprefix(folder),) for name in plain]
    expect("SELECT name FROM [LIST @s/in/] ORDER BY 1", names, passed_over)
    expect("SELECT $2 FROM @s/in/", [("one",), ("one",)], passed_over)
    expect("SELECT $2 FROM @s/in/a", [("one",)])
    expect("SELECT $2 FROM @s/in/ (FILES => ('a.csv'))", [("one",)])
    connection.execute("TRUNCATE t")
    expect("COPY INTO t FROM @s/in/ PATTERN = 'a.*'", [("in/a.csv", 1, 0, None, None)], passed_over)
    expect("REMOVE @s/in/", None, passed_over)
    expect("LIST @s/in/", [], passed_over)
