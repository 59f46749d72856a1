"""EXPORT INTO: a table becomes durable files in a folder. DuckDB reads the same Parquet files and writes one file."""

import shutil

from bench import engines, limits
from bench.growth import check_growth
from bench.measure import in_child, timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Contender, Outcome

FORMATS = {
    "CSV": ("", "FORMAT csv, HEADER false"),
    "PARQUET": (" WITH compression = 'snappy'", "FORMAT parquet, COMPRESSION snappy"),
}


def measure(bench):
    outcome = Outcome()
    files = bench.lakeport.data_files(bench.lineitem(bench.rows))
    for name, (options, duckdb_options) in FORMATS.items():
        compare(bench, outcome, name, options, duckdb_options, files)
        runs = [exported(bench, name, options, rows) for rows in bench.sizes]
        check_growth(outcome, f"EXPORT {name}", bench.sizes, runs, 1.05, 1.0)
    return outcome


def compare(bench, outcome, name, options, duckdb_options, files):
    target = bench.scratch / f"exported.{name.lower()}"
    # Reads as much and writes as much as the format needs.
    sources = [bench.csv(bench.rows)] if name == "CSV" else files

    def duckdb():
        run = in_child(engines.duckdb_copy, engines.read_parquet(files), target, duckdb_options)
        run.answer = in_child(engines.duckdb_fingerprint, relation(name, [target]))
        return run

    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: exported(bench, name, options, bench.rows),
                  f"EXPORT INTO {name} 'nodelocal://1/out'{options} FROM TABLE lineitem"),
        Contender("DuckDB", PEER, duckdb, f"COPY (SELECT * FROM read_parquet(files)) TO file ({duckdb_options}); fsync"),
        Contender("copy", LIMIT, lambda: limits.copied(sources, target), "read and write as many bytes; fsync"),
    ]
    table = outcome.compare(f"EXPORT {name} ({bench.rows:,} rows)", contenders, bench.rounds)
    outcome.check_time(table, "DuckDB", 1.25, 1.0)


def exported(bench, name, options, rows):
    table = bench.lineitem(rows)
    folder = bench.data / "out"
    statement = f"EXPORT INTO {name} 'nodelocal://1/out'{options} FROM TABLE {table}"
    with bench.lakeport.connect() as connection:
        run = timed(bench.lakeport.process, lambda: connection.execute(statement).fetchall())
    run.answer = in_child(engines.duckdb_fingerprint, relation(name, sorted(folder.iterdir())))
    shutil.rmtree(folder)
    if rows != bench.rows:
        run.answer = None
    return run


def relation(name, files):
    if name == "CSV":
        listed = ", ".join(f"'{file}'" for file in files)
        return engines.read_csv("", header=False).replace("''", f"[{listed}]", 1)
    return engines.read_parquet(files)
