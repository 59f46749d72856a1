# flags: --insecure
# peer: s3
# log: retry
"""Small files of a stage in a bucket: one request for each, also when an answer or a request is lost, and none replaced."""

import os
import pathlib
import subprocess
import tempfile

import psycopg

from faults.proxy import FaultProxy, Rule

FILES = {f"{number}": os.urandom(4096) for number in range(40)}
URL = f"postgresql://root@{os.environ['PGHOST']}:{os.environ['PGPORT']}/defaultdb"
proxy = FaultProxy(os.environ["S3_ENDPOINT"])


def stage(*arguments):
    """Runs it; answers its output, its errors and the requests that it took."""
    before = proxy.counts()
    command = [os.environ["TEST_BINARY"], "stage", *map(str, arguments), "--url", URL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout.strip(), done.stderr, proxy.counts() - before


def expect(answer, output, requests):
    assert (answer[0], answer[2]) == (output, requests), answer


with tempfile.TemporaryDirectory() as name, psycopg.connect(autocommit=True) as connection:
    source, target = pathlib.Path(name, "source"), pathlib.Path(name, "target")
    source.mkdir()
    for file, content in FILES.items():
        (source / file).write_bytes(content)
    connection.execute(f"CREATE STAGE bucket URL = 's3://{os.environ['S3_BUCKET']}/stage-{os.getpid()}/' CONNECTION = ("
                       f"ENDPOINT_URL = '{proxy.endpoint}' ACCESS_KEY_ID = '{os.environ['S3_KEY']}' "
                       f"SECRET_ACCESS_KEY = '{os.environ['S3_SECRET']}' REGION = 'us-east-1')")
    everything = "40 of 40 files, 160 KiB"
    expect(stage("put", source, "@bucket/a/"), f"uploaded {everything}", {"PUT": 40})
    expect(stage("get", "@bucket/a/", target), f"downloaded {everything}", {"GET": 41})
    assert {path.name: path.read_bytes() for path in target.iterdir()} == FILES

    # Another content under the name of a file.
    (source / "7").write_bytes(b"seven")
    output, errors, requests = stage("put", source / "7", "@bucket/a/")
    assert (output, requests) == ("uploaded 0 of 1 file, 0 B", {"PUT": 1}) and "@bucket/a/7 already exists (42710)" in errors, errors

    # The file is there, but not the answer that says so.
    rule = Rule("lose", method="PUT", path="/8", times=1)
    proxy.use(rule)
    expect(stage("put", source / "8", "@bucket/lost/"), "uploaded 1 of 1 file, 4 KiB", {"PUT": 1, "GET": 1})
    assert rule.done == 1
    expect(stage("get", "@bucket/lost/8", target), "downloaded 0 of 1 file, 0 B", {})
    expect(stage("get", "@bucket/lost/8", target / "lost"), "downloaded 1 of 1 file, 4 KiB", {"GET": 1})
    assert (target / "lost").read_bytes() == FILES["8"]

    # The first put was lost, and when it is made again another file is there that nobody saw before.
    unseen = Rule("refuse", 404, method="GET", path="/7", times=1)
    proxy.use(Rule("refuse", 400, method="PUT", path="/7", times=1), unseen)
    output, errors, requests = stage("put", source / "7", "@bucket/a/")
    assert (output, requests) == ("uploaded 0 of 1 file, 0 B", {"PUT": 2, "GET": 2}), (output, errors, requests)
    assert unseen.done == 1 and "@bucket/a/7 already exists (42710)" in errors, errors
    expect(stage("get", "@bucket/a/7", target / "seven"), "downloaded 1 of 1 file, 4 KiB", {"GET": 1})
    assert (target / "seven").read_bytes() == FILES["7"]

    # And when it is the very file, which was not seen at first.
    unseen = Rule("refuse", 404, method="GET", path="/9", times=1)
    proxy.use(Rule("lose", method="PUT", path="/9", times=1), unseen)
    expect(stage("put", source / "9", "@bucket/lost/"), "uploaded 1 of 1 file, 4 KiB", {"PUT": 2, "GET": 2})
    assert unseen.done == 1
    proxy.use()
    expect(stage("get", "@bucket/lost/9", target / "nine"), "downloaded 1 of 1 file, 4 KiB", {"GET": 1})
    assert (target / "nine").read_bytes() == FILES["9"]
