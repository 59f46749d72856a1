"""docs/benchmarks.md from the outcomes of lines."""

import dataclasses
import datetime
import json
import math
import os
import platform
import re
import sqlite3
import subprocess
from importlib.metadata import version as package_version

from bench import emulators, engines, lakeport, postgres, tools
from bench.outcome import LIMIT, PEER, Check, Entry, Outcome, Table

HEAD = """# Benchmarks

Lakeport, a peer and what the machine can do at best, in turn (A B C A B C A B C) on the same data in one run. Answers are
compared before a time counts. Both sides sync what they write, or neither does. Written by `make bench`; what a line does
and how to choose lines: [bench/README.md](../bench/README.md).

`floor` is what must hold, `goal` what is aimed at. A ratio of times is judged by time on the wall on a quiet machine; where
others kept more than {loaded} cores busy, by CPU time, and both are shown. `others` is the number of cores that neither the
contender nor its client used. Times are medians; CPU time is the server's, of all its threads.
"""
SUMMARY = ["## Floors and goals", "", "| line | what | measured | floor | goal | verdict |", "|---|---|---|---|---|---|"]
MIB = 1 << 20


def save(folder, line, outcome):
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    stored = dict(dataclasses.asdict(outcome), at=f"{now} on {machine()}")
    (folder / f"{line.name}.json").write_text(json.dumps(stored, indent=1))


def load(folder, line):
    """A line's last outcome and when and where it was, or nothing."""
    file = folder / f"{line.name}.json"
    if not file.exists():
        return None
    stored = json.loads(file.read_text())
    tables = [Table(table["title"], [Entry(**entry) for entry in table["entries"]]) for table in stored["tables"]]
    checks = [Check(**check) for check in stored["checks"]]
    return Outcome(tables, checks, stored["notes"], stored.get("left_out", [])), stored["at"]


def write(path, folder, lines, bench, loaded):
    """Writes the lines that have an outcome in `folder`; the page keeps what it says of others."""
    before = path.read_text() if path.exists() else ""
    rows, parts = [], []
    for line in lines:
        if found := load(folder, line):
            outcome, at = found
            rows += summary(line, outcome)
            parts.append(details(line, outcome, at))
        else:
            rows += [row for row in before.splitlines() if row.startswith(f"| {line.title} |")]
            parts += re.findall(rf"^## {line.title}\n.*?(?=^## |\Z)", before, re.DOTALL | re.MULTILINE)
    head = [HEAD.format(loaded=loaded), versions(bench)]
    path.write_text("\n".join(head + ["\n".join(SUMMARY + rows) + "\n"] + [part.rstrip() + "\n" for part in parts]))


def machine():
    model = next(line.split(": ")[1] for line in open("/proc/cpuinfo").read().splitlines() if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {platform.system()} {platform.release()}"


def versions(bench):
    zstd = subprocess.run(["zstd", "--version"], capture_output=True, text=True, check=True).stdout
    names = {"Lakeport": lakeport.version(bench.binary).split()[-1] + f" ({bench.binary.parent.name})",
             "DuckDB": package_version("duckdb"), "DuckDB in buckets": engines.version_with_buckets(), "polars": package_version("polars"), "PostgreSQL": postgres.version(),
             "SQLite": sqlite3.sqlite_version, "psycopg": package_version("psycopg"),
             "zstd": zstd.split("v")[1].split(",")[0], "s5cmd": emulators.s5cmd_version(), **tools.versions()}
    return "Versions at the last run: " + ", ".join(f"{name} {version}" for name, version in names.items()) + ".\n"


def summary(line, outcome):
    """A row for each floor and goal."""
    rows = []
    for check in outcome.checks:
        beside = f" ({check.beside})" if check.beside else ""
        rows.append(f"| {line.title} | {check.what} | {figure(check.value, check.unit)}{beside} | {bar(check, check.floor)} | "
                    f"{bar(check, check.goal)} | {check.verdict} |")
    return rows


def figure(value, unit):
    text = f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{text} {unit}".strip() if unit != "x" else f"{text}x"


def bar(check, value):
    if not value or math.isinf(value):
        return ""
    return ("<= " if check.at_most else ">= ") + figure(value, check.unit)


def details(line, outcome, at):
    parts = [f"## {line.title}", "", line.work, "", f"Measured {at}.", ""]
    for table in outcome.tables:
        parts += [f"**{table.title}**", "", *table_rows(table), ""]
    parts += ["Commands:", ""] + commands(outcome)
    parts += ["", f"Not run: {len(outcome.left_out)}" + "".join(f"; {reason}" for reason in outcome.left_out) + "."] if outcome.left_out else []
    parts += [""] + outcome.notes if outcome.notes else []
    return "\n".join(parts) + "\n"


def table_rows(table):
    ours = table.lakeport
    rows = ["| | median | fastest to slowest | Lakeport is | CPU | Lakeport's CPU is | peak memory | others |",
            "|---|---|---|---|---|---|---|---|"]
    for entry in table.entries:
        other = entry.role in (PEER, LIMIT)
        times = f"{ours.seconds / entry.seconds:.2f}x" if other else ""
        cpu = f"{ours.cpu_seconds / entry.cpu_seconds:.2f}x" if other and entry.cpu_seconds > 1e-6 else ""
        memory = f"{entry.peak_bytes / MIB:.0f} MiB" if entry.peak_bytes else ""
        name = f"{entry.name} (limit)" if entry.role == LIMIT else entry.name
        rows.append(f"| {name} | {duration(entry.seconds)} | {duration(entry.fastest)} to {duration(entry.slowest)} | {times} | "
                    f"{duration(entry.cpu_seconds)} | {cpu} | {memory} | {entry.others:.1f} |")
    return rows


def commands(outcome):
    every = {}
    for table in outcome.tables:
        for entry in table.entries:
            if entry.command != "the same":
                every.setdefault(f"* {entry.name}: `{entry.command}`")
    return list(every)


def duration(seconds):
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.3g} us"
