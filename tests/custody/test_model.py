"""Whatever crashes, gets lost or is reorganised: books equal the chain, each withdrawal once."""

import os
import time
from dataclasses import dataclass

import pytest

from tests.custody.world import ACCOUNTS, COIN, RICH, TOK, TOKEN, UNIT, WEI, World, status
from wallet.contract_desk import KINDS
from wallet.desk import Desk
from wallet.errors import AlreadyEnded, AlreadySigned
from wallet.ports import ExchangeRefused
from wallet.records.payment import Payment

ROUNDS = 150
SHORT_SEEDS = 8
SOAK_WITHDRAWALS, SOAK_REORGANISATIONS, SOAK_CRASHES = 1_000, 200, 1_000
REORGANISATION_MAX = 5
"""The hot wallet's own coins are deeper than that, so that nothing fails for want of them."""


@dataclass
class Counts:
    """What happened in some runs."""

    withdrawals: int = 0
    completed: int = 0
    reversals: int = 0
    reorganisations: int = 0
    wipes: int = 0
    cancelled: int = 0
    too_late: int = 0
    crashes: int = 0
    lost: int = 0
    rescans: int = 0
    calls: int = 0
    called: int = 0

    def add(self, other: "Counts") -> None:
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)


def play(world: World, counts: Counts) -> None:
    """Do one thing that may happen, by chance; then let the process work a little."""
    happen(world, counts)
    world.chaos.on = True
    for _ in range(world.random.randint(0, 3)):
        world.step()
    world.chaos.on = False
    if world.random.random() < 0.8:
        world.chain.mine(leave=0.2)


def happen(world: World, counts: Counts) -> None:
    """Do one thing that people or the chain may do, or nothing."""
    random, chance = world.random, world.random.random()
    if chance < 0.25:
        amount = random.choice((WEI // 1_000, WEI + 7, 3 * WEI, 60 * WEI))
        world.deposit(random.choice(ACCOUNTS), amount)
    elif chance < 0.35:
        world.deposit(random.choice(ACCOUNTS), random.choice((50, 9_999, 10**6)), TOKEN)
    elif chance < 0.6:
        withdraw(world, counts)
    elif chance < 0.68:
        counts.reorganisations += 1
        world.chain.reorganise(random.randint(1, REORGANISATION_MAX), drop=random.choice((0, 0.4)))
    elif chance < 0.72:
        counts.wipes += 1
        world.chain.wipe_pool()
    elif chance < 0.75:
        world.chain.price = random.choice((1, 2, 5, 20))
    elif chance < 0.79:
        cancel(world, counts)
    elif chance < 0.84:
        counts.calls += 1
        call(world)


def withdraw(world: World, counts: Counts) -> None:
    """Withdraw something that an account has; nothing when it has nothing or is in debt."""
    account = world.random.choice(ACCOUNTS)
    asset, units = world.random.choice(((COIN, WEI // UNIT // 2), ("TOK", 90_000)))
    try:
        world.withdraw(account, units, asset)
    except ExchangeRefused as refusal:
        if refusal.code not in ("insufficient_funds", "account_in_debt"):
            raise
        return
    counts.withdrawals += 1


def call(world: World) -> None:
    """Have the hot wallet call or deploy a contract, which moves something or fails."""
    hot = world.keys.hot
    deposit_address = world.custody.addresses.of(world.random.choice(ACCOUNTS))
    value, *moves = world.random.choice((
        (WEI,),
        (2 * WEI, ("", "it", hot, WEI // 3)),
        (0, (TOKEN, hot, "0xpool", 70)),
        (0, (TOKEN, hot, deposit_address, 55)),
        (WEI, (TOKEN, hot, "0xpool", 9), (TOKEN, "0xpool", hot, 4)),
        (WEI, ("", "it", hot, 2 * WEI)),
    ))  # fmt: skip
    world.call(value, *moves, deploys=not moves and world.random.random() < 0.5)


def cancel(world: World, counts: Counts) -> None:
    """Cancel a withdrawal of the last ones, from another process; it may be too late for that."""
    approved = world.exchange.approved(0)[0][-2:]
    if not approved:
        return
    try:
        Desk(world.another_process()).cancel(world.random.choice(approved), "the client asked")
        counts.cancelled += 1
    except (AlreadySigned, AlreadyEnded):
        counts.too_late += 1


def ask_tokens(world: World, counts: Counts) -> None:
    """Register the token some time; afterwards have any blocks looked at again."""
    if not world.custody.book.tokens:
        world.custody.tokens.register(TOK, "op")
        return
    counts.rescans += 1
    tip = world.custody.book.chain_record.tip.height
    first = world.random.randint(0, tip)
    last = world.random.randint(first, tip)
    world.custody.rescans.request(f"r{counts.rescans}", first, last, "op")


def find_the_rest(world: World) -> None:
    """Look for what was sent before the token was registered.

    The pool is emptied: behind a payment of others that was lost, their later ones wait for ever.
    """
    world.chain.wipe_pool()
    if not world.custody.book.tokens:
        world.custody.tokens.register(TOK, "op")
    world.settle(1)
    world.custody.rescans.request("the rest", 0, None, "op")


def check_the_end(world: World) -> None:
    """Every withdrawal is paid or refunded, never both; every deposit that is left is credited."""
    ledger = world.exchange.ledger
    for number, withdrawal in ledger.withdrawals.items():
        token = TOKEN if withdrawal.asset == "TOK" else ""
        paid = world.paid(withdrawal.address, token)
        assert (withdrawal.status, paid) in (("completed", 1), ("failed", 0)), f"{number}: {paid}"
    on_chain = {tx.txid for block in world.chain.blocks for tx in block.txs}
    standing = [tx for tx in world.deposits if tx.txid in on_chain]
    credited = {
        deposit.deposit_id.split(":")[2]: deposit
        for key, deposit in ledger.deposits.items()
        if key not in ledger.reversals
    }
    assert credited.keys() <= {tx.txid for tx in standing}
    for tx in standing:
        if tx.txid in credited:
            expected = tx.amount * 100 if tx.token else tx.amount // UNIT
            assert credited[tx.txid].amount == expected
        else:
            assert tx.amount < (100 if tx.token else WEI // 100), f"{tx} was not credited"
    report = world.reconcile()
    assert (report.differences, report.unscanned) == ([], [])


def check_calls(world: World) -> int:
    """Each call and deployment is in one block, if it was signed; return how many are."""
    mined = [tx.txid for block in world.chain.blocks for tx in block.txs if tx.sender == "0xhot"]
    payments = [p for p in world.custody.book.records.values() if isinstance(p, Payment)]
    calls = [p for p in payments if p.intent.kind in KINDS]
    for each in calls:
        found = sum(txid in mined for txid in (attempt.txid for attempt in each.attempts))
        assert (each.status in ("paid", "failed"), found) == (True, bool(each.signed)), each.intent
    return len([each for each in calls if each.status == "paid"])


def run(seed: int, rounds: int = ROUNDS) -> Counts:
    """Play some rounds drawn from a seed, then let everything come to rest and compare."""
    world = World(seed, tokens=())
    counts = Counts()
    world.settle(REORGANISATION_MAX + 1)
    world.chaos.meanwhile_chance = 0.01
    world.chaos.meanwhile = lambda: cancel(world, counts)
    try:
        for _ in range(rounds):
            play(world, counts)
            if world.random.random() < 0.04:
                ask_tokens(world, counts)
        find_the_rest(world)
        for _ in range(3):
            world.chain.send(RICH, world.keys.hot, 500 * WEI)
            world.chain.send(RICH, world.keys.hot, 10**9, TOKEN)
            world.settle()
        check_the_end(world)
        counts.called = check_calls(world)
    except Exception as failure:
        raise AssertionError(f"seed {seed}: {failure!r}") from failure
    counts.completed = sum(
        status(world, number) == "completed" for number in world.exchange.ledger.withdrawals
    )
    counts.reversals = len(world.exchange.ledger.reversals)
    counts.crashes, counts.lost = world.chaos.crashes, world.chaos.lost
    return counts


def test_books_equal_the_chain_and_each_withdrawal_is_paid_once() -> None:
    total = Counts()
    for seed in range(SHORT_SEEDS):
        total.add(run(seed))
    assert total.completed >= 50
    assert total.reorganisations >= 30
    assert total.reversals >= 8
    assert total.crashes >= 50
    assert total.lost >= 50
    assert total.cancelled >= 20
    assert total.too_late >= 10
    assert total.rescans >= 20
    assert total.calls > total.called >= 20


@pytest.mark.soak
def test_books_equal_the_chain_for_a_thousand_withdrawals_and_crashes() -> None:
    first = int(os.environ.get("FOLDEX_SEED", str(time.time_ns() % 1_000_000_000)))
    print(f"\nfirst seed {first} (repeat with FOLDEX_SEED={first})", flush=True)
    total, seed = Counts(), first
    while (
        total.completed < SOAK_WITHDRAWALS
        or total.reorganisations < SOAK_REORGANISATIONS
        or total.crashes < SOAK_CRASHES
    ):
        total.add(run(seed))
        seed += 1
    print(f"{seed - first} runs: {total}", flush=True)
