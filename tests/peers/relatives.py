"""OSS of Alibaba Cloud and COS of Tencent Cloud, of which no emulators are to be had, in front of moto's S3.

Files, uploads and listings are moto's. What differs is done here, strictly: each signature is made again by the vendor's own
library and compared, headers of Amazon's are refused, a file is made once when that is asked for, and COS lists by markers.
OSS has a token service with it, whose keys alone open one of its buckets.
"""

import base64
import calendar
import hashlib
import http.client
import json
import os
import re
import threading
import time
import types
import urllib.parse
from http.server import BaseHTTPRequestHandler
from unittest import mock
from xml.sax.saxutils import escape

import oss2
import oss2.http
import qcloud_cos.cos_auth
from alibabacloud_tea_openapi.utils import Utils

PAGE = 5
DRIFT_SECONDS = 900
# Only for this server's own use of the libraries.
LOCK = threading.Lock()


# moto hides files from whoever is unknown, and checks no signature.
KNOWN = "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


class Refused(Exception):
    def __init__(self, status, code, message="refused"):
        self.status, self.code, self.message = status, code, message


class Front(BaseHTTPRequestHandler):
    """A server with buckets in its paths; prefix, keys and signature are a vendor's."""

    protocol_version = "HTTP/1.1"
    prefix = None
    # Name, secret and token of who may do all.
    keys = {}
    public, versioned = "public", "versioned"
    port = None
    # Who makes a file once is alone meanwhile.
    making = threading.Lock()

    def serve(self):
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            path, _, query = self.path.partition("?")
            self.query = urllib.parse.parse_qsl(query, keep_blank_values=True)
            self.bucket, _, self.key = urllib.parse.unquote(path).lstrip("/").partition("/")
            self.authorise(urllib.parse.unquote(path))
            self.answer(*self.change())
        except Refused as refused:
            text = f"<Error><Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
            self.answer(refused.status, [("content-type", "application/xml")], text.encode())

    def authorise(self, path):
        told = self.headers.get("authorization")
        reads = self.command in ("GET", "HEAD")
        if told is None and not (reads and self.bucket == self.public):
            raise Refused(403, "AccessDenied", "Anonymous access is forbidden for this operation.")
        if told is not None:
            self.verify(told, path)

    def known(self, name, prefix):
        """The secret of a key that comes with its token, if it has one."""
        if name not in self.keys:
            raise Refused(403, "InvalidAccessKeyId", "The access key does not exist.")
        secret, token = self.keys[name]
        if self.headers.get(f"{prefix}security-token") != token:
            raise Refused(403, "InvalidSecurityToken", "The token does not belong to the key.")
        return secret

    def given(self, name):
        return self.headers.get(self.prefix + name)

    def change(self):
        """Asks moto; what it is asked and answers differs by vendor."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        for name in headers:
            if name.startswith("x-amz-") or (name in ("if-none-match", "if-match") and self.command == "PUT"):
                raise Refused(400, "InvalidArgument", f"{name} is not understood.")
        if ("delete", "") in self.query and headers.get("content-md5") != base64_md5(self.body):
            raise Refused(400, "InvalidDigest", "Content-MD5 is missing or wrong.")
        kept = ("content-type", "content-md5", "range", "if-match", "if-none-match", "if-modified-since")
        headers = {name: headers[name] for name in kept if name in headers}
        if source := self.given("copy-source"):
            headers["x-amz-copy-source"] = self.source(source)
        if self.given("forbid-overwrite") != "true" or self.bucket == self.versioned:
            return self.versions(self.ask(self.command, self.path, headers, self.body))
        with self.making:
            if self.ask("HEAD", self.path, {}, b"")[0] != 404:
                raise Refused(409, "FileAlreadyExists", "The object you specified already exists and can not be overwritten.")
            return self.ask(self.command, self.path, headers, self.body)

    def versions(self, answer):
        """A bucket that keeps versions tells of each, and looks at no condition."""
        status, headers, body = answer
        made = self.bucket == self.versioned and self.command == "PUT"
        return status, headers + ([(f"{self.prefix}version-id", "1")] if made else []), body

    def ask(self, method, path, headers, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(method, path, body, headers | {"authorization": KNOWN})
        answer = connection.getresponse()
        wanted = ("etag", "last-modified", "content-type", "content-range", "content-length")
        found = [(name, value) for name, value in answer.getheaders() if name.lower() in wanted]
        body = answer.read().replace(b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', b"")
        connection.close()
        return answer.status, found, body

    def answer(self, status, headers, body):
        if self.command != "HEAD":
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
            headers.append(("content-length", str(len(body))))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    def log_message(self, *_):
        pass


def base64_md5(body):
    return base64.b64encode(hashlib.md5(body).digest()).decode()


class Role:
    """Whom a role trusts, names of keys and of roles; the word it wants to hear; where its keys open the vault, for how long
    each, and for how many requests."""

    def __init__(self, *trusted, external_id=None, opens=True, seconds=3600, requests=None):
        self.trusted, self.external_id, self.opens = trusted, external_id, opens
        self.seconds, self.requests = seconds, requests


class Oss(Front):
    prefix, region = "x-oss-", "cn-test"
    # Roles by name, and those that keys of the token service were given for, with the requests that are left.
    roles, sessions = {}, {}
    vault = None
    nonces = set()

    def do_POST(self):
        self.assume_role() if "x-acs-action" in self.headers else self.serve()

    def assume_role(self):
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            status, said = 200, self.session()
        except Refused as refused:
            status, said = refused.status, {"Code": refused.code, "Message": refused.message}
        self.answer(status, [("content-type", "application/json")], json.dumps(said | {"RequestId": "0"}).encode())

    def session(self):
        """Keys of a role, for whoever it trusts."""
        asked = dict(urllib.parse.parse_qsl(self.path.partition("?")[2]))
        caller = self.caller(asked)
        if (self.headers["x-acs-action"], self.headers["x-acs-version"]) != ("AssumeRole", "2015-04-01"):
            raise Refused(404, "InvalidAction.NotFound", "Specified api is not found.")
        if not re.fullmatch(r"[a-zA-Z0-9.@_-]{2,64}", asked.get("RoleSessionName", "")):
            raise Refused(400, "InvalidParameter.RoleSessionName", "The parameter RoleSessionName is wrongly formed.")
        role = self.roles.get(asked.get("RoleArn"))
        if role is None:
            raise Refused(404, "EntityNotExist.Role", f"The role not exists: {asked.get('RoleArn')}.")
        if caller not in role.trusted or asked.get("ExternalId") != role.external_id:
            raise Refused(403, "NoPermission", "You are not authorized to do this action. You should be authorized by RAM.")
        name, secret, token = f"STS.{os.urandom(8).hex()}", os.urandom(16).hex(), os.urandom(32).hex()
        self.keys[name] = (secret, token)
        self.sessions[name] = {"role": asked["RoleArn"], "left": role.requests}
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + role.seconds))
        return {"Credentials": {"AccessKeyId": name, "AccessKeySecret": secret, "SecurityToken": token, "Expiration": ends}}

    def caller(self, asked):
        """Whose keys signed a request to the token service: their name, or that of their role."""
        told = self.headers.get("authorization") or ""
        match = re.fullmatch(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=[0-9a-f]{64}", told)
        if not match:
            raise Refused(400, "IncompleteSignature", "The request signature does not conform to Aliyun standards.")
        name, listed = match[1], match[2].split(";")
        secret = self.known(name, "x-acs-")
        headers = {name.lower(): value for name, value in self.headers.items()}
        moment, nonce = headers.get("x-acs-date", ""), headers.get("x-acs-signature-nonce", "")
        if abs(time.time() - calendar.timegm(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ"))) > DRIFT_SECONDS:
            raise Refused(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        if nonce in self.nonces:
            raise Refused(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self.nonces.add(nonce)
        sum_of_body = hashlib.sha256(self.body).hexdigest()
        must = {name for name in headers if name in ("host", "content-type") or name.startswith("x-acs-")}
        request = types.SimpleNamespace(method=self.command, pathname=self.path.partition("?")[0], query=asked,
                                        headers={name: headers.get(name) for name in listed})
        made = Utils.get_authorization(request, "ACS3-HMAC-SHA256", sum_of_body, name, secret)
        if made != told or not must <= set(listed) or headers["x-acs-content-sha256"] != sum_of_body:
            # Theirs too says what it signed.
            raise Refused(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation. "
                          f"server CanonicalRequest is [{asked} {headers}]")
        return self.sessions[name]["role"] if name in self.sessions else name

    def may_open(self, name):
        """Keys of roles are for the vault, and no others are."""
        session, in_vault = self.sessions.get(name), self.bucket == self.vault
        if in_vault != (session is not None) or session and not self.roles[session["role"]].opens:
            raise Refused(403, "AccessDenied", "You have no right to access this object because of bucket acl.")
        if session and session["left"] is not None:
            if session["left"] == 0:
                raise Refused(403, "SecurityTokenExpired", "The security token you provided has expired.")
            session["left"] -= 1

    def verify(self, told, path):
        match = re.fullmatch(r"OSS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/oss/aliyun_v4_request,(?:AdditionalHeaders=(host),)? ?Signature=([0-9a-f]{64})", told)
        if not match:
            raise Refused(400, "InvalidArgument", "The authorization is not of version 4.")
        name, date, region, additional, signature = match.groups()
        secret, moment = self.known(name, self.prefix), self.given("date") or ""
        if region != self.region:
            raise Refused(400, "InvalidArgument", "Invalid signing region in Authorization header.")
        if not moment.startswith(date) or abs(time.time() - calendar.timegm(time.strptime(moment, "%Y%m%dT%H%M%SZ"))) > DRIFT_SECONDS:
            raise Refused(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
        request = oss2.http.Request(self.command, "http://unused", params=dict(self.query), headers=dict(self.headers.items()),
                                    region=region, product="oss")
        request.headers = {name: value for name, value in self.headers.items()}
        auth = oss2.AuthV4(name, secret)
        made = auth._ProviderAuthV4__make_signature(request, self.bucket, self.key, additional and [additional], auth.credentials_provider.get_credentials(), moment)
        if made != signature:
            raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
        self.may_open(name)

    def source(self, text):
        return text

    def change(self):
        if "range" in self.headers and self.given("range-behavior") != "standard":
            raise Refused(400, "InvalidRange", "A range beyond the end would be answered with the whole file.")
        if ("list-type", "2") in self.query:
            # An empty token is none, of which moto knows nothing.
            kept = [(name, value) for name, value in self.query if name != "max-keys" and (value or name != "continuation-token")]
            self.path = f"/{self.bucket}?{urllib.parse.urlencode([*kept, ('max-keys', PAGE)])}"
        return super().change()


class Cos(Front):
    prefix = "x-cos-"

    def verify(self, told, path):
        said = dict(urllib.parse.parse_qsl(told, keep_blank_values=True))
        if said.get("q-sign-algorithm") != "sha1" or said.get("q-sign-time") != said.get("q-key-time"):
            raise Refused(403, "AccessDenied", "The authorization is not understood.")
        start, end = map(int, said["q-sign-time"].split(";"))
        secret = self.known(said["q-ak"], self.prefix)
        if not start <= time.time() <= end:
            raise Refused(403, "RequestTimeTooSkewed", "The request has expired.")
        listed = said["q-header-list"].split(";")
        headers = {name.lower(): value for name, value in self.headers.items()}
        must = [name for name in headers if name == "host" or name.startswith(self.prefix)]
        if not set(must) <= set(listed):
            raise Refused(403, "AccessDenied", "A header that must be signed is not.")
        conf = types.SimpleNamespace(_secret_id=said["q-ak"], _secret_key=secret, _anonymous=False, _sign_params=True,
                                     _sign_host=True, _credential_inst=None)
        request = types.SimpleNamespace(method=self.command, url=f"http://{headers['host']}{self.path}",
                                        headers={name: headers.get(name, "") for name in listed})
        with LOCK, mock.patch.object(qcloud_cos.cos_auth.time, "time", lambda: start + 60):
            auth = qcloud_cos.cos_auth.CosS3Auth(conf, path, dict(self.query), end - start - 60)
            made = auth(request).headers["Authorization"]
        if urllib.parse.unquote(made) != urllib.parse.unquote(told):
            raise Refused(403, "SignatureDoesNotMatch", "The signature you provided is invalid.")

    def source(self, text):
        host, _, rest = text.partition("/")
        if host != self.headers["host"]:
            raise Refused(400, "InvalidArgument", "The source of the copy is at another server.")
        return rest

    def change(self):
        if "list-type" in dict(self.query):
            raise Refused(400, "InvalidArgument", "Listings go on after a marker.")
        lists = self.command == "GET" and not self.key
        if lists:
            self.path += f"&max-keys={PAGE}" if self.query else f"?max-keys={PAGE}"
        status, headers, body = super().change()
        if lists and b"<IsTruncated>true" in body and b"<NextMarker>" not in body:
            # Unlike S3, COS always says where to go on.
            last = re.findall(rb"<Key>(.*?)</Key>", body)[-1]
            body = body.replace(b"</ListBucketResult>", b"<NextMarker>" + last + b"</NextMarker></ListBucketResult>")
        return status, headers, body
