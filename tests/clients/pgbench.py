# flags: --insecure
# needs: pgbench
"""pgbench: scripts of one's own over the three protocols, from several clients at once."""

import pathlib
import re
import subprocess
import tempfile

import psycopg

SCRIPTS = {
    "read": r"""
\set id random(1, 100)
SELECT balance FROM accounts WHERE id = :id;
""",
    "append": r"""
\set id random(1, 1000000000)
\set client :client_id
INSERT INTO history (client, amount) VALUES (:client, :id % 1000);
""",
    "block": r"""
\set id random(1, 100)
BEGIN;
SELECT balance FROM accounts WHERE id = :id;
SELECT count(*) FROM accounts WHERE balance >= 0;
COMMIT;
""",
}

with psycopg.connect(autocommit=True) as connection, tempfile.TemporaryDirectory() as folder:
    connection.execute("CREATE TABLE accounts (id INT PRIMARY KEY, balance INT)")
    connection.execute("INSERT INTO accounts SELECT value, 0 FROM generate_series(1, 100) AS s(value)")
    connection.execute("CREATE TABLE history (client INT, amount INT)")
    for name, script in SCRIPTS.items():
        path = pathlib.Path(folder, f"{name}.sql")
        path.write_text(script)
        for mode in ("simple", "extended", "prepared"):
            command = ["pgbench", "--no-vacuum", "--file", path, "--protocol", mode, "--client", "4", "--jobs", "2", "--transactions", "10"]
            result = subprocess.run(command, capture_output=True, text=True, timeout=120)
            assert result.returncode == 0, (name, mode, result.stdout, result.stderr)
            assert "number of transactions actually processed: 40/40" in result.stdout, (name, mode, result.stdout)
            assert re.search(r"number of failed transactions: 0 ", result.stdout), result.stdout
    assert connection.execute("SELECT count(*), count(DISTINCT client) FROM history").fetchone() == (120, 4)
