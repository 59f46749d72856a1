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
from alibabacloud_sts20150401.client import Client as TokenService
from alibabacloud_sts20150401.models import AssumeRoleRequest
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.models import Config
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


def alibaba_roles():
    """The vendor's client of its token service gets keys of a role, which open a bucket that the caller's own do not."""
    endpoint = FACTS["OSS_ENDPOINT"].removeprefix("http://")

    def assumed(role, external_id=None, key=FACTS["OSS_KEY"], secret=FACTS["OSS_SECRET"], token=None):
        config = Config(access_key_id=key, access_key_secret=secret, security_token=token, endpoint=endpoint, protocol="http")
        request = AssumeRoleRequest(role_arn=FACTS[f"OSS_{role}_ROLE"], role_session_name="proof", external_id=external_id)
        keys = TokenService(config).assume_role(request).body.credentials
        return keys.access_key_id, keys.access_key_secret, keys.security_token

    def vault(key, secret, token=None):
        provider = oss2.credentials.StaticCredentialsProvider(key, secret, token)
        return oss2.Bucket(oss2.ProviderAuthV4(provider), FACTS["OSS_ENDPOINT"], FACTS["OSS_VAULT_BUCKET"],
                           region=FACTS["OSS_REGION"], is_path_style=True)

    denied = lambda bucket: refused(oss2.exceptions.ServerError, lambda: bucket.get_object("proof/a file"))
    keys = assumed("PLAIN")
    vault(*keys).put_object("proof/a file", b"first")
    assert vault(*keys).get_object("proof/a file").read() == b"first"
    assert "AccessDenied" in denied(vault(FACTS["OSS_KEY"], FACTS["OSS_SECRET"]))
    assert "InvalidSecurityToken" in denied(vault(*keys[:2], "another"))
    relay = assumed("RELAY")
    assert "AccessDenied" in denied(vault(*relay))
    guarded = assumed("GUARDED", FACTS["OSS_EXTERNAL_ID"], *relay)
    assert vault(*guarded).get_object("proof/a file").read() == b"first"
    once = vault(*assumed("FLEETING"))
    assert once.get_object("proof/a file").read() == b"first" and "SecurityTokenExpired" in denied(once)
    for code, call in (
        ("NoPermission", lambda: assumed("GUARDED", "another")),
        ("NoPermission", lambda: assumed("PLAIN", key=FACTS["OSS_NEXT_KEY"], secret=FACTS["OSS_NEXT_SECRET"])),
        ("EntityNotExist.Role", lambda: assumed("ABSENT")),
        ("SignatureDoesNotMatch", lambda: assumed("PLAIN", secret="wrong")),
        ("InvalidSecurityToken", lambda: assumed("GUARDED", FACTS["OSS_EXTERNAL_ID"], *relay[:2], "another")),
    ):
        assert code in refused(ClientException, call), code


azure()
google()
alibaba()
alibaba_roles()
