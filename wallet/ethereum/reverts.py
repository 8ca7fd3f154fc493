"""Why a transaction or call failed, in words, as far as the contract says."""

from collections.abc import Mapping
from typing import Any, Final

from wallet.errors import NodeLagging
from wallet.ethereum.rpc import Rpc, RpcError
from wallet.ethereum.transaction import Fields
from wallet.types import Address

DATA_CHARS_MAX: Final = 2 + 2 * 36
"""Of an error of a contract's own: its selector and one word."""


def why(error: RpcError) -> str:
    """Return a node's reason; errors of a contract's own have no words, so their data is shown."""
    text, data = str(error), error.data
    if isinstance(data, dict):
        data = data.get("data")
    if text.rstrip(":") != "execution reverted" or not isinstance(data, str) or len(data) <= 2:
        return text
    return f"execution reverted with {data[:DATA_CHARS_MAX]}"


def replayed(rpc: Rpc, sender: Address, fields: Fields, block: Mapping[str, Any]) -> str:
    """Return why a transaction that is in a block failed there, or "" where that cannot be told.

    It is tried again on the state before its block and then on that after it: what stood before it
    in the same block may be the cause, and is in the second one only.
    """
    call = {
        "from": sender,
        "gas": hex(fields.gas),
        "value": hex(fields.value),
        "data": "0x" + fields.data.hex(),
    }
    if fields.to:
        call["to"] = "0x" + fields.to.hex()
    for state in (block["parentHash"], block["hash"]):
        try:
            rpc.call("eth_call", call, {"blockHash": state})
        except NodeLagging:
            return ""  # It keeps no state of old blocks.
        except RpcError as error:
            return why(error)
    return ""
