# flags: --insecure
"""Locations without files: what is told of them beside a result without rows."""

import os
import pathlib

import psycopg

folder = pathlib.Path(os.environ["TEST_EXTERN"]) / "missing"
folder.mkdir()
(folder / "a.csv").write_text("1,one\n")
(folder / "empty.csv").touch()
connection = psycopg.connect(autocommit=True)
told = []
connection.add_notice_handler(lambda notice: told.append((notice.severity, notice.message_primary, notice.message_hint)))


def expect(statement, *notices):
    told.clear()
    connection.execute(statement)
    assert told == list(notices), (statement, told)


def nothing(location):
    return "NOTICE", f"no files found in {location}", None


def only_empty(location):
    return "NOTICE", f"only empty files found in {location}", None


connection.execute("CREATE STAGE s URL = 'fs:///missing/' FILE_FORMAT = (TYPE = CSV)")
connection.execute("CREATE TABLE t (id INT, name STRING)")

# Queries.
expect("SELECT $1 FROM @s/none/", nothing("@s/none/"))
expect("SELECT count(*) FROM @s/empty", only_empty("@s/empty"))
expect("SELECT $1 FROM @s (FILES => ('empty.csv'))", only_empty("@s/ with FILES ('empty.csv')"))
expect("SELECT $1 FROM @s (PATTERN => 'b.*')", nothing("@s/ with PATTERN 'b.*'"))
expect("SELECT 1 FROM 'nodelocal://1/missing/none/'", nothing("nodelocal://1/missing/none/"))
expect("SELECT * FROM INFER_SCHEMA(LOCATION => '@s/none/')", nothing("@s/none/"))
expect("INSERT INTO t SELECT $1::INT, $2 FROM @s/none/", nothing("@s/none/"))
expect("SELECT $1 FROM @s")
expect("SELECT * FROM LIST_STAGE(LOCATION => '@s/none/')")

# Loads, which also tell of files that were loaded.
expect("COPY INTO t FROM @s/none/", nothing("@s/none/"))
expect("COPY INTO t FROM @s/empty", only_empty("@s/empty"))
expect("COPY INTO t FROM @s PATTERN = 'it''s'", nothing("@s/ with PATTERN 'it''s'"))
expect("COPY INTO t FROM @s")
loaded = "FORCE = TRUE loads files again"
expect("COPY INTO t FROM @s", ("NOTICE", "the file in @s/ was loaded before", loaded))
(folder / "b.csv").write_text("2,two\n")
expect("COPY INTO t FROM @s")
expect("COPY INTO t FROM @s FILES = ('a.csv', 'b.csv')",
       ("NOTICE", "the 2 files in @s/ with FILES ('a.csv', 'b.csv') were loaded before", loaded))
assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)
