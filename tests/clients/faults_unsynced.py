# flags: --insecure
"""A folder that cannot be synced: a commit that a crash may take back is neither acknowledged nor shown."""

import pathlib
import tempfile

from faults.lakeport import Lakeport, refusal

# The folders that an INSERT syncs, in turn: that of its data file, that of its log entry, and the same once more.
ENTRY_ONCE = "local.published:error:2"
ENTRY_TWICE = "local.published:error:2,local.published:error:3"
# It goes on while the server reads its own entry and while others read it.
ENTRY_LONG = ",".join(f"local.published:error:{arrival}" for arrival in (2, 3, 4))


def rows(connection):
    return [row for (row,) in connection.execute("SELECT a FROM t ORDER BY a")]


with tempfile.TemporaryDirectory(prefix="lakeport-unsynced-") as folder:
    server = Lakeport(pathlib.Path(folder) / "store")
    server.must_start()
    with server.connect() as connection:
        connection.execute("CREATE TABLE t (a INT8)")
    server.kill()

    # A second try makes it durable.
    server.must_start(ENTRY_ONCE)
    with server.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        assert rows(connection) == [1]
    server.kill()

    # Without that nobody knows, and the client is told so; what a reader then sees stays.
    server.must_start(ENTRY_TWICE)
    with server.connect() as connection:
        error = refusal(connection, "INSERT INTO t VALUES (2)")
        assert error.sqlstate == "58030" and "may have been made" in str(error), error
        assert "look whether" in error.diag.message_hint, error.diag.message_hint
        assert rows(connection) == [1, 2]
    server.kill()

    server.must_start(ENTRY_LONG)
    with server.connect() as connection:
        assert refusal(connection, "INSERT INTO t VALUES (3)").sqlstate == "58030"
        assert refusal(connection, "SELECT a FROM t").sqlstate == "58030"
        assert rows(connection) == [1, 2, 3]
        connection.execute("INSERT INTO t VALUES (4)")
    server.kill()

    server.must_start()
    with server.connect() as connection:
        assert rows(connection) == [1, 2, 3, 4]
    server.stop()
