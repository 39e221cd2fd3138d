"""Proofs of possession as browsers send them for device bound sessions: a JSON Web Token with one fixed shape (RFC 7515, W3C DBSC).

Nothing of it is negotiable. What a general library for such tokens would offer (other algorithms, keys named by the token, unsigned tokens) is what this
must refuse, so the few rules stand here, and only the arithmetic of the signature is `cryptography`'s.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sessile.model.errors import ConfigurationError

PROOF_LENGTH_MAX: Final = 6144
"""Characters. One with a key of RSA-4096 has about 1500."""
ALGORITHMS: Final = ("ES256", "RS256")
TYPE: Final = "dbsc+jwt"
TEXT_LENGTH_MAX: Final = 512
_EC_SIGNATURE_BYTES: Final = 64
_RSA_BITS_MIN, _RSA_BITS_MAX = 2048, 4096
_RSA_EXPONENT: Final = 65537
_SHAPE: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_P: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


class ProofRefused(ValueError):
    """What came is no proof. The message says why, for a log; it has nothing of the proof in it."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof of the right shape, whose signature has not been looked at yet."""

    algorithm: str
    challenge: str = field(repr=False)
    authorization: str | None = field(repr=False)
    audience: str | None
    expires_at_s: float | None
    """`exp`, in seconds since 1970, where the browser says one."""
    key: Mapping[str, str] | None
    """At registration alone: the public key, checked, with the members that a key of its kind has and no others."""
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse_proof(text: str, *, with_key: bool) -> Proof:
    """The proof in a header. `with_key`: at registration it must bring its key, at a refresh it must not. Raises ProofRefused."""
    match = _SHAPE.fullmatch(text) if len(text) <= PROOF_LENGTH_MAX else None
    if match is None:
        raise ProofRefused("it is not three parts of base64url, or too long")
    header, payload, signature = _object(match[1]), _object(match[2]), _bytes(match[3])
    algorithm = header.get("alg")
    if header.get("typ") != TYPE:
        raise ProofRefused(f"its type is not {TYPE}")
    if algorithm not in ALGORITHMS:
        raise ProofRefused("its algorithm is neither ES256 nor RS256")
    if "crit" in header:
        raise ProofRefused("it asks for extensions")
    if with_key != ("jwk" in header):
        raise ProofRefused("it brings no key" if with_key else "it brings a key")
    if algorithm == "ES256" and len(signature) != _EC_SIGNATURE_BYTES:
        raise ProofRefused("its signature does not have 64 bytes")
    return Proof(
        algorithm=algorithm,
        challenge=_text(payload, "jti", required=True) or "",
        authorization=_text(payload, "authorization"),
        audience=_text(payload, "aud"),
        expires_at_s=_number(payload, "exp"),
        key=_checked_key(header["jwk"], algorithm) if with_key else None,
        signed=f"{match[1]}.{match[2]}".encode("ascii"),
        signature=signature,
    )


def check_signature(proof: Proof, algorithm: str, key: Mapping[str, str]) -> None:
    """Raises ProofRefused unless the holder of this key signed it with this algorithm, and ConfigurationError without the package `cryptography`."""
    if proof.algorithm != algorithm:
        raise ProofRefused("it is signed with another algorithm than it was registered with")
    require_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    try:
        if algorithm == "ES256":
            point = ec.EllipticCurvePublicNumbers(_integer(key["x"]), _integer(key["y"]), ec.SECP256R1()).public_key()
            r, s = (int.from_bytes(half, "big") for half in (proof.signature[:32], proof.signature[32:]))
            point.verify(encode_dss_signature(r, s), proof.signed, ec.ECDSA(hashes.SHA256()))
        else:
            modulus = rsa.RSAPublicNumbers(_integer(key["e"]), _integer(key["n"])).public_key()
            modulus.verify(proof.signature, proof.signed, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError) as error:
        raise ProofRefused("its signature is not this key's") from error


def require_cryptography() -> None:
    """Raises ConfigurationError that says what to install."""
    try:
        import cryptography  # noqa: F401 - whether it is there
    except ImportError as error:
        raise ConfigurationError(
            'SESSILE_DBSC: device bound sessions need the package cryptography: pip install "sessile[dbsc]"'
        ) from error


def _checked_key(given: object, algorithm: str) -> dict[str, str]:
    if not isinstance(given, dict):
        raise ProofRefused("its key is no object")
    kind, names = ("EC", ("x", "y")) if algorithm == "ES256" else ("RSA", ("n", "e"))
    if given.get("kty") != kind or "d" in given:
        raise ProofRefused("its key is of another kind than its algorithm, or no public one")
    numbers = {name: _text(given, name, required=True, length_max=1024) or "" for name in names}
    if kind == "EC":
        x, y = (_bytes(numbers[name]) for name in names)
        if given.get("crv") != "P-256" or len(x) != 32 or len(y) != 32 or not _is_on_curve(x, y):
            raise ProofRefused("its key is no point of P-256")
        return {"kty": kind, "crv": "P-256", **numbers}
    bits = _integer(numbers["n"]).bit_length()
    if not _RSA_BITS_MIN <= bits <= _RSA_BITS_MAX or _integer(numbers["e"]) != _RSA_EXPONENT:
        raise ProofRefused("its RSA key does not have 2048 to 4096 bits and the exponent 65537")
    return {"kty": kind, **numbers}


def _is_on_curve(x_bytes: bytes, y_bytes: bytes) -> bool:
    """y² = x³ - 3x + b (FIPS 186-5, P-256)."""
    x, y = int.from_bytes(x_bytes, "big"), int.from_bytes(y_bytes, "big")
    return x < _P and y < _P and (y * y - (x * x * x - 3 * x + _B)) % _P == 0


def _object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(part), object_pairs_hook=_distinct, parse_constant=_refused_constant)
    except (ValueError, RecursionError) as error:
        raise ProofRefused("a part of it is no JSON object with distinct names") from error
    if not isinstance(value, dict):
        raise ProofRefused("a part of it is no JSON object")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice")
    return found


def _refused_constant(name: str) -> None:
    raise ValueError(name)


def _text(
    given: Mapping[str, Any], name: str, *, required: bool = False, length_max: int = TEXT_LENGTH_MAX
) -> str | None:
    value = given.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= length_max:
        raise ProofRefused(f"its {name} is no text of a reasonable length")
    return value


def _number(given: Mapping[str, Any], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**53:
        raise ProofRefused(f"its {name} is no time")
    return float(value)


def _integer(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")


def _bytes(part: str) -> bytes:
    """Base64url without padding, in its one spelling (RFC 7515 section 2)."""
    try:
        decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofRefused("a part of it is not base64url") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii") != part:
        raise ProofRefused("a part of it is not base64url in its one spelling")
    return decoded
