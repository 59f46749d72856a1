"""What a walk has found, as a page."""

import datetime
import pathlib
import subprocess

REPORT = """# The last walk

`make soak` wrote this page: {command}
on {date}, commit {commit}, seed {seed}, {seconds:.0f} s. What a walk does: [faults](faults.md).

| | |
|---|---|
| kills | {kills} |
| of them at fault points, by the point itself | {at_points} at {points} points |
| at random moments, by SIGKILL | {random} |
| while a store was made for the first time | {newborn} |
| before the server was ready | {unready} |
| lives with an injected error, full disk, panic or delay before the kill | {failures} |
| statements acknowledged and found again | {answered} |
| acknowledged rows or changes lost | 0 |
| statements found by half | 0 |
| unfinished jobs adopted after a kill | {adopted} |
| conflicts answered 40001, and tried again | {refused} |
| slowest start after a kill | {start:.1f} s |
| data files that no commit named, after the last kill; files too many, after the next sweep | {orphans}; 0 |
| folders of tables that the catalog does not know, after the last kill; after the next start | {folders}; 0 |

Points not reached in this walk: {missed}.

| point | kills |
|---|---|
"""


def unready(journey):
    """How many kills met a server that was not ready, and at which points."""
    at = ", ".join(f"{count} at `{point}`" for point, count in journey.unready.items())
    return f"{journey.unready.total()}: {at}" if at else "0"


def commit():
    """The sources, as git names them."""
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True).stdout.strip()


def report(journey, left, seconds, arguments, seed, points):
    """The page that tells of one walk."""
    kills = journey.kills
    random_kills, newborn = kills.pop(None, 0), kills.pop("first start", 0)
    missed = [point for point in points if not kills[point]]
    text = REPORT.format(
        command=f'`make soak ARGS="{arguments}"`',
        date=datetime.date.today(), commit=commit(), seed=seed, seconds=seconds,
        kills=sum(kills.values()) + random_kills + newborn, at_points=sum(kills.values()),
        points=sum(1 for point in points if kills[point]), random=random_kills, newborn=newborn, unready=unready(journey),
        failures=", ".join(f"{count} {action}" for action, count in sorted(journey.failures.items()) if count) or "none",
        answered=sum(client.answered for client in journey.clients), adopted=journey.adopted,
        refused=sum(sum(client.refused.values()) for client in journey.clients), start=journey.slowest_start,
        orphans=left[0], folders=left[1], missed=", ".join(f"`{point}`" for point in missed) or "none")
    return text + "".join(f"| `{point}` | {kills[point]} |\n" for point in points if kills[point])
