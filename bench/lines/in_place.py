"""The six statements over Parquet files where they lie, in a folder and in a bucket; and one row out of 1,000 files there.

The files are those that EXPORT writes. DuckDB runs in process, on the same files; the newest version of its extension for
buckets needs an older DuckDB. A proxy counts what the server reads of the 1,000 files, footers included: the files have
just been written, and none of them is known."""

import statistics
from functools import partial

from bench import engines
from bench.lines.query import ROUNDS, STATEMENTS, repetitions_of
from bench.measure import in_child, timed
from bench.outcome import LAKEPORT, PEER, Check, Contender, Outcome

FILES, FILE_ROWS = 1000, 100_000


def measure(bench):
    outcome = Outcome()
    table = bench.lineitem(bench.rows)
    files = exported(bench, table)
    with bench.lakeport.connect() as connection:
        connection.execute(f"CREATE EXTERNAL CONNECTION in_place AS '{bench.bucket.uri('in_place')}'")
        connection.execute(f"EXPORT INTO PARQUET 'external://in_place/lineitem' FROM TABLE {table}")
    local = partial(in_child, engines.duckdb_query, files)
    compare(bench, outcome, "local", f"'nodelocal://1/{files[0].parent.name}/'", local)
    place = bench.bucket.facts, "in_place/lineitem"
    in_bucket = partial(in_child, engines.duckdb_bucket_query, *place, packages=engines.WITH_BUCKETS)
    compare(bench, outcome, "bucket", "'external://in_place/lineitem/'", in_bucket, bench.bucket.process)
    selective(bench, outcome)
    return outcome


def exported(bench, table):
    """The files of the table, as EXPORT writes them."""
    folder = bench.data / f"in_place_{bench.rows}"
    if not folder.exists():
        with bench.lakeport.connect() as connection:
            connection.execute(f"EXPORT INTO PARQUET 'nodelocal://1/{folder.name}' FROM TABLE {table}")
    return sorted(folder.glob("*.parquet"))


def compare(bench, outcome, place, source, duckdb, emulator=None):
    """The six statements, and all but count(*), which nobody computes, against DuckDB's times."""
    tables = []
    for name, statement in STATEMENTS.items():
        times = repetitions_of(answered(bench, source, statement, 2, emulator).seconds)
        tables.append(outcome.compare(f"{place}: {name}", [
            Contender("Lakeport", LAKEPORT, lambda: answered(bench, source, statement, times, emulator), " ".join(statement.split())),
            Contender("DuckDB", PEER, lambda: duckdb(statement, times, emulator), "the same"),
        ], ROUNDS))
    ratios = {table.title: table.time_ratio("DuckDB")[table.loaded()] for table in tables[1:]}
    shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    mean = statistics.geometric_mean(ratios.values())
    outcome.checks.append(Check(f"five queries, {place}: geometric mean of time / DuckDB", mean, 1.4, 1.1, beside=shown))


def answered(bench, source, statement, times, emulator):
    with bench.lakeport.connect() as connection:
        statement = statement.replace("FROM lineitem", f"FROM {source}")
        connection.execute(statement).fetchall()
        run = timed(bench.lakeport.process, lambda: connection.execute(statement).fetchall(), times, emulator)
    run.answer = engines.rounded(run.answer)
    return run


def selective(bench, outcome):
    """One row of 1,000 files: how much of them is read."""
    sizes = engines.write_many(bench.scratch / "many", FILES, FILE_ROWS)
    bench.bucket.fill(bench.scratch / "many", "many")
    proxy = bench.bucket.proxy
    with bench.lakeport.connect() as connection:
        connection.execute(f"CREATE EXTERNAL CONNECTION many AS '{bench.bucket.uri('many', proxy.endpoint)}'")
        proxy.use()
        wanted = FILES * FILE_ROWS // 2 + 7
        query = f"SELECT value FROM 'external://many/' WHERE id = {wanted}"
        run = timed(bench.lakeport.process, lambda: connection.execute(query).fetchall())
        assert len(run.answer) == 1, run.answer
        share = proxy.answered_bytes / sum(sizes)
    outcome.checks.append(Check(f"one row of {FILES} files: bytes read / bytes of the files", share, 0.05, 0.02))
    outcome.checks.append(Check(f"one row of {FILES} files, nothing known of them: seconds", run.seconds, 5, 2))
