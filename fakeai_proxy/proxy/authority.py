"""The certificate authority of one installation, on disk.

Two tiers, both constrained by name to the intercepted hosts, so that a stolen key is worth nothing
elsewhere. Users trust the root; its key is thrown away as soon as it has signed the intermediate.
Two tiers because some clients (Java) do not apply the constraints of a trust anchor.

`authority.pem` (0600) is the one truth: the intermediate's key and both certificates, linked into
place whole, so that of two processes that start at once one wins and the other reads its work.
`root.pem` is a copy for clients.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fakeai_proxy.errors import ConfigError

log = logging.getLogger("fakeai_proxy")

#: The longest that Apple's clients accept for a server certificate's chain.
LIFETIME = timedelta(days=825)
#: How far a client's clock may be behind ours.
CLOCK_SKEW = timedelta(days=1)

#: Always covered, so that our own port can speak TLS.
_LOCAL_NAME = "localhost"
_LOCAL_NETWORKS = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

_Network = IPv4Network | IPv6Network


class Authority:
    def __init__(
        self,
        directory: Path,
        key: ec.EllipticCurvePrivateKey,
        intermediate: x509.Certificate,
        root: x509.Certificate,
    ) -> None:
        self.directory = directory
        self.key = key
        self.intermediate = intermediate
        self.root = root
        permitted = intermediate.extensions.get_extension_for_class(x509.NameConstraints).value
        names = [name.value for name in permitted.permitted_subtrees or ()]
        self._domains = frozenset(name for name in names if isinstance(name, str))
        self._networks = tuple(name for name in names if not isinstance(name, str))

    @classmethod
    def open(
        cls,
        directory: Path,
        hosts: Iterable[str],
        wall: Callable[[], float],
        required: Iterable[str] | None = None,
    ) -> Authority:
        """The authority in `directory`, made there for `hosts` (NAME, *.SUFFIX or IP address) when
        there is none. One that exists must cover those `required`, all of them unless told
        otherwise. `wall` tells real time: clients check dates against theirs. Raises ConfigError."""
        hosts = tuple(hosts)
        required = hosts if required is None else tuple(required)
        path = directory / "authority.pem"
        try:
            if not path.exists():
                _make_directory(directory)
                _place(path, _issue(hosts, _instant(wall)), replace=False)
            authority = cls._load(path, _instant(wall))
            authority._publish_root()
        except OSError as error:
            raise ConfigError(_refused(path, error)) from None
        missing = [host for host in required if not authority.covers(host)]
        if missing:
            raise ConfigError(
                f"The certificate authority in {directory} may not sign for {', '.join(missing)}. "
                "Make a new one, which clients have to trust anew: "
                + " ".join(("fakeai-proxy ca create", *(f"--intercept {host}" for host in missing)))
            )
        return authority

    @classmethod
    def create(cls, directory: Path, hosts: Iterable[str], wall: Callable[[], float]) -> Authority:
        """A new authority in place of the one in `directory`, if any. Raises ConfigError."""
        path = directory / "authority.pem"
        try:
            _make_directory(directory)
            _place(path, _issue(tuple(hosts), _instant(wall)), replace=True)
        except OSError as error:
            raise ConfigError(_refused(path, error)) from None
        return cls.open(directory, hosts, wall)

    @property
    def root_path(self) -> Path:
        """What clients are told to trust."""
        return self.directory / "root.pem"

    @property
    def root_pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)

    @property
    def intermediate_pem(self) -> bytes:
        return self.intermediate.public_bytes(Encoding.PEM)

    @property
    def expires_at(self) -> float:
        """Seconds since the Unix epoch."""
        return min(one.not_valid_after_utc.timestamp() for one in (self.root, self.intermediate))

    def covers(self, host: str) -> bool:
        """Whether certificates for this host, or this `*.SUFFIX`, are within the constraints."""
        network = _network(host)
        if network is not None:
            return any(
                network.version == one.version and one.supernet_of(network)
                for one in self._networks
            )
        labels = _domain(host).split(".")
        return any(".".join(labels[place:]) in self._domains for place in range(len(labels)))

    def write_bundle(self, path: Path, existing: str | None = None) -> None:
        """What clients trust already (`existing`, a file like SSL_CERT_FILE's, else certifi's) and
        our root: for the variables that replace a client's default store. Raises ConfigError."""
        source = Path(existing or certifi.where())
        try:
            bundle = source.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"The certificate bundle {source} cannot be read: {error.strerror}."
            ) from None
        if b"-----BEGIN " not in bundle:
            raise ConfigError(f"The certificate bundle {source} holds no PEM certificates.")
        if self.root_pem not in bundle:
            bundle = bundle.rstrip() + b"\n\n" + self.root_pem
        try:
            _place(path, bundle, replace=True, mode=0o644)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None

    @classmethod
    def _load(cls, path: Path, now: datetime) -> Authority:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            log.warning("%s can be read by other users: chmod 600 %s", path, path)
        data = path.read_bytes()
        try:
            key = load_pem_private_key(data, None)
            intermediate, root = x509.load_pem_x509_certificates(data)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError("its key is not an elliptic curve key")
            if _public(key.public_key()) != _public(intermediate.public_key()):
                raise ValueError("its key does not belong to its certificate")
            authority = cls(path.parent, key, intermediate, root)
        except (ValueError, TypeError, x509.ExtensionNotFound) as error:
            raise ConfigError(_unusable(path, str(error).splitlines()[0])) from None
        if authority.expires_at <= now.timestamp():
            date = datetime.fromtimestamp(authority.expires_at, UTC).date()
            raise ConfigError(
                f"The certificate authority in {path.parent} expired on {date}. Make a new one, "
                "which clients have to trust anew: fakeai-proxy ca create"
            )
        return authority

    def _publish_root(self) -> None:
        if not self.root_path.exists() or self.root_path.read_bytes() != self.root_pem:
            _place(self.root_path, self.root_pem, replace=True, mode=0o644)


def _issue(hosts: Sequence[str], now: datetime) -> bytes:
    """The key of a new intermediate, its certificate and its root's, as PEM."""
    label = secrets.token_hex(4)
    constraints = _constraints(hosts)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = _name(f"fakeai-proxy root {label}")
    root = _certificate(root_name, root_key, root_name, root_key, 1, constraints, now)
    intermediate = _certificate(
        _name(f"fakeai-proxy intermediate {label}"), key, root_name, root_key, 0, constraints, now
    )
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + intermediate.public_bytes(Encoding.PEM)
        + root.public_bytes(Encoding.PEM)
    )


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    path_length: int,
    constraints: x509.NameConstraints,
    now: datetime,
) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now - CLOCK_SKEW + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if key is not issuer_key:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())


def _constraints(hosts: Sequence[str]) -> x509.NameConstraints:
    networks: dict[_Network, None] = dict.fromkeys(_LOCAL_NETWORKS)
    domains = {_LOCAL_NAME: None}
    for host in hosts:
        network = _network(host)
        if network is None:
            domains[_domain(host)] = None
        else:
            networks[network] = None
    return x509.NameConstraints(
        permitted_subtrees=[
            *(x509.DNSName(domain) for domain in domains),
            *(x509.IPAddress(network) for network in networks),
        ],
        excluded_subtrees=None,
    )


def _network(host: str) -> _Network | None:
    try:
        return ip_network(ip_address(host.strip("[]")))
    except ValueError:
        return None


def _domain(pattern: str) -> str:
    """A constraint covers a domain and everything below it."""
    return pattern.lower().removeprefix("*.").removesuffix(".")


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _public(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("its certificate has no elliptic curve key")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _instant(wall: Callable[[], float]) -> datetime:
    return datetime.fromtimestamp(int(wall()), UTC)


def _unusable(path: Path, reason: str) -> str:
    return (
        f"The certificate authority {path} cannot be used: {reason}. Move it away, or make a new "
        "one, which clients have to trust anew: fakeai-proxy ca create"
    )


def _refused(path: Path, error: OSError) -> str:
    """It is the folder's fault where there is no authority yet."""
    if os.path.exists(path):
        return _unusable(path, error.strerror or str(error))
    in_the_way = isinstance(error, (FileExistsError, NotADirectoryError))
    reason = "there is a file in its place" if in_the_way else error.strerror or str(error)
    return (
        f"The folder {path.parent.parent} cannot be written to: {reason}. Choose another with "
        "--data DIR, or give its user the right to (ls -ld, chmod, chown)."
    )


def _make_directory(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)


def _place(path: Path, data: bytes, *, replace: bool, mode: int = 0o600) -> None:
    """Write a file whole or not at all; without `replace`, one that is there by then stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            try:
                os.link(draft, path)
            except FileExistsError:
                log.debug("%s was made by another process meanwhile", path)
    finally:
        draft.unlink(missing_ok=True)
