# flags: --insecure
"""psql: the commands of its users, and COPY from and to files."""

import pathlib
import signal
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



def script(text):
    command = ["psql", "--no-psqlrc", "--no-align", "--quiet", "--set", "ON_ERROR_STOP=1"]
    result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, (text, result.stdout, result.stderr)
    return result.stdout


# The output of a statement: expanded, described without running it, made into statements, turned around, again and again.
assert script("SELECT id, name FROM users WHERE id = 1 \\gx\n") == "id|1\nname|ann\n"
described = script("SELECT id, name, now() AS at, ARRAY['x'] AS list FROM users \\gdesc\n")
assert described == "Column|Type\nid|bigint\nname|text\nat|timestamp with time zone\nlist|text[]\n(4 rows)\n", described
assert script("SELECT 'SELECT ' || n || ' AS n' FROM generate_series(1, 2) AS s(n) \\gexec\n") == "n\n1\n(1 row)\nn\n2\n(1 row)\n"
assert script("SELECT name, city, id FROM users WHERE id < 3 ORDER BY id \\crosstabview\n").splitlines()[0] == "name|oslo|rome"
watched = subprocess.Popen(["psql", "-X", "-At"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
watched.stdin.write("SELECT 'tick' \\watch 0.05\n")
watched.stdin.flush()
lines = [watched.stdout.readline() for _ in range(8)]
watched.send_signal(signal.SIGINT)
assert watched.communicate(timeout=10) and lines.count("tick\n") >= 2, lines

# Every command that lists something works, on what is there and on what never is.
LISTS = r"""\l \d \dS \dt \dtS \du \dg \dn \dnS \dp \z \ddp \da \df \dfa \dfn \dfp \dft \dfw \dv \dvS \dm \di \diS \ds \dE \dT \dTS \dx \db \dF
\dFd \dFp \dFt \dO \dOS \dy \dew \des \deu \det \dRs \dRp \dL \dLS \do \doS \dA \dAc \dAf \dAo \dAp \dC \dc \dcS \dD \dDS \dconfig \dl \dP \dPt \dPi
\dX \dtvmis""".split()
ONCE = [r"\drds", r"\dd", r"\ddS", r"\d users", r"\d users_pkey", r"\d sales.orders", r"\d pg_class", r"\dt s*.*", r"\dT int*", r"\du max*", r"\dn pub*", r"\d *.users",
        r"\conninfo", r"\encoding", r"\lo_list", r"\dconfig time*"]
DETAILED = [command + "+" for command in LISTS] + [r"\d+ users", r"\d+ users_pkey", r"\dt+ *.*", r"\lo_list+"]
for command in LISTS + DETAILED + ONCE:
    result = subprocess.run(["psql", "-X", "-c", command], capture_output=True, text=True, timeout=60)
    assert "ERROR" not in result.stderr, (command, result.stderr)

psql("GRANT SELECT, INSERT ON users TO maxroach", "COMMENT ON TABLE users IS 'who rides'", "COMMENT ON COLUMN users.city IS 'where'",
     "ALTER ROLE maxroach SET timezone = 'Europe/Rome'")
table = psql(r"\d+ users")
assert "city|text|||'rome'::STRING|extended||where" in table or "|where" in table, table
assert '"users_pkey" PRIMARY KEY, delta (id)' in table, table
assert "who rides" in psql(r"\dt+") and "maxroach=ar/root" in psql(r"\dp users")
assert "users_pkey|index|root|users" in psql(r"\di")
assert "maxroach||timezone=Europe/Rome" in psql(r"\drds")
assert "TimeZone" in psql(r"\dconfig timez*") or "timezone|UTC" in psql(r"\dconfig timez*")
assert "pg_catalog|pg_class|table|root" in psql(r"\dtS")
assert 'relname|' in psql(r"\d pg_class")
error = subprocess.run(["psql", "-X", "-c", r"\sf nope"], capture_output=True, text=True).stderr
assert "does not exist" in error, error
