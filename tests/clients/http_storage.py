# flags: --insecure
# log: retry|http
"""Files behind http: read through plain URIs and connections; health and metrics of the server itself."""

import base64
import bz2
import gzip
import http.server
import os
import threading
import time
import urllib.error
import urllib.request

import psycopg
from psycopg import errors

CSV = b"".join(b"%d,name %d\n" % (i, i) for i in range(1000))
FILES = {"/a.csv": CSV, "/a.csv.gz": gzip.compress(CSV), "/a.csv.bz2": bz2.compress(CSV), "/private/a.csv": CSV, "/tagged.csv": CSV}
PASSWORD = "open sesame"
REQUESTS = []


class Files(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        REQUESTS.append((self.command, self.path))
        allowed = "Basic " + base64.b64encode(f"ali:{PASSWORD}".encode()).decode()
        if self.path.startswith("/private/") and self.headers.get("Authorization") != allowed:
            return self.reply(401, b"", body)
        if self.path.startswith("/elsewhere"):
            return self.reply(302, b"", body, Location=f"http://localhost:{self.server.server_port}/a.csv")
        if self.path.startswith("/metadata"):
            return self.reply(302, b"", body, Location="http://169.254.169.254/latest")
        content = FILES.get(self.path.partition("?")[0])
        if content is None:
            return self.reply(404, b"", body)
        tag = {"ETag": '"1"'} if self.path.startswith("/tagged") else {}
        self.reply(200, content, body, **tag)

    def reply(self, status, content, body, **headers):
        start, end = 0, len(content)
        if status == 200 and (range_header := self.headers.get("Range", "")).startswith("bytes="):
            first, _, last = range_header.removeprefix("bytes=").partition("-")
            start, end = (int(first), int(last) + 1 if last else end) if first else (end - int(last), end)
            end = min(end, len(content))
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            status = 206
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if body:
            self.wfile.write(content[start:end])

    def log_message(self, *_):
        pass


web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
threading.Thread(target=web.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{web.server_port}"


def fails(connection, error, statement):
    try:
        connection.execute(statement)
    except error as caught:
        return caught
    raise AssertionError(f"{statement} did not fail")


with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE TABLE t (a INT, b STRING)")
    for name in ("a.csv", "a.csv.gz", "a.csv.bz2"):
        assert connection.execute(f"IMPORT INTO t CSV DATA ('{base}/{name}')").fetchone()[3] == 1000, name
    connection.execute(f"CREATE EXTERNAL CONNECTION web AS 'http://ali:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{web.server_port}/private'")
    assert connection.execute("IMPORT INTO t CSV DATA ('external://web/a.csv')").fetchone()[3] == 1000
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (4000,)

    fails(connection, errors.InvalidAuthorizationSpecification, f"IMPORT INTO t CSV DATA ('{base}/private/a.csv')")
    fails(connection, errors.UndefinedFile, f"IMPORT INTO t CSV DATA ('{base}/missing.csv')")
    fails(connection, psycopg.Error, f"IMPORT INTO t CSV DATA ('{base}/elsewhere')")
    fails(connection, psycopg.Error, f"IMPORT INTO t CSV DATA ('{base}/metadata')")
    fails(connection, errors.FeatureNotSupported, f"EXPORT INTO CSV '{base}/out' FROM TABLE t")
    # Wildcards are not expanded, since nothing can be listed.
    fails(connection, errors.UndefinedFile, f"IMPORT INTO t CSV DATA ('{base}/*.csv')")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (4000,)

    # Nobody can tell whether a file with neither tag nor time is the one that was loaded: every statement loads it.
    connection.execute("TRUNCATE t")
    for name, again in {"a.csv": 1000, "tagged.csv": 0}.items():
        for rows in (1000, again):
            loaded = connection.execute(f"COPY INTO t FROM '{base}/{name}' FILE_FORMAT = (TYPE = CSV)").fetchall()
            assert sum(row[1] for row in loaded) == rows, (name, loaded)
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (3000,)

status = urllib.request.urlopen(f"http://{os.environ['TEST_HTTP']}/health")
assert status.status == 200
metrics = urllib.request.urlopen(f"http://{os.environ['TEST_HTTP']}/metrics").read().decode()
assert "# TYPE lakeport_" in metrics, metrics[:500]
try:
    urllib.request.urlopen(f"http://{os.environ['TEST_HTTP']}/nope")
    raise AssertionError("a page that is not there")
except urllib.error.HTTPError as error:
    assert error.code == 404
