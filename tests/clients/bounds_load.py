# flags: --insecure
"""Four times the statements that the server lets in: it answers each, the right rows or 53000, and goes on."""

import os
import re
import selectors
import socket
import struct
import time

import psycopg

ADDRESS = (os.environ["PGHOST"], int(os.environ["PGPORT"]))
PROCESSORS = len(os.sched_getaffinity(0))
# As many as run and wait at once, four times; fewer where the server would have no connections left for them.
CLIENTS = min(4 * (16 * PROCESSORS + 128), 900)
SECONDS = 10
QUERY = "SELECT sum(a.value * b.value) FROM generate_series(1, 400) AS a(value), generate_series(1, 400) AS b(value)"
RIGHT = b"6432040000"


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def connected():
    sock = socket.create_connection(ADDRESS, timeout=60)
    body = struct.pack("!I", 196608) + b"user\0root\0database\0defaultdb\0\0"
    sock.sendall(struct.pack("!I", len(body) + 4) + body)
    while not sock.recv(65536).endswith(b"Z\0\0\0\5I"):
        pass
    return sock


def loaded():
    """Every client sends its query again as soon as it has an answer; answers how many were right and refused."""
    right = refused = 0
    poll = selectors.DefaultSelector()
    for sock in (connected() for _ in range(CLIENTS)):
        sock.sendall(message(b"Q", QUERY.encode() + b"\0"))
        poll.register(sock, selectors.EVENT_READ, bytearray())
    end = time.monotonic() + SECONDS
    shown = 0
    with psycopg.connect(autocommit=True) as other:
        while poll.get_map():
            for key, _ in poll.select(timeout=60):
                sock, answer = key.fileobj, key.data
                answer += sock.recv(65536)
                assert answer, "the server hung up"
                if not answer.endswith(b"Z\0\0\0\5I"):
                    continue
                if RIGHT in answer:
                    right += 1
                else:
                    code = re.search(rb"C(\w{5})\0", answer)
                    assert code and code[1] == b"53000" and b"try again" in answer, bytes(answer)
                    refused += 1
                if time.monotonic() > end:
                    poll.unregister(sock)
                    sock.close()
                else:
                    answer.clear()
                    sock.sendall(message(b"Q", QUERY.encode() + b"\0"))
            # What computes nothing is answered without waiting for a turn.
            if time.monotonic() < end:
                assert other.execute("SHOW application_name").fetchone() == ("",)
                shown += 1
    return right, refused, shown


right, refused, shown = loaded()
print(f"{CLIENTS} clients: {right} answered, {refused} refused, {shown} SHOW beside them")
assert right > 0 and refused > 0 and shown > 0

# Clients that compute nothing hold no places: open cursors, suspended streams, blocks.
readers = []
for number in range(16 * PROCESSORS + 10):
    connection = psycopg.connect()
    if number % 2:
        connection.execute("DECLARE c CURSOR FOR SELECT * FROM generate_series(1, 1000000)")
        connection.execute("FETCH 1 FROM c")
        readers.append((connection, None))
    else:
        rows = connection.cursor().stream("SELECT a.value, repeat('x', 1000) FROM generate_series(1, 1000000) AS a(value)")
        next(rows)
        readers.append((connection, rows))
with psycopg.connect(autocommit=True) as connection:
    for _ in range(20):
        assert str(connection.execute(QUERY).fetchone()[0]) == RIGHT.decode()
for connection, rows in readers[:4]:
    if rows is None:
        assert connection.execute("FETCH 2 FROM c").fetchall() == [(2,), (3,)]
    else:
        assert [next(rows)[0] for _ in range(1000)][-1] == 1001
for connection, _ in readers:
    connection.pgconn.finish()
