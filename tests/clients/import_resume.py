# flags: --insecure
# log: retry|trying again|will be tried again
"""Imports that lose their server, their source or their patience: what was read once is not read again, rows come once."""

import collections
import gzip
import http.server
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time

import psycopg

FILE_BYTES = 20 << 20
gate = threading.Event()
cut = threading.Event()
requests = collections.Counter()


def body(name):
    """Rows of a million numbers, each file its own; about FILE_BYTES."""
    first = {"a": 0, "b": 1_000_000, "c": 2_000_000}[name]
    count = FILE_BYTES // 100
    return b"".join(b"%d,%s\n" % (first + i, b"x" * 92) for i in range(count)), count


class Source(http.server.BaseHTTPRequestHandler):
    """Three files. `c` comes once the gate is open; while `cut` is set the connection ends in the middle."""

    def do_HEAD(self):
        self.head()

    def do_GET(self):
        name, content = self.head()
        requests[name] += 1
        if name == "c":
            gate.wait(60)
        try:
            if cut.is_set():
                cut.clear()
                self.wfile.write(content[:len(content) // 2])
                self.wfile.flush()
                self.connection.close()
            else:
                self.wfile.write(content)
        except (OSError, ValueError):
            pass

    def head(self):
        name = self.path.strip("/").removesuffix(".csv")
        content, _ = body(name)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 00:00:00 GMT")
        self.end_headers()
        return name, content

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


web = Server(("127.0.0.1", 0), Source)
threading.Thread(target=web.serve_forever, daemon=True).start()
urls = {name: f"http://127.0.0.1:{web.server_port}/{name}.csv" for name in "abc"}
all_files = ", ".join(f"'{url}'" for url in urls.values())
rows_of_all = sum(body(name)[1] for name in "abc")


class Lakeport:
    """A server of this script's own, which it may kill."""

    def __init__(self, store):
        self.store, self.process = pathlib.Path(store), None

    def start(self):
        command = [os.environ["TEST_BINARY"], "start", "--insecure", "--store", str(self.store)]
        command += ["--listen-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ready = self.process.stdout.readline()
        self.port = re.search(r"pg=127\.0\.0\.1:(\d+)", ready)[1]
        return self.connect()

    def connect(self):
        return psycopg.connect(host="127.0.0.1", port=self.port, user="root", dbname="defaultdb", autocommit=True)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def data_files(self):
        return list((self.store / "warehouse").rglob("part-*.parquet"))

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024


def until(what, check, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


def status(connection, job):
    return connection.execute(f"SELECT status FROM [SHOW JOB {job}]").fetchone()[0]


def counts(connection):
    return connection.execute("SELECT count(*), count(DISTINCT a) FROM t").fetchone()


def start_import(connection):
    """An import that has read its first two files and waits for the third."""
    requests.clear()
    gate.clear()
    job = connection.execute(f"IMPORT INTO t CSV DATA ({all_files}) WITH detached").fetchone()[0]
    fraction = f"SELECT fraction_completed FROM [SHOW JOB {job}]"
    until("two files read", lambda: connection.execute(fraction).fetchone()[0] > 0.6)
    time.sleep(2)
    assert requests["a"] == requests["b"] == 1, requests
    return job


with tempfile.TemporaryDirectory() as folder:
    server = Lakeport(folder)
    connection = server.start()
    connection.execute("CREATE TABLE t (a INT, b STRING)")

    # A pause keeps what was staged; a resume reads the third file only.
    job = start_import(connection)
    connection.execute(f"PAUSE JOB {job}")
    until("paused", lambda: status(connection, job) == "paused")
    assert server.data_files(), "nothing was staged"
    gate.set()
    connection.execute(f"RESUME JOB {job}")
    until("succeeded", lambda: status(connection, job) == "succeeded")
    assert requests["a"] == requests["b"] == 1, requests
    assert counts(connection) == (rows_of_all, rows_of_all)
    connection.execute("TRUNCATE t")

    # So does a kill.
    job = start_import(connection)
    server.kill()
    gate.set()
    connection = server.start()
    until("succeeded after a kill", lambda: status(connection, job) == "succeeded", 90)
    assert requests["a"] == requests["b"] == 1, requests
    assert counts(connection) == (rows_of_all, rows_of_all)
    connection.execute("TRUNCATE t")

    # A cancel deletes what was staged.
    before = set(server.data_files())
    job = start_import(connection)
    assert set(server.data_files()) - before
    connection.execute(f"CANCEL JOB {job}")
    gate.set()
    until("canceled", lambda: status(connection, job) == "canceled")
    until("staged files deleted", lambda: set(server.data_files()) <= before)
    assert counts(connection) == (0, 0)

    # A source that breaks off is read again; rows come once.
    cut.set()
    connection.execute(f"IMPORT INTO t CSV DATA ('{urls['a']}')")
    assert not cut.is_set()
    assert counts(connection) == (body("a")[1],) * 2

    # A bomb does not fill the memory.
    extern = pathlib.Path(folder) / "extern"
    extern.mkdir(exist_ok=True)
    with gzip.open(extern / "bomb.csv.gz", "wb", compresslevel=1) as bomb:
        for _ in range(1024):
            bomb.write(b"a" * (1 << 20))
    peak = server.peak_mib()
    try:
        connection.execute("IMPORT INTO t (b) CSV DATA ('nodelocal://1/bomb.csv.gz')")
        raise AssertionError("the bomb was imported")
    except psycopg.errors.ProgramLimitExceeded:
        pass
    assert server.peak_mib() < max(peak, 100) + 400, (peak, server.peak_mib())
    connection.close()
    server.process.terminate()
    assert server.process.wait(30) == 0
