"""The own authority: certificates that clients accept, renewed in time, keys nobody else reads."""

import datetime
import pathlib
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from boxfleet.app import pki
from boxfleet.kit import clock

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
NAMES = ["localhost", "127.0.0.1", "::1"]


def certificate(folder: pathlib.Path, name: str = "server.crt") -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / name).read_bytes())


def test_a_server_certificate_signed_by_the_authority(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "pki"
    assert pki.ensure(folder, names=NAMES, now=NOW)
    server, authority = certificate(folder), certificate(folder, "ca.crt")
    server.verify_directly_issued_by(authority)
    assert pki.names_of(server) == set(NAMES)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / key).stat().st_mode) for key in ("ca.key", "server.key")} == {0o600}


def test_repeating_changes_nothing(tmp_path: pathlib.Path) -> None:
    pki.ensure(tmp_path, names=NAMES, now=NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert not pki.ensure(tmp_path, names=NAMES, now=NOW + datetime.timedelta(days=200))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_rotation_has_both_authorities_between_its_steps(tmp_path: pathlib.Path) -> None:
    pki.ensure(tmp_path, names=NAMES, now=NOW)
    old, shown = certificate(tmp_path, "ca.crt"), certificate(tmp_path)
    assert not pki.finish_rotation(tmp_path)
    assert pki.begin_rotation(tmp_path)
    assert not pki.begin_rotation(tmp_path)
    assert not pki.ensure(tmp_path, names=NAMES, now=NOW)
    both = x509.load_pem_x509_certificates((tmp_path / "ca.crt").read_bytes())
    assert both[0] == old and len(both) == 2 and both[1].subject != old.subject
    # Who trusts only the old one goes on being served; clients get certificates of the new one.
    assert certificate(tmp_path) == shown
    client = signed(tmp_path)
    client.verify_directly_issued_by(both[1])
    assert pki.finish_rotation(tmp_path)
    assert pki.ensure(tmp_path, names=NAMES, now=NOW)
    assert x509.load_pem_x509_certificates((tmp_path / "ca.crt").read_bytes()) == [both[1]]
    certificate(tmp_path).verify_directly_issued_by(both[1])
    signed(tmp_path).verify_directly_issued_by(both[1])
    assert not pki.ensure(tmp_path, names=NAMES, now=NOW)


def signed(folder: pathlib.Path) -> x509.Certificate:
    """A client's certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    authority = pki.ClientAuthority(folder, clock=clock.SystemClock())
    return x509.load_pem_x509_certificate(authority.sign_client(request, subject=name, uris=[], seconds=600))


def test_renewal_near_the_end_keeps_keys_and_authority(tmp_path: pathlib.Path) -> None:
    pki.ensure(tmp_path, names=NAMES, now=NOW)
    key, authority = (tmp_path / "server.key").read_bytes(), (tmp_path / "ca.crt").read_bytes()
    later = NOW + datetime.timedelta(days=300)
    assert pki.ensure(tmp_path, names=NAMES, now=later)
    assert certificate(tmp_path).not_valid_after_utc > later + datetime.timedelta(days=300)
    assert ((tmp_path / "server.key").read_bytes(), (tmp_path / "ca.crt").read_bytes()) == (key, authority)


def test_new_names_and_damage_give_a_new_certificate(tmp_path: pathlib.Path) -> None:
    pki.ensure(tmp_path, names=NAMES, now=NOW)
    assert pki.ensure(tmp_path, names=[*NAMES, "box.example"], now=NOW)
    (tmp_path / "server.crt").write_text("half")
    assert pki.ensure(tmp_path, names=NAMES, now=NOW)
    (tmp_path / "ca.crt").unlink()
    # The authority's key is still there, so what it signed stays good.
    assert not pki.ensure(tmp_path, names=NAMES, now=NOW)
    certificate(tmp_path).verify_directly_issued_by(certificate(tmp_path, "ca.crt"))


def test_a_damaged_key_is_not_replaced_behind_the_owners_back(tmp_path: pathlib.Path) -> None:
    pki.ensure(tmp_path, names=NAMES, now=NOW)
    (tmp_path / "ca.key").write_text("half")
    with pytest.raises(pki.PkiError, match=r"ca\.key is not a private key"):
        pki.ensure(tmp_path, names=NAMES, now=NOW)
