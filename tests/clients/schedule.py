# flags: --insecure
"""Schedules make full and incremental backups as their owners, and say why they cannot."""

import os
import time
import urllib.request

import psycopg
from psycopg import errors

STATES = "SELECT schedule_status, state, jobsrunning FROM [SHOW SCHEDULES] ORDER BY id"


def until(connection, query, wanted):
    """Waits until the rows of a query are as wanted. What it looks at may not be there yet."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            rows = connection.execute(query).fetchall()
        except errors.UndefinedFile as error:
            rows = error
        else:
            if wanted(rows):
                return
        time.sleep(0.1)
    raise AssertionError(f"{query}: {rows}")


def refused(connection, statement, error):
    try:
        connection.execute(statement)
    except error:
        return
    raise AssertionError(f"not refused: {statement}")


def runs(outcome):
    """How many runs have ended so, by /metrics."""
    page = urllib.request.urlopen(f"http://{os.environ['TEST_HTTP']}/metrics").read().decode()
    [line] = [line for line in page.splitlines() if line.startswith(f'lakeport_schedule_runs_total{{outcome="{outcome}"}}')]
    return int(line.split()[-1])


def layers(collection):
    return f"SELECT DISTINCT backup_type FROM [SHOW BACKUP LATEST IN '{collection}'] ORDER BY 1"


with psycopg.connect(autocommit=True) as root:
    assert (runs("succeeded"), runs("failed")) == (0, 0)
    root.execute("CREATE EXTERNAL CONNECTION vault AS 'nodelocal://1/vault'")
    root.execute("CREATE TABLE t (a INT)")
    root.execute("INSERT INTO t VALUES (1)")

    # The first full backup is made at once; then the incremental ones may begin.
    made = "CREATE SCHEDULE pair FOR BACKUP TABLE t INTO 'external://vault/pair' RECURRING '@hourly'"
    incremental, full = [row[0] for row in root.execute(made)]
    until(root, STATES, lambda rows: rows == [("ACTIVE", "", 0)] * 2)
    assert root.execute(layers("external://vault/pair")).fetchall() == [("full",)]
    root.execute("INSERT INTO t VALUES (2)")
    root.execute(f"ALTER BACKUP SCHEDULE {incremental} EXECUTE IMMEDIATELY")
    until(root, layers("external://vault/pair"), lambda rows: rows == [("full",), ("incremental",)])
    until(root, STATES, lambda rows: rows == [("ACTIVE", "", 0)] * 2)
    root.execute("CREATE DATABASE copy")
    root.execute("RESTORE TABLE t FROM LATEST IN 'external://vault/pair' WITH into_db = 'copy'")
    assert root.execute("SELECT count(*) FROM copy.t").fetchone() == (2,)

    # A collection is for one schedule, unless it is said to be for others too.
    again = "CREATE SCHEDULE FOR BACKUP INTO 'external://vault/pair' RECURRING '@daily'"
    refused(root, again, errors.ObjectNotInPrerequisiteState)
    root.execute(f"{again} WITH SCHEDULE OPTIONS first_run = '2100-01-01', ignore_existing_backups")

    # Who may not back up cannot schedule it; who loses the right is told.
    root.execute("CREATE USER ann")
    root.execute("GRANT USAGE ON EXTERNAL CONNECTION vault TO ann")
    with psycopg.connect(user="ann", autocommit=True) as ann:
        own = """CREATE SCHEDULE FOR BACKUP TABLE t INTO 'external://vault/ann' RECURRING '@daily' FULL BACKUP ALWAYS
                 WITH SCHEDULE OPTIONS first_run = '2000-01-01 00:00:00+00:00', on_execution_failure = 'pause'"""
        refused(ann, own, errors.InsufficientPrivilege)
        root.execute("GRANT BACKUP ON TABLE t TO ann")
        # It runs as herself, whatever role her sessions begin with.
        root.execute("CREATE ROLE analysts; GRANT analysts TO ann; ALTER ROLE ann SET role = analysts")
        mine = ann.execute(own).fetchone()[0]
        until(ann, "SELECT count(*) FROM [SHOW BACKUPS IN 'external://vault/ann']", lambda rows: rows == [(1,)])
        until(ann, STATES, lambda rows: rows == [("ACTIVE", "", 0)])
        root.execute("REVOKE BACKUP ON TABLE t FROM ann")
        ann.execute(f"ALTER BACKUP SCHEDULE {mine} EXECUTE IMMEDIATELY")
        until(ann, STATES, lambda rows: rows[0][0] == "PAUSED" and "privilege on relation t" in rows[0][1])
        assert (runs("succeeded"), runs("failed")) == (3, 1)

    # In another collection nothing can be added to: a full backup is made first, and the incremental ones go on after it.
    root.execute(f"ALTER BACKUP SCHEDULE {incremental} SET INTO 'external://vault/moved'")
    until(root, layers("external://vault/moved"), lambda rows: rows == [("full",)])
    until(root, f"SELECT schedule_status FROM [SHOW SCHEDULE {incremental}]", lambda rows: rows == [("ACTIVE",)])
    root.execute(f"ALTER BACKUP SCHEDULE {incremental} EXECUTE IMMEDIATELY")
    until(root, layers("external://vault/moved"), lambda rows: rows == [("full",), ("incremental",)])
    root.execute(f"ALTER BACKUP SCHEDULE {incremental} EXECUTE FULL IMMEDIATELY")
    until(root, "SELECT count(*) FROM [SHOW BACKUPS IN 'external://vault/moved']", lambda rows: rows == [(2,)])
    refused(root, "DROP ROLE ann", errors.DependentObjectsStillExist)
    refused(root, "DROP EXTERNAL CONNECTION vault", errors.DependentObjectsStillExist)
    root.execute(f"DROP SCHEDULES {full}, {mine}")
    assert root.execute("SELECT count(*) FROM [SHOW SCHEDULES]").fetchone() == (2,)
