"""Puts custody together, by the settings: chain, books, signer, keys, and the exchange."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, Protocol

from api.brokers import brokers_of
from api.clock import system_clock_ms
from api.custody_link import ExchangeLink, Listed, Send, listed_in
from api.custody_part import CustodyPart
from api.deployment import Deployment, deployment_of
from api.ledger_reader import LedgerReader
from api.settings import Settings
from api.settings_sources import BadSetting
from eventstore.store import Log
from projections.views import Views
from wallet.bus import Commands
from wallet.bus_withdrawals import WithdrawalCommands
from wallet.config import BadConfig, Config, load
from wallet.desk import Desk
from wallet.journal_memory import JournalMemory
from wallet.kafka_bus import KafkaBus
from wallet.outbox import Relay
from wallet.ports import ApprovedWithdrawal, Exchange, ExchangeUnavailable
from wallet.reconcile import Report
from wallet.reconciler import Reconciler
from wallet.service import Custody
from wallet.signer.client import SignerClient
from wallet.types import Address, ChainId

LOCK: Final = "custody"
"""Only one process runs custody; the records' versions make sure of it, the lock is polite."""

_log = logging.getLogger(__name__)


class NoExchange:
    """For processes that only read the books and add to them: nothing is sent from here."""

    def __init__(self, listed: Listed) -> None:
        self.decimals = listed

    def credit(self, *, account: str, asset: str, units: int, deposit_id: str) -> None:
        """Never asked for."""
        raise ExchangeUnavailable("this process sends nothing")

    def reverse(self, *, deposit_id: str) -> None:
        """Never asked for."""
        raise ExchangeUnavailable("this process sends nothing")

    def complete(self, *, withdrawal_id: int, txid: str) -> None:
        """Never asked for."""
        raise ExchangeUnavailable("this process sends nothing")

    def fail(self, *, withdrawal_id: int, reason: str) -> None:
        """Never asked for."""
        raise ExchangeUnavailable("this process sends nothing")

    def approved(self, after: int) -> tuple[list[ApprovedWithdrawal], int]:
        """Nothing is followed."""
        return [], after


def config_of(settings: Settings) -> tuple[Config, Path]:
    """Return what the settings' file says of the chain, and the signer's socket.

    Raises: BadSetting.
    """
    if not settings.ethereum_url or not settings.signer or not settings.wallet_config:
        raise BadSetting(
            "custody needs FOLDEX_ETHEREUM_URL, FOLDEX_SIGNER and FOLDEX_WALLET_CONFIG"
        )
    try:
        return load(settings.wallet_config), settings.signer
    except BadConfig as error:
        raise BadSetting(f"FOLDEX_WALLET_CONFIG: {error}") from error


def open_custody(
    settings: Settings,
    deployment: Deployment,
    opened: ExitStack,
    *,
    send: Send | None = None,
    log: Log | None = None,
    clock_ms: Callable[[], int] = system_clock_ms,
) -> Custody:
    """Return custody, its books read. With `send` and `log` it can be run, else only asked.

    opened: closes what it needs.
    Raises: BadSetting; StoreLocked: another runs it; WalletError: the node or the signer does not
    answer, or they are not those that the books are of.
    """
    from wallet.ethereum.chain import EthereumChain

    config, socket = config_of(settings)
    if send is not None:
        opened.enter_context(deployment.lock(LOCK))
    chain = EthereumChain.connect(settings.ethereum_url, expected=ChainId(config.chain))
    books = opened.enter_context(deployment.open_books())
    signer = SignerClient(socket, index_of=lambda address: _index(custody, address))
    opened.callback(signer.close)
    exchange = _exchange(deployment, opened, send, log, clock_ms)
    custody = Custody(
        chain=chain,
        books=books,
        coins=config.coins,
        policy=config.policy,
        keys=signer.keys(),
        signer=signer,
        exchange=exchange,
        clock_ms=clock_ms,
    )
    custody.open(config.start_height)
    signer.memory = JournalMemory(custody.book, writes=send is not None)
    return custody


def _exchange(
    deployment: Deployment,
    opened: ExitStack,
    send: Send | None,
    log: Log | None,
    clock_ms: Callable[[], int],
) -> Exchange:
    listed = _listed(deployment, opened)
    if send is None or log is None:
        return NoExchange(listed)
    return ExchangeLink(send, log, clock_ms, listed)


def _listed(deployment: Deployment, opened: ExitStack) -> Listed:
    kept = opened.enter_context(closing(deployment.open_views()))
    return listed_in(opened.enter_context(closing(Views(kept))))


def open_desk(settings: Settings, deployment: Deployment, opened: ExitStack) -> Desk:
    """Return what people ask custody through, in any process. Raises: as `open_custody`."""
    from wallet.ethereum.chain import EthereumChain
    from wallet.ethereum.contracts import EthereumContracts

    custody = open_custody(settings, deployment, opened)
    chain = custody.chain
    contracts = EthereumContracts(chain) if isinstance(chain, EthereumChain) else None
    return Desk(custody, contracts)


def open_reconciler(
    settings: Settings, deployment: Deployment, opened: ExitStack, log: Log
) -> Reconciler:
    """Return what compares books, chain and the ledger of a log, in any process.

    It has books of its own. Raises: as `open_custody`.
    """
    custody = open_custody(settings, deployment, opened)
    ledger = LedgerReader(log)
    return Reconciler(
        chain=custody.chain,
        book=custody.book,
        coins=custody.coins,
        keys=custody.keys,
        ledger=lambda: ledger.facts({coin.asset for coin in custody.coins}),
        every_s=config_of(settings)[0].reconcile_every_s,
    )


def reconcile_now(settings: Settings, opened: ExitStack) -> Report:
    """Compare everything now, and record what differs, which pauses the chain.

    Raises: NodeLagging: the books are on another branch: follow it first; ExchangeUnavailable; as
    `open_custody`.
    """
    deployment = deployment_of(settings)
    store = opened.enter_context(deployment.open_store())
    reconciler = open_reconciler(settings, deployment, opened, store.log)
    report = reconciler.look()
    reconciler.record(report)
    return report


def start_custody(
    settings: Settings, deployment: Deployment, opened: ExitStack, custody: Custody, log: Log
) -> CustodyPart:
    """Run custody and its reconciliation, each in a thread; `opened` ends them.

    Raises: as `open_custody`.
    """
    reconciler = open_reconciler(settings, deployment, opened, log)
    threads = [CustodyRunner(custody), CustodyRunner(reconciler, "reconciliation")]
    for each in threads:
        opened.callback(each.stop)
        each.start()
    return CustodyPart(custody, threads)


def open_bus(
    settings: Settings,
    deployment: Deployment,
    opened: ExitStack,
    *,
    send: Send,
    log: Log,
    clock_ms: Callable[[], int],
) -> KafkaBus:
    """Return what takes custody's commands from Kafka and publishes its transactions.

    Raises: as `open_custody`.
    """
    desk = open_desk(settings, deployment, opened)
    requests = ExchangeLink(send, log, clock_ms, _listed(deployment, opened))
    books = opened.enter_context(deployment.open_books())
    chain = ChainId(desk.chain)
    return KafkaBus(
        brokers_of(settings),
        Commands(desk, books, WithdrawalCommands(desk, requests).actions),
        Relay(chain, books),
        group=f"foldex-custody-{chain.replace(':', '-')}",
        prefix=settings.kafka_prefix,
    )


def _index(custody: Custody, address: Address) -> int | None:
    return custody.book.index_of.get(address)


class Running(Protocol):
    """What goes on until it is told to stop."""

    def run(self, stop: threading.Event) -> None:
        """Go on."""


class CustodyRunner:
    """Runs a part of custody in a thread. `failed`: why it stopped by itself."""

    def __init__(self, part: Running, name: str = "custody") -> None:
        self.failed: BaseException | None = None
        self._part = part
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the step under way, and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._part.run(self._stop)
        except Exception as error:  # noqa: BLE001  Whatever it is, the process has to end.
            _log.exception("%s stopped", self._thread.name)
            self.failed = error
