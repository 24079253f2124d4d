"""A development authority: one certificate a principal, for trying out and testing the secured profile.

Every certificate and every file says that it is for development. Private keys are created readable by their owner alone, and
nothing is ever overwritten but a certificate that is renewed, which keeps its key.

- Keys are EC P-256. Certificates name their principal as common name, and serve one side: a broker's proves a server, of the
  hosts it names, all others prove clients. So no client's key can stand in for the broker, nor the broker's for a client.
- Whoever has the authority's key can be anybody: a process needs only the authority's certificate and its own folder.

It revokes nothing: who lost a key makes new ones. Real keys are of a real authority: any that issues the like will do.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bus.errors import BadInput
from bus.private import PUBLIC, new_folder, replace_file, write_new
from bus.security import BROKER, DEFAULT_DAYS, MOST_DAYS, authority_certificate, authority_key, key_files, parted

MARK: Final = "triwarn DEVELOPMENT, not for real use"
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
_AUTHORITY: Final = "authority"
_OUR_KIND: Final = "an EC key of secp256r1"
_MOST_LETTERS: Final = 64  # of a common name, by X.509
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_SKEW: Final = timedelta(minutes=5)  # clocks that are behind must take it too


class Made(NamedTuple):
    """A certificate that was made or renewed, and until when it is valid."""

    principal: str
    path: Path
    expires: datetime


class _Authority(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_keys(
    folder: Path, principals: Sequence[str], *, days: int = DEFAULT_DAYS, hosts: Sequence[str] = (), now: datetime | None = None
) -> list[Made]:
    """A new authority and a certificate for each principal, in a new or empty folder. BadInput names what is in the way.

    `hosts` are names and addresses of the broker beside the local ones; of brokers apart, like `broker.jpn`, each is at NAME-jpn.
    """
    now = now or datetime.now(UTC)
    named = {name: (_subject(name), _hosts_of(name, hosts)) for name in principals}  # before anything is made
    new_folder(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _Authority(_authority_certificate(key, now), key)
    made = [Made(_AUTHORITY, authority_certificate(folder), authority.certificate.not_valid_after_utc)]
    write_new(authority_key(folder), _key_text(_AUTHORITY, key))
    write_new(authority_certificate(folder), _certificate_text(_AUTHORITY, authority.certificate), PUBLIC)
    for name in principals:
        files, own = key_files(folder, name), ec.generate_private_key(ec.SECP256R1())
        certificate = _issued(authority, *named[name], own.public_key(), days, now)
        new_folder(files.key.parent)
        write_new(files.key, _key_text(name, own))
        write_new(files.certificate, _certificate_text(name, certificate), PUBLIC)
        made.append(Made(name, files.certificate, certificate.not_valid_after_utc))
    return made


def renew(folder: Path, *, days: int = DEFAULT_DAYS, now: datetime | None = None) -> list[Made]:
    """New certificates for the keys that are in the folder, by its authority. BadInput names the file that stands in the way."""
    now = now or datetime.now(UTC)
    authority = _load_authority(folder, now)
    fresh = {path: _again(path, authority, days, now) for path in sorted(folder.glob("*/tls.crt"))}  # all, or none
    made = []
    for path, certificate in fresh.items():
        name = path.parent.name
        replace_file(path, _certificate_text(name, certificate), PUBLIC)
        made.append(Made(name, path, certificate.not_valid_after_utc))
    if not made:
        raise BadInput(str(folder), "", "holds no certificate to renew", "a folder that `triwarn keys init` made")
    return made


def _again(path: Path, authority: _Authority, days: int, now: datetime) -> x509.Certificate:
    """A new certificate of the principal in whose folder this one is; BadInput where it is another's, or not ours."""
    name, old = path.parent.name, read_certificate(path)
    if not issued_by(old, authority.certificate):
        raise BadInput(str(path), "", f"is not of the authority in {authority_certificate(path.parent.parent)}")
    if common_name(old) != name:
        raise BadInput(str(path), "", f"is of {common_name(old) or 'nobody'}", name)
    return _issued(authority, _subject(name), _names_of(old), _our_key(path, old), days, now)


def _our_key(path: Path, certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """The public key of a certificate; BadInput unless it is of the kind that we make."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise BadInput(str(path), "", "is of a key of no kind that is known", _OUR_KIND) from None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    kind = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__.removesuffix("PublicKey").lower()
    raise BadInput(str(path), "", f"is of a key of {kind}", _OUR_KIND)


def read_certificate(path: Path) -> x509.Certificate:
    """The certificate in a file. BadInput where there is none."""
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError:
        raise BadInput(str(path), "", "is not a certificate in PEM") from None


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the authority has signed it."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def common_name(certificate: x509.Certificate) -> str:
    """The principal that a certificate speaks of; empty where it names none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(str(path), "", f"cannot be read: {error.strerror}") from None


def _load_authority(folder: Path, now: datetime) -> _Authority:
    path = authority_key(folder)
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError):
        raise BadInput(str(path), "", "is not a private key in PEM") from None
    certificate = read_certificate(authority_certificate(folder))
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise BadInput(str(path), "", f"is not the key of {authority_certificate(folder)}")
    if certificate.not_valid_after_utc <= now:
        raise BadInput(str(authority_certificate(folder)), "", "has expired: make a new folder with `triwarn keys init`")
    return _Authority(certificate, key)


# Certificates ------------------------------------------------------------------------------------------------------------


def _authority_certificate(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    subject = _subject(f"{_AUTHORITY} {x509.random_serial_number():x}"[:32])  # no two authorities have one name
    return (
        _builder(subject, subject, key.public_key(), now, now + timedelta(days=MOST_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _issued(
    authority: _Authority,
    subject: x509.Name,
    hosts: x509.SubjectAlternativeName | None,
    key: ec.EllipticCurvePublicKey,
    days: int,
    now: datetime,
) -> x509.Certificate:
    """A certificate of the authority; with `hosts` it proves a server, without them a client."""
    expires = min(now + timedelta(days=days), authority.certificate.not_valid_after_utc)
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if hosts is None else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        _builder(subject, authority.certificate.subject, key, now, expires)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    if hosts is not None:
        builder = builder.add_extension(hosts, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, expires: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(expires)
    )


def _subject(name: str) -> x509.Name:
    if len(name) > _MOST_LETTERS:
        raise BadInput("principal", name, f"has {len(name)} letters", f"{_MOST_LETTERS} at the most")
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, MARK), x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _hosts_of(name: str, hosts: Sequence[str]) -> x509.SubjectAlternativeName | None:
    """The hosts that a broker's certificate proves; None where it is no broker's."""
    role, owner = parted(name)
    return _host_names((*LOCAL_HOSTS, *(f"{host}-{owner}" if owner else host for host in hosts))) if role == BROKER else None


def _host_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            if not _HOST.fullmatch(host):
                raise BadInput("flag --host", "", f"{host!r} is not a host", "a name in ASCII, or an address") from None
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def _names_of(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


# Files -------------------------------------------------------------------------------------------------------------------


def _key_text(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return f"{MARK}: private key of {name}\n".encode() + text


def _certificate_text(name: str, certificate: x509.Certificate) -> bytes:
    head = f"{MARK}: certificate of {name}, until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC\n"
    return head.encode() + certificate.public_bytes(serialization.Encoding.PEM)
