# flags: --insecure
# peer: s3
"""A BACKUP that is cancelled in the middle of an upload: the bucket keeps neither a file nor parts of one."""

import json
import os
import pathlib
import subprocess

import psycopg

from faults import looks
from faults.lakeport import until
from faults.proxy import FaultProxy, Rule

# Three parts of an upload, of what does not pack.
ROWS, ROW_BYTES, PARTS = 400, 60_000, (2, 3)
FOLDER = f"upload-{os.getpid()}"
# Keys of files and of uploads under way, as the bucket lists them.
LIST = """
import json, os, boto3
from botocore.config import Config
s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name="us-east-1", aws_access_key_id=os.environ["S3_KEY"],
                  aws_secret_access_key=os.environ["S3_SECRET"], config=Config(s3={"addressing_style": "path"}))
where = {"Bucket": os.environ["S3_BUCKET"], "Prefix": os.environ["FOLDER"]}
files = [file["Key"] for file in s3.list_objects_v2(**where).get("Contents", [])]
uploads = [upload["Key"] for upload in s3.list_multipart_uploads(**where).get("Uploads", [])]
print(json.dumps([files, uploads]))
"""
proxy = FaultProxy(os.environ["S3_ENDPOINT"])


def listed():
    python = pathlib.Path(os.environ["TEST_PEERS"]) / "aws/bin/python"
    command = subprocess.run([python, "-c", LIST], env=dict(os.environ, FOLDER=f"{FOLDER}/backups"), stdout=subprocess.PIPE, check=True)
    return json.loads(command.stdout)


with psycopg.connect(autocommit=True) as connection:
    run = connection.execute
    run(f"CREATE EXTERNAL CONNECTION lake AS 's3://{os.environ['S3_BUCKET']}/{FOLDER}?AWS_ACCESS_KEY_ID={os.environ['S3_KEY']}"
        f"&AWS_SECRET_ACCESS_KEY={os.environ['S3_SECRET']}&AWS_ENDPOINT={proxy.endpoint}&AWS_REGION=us-east-1'")
    run("CREATE TABLE t (a INT8, b BYTES)")
    with connection.cursor().copy("COPY t FROM STDIN WITH (FORMAT binary)") as copy:
        copy.set_types(["int8", "bytea"])
        for row in range(ROWS):
            copy.write_row((row, os.urandom(ROW_BYTES)))
    for part in PARTS:
        held = Rule("silent", method="PUT", path=f"partNumber={part}")
        proxy.use(held)
        (job,) = run("BACKUP TABLE t INTO 'external://lake/backups' WITH detached").fetchone()
        until("a part is held up", lambda: held.done > 0)
        _, uploads = listed()
        assert len(uploads) == 1 and uploads[0].endswith(".pack"), uploads
        run(f"CANCEL JOB {job}")
        until("the job has ended", lambda: not looks.unfinished_jobs(connection))
        assert run(f"SELECT status FROM [SHOW JOB {job}]").fetchone() == ("canceled",)
        assert listed() == [[], []], (part, listed())
    proxy.use()
    run("BACKUP TABLE t INTO 'external://lake/backups'")
    assert run("SELECT count(*) FROM [SHOW BACKUPS IN 'external://lake/backups']").fetchone() == (1,)
