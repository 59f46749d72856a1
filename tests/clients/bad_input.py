# flags: --insecure
"""What no client should send: broken messages, endless names, deep nesting, garbage. The server answers or hangs up, and goes on."""

import os
import random
import socket
import struct

import psycopg

ADDRESS = (os.environ["PGHOST"], int(os.environ["PGPORT"]))


def startup(sock, **parameters):
    body = struct.pack("!I", 196608) + b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    sock.sendall(struct.pack("!I", len(body) + 4) + body)


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def read_until_ready(sock):
    """All bytes up to ReadyForQuery or the end."""
    received = b""
    while not (received.endswith((b"Z\0\0\0\5I", b"Z\0\0\0\5E", b"Z\0\0\0\5T"))):
        part = sock.recv(65536)
        if not part:
            break
        received += part
    return received


def raw(*parts, then_ready=False):
    """Sends bytes after a good start; answers what came back."""
    with socket.create_connection(ADDRESS, timeout=10) as sock:
        startup(sock, user="root", database="defaultdb")
        read_until_ready(sock)
        try:
            for part in parts:
                sock.sendall(part)
            if not then_ready:
                sock.shutdown(socket.SHUT_WR)
            return read_until_ready(sock)
        except OSError:
            assert not then_ready, "the server does not answer"
            return b""


def alive():
    with psycopg.connect(autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def code(statement, parameters=None):
    with psycopg.connect(autocommit=True) as connection:
        try:
            connection.execute(statement, parameters)
        except psycopg.Error as error:
            assert error.sqlstate and error.sqlstate not in ("XX000",), (str(statement)[:60], error.sqlstate, str(error)[:200])
            return error.sqlstate
    return None


# Before the start: another protocol, a wrong length, nothing, half of it.
for start in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\0\0\0", b"\0\0\0\4", b"\xff\xff\xff\xff", b"", b"\0\0\0\x20\0\3", struct.pack("!II", 8, 1234),
              struct.pack("!II", 2_000_000_000, 196608)):
    with socket.create_connection(ADDRESS, timeout=10) as sock:
        try:
            sock.sendall(start)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass
        except OSError:
            pass
alive()

# After it: unknown messages, lengths that lie, text that is not UTF-8, a NUL in the middle.
raw(message(b"\x01", b"x"))
raw(b"Q\0\0\0\0")
raw(b"Q\x7f\xff\xff\xff")
assert b"C22021" in raw(message(b"Q", b"SELECT '\xff\xfe'\0"), then_ready=True)
raw(message(b"Q", b"SELECT 1"))
raw(message(b"P", b"s\0SELECT $1\0\xff\xff"))
assert b"C26000" in raw(message(b"B", b"\0nope\0\0\0\0\0\0\0") + message(b"S", b""), then_ready=True)
assert b"C34000" in raw(message(b"E", b"nope\0\0\0\0\0") + message(b"S", b""), then_ready=True)
raw(message(b"d", b"data without a copy"), message(b"S", b""))
assert b"E" in raw(message(b"P", b"\0SELECT $1::INT\0\0\0") + message(b"B", b"\0\0\0\1\0\1\0\1\0\0\0\3abc\0\0") + message(b"E", b"\0\0\0\0\0") + message(b"S", b""), then_ready=True)
alive()

dice = random.Random(7)
for _ in range(60):
    raw(bytes(dice.randrange(256) for _ in range(dice.randrange(1, 200))))
alive()

# Long, deep, many.
assert code("CREATE EXTERNAL CONNECTION '" + "n" * 10_000 + "' AS 'nodelocal://1/a'") in ("42622", "42602")
assert code(f"CREATE TABLE {'t' * 10_000} (a INT)") in ("42622", "42602")
assert code("CREATE EXTERNAL CONNECTION %s AS 'nodelocal://1/a'", ("n" * 10_000,)) in ("42622", "42602")
assert code("CREATE EXTERNAL CONNECTION c AS 'nodelocal://1/" + "p" * 70_000 + "'")
assert code("CREATE EXTERNAL CONNECTION c AS 's3://b?" + "&".join(f"A{i}=1" for i in range(5000)) + "'")
for deep in ("(" * 100_000, "SELECT " + "(" * 5000 + "1" + ")" * 5000, "SELECT " + "NOT " * 20_000 + "true", "SELECT " + "-" * 1 + " - " * 20_000 + "1",
             "SELECT " + "ARRAY[" * 3000 + "]" * 3000, "SELECT 1" + " UNION ALL SELECT 1" * 5000, "SELECT " + " + ".join(["1"] * 20_000),
             "SELECT CASE WHEN true THEN " * 2000 + "1" + " END" * 2000, "SELECT * FROM " + "[SHOW JOBS" * 500, "SELECT '" + "x" * 17_000_000 + "'"):
    code(deep)
    alive()
assert code("SELECT 1 IN (" + ", ".join(str(i) for i in range(20_000)) + ")") is None

# Every statement cut short at every word must answer, whatever it answers.
STATEMENTS = [
    "CREATE EXTERNAL CONNECTION IF NOT EXISTS x AS 'nodelocal://1/x' WITH (VALIDATE = false)",
    "ALTER EXTERNAL CONNECTION IF EXISTS x AS 'nodelocal://1/y'", "CHECK EXTERNAL CONNECTION 'external://x' WITH OPTIONS (TRANSFER = '1KiB', TIME = '0s')",
    "GRANT USAGE, DROP ON EXTERNAL CONNECTION x TO root WITH GRANT OPTION", "REVOKE GRANT OPTION FOR ALL ON EXTERNAL CONNECTION x FROM root",
    "IMPORT INTO t (a) CSV DATA ('external://x/a.csv', $1) WITH skip = '1', detached", "EXPORT INTO CSV 'external://x' WITH nullas = '' FROM SELECT * FROM t",
    "CREATE TABLE u (a INT PRIMARY KEY, b DECIMAL(10, 2) NOT NULL DEFAULT 1.5, c STRING[])", "ALTER TABLE u ADD COLUMN IF NOT EXISTS d VARCHAR(5) DEFAULT 'x'",
    "INSERT INTO u (a, b) VALUES (1, DEFAULT) ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE u.a > 0 RETURNING *",
    "SELECT a, count(*) FROM [SHOW JOBS] AS j (a) AS OF SYSTEM TIME '-1s' WHERE a = ANY(ARRAY[1]) GROUP BY a HAVING true ORDER BY 1 LIMIT 1",
    "CREATE USER z WITH PASSWORD 'x' VALID UNTIL '2030-01-01'", "COPY u (a, b) FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';', NULL '')",
    "PREPARE p (INT) AS SELECT $1", "SET SESSION application_name TO 'x'", "COMMENT ON COLUMN u.a IS 'x'", "SHOW CREATE ALL EXTERNAL CONNECTIONS",
]


def broken(statement):
    """A COPY that begins would wait for its rows."""
    if "STDIN" not in statement:
        code(statement)


for statement in STATEMENTS:
    words = statement.split()
    for end in range(1, len(words)):
        broken(" ".join(words[:end]))
    for drop in range(len(words)):
        broken(" ".join(words[:drop] + words[drop + 1:]))
alive()
