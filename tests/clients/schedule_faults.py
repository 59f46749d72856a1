# flags: --insecure
"""A server is killed, or fails, at each point of a schedule: every due time has one backup, not two, and none is left out."""

import pathlib
import shutil
import tempfile

from faults import looks
from faults.lakeport import Lakeport, fault_points, until

ACTIONS = ("kill", "error", "panic")
MADE = """CREATE SCHEDULE s FOR BACKUP DATABASE d INTO 'nodelocal://1/vault' RECURRING '@yearly' FULL BACKUP ALWAYS
          WITH SCHEDULE OPTIONS first_run = '2000-01-01 00:00:00+00:00'"""


def set_up(server):
    server.must_start()
    with server.connect() as connection:
        connection.execute("CREATE DATABASE d")
        connection.execute("CREATE TABLE d.t AS SELECT 1 AS a")
    server.stop()


def seen(connection):
    """Jobs, backups, and what is written at the schedule."""
    (jobs,) = connection.execute("SELECT count(*) FROM [SHOW JOBS] WHERE job_type = 'BACKUP'").fetchone()
    (backups,) = connection.execute("SELECT count(*) FROM [SHOW BACKUPS IN 'nodelocal://1/vault']").fetchone()
    (schedule,) = connection.execute("SELECT schedule_status, state, jobsrunning FROM [SHOW SCHEDULES]").fetchall()
    return jobs, backups, schedule


def meet(server, point, action):
    """Makes a schedule that is due, and meets the fault; the server runs and is well afterwards."""
    server.must_start(f"{point}:{action}:1")
    with server.connect() as connection:
        connection.execute(MADE)
    if action == "kill":
        assert server.ends_within(30), f"{point} was not reached"
        server.must_start()
    else:
        shown = {"error": "input/output error", "panic": "injected at"}[action]
        until(f"{point} is reached", lambda: shown in server.log.read_text())


def has_run_once(server, point, action):
    with server.connect() as connection:
        rests = lambda: seen(connection)[2][2] == 0 and not looks.unfinished_jobs(connection)
        # A statement that failed waits for the next time, as on_execution_failure says, and tells why.
        failed = (point, action) == ("schedule.begun", "error")
        wanted = (0, 0, ("ACTIVE", "input/output error", 0)) if failed else (1, 1, ("ACTIVE", "", 0))
        until(f"{wanted} instead of {seen(connection)}", lambda: rests() and seen(connection) == wanted, 30)
        (schedule,) = connection.execute("SELECT id FROM [SHOW SCHEDULES]").fetchone()
        connection.execute(f"ALTER BACKUP SCHEDULE {schedule} EXECUTE IMMEDIATELY")
        jobs = wanted[0] + 1
        wanted = (jobs, jobs, ("ACTIVE", "", 0))
        until(f"{wanted} instead of {seen(connection)}", lambda: rests() and seen(connection) == wanted, 30)
    # Nothing of it is made once more.
    server.stop()
    server.must_start()
    with server.connect() as connection:
        until("jobs ended", lambda: not looks.unfinished_jobs(connection))
        assert seen(connection) == wanted, seen(connection)


with tempfile.TemporaryDirectory(prefix="lakeport-schedule-") as name:
    folder = pathlib.Path(name)
    template = Lakeport(folder / "template")
    set_up(template)
    points = [point for point in fault_points(template.binary) if point.startswith("schedule.")]
    wrong = []
    for point in points:
        for action in ACTIONS:
            store = folder / f"{point}-{action}"
            shutil.copytree(template.store, store)
            server = Lakeport(store)
            try:
                meet(server, point, action)
                has_run_once(server, point, action)
            except Exception as error:
                wrong.append(f"{point} {action}: {type(error).__name__} {error}")
            finally:
                server.kill()
    assert not wrong, "\n".join(wrong)
    assert len(points) >= 3
    print(f"{len(points) * len(ACTIONS)} faults at {len(points)} points of a schedule: one backup for each due time")
