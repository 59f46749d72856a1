"""Stands in for Google's and Azure's key management services, of which no emulator is to be had, on a free loopback port.

Prints one line NAME=VALUE ..., values escaped for URIs, when it answers, and ends when standard input closes.
  Google  cloudkms.googleapis.com (REST): encrypt, decrypt, checksums; iamcredentials.googleapis.com: generateAccessToken
  Azure   a vault: wrapkey, unwrapkey, challenges; login.microsoftonline.com: tokens for a client secret
Both are strict: what the services would refuse is refused. keys_proof.py drives them with the vendors' own clients.
"""

import base64
import datetime
import ipaddress
import json
import os
import pathlib
import re
import ssl
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN_SECONDS = 3600


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status, body, headers=()):
        self.status, self.body, self.headers = status, body, headers


def new_rsa():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Google:
    """Symmetric keys with versions, service accounts with keys of their own, and who may act as whom."""

    RING = "projects/lake/locations/europe-west3/keyRings/ring"
    ALL = "https://www.googleapis.com/auth/cloud-platform"
    # What a token must be for, by service.
    SCOPES = {"cloudkms": {ALL, "https://www.googleapis.com/auth/cloudkms"}, "iam": {ALL, "https://www.googleapis.com/auth/iam"}}
    AUDIENCES = {"cloudkms": "https://cloudkms.googleapis.com/", "iam": "https://iamcredentials.googleapis.com/"}

    def __init__(self):
        self.accounts = {}
        self.tokens = {}
        self.versions = {f"{self.RING}/cryptoKeys/{name}": AESGCM.generate_key(256)
                         for name in ("backups", "other", "disabled", "damaged", "busy")}
        self.users = {self.address("lakeport"), self.address("vault")}
        self.actors = {(self.address("lakeport"), self.address("relay")), (self.address("relay"), self.address("vault"))}

    @staticmethod
    def address(name):
        return f"{name}@lake.iam.gserviceaccount.com"

    def key_file(self, name):
        key, key_id = new_rsa(), os.urandom(20).hex()
        self.accounts[key_id] = (self.address(name), key.public_key())
        return {"type": "service_account", "project_id": "lake", "private_key_id": key_id,
                "private_key": pem(key).decode(), "client_email": self.address(name),
                "token_uri": "https://oauth2.googleapis.com/token"}

    @staticmethod
    def refuse(status, name, message):
        raise Refused(status, {"error": {"code": status, "status": name, "message": message}})

    def caller(self, headers, service):
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            self.refuse(401, "UNAUTHENTICATED", "Request is missing required authentication credential.")
        account, ends = self.tokens.get(token, (None, 0))
        if ends > time.time():
            return account
        account = self.signer(token, service)
        if account is None:
            self.refuse(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        return account

    def signer(self, token, service):
        """The service account that signed a token for itself, if it is one, good, and for this service."""
        try:
            head, claims, signature = token.split(".")
            header, said = json.loads(unpadded(head)), json.loads(unpadded(claims))
            address, public = self.accounts[header["kid"]]
            public.verify(unpadded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
            now = time.time()
            good = (header["alg"] == "RS256" and said["iss"] == said["sub"] == address
                    and said["iat"] <= now + 60 and now < said["exp"] <= said["iat"] + 3600
                    and (self.SCOPES[service] & set(said.get("scope", "").split())
                         or said.get("aud") == self.AUDIENCES[service]))
            return address if good else None
        except (ValueError, KeyError, InvalidSignature):
            return None

    def answer(self, path, headers, body):
        if match := re.fullmatch(r"/v1/(projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/:]+):(encrypt|decrypt)", path):
            return self.crypt(self.caller(headers, "cloudkms"), *match.groups(), body)
        if match := re.fullmatch(r"/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken", path):
            return self.act_as(self.caller(headers, "iam"), match[1], body)
        self.refuse(404, "NOT_FOUND", f"{path} is not served.")

    def act_as(self, caller, account, body):
        chain = [caller, *(name.removeprefix("projects/-/serviceAccounts/") for name in body.get("delegates", [])), account]
        if self.ALL not in body.get("scope", []):
            self.refuse(400, "INVALID_ARGUMENT", "scope is required.")
        if not all(step in self.actors for step in zip(chain, chain[1:])):
            self.refuse(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource.")
        token = "ya29." + os.urandom(24).hex()
        self.tokens[token] = (account, time.time() + TOKEN_SECONDS)
        ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=TOKEN_SECONDS)
        return {"accessToken": token, "expireTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def crypt(self, caller, key, verb, body):
        if caller not in self.users:
            self.refuse(403, "PERMISSION_DENIED",
                        f"Permission 'cloudkms.cryptoKeyVersions.useTo{verb.title()}' denied on resource '{key}'.")
        if key not in self.versions:
            self.refuse(404, "NOT_FOUND", f"CryptoKey {key} not found.")
        version = f"{key}/cryptoKeyVersions/1"
        if key.endswith("/disabled"):
            self.refuse(400, "FAILED_PRECONDITION", f"{version} is not enabled, current state is: DISABLED.")
        if key.endswith("/busy"):
            self.refuse(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Cryptographic requests'.")
        taken = "plaintext" if verb == "encrypt" else "ciphertext"
        data = self.bytes_of(body, taken)
        cipher = AESGCM(self.versions[key])
        if verb == "encrypt":
            nonce = os.urandom(12)
            made = nonce + cipher.encrypt(nonce, data, version.encode())
            answer = {"name": version, "verifiedPlaintextCrc32c": "plaintextCrc32c" in body, **self.sealed("ciphertext", made)}
        else:
            try:
                answer = self.sealed("plaintext", cipher.decrypt(data[:12], data[12:], version.encode()))
            except (InvalidTag, ValueError):
                self.refuse(400, "INVALID_ARGUMENT", "Decryption failed: the ciphertext is invalid.")
        if key.endswith("/damaged"):
            answer = {name: "1" if name.endswith("Crc32c") and value is not True else value for name, value in answer.items()}
        return answer

    def bytes_of(self, body, name):
        try:
            data = base64.b64decode(body[name], validate=True)
        except (KeyError, ValueError):
            self.refuse(400, "INVALID_ARGUMENT", f"Invalid value at '{name}' (TYPE_BYTES), Base64 decoding failed")
        if f"{name}Crc32c" in body and int(body[f"{name}Crc32c"]) != crc32c(data):
            self.refuse(400, "INVALID_ARGUMENT", f"The checksum in field {name}_crc32c did not match the data in field {name}.")
        return data

    @staticmethod
    def sealed(name, data):
        return {name: base64.b64encode(data).decode(), f"{name}Crc32c": str(crc32c(data))}


class Azure:
    """One directory with one application, and one vault of RSA keys with versions."""

    TENANT, CLIENT = "6babcaad-604b-40ac-a9d7-9fd97c0b779f", "7fc1d9be-6a7f-4d21-b2c1-64a1f8f5b0a1"
    STRANGER = "b2a6f0f5-93f4-4f35-8f0f-f6d6f8b9f6a2"
    SCOPE = "https://vault.azure.net/.default"
    VERSIONS = {"backups": "3b5e", "other": "77aa", "disabled": "90d1"}

    def __init__(self, host):
        self.host = host
        self.secrets = {self.CLIENT: ["s~first/secret+1", "s~next/secret+2"], self.STRANGER: ["s~stranger"]}
        self.tokens = {}
        self.versions = {name: version * 8 for name, version in self.VERSIONS.items()}
        self.keys = {name: new_rsa() for name in self.versions}

    def discovery(self, tenant):
        base = f"https://{self.host}/{tenant}"
        return {"token_endpoint": f"{base}/oauth2/v2.0/token", "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize"}

    def token(self, tenant, form):
        said = {name: values[0] for name, values in urllib.parse.parse_qs(form.decode()).items()}
        if tenant != self.TENANT:
            raise Refused(400, {"error": "invalid_request", "error_description":
                                f"AADSTS90002: Tenant '{tenant}' not found.\r\nTrace ID: 1"})
        if said.get("grant_type") != "client_credentials" or said.get("client_id") not in self.secrets:
            raise Refused(400, {"error": "unauthorized_client", "error_description":
                                "AADSTS700016: Application was not found in the directory.\r\nTrace ID: 1"})
        if said.get("client_secret") not in self.secrets[said["client_id"]]:
            raise Refused(401, {"error": "invalid_client", "error_description":
                                "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1"})
        # The library of the vendor adds scopes of its own.
        if self.SCOPE not in said.get("scope", "").split():
            raise Refused(400, {"error": "invalid_scope", "error_description": "AADSTS70011: The scope is not valid."})
        token = os.urandom(24).hex()
        self.tokens[token] = (said["client_id"], time.time() + TOKEN_SECONDS)
        return {"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "ext_expires_in": TOKEN_SECONDS, "access_token": token}

    @staticmethod
    def refuse(status, code, message, inner=None):
        error = {"code": code, "message": message, **({"innererror": {"code": inner}} if inner else {})}
        raise Refused(status, {"error": error})

    def check_caller(self, headers):
        scheme, _, token = headers.get("authorization", "").partition(" ")
        caller, ends = self.tokens.get(token, (None, 0))
        if scheme != "Bearer" or ends <= time.time():
            challenge = f'Bearer authorization="https://{self.host}/{self.TENANT}", resource="https://vault.azure.net"'
            raise Refused(401, {"error": {"code": "Unauthorized", "message": "AKV10000: Request is missing a Bearer or PoP token."}},
                          [("WWW-Authenticate", challenge)])
        if caller != self.CLIENT:
            self.refuse(403, "Forbidden", "Caller is not authorized to perform action on resource.", "ForbiddenByRbac")

    def answer(self, method, path, query, headers, read):
        """Reads the body only of a caller who may ask."""
        self.check_caller(headers)
        version = urllib.parse.parse_qs(query).get("api-version", [""])[0]
        if not re.fullmatch(r"7\.\d|20\d\d-\d\d-\d\d", version):
            self.refuse(400, "BadParameter", "api-version is required.")
        match = re.fullmatch(r"/keys/([^/]+)/([^/]+)(?:/(wrapkey|unwrapkey))?", path)
        if not match or self.versions.get(match[1]) != match[2]:
            self.refuse(404, "KeyNotFound", f"A key with (name/id) {path} was not found in this key vault.")
        name, version, verb = match.groups()
        if verb is None or method != "POST":
            self.refuse(403, "Forbidden", "Caller may only wrap and unwrap.", "ForbiddenByRbac")
        if name == "disabled":
            self.refuse(403, "Forbidden", f"Operation {verb} is not allowed on a disabled key.", "KeyDisabled")
        body = json.loads(read())
        if body.get("alg") != "RSA-OAEP-256":
            self.refuse(400, "BadParameter", "Key and signing algorithm are incompatible.")
        return {"kid": f"https://{self.host}/keys/{name}/{version}", "value": self.wrap(name, verb, body.get("value", ""))}

    def wrap(self, name, verb, value):
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
        if re.search(r"[^A-Za-z0-9_-]", value):
            self.refuse(400, "BadParameter", "Property value is not base64url.")
        try:
            key = self.keys[name]
            made = key.public_key().encrypt(unpadded(value), oaep) if verb == "wrapkey" else key.decrypt(unpadded(value), oaep)
        except ValueError:
            self.refuse(400, "BadParameter", "The parameter is incorrect.")
        return base64.urlsafe_b64encode(made).decode().rstrip("=")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    google = azure = None

    def serve(self):
        path, _, query = self.path.partition("?")
        path = urllib.parse.unquote(path)
        # What a refused caller has sent is still to be taken off the connection.
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            status, answer, headers = 200, self.route(path, query, body), ()
        except Refused as refused:
            status, answer, headers = refused.status, refused.body, refused.headers
        text = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in [("content-type", "application/json"), ("content-length", str(len(text))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def route(self, path, query, body):
        headers = {name.lower(): value for name, value in self.headers.items()}
        if path.startswith("/v1/"):
            if self.command != "POST" or not headers.get("content-type", "").startswith("application/json"):
                Google.refuse(400, "INVALID_ARGUMENT", "JSON is expected.")
            return self.google.answer(path, headers, json.loads(body))
        if path.startswith("/keys/"):
            return self.azure.answer(self.command, path, query, headers, lambda: body)
        if match := re.fullmatch(r"/([^/]+)/v2.0/.well-known/openid-configuration", path):
            return self.azure.discovery(match[1])
        if (match := re.fullmatch(r"/([^/]+)/oauth2/v2.0/token", path)) and self.command == "POST":
            return self.azure.token(match[1], body)
        raise Refused(404, {})

    do_GET = do_POST = serve

    def log_message(self, *_):
        pass


def certificate(folder, *names):
    """A CA of its own, and a server's certificate by it, for localhost and these names."""
    now = datetime.datetime.now(datetime.timezone.utc)
    name = lambda text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
    ca_key, key = new_rsa(), new_rsa()

    def build(subject, public, *extensions):
        builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("Lakeport Test CA"))
                   .public_key(public).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30)))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    usage = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                           "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False)
    ca = build("Lakeport Test CA", ca_key.public_key(), (x509.BasicConstraints(True, None), True),
               (x509.KeyUsage(**usage | {"key_cert_sign": True, "crl_sign": True}), True),
               (x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False))
    hosts = [*map(x509.DNSName, ("localhost", *names)), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    server = build("localhost", key.public_key(), (x509.BasicConstraints(False, None), True),
                   (x509.SubjectAlternativeName(hosts), False),
                   (x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False))
    (folder / "server.pem").write_bytes(server + pem(key))
    return ca


def serve(folder):
    ca = certificate(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    host = f"localhost:{server.server_port}"
    google = Handler.google = Google()
    azure = Handler.azure = Azure(host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base64_of = lambda text: base64.b64encode(text).decode()
    credentials = lambda name: base64_of(json.dumps(google.key_file(name)).encode())
    ring = f"{google.RING}/cryptoKeys"
    facts = {
        "KEYS_ENDPOINT": f"https://{host}", "KEYS_CA": base64_of(ca),
        "GCP_CREDENTIALS": credentials("lakeport"), "GCP_NEXT_CREDENTIALS": credentials("lakeport"),
        "GCP_STRANGER_CREDENTIALS": credentials("stranger"),
        "GCP_RELAY": google.address("relay"), "GCP_VAULT": google.address("vault"), "GCP_RING": ring,
        "AZURE_TENANT": azure.TENANT, "AZURE_CLIENT": azure.CLIENT, "AZURE_SECRET": azure.secrets[azure.CLIENT][0],
        "AZURE_NEXT_SECRET": azure.secrets[azure.CLIENT][1],
        "AZURE_STRANGER": azure.STRANGER, "AZURE_STRANGER_SECRET": azure.secrets[azure.STRANGER][0],
        **{f"AZURE_{name.upper()}_KEY": f"{name}/{version}" for name, version in azure.versions.items()},
    }
    return {name: urllib.parse.quote(value, safe=":/@~") for name, value in facts.items()}


def main():
    with tempfile.TemporaryDirectory(prefix="lakeport-peer-") as name:
        facts = serve(pathlib.Path(name))
        print(" ".join(f"{name}={value}" for name, value in facts.items()), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
