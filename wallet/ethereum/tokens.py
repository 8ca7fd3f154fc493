"""ERC-20: the bytes of its calls and of its one log that matters. Source: EIP-20."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
TRANSFER_SELECTOR = bytes.fromhex("a9059cbb")
DECIMALS_SELECTOR = bytes.fromhex("313ce567")
BALANCE_SELECTOR = bytes.fromhex("70a08231")
WORD = 32
COLLECTIBLE_CALL = bytes.fromhex("01ffc9a7" + "80ac58cd" + "00" * 28)
"""`supportsInterface` of ERC-165, asked for ERC-721."""
NOTHING = "0x"
"""What a contract answers that has no such method."""
# ERC-721 has the same topic, and four topics in all: its third is the number of a collectible.
TRANSFER_TOPICS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLog:
    """A `Transfer` of ERC-20's form. Addresses are lower-case text; whose it is proves nothing."""

    contract: str
    sender: str
    receiver: str
    amount: int


def read_transfer(log: Mapping[str, Any]) -> TransferLog | None:
    """Return the transfer that a log of a receipt tells of; None when it tells of none."""
    topics, data = log["topics"], bytes.fromhex(log["data"][2:])
    if len(topics) != TRANSFER_TOPICS or topics[0] != TRANSFER_TOPIC or len(data) != WORD:
        return None
    sender, receiver = topics[1][-40:], topics[2][-40:]
    return TransferLog(
        contract=log["address"].lower(),
        sender=f"0x{sender}",
        receiver=f"0x{receiver}",
        amount=int.from_bytes(data, "big"),
    )


def transfer_call(to: str, amount: int) -> bytes:
    """Return the data of `transfer(to, amount)`."""
    return TRANSFER_SELECTOR + _word(to) + amount.to_bytes(WORD, "big")


def read_transfer_call(data: bytes) -> tuple[bytes, int] | None:
    """Return the payee and amount of exactly such data; None when it is anything else."""
    address, amount = data[4 : 4 + WORD], data[4 + WORD :]
    if data[:4] != TRANSFER_SELECTOR or len(data) != 4 + 2 * WORD or any(address[:12]):
        return None
    return address[12:], int.from_bytes(amount, "big")


def balance_call(owner: str) -> bytes:
    """Return the data of `balanceOf(owner)`."""
    return BALANCE_SELECTOR + _word(owner)


def read_balance(answer: str) -> int:
    """Return a balance; 0 where there was no contract yet, which answers nothing."""
    data = bytes.fromhex(answer[2:])
    return int.from_bytes(data[:WORD], "big")


def read_number(answer: str) -> int | None:
    """Return the one number that a contract answered; None when it answered anything else."""
    data = bytes.fromhex(answer[2:])
    return int.from_bytes(data, "big") if len(data) == WORD else None


def says_no(answer: str) -> bool:
    """Tell whether a token's `transfer` would refuse. Some answer nothing and mean yes."""
    data = bytes.fromhex(answer[2:])
    return bool(data) and int.from_bytes(data[:WORD], "big") != 1


def _word(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(WORD, b"\0")
