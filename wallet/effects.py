"""What a block changes in what our addresses hold: `[address, token or empty, change]` each.

A change is in base units. That is the form in which the books keep it.
"""

from typing import Any

from wallet.book import Book
from wallet.chain import Chain
from wallet.records.payment import Payment
from wallet.types import Mined, Spend, TransferSeen

Effect = list[Any]


def effect_of_transfer(transfer: TransferSeen) -> Effect:
    """Return what arrived."""
    return [transfer.address, transfer.token or "", transfer.amount]


def effects_of_spend(chain: Chain, book: Book, spend: Spend) -> list[Effect]:
    """Return what left with a transaction of ours: coins, its fee, and the token that it pays.

    The chain's own coin is seen in the block; a token's payment is looked up.
    """
    effects: list[Effect] = [[spend.slot.owner, "", -(spend.amount + spend.fee)]]
    payment_id = book.payment_by_txid.get(spend.txid)
    payment = book.find(Payment, payment_id) if payment_id else None
    if payment is None or payment.intent.token is None or payment.is_release(spend.txid):
        return effects
    outcome = chain.outcome([each for each in payment.attempts if each.txid == spend.txid])
    if isinstance(outcome, Mined) and outcome.moved:
        effects.append([payment.owner, payment.intent.token, -outcome.moved])
    return effects
