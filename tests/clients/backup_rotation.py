# flags: --insecure
# peer: s3
# log: tried again
"""A token that expires in the middle of BACKUP or RESTORE: it is rotated, and the same job goes on with what it has."""

import collections
import os

import psycopg

from faults.lakeport import refusal, until
from faults.proxy import FaultProxy, Rule

# Each table has one file, and that is a pack of its own.
TABLES, ROWS, ROW_BYTES = 5, 600, 60_000
# Packs that are made at a time: one more than there are cores.
WORKERS = os.cpu_count() + 1
proxy = FaultProxy(os.environ["S3_ENDPOINT"])
TOKENS = {name: (os.environ[f"S3_{name}KEY"], os.environ[f"S3_{name}SECRET"]) for name in ("", "NEXT_")}


def uri(name, endpoint=None):
    key, secret = TOKENS[name]
    return (f"s3://{os.environ['S3_BUCKET']}/rotation-{os.getpid()}?AWS_ACCESS_KEY_ID={key}"
            f"&AWS_SECRET_ACCESS_KEY={secret}&AWS_ENDPOINT={endpoint or proxy.endpoint}&AWS_REGION=us-east-1")


def expire(name, after, method="", path=""):
    """From then on the bucket knows no such token, as S3 puts it."""
    proxy.use(Rule("refuse", 400, code="ExpiredToken", head=f"Credential={TOKENS[name][0]}/", after=after,
                   method=method, path=path))
    return proxy.rules[0]


def fill(connection):
    for number in range(TABLES):
        connection.execute(f"CREATE TABLE d.t{number} (a INT8, b BYTES)")
        with connection.cursor().copy(f"COPY d.t{number} FROM STDIN WITH (FORMAT binary)") as copy:
            copy.set_types(["int8", "bytea"])
            for row in range(ROWS):
                copy.write_row((row, os.urandom(ROW_BYTES)))


def status(connection, job):
    return connection.execute(f"SELECT status, running_status, fraction_completed FROM [SHOW JOB {job}]").fetchone()


def rotated(connection, statement, old, new, rule):
    """Runs a statement whose token expires on the way; answers the job that went on to its end."""
    (job,) = connection.execute(f"{statement}, detached" if "WITH" in statement else f"{statement} WITH detached").fetchone()
    until("the token is refused", lambda: rule.done > 0 and "trying again" in (status(connection, job)[1] or ""))
    assert status(connection, job)[0] == "running" and "ExpiredToken" in status(connection, job)[1], status(connection, job)
    assert "external://lake" in status(connection, job)[1], status(connection, job)
    connection.execute(f"ALTER EXTERNAL CONNECTION lake AS '{uri(new)}'")
    until("the job ends", lambda: status(connection, job)[0] not in ("running", "pending"), 120)
    assert status(connection, job)[0] == "succeeded", status(connection, job)
    return job


def sent():
    """Parts by pack, each time it was sent."""
    parts = [path for method, path in proxy.requests if method == "PUT" and "partNumber" in path]
    return collections.Counter(path.split("?")[0] for path in parts)


def backups(connection):
    """Expires when some packs are there: no worker sends more than the pack again that it was at."""
    needed = None
    for after in (None, 12, 16, 21):
        rule = expire("", after, "PUT", "partNumber") if after else None
        proxy.use(*([rule] if rule else []))
        statement = f"BACKUP DATABASE d INTO 'external://lake/{after}'"
        if rule is None:
            connection.execute(statement)
            needed = sent()
            assert len(needed) == TABLES, needed
            continue
        rotated(connection, statement, "", "NEXT_", rule)
        packs = sent()
        again = packs.total() - rule.done - needed.total()
        assert again <= WORKERS * max(needed.values()), (packs, needed, rule.done)
        connection.execute(f"ALTER EXTERNAL CONNECTION lake AS '{uri('', os.environ['S3_ENDPOINT'])}'")
        compare(connection, f"external://lake/{after}")
        connection.execute(f"ALTER EXTERNAL CONNECTION lake AS '{uri('')}'")
        print(f"expired after {after} parts of {needed.total()}: {again} sent again by {WORKERS} workers")


def restores(connection):
    rule = expire("", 20, "GET", ".pack")
    rotated(connection, "RESTORE DATABASE d FROM LATEST IN 'external://lake/12' WITH new_db_name = 'copy'", "", "NEXT_", rule)
    reads = sum(1 for method, path in proxy.requests if method == "GET" and ".pack" in path)
    compare_with(connection, "copy")
    connection.execute("DROP DATABASE copy CASCADE")
    print(f"a restore went on with {reads} reads of packs")


def not_begun(connection):
    """A token that is refused from the start is told at once."""
    connection.execute(f"ALTER EXTERNAL CONNECTION lake AS '{uri('')}'")
    for statement in ("BACKUP DATABASE d INTO 'external://lake/never'",
                      "BACKUP DATABASE d INTO LATEST IN 'external://lake/12'",
                      "RESTORE DATABASE d FROM LATEST IN 'external://lake/12' WITH new_db_name = 'never'"):
        expire("", 0)
        error = refusal(connection, statement)
        assert error.sqlstate == "28000" and "external://lake/" in str(error) and "ExpiredToken" in str(error), error
    proxy.use()


def compare(connection, place):
    connection.execute(f"RESTORE DATABASE d FROM LATEST IN '{place}' WITH new_db_name = 'copy'")
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
    restores(connection)
    not_begun(connection)
