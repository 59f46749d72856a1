"""Six statements over a table, through the wire. DuckDB and polars run in process, on the table's own Parquet files."""

import statistics

from bench import engines, limits
from bench.growth import check_growth
from bench.measure import in_child, timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Outcome

STATEMENTS = {
    "count": "SELECT count(*) FROM lineitem",
    "filter and sum (Q6)": """
        SELECT sum(l_extendedprice * l_discount) FROM lineitem
        WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01'
            AND l_discount BETWEEN 0.045 AND 0.075 AND l_quantity < 24""",
    "group by 2 (Q1)": """
        SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), sum(l_extendedprice * (1 - l_discount)),
            sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)), avg(l_quantity), avg(l_extendedprice), avg(l_discount),
            count(*)
        FROM lineitem WHERE l_shipdate <= DATE '1998-09-02' GROUP BY l_returnflag, l_linestatus""",
    "group by 200,000 keys": """
        SELECT l_partkey, count(*) AS lines, sum(l_quantity) AS quantity FROM lineitem
        GROUP BY l_partkey ORDER BY quantity DESC, l_partkey LIMIT 10""",
    "LIKE": "SELECT count(*) FROM lineitem WHERE l_comment LIKE '%special%requests%'",
    "all 16 columns": """
        SELECT sum(l_orderkey + l_partkey + l_suppkey + l_linenumber), sum(l_quantity + l_extendedprice + l_discount + l_tax),
            sum(CASE WHEN l_shipdate < l_commitdate AND l_commitdate < l_receiptdate THEN 1 ELSE 0 END),
            sum(length(l_returnflag)), sum(length(l_linestatus)), sum(length(l_shipinstruct)), sum(length(l_shipmode)),
            sum(length(l_comment))
        FROM lineitem""",
}
ROUNDS = 5
# A round is long enough for the kernel's clock of CPU time, which ticks a hundred times a second.
ROUND_SECONDS, ROUND_TIMES_MAX = 1.0, 200


def measure(bench):
    outcome = Outcome()
    table = bench.lineitem(bench.rows)
    files = bench.lakeport.data_files(table)
    for name, statement in STATEMENTS.items():
        compare(bench, outcome, name, statement, table, files)
    check_ratios(outcome)
    for name in ("count", "LIKE"):
        runs = [repeated(bench, bench.lineitem(rows), STATEMENTS[name]) for rows in bench.sizes]
        floor, goal = (0.1, 0.05) if name == "count" else (1.0, 0.9)
        check_growth(outcome, name, bench.sizes, runs, floor, goal)
    return outcome


def compare(bench, outcome, name, statement, table, files):
    times = repetitions(bench, table, statement)
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: answered(bench, table, statement, times), " ".join(statement.split())),
        Contender("DuckDB", PEER, lambda: in_child(engines.duckdb_query, files, statement, times), "the same"),
        Contender("polars", PEER, lambda: in_child(engines.polars_query, files, statement, times), "the same"),
        Contender("read", LIMIT, lambda: limits.read(files), "read the files once, all columns"),
    ]
    outcome.compare(name, contenders, ROUNDS)


def answered(bench, table, statement, times=1):
    with bench.lakeport.connect() as connection:
        statement = statement.replace("FROM lineitem", f"FROM {table}")
        connection.execute(statement).fetchall()
        run = timed(bench.lakeport.process, lambda: connection.execute(statement).fetchall(), times)
    run.answer = engines.rounded(run.answer)
    return run


def repeated(bench, table, statement):
    return answered(bench, table, statement, repetitions(bench, table, statement))


def repetitions(bench, table, statement):
    return repetitions_of(answered(bench, table, statement, times=2).seconds)


def repetitions_of(seconds):
    """How often a statement of so many seconds is run in a round."""
    return max(1, min(ROUND_TIMES_MAX, int(ROUND_SECONDS / seconds)))


def check_ratios(outcome):
    """The geometric mean and the worst of all ratios to DuckDB but that of count(*), which nobody computes."""
    ratios = {table.title: table.time_ratio("DuckDB")[table.loaded()] for table in outcome.tables[1:]}
    shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    mean = statistics.geometric_mean(ratios.values())
    outcome.checks.append(Check("five queries: geometric mean of time / DuckDB", mean, 1.3, 1.0, beside=shown))
    outcome.checks.append(Check("five queries: worst time / DuckDB", max(ratios.values()), 2.0, 1.2))
