"""A device's key in software, for tests of device bound sessions: what a browser keeps in hardware. Needs the package `cryptography`."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


class DeviceKey:
    """Of P-256 (`ES256`), or RSA (`RS256`)."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self._ec = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else None
        self._rsa = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else None

    @property
    def jwk(self) -> dict[str, str]:
        """The public key as a JSON Web Key."""
        if self._ec is not None:
            point = self._ec.public_key().public_numbers()
            x, y = (encoded(number.to_bytes(32, "big")) for number in (point.x, point.y))
            return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        assert self._rsa is not None, "it has one of the two"
        modulus = self._rsa.public_key().public_numbers()
        return {"kty": "RSA", "n": encoded(modulus.n.to_bytes(256, "big")), "e": encoded(b"\x01\x00\x01")}

    def register(self, challenge: str, authorization: str | None, **claims: Any) -> str:
        """The proof of a registration."""
        header = {"alg": self.algorithm, "typ": "dbsc+jwt", "jwk": self.jwk}
        return self.signed(header, {"jti": challenge, "authorization": authorization, **claims})

    def refresh(self, challenge: str, **claims: Any) -> str:
        """The proof of a refresh."""
        return self.signed({"alg": self.algorithm, "typ": "dbsc+jwt"}, {"jti": challenge, **claims})

    def signed(self, header: dict[str, Any] | str, payload: dict[str, Any] | str) -> str:
        """Any token, also one that no browser would make; texts are taken as they are."""
        parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, payload)]
        message = ".".join(encoded(part.encode()) for part in parts)
        return f"{message}.{encoded(self.signature(message.encode('ascii')))}"

    def signature(self, message: bytes) -> bytes:
        """As a token carries it."""
        if self._ec is not None:
            r, s = decode_dss_signature(self._ec.sign(message, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        assert self._rsa is not None, "it has one of the two"
        return self._rsa.sign(message, padding.PKCS1v15(), hashes.SHA256())


def encoded(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
