"""The files of the link's TLS: good ones are taken, and each that is not is refused by its name."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from api.certificate_metric import watch_certificate
from api.engine_link import Side
from api.engine_place import tls_of
from api.engine_tls import BadCertificate, LinkTls
from api.metrics import Metrics
from api.settings import Settings
from api.settings_sources import BadSetting
from tests.certificates import DAYS_VALID, Authority

DAY_S = 86_400
ROOT = Path(__file__).resolve().parents[2]
MADE: dict[str, Side] = {"engine": "server", "api": "client"}


@pytest.fixture
def files(tmp_path: Path) -> LinkTls:
    authority = Authority.make(tmp_path)
    key, certificate = authority.issue(tmp_path)
    return LinkTls(authority.certificate, certificate, key)


def missing(files: LinkTls) -> None:
    files.certificate.unlink()


def no_authority(files: LinkTls) -> None:
    files.authority.write_text("nothing here")


def another_authority(files: LinkTls) -> None:
    Authority.make(files.authority.parent)


def another_key(files: LinkTls) -> None:
    key, _ = Authority.make(files.key.parent).sign()
    files.key.write_bytes(key)


def encrypted_key(files: LinkTls) -> None:
    key = load_pem_private_key(files.key.read_bytes(), None)
    locked = BestAvailableEncryption(b"secret")
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))


def expired(files: LinkTls) -> None:
    Authority.make(files.key.parent).issue(files.key.parent, days_valid=-1)


def key_for_all(files: LinkTls) -> None:
    files.key.chmod(0o644)


@pytest.mark.parametrize("side", ["client", "server"])
def test_good_files_are_taken_until_the_certificate_expires(files: LinkTls, side: Side) -> None:
    left_s = files.good_until_s(side) - time.time()
    assert DAYS_VALID * DAY_S - 600 < left_s <= DAYS_VALID * DAY_S


def test_a_group_may_read_the_key(files: LinkTls) -> None:
    files.key.chmod(0o640)
    assert files.good_until_s("server") > time.time()


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing, r"FOLDEX_ENGINE_CERTIFICATE \S+: No such file"),
        (no_authority, r"FOLDEX_ENGINE_CA \S+: no certificate is in it"),
        (another_authority, r"FOLDEX_ENGINE_CERTIFICATE \S+: unable to get local issuer .*_CA "),
        (another_key, r"_CERTIFICATE \S+ and FOLDEX_ENGINE_KEY \S+ are not .*KEY_VALUES_MISMATCH"),
        (encrypted_key, r"FOLDEX_ENGINE_KEY \S+ are not a certificate and its unencrypted key"),
        (expired, r"FOLDEX_ENGINE_CERTIFICATE \S+: certificate has expired"),
        (key_for_all, r"FOLDEX_ENGINE_KEY \S+: others can reach it: chmod 600"),
    ],
)
def test_what_cannot_be_used_is_refused_by_the_setting_s_name(
    files: LinkTls, side: Side, spoil: Callable[[LinkTls], None], message: str
) -> None:
    spoil(files)
    with pytest.raises(BadCertificate, match=message):
        files.good_until_s(side)
    settings = Settings(
        engine_ca=files.authority, engine_certificate=files.certificate, engine_key=files.key
    )
    with pytest.raises(BadSetting, match=message):
        tls_of(settings, side)


def test_the_documented_commands_make_certificates_that_are_taken(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    documented = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    [commands] = re.findall(r"^```sh\n(openssl req.*?)^```", documented, re.DOTALL | re.MULTILINE)
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True, capture_output=True)
    for name, side in MADE.items():
        made = LinkTls(tmp_path / "ca.pem", tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        assert made.good_until_s(side) > time.time()


def test_without_files_the_link_is_plain() -> None:
    assert tls_of(Settings(), "client") is None


def test_metrics_tell_when_the_certificate_expires_and_that_it_is_refused(
    files: LinkTls,
) -> None:
    settings = Settings(
        engine_ca=files.authority, engine_certificate=files.certificate, engine_key=files.key
    )
    metrics = Metrics()
    watch_certificate(settings, "server", metrics)
    told = "foldex_link_certificate_expiry_seconds"
    assert metrics.registry.get_sample_value(told) == files.good_until_s("server")
    expired(files)
    assert metrics.registry.get_sample_value(told) == 0


def test_a_plain_link_has_no_certificate_to_tell_of() -> None:
    metrics = Metrics()
    watch_certificate(Settings(), "client", metrics)
    assert metrics.registry.get_sample_value("foldex_link_certificate_expiry_seconds") is None
