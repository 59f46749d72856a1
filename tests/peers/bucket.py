"""A bucket of S3 in memory that counts what it serves: quick, and of any number of files. Checks no signatures."""

import bisect
import http.server
import itertools
import re
import threading
import urllib.parse
from xml.sax.saxutils import escape, unescape

PAGE = 1000


class Bucket:
    """Files by their names; deleted ones are gone."""

    def __init__(self, files):
        self.files, self.names = dict(files), sorted(files)
        self.lock = threading.Lock()
        self.listed = self.served_bytes = self.requests = self.deletions = 0
        # Called before a file, or a part of it, is sent.
        self.before_file = lambda name: None
        # Called with the number of a deletion of several files before they go.
        self.before_deletion = lambda number: None
        handler = type("Handler", (Requests,), {"bucket": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def uri(self, path=""):
        return (f"s3://bucket/{path}?AWS_ACCESS_KEY_ID=any&AWS_SECRET_ACCESS_KEY=any&AWS_REGION=us-east-1"
                f"&AWS_ENDPOINT={self.endpoint}")


class Requests(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer in one piece waits for no acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if length is None:
            self.wfile.write(body)

    def parsed(self):
        url = urllib.parse.urlsplit(self.path)
        name = urllib.parse.unquote(url.path).removeprefix("/bucket").lstrip("/")
        return name, dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))

    def do_HEAD(self):
        name, _ = self.parsed()
        content = self.bucket.files.get(name)
        if content is None:
            return self.reply(404, length=0)
        self.reply(200, length=len(content), **self.facts(content))

    def facts(self, content):
        return {"ETag": f'"{len(content):x}"', "Last_Modified": "Sun, 01 Feb 2026 10:00:00 GMT"}

    def do_GET(self):
        name, query = self.parsed()
        if not name:
            return self.list(query)
        content = self.bucket.files.get(name)
        if content is None:
            return self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        self.bucket.before_file(name)
        start, end = 0, len(content)
        if found := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            first, last = found.groups()
            start, end = (int(first), min(end, int(last) + 1) if last else end) if first else (end - int(last), end)
        with self.bucket.lock:
            self.bucket.served_bytes += end - start
            self.bucket.requests += 1
        headers = self.facts(content) | {"Content_Range": f"bytes {start}-{end - 1}/{len(content)}"}
        self.reply(206 if found else 200, content[start:end], **headers)

    def list(self, query):
        """A page of ListObjectsV2."""
        bucket, prefix = self.bucket, query.get("prefix", "")
        after = max(query.get("continuation-token", ""), query.get("start-after", ""))
        at = max(bisect.bisect_right(bucket.names, after) if after else 0, bisect.bisect_left(bucket.names, prefix))
        with bucket.lock:
            there = (name for name in itertools.islice(bucket.names, at, None) if name in bucket.files)
            page = list(itertools.islice(itertools.takewhile(lambda name: name.startswith(prefix), there), PAGE + 1))
            more = len(page) > PAGE
            sizes = [len(bucket.files[name]) for name in page[:PAGE]]
            bucket.listed += len(sizes)
        rows = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{size}</Size><LastModified>2026-02-01T10:00:00.000Z</LastModified>"
            f"<ETag>&quot;{size:x}&quot;</ETag></Contents>" for name, size in zip(page, sizes))
        token = f"<NextContinuationToken>{escape(page[PAGE - 1])}</NextContinuationToken>" if more else ""
        truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        self.reply(200, f"<ListBucketResult>{truncated}{token}{rows}</ListBucketResult>".encode())

    def do_POST(self):
        """DeleteObjects."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        names = [unescape(name) for name in re.findall("<Key>(.*?)</Key>", body)]
        with self.bucket.lock:
            self.bucket.deletions += 1
            number = self.bucket.deletions
        self.bucket.before_deletion(number)
        with self.bucket.lock:
            for name in names:
                self.bucket.files.pop(name, None)
        gone = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in names)
        self.reply(200, f"<DeleteResult>{gone}</DeleteResult>".encode())
