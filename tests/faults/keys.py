"""Two keys of a key service, for as long as a walk takes."""

import contextlib
import os
import pathlib
import subprocess

REPOSITORY = pathlib.Path(__file__).parents[2]


@contextlib.contextmanager
def key_service():
    """Starts the simulator of KMS that `make peers` has installed; gives the URIs of two keys, or nothing without it."""
    python = pathlib.Path(os.environ.get("PEERS_DIR", REPOSITORY / ".peers")) / "aws/bin/python"
    if not python.exists():
        yield ()
        return
    command = [python, REPOSITORY / "tests/peers/serve.py", "sts"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        try:
            facts = dict(fact.split("=", 1) for fact in peer.stdout.readline().split())
            yield [f"aws-kms:///{facts[key]}?AWS_ACCESS_KEY_ID={facts['STS_KEY']}&AWS_SECRET_ACCESS_KEY={facts['STS_SECRET']}"
                   f"&AWS_ENDPOINT={facts['STS_ENDPOINT']}&REGION=us-east-1" for key in ("KMS_KEY", "KMS_OTHER_KEY")]
        finally:
            peer.stdin.close()
