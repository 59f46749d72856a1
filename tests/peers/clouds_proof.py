"""Drives the peers of clouds.py with the vendors' own clients: what these are content with is what a service would answer.

Takes what clouds.py prints from its environment, unescaped. Ends with an error when anything differs.
"""

import base64
import json
import os
import tempfile
import urllib.parse

FACTS = {name: urllib.parse.unquote(value) for name, value in os.environ.items() if name.startswith(("BLOB_", "GS_", "OSS_"))}
CA = tempfile.NamedTemporaryFile(suffix=".pem")
CA.write(base64.b64decode(FACTS["BLOB_CA"]) + base64.b64decode(FACTS["GS_CA"]))
CA.flush()
os.environ["REQUESTS_CA_BUNDLE"] = CA.name

import oss2
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from azure.storage.blob import BlobServiceClient
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import Request
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.oauth2 import service_account

LARGE = os.urandom(11 << 20)


def refused(kind, call):
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"not refused with {kind}")


def azure():
    """Tokens of the stand-in open Azurite, and a wrong secret gets none."""
    def service(secret):
        credential = ClientSecretCredential(FACTS["BLOB_TENANT"], FACTS["BLOB_CLIENT"], secret,
                                            authority=FACTS["BLOB_AUTHORITY"], disable_instance_discovery=True)
        return BlobServiceClient(FACTS["BLOB_ENDPOINT"], credential=credential)
    blob = service(FACTS["BLOB_SECRET"]).get_blob_client(FACTS["BLOB_CONTAINER"], "proof/file")
    blob.upload_blob(b"proof", overwrite=True)
    assert blob.download_blob().readall() == b"proof"
    stale = service("stale").get_blob_client(FACTS["BLOB_CONTAINER"], "proof/file")
    assert "AADSTS7000215" in refused(ClientAuthenticationError, lambda: stale.download_blob())


def google():
    """The one part of the XML interface that Google's client speaks, with the tokens it makes; what it reads is the emulator's."""
    info = json.loads(base64.b64decode(FACTS["GS_CREDENTIALS"]))
    scopes = ["https://www.googleapis.com/auth/devstorage.full_control"]
    credentials = service_account.Credentials.from_service_account_info(info, scopes=scopes).with_always_use_jwt_access(True)
    client = storage.Client(project="lake", credentials=credentials, client_options={"api_endpoint": FACTS["GS_ENDPOINT"]})
    with tempfile.NamedTemporaryFile() as file:
        file.write(LARGE)
        file.flush()
        blob = client.bucket(FACTS["GS_BUCKET"]).blob("proof/large file")
        transfer_manager.upload_chunks_concurrently(file.name, blob, chunk_size=5 << 20, worker_type=transfer_manager.THREAD)
    credentials.refresh(Request())
    headers = {"authorization": f"Bearer {credentials.token}", "x-goog-if-generation-match": "0"}
    url = f"{FACTS['GS_ENDPOINT']}/{FACTS['GS_BUCKET']}/proof%2Fonce"
    made = requests.put(url, b"first", headers=headers)
    assert (made.status_code, requests.put(url, b"second", headers=headers).status_code) == (200, 412)
    plain = storage.Client(project="lake", credentials=AnonymousCredentials(), client_options={"api_endpoint": FACTS["GS_JSON"]})
    bucket = plain.bucket(FACTS["GS_BUCKET"])
    assert bucket.blob("proof/large file").download_as_bytes() == LARGE
    once = bucket.get_blob("proof/once")
    assert once.download_as_bytes() == b"first" and str(once.generation) == made.headers["x-goog-generation"]


def alibaba():
    """The library whose signatures the peer makes again, and what it makes of refusals."""
    def bucket(secret):
        auth = oss2.AuthV4(FACTS["OSS_KEY"], secret)
        return oss2.Bucket(auth, FACTS["OSS_ENDPOINT"], FACTS["OSS_BUCKET"], region=FACTS["OSS_REGION"], is_path_style=True)
    lake = bucket(FACTS["OSS_SECRET"])
    lake.put_object("proof/a file", b"first")
    again = lambda: lake.put_object("proof/a file", b"second", headers={"x-oss-forbid-overwrite": "true"})
    assert "FileAlreadyExists" in refused(oss2.exceptions.ServerError, again)
    assert lake.get_object("proof/a file").read() == b"first"
    refused(oss2.exceptions.SignatureDoesNotMatch, lambda: bucket("wrong").get_object("proof/a file"))
    refused(oss2.exceptions.NoSuchKey, lambda: lake.get_object("proof/none"))


azure()
google()
alibaba()
