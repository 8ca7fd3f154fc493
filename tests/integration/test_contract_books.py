"""What contracts move is in the books: on our own node and on anvil, with the real signer."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from api.demo_chain import start_chain
from api.settings import Settings
from commands.list_asset import ListAsset
from tests.custody.ethereum_run import ETHER, Anvil, EthereumRun, Own
from tests.ethereum_world import WRAPPED, World, artefact, someone
from wallet.contract_desk import contract_intent_id
from wallet.ethereum.devnode.node import DevNode
from wallet.ethereum.devnode.server import DevNodeServer
from wallet.ethereum.rpc import Rpc
from wallet.tokens import TokenRequest
from wallet.types import Address, Intent, IntentId, IntentKind, TokenId

RULES = """
[[rules]]
chain = "{chain}"
kind = "call"
roles = ["hot"]
to = ["{payer}", "{token}", "{wrapped}"]
selectors = ["0x0c11dedd", "0xa9059cbb", "0x095ea7b3", "0xd0e30db0", "0x2e1a7d4d"]
per_transaction = "1000000000000000000"
per_day = "9000000000000000000"
approvals = 1
"""
"""`pay`, `transfer`, `approve`; and of wrapped coins, `deposit()` and `withdraw(uint256)`."""


class Calls:
    """A run in which the hot wallet may call a contract that pays on, and a registered token."""

    def __init__(
        self, run: EthereumRun, world: World, *, payer: Address, token: TokenId, wrapped: Address
    ) -> None:
        self.run, self.world, self.payer, self.token = run, world, payer, token
        self.wrapped = wrapped
        self.hot = run.custody.keys.hot

    def held(self) -> tuple[int, int]:
        """Return the hot wallet's coins and tokens by the books, which equal the chain."""
        book, chain = self.run.custody.book, self.run.custody.chain
        tip = book.chain_record.tip
        coins, tokens = book.holding(self.hot, None), book.holding(self.hot, self.token)
        assert chain.balances([self.hot], None, tip)[self.hot] == coins
        assert chain.balances([self.hot], self.token, tip)[self.hot] == tokens
        return coins, tokens

    def pay(self, payee: Address, value: int) -> IntentId:
        return self.call("payer", self.payer, "pay", payee, value=value)

    def call(
        self, name: str, contract: Address, method: str, *arguments: object, value: int = 0
    ) -> IntentId:
        contracts = self.world.contracts
        made = artefact(name)
        return self.run.plan(
            contracts.transact(new_id(), made, contract, method, arguments, value=value)
        )

    def raw(self, contract: Address, data: str, *, value: int = 0) -> IntentId:
        return self.run.plan(Intent(
            id=new_id(), kind=IntentKind.CALL, chain=self.run.custody.chain.id, to=contract,
            amount=value, data=bytes.fromhex(data),
        ))  # fmt: skip

    def ended(self, intent_id: IntentId) -> tuple[str, int]:
        """Let it be mined deep enough; return how it ended and what it cost the chain."""
        self.run.settle(6)
        payment = self.run.custody.book.payment(intent_id)
        assert payment is not None
        assert payment.final is not None, payment.failure
        return payment.status, payment.final.fee


def new_id() -> IntentId:
    return contract_intent_id(uuid4().hex)


@pytest.fixture(params=["devnode", "anvil"])
def calls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Calls]:
    with ExitStack() as opened:
        if request.param == "devnode":
            own = DevNode()
            url = opened.enter_context(DevNodeServer(own)).url
            node: Own | Anvil = Own(own)
        else:
            url = request.getfixturevalue("ethereum_node")
            node = Anvil(url)
        world = World(Rpc.http(url))
        payer, token = world.deploy("payer")[1], world.token()
        wrapped = world.running(WRAPPED)
        rules = RULES.format(chain=world.chain.id, payer=payer, token=token, wrapped=wrapped)
        settings = Settings(data=tmp_path, ethereum_url=url)
        chain = start_chain(settings, opened, block_s=None, more_policy=rules)
        run = EthereumRun(chain, node, tmp_path, 1)
        opened.callback(run.stop)
        run.settle(2)
        run.custody.tokens.register(
            TokenRequest(contract=token, asset="TOK", decimals=6, review=False), "op"
        )
        run.settle(1)
        made = Calls(run, world, payer=payer, token=token, wrapped=wrapped)
        world.pay(made.hot, 10**6, token)
        run.settle(3)
        yield made


def test_coins_that_go_along_leave_the_books_and_those_that_come_back_return(calls: Calls) -> None:
    before, _ = calls.held()
    status, fee = calls.ended(calls.pay(someone().address, 250))
    assert (status, calls.held()[0]) == ("paid", before - 250 - fee)
    before, _ = calls.held()
    status, fee = calls.ended(calls.pay(calls.hot, ETHER // 2))
    assert (status, calls.held()[0]) == ("paid", before - fee)
    before, _ = calls.held()
    status, fee = calls.ended(calls.run.deploy(77))
    assert (status, calls.held()[0]) == ("paid", before - 77 - fee)
    calls.run.check()


def test_coins_that_are_wrapped_and_unwrapped_without_a_transfer_are_in_the_books(
    calls: Calls,
) -> None:
    run, wrapped = calls.run, TokenId(calls.wrapped)
    run.exchange.do(ListAsset(time_ms=1, asset="WRAP", decimals=8))
    run.custody.tokens.register(
        TokenRequest(contract=wrapped, asset="WRAP", decimals=18, decimals_untold=True), "op"
    )
    run.settle(1)
    before, _ = calls.held()
    status, first = calls.ended(calls.raw(calls.wrapped, "d0e30db0", value=500))
    assert (status, run.custody.book.holding(calls.hot, wrapped)) == ("paid", 500)
    status, second = calls.ended(calls.raw(calls.wrapped, "2e1a7d4d" + f"{200:064x}"))
    assert (status, run.custody.book.holding(calls.hot, wrapped)) == ("paid", 300)
    assert calls.held()[0] == before - 300 - first - second
    run.node.reorg(5)
    run.settle(8)
    assert run.custody.book.holding(calls.hot, wrapped) == 300
    run.check()


@pytest.mark.parametrize("calls", ["devnode"], indirect=True)
def test_a_call_that_fails_in_its_block_costs_its_fee_only(calls: Calls) -> None:
    """Both calls would succeed when they are signed; only one can be.

    Anvil tries out calls on what waits, too, so there the second is not even signed.
    """
    before = calls.held()
    both = [
        calls.call("erc20", Address(calls.token), "transfer", someone().address, 10**6)
        for _ in range(2)
    ]
    ends = [calls.ended(each) for each in both]
    assert sorted(status for status, _ in ends) == ["failed", "paid"]
    assert calls.held() == (before[0] - sum(fee for _, fee in ends), 0)
    calls.run.check()


def test_tokens_that_a_call_moves_follow_the_chain_through_reorganisations_and_restarts(
    calls: Calls,
) -> None:
    run, payee = calls.run, someone().address
    before = calls.held()
    sent = calls.call("erc20", Address(calls.token), "transfer", payee, 1_000)
    run.settle(2)
    assert calls.held()[1] == before[1] - 1_000
    run.stop()
    run.start()
    assert calls.held()[1] == before[1] - 1_000
    run.node.reorg(2)
    run.node.wipe_pool()
    run.work()
    calls.held()
    status, _ = calls.ended(sent)
    assert (status, calls.held()[1]) == ("paid", before[1] - 1_000)
    assert run.custody.chain.balances([payee], calls.token) == {payee: 1_000}
    run.check()


def test_tokens_that_an_allowance_lets_others_take_are_counted_and_pause_the_chain(
    calls: Calls,
) -> None:
    world, run = calls.world, calls.run
    thief = world.rich
    calls.ended(calls.call("erc20", Address(calls.token), "approve", thief.address, 500))
    before = calls.held()
    world.transact(
        artefact("erc20"), Address(calls.token), "transferFrom", calls.hot, thief.address, 400
    )
    run.node.mine()
    assert run.custody.scanner.follow()
    assert run.custody.book.chain_record.paused.startswith("TOKENS_TAKEN: 400 of ")
    assert calls.held() == (before[0], before[1] - 400)
    run.check()
