"""The demo's token: an ERC-20 of the demo's own chain, which custody takes as USDT."""

import time
from typing import Final

from wallet.desk import Desk
from wallet.errors import UnknownContract
from wallet.tokens import TokenRequest
from wallet.types import TokenId

ASSET: Final = "USDT"
NAME: Final = "Demo dollar"
IN_HOT: Final = "10000"
MINED_S_MAX: Final = 30.0
POLL_S: Final = 0.2

RULES: Final = """
[[rules]]
chain = "{chain}"
kind = "withdrawal"
token = "{token}"
roles = ["hot"]
to = ["any"]
per_transaction = "20000000000"
per_day = "200000000000"
approvals = 1

[[rules]]
chain = "{chain}"
kind = "sweep"
token = "{token}"
roles = ["deposit", "hot"]
to = ["own:hot", "own:cold"]
per_transaction = "1000000000000000"
per_day = "1000000000000000"
approvals = 0

[[rules]]
chain = "{chain}"
kind = "top_up"
roles = ["gas"]
to = ["own:deposit"]
per_transaction = "100000000000000000"
per_day = "1000000000000000000"
approvals = 0
"""
"""What the signer's policy says of it: payments, and the gas that its sweeps need."""


def register(desk: Desk, token: TokenId, decimals: int, by: str) -> None:
    """Have custody take the token, and look for what came before.

    Raises: WalletError: the contract is not in a block in time, or custody refuses it.
    """
    request = TokenRequest(
        contract=token,
        asset=ASSET,
        decimals=decimals,
        minimum="1",
        hot_target="20000",
        hot_high="50000",
        sweep_from="10",
        review=False,
        measured=False,
    )
    give_up_s = time.monotonic() + MINED_S_MAX
    while True:
        try:
            desk.tokens.add(request, by)
        except UnknownContract:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(POLL_S)
        else:
            break
    desk.tokens.rescan(f"{ASSET} of the demo", 0, None, by)
