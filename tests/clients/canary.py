# flags: --insecure --log trace
# peer: s3
# log: .*
"""Plants a secret of its own wherever one can be written, then looks for them in everything the server gives or keeps.

The only places where a secret may be: SHOW CREATE for its owner, and the sealed column of the catalog, where it is encrypted.
"""

import base64
import os
import pathlib
import secrets
import threading
import time
import urllib.parse
import urllib.request

import psycopg

PLANTED = {}
SEEN = []
endpoint, bucket = os.environ["S3_ENDPOINT"], os.environ["S3_BUCKET"]
key, real_secret = os.environ["S3_KEY"], os.environ["S3_SECRET"]
DEAD = "http://127.0.0.1:9"


def plant(where):
    """A secret that no other place holds, with characters that change when they are escaped."""
    secret = f"Canary+{secrets.token_hex(6)}/{len(PLANTED)}="
    PLANTED[secret] = where
    return secret


def quoted(text):
    return urllib.parse.quote(text, safe="")


def remember(where, value):
    SEEN.append((where, str(value)))


def told(error):
    """What the server said; the error's own text quotes the statement that the client sent."""
    fields = ("message_primary", "message_detail", "message_hint", "context", "internal_query", "column_name", "constraint_name")
    return [getattr(error.diag, name) for name in fields]


def run(connection, statement, parameters=None):
    """Runs a statement that may fail; keeps all that the client was told."""
    try:
        cursor = connection.execute(statement, parameters)
        remember(statement[:40], [column.name for column in cursor.description or []])
        if cursor.description:
            remember(statement[:40], cursor.fetchall())
    except psycopg.Error as error:
        remember(statement[:40], told(error))


def s3(host, secret, **more):
    options = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "us-east-1", **more}
    return f"s3://{host}/p?" + "&".join(f"{name}={quoted(value)}" for name, value in options.items())


def uris(where):
    """URIs of every kind with secrets in all their slots; each call plants new ones."""
    p = lambda slot: plant(f"{where}: {slot}")
    yield s3("bucket", p("s3 secret key"), AWS_SESSION_TOKEN=p("s3 session token"), AWS_ENDPOINT=DEAD)
    yield s3(bucket, p("s3 secret key, refused by the server"), AWS_ENDPOINT=endpoint)
    yield s3(bucket, p("s3 secret key, raw")) .replace("%2B", "+").replace("%2F", "/").replace("%3D", "=") + f"&AWS_ENDPOINT={endpoint}"
    yield s3(bucket, p("s3 secret key of the real key"), AWS_ACCESS_KEY_ID=key, AWS_ENDPOINT=endpoint)
    role = "arn:aws:iam::123456789012:role/x;external_id=" + p("external id")
    yield s3("bucket", p("s3 secret key with role"), ASSUME_ROLE=role + ",arn:aws:iam::123456789012:role/y;external_id=" + p("second external id"), AWS_ENDPOINT=DEAD)
    yield s3("bucket", p("s3 secret key beside an unknown parameter"), NONSENSE=p("value of an unknown parameter"))
    yield s3("bucket", p("secret key with a wrong endpoint"), AWS_ENDPOINT="http://user:" + quoted(p("endpoint password")) + "@127.0.0.1:9")
    yield "s3://bucket?aws_secret_access_key=" + quoted(p("lower-case parameter"))
    yield "s3://bucket?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=" + quoted(p("repeated")) + "&AWS_SECRET_ACCESS_KEY=" + quoted(p("repeated again"))
    yield "s3://user:" + quoted(p("s3 user-info")) + "@bucket/p?AUTH=implicit"
    yield "http://user:" + quoted(p("http password")) + "@127.0.0.1:9/f.csv?token=" + quoted(p("http query"))
    yield "https://user:" + quoted(p("https password")) + "@127.0.0.1:9/f.csv"
    yield "nodelocal://1/f.csv?AWS_SECRET_ACCESS_KEY=" + quoted(p("parameter of another kind"))
    yield "nodelocal://user:" + quoted(p("nodelocal user-info")) + "@1/f.csv"
    yield "ftp://user:" + quoted(p("password of an unknown scheme")) + "@host/f.csv?k=" + quoted(p("query of an unknown scheme"))
    yield "external://missing?AWS_SECRET_ACCESS_KEY=" + quoted(p("parameter of a reference"))
    yield "kafka://broker?sasl_password=" + quoted(p("later kind"))
    yield "s3://bucket?AWS_SECRET_ACCESS_KEY=%zz" + p("bad escape")


def option_lists(where):
    """Databend's lists of options with secrets in all their slots; each call plants new ones."""
    p = lambda slot: plant(f"{where}: {slot}")
    keys = lambda: f"ACCESS_KEY_ID='key' SECRET_ACCESS_KEY='{p('secret_access_key')}'"
    yield f"STORAGE_TYPE='s3' {keys()} SESSION_TOKEN='{p('session_token')}' ENDPOINT_URL='{DEAD}'"
    yield f"STORAGE_TYPE='s3' {keys()} ROLE_ARN='arn:aws:iam::1:role/x' EXTERNAL_ID='{p('external_id')}' REGION='us-east-1'"
    yield f"STORAGE_TYPE='s3' AWS_KEY_ID='key' AWS_SECRET_KEY='{p('aws_secret_key')}' SECRET_ACCESS_KEY='{p('name beside its alias')}'"
    yield f"STORAGE_TYPE='s3' {keys()} SECRET_ACCESS_KEY='{p('repeated')}'"
    yield f"STORAGE_TYPE='s3' {keys()} SECRET_KEY='{p('unknown name')}'"
    yield f"STORAGE_TYPE='s3' {keys()} ENDPOINT_URL='http://user:{p('password of an endpoint')}@127.0.0.1:9'"
    yield f"STORAGE_TYPE='s3' EXTERNAL_ID='{p('external_id without a role')}'"
    yield f"STORAGE_TYPE='s4' SECRET_ACCESS_KEY='{p('unknown type')}'"
    yield f"STORAGE_TYPE='fs' TOKEN='{p('parameter of another type')}'"
    yield f"STORAGE_TYPE='aws-kms' KEY='k' REGION='us-east-1' {keys()}"


def statements_of_options(where):
    """Every statement that takes a list of options, with and without success."""
    for number, options in enumerate(option_lists(where + ", create")):
        yield f"CREATE CONNECTION d{number} {options}"
    for number, options in enumerate(option_lists(where + ", create unchecked")):
        yield f"CREATE CONNECTION v{number} {options} WITH (VALIDATE = false)"
    for options in option_lists(where + ", replace"):
        yield f"CREATE OR REPLACE CONNECTION v0 {options}"
    for options in option_lists(where + ", wrong syntax"):
        yield f"CREATE CONNECTION w {options.replace('=', ' ')}"
        yield f"CREATE CONNECTION w {options}, X='y'"
        yield f"CREATE CONNECTION w {options}'"
        yield f"CREATE OR REPLACE CONNECTION IF NOT EXISTS w {options}"
    bare = plant(where + ": value without quotes")
    yield f"CREATE CONNECTION w STORAGE_TYPE='s3' SECRET_ACCESS_KEY={bare}"
    yield f"CREATE CONNECTION w STORAGE_TYPE='s3' SECRET_ACCESS_KEY={bare[len('Canary+'):].split('/')[0]}"


def statements(where):
    """Every statement that takes a URI or a list of options, with and without success."""
    yield from statements_of_options(where)
    for number, uri in enumerate(uris(where + ", create")):
        yield f"CREATE EXTERNAL CONNECTION c{number} AS '{uri}'"
    for number, uri in enumerate(uris(where + ", create unchecked")):
        yield f"CREATE EXTERNAL CONNECTION u{number} AS '{uri}' WITH (VALIDATE = false)"
    for uri in uris(where + ", alter"):
        yield f"ALTER EXTERNAL CONNECTION u0 AS '{uri}'"
    for uri in uris(where + ", import"):
        yield f"IMPORT INTO t CSV DATA ('{uri}')"
    for uri in uris(where + ", export"):
        yield f"EXPORT INTO CSV '{uri}' FROM TABLE t"
    for uri in uris(where + ", check"):
        yield f"CHECK EXTERNAL CONNECTION '{uri}'"
    for uri in uris(where + ", location"):
        yield f"CREATE DATABASE d WITH LOCATION = '{uri}'"
    for uri in uris(where + ", wrong syntax"):
        yield f"CREATE EXTERNAL CONNECTION w IS '{uri}'"
        yield f"CREATE EXTERNAL CONNECTION w AS '{uri}' WITH NONSENSE"
        yield f"CREATE EXTERNAL CONNECTION w AS '{uri}"
        yield f"IMPORT INTO t CSV DATA '{uri}'"
        yield f"IMPORT INTO t CSV DATA ('{uri}') WITH nonsense = 'x'"
        yield f"CHECK EXTERNAL CONNECTON '{uri}'"
    name = where.replace(" ", "_")
    yield f"CREATE USER {name} WITH PASSWORD '{plant(where + ': password')}'"
    yield f"CREATE USER {name} WITH PASSWORD '{plant(where + ': password of a duplicate')}'"
    yield f"ALTER USER {name} WITH PASSWORD '{plant(where + ': new password')}'"
    yield f"CREATE USER other WITH PASWORD '{plant(where + ': password after a typo')}'"
    yield f"ALTER USER nobody WITH PASSWORD '{plant(where + ': password of nobody')}'"


SHOWS = ["SHOW EXTERNAL CONNECTIONS", "SHOW CONNECTIONS", "SHOW JOBS", "SHOW USERS", "SHOW ROLES", "SHOW GRANTS", "SHOW SYSTEM GRANTS", "SHOW ALL",
         "SHOW CLUSTER SETTINGS", "SHOW DATABASES", "SHOW TABLES", "SELECT * FROM pg_catalog.pg_stat_activity",
         "SELECT * FROM pg_catalog.pg_roles", "SELECT * FROM pg_catalog.pg_shadow", "SELECT * FROM pg_catalog.pg_authid",
         "SELECT * FROM pg_catalog.pg_prepared_statements", "SELECT * FROM pg_catalog.pg_settings", "SHOW USERFILES"]


def spellings(secret):
    raw = secret.encode()
    core = secret[len("Canary+"):-1].encode()
    yield from (raw, core, quoted(secret).encode(), quoted(secret).lower().encode(), raw.hex().encode(), raw.hex().upper().encode())
    # Base64 of the middle at each of the three alignments.
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        yield encoded[4 if shift else 0:len(encoded) - 2]
    yield raw[::-1]


def search():
    places = [(where, text.encode()) for where, text in SEEN]
    places.append(("the log", pathlib.Path(os.environ["TEST_LOG"]).read_bytes()))
    home = pathlib.Path(os.environ["TEST_STORE"])
    places += [(str(path.relative_to(home)), path.read_bytes()) for path in home.rglob("*") if path.is_file()]
    hits = []
    for secret, planted in PLANTED.items():
        for spelling in spellings(secret):
            hits += [f"{planted}: found as {spelling} in {where}" for where, content in places if spelling in content]
    return places, hits


with psycopg.connect(autocommit=True) as connection:
    connection.add_notice_handler(lambda notice: remember("notice", notice.message_primary))
    connection.execute("CREATE TABLE t (a INT)")
    connection.execute("SET CLUSTER SETTING connection.check_timeout = '500ms'")
    for statement in statements("simple"):
        with psycopg.ClientCursor(connection) as cursor:
            try:
                cursor.execute(statement)
                remember(statement[:40], cursor.fetchall() if cursor.description else "")
            except psycopg.Error as error:
                remember(statement[:40], told(error))
    for statement in statements("prepared"):
        run(connection, statement.replace("%", "%%"), ())

    # As parameters.
    for number, uri in enumerate(uris("parameter")):
        run(connection, f"CREATE EXTERNAL CONNECTION q{number} AS %s", (uri,))
        run(connection, "ALTER EXTERNAL CONNECTION u0 AS %s", (uri,))
        run(connection, "IMPORT INTO t CSV DATA (%s)", (uri,))
        run(connection, "EXPORT INTO CSV %s FROM TABLE t", (uri,))
        run(connection, "CHECK EXTERNAL CONNECTION %s", (uri,))
    run(connection, "CREATE USER fromparameter WITH PASSWORD %s", (plant("parameter: password"),))

    # A connection that works, with a real job through it; its secret is planted as well.
    PLANTED[real_secret] = "the key that works"
    working = f"s3://{bucket}/canary?AWS_ACCESS_KEY_ID={key}&AWS_SECRET_ACCESS_KEY={quoted(real_secret)}&AWS_ENDPOINT={endpoint}"
    connection.execute("RESET CLUSTER SETTING connection.check_timeout")
    connection.execute(f"CREATE EXTERNAL CONNECTION working AS '{working}'")
    connection.execute("INSERT INTO t VALUES (1), (2)")
    run(connection, "EXPORT INTO CSV 'external://working/e' FROM TABLE t")
    run(connection, "IMPORT INTO t CSV DATA ('external://working/e/*')")
    run(connection, f"IMPORT INTO t CSV DATA ('{working.replace('canary', 'canary/e/*')}')")
    run(connection, f"IMPORT INTO t CSV DATA ('{working.replace('canary', 'canary/none.csv')}')")
    assert connection.execute("SHOW CREATE EXTERNAL CONNECTION working").fetchone()[1].endswith(f"AS '{working}'")

    # A session is cut while such a statement runs.
    cut = psycopg.connect(autocommit=True)
    waiting = threading.Thread(target=run, args=(cut, "CHECK EXTERNAL CONNECTION 'external://working' WITH TIME = '3s'"))
    waiting.start()
    time.sleep(0.3)
    for statement in SHOWS:
        run(connection, statement)
    cut.cancel_safe()
    waiting.join()

    for where, _ in list(connection.execute("SELECT connection_name, connection_uri FROM [SHOW EXTERNAL CONNECTIONS]")):
        run(connection, f"SHOW EXTERNAL CONNECTION \"{where}\"")
        run(connection, f"DESC CONNECTION \"{where}\"")
        run(connection, f"SHOW GRANTS ON CONNECTION \"{where}\"")
    for (job,) in connection.execute("SELECT job_id FROM [SHOW JOBS]").fetchall():
        run(connection, f"SHOW JOB {job}")
    run(connection, "DROP EXTERNAL CONNECTION working")

for page in ("metrics", "health"):
    remember(page, urllib.request.urlopen(f"http://{os.environ['TEST_HTTP']}/{page}").read().decode())

places, hits = search()
print(f"{len(PLANTED)} secrets, {len(places)} places, {sum(len(content) for _, content in places)} bytes")
assert not hits, "\n".join(hits[:400]) + f"\n{len(hits)} hits"
