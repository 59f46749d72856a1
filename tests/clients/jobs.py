# flags: --insecure
# log: retry
"""A slow import: progress, pause, resume, cancel, disconnects, and connections that change under it."""

import http.server
import threading
import time

import psycopg
from psycopg import errors

ROWS = 20_000
gate = threading.Event()


class Slow(http.server.BaseHTTPRequestHandler):
    """Sends half of the file, then the rest once the gate is open."""

    def do_HEAD(self):
        self.head()

    def do_GET(self):
        body = self.head()
        try:
            self.wfile.write(body[:len(body) // 2])
            self.wfile.flush()
            gate.wait(60)
            self.wfile.write(body[len(body) // 2:])
        except OSError:
            pass

    def head(self):
        body = b"".join(b"%d,name %d\n" % (i, i) for i in range(ROWS))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body

    def log_message(self, *_):
        pass


web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=web.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{web.server_port}/slow.csv"


def wait_for(connection, job, *statuses):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = connection.execute(f"SELECT status FROM [SHOW JOB {job}]").fetchone()[0]
        if status in statuses:
            return status
        time.sleep(0.05)
    raise AssertionError(f"job {job} is {status}, not {statuses}")


def count(connection):
    return connection.execute("SELECT count(*) FROM t").fetchone()[0]


with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE TABLE t (a INT, b STRING)")
    start = lambda: connection.execute(f"IMPORT INTO t CSV DATA ('{url}') WITH detached").fetchone()[0]

    # Pause holds it, resume finishes it; pausing twice is fine.
    job = start()
    wait_for(connection, job, "running")
    assert count(connection) == 0, "rows of an unfinished import are visible"
    connection.execute(f"PAUSE JOB {job}")
    connection.execute(f"PAUSE JOB {job}")
    wait_for(connection, job, "paused")
    gate.set()
    time.sleep(0.3)
    assert count(connection) == 0
    connection.execute(f"RESUME JOB {job}")
    assert connection.execute(f"SHOW JOB WHEN COMPLETE {job}").fetchone()
    wait_for(connection, job, "succeeded")
    assert count(connection) == ROWS

    # Cancel takes it back.
    gate.clear()
    job = start()
    wait_for(connection, job, "running")
    connection.execute(f"CANCEL JOB {job}")
    wait_for(connection, job, "canceled")
    gate.set()
    assert count(connection) == ROWS
    try:
        connection.execute(f"RESUME JOB {job}")
        raise AssertionError("a cancelled job was resumed")
    except psycopg.Error:
        pass

    # A cancelled statement cancels its job; the table can be used meanwhile.
    gate.clear()
    waiter = psycopg.connect(autocommit=True)
    timer = threading.Timer(0.5, waiter.cancel_safe)
    timer.start()
    try:
        waiter.execute(f"IMPORT INTO t CSV DATA ('{url}')")
        raise AssertionError("the import was not cancelled")
    except errors.QueryCanceled:
        pass
    job = connection.execute("SELECT max(job_id) FROM [SHOW JOBS]").fetchone()[0]
    wait_for(connection, job, "canceled")
    connection.execute("INSERT INTO t VALUES (-1, 'beside')")
    assert count(connection) == ROWS + 1
    gate.set()

    # A connection in use by a job is not dropped without a word.
    gate.clear()
    connection.execute(f"CREATE EXTERNAL CONNECTION web AS 'http://127.0.0.1:{web.server_port}/' WITH (VALIDATE = false)")
    job = connection.execute("IMPORT INTO t CSV DATA ('external://web/slow.csv') WITH detached").fetchone()[0]
    wait_for(connection, job, "running")
    try:
        connection.execute("DROP EXTERNAL CONNECTION web")
        raise AssertionError("a used connection was dropped")
    except errors.DependentObjectsStillExist as error:
        assert str(job) in str(error) + str(error.diag.message_detail), error
    connection.execute("DROP EXTERNAL CONNECTION web CASCADE")
    wait_for(connection, job, "canceled")
    gate.set()
    assert count(connection) == ROWS + 1

    # Notices tell how far it is, unless they are not wanted.
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    connection.execute("SET job_progress_notices = off")
    connection.execute(f"IMPORT INTO t CSV DATA ('{url}')")
    assert not notices, notices
