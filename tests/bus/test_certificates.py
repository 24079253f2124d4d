"""Development keys: marked, private from the first byte, never overwritten, good for one side each."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from bus.certificates import MARK, common_name, issued_by, make_keys, read_certificate, renew
from bus.errors import BadInput
from bus.private import replace_file
from bus.security import authority_certificate, authority_key, key_files, principals

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
EVERYBODY = principals(["fusion-1"])


@pytest.fixture(params=[0o022, 0o077, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_private_keys_are_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder, EVERYBODY)
    private = [path for path in folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert len(private) == 1 + len(EVERYBODY)
    assert {path.name for path in private} == {"authority.key", "tls.key"}
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder, *folder.glob("*/"))} == {0o700}


def test_no_moment_passes_in_which_a_private_key_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a mode was changed after the file was there")

    for name in ("chmod", "fchmod"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(Path, "chmod", refuse)
    make_keys(tmp_path / "keys", ["feed.jpn"])


def test_everybody_has_a_certificate_of_the_authority_in_his_name(tmp_path: Path) -> None:
    made = make_keys(tmp_path, EVERYBODY, days=30, now=NOW)
    authority = read_certificate(authority_certificate(tmp_path))
    assert [each.principal for each in made] == ["authority", *EVERYBODY]
    for name in EVERYBODY:
        certificate = read_certificate(key_files(tmp_path, name).certificate)
        assert common_name(certificate) == name
        assert issued_by(certificate, authority)
        assert certificate.not_valid_after_utc == NOW + timedelta(days=30)
        assert certificate.not_valid_before_utc < NOW
    assert authority.not_valid_after_utc > NOW + timedelta(days=3000)


def test_every_file_and_certificate_says_that_it_is_for_development(tmp_path: Path) -> None:
    make_keys(tmp_path, EVERYBODY)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2 + 2 * len(EVERYBODY)
    assert all(path.read_text().startswith(MARK) for path in files)
    for path in tmp_path.rglob("*.crt"):
        certificate = read_certificate(path)
        assert MARK in certificate.subject.rfc4514_string().replace("\\", "")
        assert MARK in certificate.issuer.rfc4514_string().replace("\\", "")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", ["feed.jpn"])
    before = {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match="not empty"):
        make_keys(tmp_path / "keys", ["feed.jpn"])
    assert {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file()} == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="is a file"):
        make_keys(tmp_path / "file", ["feed.jpn"])


def test_renewing_keeps_the_keys_and_moves_the_date(tmp_path: Path) -> None:
    make_keys(tmp_path, ["broker", "feed.jpn"], days=10, hosts=["hub.example"], now=NOW)
    paths = [key_files(tmp_path, name) for name in ("broker", "feed.jpn")]
    keys, old = [each.key.read_bytes() for each in paths], [read_certificate(each.certificate) for each in paths]
    renewed = renew(tmp_path, days=20, now=NOW + timedelta(days=9))
    assert [each.principal for each in renewed] == ["broker", "feed.jpn"]
    assert [each.key.read_bytes() for each in paths] == keys
    for before, each in zip(old, paths, strict=True):
        after = read_certificate(each.certificate)
        assert after.not_valid_after_utc == NOW + timedelta(days=29)
        assert after.public_key() == before.public_key()
        assert [x.value for x in after.extensions] == [x.value for x in before.extensions]
    assert not list(tmp_path.rglob("*.new"))


def test_nothing_outlives_its_authority(tmp_path: Path) -> None:
    make_keys(tmp_path, ["feed.jpn"], now=NOW)
    late = NOW + timedelta(days=3600)
    assert (
        renew(tmp_path, days=3650, now=late)[0].expires == read_certificate(authority_certificate(tmp_path)).not_valid_after_utc
    )
    with pytest.raises(BadInput, match=r"authority\.crt: has expired"):
        renew(tmp_path, now=NOW + timedelta(days=3651))


def test_what_cannot_be_renewed_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"authority\.key: cannot be read"):
        renew(tmp_path)
    make_keys(tmp_path / "a", [])
    with pytest.raises(BadInput, match="no certificate to renew"):
        renew(tmp_path / "a")
    make_keys(tmp_path / "b", ["feed.jpn"])
    stranger = key_files(tmp_path / "a", "feed.jpn")
    stranger.certificate.parent.mkdir()
    stranger.certificate.write_bytes(key_files(tmp_path / "b", "feed.jpn").certificate.read_bytes())
    with pytest.raises(BadInput, match=r"feed\.jpn/tls\.crt: is not of the authority"):
        renew(tmp_path / "a")
    authority_key(tmp_path / "b").write_text("no key")
    with pytest.raises(BadInput, match=r"authority\.key: is not a private key"):
        renew(tmp_path / "b")


def test_a_certificate_is_renewed_in_nobody_elses_name_and_then_none_is(tmp_path: Path) -> None:
    """Who exchanged two folders' files would have one party be the other."""
    make_keys(tmp_path, ["feed.jpn", "feed.kor", "feed.usa"])
    jpn, kor = (key_files(tmp_path, name).certificate for name in ("feed.jpn", "feed.kor"))
    kor.write_bytes(jpn.read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.glob("*/*")}
    with pytest.raises(BadInput, match=r"feed\.kor/tls\.crt: is of feed\.jpn \(allowed: feed\.kor\)"):
        renew(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.glob("*/*")} == before


KEYS_OF_OTHER_KINDS: dict[str, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    "secp384r1": lambda: ec.generate_private_key(ec.SECP384R1()),
    "secp521r1": lambda: ec.generate_private_key(ec.SECP521R1()),
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS_OF_OTHER_KINDS)
def test_a_certificate_of_a_key_that_is_not_ours_is_not_renewed(kind: str, tmp_path: Path) -> None:
    make_keys(tmp_path, ["feed.jpn"])
    path = key_files(tmp_path, "feed.jpn").certificate
    authority = serialization.load_pem_private_key(authority_key(tmp_path).read_bytes(), None)
    assert isinstance(authority, ec.EllipticCurvePrivateKey)
    old = read_certificate(path)
    odd = (
        x509.CertificateBuilder(
            old.issuer, old.subject, None, old.serial_number, old.not_valid_before_utc, old.not_valid_after_utc
        )
        .public_key(KEYS_OF_OTHER_KINDS[kind]().public_key())
        .sign(authority, hashes.SHA256())
    )
    path.write_bytes(odd.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(BadInput, match=rf"feed\.jpn/tls\.crt: is of a key of {kind} \(allowed: an EC key of secp256r1\)"):
        renew(tmp_path)


@pytest.mark.parametrize("name", [".tls.crt.new", "tls.crt"])
def test_a_folder_where_a_certificate_is_to_be_put_is_told(name: str, tmp_path: Path) -> None:
    make_keys(tmp_path, ["feed.jpn"])
    path = key_files(tmp_path, "feed.jpn").certificate
    content = path.read_bytes()
    path.with_name(name).unlink(missing_ok=True)
    path.with_name(name).mkdir()
    with pytest.raises(BadInput, match=rf"feed\.jpn/{name}: "):
        replace_file(path, content)
    with pytest.raises(BadInput, match=rf"feed\.jpn/{name}: "):
        renew(tmp_path)


def test_a_name_that_is_too_long_for_a_certificate_is_told_before_anything_is_made(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", ["feed.jpn"])
    name = f"feed.{'j' * 65}"
    (tmp_path / "keys" / "feed.jpn").rename(tmp_path / "keys" / name)
    with pytest.raises(BadInput, match=rf"{name}/tls\.crt: is of feed\.jpn"):
        renew(tmp_path / "keys")
    with pytest.raises(BadInput, match=rf"principal: {name}: has 70 letters \(allowed: 64 at the most\)"):
        make_keys(tmp_path / "new", ["feed.jpn", name])
    assert not (tmp_path / "new").exists()


def test_a_host_that_is_none_leaves_no_half_made_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="flag --host"):
        make_keys(tmp_path / "keys", EVERYBODY, hosts=["bad host"])
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("host", ["höst", "", "a b", "x,DNS:y", "-x"])
def test_a_host_that_is_none_is_refused_by_name(tmp_path: Path, host: str) -> None:
    with pytest.raises(BadInput, match="flag --host"):
        make_keys(tmp_path, ["broker"], hosts=[host])


def handshake(folder: Path, *, server: str, client: str, host: str) -> None:
    """TLS between two principals in memory. Raises ssl.SSLError where one does not take the other."""
    contexts = []
    for purpose, name in ((ssl.PROTOCOL_TLS_SERVER, server), (ssl.PROTOCOL_TLS_CLIENT, client)):
        context = ssl.SSLContext(purpose)
        context.load_verify_locations(authority_certificate(folder))
        context.load_cert_chain(key_files(folder, name).certificate, key_files(folder, name).key)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.verify_mode = ssl.CERT_REQUIRED
        contexts.append(context)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = contexts[1].wrap_bio(down, up, server_hostname=host)
    theirs = contexts[0].wrap_bio(up, down, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in (ours, theirs):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    assert done == {ours, theirs}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "hub.example", "10.1.2.3"])
def test_the_broker_proves_its_hosts_and_a_client_itself_under_strict_checks(tmp_path: Path, host: str) -> None:
    make_keys(tmp_path, ["broker", "feed.jpn"], hosts=["hub.example", "10.1.2.3"])
    handshake(tmp_path, server="broker", client="feed.jpn", host=host)


def test_no_other_host_no_client_as_broker_and_no_broker_as_client(tmp_path: Path) -> None:
    make_keys(tmp_path, ["broker", "feed.jpn", "conductor"])
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(tmp_path, server="broker", client="feed.jpn", host="elsewhere")
    with pytest.raises(ssl.SSLCertVerificationError, match="unsuitable certificate purpose"):
        handshake(tmp_path, server="conductor", client="feed.jpn", host="localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match="unsuitable certificate purpose"):
        handshake(tmp_path, server="broker", client="broker", host="localhost")


def test_no_two_principals_and_no_two_authorities_share_a_key(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        make_keys(folder, ["broker", "feed.jpn"])
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    keys = [read_certificate(path).public_key().public_bytes(*spki) for folder in folders for path in folder.rglob("*.crt")]
    assert len(set(keys)) == len(keys) == 6
    names = {read_certificate(authority_certificate(folder)).subject.rfc4514_string() for folder in folders}
    assert len(names) == 2
