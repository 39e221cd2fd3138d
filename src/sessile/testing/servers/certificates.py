"""A certificate authority of one folder and a certificate for 127.0.0.1, made with the `openssl` binary."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sessile.testing.servers.process import ServerMissing


@dataclass(frozen=True)
class Certificates:
    """Files of one server. Clients need only `ca`."""

    ca: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Makes them in this folder, valid for two days for 127.0.0.1 and localhost. Raises ServerMissing without `openssl`."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise ServerMissing("openssl is not installed, and TLS needs certificates")
    made = Certificates(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    ca_key, request, names = folder / "ca.key", folder / "server.csr", folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n", encoding="utf-8")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    steps: list[list[str | Path]] = [
        ["req", "-x509", *new_key, "-days", "2", "-subj", "/CN=Sessile test CA", "-keyout", ca_key, "-out", made.ca],
        ["req", *new_key, "-subj", "/CN=127.0.0.1", "-keyout", made.key, "-out", request],
        ["x509", "-req", "-in", request, "-CA", made.ca, "-CAkey", ca_key, "-set_serial", "2", "-days", "2",
         "-extfile", names, "-out", made.certificate],
    ]  # fmt: skip
    for arguments in steps:
        subprocess.run([openssl, *arguments], check=True, capture_output=True)
    return made
