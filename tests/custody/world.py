"""Custody, a chain, a signer and the real exchange in one place, with crashes at every step."""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any

from eventsourcing.persistence import InfrastructureFactory
from eventsourcing.popo import POPOFactory
from eventsourcing.utils import Environment

from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.list_asset import ListAsset
from commands.open_account import OpenAccount
from commands.registry import handle
from commands.request_withdrawal import RequestWithdrawal
from commands.reverse_deposit import ReverseDeposit
from commands.settle_withdrawal import (
    ApproveWithdrawal,
    CompleteWithdrawal,
    FailWithdrawal,
    RejectWithdrawal,
)
from domain.errors import Rejected
from domain.events import Event, WithdrawalApproved, WithdrawalCompleted
from domain.exchange import Exchange as Ledger
from domain.invariants import check
from domain.ledger import Withdrawal
from tests.custody.fast_chain import COIN, TOKEN, FastChain, Move, Tx, sign
from tests.signer_world import NOON_MS, OFFICERS, approvals
from wallet.approvals import Officers, format_approval
from wallet.coins import Coin, Coins
from wallet.contract_desk import contract_intent_id
from wallet.desk import Desk
from wallet.errors import (
    NodeUnavailable,
    NonceConflict,
    PolicyDenied,
    SignerUnavailable,
    WalletError,
)
from wallet.policy import Band, ConfirmationRule, Policy
from wallet.ports import (
    ApprovedWithdrawal,
    ExchangeRefused,
    ExchangeUnavailable,
    KnownWithdrawal,
    Requirement,
    Signed,
)
from wallet.reconcile import LedgerFacts, Report, reconcile
from wallet.service import Custody
from wallet.store import Books
from wallet.tokens import TokenRequest
from wallet.types import (
    Address,
    ChainId,
    FeePolicy,
    Intent,
    IntentId,
    IntentKind,
    TokenId,
    TxId,
    Unsigned,
)

RICH = "0xrich"
ACCOUNTS = ("ann", "bob", "cid")
WEI = 10**18
STEPS_MAX = 1_000
"""A crash, a lost answer and a conflict each take one more; nothing takes as many."""
APPROVAL_AGE_S_MAX = 3_600
UNIT = 10**10
"""Base units in one ledger unit of ETH."""


class Crash(BaseException):
    """The process is killed here: nothing catches it."""


class Chaos:
    """Crashes and lost answers, drawn by chance. crashes, lost: how many there were."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.on = False
        self.crash_chance = 0.02
        self.meanwhile_chance = 0.0
        self.meanwhile: Callable[[], None] = lambda: None
        """What another process does between two steps of ours."""
        self.loss_chance = 0.05
        self.crashes = 0
        self.lost = 0

    def point(self) -> None:
        """Between two steps."""
        if self.on and self.meanwhile_chance and self.random.random() < self.meanwhile_chance:
            self.on = False
            self.meanwhile()
            self.on = True
        if self.on and self.random.random() < self.crash_chance:
            self.crashes += 1
            raise Crash

    def call(self, action: Callable[[], Any], failure: Callable[[str], BaseException]) -> Any:
        """Do it, or lose the request, or lose the answer, or do it twice, or crash around it."""
        self.point()
        chance = self.random.random() if self.on else 1.0
        if chance < self.loss_chance / 2:
            self.lost += 1
            raise failure("the request was lost")
        result = action()
        if chance < self.loss_chance:
            self.lost += 1
            raise failure("the answer was lost")
        if chance < self.loss_chance * 1.5:
            result = action()
        self.point()
        return result


class ChaosBooks(Books):
    """Books on a store that outlives them, that may crash before or after each save."""

    def __init__(self, factory: InfrastructureFactory[Any], recorder: Any, chaos: Chaos) -> None:
        self._shared = factory, recorder
        self._chaos = chaos
        super().__init__()

    def construct_factory(self, env: Environment) -> Any:
        return self._shared[0]

    def construct_recorder(self) -> Any:
        return self._shared[1]

    def put(self, *records: Any) -> None:
        self._chaos.point()
        super().put(*records)
        self._chaos.point()

    def close(self) -> None:
        """The store outlives us."""


def new_store() -> tuple[InfrastructureFactory[Any], Any]:
    """Return a store for `ChaosBooks`, which outlives them."""
    factory = POPOFactory(Environment("wallet", {}))
    return factory, factory.application_recorder()


class ChaosChain(FastChain):
    """Where answers get lost."""

    def __init__(self, chaos: Chaos, seed: int) -> None:
        super().__init__(RICH, seed)
        self._chaos = chaos

    def broadcast(self, raw: bytes) -> Any:
        return self._chaos.call(lambda: FastChain.broadcast(self, raw), NodeUnavailable)

    def outcome(self, attempts: Any) -> Any:
        return self._chaos.call(lambda: FastChain.outcome(self, attempts), NodeUnavailable)

    def scan_range(self, first: int, count: int, watch: Any) -> Any:
        return self._chaos.call(
            lambda: FastChain.scan_range(self, first, count, watch), NodeUnavailable
        )


class JournalSigner:
    """Signs what a slot was first asked for, and nothing else: the journal outlives crashes."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self.slots: dict[str, tuple[Any, ...]] = {}
        self.payments: dict[str, str] = {}
        self.last: dict[str, Tx] = {}
        self.denies: set[str] = set()
        self.denial: type[WalletError] = NonceConflict
        self.unlisted: set[tuple[IntentKind, TokenId | None]] = set()
        self.needed = 0
        self.officers = tuple(OFFICERS)
        self.forbids: set[IntentKind] = set()

    def requirement(self, intent: Intent) -> Requirement:
        if intent.kind in self.forbids:
            raise PolicyDenied(f"no_rule: no rule allows a {intent.kind}")
        keys = {name: OFFICERS[name].public_key().public_bytes_raw() for name in self.officers}
        return Requirement(
            officers=Officers(keys=keys, age_s_max=APPROVAL_AGE_S_MAX), needed=self.needed
        )

    def sign(
        self, intent: Intent, unsigned: Unsigned, approvals: Sequence[str], index: int | None
    ) -> Signed:
        return self._chaos.call(lambda: self._sign(intent, unsigned), SignerUnavailable)  # type: ignore[no-any-return]

    def _sign(self, intent: Intent, unsigned: Unsigned) -> Signed:
        if intent.id in self.denies and intent.kind is not IntentKind.RELEASE:
            raise self.denial(f"{intent.id} is denied")
        slot = str(unsigned.slot)
        if self.slots.setdefault(slot, (intent.id,)) != (intent.id,):
            raise NonceConflict(f"{slot} belongs to {self.slots[slot]}")
        if self.payments.setdefault(intent.id, slot) != slot:
            raise NonceConflict(f"{intent.id} has slot {self.payments[intent.id]}")
        tx, before = sign(unsigned.raw), self.last.get(slot)
        if before is not None and tx != before and tx.price <= before.price:
            raise NonceConflict("a replacement offers a higher price")
        self.last[slot] = tx
        return Signed(txid=tx.txid, raw=tx.raw)

    def allows(self, chain: ChainId, kind: IntentKind, token: TokenId | None) -> bool:
        return (kind, token) not in self.unlisted


class FixedKeys:
    """Addresses that are numbers."""

    hot = Address("0xhot")
    gas = Address("0xgas")
    cold = Address("0xcold")

    def deposit_address(self, index: int) -> Address:
        return Address(f"0xdep{index}")


class LedgerLink:
    """The real exchange, in memory; its log outlives every crash."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self.ledger = Ledger()
        self.events: list[Event] = []
        for asset in (COIN, "TOK"):
            self.do(ListAsset(time_ms=1, asset=asset, decimals=8))
        for account in ACCOUNTS:
            self.do(OpenAccount(time_ms=1, account=account))

    def do(self, command: Command) -> Any:
        events, outcome = handle(self.ledger, command)
        self.ledger.apply_all(events)
        self.events += events
        if isinstance(outcome, Rejected):
            raise ExchangeRefused(outcome.code, outcome.detail)
        return outcome

    def _send(self, command: Command) -> None:
        self._chaos.call(lambda: self.do(command), ExchangeUnavailable)

    def credit(self, *, account: str, asset: str, units: int, deposit_id: str) -> None:
        self._send(CreditDeposit(
            time_ms=1, account=account, asset=asset, amount=units, deposit_id=deposit_id
        ))  # fmt: skip

    def reverse(self, *, deposit_id: str) -> None:
        self._send(ReverseDeposit(time_ms=1, deposit_id=deposit_id))

    def complete(self, *, withdrawal_id: int, txid: str) -> None:
        self._send(CompleteWithdrawal(time_ms=1, withdrawal_id=withdrawal_id, txid=txid))

    def fail(self, *, withdrawal_id: int, reason: str) -> None:
        self._send(FailWithdrawal(time_ms=1, withdrawal_id=withdrawal_id, reason=reason))

    def request(
        self, *, account: str, asset: str, units: int, address: str, request_id: str
    ) -> int:
        asked = RequestWithdrawal(
            time_ms=1, account=account, asset=asset, amount=units, address=address,
            request_id=request_id, scope="bus/withdraw", idempotency_key=request_id,
        )  # fmt: skip
        receipt = self._chaos.call(lambda: self.do(asked), ExchangeUnavailable)
        return int(receipt.withdrawal_id)

    def reject(self, *, withdrawal_id: int, rejected_by: str, reason: str) -> None:
        self._send(RejectWithdrawal(
            time_ms=1, withdrawal_id=withdrawal_id, rejected_by=rejected_by, reason=reason
        ))  # fmt: skip

    def find(self, withdrawal_id: int) -> KnownWithdrawal | None:
        found = self.ledger.withdrawals.get(withdrawal_id)
        return None if found is None else KnownWithdrawal(found.status, _payment(found))

    def decimals(self, asset: str) -> int | None:
        listed = self.ledger.assets.get(asset)
        return None if listed is None else listed.decimals

    def approved(self, after: int) -> tuple[Sequence[ApprovedWithdrawal], int]:
        found = []
        for event in self.events[after:]:
            if isinstance(event, WithdrawalApproved):
                found.append(_payment(self.ledger.withdrawals[event.withdrawal_id]))
        return found, len(self.events)

    def facts(self) -> LedgerFacts:
        return LedgerFacts(
            credited={
                key: deposit.amount
                for key, deposit in self.ledger.deposits.items()
                if key not in self.ledger.reversals
            },
            completed={
                each.withdrawal_id: each.txid
                for each in self.events
                if isinstance(each, WithdrawalCompleted)
            },
        )


def _payment(withdrawal: Withdrawal) -> ApprovedWithdrawal:
    return ApprovedWithdrawal(
        withdrawal_id=withdrawal.withdrawal_id, account=withdrawal.account,
        asset=withdrawal.asset, amount=withdrawal.amount, address=withdrawal.address,
    )  # fmt: skip


COINS = (
    Coin(
        asset=COIN, token=None, decimals=18, ledger_decimals=8, minimum=WEI // 100,
        band=Band(low=100 * WEI, target=1_000 * WEI, high=2_000 * WEI, sweep_from=WEI),
    ),
)  # fmt: skip
TOK = TokenRequest(
    contract=TOKEN, asset="TOK", decimals=6, minimum="0.0001", review=False,
    hot_low="0.001", hot_target="1000", hot_high="2000", sweep_from="0.01",
)  # fmt: skip
POLICY = Policy(
    rules=(
        ConfirmationRule(asset=COIN, at_least=Decimal(50), confirmations=4),
        ConfirmationRule(confirmations=2),
    ),
    fee=FeePolicy(price_max=10**9, total_max=10**12),
    payment_confirmations=2,
    replace_after=2,
    blocks_per_step=7,
    pause_on_reversal=False,
    top_up_gas=21,
)


class World:
    """One run. `custody` is made anew after each crash; everything else stays."""

    def __init__(
        self,
        seed: int = 0,
        policy: Policy = POLICY,
        coins: Sequence[Coin] = COINS,
        tokens: Sequence[TokenRequest] = (TOK,),
    ) -> None:
        self.chaos = Chaos(seed)
        self.random = self.chaos.random
        self.chain = ChaosChain(self.chaos, seed)
        self.signer = JournalSigner(self.chaos)
        self.exchange = LedgerLink(self.chaos)
        self.keys = FixedKeys()
        self.policy = policy
        self.coins = coins
        self._store = new_store()
        self.requests = 0
        self.now_ms = NOON_MS
        self.deposits: list[Tx] = []
        self.start()
        for token in tokens:
            self.custody.tokens.register(token, "op")
        self.chain.send(RICH, self.keys.hot, 1_500 * WEI)
        self.chain.send(RICH, self.keys.gas, WEI)
        self.chain.send(RICH, self.keys.hot, 10**9, TOKEN)
        self.chain.mine()

    def start(self) -> None:
        """Start the process."""
        on, self.chaos.on = self.chaos.on, False
        self.custody = self._process(self.chaos)
        self.chaos.on = on

    def another_process(self) -> Custody:
        """Return custody as another process has it: the same store, its own copy of the books."""
        return self._process(Chaos(0))

    def _process(self, chaos: Chaos) -> Custody:
        custody = Custody(
            chain=self.chain,
            books=ChaosBooks(*self._store, chaos),
            coins=Coins(self.chain.id, self.coins),
            policy=self.policy,
            keys=self.keys,
            signer=self.signer,
            exchange=self.exchange,
            clock_ms=lambda: self.now_ms,
        )
        custody.open(0)
        return custody

    def approval(self, officer: str, intent: Intent, *, age_s: int = 0) -> str:
        """Return an officer's approval, made some time ago."""
        made_ms = self.now_ms - age_s * 1000
        [approval] = approvals(intent, officer, approved_ms=made_ms)
        return format_approval(approval)

    def step(self) -> bool:
        """Let the process do what it can; after a crash it is started again."""
        try:
            return self.custody.step()
        except (WalletError, ExchangeUnavailable) as error:
            if isinstance(error, WalletError) and not error.retryable:
                raise
            return True
        except Crash:
            self.start()
            return True

    def settle(self, blocks: int = 12) -> None:
        """Let things come to rest: quiet, block after block."""
        self.chaos.on = False
        for _ in range(blocks):
            self.chain.mine()
            self.rest()

    def rest(self) -> None:
        """Let the process do all that it can do now."""
        for _ in range(STEPS_MAX):
            if not self.step():
                return
        raise AssertionError(f"there is something to do after {STEPS_MAX} steps")

    def deposit(self, account: str, amount: int, token: str = "") -> Tx:
        """Send somebody's money to an account's address."""
        address = self.custody.addresses.of(account)
        tx = self.chain.send(RICH, address, amount, token)
        self.deposits.append(tx)
        return tx

    def withdraw(self, account: str, units: int, asset: str = COIN, address: str = "") -> int:
        """Request and approve a withdrawal to an address of its own; return its number."""
        self.requests += 1
        receipt = self.exchange.do(RequestWithdrawal(
            time_ms=1, account=account, asset=asset, amount=units,
            address=address or f"0xpayee{self.requests}", request_id=f"r{self.requests}",
        ))  # fmt: skip
        return self.approve(int(receipt.withdrawal_id))

    def call(self, value: int, *moves: Move, deploys: bool = False) -> IntentId:
        """Plan the call or deployment of a contract that does these moves; return its id.

        In the moves "it" is the contract.
        """
        self.requests += 1
        contract = "" if deploys else f"0xcontract{self.requests}"
        intent_id = contract_intent_id(f"c{self.requests}")
        parts = [[contract if part == "it" else part for part in move] for move in moves]
        Desk(self.another_process()).plan(Intent(
            id=intent_id, kind=IntentKind.DEPLOY if deploys else IntentKind.CALL,
            chain=self.chain.id, to=Address(contract) if contract else None, amount=value,
            data=json.dumps(parts).encode(),
        ))  # fmt: skip
        return intent_id

    def approve(self, number: int) -> int:
        """Approve a withdrawal; return its number."""
        self.exchange.do(ApproveWithdrawal(time_ms=1, withdrawal_id=number, approved_by="op"))
        return number

    def free(self, account: str, asset: str = COIN) -> int:
        """Return what an account may spend, in ledger units."""
        return self.exchange.ledger.accounts[account].free(asset)

    def paid(self, address: str, token: str = "") -> int:
        """Return how often an address was paid on the chain as it is now."""
        return sum(
            moved
            for block in self.chain.blocks
            for tx, moved in zip(block.txs, block.moved, strict=True)
            if tx.to == address and tx.token == token
        )

    def reconcile(self) -> Report:
        """Compare books, chain and ledger."""
        check(self.exchange.ledger)
        return reconcile(
            chain=self.chain, book=self.custody.book, coins=self.custody.coins, keys=self.keys,
            ledger=self.exchange.facts(),
        )  # fmt: skip


def status_of(exchange: LedgerLink, number: int) -> str:
    """Return a withdrawal's status at the exchange."""
    return exchange.ledger.withdrawals[number].status


def status(world: World, number: int) -> str:
    """Return a withdrawal's status in a world."""
    return status_of(world.exchange, number)


__all__ = ["ACCOUNTS", "COIN", "RICH", "TOKEN", "UNIT", "WEI", "Crash", "TxId", "World", "status"]
