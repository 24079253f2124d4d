"""What a process shows a broker, and how it knows the broker: its TLS context, and what a failed handshake means.

TLS 1.3 alone, the broker's name checked, its certificate by our authority and no other, our own certificate shown. What is wrong
with our own files is found before anything connects (BadInput, which names the file); what is wrong between the two of us is
told in words, with the file to look at.

A renewed certificate is shown after a restart. It holds no keys but inside the context, and prints none.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bus.errors import BadInput, BusError, Refused, Untrusted
from bus.link import BrokerUrl
from bus.security import KeyFiles, key_files

# What OpenSSL holds against the broker's certificate (X509_V_ERR_...), in the words of who reads the log.
_DISTRUST: Final = {
    9: "its certificate is not valid yet: compare the clocks",
    10: "its certificate has expired: renew it",
    18: "its certificate is not by the authority in {authority}",
    19: "its certificate is not by the authority in {authority}",
    20: "its certificate is not by the authority in {authority}",
    21: "its certificate is not by the authority in {authority}",
    26: "its certificate is not one of a broker",
    62: "its certificate is of other hosts: make one with --host {host}",
    64: "its certificate is of other hosts: make one with --host {host}",
}
# What the broker holds against ours: the alert that it sends (OpenSSL's reason), in words.
_REFUSALS: Final = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "{certificate} is not by its authority",
    "SSLV3_ALERT_BAD_CERTIFICATE": "{certificate} is not one it takes",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "{certificate} has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "{certificate} is revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "{certificate} is not one it takes",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "{certificate} is not one of a client",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not speak TLS 1.3",
}
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE", "PACKET_LENGTH_TOO_LONG")


@dataclass(frozen=True, slots=True)
class Credentials:
    """One principal's side of TLS. Times are s since the epoch."""

    principal: str
    files: KeyFiles
    context: ssl.SSLContext
    expires_s: float
    authority_expires_s: float


def load_credentials(folder: Path, principal: str) -> Credentials:
    """The credentials of a principal in a key folder. BadInput names the file that is missing, wrong or out of date."""
    from bus.certificates import common_name, issued_by, read_certificate

    files = key_files(folder, principal)
    authority, own = read_certificate(files.authority), read_certificate(files.certificate)
    now = datetime.now(UTC)
    for path, certificate in ((files.authority, authority), (files.certificate, own)):
        if certificate.not_valid_after_utc <= now:
            raise BadInput(str(path), "", f"has expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: renew it")
        if certificate.not_valid_before_utc > now:
            raise BadInput(str(path), "", f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    if common_name(own) != principal:
        raise BadInput(str(files.certificate), "", f"is of {common_name(own)!r}, not of {principal!r}")
    if not issued_by(own, authority):
        raise BadInput(str(files.certificate), "", f"is not by the authority in {files.authority}")
    return Credentials(
        principal, files, _context(files), own.not_valid_after_utc.timestamp(), authority.not_valid_after_utc.timestamp()
    )


def _context(files: KeyFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the broker's certificate and name are checked
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(files.authority)
    try:
        with files.key.open("rb"):
            pass
        context.load_cert_chain(files.certificate, files.key)
    except ssl.SSLError:
        raise BadInput(str(files.key), "", f"is not the private key of {files.certificate}") from None
    except OSError as error:
        raise BadInput(str(files.key), "", f"cannot be read: {error.strerror}") from None
    return context


def check_scheme(broker: BrokerUrl, *, keys: bool) -> None:
    """BadInput where TLS lacks keys, or where who has keys would send in the clear."""
    if broker.tls and not keys:
        raise BadInput("settings", "security.folder", "is needed for mqtts://", "a folder that `triwarn keys init` made")
    if keys and not broker.tls:
        raise BadInput("broker", "url", f"{broker} would be spoken to in the clear, and there are keys", "mqtts://host[:port]")


def tls_failure(error: BaseException | None, broker: BrokerUrl, credentials: Credentials | None) -> BusError | None:
    """What a failure of TLS means, as the error to raise; None where it is none that TLS speaks of, as where a link just ends."""
    if credentials is None or not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError):
        return None
    names = {"host": broker.host, "authority": credentials.files.authority, "certificate": credentials.files.certificate}
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _DISTRUST.get(error.verify_code, error.verify_message)
        return Untrusted(f"the broker at {broker} is not to be trusted: {why.format(**names)}")
    if error.reason in _REFUSALS:
        return Refused(f"the broker at {broker} refused {credentials.principal!r}: {_REFUSALS[error.reason].format(**names)}")
    if error.reason in _NO_TLS:
        return Untrusted(f"what listens at {broker} speaks no TLS")
    return Untrusted(f"no TLS with the broker at {broker}: {error.reason or error}")
