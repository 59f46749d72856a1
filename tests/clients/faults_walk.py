# flags: --insecure
"""A short crash walk: kills at fault points and at random moments. `make soak` takes the long one."""

import os
import pathlib
import tempfile

from faults.lakeport import Lakeport
from faults.walk import walk

POINTS = ["log.commit", "log.committed", "catalog.commit", "local.published", "file.staged", "table.made", "table.altered",
          "table.dropped", "backup.packed", "restore.table", "schedule.started"]

with tempfile.TemporaryDirectory(prefix="lakeport-walk-") as folder:
    server = Lakeport(pathlib.Path(folder) / "store", os.environ["TEST_BINARY"])
    walk(server, POINTS, kills=22, seed=7, count=3, say=print)
