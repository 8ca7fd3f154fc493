"""A vault under a key that never leaves OpenBao (or HashiCorp Vault: the same interface)."""

import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import hvac
import pytest

from deploy.services.openbao import TOKEN
from tests.beside import beside
from wallet.keys.secret import Secret
from wallet.vault import files, vault
from wallet.vault.contents import Contents, Key, Seed
from wallet.vault.document import Argon2Params, Role, TransitParams
from wallet.vault.errors import KeyServiceFailed, VaultDamaged
from wallet.vault.protection import PassphraseProtection, Protection
from wallet.vault.transit import TransitProtection

PASSPHRASE = Secret("correct horse battery")
Service = tuple[str, str]
"""URL, name of the key."""


@pytest.fixture
def service(openbao_url: str) -> Iterator[Service]:
    """Give a fresh key of the transit engine."""
    name = f"foldex-{uuid4().hex[:8]}"
    client = hvac.Client(url=openbao_url, token=os.environ.get("FOLDEX_TEST_OPENBAO_TOKEN", TOKEN))
    if "transit/" not in client.sys.list_mounted_secrets_engines()["data"]:
        client.sys.enable_secrets_engine("transit")
    client.secrets.transit.create_key(name)
    yield openbao_url, name
    client.secrets.transit.update_key_configuration(name, deletion_allowed=True)
    client.secrets.transit.delete_key(name)
    client.adapter.close()


def transit(service: Service, token: str = TOKEN, key: str = "") -> TransitProtection:
    url, name = service
    params = TransitParams(mount="transit", key=key or name)
    return TransitProtection(
        url, Secret(os.environ.get("FOLDEX_TEST_OPENBAO_TOKEN", token)), params
    )


def unlocker(service: Service, token: str = TOKEN) -> vault.Unlocker:
    def unlock(params: Argon2Params | TransitParams) -> Protection:
        if isinstance(params, Argon2Params):
            return PassphraseProtection(PASSPHRASE, params, os.urandom)
        return transit(service, token, params.key)

    return unlock


def make(directory: Path, service: Service) -> Contents:
    keys = (Key.of_seed(Role.HOT, Seed.new(os.urandom)),)
    return vault.create(directory, keys, transit(service), os.urandom)


def xpub(contents: Contents) -> str:
    return contents.keys[0].xpub.text


def test_the_service_opens_what_it_closed(tmp_path: Path, service: Service) -> None:
    made = make(tmp_path, service)
    found = vault.open_vault(tmp_path, unlocker(service))
    assert xpub(found) == xpub(made)
    document = files.load(tmp_path)
    assert document.data_key.startswith(b"vault:v1:")
    assert document.protection == TransitParams(mount="transit", key=service[1])


def test_another_token_or_key_or_a_service_that_is_away_opens_nothing(
    tmp_path: Path, service: Service
) -> None:
    make(tmp_path, service)
    if "FOLDEX_TEST_OPENBAO_TOKEN" not in os.environ:
        with pytest.raises(KeyServiceFailed, match="refused: Forbidden") as refused:
            vault.open_vault(tmp_path, unlocker(service, "wrong-token"))
        assert "wrong-token" not in str(refused.value)
    with pytest.raises(KeyServiceFailed, match="does not answer"):
        vault.open_vault(tmp_path, unlocker(("http://127.0.0.1:9", service[1])))
    document = files.load(tmp_path)
    wrapped, context = document.data_key, b"another context"
    with pytest.raises(KeyServiceFailed, match="refused"):
        transit(service).unwrap(wrapped, context)
    with pytest.raises(KeyServiceFailed, match="refused"):
        transit(service, key="no-such-key").unwrap(wrapped, context)


def test_the_data_keys_of_two_vaults_are_not_exchanged(tmp_path: Path, service: Service) -> None:
    for name in ("one", "two"):
        make(tmp_path / name, service)
    one, two = ((tmp_path / name / files.VAULT_FILE).read_bytes() for name in ("one", "two"))
    key_of = {data: data.split(b'"data_key": "')[1].split(b'"')[0] for data in (one, two)}
    mixed = one.replace(key_of[one], key_of[two])
    files.write_private(tmp_path / "one" / files.VAULT_FILE, mixed, replace=True)
    with pytest.raises((KeyServiceFailed, VaultDamaged)):
        vault.open_vault(tmp_path / "one", unlocker(service))


def test_the_services_key_rotates_and_the_vault_moves_to_a_passphrase_and_back(
    tmp_path: Path, service: Service
) -> None:
    made = make(tmp_path, service)
    client = hvac.Client(url=service[0], token=os.environ.get("FOLDEX_TEST_OPENBAO_TOKEN", TOKEN))
    client.secrets.transit.rotate_key(service[1])
    client.adapter.close()
    assert xpub(vault.open_vault(tmp_path, unlocker(service))) == xpub(made)
    vault.rotate(tmp_path, unlocker(service), None, os.urandom)
    assert files.load(tmp_path).data_key.startswith(b"vault:v2:")
    passphrase = PassphraseProtection.new(PASSPHRASE, os.urandom, 64)
    vault.rotate(tmp_path, unlocker(service), passphrase, os.urandom)
    assert xpub(vault.open_vault(tmp_path, unlocker(("http://127.0.0.1:9", "")))) == xpub(made)
    vault.rotate(tmp_path, unlocker(service), transit(service), os.urandom)
    assert xpub(vault.open_vault(tmp_path, unlocker(service))) == xpub(made)


def test_a_backup_opens_without_the_service(tmp_path: Path, service: Service) -> None:
    made = make(tmp_path, service)
    passphrase = PassphraseProtection.new(PASSPHRASE, os.urandom, 64)
    vault.backup(tmp_path, unlocker(service), tmp_path / "backup", passphrase, os.urandom)
    away = unlocker(("http://127.0.0.1:9", ""))
    assert xpub(vault.check_backup(tmp_path / "backup", away)) == xpub(made)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Back soon</html>",
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": {}}',
        b'{"data": {"plaintext": 1, "ciphertext": 1}}',
        b'{"data": {"plaintext": "no base64", "ciphertext": "vault:v1:no base64"}}',
    ],
)
def test_what_stands_before_the_service_is_not_taken_for_it(body: bytes) -> None:
    """A proxy may answer with success, and a page of its own, while the service restarts."""

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Proxy) as proxy, beside(proxy.serve_forever):
        found = transit((f"http://127.0.0.1:{proxy.server_port}", "key"))
        try:
            for ask in (
                lambda: found.unwrap(b"vault:v1:", b""),
                lambda: found.wrap(Secret(b"x"), b""),
            ):
                with pytest.raises(KeyServiceFailed, match="answered something else"):
                    ask()
        finally:
            proxy.shutdown()
