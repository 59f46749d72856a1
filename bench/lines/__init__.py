"""The lines of the benchmark. A line is one file with `measure(workbench)`, and one entry here."""

from dataclasses import dataclass
from typing import Callable

from bench.lines import (backup, commit, connection, copy_into, copy_out, export, import_csv, in_place, large, layers, listing,
                         objects, protocol, query, rekey, start)


@dataclass
class Line:
    # As the plan of performance numbers it.
    id: str
    name: str
    measure: Callable
    # Whether it is run when no line is named.
    usual: bool = True

    @property
    def title(self):
        return f"{self.id} {self.name}"

    @property
    def work(self):
        """What is measured, in the module's own words."""
        return self.measure.__globals__["__doc__"].strip()


LINES = [
    Line("B1", "import", import_csv.measure),
    Line("B1", "copy_into", copy_into.measure),
    Line("B2", "export", export.measure),
    Line("B3", "query", query.measure),
    Line("B3p", "in_place", in_place.measure),
    Line("B5-B6", "backup", backup.measure),
    Line("B6-B7", "layers", layers.measure),
    Line("B5-B7", "large", large.measure, usual=False),
    Line("B8", "rekey", rekey.measure),
    Line("B9", "listing", listing.measure),
    Line("B13", "commit", commit.measure),
    Line("B14", "connection", connection.measure),
    Line("B15", "protocol", protocol.measure),
    Line("B16", "copy", copy_out.measure),
    Line("B18", "objects", objects.measure),
    Line("B21", "start", start.measure),
]
