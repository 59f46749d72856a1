"""Google Cloud Storage's XML interface in front of fake-gcs-server, which speaks its JSON interface only.

Files are fake-gcs-server's own, and so are generations and what depends on them; uploads in parts are kept here until they
are complete. Strict where the emulator is not: tokens, rights, requester pays, sizes of parts. clouds_proof.py drives it
with the vendor's client.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import threading
import urllib.parse
from email.utils import format_datetime
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import google_crc32c

import keys

PAGE = 1000
PART_BYTES_MIN = 5 << 20


class Refused(Exception):
    def __init__(self, status, code, message):
        self.status, self.code, self.message = status, code, message


class Accounts(keys.Google):
    """Service accounts as of keys.py, whose tokens are for storage."""

    SCOPES = keys.Google.SCOPES | {"storage": {keys.Google.ALL, "https://www.googleapis.com/auth/devstorage.full_control",
                                               "https://www.googleapis.com/auth/devstorage.read_write"}}
    AUDIENCES = keys.Google.AUDIENCES | {"storage": "https://storage.googleapis.com/"}


class Emulator:
    """The JSON interface of fake-gcs-server."""

    def __init__(self, port):
        self.port, self.local = port, threading.local()

    def ask(self, method, path, query=(), body=None, headers=()):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        url = path + ("?" + urllib.parse.urlencode(query) if query else "")
        self.local.connection.request(method, url, body, dict(headers))
        answer = self.local.connection.getresponse()
        return answer.status, answer.read()

    def meta(self, bucket, name):
        status, body = self.ask("GET", f"/storage/v1/b/{bucket}/o/{quoted(name)}")
        if status == 404:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        return json.loads(body)

    def put(self, bucket, name, body, generation=None):
        # It looks at preconditions in this form only.
        query = [("uploadType", "multipart")] + ([("ifGenerationMatch", generation)] if generation is not None else [])
        mark = os.urandom(16).hex()
        head = f"--{mark}\r\ncontent-type: application/json\r\n\r\n{json.dumps({'name': name})}\r\n--{mark}\r\n"
        whole = f"{head}content-type: application/octet-stream\r\n\r\n".encode() + body + f"\r\n--{mark}--".encode()
        return made(*self.ask("POST", f"/upload/storage/v1/b/{bucket}/o", query, whole,
                              {"content-type": f"multipart/related; boundary={mark}"}))

    def copy(self, bucket, name, source):
        source_bucket, _, source_name = urllib.parse.unquote(source).lstrip("/").partition("/")
        self.meta(source_bucket, source_name)
        path = f"/storage/v1/b/{source_bucket}/o/{quoted(source_name)}/copyTo/b/{bucket}/o/{quoted(name)}"
        return made(*self.ask("POST", path, (), "{}", {"content-type": "application/json"}))

    def list(self, bucket, prefix, delimiter):
        status, body = self.ask("GET", f"/storage/v1/b/{bucket}/o", [("prefix", prefix), ("delimiter", delimiter)])
        found = json.loads(body)
        return {**{item["name"]: item for item in found.get("items", [])}, **dict.fromkeys(found.get("prefixes", []))}


def made(status, answer):
    if status == 412:
        raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
    if status != 200:
        raise Refused(status, "InternalError", answer.decode())
    return json.loads(answer)


def quoted(name):
    return urllib.parse.quote(name, safe="")


def etag_of(meta):
    return f'"{meta["etag"].strip(chr(34))}"'


def hashes(body):
    base64_of = lambda digest: base64.b64encode(digest).decode()
    return f"crc32c={base64_of(google_crc32c.Checksum(body).digest())},md5={base64_of(hashlib.md5(body).digest())}"


def http_date(meta):
    return format_datetime(datetime.fromisoformat(meta["updated"].replace("Z", "+00:00")), usegmt=True)


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    accounts = emulator = None
    buckets, public, paid = ("lake", "other", "public", "paid"), "public", "paid"
    uploads, copying = {}, threading.Lock()

    def serve(self):
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, query = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        try:
            if path.startswith("/v1/"):
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = self.accounts.answer(urllib.parse.unquote(path), headers, json.loads(self.body))
                return self.reply(200, json.dumps(answer).encode(), [("content-type", "application/json")])
            bucket, _, name = path.lstrip("/").partition("/")
            self.bucket, self.name = urllib.parse.unquote(bucket), urllib.parse.unquote(name)
            self.check()
            self.route()
        except Refused as refused:
            self.refuse(refused.status, refused.code, refused.message)
        except keys.Refused as refused:
            if path.startswith("/v1/"):
                return self.reply(refused.status, json.dumps(refused.body).encode(), [("content-type", "application/json")])
            self.refuse(refused.status, "AuthenticationRequired", refused.body["error"]["message"])

    def refuse(self, status, code, message):
        text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        self.reply(status, text.encode(), [("content-type", "application/xml; charset=UTF-8")])

    def check(self):
        """Who asks, what they may, and who pays."""
        reads = self.command in ("GET", "HEAD")
        if not (self.bucket == self.public and reads and not self.headers.get("authorization")):
            caller = self.accounts.caller({"authorization": self.headers.get("authorization", "")}, "storage")
            if caller not in self.accounts.users:
                raise Refused(403, "AccessDenied", "Access denied.")
        if self.bucket not in self.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        if self.bucket == self.paid and self.headers.get("x-goog-user-project") != "lake":
            raise Refused(400, "UserProjectMissing", "Bucket is a requester pays bucket but no user project provided.")

    def route(self):
        if not self.name:
            return self.list()
        if self.command == "POST":
            return self.begin() if "uploads" in self.query else self.complete()
        if "uploadId" in self.query:
            return self.part() if self.command == "PUT" else self.abort()
        {"GET": self.get, "HEAD": self.get, "PUT": self.put, "DELETE": self.delete}[self.command]()

    def generation(self):
        return self.headers.get("x-goog-if-generation-match")

    def put(self):
        if source := self.headers.get("x-goog-copy-source"):
            with self.copying:
                self.check_copy()
                meta = self.emulator.copy(self.bucket, self.name, source)
            text = f"<CopyObjectResult><ETag>{etag_of(meta)}</ETag></CopyObjectResult>"
            return self.reply(200, text.encode())
        self.answer_made(self.emulator.put(self.bucket, self.name, self.body, self.generation()))

    def check_copy(self):
        """The precondition of a copy, at which the emulator does not look."""
        found = self.emulator.list(self.bucket, self.name, "").get(self.name)
        if self.generation() not in (None, found["generation"] if found else "0"):
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")

    def answer_made(self, meta, body=b""):
        self.reply(200, body, [("etag", etag_of(meta)), ("x-goog-generation", meta["generation"])])

    def delete(self):
        self.emulator.meta(self.bucket, self.name)
        self.emulator.ask("DELETE", f"/storage/v1/b/{self.bucket}/o/{quoted(self.name)}")
        self.reply(204, b"")

    def get(self):
        meta = self.emulator.meta(self.bucket, self.name)
        wanted, unwanted = self.headers.get("if-match"), self.headers.get("if-none-match")
        if wanted and etag_of(meta) not in wanted:
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
        if unwanted and etag_of(meta) in unwanted:
            return self.reply(304, b"")
        size = int(meta["size"])
        headers = [("etag", etag_of(meta)), ("last-modified", http_date(meta)), ("x-goog-generation", meta["generation"]),
                   ("content-type", "application/octet-stream")]
        status, start, end = 200, 0, size
        if match := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("range", "")):
            first, last = match.groups()
            start, end = (int(first), min(int(last) + 1, size) if last else size) if first else (max(size - int(last), 0), size)
            if start >= size:
                raise Refused(416, "InvalidRange", "The requested range cannot be satisfied.")
            status = 206
            headers.append(("content-range", f"bytes {start}-{end - 1}/{size}"))
        body = b"" if self.command == "HEAD" else self.emulator.ask(
            "GET", f"/storage/v1/b/{self.bucket}/o/{quoted(self.name)}", [("alt", "media")])[1][start:end]
        self.reply(status, body, headers, end - start)

    def list(self):
        if self.command != "GET" or self.query.get("list-type") != "2":
            raise Refused(400, "InvalidArgument", "Only version 2 of listing is served.")
        after = self.query.get("continuation-token") or self.query.get("start-after", "")
        found = self.emulator.list(self.bucket, self.query.get("prefix", ""), self.query.get("delimiter", ""))
        names = sorted((name for name in found if name > after), key=lambda name: name.encode())
        page, more = names[:PAGE], len(names) > PAGE
        entries = "".join(self.entry(name, found[name]) for name in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        text = (f"<ListBucketResult><Name>{self.bucket}</Name><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
                f"{entries}</ListBucketResult>")
        self.reply(200, text.encode())

    @staticmethod
    def entry(name, meta):
        if meta is None:
            return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
        return (f"<Contents><Key>{escape(name)}</Key><Generation>{meta['generation']}</Generation><Size>{meta['size']}</Size>"
                f"<LastModified>{meta['updated']}</LastModified><ETag>{escape(etag_of(meta))}</ETag></Contents>")

    def begin(self):
        upload = os.urandom(12).hex()
        self.uploads[upload] = (self.bucket, self.name, {})
        text = (f"<InitiateMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Bucket>{self.bucket}</Bucket>"
                f"<Key>{escape(self.name)}</Key><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
        self.reply(200, text.encode(), [("content-type", "application/xml")])

    def upload(self):
        found = self.uploads.get(self.query.get("uploadId"))
        if found is None or found[:2] != (self.bucket, self.name):
            raise Refused(404, "NoSuchUpload", "The requested upload was not found.")
        return found[2]

    def part(self):
        tag = f'"{hashlib.md5(self.body).hexdigest()}"'
        self.upload()[int(self.query["partNumber"])] = (tag, self.body)
        self.reply(200, b"", [("etag", tag), ("x-goog-hash", hashes(self.body))])

    def complete(self):
        sent = self.upload()
        listed = []
        for part in ElementTree.fromstring(self.body):
            fields = {child.tag.rsplit("}", 1)[-1]: child.text for child in part}
            listed.append((int(fields["PartNumber"]), fields["ETag"]))
        if listed != sorted(listed) or any(sent.get(number, ("",))[0].strip('"') != tag.strip('"') for number, tag in listed):
            raise Refused(400, "InvalidPart", "One or more of the specified parts could not be found.")
        bodies = [sent[number][1] for number, _ in listed]
        if any(len(body) < PART_BYTES_MIN for body in bodies[:-1]):
            raise Refused(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum object size.")
        meta = self.emulator.put(self.bucket, self.name, b"".join(bodies))
        del self.uploads[self.query["uploadId"]]
        text = (f"<CompleteMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Bucket>{self.bucket}</Bucket>"
                f"<Key>{escape(self.name)}</Key><ETag>{escape(etag_of(meta))}</ETag></CompleteMultipartUploadResult>")
        self.answer_made(meta, text.encode())

    def abort(self):
        self.upload()
        del self.uploads[self.query["uploadId"]]
        self.reply(204, b"")

    def reply(self, status, body, headers=(), length=None):
        self.send_response(status)
        for name, value in [*headers, ("content-length", str(len(body) if length is None else length))]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    def log_message(self, *_):
        pass
