"""What a line found: contenders side by side, and checks against its floor and goal."""

from dataclasses import dataclass, field
from typing import Callable

from bench.measure import LOADED_CORES, Run, median, touch_memory

LAKEPORT, PEER, LIMIT = "Lakeport", "peer", "limit"


class Disagreement(Exception):
    """Two contenders gave different answers, so their times mean nothing."""


@dataclass
class Contender:
    name: str
    role: str
    run: Callable[[], Run]
    # What a reader would type to do the same.
    command: str


@dataclass
class Entry:
    """The medians of a contender."""

    name: str
    role: str
    command: str
    seconds: float
    fastest: float
    slowest: float
    cpu_seconds: float
    peak_bytes: int
    others: float


@dataclass
class Table:
    title: str
    entries: list[Entry]

    def entry(self, name):
        return next(entry for entry in self.entries if entry.name == name)

    @property
    def lakeport(self):
        return next(entry for entry in self.entries if entry.role == LAKEPORT)

    def loaded(self):
        return max(entry.others for entry in self.entries) > LOADED_CORES

    def time_ratio(self, peer):
        """Time on the wall as a multiple of the peer's, and CPU time likewise."""
        ours, theirs = self.lakeport, self.entry(peer)
        return ours.seconds / theirs.seconds, ours.cpu_seconds / max(theirs.cpu_seconds, 1e-6)


@dataclass
class Check:
    what: str
    value: float
    floor: float
    goal: float | None
    # Whether a smaller value is the better one.
    at_most: bool = True
    unit: str = "x"
    beside: str = ""

    def reaches(self, bar):
        if bar is None:
            return False
        return self.value <= bar if self.at_most else self.value >= bar

    @property
    def verdict(self):
        return "goal" if self.reaches(self.goal) else "floor" if self.reaches(self.floor) else "missed"


@dataclass
class Outcome:
    tables: list[Table] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Peers that were not run, each with the reason.
    left_out: list[str] = field(default_factory=list)

    def compare(self, title, contenders, rounds, memory_bytes=0):
        """Runs the contenders in turn, and keeps their medians once their answers agree. Each finds so much memory ready for use."""
        runs = {contender.name: [] for contender in contenders}
        for _ in range(rounds):
            for contender in contenders:
                touch_memory(memory_bytes)
                runs[contender.name].append(contender.run())
        check_answers(title, runs)
        self.tables.append(Table(title, [entry_of(contender, runs[contender.name]) for contender in contenders]))
        return self.tables[-1]

    def check_time(self, table, peer, floor, goal):
        """Time must not be more than so many times the peer's; by CPU time when others were at work."""
        wall, cpu = table.time_ratio(peer)
        value = cpu if table.loaded() else wall
        self.checks.append(Check(f"{table.title}: time / {peer}", value, floor, goal, beside=both(wall, cpu)))

    def check_rate(self, table, peer, floor, goal):
        """The rate must be at least so many times the peer's."""
        wall, cpu = (1 / ratio for ratio in table.time_ratio(peer))
        value = cpu if table.loaded() else wall
        self.checks.append(
            Check(f"{table.title}: rate / {peer}", value, floor, goal, at_most=False, beside=both(wall, cpu)))


def both(wall, cpu):
    return f"wall {wall:.2f}, CPU {cpu:.2f}"


def check_answers(title, runs):
    given = [(name, run.answer) for name, of_one in runs.items() for run in of_one if run.answer is not None]
    for name, answer in given[1:]:
        if answer != given[0][1]:
            raise Disagreement(f"{title}: {given[0][0]} answers {given[0][1]}, {name} answers {answer}")


def entry_of(contender, runs):
    seconds = [run.seconds for run in runs]
    return Entry(contender.name, contender.role, contender.command, median(runs, "seconds"), min(seconds), max(seconds),
                 median(runs, "cpu_seconds"), median(runs, "peak_bytes"), median(runs, "others"))
