# flags: --insecure
"""Half requests on the HTTP port keep nobody out."""

import os
import socket
import urllib.request

HOST, PORT = os.environ["TEST_HTTP"].rsplit(":", 1)
PATIENCE = 60


def half(sent):
    sock = socket.create_connection((HOST, int(PORT)), timeout=PATIENCE)
    sock.sendall(sent)
    return sock


def healthy():
    with urllib.request.urlopen(f"http://{HOST}:{PORT}/health", timeout=PATIENCE) as answer:
        assert answer.read() == b"ok\n"


halves = [half(sent) for sent in (b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"\0\xff\r\n\r\n") for _ in range(50)]
healthy()
# A body that never comes does not wait for one either.
posted = half(b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx")
assert posted.recv(4096).startswith(b"HTTP/1.1 405")
# Headers without end are refused.
endless = half(b"GET /health HTTP/1.1\r\n")
try:
    for _ in range(10_000):
        endless.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")
    raise AssertionError("10 MB of headers were taken")
except OSError:
    pass
# A request that is not finished in time is ended by the server.
slow = half(b"GET /health HTTP/1.1\r\nHost:")
while slow.recv(4096):
    pass
healthy()
for sock in halves:
    sock.close()
