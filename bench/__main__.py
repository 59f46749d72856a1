"""The benchmark: `python -m bench [LINE ...] [--small] [--binary FILE]`. Exits with 1 when a floor is missed."""

import argparse
import pathlib
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The counting proxy and the writer of backups are those of the tests.
sys.path.append(str(ROOT / "tests"))

from bench import report
from bench.lines import LINES
from bench.measure import LOADED_CORES
from bench.workbench import Workbench


def main():
    # So that servers are stopped and folders removed, however the run ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    arguments = parse_arguments()
    size = "small" if arguments.small else "full"
    folder = ROOT / ".bench"
    results = folder / f"results-{size}"
    bench = Workbench(folder, arguments.binary.resolve(), arguments.small)
    chosen = [line for line in LINES if (line.name in arguments.lines if arguments.lines else line.usual)]
    try:
        missed = [check for line in chosen for check in measured(line, bench, results) if check.verdict == "missed"]
    finally:
        bench.close()
    path = folder / "benchmarks-small.md" if arguments.small else ROOT / "docs" / "benchmarks.md"
    report.write(path, results, LINES, bench, LOADED_CORES)
    print(f"wrote {path.relative_to(ROOT)}; floors missed: {len(missed)}")
    return 1 if missed else 0


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench")
    names = [line.name for line in LINES]
    rare = ", ".join(line.name for line in LINES if not line.usual)
    parser.add_argument("lines", nargs="*", metavar="LINE", help=f"lines to run: {', '.join(names)}; by default all but {rare}")
    parser.add_argument("--small", action="store_true", help="a tenth of the data; the report goes to .bench/")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target" / "release" / "lakeport", help="the server to run")
    arguments = parser.parse_args()
    for name in set(arguments.lines) - set(names):
        parser.error(f"no line {name!r}; there are {', '.join(names)}")
    return arguments


def measured(line, bench, results):
    print(f"{line.id} {line.name}", flush=True)
    outcome = line.measure(bench)
    report.save(results, line, outcome)
    for table in outcome.tables:
        print(f"  {table.title}: " + ", ".join(f"{entry.name} {report.duration(entry.seconds)}" for entry in table.entries))
    for check in outcome.checks:
        print(f"  {check.verdict:6} {check.what}: {report.figure(check.value, check.unit)} {check.beside}", flush=True)
    return outcome.checks


if __name__ == "__main__":
    sys.exit(main())
