# flags: --insecure
"""COPY INTO a table: each file once, whatever kills the server or whoever else loads the same files."""

import concurrent.futures
import pathlib
import tempfile
import threading

import psycopg

from faults.lakeport import Lakeport, refusal, until

FILES, ROWS = 6, 400
COPY = "COPY INTO t FROM 'nodelocal://1/in/' FILE_FORMAT = (TYPE = CSV)"
EVOLVE = "COPY INTO e FROM 'nodelocal://1/lines/' FILE_FORMAT = (TYPE = NDJSON) SCHEMA_EVOLUTION = ()"


def write(folder, number, rows=ROWS):
    (folder / f"{number}.csv").write_text("".join(f"{number * 1000 + row},{'x' * 50}\n" for row in range(rows)))


def counts(connection):
    return connection.execute("SELECT count(*), count(DISTINCT a) FROM t").fetchone()


def content(connection):
    """The number of columns, which come before the rows of their files, and the rows."""
    found = connection.execute("SELECT * FROM e")
    return len(found.description), found.fetchall()


def loaded(connection, options="", copy=COPY):
    return sum(row[1] for row in connection.execute(f"{copy} {options}").fetchall())


NONE, ALL = (0, 0), (FILES * ROWS, FILES * ROWS)
# Points on the way of a COPY with what is there after a kill, and after the same COPY again.
PLAIN = ("t (a INT, b STRING)", COPY, counts, ALL, {
    "file.stage": NONE, "file.staged": NONE, "log.commit": NONE, "log.committed": ALL, "copy.appended": ALL})
EVOLVING = ("e (a INT)", EVOLVE, content, (2, [(1, 2)]), {
    "log.commit": (1, []), "table.altered": (1, []), "copy.evolved": (2, [])})


def killed(server, table, copy, state, whole, points):
    """Kills a server on its way through a COPY; the next one knows exactly what was loaded."""
    for point, left in points.items():
        server.must_start()
        with server.connect() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {table.split()[0]}")
            connection.execute(f"CREATE TABLE {table}")
        server.kill()
        # Nothing else writes: the first arrival is that of the COPY.
        server.must_start(f"{point}:kill")
        with server.connect() as connection:
            try:
                connection.execute(copy)
            except psycopg.OperationalError:
                pass
        assert server.ends_within(20), f"{point} was not reached"
        server.kill()
        server.must_start()
        with server.connect() as connection:
            assert state(connection) == left, (point, state(connection))
            loaded(connection, copy=copy)
            assert state(connection) == whole, (point, state(connection))
            assert loaded(connection, copy=copy) == 0, point
        server.kill()


def cancelled(server):
    """A load with new columns that is cancelled on its way has left nothing, or is whole; nothing waits for it."""
    for point in ("file.staged", *EVOLVING[-1]):
        server.must_start(f"{point}:delay")
        with server.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS e")
            connection.execute("CREATE TABLE e (a INT)")
            files = lambda: set(server.store.glob("warehouse/*/*/*.parquet"))
            before = files()
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                load = pool.submit(connection.execute, EVOLVE)
                until("rows are staged", lambda: files() - before or load.done())
                while not load.done():
                    connection.cancel()
                error = load.exception()
            left = (1, []) if error else (2, [(1, 2)])
            assert not error or error.sqlstate == "57014", error
            assert content(connection) == left, (point, error, content(connection))
            loaded(connection, copy=EVOLVE)
            assert content(connection) == (2, [(1, 2)]), point
        server.kill()


def at_once(server, clients):
    """All load the same files: each file comes once, and nobody is told otherwise."""
    outcomes = []

    def load():
        with server.connect() as connection:
            try:
                outcomes.append(loaded(connection))
            except psycopg.errors.SerializationFailure:
                outcomes.append(0)

    with server.connect() as connection:
        connection.execute("TRUNCATE t")
        threads = [threading.Thread(target=load) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(outcomes) == FILES * ROWS, outcomes
        assert len(outcomes) == clients and outcomes.count(0) == clients - 1, outcomes
        assert counts(connection) == (FILES * ROWS, FILES * ROWS)


def through_checkpoints(server, connection):
    """A checkpoint keeps the marks of the entries before it."""
    for number in range(230):
        connection.execute("INSERT INTO t VALUES (%s, 'single')", (-number,))
    until("a checkpoint", lambda: list(server.store.glob("warehouse/*/*/_delta_log/_last_checkpoint")))
    assert loaded(connection) == 0


def changed_files(server, folder):
    with server.connect() as connection:
        write(folder, 1, ROWS + 1)
        assert loaded(connection) == ROWS + 1
        assert loaded(connection) == 0
        # PURGE deletes what it has loaded, and nothing else.
        write(folder, 2, 3)
        assert loaded(connection, "PURGE = TRUE") == 3
        assert not (folder / "2.csv").exists() and (folder / "1.csv").exists()


def evolved_at_once(server, folder, clients):
    """Each adds a column that the others add too, and one of its own; who is overtaken begins anew."""
    for number in range(clients):
        lines = folder.with_name(f"lines{number}")
        lines.mkdir()
        (lines / "1.ndjson").write_text(f'{{"a": {number}, "shared": {number}, "own{number}": {number}}}\n')

    def load(number):
        with server.connect() as connection:
            return loaded(connection, copy=EVOLVE.replace("lines", f"lines{number}"))

    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS e")
        connection.execute("CREATE TABLE e (a INT)")
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            assert list(pool.map(load, range(clients))) == [1] * clients
        own = ", ".join(f"own{number}" for number in range(clients))
        rows = connection.execute(f"SELECT a, shared, {own} FROM e ORDER BY a").fetchall()
        expected = [(n, n, *(n if n == other else None for other in range(clients))) for n in range(clients)]
        assert rows == expected, rows


def rights_and_limits(server, folder):
    with server.connect() as connection:
        error = refusal(connection, "COPY INTO t FROM 'nodelocal://1/in/' FILES = ('none.csv') FILE_FORMAT = (TYPE = CSV)")
        assert error.sqlstate == "58P01" and "[3001]" in str(error), error
        many = folder.with_name("many")
        many.mkdir()
        for number in range(15_001):
            (many / f"{number}.csv").write_text("1,x\n")
        copy = "COPY INTO t FROM 'nodelocal://1/many/' FILE_FORMAT = (TYPE = CSV)"
        error = refusal(connection, copy)
        assert error.sqlstate == "54000" and "[1001] Commit limit reached: 15,000 files" in str(error), error
        rows = connection.execute(f"{copy} MAX_FILES = 15000").fetchall()
        assert len(rows) == 15_000, len(rows)
        rows = connection.execute(copy).fetchall()
        assert [row[1] for row in rows] == [1], rows


with tempfile.TemporaryDirectory(prefix="lakeport-copy-") as parent:
    server = Lakeport(pathlib.Path(parent) / "store")
    folder = server.extern / "in"
    folder.mkdir(parents=True)
    for number in range(FILES):
        write(folder, number)
    lines = folder.with_name("lines")
    lines.mkdir()
    (lines / "1.ndjson").write_text('{"a": 1, "extra": 2}\n')
    killed(server, *PLAIN)
    killed(server, *EVOLVING)
    cancelled(server)
    server.must_start()
    evolved_at_once(server, folder, 5)
    at_once(server, 2)
    at_once(server, 8)
    with server.connect() as connection:
        through_checkpoints(server, connection)
    server.kill()
    server.must_start()
    with server.connect() as connection:
        assert loaded(connection) == 0
    changed_files(server, folder)
    rights_and_limits(server, folder)
    server.stop()
print("ok")
