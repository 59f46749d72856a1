"""The crash walk: a server is killed at every fault point and at random moments, started again, and looked at.

    python -m faults.walk BINARY [--kills N] [--seed N] [--clients N] [--points NAME...] [--report FILE]
"""

import argparse
import collections
import datetime
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

import psycopg

from . import clients, looks
from .lakeport import Lakeport, fault_points, until

# What brings a server to a point sooner than chance does, and how long that may take, in seconds.
FOCUS = {
    "import": ("imports", 20), "storage.list": ("imports", 6), "merge": ("insert", 15), "checkpoint": ("insert", 30), "vacuum": ("insert", 12),
    "copy": ("copy", 6), "connection": ("connection", 6), "table.altered": ("alter", 6), "table": ("imports", 6), "storage": ("check", 4),

}
# Points that the walk's statements do not reach: uploads that fail, reads of small files, copies.
UNREACHED = ("storage.put", "storage.abort", "storage.copy")
LATEST = {"local": 60, "catalog": 15, "file": 15, "log": 15, "append": 15}
# Data files that a kill may leave behind: those of the statements under way.
ORPHANS_MAX = 12
# Lives between two looks from outside.
OUTSIDE_EVERY = 10


class Walk:
    """One store, its clients, and what has happened to it so far."""

    def __init__(self, server, seed, count):
        self.server, self.random = server, random.Random(seed)
        self.clients = [clients.Client(number, seed) for number in range(count)]
        self.kills = collections.Counter()
        self.random_kills, self.unready, self.adopted, self.slowest_start = 0, 0, 0, 0.0

    def set_up(self):
        clients.write_files(self.server.extern / "files")
        self.server.must_start()
        with self.server.connect() as connection:
            clients.setting_up(connection, len(self.clients))
        self.server.kill()

    def live(self, point):
        """One life: a start, a look at what the last one left, work, a kill."""
        family = (point or "").split(".")[0]
        focus, seconds = FOCUS.get(point) or FOCUS.get(family, (None, 6))
        nth = self.random.choice([1, self.random.randint(1, 3), self.random.randint(1, LATEST.get(family, 3))])
        started = time.monotonic()
        if not self.server.start(point and f"{point}:kill:{nth}"):
            self.kills[point] += 1
            self.unready += 1
            return
        self.slowest_start = max(self.slowest_start, time.monotonic() - started)
        if not self.looked():
            self.kills[point] += 1
            return
        for client in self.clients:
            client.takes_big_files = point in ("import.staged", "import.saved")
        limit = seconds if point else self.random.uniform(0.05, 2.0)
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
                failed = looks.failed_jobs(connection)
                assert not failed, f"jobs failed: {failed}"
                looks.compare(connection, self.clients)
                looks.check_store(self.server.store)
                if sum(self.kills.values()) % OUTSIDE_EVERY == 0:
                    looks.read_by_others(self.server.store, connection)
                self.adopted += len(unfinished)
        except psycopg.OperationalError:
            if self.server.ends_within(5):
                return False
            raise
        return True

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
        orphans, folders = looks.orphans(self.server.store)
        kills = sum(self.kills.values())
        assert orphans <= ORPHANS_MAX * kills, f"{orphans} files that nothing names after {kills} kills"
        old = time.time() - 3 * 24 * 3600
        for path in (self.server.store / "warehouse").rglob("*.parquet"):
            if "_delta_log" not in path.parts:
                os.utime(path, (old, old))
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


def walk(server, points, kills, seed, count, say):
    """Kills a server so many times; answers what was done, or raises what was found."""
    journey = Walk(server, seed, count)
    journey.set_up()
    started = time.monotonic()
    for turn, point in enumerate(schedule(points, kills, journey.random)):
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
    server.must_start()
    assert journey.looked()
    with server.connect() as connection:
        looks.read_by_others(server.store, connection)
    server.kill()
    return journey, journey.clean_up(), time.monotonic() - started


REPORT = """# The last walk

`make soak` wrote this page: {command}
on {date}, seed {seed}, {seconds:.0f} s. What a walk does: [faults](faults.md).

| | |
|---|---|
| kills | {kills} |
| of them at fault points, by the point itself | {at_points} at {points} points |
| at random moments, by SIGKILL | {random} |
| while a store was made for the first time | {newborn} |
| before the server was ready | {unready} |
| statements acknowledged and found again | {answered} |
| acknowledged rows or changes lost | 0 |
| statements found by half | 0 |
| unfinished jobs adopted after a kill | {adopted} |
| conflicts answered 40001, and tried again | {refused} |
| slowest start after a kill | {start:.1f} s |
| data files that no commit named, after the last kill; files too many, after the next sweep | {orphans}; 0 |
| folders of tables that the catalog does not know | {folders} |

Points not reached in this walk: {missed}.

| point | kills |
|---|---|
"""


def report(journey, left, seconds, seed, points):
    kills = journey.kills
    random_kills, newborn = kills.pop(None, 0), kills.pop("first start", 0)
    missed = [point for point in points if not kills[point]]
    text = REPORT.format(
        command=f"`faults.walk {' '.join(sys.argv[2:])}`", date=datetime.date.today(), seed=seed, seconds=seconds,
        kills=sum(kills.values()) + random_kills + newborn, at_points=sum(kills.values()),
        points=sum(1 for point in points if kills[point]), random=random_kills, newborn=newborn, unready=journey.unready,
        answered=sum(client.answered for client in journey.clients), adopted=journey.adopted,
        refused=sum(sum(client.refused.values()) for client in journey.clients), start=journey.slowest_start,
        orphans=left[0], folders=left[1], missed=", ".join(f"`{point}`" for point in missed) or "none")
    return text + "".join(f"| `{point}` | {kills[point]} |\n" for point in points if kills[point])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--points", nargs="*")
    parser.add_argument("--report")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    points = options.points or [point for point in fault_points(options.binary) if point not in UNREACHED]
    # Kept when something is found.
    folder = tempfile.mkdtemp(prefix="lakeport-walk-")
    server = Lakeport(pathlib.Path(folder) / "store", options.binary)
    done = walk(server, points, options.kills, seed, options.clients, lambda text: print(text, flush=True))
    shutil.rmtree(folder)
    text = report(*done, seed, points)
    print(text)
    if options.report:
        pathlib.Path(options.report).write_text(text)


if __name__ == "__main__":
    main()
