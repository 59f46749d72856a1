# flags: --insecure
# log: connection refused
"""What a client withholds: bytes of a message, its reading, its leaving. None of it holds up the server or another client."""

import os
import re
import socket
import struct
import time
import urllib.request

import psycopg

ADDRESS = (os.environ["PGHOST"], int(os.environ["PGPORT"]))
# More than any step takes on a busy machine, and less than the limits that would end it by themselves.
PATIENCE = 60
READY = (b"Z\0\0\0\5I", b"Z\0\0\0\5E", b"Z\0\0\0\5T")


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def startup(**parameters):
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items())
    body = struct.pack("!I", 196608) + pairs + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def connected(receive_bytes=None):
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.settimeout(PATIENCE)
    sock.connect(ADDRESS)
    return sock


def session(receive_bytes=None, user="root"):
    """A raw connection that is ready, and what cancels it."""
    sock = connected(receive_bytes)
    sock.sendall(startup(user=user, database="defaultdb"))
    answer = until(sock, READY)
    at = answer.index(b"K\0\0\0\x0c")
    return sock, answer[at + 5:at + 13]


def until(sock, ends):
    """All bytes up to one of the endings, or up to the end of the connection."""
    received = b""
    while not received.endswith(ends):
        part = sock.recv(65536)
        if not part:
            break
        received += part
    return received


def cancel(key):
    with connected() as sock:
        sock.sendall(struct.pack("!II", 16, 80877102) + key)
        assert sock.recv(1) == b""


def one(statement):
    with psycopg.connect(autocommit=True, connect_timeout=PATIENCE) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


def sessions():
    with urllib.request.urlopen(f"http://{os.environ['TEST_HTTP']}/metrics", timeout=PATIENCE) as answer:
        return int(re.search(r"^lakeport_sessions (\d+)$", answer.read().decode(), re.MULTILINE)[1])


def eventually(holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.1)


def drained(sock):
    """What is left to read, without keeping it."""
    last = b""
    while part := sock.recv(1 << 20):
        last = (last + part)[-400:]
        if last.endswith(READY):
            break
    return last


# A client that stops reading is cancelled, timed out, or left to itself; it hears of it when it reads again.
STREAM = b"SELECT a.value, repeat('x', 1000) FROM generate_series(1, 100000000) AS a(value)\0"
sock, key = session(receive_bytes=4096)
sock.sendall(message(b"Q", STREAM))
sock.recv(1000)
time.sleep(1)
cancel(key)
assert b"C57014" in drained(sock)
sock.sendall(message(b"Q", b"SET statement_timeout = '1s'\0"))
until(sock, READY)
sock.sendall(message(b"Q", b"COPY (" + STREAM[:-1] + b") TO STDOUT\0"))
sock.recv(1000)
time.sleep(2)
assert b"statement timeout" in drained(sock)
sock.close()

# The time limit counts for COPY FROM as well, and for a portal that goes on after another statement.
with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE TABLE copied (a INT8)")
    connection.execute("SET statement_timeout = '1s'")
    try:
        with connection.cursor().copy("COPY copied FROM STDIN") as copy:
            copy.write("1\n")
            time.sleep(2)
            copy.write("2\n")
        raise AssertionError("COPY was not timed out")
    except psycopg.errors.QueryCanceled as error:
        assert "statement timeout" in str(error), error
    connection.execute("SET statement_timeout = 0")
    assert connection.execute("SELECT count(*) FROM copied").fetchone() == (0,)

# A suspended portal is cancelled as the statement that it is, though another ran in between.
sock, key = session(receive_bytes=4096)
first = message(b"P", b"a\0" + STREAM + b"\0\0") + message(b"B", b"pa\0a\0\0\0\0\0\0\0") + message(b"E", b"pa\0\0\0\0\5")
second = message(b"P", b"\0SELECT 1\0\0\0") + message(b"B", b"\0\0\0\0\0\0\0\0") + message(b"E", b"\0\0\0\0\0")
sock.sendall(message(b"Q", b"BEGIN\0"))
until(sock, READY)
sock.sendall(first + second + message(b"S"))
assert until(sock, READY).count(b"D\0\0") >= 6
sock.sendall(message(b"E", b"pa\0\0\0\0\0") + message(b"S"))
sock.recv(1000)
time.sleep(1)
cancel(key)
assert b"C57014" in drained(sock)

# Portals end with their block, also when a simple query ends it and begins the next.
sock.sendall(message(b"Q", b"ROLLBACK; BEGIN\0"))
until(sock, READY)
sock.sendall(message(b"B", b"pb\0a\0\0\0\0\0\0\0") + message(b"E", b"pb\0\0\0\0\1") + message(b"S"))
assert b"C" not in until(sock, READY)[:1]
sock.sendall(message(b"Q", b"COMMIT; BEGIN\0"))
until(sock, READY)
sock.sendall(message(b"E", b"pb\0\0\0\0\1") + message(b"S"))
assert b"C34000" in until(sock, READY)
sock.close()

# Whoever leaves is noticed, also behind more input than the server reads ahead: the statement ends.
one("CREATE TABLE left_behind (a INT8)")
slow = b"INSERT INTO left_behind SELECT count(*) FROM generate_series(1, 2000000) a, generate_series(1, 100000) b\0"
for ahead in (10, 100_000):
    sock, _ = session()
    sock.sendall(message(b"Q", slow) + message(b"Q", b"SELECT 1 -- " + b"x" * ahead + b"\0"))
    time.sleep(1)
    assert sessions() == 1
    sock.close()
    eventually(lambda: sessions() == 0)
assert one("SELECT count(*) FROM left_behind") == (0,)

# Lengths that no message has, before and after the login; long ones only where they may be.
for sent in (struct.pack("!II", 2_000_000_000, 196608), struct.pack("!I", 10_001)):
    with connected() as sock:
        sock.sendall(sent)
        assert b"C08P01" in until(sock, (b"never",))
for tag, length in ((b"Q", 0x7FFFFFFF), (b"Q", 3), (b"E", 1 << 20), (b"H", 1 << 20), (b"\x07", 1 << 20)):
    sock, _ = session()
    sock.sendall(tag + struct.pack("!I", length))
    assert b"C08P01" in until(sock, (b"never",)), (tag, length)
    sock.close()

# Half messages wait; an idle limit ends them, and idle sessions and blocks.
for text, code in (("SET idle_session_timeout = '1s'", b"C57P05"), ("SET idle_in_transaction_session_timeout = '1s'; BEGIN", b"C25P03")):
    sock, _ = session()
    sock.sendall(message(b"Q", text.encode() + b"\0"))
    until(sock, READY)
    sock.sendall(b"Q\0\0\1\0SELECT")
    assert code in until(sock, (b"never",)), text
    sock.close()

# Requests for long replies do not pile up while the client takes none.
sock, _ = session(receive_bytes=4096)
wide = b"SELECT " + b", ".join(b"1 AS column_with_a_long_name_%d" % n for n in range(1600)) + b"\0"
sock.sendall(message(b"P", b"wide\0" + wide + b"\0\0") + message(b"S"))
until(sock, READY)
sock.settimeout(2)
try:
    for _ in range(1000):
        sock.sendall(message(b"D", b"Swide\0") * 10_000)
except TimeoutError:
    pass
else:
    raise AssertionError("the server took every request of a client that reads nothing")
sock.close()

# Statements and portals that a session keeps are counted.
with psycopg.connect(autocommit=True) as connection:
    for n in range(6):
        result = connection.pgconn.prepare(f"p{n}".encode(), b"SELECT '" + b"x" * 15_000_000 + b"'")
        if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
            code = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
            assert code == b"53400", code
            break
    else:
        raise AssertionError("90 MB of statements were kept")

# More silent clients than handshakes are allowed keep nobody out.
silent = [connected() for _ in range(300)]
for number, sock in enumerate(silent):
    sock.sendall(startup(user="root")[: number % 20])
assert one("SELECT 1") == (1,)
assert b"C53300" in until(silent[0], (b"never",))
for sock in silent:
    sock.close()

# As many sessions as may be, all idle; the next is refused, admins keep their places, and leaving makes room.
one("CREATE USER ann")
idle = [session(user="ann")[0] for _ in range(997)]
with connected() as sock:
    started = time.monotonic()
    sock.sendall(startup(user="ann", database="defaultdb"))
    answer = until(sock, READY)
    assert b"C53300" in answer and b"admins" in answer, answer
    assert time.monotonic() - started < 5
for sock in idle[::100]:
    sock.sendall(message(b"Q", b"SELECT 1\0"))
    assert b"SELECT 1\0" in until(sock, READY)
assert one("SELECT 1") == (1,)
for sock in idle:
    sock.close()
eventually(lambda: sessions() == 0)
session(user="ann")[0].close()
