"""What a block changes in what our addresses hold: `[address, token or empty, change]` each.

A change is in base units. That is the form in which the books keep it. Everything is read from the
block itself, so whatever a transaction of ours does (a payment, a deployment, the call of a
contract) counts alike, and goes when its block goes.
"""

from typing import Any

from wallet.block_scan import BlockScan, ChangedByCall, Spend, TokensLeft, TransferSeen

Effect = list[Any]


def effects_of(scan: BlockScan) -> list[Effect]:
    """Return all that a block changes."""
    return [*map(effect_of_transfer, scan.transfers), *effects_of_leaving(scan)]


def effects_of_leaving(scan: BlockScan) -> list[Effect]:
    """Return what a block changes besides what arrived by a transfer of its own."""
    return [
        *map(_spent, scan.spends),
        *map(_left, scan.left),
        *map(_changed, scan.changed),
    ]


def effect_of_transfer(transfer: TransferSeen) -> Effect:
    """Return what arrived."""
    return [transfer.address, transfer.token or "", transfer.amount]


def _spent(spend: Spend) -> Effect:
    return [spend.slot.owner, "", -(spend.amount + spend.fee)]


def _left(left: TokensLeft) -> Effect:
    return [left.address, left.token, -left.amount]


def _changed(changed: ChangedByCall) -> Effect:
    return [changed.address, changed.token or "", changed.change]
