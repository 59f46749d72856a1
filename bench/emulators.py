"""Services that the server talks to: a key service, and a bucket. Both are peers of the tests."""

import os
import pathlib
import subprocess
from functools import cached_property
from importlib.metadata import distribution

from bench.measure import Process
from faults.proxy import FaultProxy

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = pathlib.Path(os.environ.get("PEERS_DIR", ROOT / ".peers"))
S5CMD = distribution("s5cmd").locate_file("s5cmd/bin/s5cmd")


class Emulator:
    """A peer of the tests behind a proxy that counts requests."""

    def __init__(self, peer, endpoint):
        command = [PEERS / "aws" / "bin" / "python", ROOT / "tests" / "peers" / "serve.py", peer]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process = Process(self.child.pid)
        self.facts = dict(fact.split("=", 1) for fact in self.child.stdout.readline().split())
        self.endpoint = self.facts[endpoint]

    @cached_property
    def proxy(self):
        return FaultProxy(self.endpoint)

    def stop(self):
        self.child.stdin.close()
        self.child.wait()


class KeyService(Emulator):
    """moto, with two keys."""

    def __init__(self):
        super().__init__("sts", "STS_ENDPOINT")

    def uri(self, name="KMS_KEY", endpoint=None):
        facts = self.facts
        return (f"aws-kms:///{facts[name]}?AWS_ACCESS_KEY_ID={facts['STS_KEY']}&AWS_SECRET_ACCESS_KEY={facts['STS_SECRET']}"
                f"&AWS_ENDPOINT={endpoint or self.endpoint}&REGION=us-east-1")

    @property
    def option(self):
        """What BACKUP and RESTORE need to encrypt with its first key."""
        return f"kms = '{self.uri()}'"


class Bucket(Emulator):
    """SeaweedFS."""

    def __init__(self):
        super().__init__("s3", "S3_ENDPOINT")

    def uri(self, folder, endpoint=None):
        facts = self.facts
        return (f"s3://{facts['S3_BUCKET']}/{folder}?AWS_ACCESS_KEY_ID={facts['S3_KEY']}&AWS_SECRET_ACCESS_KEY={facts['S3_SECRET']}"
                f"&AWS_ENDPOINT={endpoint or self.endpoint}&AWS_REGION=us-east-1")

    def url(self, path):
        """What s5cmd calls it."""
        return f"s3://{self.facts['S3_BUCKET']}/{path}"

    def s5cmd(self, *arguments):
        """Runs s5cmd as it comes; answers what it prints."""
        # Nothing else of the environment: it may have settings for another S3.
        environment = {"PATH": os.environ["PATH"], "S3_ENDPOINT_URL": self.endpoint, "AWS_REGION": "us-east-1",
                       "AWS_ACCESS_KEY_ID": self.facts["S3_KEY"], "AWS_SECRET_ACCESS_KEY": self.facts["S3_SECRET"]}
        return subprocess.run([S5CMD, *arguments], env=environment, check=True, capture_output=True, text=True).stdout

    def fill(self, source, folder):
        """Puts the files of a folder into one of the bucket."""
        self.s5cmd("--log", "error", "cp", f"{source}/", self.url(f"{folder}/"))


def s5cmd_version():
    return subprocess.run([S5CMD, "version"], check=True, capture_output=True, text=True).stdout.strip().removeprefix("v")
