# flags: --insecure
# peer: sts
"""Key services that refuse, vanish and hang, and a server that ends before it asks them: an error that says which key, and the
old keys or the new."""

import collections
import os
import pathlib
import shutil
import socket
import tempfile
import time

import psycopg

from faults import looks
from faults.lakeport import Lakeport, fault_points, until
from faults.proxy import FaultProxy, Rule

# Seconds that one request may take, and one statement.
REQUEST_LIMIT, STATEMENT_LIMIT = 2, 30
proxy = FaultProxy(os.environ["STS_ENDPOINT"])


def kms(key, endpoint):
    return (f"aws-kms:///{os.environ[key]}?AWS_ACCESS_KEY_ID={os.environ['STS_KEY']}&AWS_SECRET_ACCESS_KEY={os.environ['STS_SECRET']}"
            f"&AWS_ENDPOINT={endpoint}&REGION=us-east-1")


def closed():
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


# Statements, and the key that each asks its service for first.
STATEMENTS = {
    "full": ("BACKUP DATABASE d INTO 'nodelocal://1/fresh' WITH kms = 'external://first'", "KMS_KEY"),
    "incremental": ("BACKUP DATABASE d INTO LATEST IN 'nodelocal://1/kms' WITH kms = 'external://first'", "KMS_KEY"),
    "restore": ("RESTORE DATABASE d FROM LATEST IN 'nodelocal://1/kms' WITH kms = 'external://first', new_db_name = 'copy'", "KMS_KEY"),
    "add key": ("ALTER BACKUP LATEST IN 'nodelocal://1/kms' ADD NEW_KMS = 'external://second' WITH OLD_KMS = 'external://first'", "KMS_KEY"),
}
# How a service fails, and what the client is told then.
FAILURES = {
    "disabled": (Rule("refuse", 400, code="DisabledException"), "55000"),
    "being deleted": (Rule("refuse", 400, code="KMSInvalidStateException"), "55000"),
    "unknown": (Rule("refuse", 400, code="NotFoundException"), "58P01"),
    "denied": (Rule("refuse", 400, code="AccessDeniedException"), "28000"),
    "throttled": (Rule("refuse", 400, code="ThrottlingException"), "53000"),
    "broken": (Rule("refuse", 500, code="KMSInternalException"), "58030"),
    "hanging": (Rule("silent"), "08006"),
    "dripping": (Rule("slow", 1), "08006"),
}
# What a server does before it asks one.
ACTIONS = ("kill", "error", "panic")
# What passes when the service is well again soon.
PASSING = ("throttled", "broken")


def set_up(connection, endpoint):
    run = connection.execute
    run(f"SET CLUSTER SETTING cloudstorage.timeout = '{REQUEST_LIMIT}s'")
    run("CREATE DATABASE d")
    run("CREATE TABLE d.t AS SELECT n AS a, 'row ' || n AS b FROM generate_series(1, 1000) AS n")
    for name, key in (("first", "KMS_KEY"), ("second", "KMS_OTHER_KEY")):
        run(f"CREATE EXTERNAL CONNECTION {name} AS '{kms(key, endpoint)}'")
    run("BACKUP DATABASE d INTO 'nodelocal://1/kms' WITH kms = 'external://first'")


def state(connection):
    """Backups, layers, files of keys, restored databases."""
    one = lambda query: connection.execute(query).fetchone()[0]
    fulls = one("SELECT count(*) FROM [SHOW BACKUPS IN 'nodelocal://1/fresh']")
    layers = one("SELECT count(DISTINCT end_time) FROM [SHOW BACKUP LATEST IN 'nodelocal://1/kms' WITH kms = 'external://first']")
    keys = one("SELECT count(*) FROM [SHOW BACKUP ENCRYPTION FROM LATEST IN 'nodelocal://1/kms']")
    copies = one("SELECT count(*) FROM [SHOW DATABASES] WHERE database_name = 'copy'")
    return fulls, layers, keys, copies


def attempt(connection, statement):
    started = time.monotonic()
    try:
        connection.execute(statement)
        error = None
    except psycopg.Error as found:
        error = found
    assert time.monotonic() - started < STATEMENT_LIMIT, f"{statement}: {time.monotonic() - started:.0f} s"
    return error


def failing_service(connection, name, statement, key, failure):
    rule, code = failure
    before = state(connection)
    proxy.use(rule)
    error = attempt(connection, statement)
    proxy.use()
    assert error is not None and error.sqlstate == code, (name, code, error and error.sqlstate, error)
    assert "aws-kms" in str(error) and os.environ[key] in str(error), (name, error)
    assert state(connection) == before, name


def unreachable(connection):
    """Nobody listens at the service's address."""
    for name, (statement, key) in STATEMENTS.items():
        connection.execute(f"ALTER EXTERNAL CONNECTION first AS '{kms(key, closed())}' WITH (VALIDATE = false)")
        error = attempt(connection, statement)
        assert error is not None and error.sqlstate == "08001" and os.environ[key] in str(error), (name, error)
        connection.execute(f"ALTER EXTERNAL CONNECTION first AS '{kms(key, proxy.endpoint)}'")
    return len(STATEMENTS)


def one_of_two(connection):
    """A service that is down, or takes requests and never answers, keeps no other key away, whatever time storage is given; one that is
    asked alone is given up before the statement is."""
    run, other = connection.execute, FaultProxy(os.environ["STS_ENDPOINT"])
    run("RESET CLUSTER SETTING cloudstorage.timeout")
    run("SET statement_timeout = '60s'")
    run(f"ALTER EXTERNAL CONNECTION second AS '{kms('KMS_OTHER_KEY', other.endpoint)}'")
    both = "kms = ('external://first', 'external://second')"
    run(f"BACKUP DATABASE d INTO 'nodelocal://1/both' WITH {both}")
    for rule in (Rule("refuse", 500, code="KMSInternalException"), Rule("silent")):
        proxy.use(rule)
        other.use()
        run(f"SHOW BACKUP LATEST IN 'nodelocal://1/both' WITH {both}")
        assert rule.done >= 1 and len(other.requests) == 1, (rule, other.requests)
    error = attempt(connection, "SHOW BACKUP LATEST IN 'nodelocal://1/both' WITH kms = 'external://first'")
    assert error is not None and error.sqlstate == "08006" and os.environ["KMS_KEY"] in str(error), error
    assert "check the endpoint, and that its server is up" in str(error.diag.message_hint), error.diag.message_hint
    # A service that answers at once is the only one asked.
    proxy.use()
    other.use()
    run(f"SHOW BACKUP LATEST IN 'nodelocal://1/both' WITH {both}")
    assert (len(proxy.requests), len(other.requests)) == (1, 0), (proxy.requests, other.requests)
    run("RESET statement_timeout")


def services(connection):
    count = 0
    for name, (statement, key) in STATEMENTS.items():
        for failure in FAILURES.values():
            failing_service(connection, name, statement, key, failure)
            count += 1
        for passing in PASSING:
            rule = FAILURES[passing][0]
            proxy.use(Rule(rule.action, rule.value, code=rule.code, times=2))
            before = state(connection)
            error = attempt(connection, statement)
            assert error is None and proxy.rules[0].done == 2, (name, passing, error)
            assert state(connection) != before or name == "add key", (name, passing)
            connection.execute("DROP DATABASE IF EXISTS copy CASCADE")
            count += 1
    return count + unreachable(connection)


class Cell:
    """One store on which a statement meets a fault before a key service is asked."""

    def __init__(self, store, point, name, action, nth):
        self.server, self.point, self.action, self.nth = Lakeport(store), point, action, nth
        self.name, self.statement = name, STATEMENTS[name][0]

    def walk(self):
        """Answers whether the point was reached."""
        self.server.must_start(f"{self.point}:{self.action}:{self.nth}")
        try:
            with self.server.connect() as connection:
                connection.execute(self.statement)
            error = None
        except psycopg.Error as found:
            error = found
        if error is None and "injected at" not in self.server.log.read_text():
            return False
        if self.action == "kill":
            assert self.server.ends_within(30), "it was not killed"
            self.server.must_start()
        elif error is not None:
            assert error.sqlstate == {"error": "58030", "panic": "XX000"}[self.action], (error.sqlstate, error)
        self.look()
        return True

    def look(self):
        with self.server.connect() as connection:
            until("jobs ended", lambda: not looks.unfinished_jobs(connection))
            fulls, layers, keys, copies = state(connection)
            assert fulls <= 1 and layers in (1, 2) and keys in (1, 2) and copies in (0, 1), (fulls, layers, keys, copies)
            connection.execute("DROP DATABASE IF EXISTS copy CASCADE")
            connection.execute(self.statement)
            after = state(connection)
            done = {"full": after[0] >= 1, "incremental": after[1] >= 2, "restore": after[3] == 1, "add key": after[2] == 2}
            assert done[self.name], after
        self.server.stop()
        left = [path for path in (self.server.extern).rglob("*") if path.name == "BACKUP-LOCK" or ".tmp-" in path.name]
        assert not left, left
        self.server.must_start()
        looks.check_store(self.server.store)


def ends(folder):
    """A server that ends, or fails, before it asks a service for the first, the second or a later time."""
    template = Lakeport(folder / "template")
    template.must_start()
    with template.connect() as connection:
        set_up(connection, os.environ["STS_ENDPOINT"])
    template.stop()
    met, wrong = collections.Counter(), []
    points = [point for point in fault_points(template.binary) if point.startswith("kms.")]
    for point in points:
        for name in STATEMENTS:
            for action in ACTIONS:
                for nth in (1, 2, 3):
                    store = folder / f"{point}-{name.replace(' ', '-')}-{action}-{nth}"
                    shutil.copytree(template.store, store)
                    cell = Cell(store, point, name, action, nth)
                    try:
                        if not cell.walk():
                            break
                        met[point, action] += 1
                    except Exception as error:
                        wrong.append(f"{point} {name} {action} {nth}: {type(error).__name__} {error}")
                    finally:
                        cell.server.kill()
                        shutil.rmtree(store)
    assert not wrong, "\n".join(wrong)
    assert len(met) == len(points) * len(ACTIONS) > 0, met
    return met.total()


with psycopg.connect(autocommit=True) as connection:
    set_up(connection, proxy.endpoint)
    failures = services(connection)
    one_of_two(connection)
with tempfile.TemporaryDirectory(prefix="lakeport-kms-") as name:
    count = ends(pathlib.Path(name))
assert count >= 15, count
print(f"{failures} failures of key services, {count} ends of a server before it asks one")
