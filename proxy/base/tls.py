"""Which certificate a client of a control API trusts."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

CA_VARIABLE = "KT_CA_FILE"
"""Environment variable that names a file of certificates to trust besides the system's."""


def pinned(certificate: Path) -> ssl.SSLContext:
    """Trusts exactly the chain in `certificate`, under whatever name it is reached.

    For a gateway of our own state directory, which told where its certificate is: the file proves more than the
    name in it. Raises OSError (ssl.SSLError is one) when the file cannot be used.
    """
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    return context


def trusted(env: Mapping[str, str]) -> ssl.SSLContext | bool:
    """What to verify an https address with: the system's certificates, and those of KT_CA_FILE.

    Raises OSError when that file cannot be used.
    """
    extra = env.get(CA_VARIABLE)
    if not extra:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=extra)
    return context
