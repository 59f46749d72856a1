# flags: --insecure
"""SIGTERM ends the server within its grace, whatever clients hold back at that moment."""

import os
import signal
import socket
import struct
import subprocess
import tempfile
import time

GRACE = 1
# The grace, what cancelled statements and parts of the server get beyond it, and room for a busy machine.
LIMIT = 40
STREAM = b"SELECT a.value, repeat('x', 1000) FROM generate_series(1, 100000000) AS a(value)"


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def connected(port):
    return socket.create_connection(("127.0.0.1", port), timeout=LIMIT)


def session(port, *statements):
    sock = connected(port)
    body = struct.pack("!I", 196608) + b"user\0root\0database\0defaultdb\0\0"
    sock.sendall(struct.pack("!I", len(body) + 4) + body)
    while not sock.recv(65536).endswith(b"Z\0\0\0\5I"):
        pass
    for statement in statements:
        sock.sendall(message(b"Q", statement + b"\0"))
        time.sleep(0.2)
    return sock


def half_http(pg, http):
    sock = connected(http)
    sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    return [sock, connected(http)]


def half_startup(pg, http):
    sock = connected(pg)
    sock.sendall(b"\0\0\0\x40\0\3\0\0user")
    return [sock, connected(pg)]


def half_message(pg, http):
    sock = session(pg)
    sock.sendall(b"Q\0\1\0\0SELECT")
    return [sock]


def open_block(pg, http):
    return [session(pg, b"BEGIN", b"SELECT 1")]


def long_query(pg, http):
    return [session(pg, b"SELECT count(*) FROM generate_series(1, 30000000) a, generate_series(1, 1000) b")]


def unread_stream(pg, http):
    return [session(pg, STREAM), session(pg, b"COPY (" + STREAM + b") TO STDOUT")]


def unfinished_copy(pg, http):
    sock = session(pg, b"CREATE TABLE t (a INT8)", b"COPY t FROM STDIN")
    sock.sendall(message(b"d", b"1\n"))
    return [sock]


def held_cursor(pg, http):
    return [session(pg, b"BEGIN", b"DECLARE c CURSOR FOR " + STREAM, b"FETCH 10 FROM c")]


def unread_pipeline(pg, http):
    sock = session(pg)
    sock.settimeout(1)
    try:
        while True:
            sock.sendall(message(b"Q", b"SELECT repeat('x', 100000)\0"))
    except TimeoutError:
        return [sock]


for hold in (half_http, half_startup, half_message, open_block, long_query, unread_stream, unfinished_copy, held_cursor, unread_pipeline):
    with tempfile.TemporaryDirectory() as store:
        command = [os.environ["TEST_BINARY"], "start", "--insecure", "--store", store, "--listen-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0",
                   "--shutdown-grace", f"{GRACE}s"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            ready = dict(word.split("=") for word in server.stdout.readline().split() if "=" in word)
            ports = [int(ready[name].rsplit(":", 1)[1]) for name in ("pg", "http")]
            held = hold(*ports)
            server.send_signal(signal.SIGTERM)
            started = time.monotonic()
            status = server.wait(timeout=LIMIT)
            print(f"{hold.__name__}: {time.monotonic() - started:.1f} s")
            assert status == 0, (hold.__name__, status)
            for sock in held:
                sock.close()
        finally:
            server.kill()
            server.wait()
