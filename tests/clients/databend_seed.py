# flags: --insecure
# peer: sts
# peer: oss
"""The second method of Databend's page on CREATE CONNECTION: ROLE_ARN alone, assumed with the server's own credentials;
and with those of Alibaba Cloud."""

import os
import signal
import subprocess
import tempfile
import urllib.parse

import psycopg

FACTS = {name: os.environ[f"STS_{name}"] for name in ("ENDPOINT", "BUCKET", "KEY", "SECRET", "ROLE", "GUARDED_ROLE", "EXTERNAL_ID")}
PLACE = f"s3://{FACTS['BUCKET']}/databend-{os.getpid()}/"
OSS = {name: urllib.parse.unquote(value) for name, value in os.environ.items() if name.startswith("OSS_")}


def started(store, *flags, **variables):
    command = [os.environ["TEST_BINARY"], "start", "--insecure", "--store", store, "--listen-addr", "127.0.0.1:0",
               "--http-addr", "127.0.0.1:0", *flags]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ALIBABA_"))}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**clean, **variables})
    line = server.stdout.readline()
    while not line.startswith("lakeport: ready"):
        assert line, "the server did not start"
        line = server.stdout.readline()
    return server, int(line.split("pg=")[1].split()[0].rpartition(":")[2])


def connection_of(name, role, more=""):
    return (f"CREATE OR REPLACE CONNECTION {name} STORAGE_TYPE = 's3' ROLE_ARN = '{role}' {more} "
            f"ENDPOINT_URL = '{FACTS['ENDPOINT']}' REGION = 'us-east-1'")


def refused(connection, statement, text):
    try:
        connection.execute(statement).fetchall()
    except psycopg.Error as error:
        assert error.sqlstate in ("28000", "42501") and text in str(error), (error.sqlstate, str(error))
        return
    raise AssertionError(f"{statement} was not refused")


def run(store, checks, *flags, **variables):
    server, port = started(store, *flags, **variables)
    try:
        with psycopg.connect(host="127.0.0.1", port=port, user="root", dbname="defaultdb", autocommit=True) as connection:
            checks(connection)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
    finally:
        server.kill()


def with_keys(connection):
    connection.execute(connection_of("databend_test", FACTS["ROLE"]))
    connection.execute(f"CREATE STAGE databend_test URL = '{PLACE}' CONNECTION = (CONNECTION_NAME = 'databend_test')")
    connection.execute("""COPY INTO @databend_test/test.parquet FROM (SELECT 7 AS id, 'seven' AS word)
        SINGLE = TRUE USE_RAW_PATH = TRUE INCLUDE_QUERY_ID = FALSE""")
    query = "SELECT * FROM @databend_test/test.parquet LIMIT 1"
    assert connection.execute(query).fetchall() == [(7, "seven")]
    # The role that wants an external id, with the right one and another.
    connection.execute(connection_of("guarded", FACTS["GUARDED_ROLE"], f"EXTERNAL_ID = '{FACTS['EXTERNAL_ID']}'"))
    assert connection.execute(f"SELECT word FROM '{PLACE}test.parquet' (CONNECTION => (CONNECTION_NAME = 'guarded'))").fetchall() == [("seven",)]
    connection.execute(connection_of("guarded", FACTS["GUARDED_ROLE"], "EXTERNAL_ID = 'another'"))
    refused(connection, f"SELECT word FROM '{PLACE}test.parquet' (CONNECTION => (CONNECTION_NAME = 'guarded'))", "cannot assume role")
    # The server's keys are for roles only: without one a connection has none.
    connection.execute(f"CREATE CONNECTION bare STORAGE_TYPE = 's3' ENDPOINT_URL = '{FACTS['ENDPOINT']}' REGION = 'us-east-1'")
    # The simulator breaks at requests without keys, so that it cannot be asked.
    assert "AUTH=anonymous" in connection.execute("SHOW EXTERNAL CONNECTION bare").fetchone()[1]


def with_keys_of_alibaba(connection):
    def connect(role):
        connection.execute(f"""CREATE OR REPLACE CONNECTION aliyun STORAGE_TYPE = 'oss' ENDPOINT_URL = '{OSS["OSS_ENDPOINT"]}'
            REGION = '{OSS["OSS_REGION"]}' ROLE_ARN = '{OSS[f"OSS_{role}_ROLE"]}'""")

    connect("PLAIN")
    connection.execute(f"CREATE STAGE vault URL = 'external://aliyun/{OSS['OSS_VAULT_BUCKET']}/databend-{os.getpid()}/'")
    connection.execute("COPY INTO @vault/t FROM (SELECT 7 AS id, 'seven' AS word)")
    query = "SELECT word FROM @vault/t/"
    assert connection.execute(query).fetchall() == [("seven",)]
    # The stage follows the connection: to keys for one request each, and to a role that does not trust the server.
    connect("FLEETING")
    assert connection.execute(query).fetchall() == [("seven",)]
    connect("GUARDED")
    refused(connection, query, f"cannot assume role {OSS['OSS_GUARDED_ROLE']}: NoPermission")


def switched_off(connection):
    refused(connection, "SELECT * FROM @databend_test/test.parquet LIMIT 1", "implicit")
    refused(connection, "SELECT * FROM @vault/t/", "implicit credentials disallowed for oss")


with tempfile.TemporaryDirectory() as store:
    keys = {"AWS_ACCESS_KEY_ID": FACTS["KEY"], "AWS_SECRET_ACCESS_KEY": FACTS["SECRET"],
            "ALIBABA_CLOUD_ACCESS_KEY_ID": OSS["OSS_KEY"], "ALIBABA_CLOUD_ACCESS_KEY_SECRET": OSS["OSS_SECRET"]}
    run(store, with_keys, **keys)
    run(store, with_keys_of_alibaba, **keys)
    run(store, switched_off, "--external-io-disable-implicit-credentials", **keys)
