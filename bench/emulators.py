"""Services that the server talks to: a key service, and a bucket. Both are peers of the tests."""

import os
import pathlib
import subprocess
from functools import cached_property

from faults.proxy import FaultProxy

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = pathlib.Path(os.environ.get("PEERS_DIR", ROOT / ".peers")) / "aws" / "bin" / "python"


class Emulator:
    """A peer of the tests behind a proxy that counts requests."""

    def __init__(self, peer, endpoint):
        self.process = subprocess.Popen([PYTHON, ROOT / "tests" / "peers" / "serve.py", peer], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.facts = dict(fact.split("=", 1) for fact in self.process.stdout.readline().split())
        self.endpoint = self.facts[endpoint]

    @cached_property
    def proxy(self):
        return FaultProxy(self.endpoint)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


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

    def fill(self, source, folder):
        """Puts the files of a folder into one of the bucket, by rclone."""
        facts = self.facts
        settings = {"type": "s3", "provider": "Other", "endpoint": self.endpoint, "access_key_id": facts["S3_KEY"],
                    "secret_access_key": facts["S3_SECRET"], "no_check_bucket": "true", "no_head": "true"}
        # Nothing else of the environment: it may have settings for another S3.
        environment = {"PATH": os.environ["PATH"], "RCLONE_CONFIG": "/dev/null"}
        environment |= {f"RCLONE_CONFIG_STORE_{name.upper()}": value for name, value in settings.items()}
        subprocess.run(["rclone", "copy", "--no-traverse", "--no-check-dest", "--transfers", "16", source,
                        f"store:{facts['S3_BUCKET']}/{folder}"], env=environment, check=True)
