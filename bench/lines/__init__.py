"""The lines of the benchmark. A line is one file with `measure(workbench)`, and one entry here."""

from dataclasses import dataclass
from typing import Callable

from bench.lines import backup, commit, connection, copy_out, export, import_csv, protocol, query, start


@dataclass
class Line:
    # As the plan of performance numbers it.
    id: str
    name: str
    measure: Callable

    @property
    def work(self):
        """What is measured, in the module's own words."""
        return self.measure.__globals__["__doc__"].strip()


LINES = [
    Line("B1", "import", import_csv.measure),
    Line("B2", "export", export.measure),
    Line("B3", "query", query.measure),
    Line("B5-B7", "backup", backup.measure),
    Line("B13", "commit", commit.measure),
    Line("B14", "connection", connection.measure),
    Line("B15", "protocol", protocol.measure),
    Line("B16", "copy", copy_out.measure),
    Line("B21", "start", start.measure),
]
