"""The data: a table with the columns, value ranges and skew of TPC-H's lineitem, the same bytes on every machine."""

import numpy
import polars

ROWS_FULL = 6_001_215
PIECE_ROWS = 1_000_000

# Name, SQL type, DuckDB type.
COLUMNS = [
    ("l_orderkey", "INT8", "BIGINT"), ("l_partkey", "INT8", "BIGINT"), ("l_suppkey", "INT8", "BIGINT"),
    ("l_linenumber", "INT4", "INTEGER"), ("l_quantity", "FLOAT8", "DOUBLE"), ("l_extendedprice", "FLOAT8", "DOUBLE"),
    ("l_discount", "FLOAT8", "DOUBLE"), ("l_tax", "FLOAT8", "DOUBLE"), ("l_returnflag", "STRING", "VARCHAR"),
    ("l_linestatus", "STRING", "VARCHAR"), ("l_shipdate", "DATE", "DATE"), ("l_commitdate", "DATE", "DATE"),
    ("l_receiptdate", "DATE", "DATE"), ("l_shipinstruct", "STRING", "VARCHAR"), ("l_shipmode", "STRING", "VARCHAR"),
    ("l_comment", "STRING", "VARCHAR"),
]
SQL_COLUMNS = ", ".join(f"{name} {sql}" for name, sql, _ in COLUMNS)
POSTGRES_COLUMNS = SQL_COLUMNS.replace("STRING", "TEXT")
DUCKDB_COLUMNS = "{" + ", ".join(f"'{name}': '{duckdb}'" for name, _, duckdb in COLUMNS) + "}"

# Equal for equal tables, whoever reads them: sums of whole numbers only, which no order of rows changes.
FINGERPRINT = """
SELECT count(*), CAST(sum(l_orderkey) AS BIGINT), CAST(sum(l_partkey * l_linenumber) AS BIGINT),
    CAST(sum(CAST(round(l_extendedprice * 100) AS BIGINT)) AS BIGINT),
    CAST(sum(CAST(round((l_quantity + l_discount * 7 + l_tax * 13) * 100) AS BIGINT)) AS BIGINT),
    min(l_shipdate), max(l_receiptdate), count(DISTINCT l_commitdate),
    CAST(sum(length(l_comment) * l_linenumber) AS BIGINT), CAST(sum(length(l_shipinstruct)) AS BIGINT),
    count(DISTINCT l_shipmode), min(l_comment), max(l_comment)
FROM """

WORDS = ("carefully quickly furiously slyly blithely special regular final express pending ironic bold even silent "
         "requests deposits packages accounts theodolites foxes pinto beans instructions dependencies asymptotes").split()
COMMENTS = 4096


def numbers(rows, column):
    """A hash of each row's number, different for each column."""
    with numpy.errstate(over="ignore"):
        value = rows * numpy.uint64(0x9E3779B97F4A7C15) + numpy.uint64(column) * numpy.uint64(0xD1B54A32D192ED03)
        value = (value ^ (value >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return value ^ (value >> numpy.uint64(31))


def below(rows, column, bound):
    return (numbers(rows, column) % numpy.uint64(bound)).astype(numpy.int64)


def chosen(rows, column, texts):
    return polars.Series(texts).gather(below(rows, column, len(texts)))


def comments():
    every = numpy.arange(COMMENTS, dtype=numpy.uint64)
    picks = [below(every, 100 + place, len(WORDS)) for place in range(5)]
    return [" ".join(WORDS[pick[row]] for pick in picks[:2 + row % 4])[:10 + row % 37] for row in range(COMMENTS)]


def piece(first, rows):
    """Rows `first` and the following as a frame of the CSV's texts."""
    row = numpy.arange(first, first + rows, dtype=numpy.uint64)
    order = row // numpy.uint64(4)
    shipped = below(order, 9, 2405) + below(row, 10, 121) + 8036
    part, quantity = below(row, 2, 200_000) + 1, below(row, 4, 50) + 1
    received = shipped + 1 + below(row, 12, 30)
    price = quantity * (90_000 + (part // 10) % 20_001 + 100 * (part % 1000))
    returned = numpy.where(received <= 9298, below(row, 8, 2), 2)
    day = lambda days: polars.Series(days.astype(numpy.int32)).cast(polars.Date)
    return polars.DataFrame({
        "l_orderkey": (order + order // numpy.uint64(8) * numpy.uint64(24) + numpy.uint64(1)).astype(numpy.int64),
        "l_partkey": part, "l_suppkey": below(row, 3, 10_000) + 1,
        "l_linenumber": (row % numpy.uint64(4)).astype(numpy.int64) + 1,
        "l_quantity": quantity, "l_extendedprice": price / 100,
        "l_discount": below(row, 6, 11) / 100, "l_tax": below(row, 7, 9) / 100,
        "l_returnflag": polars.Series(["R", "A", "N"]).gather(returned),
        "l_linestatus": polars.Series(["O", "F"]).gather((shipped <= 9298).astype(numpy.int64)),
        "l_shipdate": day(shipped), "l_commitdate": day(shipped - 30 + below(row, 11, 91)),
        "l_receiptdate": day(received),
        "l_shipinstruct": chosen(row, 13, ["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"]),
        "l_shipmode": chosen(row, 14, ["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"]),
        "l_comment": chosen(row, 15, comments()),
    })


def csv_file(folder, rows):
    """The path of the table as CSV with a header; written when it is not there yet."""
    path = folder / f"lineitem-{rows}.csv"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    print(f"making {path.name}", flush=True)
    unfinished = path.with_suffix(".unfinished")
    with open(unfinished, "wb") as file:
        for first in range(0, rows, PIECE_ROWS):
            piece(first, min(PIECE_ROWS, rows - first)).write_csv(file, include_header=first == 0)
    unfinished.rename(path)
    return path
