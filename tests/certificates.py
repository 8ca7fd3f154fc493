"""Certificates for servers of tests: an authority made anew, and what it signs."""

import datetime
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAYS_VALID = 30


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates of servers. certificate: its own, as a PEM file."""

    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    certificate: Path

    @classmethod
    def make(cls, directory: Path) -> Self:
        """Make one that nobody knew before, and write its certificate into a directory."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _named(f"Foldex test authority {uuid4().hex}")
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        signed = _builder(name, name, key).add_extension(constraints, critical=True)
        file = directory / "authority.pem"
        file.write_bytes(signed.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return cls(key, name, file)

    def sign(self, host: str = "127.0.0.1", *, days_valid: int = DAYS_VALID) -> tuple[bytes, bytes]:
        """Return the key and the certificate, in PEM, of a server at 127.0.0.1 or of a name.

        days_valid: from now on; negative: it has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        own = x509.IPAddress(IPv4Address(host)) if host[:1].isdigit() else x509.DNSName(host)
        signed = _builder(_named(host), self.name, key, days_valid).add_extension(
            x509.SubjectAlternativeName([own]), critical=False
        )
        return (
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            signed.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM),
        )

    def issue(
        self, directory: Path, host: str = "127.0.0.1", *, days_valid: int = DAYS_VALID
    ) -> tuple[Path, Path]:
        """Write a key and a certificate into a directory; return the two PEM files."""
        key, certificate = directory / "key.pem", directory / "certificate.pem"
        directory.mkdir(parents=True, exist_ok=True)
        for file, content in zip(
            (key, certificate), self.sign(host, days_valid=days_valid), strict=True
        ):
            file.write_bytes(content)
        key.chmod(0o600)
        return key, certificate


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    days_valid: int = DAYS_VALID,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=DAYS_VALID))
        .not_valid_after(now + datetime.timedelta(days=days_valid))
    )
