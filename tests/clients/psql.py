# flags: --insecure
"""psql: the commands of its users, and COPY from and to files."""

import pathlib
import subprocess
import tempfile


def psql(*commands, fails=False):
    arguments = ["psql", "--no-psqlrc", "--no-align", "--set", "ON_ERROR_STOP=1", "--set", "VERBOSITY=verbose"]
    for command in commands:
        arguments += ["--command", command]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert (result.returncode != 0) == fails, (commands, result.stdout, result.stderr)
    return result.stderr if fails else result.stdout


psql("CREATE DATABASE movr", "CREATE TABLE users (id INT PRIMARY KEY, name STRING NOT NULL, city STRING DEFAULT 'rome')",
     "CREATE SCHEMA sales", "CREATE TABLE sales.orders (id INT, total DECIMAL(10,2))", "CREATE USER maxroach WITH CREATEDB",
     "INSERT INTO users VALUES (1, 'ann', 'oslo'), (2, 'bob', NULL)")

listing = psql(r"\l")
assert "\ndefaultdb|" in listing and "\nmovr|" in listing, listing
tables = psql(r"\dt")
assert "public|users|table|root" in tables and "orders" not in tables, tables
tables = psql(r"\dt *.*")
assert "sales|orders|table" in tables, tables
roles = psql(r"\du")
assert "root|" in roles and "maxroach|Create DB" in roles and "admin|" in roles, roles
table = psql(r"\d users")
assert 'id|' in table and "not null" in table and "'rome'" in table and "PRIMARY KEY" in table, table
assert "orders" in psql(r"\d sales.orders")
assert "public" in psql(r"\dn") and "sales" in psql(r"\dn")
assert "You are connected" in psql(r"\conninfo")
assert psql(r"\c movr", "SELECT current_database()").strip().endswith("movr\n(1 row)")
assert "Did not find any relation" in subprocess.run(["psql", "-X", "-c", r"\d nope"], capture_output=True, text=True).stderr

assert psql("SELECT * FROM users ORDER BY id") == "id|name|city\n1|ann|oslo\n2|bob|\n(2 rows)\n"
assert psql("UPDATE users SET city = 'rome' WHERE id = 2") == "UPDATE 1\n"
assert psql("BEGIN; DELETE FROM users; ROLLBACK; SELECT count(*) FROM users").endswith("count\n2\n(1 row)\n")

error = psql("SELECT 1 FORM users", fails=True)
assert "ERROR:  42601: at or near \"users\": syntax error" in error and "LINE 1: SELECT 1 FORM users" in error, error
error = psql("INSERT INTO users VALUES (1, 'x')", fails=True)
assert "ERROR:  23505:" in error, error

with tempfile.TemporaryDirectory() as folder:
    source, target = pathlib.Path(folder, "in.csv"), pathlib.Path(folder, "out.csv")
    source.write_text('id,name,city\n3,"c, d",paris\n4,eve,\n')
    assert psql(rf"\copy users FROM '{source}' WITH (FORMAT csv, HEADER)") == "COPY 2\n"
    assert psql(rf"\copy (SELECT * FROM users WHERE id > 2 ORDER BY id) TO '{target}' WITH (FORMAT csv, HEADER)") == "COPY 2\n"
    assert target.read_text() == source.read_text(), target.read_text()

# A script, with variables and \gset.
script = r"""
\set city oslo
SELECT count(*) AS n FROM users WHERE city = :'city' \gset
\echo found :n
SELECT name FROM users WHERE id = 1 \g
"""
result = subprocess.run(["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1"], input=script, capture_output=True, text=True, timeout=60)
assert result.stdout == "found 1\nann\n", (result.stdout, result.stderr)
