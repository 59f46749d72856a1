"""Drives keys.py with the vendors' own clients: what these accept and refuse is what a service would answer.

Takes what keys.py prints from its environment, unescaped. Ends with an error when anything differs.
"""

import base64
import json
import os
import tempfile
import urllib.parse

FACTS = {name: urllib.parse.unquote(value) for name, value in os.environ.items()
         if name.startswith(("KEYS_", "GCP_", "AZURE_"))}
HOST = FACTS["KEYS_ENDPOINT"].removeprefix("https://")
CA = tempfile.NamedTemporaryFile(suffix=".pem")
CA.write(base64.b64decode(FACTS["KEYS_CA"]))
CA.flush()
os.environ["REQUESTS_CA_BUNDLE"] = CA.name

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
from google.api_core import exceptions
from google.auth import impersonated_credentials
from google.auth.exceptions import RefreshError
from google.cloud import kms
from google.oauth2 import service_account

from keys import crc32c

SECRET = bytes(range(32))
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def refused(kind, call):
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"not refused with {kind}")


def account_of(credentials):
    info = json.loads(base64.b64decode(FACTS[credentials]))
    return service_account.Credentials.from_service_account_info(info)


def acting_as(name, delegates):
    """The vault's account through others, asked of the stand-in."""
    source = account_of("GCP_CREDENTIALS").with_scopes([SCOPE]).with_always_use_jwt_access(True)
    url = f"{FACTS['KEYS_ENDPOINT']}/v1/projects/-/serviceAccounts/{FACTS[name]}:generateAccessToken"
    return impersonated_credentials.Credentials(source, FACTS[name], [SCOPE], delegates, iam_endpoint_override=url)


def google_client(credentials):
    account = account_of(credentials) if isinstance(credentials, str) else credentials
    return kms.KeyManagementServiceClient(credentials=account, transport="rest", client_options={"api_endpoint": HOST})


def google():
    client = google_client("GCP_CREDENTIALS")
    key = f"{FACTS['GCP_RING']}/backups"
    made = client.encrypt(request={"name": key, "plaintext": SECRET, "plaintext_crc32c": crc32c(SECRET)})
    assert made.verified_plaintext_crc32c and made.name == f"{key}/cryptoKeyVersions/1", made
    assert made.ciphertext_crc32c == crc32c(made.ciphertext)
    back = client.decrypt(request={"name": key, "ciphertext": made.ciphertext, "ciphertext_crc32c": made.ciphertext_crc32c})
    assert back.plaintext == SECRET and back.plaintext_crc32c == crc32c(SECRET)

    encrypt = lambda name, client=client: client.encrypt(request={"name": name, "plaintext": SECRET}, retry=None)
    other = f"{FACTS['GCP_RING']}/other"
    decrypt = lambda: client.decrypt(request={"name": other, "ciphertext": made.ciphertext})
    assert "Decryption failed" in refused(exceptions.BadRequest, decrypt)
    wrong_sum = lambda: client.encrypt(request={"name": key, "plaintext": SECRET, "plaintext_crc32c": 1})
    assert "checksum" in refused(exceptions.BadRequest, wrong_sum)
    assert "DISABLED" in refused(exceptions.BadRequest, lambda: encrypt(f"{FACTS['GCP_RING']}/disabled"))
    refused(exceptions.NotFound, lambda: encrypt(f"{FACTS['GCP_RING']}/absent"))
    refused(exceptions.TooManyRequests, lambda: encrypt(f"{FACTS['GCP_RING']}/busy"))
    refused(exceptions.Forbidden, lambda: encrypt(key, google_client("GCP_STRANGER_CREDENTIALS")))
    assert encrypt(key, google_client(acting_as("GCP_VAULT", [FACTS["GCP_RELAY"]]))).ciphertext
    refused(RefreshError, lambda: encrypt(key, google_client(acting_as("GCP_VAULT", []))))
    forged = json.loads(base64.b64decode(FACTS["GCP_CREDENTIALS"]))
    stranger = json.loads(base64.b64decode(FACTS["GCP_STRANGER_CREDENTIALS"]))
    forged["private_key"] = stranger["private_key"]
    forger = google_client(service_account.Credentials.from_service_account_info(forged))
    refused(exceptions.Unauthorized, lambda: encrypt(key, forger))
    print("Google's client is content")


def vault(key, secret="AZURE_SECRET", client="AZURE_CLIENT"):
    credential = ClientSecretCredential(FACTS["AZURE_TENANT"], FACTS[client], FACTS[secret], authority=FACTS["KEYS_ENDPOINT"],
                                        disable_instance_discovery=True)
    url = f"{FACTS['KEYS_ENDPOINT']}/keys/{key}"
    return CryptographyClient(url, credential, verify_challenge_resource=False, retry_total=0)


def azure():
    algorithm = KeyWrapAlgorithm.rsa_oaep_256
    for secret in ("AZURE_SECRET", "AZURE_NEXT_SECRET"):
        client = vault(FACTS["AZURE_BACKUPS_KEY"], secret)
        made = client.wrap_key(algorithm, SECRET)
        assert made.key_id == f"{FACTS['KEYS_ENDPOINT']}/keys/{FACTS['AZURE_BACKUPS_KEY']}", made.key_id
        assert client.unwrap_key(algorithm, made.encrypted_key).key == SECRET
    other = vault(FACTS["AZURE_OTHER_KEY"])
    assert "incorrect" in refused(HttpResponseError, lambda: other.unwrap_key(algorithm, made.encrypted_key))
    assert "incompatible" in refused(HttpResponseError, lambda: other.wrap_key(KeyWrapAlgorithm.rsa_oaep, SECRET))
    disabled = vault(FACTS["AZURE_DISABLED_KEY"])
    assert "disabled key" in refused(HttpResponseError, lambda: disabled.wrap_key(algorithm, SECRET))
    absent = vault("backups/0000")
    assert "KeyNotFound" in refused(HttpResponseError, lambda: absent.wrap_key(algorithm, SECRET))
    stranger = vault(FACTS["AZURE_BACKUPS_KEY"], "AZURE_STRANGER_SECRET", "AZURE_STRANGER")
    assert "not authorized" in refused(HttpResponseError, lambda: stranger.wrap_key(algorithm, SECRET))
    wrong = vault(FACTS["AZURE_BACKUPS_KEY"], "AZURE_STRANGER_SECRET")
    assert "AADSTS7000215" in refused(Exception, lambda: wrong.wrap_key(algorithm, SECRET))
    print("Azure's client is content")


google()
azure()
