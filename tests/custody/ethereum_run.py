"""Custody on a real EVM with the real signer in its own process, as tests drive it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from uuid import uuid4

from api.clock import system_clock_ms
from api.custody_setup import config_of
from api.demo_chain import OFFICER, DemoChain, start_chain
from api.faucet import pay
from api.settings import Settings
from commands.request_withdrawal import RequestWithdrawal
from commands.settle_withdrawal import ApproveWithdrawal
from tests.custody.world import ACCOUNTS, Chaos, LedgerLink, status_of
from tests.ethereum_world import someone
from wallet.approvals import approve, format_approval
from wallet.contract_desk import contract_intent_id
from wallet.desk import Desk
from wallet.errors import WalletError
from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.devnode.node import DevNode
from wallet.ethereum.rpc import Rpc
from wallet.journal_memory import JournalMemory
from wallet.ports import ExchangeRefused, ExchangeUnavailable
from wallet.reconcile import reconcile
from wallet.service import Custody
from wallet.signer.client import SignerClient
from wallet.store import open_sqlite
from wallet.types import Address, Intent, IntentId, IntentKind
from wallet.vault.officers import load_officer, open_officer
from wallet.vault.passphrase import from_file
from wallet.vault.protection import PassphraseProtection

ETHER = 10**18
UNIT = 10**10


class Anvil:
    """The same means as our own node has, over anvil's RPC."""

    def __init__(self, url: str) -> None:
        self._rpc = Rpc.http(url)
        self._rpc.call("evm_setAutomine", False)

    @property
    def height(self) -> int:
        return int(self._rpc.call("eth_blockNumber"), 16)

    def mine(self) -> None:
        self._rpc.call("evm_mine")

    def reorg(self, depth: int) -> None:
        """Replace the last blocks; what was in them is gone, not only back in the pool."""
        self._rpc.call("anvil_reorg", depth, [])
        self.mine()

    def wipe_pool(self) -> None:
        self._rpc.call("anvil_dropAllTransactions")


class Own:
    """Our own node, in this process."""

    def __init__(self, node: DevNode) -> None:
        self._node = node

    @property
    def height(self) -> int:
        return self._node.tip.height

    def mine(self) -> None:
        self._node.mine()

    def reorg(self, depth: int) -> None:
        self._node.reorg(depth)

    def wipe_pool(self) -> None:
        self._node.wipe_pool()


class EthereumRun:
    """One run on a chain of its own."""

    def __init__(self, chain: DemoChain, node: Own | Anvil, data: Path, seed: int) -> None:
        self.node = node
        self.random = Random(seed)
        self.chain = chain
        self.data = data
        self.config, self.socket = config_of(chain.settings)
        self.exchange = LedgerLink(Chaos(seed))
        self.payees: dict[int, tuple[Address, int]] = {}
        self.deployments: list[IntentId] = []
        self.reorganisations = self.starts = 0
        file = load_officer(chain.directory / f"{OFFICER}.key")
        passphrase = from_file(chain.directory / "passphrase")
        self.officer = open_officer(file, PassphraseProtection(passphrase, file.protection, bytes))
        self.start()

    def start(self) -> None:
        """Start the process, as after a crash: nothing but files and the chain is left."""
        self.starts += 1
        node = EthereumChain.connect(self.chain.url, poll_s=0.05)
        signer = SignerClient(self.socket, index_of=self._index_of)
        self.custody = Custody(
            chain=node,
            books=open_sqlite(self.data),
            coins=self.config.coins,
            policy=self.config.policy,
            keys=signer.keys(),
            signer=signer,
            exchange=self.exchange,
            clock_ms=system_clock_ms,
        )
        self.signer = signer
        self.custody.open(0)
        signer.memory = JournalMemory(self.custody.book, writes=True)

    def _index_of(self, address: Address) -> int | None:
        return self.custody.book.index_of.get(address)

    def stop(self) -> None:
        self.signer.close()
        self.custody.books.close()

    def work(self) -> None:
        """Do what can be done now, and go on after a pause."""
        for _ in range(20):
            try:
                if not self.custody.step():
                    break
            except (ExchangeUnavailable, WalletError) as error:
                if isinstance(error, WalletError) and not error.retryable:
                    raise
        if self.custody.book.chain_record.paused:
            self.custody.resume("the test")

    def play(self) -> None:
        chance = self.random.random()
        if chance < 0.35:
            account = self.random.choice(ACCOUNTS)
            address = self.custody.addresses.of(account)
            pay(self.chain.url, address, self.random.choice((ETHER + 3, 2 * ETHER, 10**14)))
        elif chance < 0.58:
            self.withdraw()
        elif chance < 0.68:
            self.deployments.append(self.deploy(self.random.choice((0, 7, ETHER // 3))))
        elif chance < 0.8 and self.node.height > 6:
            self.reorganisations += 1
            self.node.reorg(self.random.randint(1, 5))
        elif chance < 0.85:
            self.node.wipe_pool()
        elif chance < 0.97:
            self.stop()
            self.start()
        self.work()
        self.node.mine()
        self.work()

    def deploy(self, value: int) -> IntentId:
        """Have a contract without code deployed, with coins that go along."""
        code = bytes.fromhex("60006000f3")
        return self.plan(Intent(
            id=contract_intent_id(uuid4().hex), kind=IntentKind.DEPLOY,
            chain=self.custody.chain.id, amount=value, data=code,
        ))  # fmt: skip

    def plan(self, intent: Intent) -> IntentId:
        """Plan a deployment or call, with the officer's approval; return its id."""
        Desk(self.custody).plan(intent)
        self.custody.reviews.approve(intent, self.approval(intent))
        return intent.id

    def withdraw(self) -> None:
        number = len(self.payees) + 1
        payee, units = someone().address, ETHER // UNIT // 4
        try:
            receipt = self.exchange.do(RequestWithdrawal(
                time_ms=1, account=self.random.choice(ACCOUNTS), asset="ETH", amount=units,
                address=payee, request_id=f"r{number}",
            ))  # fmt: skip
            withdrawal_id = int(receipt.withdrawal_id)
            self.exchange.do(
                ApproveWithdrawal(time_ms=1, withdrawal_id=withdrawal_id, approved_by="op")
            )
        except ExchangeRefused as refusal:
            if refusal.code not in ("insufficient_funds", "account_in_debt"):
                raise
            return
        self.payees[withdrawal_id] = payee, units * UNIT
        [wanted] = [
            each for each in self.exchange.approved(0)[0] if each.withdrawal_id == withdrawal_id
        ]
        intent = self.custody.withdrawals.intent(wanted)
        self.custody.reviews.approve(intent, self.approval(intent))

    def approval(self, intent: Intent) -> str:
        """Return the officer's approval."""
        now_ms = system_clock_ms()
        return format_approval(approve(self.officer, OFFICER, intent, approved_ms=now_ms))

    def settle(self, blocks: int) -> None:
        """Let blocks come, and do what can be done after each."""
        for _ in range(blocks):
            self.node.mine()
            self.work()

    def check(self) -> None:
        self.settle(12)
        node = self.custody.chain
        for number, (payee, amount) in self.payees.items():
            paid = node.balances([payee], None)[payee]
            expected = {"completed": amount, "failed": 0}[status_of(self.exchange, number)]
            assert paid == expected, f"withdrawal {number}: {paid}"
        for each in self.deployments:
            payment = self.custody.book.payment(each)
            assert payment is not None
            assert payment.final is not None, payment.failure
            made = Address(payment.final.contract)
            assert node.balances([made], None) == {made: payment.intent.amount}
        report = reconcile(
            chain=node, book=self.custody.book, coins=self.custody.coins,
            keys=self.custody.keys, ledger=self.exchange.facts(),
        )  # fmt: skip
        assert report.differences == []


@contextmanager
def run_with_a_deposit(directory: Path) -> Iterator[EthereumRun]:
    """Give a run on our own node in which ann has two ETH."""
    with ExitStack() as opened:
        chain = start_chain(Settings(data=directory), opened, block_s=None)
        assert chain.node is not None
        run = EthereumRun(chain, Own(chain.node), directory, 1)
        opened.callback(run.stop)
        run.settle(2)
        pay(chain.url, run.custody.addresses.of("ann"), 2 * ETHER)
        run.settle(6)
        yield run
