"""Starts one test peer on free loopback ports: serve.py {s3 | sts}.

Prints one line NAME=VALUE ... when it answers, and ends it when standard input closes.
  s3   SeaweedFS, also over TLS with buckets in host names: checks access keys and signatures; two identities may write,
       one may only read
  sts  moto with its policy checks on: an IAM user that may assume a role, with an external id or not, and use keys of
       KMS; another that may do nothing
"""

import base64
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import boto3
from botocore.config import Config

from keys import certificate

HERE = pathlib.Path(sys.executable).parent
WRITER = ("AKIALAKEPORTWRITER", "lakeport/writer+secret")
SUCCESSOR = ("AKIALAKEPORTSUCCESSOR", "lakeport/successor+secret")
READER = ("AKIALAKEPORTREADER", "lakeport-reader-secret")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(url, process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


def client(service, endpoint, keys, token=None, region="us-east-1"):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        aws_session_token=token,
        config=Config(retries={"max_attempts": 3}, s3={"addressing_style": "path"}),
    )


def identity(name, keys, actions):
    return {"name": name, "credentials": [{"accessKey": keys[0], "secretKey": keys[1]}], "actions": actions}


def s3(folder, log):
    # A port that is not given is a fixed one, which another server on this machine may have.
    ports = free_ports(11)
    buckets = ("lake", "other")
    ca = certificate(folder, *(f"{bucket}.localhost" for bucket in buckets))
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [
        identity("writer", WRITER, ["Admin", "Read", "Write", "List", "Tagging"]),
        identity("successor", SUCCESSOR, ["Admin", "Read", "Write", "List", "Tagging"]),
        identity("reader", READER, ["Read", "List"]),
    ]}))
    names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
             "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc", "s3.port.https",
             "s3.port.iceberg", "s3.port.lance"]
    command = [HERE / "weed", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}",
               "-filer", "-s3", f"-s3.config={config}", "-master.volumeSizeLimitMB=256", "-volume.max=100",
               # Off: their fixed ports would keep two servers from running at once.
               "-s3.port.iceberg=0", "-s3.port.lance=0",
               "-s3.domainName=localhost", f"-s3.cert.file={folder}/server.pem", f"-s3.key.file={folder}/server.pem"]
    command += [f"-{name}={port}" for name, port in zip(names, ports)]
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    endpoint = f"http://127.0.0.1:{ports[6]}"
    wait_for(endpoint, process)
    store = client("s3", endpoint, WRITER)
    # It answers before its parts have found each other.
    for attempt in range(50):
        try:
            for bucket in buckets:
                store.create_bucket(Bucket=bucket)
            store.put_object(Bucket="lake", Key="ready", Body=b"ready")
            break
        except Exception:
            if attempt == 49 or process.poll() is not None:
                raise
            time.sleep(0.2)
    return process, {
        "S3_ENDPOINT": endpoint, "S3_BUCKET": "lake", "S3_OTHER_BUCKET": "other",
        "S3_KEY": WRITER[0], "S3_SECRET": WRITER[1], "S3_READER_KEY": READER[0], "S3_READER_SECRET": READER[1],
        "S3_TLS_ENDPOINT": f"https://localhost:{ports[8]}", "S3_TLS_CA": base64.b64encode(ca).decode(),
        "S3_NEXT_KEY": SUCCESSOR[0], "S3_NEXT_SECRET": SUCCESSOR[1],
    }


def sts(folder, log):
    port = free_ports(1)[0]
    # moto checks nothing until its count of free actions is set to 0.
    env = dict(os.environ, INITIAL_NO_AUTH_ACTION_COUNT="1000")
    command = [HERE / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=env)
    endpoint = f"http://127.0.0.1:{port}"
    wait_for(endpoint, process)
    any_keys = ("any", "any")
    client("s3", endpoint, any_keys).create_bucket(Bucket="vault")
    iam = client("iam", endpoint, any_keys)
    users = {}
    # The first is given new keys, before it loses the old ones.
    for name, user in (("STS", "lakeport"), ("STS_NEXT", "lakeport"), ("STS_STRANGER", "stranger")):
        if not any(user == found["UserName"] for found in iam.list_users()["Users"]):
            iam.create_user(UserName=user)
        keys = iam.create_access_key(UserName=user)["AccessKey"]
        users |= {f"{name}_KEY": keys["AccessKeyId"], f"{name}_SECRET": keys["SecretAccessKey"]}
    allow = lambda *actions: json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": list(actions), "Resource": "*"}]})
    iam.put_user_policy(UserName="lakeport", PolicyName="assume", PolicyDocument=allow("sts:AssumeRole", "kms:Encrypt", "kms:Decrypt"))
    kms = client("kms", endpoint, any_keys)
    key, other = (kms.create_key()["KeyMetadata"] for _ in range(2))
    kms.create_alias(AliasName="alias/backups", TargetKeyId=key["KeyId"])
    # A namesake in another region.
    far = client("kms", endpoint, any_keys, region="eu-west-1")
    far.create_alias(AliasName="alias/backups", TargetKeyId=far.create_key()["KeyMetadata"]["KeyId"])
    roles = {}
    for name, external_id in (("plain", None), ("guarded", "tenant-7"), ("relay", None)):
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        if external_id:
            trust["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        roles[name] = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="use", PolicyDocument=allow("s3:*", "sts:AssumeRole", "kms:Encrypt", "kms:Decrypt"))
    session = client("sts", endpoint, (users["STS_KEY"], users["STS_SECRET"])).assume_role(
        RoleArn=roles["plain"], RoleSessionName="session")["Credentials"]
    request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data=b"0", method="POST",
                                     headers={"content-type": "text/plain"})
    urllib.request.urlopen(request)
    return process, {
        "STS_ENDPOINT": endpoint, "STS_BUCKET": "vault", **users, "STS_ROLE": roles["plain"],
        "STS_SESSION_KEY": session["AccessKeyId"], "STS_SESSION_SECRET": session["SecretAccessKey"],
        "STS_SESSION_TOKEN": session["SessionToken"], "STS_GUARDED_ROLE": roles["guarded"], "STS_RELAY_ROLE": roles["relay"], "STS_EXTERNAL_ID": "tenant-7",
        "KMS_KEY": key["KeyId"], "KMS_ARN": key["Arn"], "KMS_ALIAS": "alias/backups", "KMS_OTHER_KEY": other["KeyId"],
    }


def main():
    peer = {"s3": s3, "sts": sts}[sys.argv[1]]
    with tempfile.TemporaryDirectory(prefix="lakeport-peer-") as name:
        folder = pathlib.Path(name)
        with open(folder / "log", "w") as log:
            try:
                process, facts = peer(folder, log)
            except Exception:
                print((folder / "log").read_text()[-4000:], file=sys.stderr)
                raise
            try:
                print(" ".join(f"{name}={value}" for name, value in facts.items()), flush=True)
                sys.stdin.read()
            finally:
                # Its data is scratch, and SeaweedFS takes half a minute to stop politely.
                process.kill()
                process.wait(timeout=30)


if __name__ == "__main__":
    main()
