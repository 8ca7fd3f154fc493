"""The policy that the signer is measured with."""

import base64
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wallet.signer.policy import Policy, parse_policy

TEXT = """
version = 1
stop_file = "{stop_file}"
{officers}
[[chains]]
id = "eip155:1337"
gas_max = 100_000
gas_price_max = "100000000000"
fee_max = "10000000000000000"
fees_per_day = "1000000000000000000000"
fee_share_bps_max = 100
[[rules]]
chain = "eip155:1337"
kind = "withdrawal"
roles = ["hot"]
to = ["any"]
per_transaction = "1000000000000000000"
per_day = "1000000000000000000000000"
approvals = {approvals}
"""


def policy(stop_file: Path, officers: Mapping[str, Ed25519PrivateKey]) -> Policy:
    """Return a policy in which all of these officers must approve."""
    lines = "".join(
        f'[[officers]]\nname = "{name}"\npublic_key = "{_public(key)}"\n'
        for name, key in officers.items()
    )
    text = TEXT.format(stop_file=stop_file.absolute(), officers=lines, approvals=len(officers))
    return parse_policy(text)


def _public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
