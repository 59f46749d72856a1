# flags: --insecure
# peer: s3
# log: tried again|waits until its connection is altered
"""A token that expires in the middle of BACKUP, RESTORE or EXPORT: it is rotated, and the same work goes on with what it has."""

import collections
import os
import re
import threading

import psycopg

from faults.lakeport import refusal, until
from faults.proxy import FaultProxy, Rule

# Each table has one file, and that is a pack of its own.
TABLES, ROWS, ROW_BYTES = 5, 600, 60_000
# Packs that are made at a time: one more than there are cores.
WORKERS = os.cpu_count() + 1
# Parts of an exported file that are under way at a time.
EXPORT_PARTS = 4
proxy = FaultProxy(os.environ["S3_ENDPOINT"])
TOKENS = {name: (os.environ[f"S3_{name}KEY"], os.environ[f"S3_{name}SECRET"]) for name in ("", "NEXT_")}


def uri(name, endpoint=None, folder="rotation"):
    key, secret = TOKENS[name]
    return (f"s3://{os.environ['S3_BUCKET']}/{folder}-{os.getpid()}?AWS_ACCESS_KEY_ID={key}"
            f"&AWS_SECRET_ACCESS_KEY={secret}&AWS_ENDPOINT={endpoint or proxy.endpoint}&AWS_REGION=us-east-1")


def expire(name, after, method="", path=""):
    """From then on the bucket knows no such token, as S3 puts it."""
    proxy.use(Rule("refuse", 400, code="ExpiredToken", head=f"Credential={TOKENS[name][0]}/", after=after,
                   method=method, path=path))
    return proxy.rules[0]


def known_again(connection):
    """The first token is taken once more."""
    proxy.use()
    connection.execute(f"ALTER EXTERNAL CONNECTION lake AS '{uri('')}'")


def fill(connection):
    for number in range(TABLES):
        connection.execute(f"CREATE TABLE d.t{number} (a INT8, b BYTES)")
        with connection.cursor().copy(f"COPY d.t{number} FROM STDIN WITH (FORMAT binary)") as copy:
            copy.set_types(["int8", "bytea"])
            for row in range(ROWS):
                copy.write_row((row, os.urandom(ROW_BYTES)))


def status(connection, job):
    return connection.execute(f"SELECT status, running_status, fraction_completed FROM [SHOW JOB {job}]").fetchone()


def rotated(connection, statement, new, rule):
    """Runs a statement whose token expires on the way; answers the job that went on to its end."""
    (job,) = connection.execute(f"{statement}, detached" if "WITH" in statement else f"{statement} WITH detached").fetchone()
    until("the token is refused", lambda: rule.done > 0 and "ExpiredToken" in (status(connection, job)[1] or ""))
    state, shown, _ = status(connection, job)
    assert state == "running" and "external://lake" in shown, (state, shown)
    assert shown.startswith("waiting for ALTER EXTERNAL CONNECTION" if statement.startswith("BACKUP") else "trying again"), shown
    connection.execute(f"ALTER EXTERNAL CONNECTION lake AS '{new}'")
    until("the job ends", lambda: status(connection, job)[0] not in ("running", "pending"), 120)
    assert status(connection, job)[0] == "succeeded", status(connection, job)
    return job


def sent():
    """How often each part was sent, refused or not."""
    paths = [path for method, path in proxy.requests if method == "PUT" and "partNumber" in path]
    return collections.Counter((path.split("?")[0], re.search(r"uploadId=(\w+)", path)[1], re.search(r"partNumber=(\d+)", path)[1])
                               for path in paths)


# Requests that the token is refused for from the given number on: parts, completions, all.
EXPIRIES = ((1, "PUT", "partNumber"), (12, "PUT", "partNumber"), (21, "PUT", "partNumber"), (2, "POST", "uploadId"), (30, "", ""))


def backups(connection):
    """Expires when some parts are there: every worker sends one part again at most, and none begins an upload again."""
    proxy.use()
    connection.execute("BACKUP DATABASE d INTO 'external://lake/whole'")
    needed = sent().total()
    assert len({path for path, _, _ in sent()}) == TABLES and sent().total() == len(sent()), sent()
    for number, (after, method, path) in enumerate(EXPIRIES):
        rule = expire("", after, method, path)
        rotated(connection, f"BACKUP DATABASE d INTO 'external://lake/{number}'", uri("NEXT_"), rule)
        parts = sent()
        assert len(parts) == needed and len({upload for _, upload, _ in parts}) == TABLES, parts
        again = parts.total() - needed
        assert again <= WORKERS and max(parts.values()) <= 2, parts
        assert again > 0 or method != "PUT", parts
        connection.execute(f"ALTER EXTERNAL CONNECTION lake AS '{uri('', os.environ['S3_ENDPOINT'])}'")
        compare(connection, f"external://lake/{number}")
        known_again(connection)
        print(f"expired after {after} {method} {path}: {again} of {needed} parts sent again by {WORKERS} workers")


def given_up(connection):
    """A job that waits can be cancelled."""
    expire("", 12, "PUT", "partNumber")
    (job,) = connection.execute("BACKUP DATABASE d INTO 'external://lake/given-up' WITH detached").fetchone()
    until("it waits", lambda: (status(connection, job)[1] or "").startswith("waiting for ALTER"))
    connection.execute(f"CANCEL JOB {job}")
    until("it is given up", lambda: status(connection, job)[0] != "cancel-requested")
    known_again(connection)
    until("it has ended", lambda: status(connection, job)[0] == "canceled")
    assert not connection.execute("SELECT * FROM [SHOW BACKUPS IN 'external://lake/given-up']").fetchall()


def moved(connection):
    """A connection that is led elsewhere meanwhile: the whole backup is there, and none of it is missed."""
    for folder, option in (("moved", ""), ("sealed", "encryption_passphrase = 'x'")):
        rule = expire("", 12, "PUT", "partNumber")
        statement = f"BACKUP DATABASE d INTO 'external://lake/{folder}'" + (f" WITH {option}" if option else "")
        rotated(connection, statement, uri("NEXT_", folder="elsewhere"), rule)
        compare(connection, f"external://lake/{folder}", option)
        known_again(connection)


def moved_early(connection):
    """Led elsewhere when the wrapped key is written and no pack is: there must be no backup without its key."""
    proxy.use(Rule("delay", 3, "PUT", "ENCRYPTION-INFO", times=1))
    (job,) = connection.execute("BACKUP DATABASE d INTO 'external://lake/early' WITH encryption_passphrase = 'x', detached").fetchone()
    until("the key is being written", lambda: proxy.rules[0].done > 0)
    connection.execute(f"ALTER EXTERNAL CONNECTION lake AS '{uri('', folder='elsewhere')}'")
    until("the job ends", lambda: status(connection, job)[0] not in ("running", "pending", "reverting"), 120)
    (error,) = connection.execute(f"SELECT error FROM [SHOW JOB {job}]").fetchone()
    assert status(connection, job)[0] == "failed" and "leads elsewhere" in error, (status(connection, job), error)
    assert not connection.execute("SELECT * FROM [SHOW BACKUPS IN 'external://lake/early']").fetchall()
    known_again(connection)


def exports(connection):
    """A statement waits too, and sends the parts again that were under way."""
    rule = expire("", 3, "PUT", "partNumber")
    statement = "EXPORT INTO CSV 'external://lake/out' WITH chunk_size = '200MB' FROM SELECT a, encode(b, 'hex') FROM d.t0"

    def export():
        with psycopg.connect(autocommit=True) as session:
            found.append(session.execute(statement).fetchone())

    found, exporting = [], threading.Thread(target=export)
    exporting.start()
    until("the token is refused", lambda: rule.done > 0)
    connection.execute(f"ALTER EXTERNAL CONNECTION lake AS '{uri('NEXT_')}'")
    exporting.join(60)
    parts = sent()
    again = parts.total() - len(parts)
    assert len(found) == 1 and len({upload for _, upload, _ in parts}) == 1 and 0 < again <= EXPORT_PARTS, (found, parts)
    known_again(connection)
    print(f"an export sent {again} of {len(parts)} parts again")


def restores(connection):
    rule = expire("", 20, "GET", ".pack")
    rotated(connection, "RESTORE DATABASE d FROM LATEST IN 'external://lake/whole' WITH new_db_name = 'copy'", uri("NEXT_"), rule)
    reads = sum(1 for method, path in proxy.requests if method == "GET" and ".pack" in path)
    compare_with(connection, "copy")
    connection.execute("DROP DATABASE copy CASCADE")
    print(f"a restore went on with {reads} reads of packs")


def not_begun(connection):
    """A token that is refused from the start is told at once."""
    connection.execute(f"ALTER EXTERNAL CONNECTION lake AS '{uri('')}'")
    for statement in ("BACKUP DATABASE d INTO 'external://lake/never'",
                      "BACKUP DATABASE d INTO LATEST IN 'external://lake/whole'",
                      "RESTORE DATABASE d FROM LATEST IN 'external://lake/whole' WITH new_db_name = 'never'"):
        expire("", 0)
        error = refusal(connection, statement)
        assert error.sqlstate == "28000" and "external://lake/" in str(error) and "ExpiredToken" in str(error), error
    proxy.use()


def compare(connection, place, option=""):
    options = ", ".join(filter(None, ("new_db_name = 'copy'", option)))
    connection.execute(f"RESTORE DATABASE d FROM LATEST IN '{place}' WITH {options}")
    compare_with(connection, "copy")
    connection.execute("DROP DATABASE copy CASCADE")


def compare_with(connection, name):
    for number in range(TABLES):
        query = "SELECT count(*), count(DISTINCT a), count(DISTINCT b), min(b), max(b) FROM {}.t{}"
        ours, theirs = (connection.execute(query.format(database, number)).fetchone() for database in ("d", name))
        assert ours == theirs, number


with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE DATABASE d")
    connection.execute(f"CREATE EXTERNAL CONNECTION lake AS '{uri('')}'")
    fill(connection)
    backups(connection)
    given_up(connection)
    moved(connection)
    moved_early(connection)
    exports(connection)
    restores(connection)
    not_begun(connection)
