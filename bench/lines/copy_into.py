"""COPY INTO: a staged CSV file becomes a committed, durable table. DuckDB makes a table of a durable database file of it."""

from bench import engines
from bench.growth import check_growth
from bench.lines.import_csv import imported
from bench.measure import in_child
from bench.outcome import LAKEPORT, PEER, Check, Contender, Outcome

MIB = 1 << 20


def measure(bench):
    outcome = Outcome()
    with bench.lakeport.connect() as connection:
        connection.execute("CREATE STAGE csv URL = 'fs:///' FILE_FORMAT = (TYPE = CSV, SKIP_HEADER = 1)")
    source, database = bench.csv(bench.rows), str(bench.scratch / "loaded.duckdb")
    table = outcome.compare(f"COPY INTO ({bench.rows:,} rows, {source.stat().st_size / 1e6:.0f} MB)", [
        Contender("Lakeport", LAKEPORT, lambda: copied(bench, bench.rows), statement("t", bench.rows)),
        Contender("DuckDB", PEER, lambda: in_child(engines.duckdb_load, engines.read_csv(source), database),
                  "CREATE TABLE t AS SELECT * FROM read_csv(csv, columns = ...); CHECKPOINT; fsync"),
    ], bench.rounds)
    outcome.check_time(table, "DuckDB", 1.3, 1.0)
    outcome.checks.append(Check("COPY INTO: peak memory", table.lakeport.peak_bytes / MIB, 1024, 512, unit="MiB"))
    check_growth(outcome, "COPY INTO", bench.sizes, [copied(bench, rows) for rows in bench.sizes], 1.05, 1.03)
    return outcome


def statement(table, rows):
    return f"COPY INTO {table} FROM @csv/lineitem-{rows}.csv"


def copied(bench, rows):
    return imported(bench, rows, statement)
