"""What a server holds, seen by itself and by others, against what its clients were told."""

import json
import pathlib
import re
import sqlite3
import urllib.parse

import psycopg
import pyarrow.parquet

from . import clients
from .lakeport import until

FINAL = ("succeeded", "failed", "canceled")


def compare(connection, workers):
    """Every client's cells as they were acknowledged, or with its unanswered statement whole; adopts what is found."""
    found = [cells(connection, worker) for worker in workers]
    known = {worker.number for worker in workers}
    for worker, held in zip(workers, found):
        before = worker.cells
        after = {key: value for key, value in (before | (worker.pending or {})).items() if value is not None}
        if held == after:
            worker.cells = after
        elif held != before:
            difference = {key: (before.get(key), after.get(key), held.get(key))
                          for key in before.keys() | after.keys() | held.keys()
                          if not before.get(key) == after.get(key) == held.get(key)}
            raise AssertionError(f"client {worker.number}: before, after, found: {difference}")
        worker.pending = None
    strangers = connection.execute("SELECT DISTINCT writer FROM batches").fetchall()
    assert {writer for (writer,) in strangers} <= known, strangers
    compare_counters(connection, workers)


def compare_counters(connection, workers):
    """No increment is lost, none is made twice."""
    for counter, value in connection.execute("SELECT id, n FROM counters").fetchall():
        sure = sum(worker.increments[counter] for worker in workers)
        unsure = sum(worker.unsure_increments[counter] for worker in workers)
        assert sure <= value <= sure + unsure, f"counter {counter} is {value}, not {sure} to {sure + unsure}"
        workers[0].increments[counter] += value - sure
        for worker in workers:
            worker.unsure_increments[counter] = 0


def cells(connection, worker):
    """All that belongs to one client."""
    number = worker.number
    found = {("shape",): shape(connection, number), ("connection",): definition(connection, number)}
    found |= backups(connection, worker) | loads(connection, number)
    batches = connection.execute(
        "SELECT batch, count(*), count(DISTINCT item), min(note), max(note), min(item), max(item) FROM batches"
        f" WHERE writer = {number} GROUP BY batch").fetchall()
    for batch, rows, items, least, most, first, last in batches:
        assert rows == items and (first, last) == (0, rows - 1), f"rows of batch {batch}: {rows}, {items} different"
        assert least == most, f"half a statement: batch {batch} has notes {least!r} and {most!r}"
        found["batch", batch] = (rows, least)
    for path, size in connection.execute(
            "SELECT path, size_bytes FROM [SHOW USERFILES] WHERE path LIKE %s", [f"walk-{number}-%"]).fetchall():
        found["file", int(path.rsplit("-", 1)[1])] = size
    pattern = f"import\\_{number}\\_%"
    for (name,) in connection.execute("SELECT table_name FROM information_schema.tables WHERE table_name LIKE %s", [pattern]):
        rows, items = connection.execute(f"SELECT count(*), count(DISTINCT item) FROM {name}").fetchone()
        assert rows == items, f"{name} has {rows} rows, {items} different"
        found["import", int(name.rsplit("_", 1)[1])] = rows
    return found


def loads(connection, number):
    """The cells of a client's stage and of the table that its files are loaded into: how many of them, from the first on."""
    staged = connection.execute(f"SELECT name FROM [LIST @staged_{number}] ORDER BY 1").fetchall()
    assert [name for (name,) in staged] == [f"{file}.csv" for file in range(len(staged))], staged
    loaded = connection.execute(
        f"SELECT file, count(*), count(DISTINCT item) FROM loaded_{number} GROUP BY file ORDER BY file").fetchall()
    whole = [(file, clients.STAGED_ROWS, clients.STAGED_ROWS) for file in range(len(loaded))]
    assert loaded == whole, f"a file was loaded by half or twice: {loaded}"
    counts = {("staged",): len(staged), ("loaded",): len(loaded)}
    return {key: count for key, count in counts.items() if count}


def shape(connection, number, database=None):
    """The columns of a client's table, or of a copy of it, each with the one value that all rows have."""
    table = f"{database}.shape_{number}" if database else f"shape_{number}"
    with connection.cursor() as cursor:
        rows = cursor.execute(f"SELECT * FROM {table}").fetchall()
        names = [column.name for column in cursor.description]
    place = names.index("id")
    assert sorted(row[place] for row in rows) == list(range(1, clients.SHAPE_ROWS + 1)), rows
    values = {name: {row[index] for row in rows} for index, name in enumerate(names) if name != "id"}
    mixed = {name: found for name, found in values.items() if len(found) != 1}
    assert not mixed, f"half an ALTER TABLE: {mixed}"
    catalog = None if database else connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
        [f"shape_{number}"]).fetchall()
    assert database or [name for (name,) in catalog] == names, (catalog, names)
    return tuple((name, None if name == "id" else values[name].copy().pop()) for name in names)


def backups(connection, worker):
    """The cells of a client's backups: layers, a copy, keys, a schedule."""
    number, found = worker.number, {}
    layers = known_layers(connection, worker)
    if layers:
        found["layers",] = layers
    if connection.execute(f"SELECT 1 FROM [SHOW TABLES FROM copies_{number}]").fetchall():
        found["copy",] = shape(connection, number, f"copies_{number}")
    if worker.has_keys:
        found["keys",] = sum(opens(connection, number, key) for key in ("first", "second"))
    for (command,) in connection.execute(f"SELECT command FROM [SHOW SCHEDULES] WHERE label = 'walk_{number}'"):
        found["schedule",] = int(re.search(rf"/scheduled-{number}-(\d+)", str(command))[1])
    return found


def known_layers(connection, worker):
    """What the layers of the newest chain hold: as the client knows it, if the newest and another one do hold that."""
    place = clients.collection("backups", worker.number)
    options = f"WITH {worker.key}" if worker.key else ""
    if not connection.execute(f"SELECT 1 FROM [SHOW BACKUPS IN '{place}']").fetchall():
        return ()
    ends = connection.execute(
        f"SELECT DISTINCT end_time::STRING FROM [SHOW BACKUP LATEST IN '{place}' {options}] ORDER BY 1").fetchall()
    if worker.seen_layers[0] == ends:
        return worker.seen_layers[1]
    held = layer(connection, worker, ends[-1][0])
    for layers in worker.cells.get(("layers",), ()), (worker.pending or {}).get(("layers",), ()):
        if len(layers) == len(ends) and layers[-1] == held:
            chosen = worker.random.randrange(len(ends))
            older = layer(connection, worker, ends[chosen][0])
            assert older == layers[chosen], f"layer {chosen} of {len(ends)} holds {older}, not {layers[chosen]}"
            worker.seen_layers = (ends, layers)
            return layers
    return (len(ends), held)


def layer(connection, worker, end):
    """What a layer holds, by a restore of it."""
    number = worker.number
    place, options = clients.collection("backups", number), f", {worker.key}" if worker.key else ""
    # An earlier look may have met a fault.
    connection.execute(f"DROP DATABASE IF EXISTS look_{number} CASCADE")
    connection.execute(f"CREATE DATABASE look_{number}")
    connection.execute(f"RESTORE TABLE shape_{number} FROM LATEST IN '{place}' AS OF SYSTEM TIME '{end}'"
                       f" WITH into_db = 'look_{number}'{options}")
    held = shape(connection, number, f"look_{number}")
    connection.execute(f"DROP DATABASE look_{number} CASCADE")
    return held


def opens(connection, number, key):
    """Whether a key opens a client's chain."""
    try:
        connection.execute(f"SHOW BACKUP LATEST IN '{clients.collection('keys', number)}' WITH kms = 'external://{key}'")
    except psycopg.errors.InvalidParameterValue as error:
        assert "was not used when encrypting" in str(error), error
        return False
    return True


def unfinished_layers(store):
    """Folders of backups that have files and no list of them, and locks that nobody gave back."""
    extern = pathlib.Path(store) / "extern"
    packs = {path.parent.parent for path in extern.rglob("*.pack")}
    return {path for path in packs if not (path / "BACKUP_MANIFEST").exists()} | set(extern.rglob("BACKUP-LOCK"))


def definition(connection, number):
    """The version that every part of a connection's definition tells of."""
    name = f"moving_{number}"
    (statement,) = connection.execute(
        f"SELECT create_statement FROM [SHOW CREATE EXTERNAL CONNECTION '{name}']").fetchone()
    (shown,) = connection.execute(
        "SELECT connection_uri FROM [SHOW EXTERNAL CONNECTIONS] WHERE connection_name = %s", [name]).fetchone()
    uri = re.search(r" AS '(.*)'$", statement)[1]
    versions = set(re.findall(r"(?:bucket|folder|key|secret|host|region)-(\d+)", urllib.parse.unquote(uri)))
    shown_versions = set(re.findall(r"(?:bucket|folder)-(\d+)", shown))
    assert len(versions) == 1 and shown_versions == versions, f"mixed parameters: {uri}, shown as {shown}"
    return int(versions.pop())


def unfinished_jobs(connection):
    return connection.execute(f"SELECT job_id, status FROM [SHOW JOBS] WHERE status NOT IN {FINAL}").fetchall()


def failed_jobs(connection):
    return connection.execute("SELECT job_id, status, error FROM [SHOW JOBS] WHERE status IN ('failed', 'canceled')").fetchall()


# The store on disk.

def rows(store):
    """Id, database and name of each table, as the catalog's own file has them."""
    with sqlite3.connect(f"file:{store}/catalog.db?mode=ro", uri=True) as catalog:
        found = catalog.execute("SELECT CAST(id AS TEXT), CAST(database AS TEXT), name FROM tables").fetchall()
        (ok,) = catalog.execute("PRAGMA quick_check").fetchone()
    assert ok == "ok", ok
    return found


def tables(store):
    """Folder of each table of the catalog by name; of one of them, when several have it."""
    return {name: pathlib.Path(store) / "warehouse" / database / identity for identity, database, name in rows(store)}


def named_files(folder):
    """The data files of a table's latest version, and those of earlier ones, by the rules of Delta's protocol."""
    log, live, gone, first = folder / "_delta_log", set(), set(), 0
    hint = log / "_last_checkpoint"
    if hint.exists():
        version = json.loads(hint.read_text())["version"]
        for part in log.glob(f"{version:020}.checkpoint*.parquet"):
            rows = pyarrow.parquet.read_table(part, columns=["add", "remove"]).to_pylist()
            live |= {row["add"]["path"] for row in rows if row["add"]}
            gone |= {row["remove"]["path"] for row in rows if row["remove"]}
        first = version + 1
    for version in range(first, 1 << 60):
        entry = log / f"{version:020}.json"
        if not entry.exists():
            return live, gone
        for line in entry.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                live.add(action["add"]["path"])
            if "remove" in action:
                live.discard(action["remove"]["path"])
                gone.add(action["remove"]["path"])


def data_files(folder):
    """The Parquet files below a table's folder, those of its log aside."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts}


def check_store(store, is_running=lambda: True):
    """Catalog and warehouse agree: every table has its log and every file that it names, and nothing is half written."""
    store = pathlib.Path(store)
    for name, folder in tables(store).items():
        missing = named_files(folder)[0] - data_files(folder)
        assert not missing, f"files of {name} are gone: {missing}"
    # What the upkeep of a server that runs is writing gets its name soon.
    staged = lambda: [path for path in (store / "warehouse").rglob(".tmp-*")]
    until(f"no half written file is left, such as {staged()}", lambda: not staged() or not is_running(), 30)
    spilled = [path for path in (store / "spill").rglob("*") if path.is_file()]
    assert not spilled, f"spilled rows of a killed server are left: {spilled}"


def orphans(store):
    """How many data files no commit names."""
    count = 0
    for folder in tables(store).values():
        live, gone = named_files(folder)
        files = {path for path in data_files(folder) if not path.startswith("_change_data/")}
        count += len(files - live - gone)
    return count


def unknown_folders(store):
    """Folders of tables that the catalog does not know."""
    warehouse = pathlib.Path(store) / "warehouse"
    return set(warehouse.glob("[0-9]*/[0-9]*")) - {warehouse / database / identity for identity, database, _ in rows(store)}


def unneeded(store):
    """Files that the latest versions of the tables do without."""
    return sum(len(data_files(folder) - named_files(folder)[0]) for folder in tables(store).values())


def read_by_others(store, connection):
    """DuckDB's own reader of Delta tables finds the rows that SQL finds."""
    import duckdb
    from duckdb_extensions import import_extension

    with duckdb.connect() as reader:
        import_extension("delta", con=reader)
        reader.execute("LOAD delta")
        folders = tables(store)
        for name, folder in folders.items():
            (ours,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
            (theirs,) = reader.execute(f"SELECT count(*) FROM delta_scan('{folder}')").fetchone()
            assert ours == theirs, f"{name} has {ours} rows, DuckDB reads {theirs}"
        if "batches" not in folders:
            return
        sums = "SELECT writer, count(*), sum(batch * (item + 1))::BIGINT, min(note), max(note) FROM {} GROUP BY writer"
        theirs = reader.execute(sums.format(f"delta_scan('{folders['batches']}')")).fetchall()
        ours = connection.execute(sums.format("batches")).fetchall()
        assert sorted(ours) == sorted(theirs), (ours, theirs)
