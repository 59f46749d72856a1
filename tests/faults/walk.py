"""The crash walk: a server is killed at every fault point and at random moments, started again, and looked at.

    python -m faults.walk BINARY [--kills N] [--seed N] [--clients N] [--minutes N] [--points NAME...] [--report FILE]
"""

import argparse
import collections
import os
import pathlib
import random
import shutil
import tempfile
import time

import psycopg

from . import clients, looks
from .keys import key_service
from .lakeport import Lakeport, fault_points, until
from .report import report

# What brings a server to a point sooner than chance does, and how long that may take, in seconds.
FOCUS = {
    "import": ("imports", 20), "merge": ("insert", 15), "checkpoint": ("insert", 30), "vacuum": ("insert", 12),
    "copy": ("copy", 6), "connection": ("connection", 6), "table.altered": ("alter", 6), "table": ("imports", 10),
    "log.create": ("imports", 6), "storage": ("check", 6), "storage.list": ("imports", 6),
    "backup": ("backup", 20), "restore": ("restore", 20), "alter": ("keys", 12), "kms": ("keys", 12),
    "schedule": ("schedules", 12),
    "storage.put": ("export", 6), "storage.copy": ("upload", 6), "storage.abort": ("give_up", 6),
}
# The latest arrival at which a fault happens, for points that are reached often.
LATEST = {"local": 60, "catalog": 15, "file": 15, "log": 15, "append": 15}
# Data files that a kill may leave behind: those of the statements under way.
ORPHANS_MAX = 12
# Lives between two looks from outside.
OUTSIDE_EVERY = 10


class Walk:
    """One store, its clients, and what has happened to it so far."""

    def __init__(self, server, seed, count, keys):
        self.server, self.random, self.keys = server, random.Random(seed), keys
        self.clients = [clients.Client(number, seed, bool(keys)) for number in range(count)]
        self.kills = collections.Counter()
        self.failures, self.failed_jobs = collections.Counter(), set()
        # Whether statements of the last life and of this one may meet an injected failure.
        self.failing = [False, False]
        # Kills before the server was ready, by point.
        self.unready = collections.Counter()
        self.adopted, self.slowest_start = 0, 0.0

    def set_up(self):
        clients.write_files(self.server.extern / "files")
        self.server.must_start()
        with self.server.connect() as connection:
            clients.setting_up(connection, len(self.clients), self.keys)
        self.server.kill()

    def live(self, point):
        """One life: a start, a look at what the last one left, work, a kill."""
        family = (point or "").split(".")[0]
        focus, seconds = FOCUS.get(point) or FOCUS.get(family, (None, 6))
        # A point kills where it is first reached, before other arrivals and failures have their turn.
        action, nth = "kill", 1
        if self.kills[point]:
            nth = self.random.choice([1, self.random.randint(1, 3), self.random.randint(1, LATEST.get(family, 3))])
            action = self.random.choices(["kill", "error", "disk-full", "panic", "delay"], [8, 1, 1, 1, 1])[0]
        # What is met once in a life, and by no statement.
        if family == "start":
            action, nth = "kill", 1
        fails = bool(point) and action in ("error", "disk-full", "panic")
        self.failing = [self.failing[1], fails]
        started = time.monotonic()
        if not self.server.start(point and f"{point}:{action}:{nth}"):
            self.kills[point] += 1
            self.unready[point] += 1
            return
        self.slowest_start = max(self.slowest_start, time.monotonic() - started)
        if not self.looked():
            self.kills[point] += 1
            return
        for client in self.clients:
            client.takes_big_files, client.meets_failures = point in ("import.staged", "import.saved"), fails
        limit = seconds if point and action == "kill" else self.random.uniform(0.05, 2.0)
        self.failures[action] += bool(point) and action != "kill"
        working = self.random.sample(self.clients, self.random.randint(1, len(self.clients)))
        died = clients.work(self.server, working, focus, lambda: self.end(limit))
        self.kills[point if died else None] += 1

    def end(self, seconds):
        """Waits for the fault, and kills a server that does not meet it; answers whether the fault did it."""
        died = self.server.ends_within(seconds)
        if not died:
            self.server.kill()
        return died

    def looked(self):
        """Looks at what is there; false when the server met its fault meanwhile."""
        try:
            with self.server.connect() as connection:
                unfinished = looks.unfinished_jobs(connection)
                until("jobs adopted", lambda: not looks.unfinished_jobs(connection), 90)
                failed = set(looks.failed_jobs(connection)) - self.failed_jobs
                assert not failed or any(self.failing), f"jobs failed: {failed}"
                self.failed_jobs |= failed
                self.look_at_schedules(connection)
                looks.compare(connection, self.clients)
                self.look_for_leftovers()
                until("no unfinished layer is left", lambda: not looks.unfinished_layers(self.server.store), 30)
                looks.check_store(self.server.store, self.server.is_running)
                if sum(self.kills.values()) % OUTSIDE_EVERY == 0:
                    looks.read_by_others(self.server.store, connection)
                self.adopted += len(unfinished)
        except psycopg.Error:
            if self.failing[1]:
                self.server.kill()
            if self.server.ends_within(5):
                return False
            raise
        return True

    def look_at_schedules(self, connection):
        """Each has made one backup for the one time that it was due, or none where a failure was injected."""
        for client in self.clients:
            cells = client.cells | (client.pending or {})
            schedule = cells.get(("schedule",)) or client.cells.get(("schedule",))
            if schedule is None:
                continue
            made = lambda: clients.scheduled(connection, client.number, schedule)
            if any(self.failing):
                client.failed_schedule = schedule
            if schedule == client.failed_schedule or client.pending and ("schedule",) in client.pending:
                until("scheduled jobs ended", lambda: made()[1] == 0, 30)
                assert made()[0] <= 1, (client.number, schedule, made())
            else:
                until(f"one backup by the schedule of client {client.number}", lambda: made() == (1, 0), 30)

    def look_for_leftovers(self):
        """A start removes what the last life left of tables that were never finished, or dropped."""
        if not self.failing[1]:
            gone = lambda: not looks.unknown_folders(self.server.store) or not self.server.is_running()
            until("folders of unknown tables removed", gone)

    def newborn(self):
        """A server that is killed while it makes its store must start on what it has made."""
        with tempfile.TemporaryDirectory(prefix="lakeport-newborn-") as folder:
            server = Lakeport(pathlib.Path(folder) / "store", self.server.binary)
            for _ in range(2):
                server.spawn()
                time.sleep(self.random.uniform(0.0, 0.4))
                server.kill()
                self.kills["first start"] += 1
            server.must_start()
            with server.connect() as connection:
                connection.execute("CREATE TABLE t (a INT8)")
            server.kill()

    def clean_up(self):
        """Old leftovers go with the next sweep: every data file left is one that a table names."""
        orphans, folders = looks.orphans(self.server.store), len(looks.unknown_folders(self.server.store))
        kills = sum(self.kills.values())
        assert orphans <= ORPHANS_MAX * kills, f"{orphans} files that nothing names after {kills} kills"
        old = time.time() - 3 * 24 * 3600
        for path in (self.server.store / "warehouse").rglob("*.parquet"):
            if "_delta_log" not in path.parts:
                os.utime(path, (old, old))
        self.failing = [self.failing[1], False]
        self.server.must_start()
        until("leftovers swept", lambda: looks.unneeded(self.server.store) == 0, 120)
        assert self.looked()
        looks.check_store(self.server.store)
        self.server.stop()
        return orphans, folders


def schedule(points, kills, random):
    """Every point in turn, between random moments."""
    turns = []
    while len(turns) < kills:
        for point in random.sample(points, len(points)):
            turns += [point, None]
    return turns[:kills]


def walk(server, points, kills, seed, count, say, minutes=None, keys=()):
    """Kills a server so many times, or for so long; answers what was done, or raises what was found."""
    journey = Walk(server, seed, count, keys)
    journey.set_up()
    started = time.monotonic()
    for turn, point in enumerate(schedule(points, kills, journey.random)):
        if minutes and time.monotonic() - started > minutes * 60:
            break
        if turn % 40 == 39:
            journey.newborn()
        else:
            try:
                journey.live(point)
            except BaseException:
                say(f"turn {turn}, seed {seed}, last fault {point}; the store is {server.store}")
                raise
        if turn % 25 == 24:
            say(f"{turn + 1} of {kills} turns, {time.monotonic() - started:.0f} s")
    journey.failing = [journey.failing[1], False]
    server.must_start()
    assert journey.looked()
    with server.connect() as connection:
        looks.read_by_others(server.store, connection)
    server.kill()
    return journey, journey.clean_up(), time.monotonic() - started


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--points", nargs="*")
    parser.add_argument("--report")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    points = options.points or fault_points(options.binary)
    # Kept when something is found.
    folder = tempfile.mkdtemp(prefix="lakeport-walk-")
    server = Lakeport(pathlib.Path(folder) / "store", options.binary)
    try:
        with key_service() as keys:
            done = walk(server, points, options.kills, seed, options.clients, lambda text: print(text, flush=True),
                        options.minutes, keys)
    finally:
        if server.is_running():
            server.kill()
    shutil.rmtree(folder)
    limit = f" --minutes {options.minutes:g}" if options.minutes else ""
    arguments = f"--kills {options.kills}{limit} --seed {seed} --clients {options.clients}"
    text = report(*done, arguments, seed, points)
    print(text)
    if options.report:
        pathlib.Path(options.report).write_text(text)


if __name__ == "__main__":
    main()
