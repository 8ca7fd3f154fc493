"""What becomes of deposits and payments, as messages of the topic `transaction`.

They come from the books alone, in their order: after a crash what may not have been published is
published again, with the same ids.
"""

from typing import Any

from eventsourcing.domain import Aggregate

from wallet.book import Book
from wallet.bus import TRANSACTION, Message, envelope
from wallet.records.deposit import Deposit
from wallet.records.outbox import Outbox, outbox_id
from wallet.records.payment import Payment
from wallet.records.rescan import Rescan
from wallet.store import Books
from wallet.types import ChainId

_DEPOSIT_STATUS: dict[type[Any], str] = {
    Deposit.Created: "confirming",
    Deposit.MinedAgain: "confirming",
    Deposit.Credited: "credited",
    Deposit.SetAside: "ignored_dust",
    Deposit.Quarantined: "quarantined",
    Deposit.CreditRefused: "quarantined",
}


class Relay:
    """Collects messages from the books. For one thread; one process at a time."""

    def __init__(self, chain: ChainId, books: Books) -> None:
        self._books = books
        self._book = Book(chain, books, observe=self._observe)
        self._waiting: list[tuple[int, Message]] = []
        self._published = self._stored_position()

    def take(self) -> list[Message]:
        """Return what is to be sent now; the same again until `sent` is called."""
        self._book.catch_up()
        return [message for _, message in self._waiting]

    def sent(self) -> None:
        """Record that all of what `take` returned is in Kafka for good."""
        if not self._waiting:
            return
        self._published = self._waiting[-1][0]
        self._waiting.clear()
        known = self._book.find(Outbox, outbox_id(self._book.chain))
        outbox = Outbox.open(self._book.chain) if known is None else self._book.copy(known)
        outbox.publish(self._published)
        self._book.save(outbox)

    def _stored_position(self) -> int:
        """Return how far it was published, read before anything is collected."""
        plain = Book(self._book.chain, self._books)
        plain.catch_up()
        outbox = plain.find(Outbox, outbox_id(plain.chain))
        return outbox.position if outbox else 0

    def _observe(self, position: int, event: Any, record: Aggregate) -> None:
        if position <= self._published:
            return
        if isinstance(record, Deposit):
            body = _deposit_body(event, record)
        elif isinstance(record, Payment):
            body = _payment_body(event, record)
        elif isinstance(record, Rescan):
            body = _rescan_body(event, record)
        else:
            return
        if body:
            chain = self._book.chain
            env = envelope(f"transaction:{chain}:{position}", None) | {"seq": position}
            message = Message(
                topic=TRANSACTION, key=body["key"], body={**body, "chain": chain, "_env": env}
            )
            self._waiting.append((position, message))


def _deposit_body(event: Any, deposit: Deposit) -> dict[str, Any]:
    status = _DEPOSIT_STATUS.get(type(event), "")
    if isinstance(event, Deposit.Orphaned):
        reversing = bool(deposit.owed) and deposit.owed[-1][0] == "reverse"
        status = "reversed" if reversing else "orphaned"
    if not status:
        return {}
    return {
        "txid": deposit.txid,
        "value": str(deposit.amount),
        "to": deposit.address,
        "from": deposit.sender,
        "asset": deposit.asset,
        "direction": "in",
        "status": status,
        "key": deposit.key,
        "epoch": deposit.epoch,
        "block": {"height": deposit.height, "hash": deposit.hash},
        "meta": {"account": deposit.account},
    }


def _rescan_body(event: Any, rescan: Rescan) -> dict[str, Any]:
    """Tell that it ended; how far it is meanwhile can be asked for."""
    if rescan.status == "running" or not isinstance(event, Rescan.Scanned | Rescan.Failed):
        return {}
    return {
        "txid": "",
        "value": "0",
        "to": "",
        "from": "",
        "status": "rescanned" if rescan.status == "done" else "rescan_failed",
        "key": rescan.name,
        "meta": {
            "first": rescan.first,
            "last": rescan.last,
            "found": rescan.found,
            "reason": rescan.reason,
        },
    }


def _payment_body(event: Any, payment: Payment) -> dict[str, Any]:
    if isinstance(event, Payment.Signed):
        status, txid = "broadcast", event.txid
    elif isinstance(event, Payment.Ended):
        status, txid = ("finalised" if event.paid else "failed"), event.txid
    elif isinstance(event, Payment.GivenUp):
        status, txid = "failed", ""
    else:
        return {}
    body: dict[str, Any] = {
        "txid": txid,
        "value": str(payment.intent.amount),
        "to": payment.intent.to or "",
        "from": payment.owner,
        "asset": payment.asset,
        "direction": "out",
        "status": status,
        "key": payment.intent.id,
        "replaces": [each.txid for each in payment.signed if each.txid != txid],
    }
    if status == "failed":
        body["reason"] = payment.failure
    if payment.withdrawal_id:
        body["withdrawal_id"] = payment.withdrawal_id
    if status == "failed":
        body["reason"] = payment.failure
    if isinstance(event, Payment.Ended):
        body["fee"] = str(event.fee)
        if event.contract:
            body["meta"] = {"contract": event.contract}
    return body
