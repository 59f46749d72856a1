# flags: --insecure
"""A server that has run out of file descriptors takes no new clients, serves the old ones, and recovers."""

import os
import resource
import signal
import socket
import subprocess
import tempfile
import time

import psycopg

with tempfile.TemporaryDirectory() as store:
    command = [os.environ["TEST_BINARY"], "start", "--insecure", "--store", store, "--listen-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(server.stdout.readline().split("pg=")[1].split()[0].rsplit(":", 1)[1])
        place = f"host=127.0.0.1 port={port} user=root dbname=defaultdb connect_timeout=60"
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (a INT8)")
            limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
            descriptors = len(os.listdir(f"/proc/{server.pid}/fd"))
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (descriptors + 10, limits[1]))
            waiting = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(30)]
            time.sleep(0.5)
            for _ in range(20):
                assert connection.execute("SELECT 1").fetchone() == (1,)
            # What needs files fails by itself, whatever a library makes of it, a panic included.
            try:
                connection.execute("INSERT INTO t VALUES (1)")
            except psycopg.Error as error:
                assert error.sqlstate, error
            assert connection.execute("SELECT 1").fetchone() == (1,)
            for sock in waiting:
                sock.close()
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
            with psycopg.connect(place, autocommit=True) as other:
                other.execute("INSERT INTO t VALUES (2)")
                assert (2,) in other.execute("SELECT a FROM t").fetchall()
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()
        server.wait()
