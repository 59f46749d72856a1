"""IMPORT INTO: a CSV file becomes a committed, durable table. The peers write one durable Parquet file, zstd as well."""

from bench import engines, lineitem, limits
from bench.growth import check_growth
from bench.lakeport import import_statement
from bench.measure import in_child, timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Outcome

MIB = 1 << 20


def measure(bench):
    outcome = Outcome()
    source = bench.csv(bench.rows)
    target = bench.scratch / "imported.parquet"
    duckdb_options = "FORMAT parquet, COMPRESSION zstd"

    def peer(work, *arguments):
        run = in_child(work, *arguments)
        run.answer = in_child(engines.duckdb_fingerprint, engines.read_parquet([target]))
        return run

    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: imported(bench, bench.rows), import_statement("t", bench.rows)),
        Contender("polars", PEER, lambda: peer(engines.polars_import, source, target),
                  'scan_csv(csv, schema=...).sink_parquet(file, compression="zstd"); fsync'),
        Contender("DuckDB", PEER, lambda: peer(engines.duckdb_copy, engines.read_csv(source), target, duckdb_options),
                  f"COPY (SELECT * FROM read_csv(csv, columns = ...)) TO file ({duckdb_options}); fsync"),
        Contender("zstd", LIMIT, lambda: limits.compressed(source, bench.scratch / "csv.zst"), "zstd -3 -T0 csv; fsync"),
    ]
    size = f"{bench.rows:,} rows, {source.stat().st_size / 1e6:.0f} MB"
    table = outcome.compare(f"IMPORT CSV ({size})", contenders, bench.rounds)
    outcome.check_time(table, "DuckDB", 1.25, 0.75)
    outcome.check_time(table, "polars", 1.5, 1.0)
    outcome.checks.append(Check("IMPORT CSV: peak memory", table.lakeport.peak_bytes / MIB, 1024, 512, unit="MiB"))
    smaller = [imported(bench, rows) for rows in bench.sizes[:-1]]
    check_growth(outcome, "IMPORT CSV", bench.sizes, [*smaller, imported(bench, bench.rows)], 1.05, 1.03)
    return outcome


def imported(bench, rows, statement=import_statement):
    """One load of so many rows into a new table, which goes again."""
    bench.csv(rows)
    with bench.lakeport.connect() as connection:
        connection.execute(f"CREATE TABLE imported ({lineitem.SQL_COLUMNS})")
        run = timed(bench.lakeport.process, lambda: connection.execute(statement("imported", rows)).fetchone())
        run.answer = connection.execute(lineitem.FINGERPRINT + "imported").fetchone()
        connection.execute("DROP TABLE imported")
    return run
