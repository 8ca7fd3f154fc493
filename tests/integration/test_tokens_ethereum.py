"""Tokens that are registered while custody runs, on a real EVM with the real signer."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from api.demo_chain import DemoChain, start_chain
from api.faucet import TOKEN_DECIMALS, deploy_token, pay, pay_token
from api.settings import Settings
from commands.request_withdrawal import RequestWithdrawal
from commands.settle_withdrawal import ApproveWithdrawal
from tests.custody.ethereum_run import ETHER, Anvil, EthereumRun, Own
from tests.custody.world import status_of
from tests.ethereum_world import World, someone
from wallet.desk import Desk
from wallet.errors import BadAddress, PolicyDenied, TokenMismatch, UnknownContract
from wallet.ethereum.rpc import Rpc
from wallet.records.deposit import Deposit
from wallet.records.payment import Payment
from wallet.records.rescan import Rescan
from wallet.tokens import TokenRequest
from wallet.types import Address, IntentKind, TokenId

WHOLE = 10**TOKEN_DECIMALS
UNITS = 10**8 // WHOLE
"""Ledger units in one base unit."""


@pytest.fixture(params=["devnode", "anvil"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EthereumRun]:
    with ExitStack() as opened:
        if request.param == "devnode":
            chain = start_chain(Settings(data=tmp_path), opened, block_s=None)
            assert chain.node is not None
            node: Own | Anvil = Own(chain.node)
        else:
            url = request.getfixturevalue("ethereum_node")
            node = Anvil(url)
            chain = start_chain(Settings(data=tmp_path, ethereum_url=url), opened, block_s=None)
        made = EthereumRun(chain, node, tmp_path, 1)
        opened.callback(made.stop)
        made.settle(2)
        yield made


def request_of(chain: DemoChain, contract: TokenId | None = None) -> TokenRequest:
    return TokenRequest(
        contract=contract or chain.token, asset="TOK", decimals=TOKEN_DECIMALS, minimum="1",
        hot_target="1000", hot_high="2000", sweep_from="10", review=False,
    )  # fmt: skip


def free(run: EthereumRun, account: str) -> int:
    return int(run.exchange.ledger.accounts[account].free("TOK"))


def approved(run: EthereumRun, account: str, amount: int, address: Address) -> int:
    """Have a withdrawal of a token requested, approved, and signed by the officer."""
    receipt = run.exchange.do(RequestWithdrawal(
        time_ms=1, account=account, asset="TOK", amount=amount * UNITS, address=address,
        request_id=address,
    ))  # fmt: skip
    number = int(receipt.withdrawal_id)
    run.exchange.do(ApproveWithdrawal(time_ms=1, withdrawal_id=number, approved_by="op"))
    [wanted] = [e for e in run.exchange.approved(0)[0] if e.withdrawal_id == number]
    intent = run.custody.withdrawals.intent(wanted)
    run.custody.reviews.approve(intent, run.approval(intent))
    return number


def payments(run: EthereumRun, kind: IntentKind) -> list[Payment]:
    found = [each for each in run.custody.book.records.values() if isinstance(each, Payment)]
    return [each for each in found if each.intent.kind is kind]


def test_a_token_comes_is_swept_with_gas_from_the_tank_and_goes(
    run: EthereumRun, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wallet.scanner")
    chain = run.chain
    ann, bob = (run.custody.addresses.of(name) for name in ("ann", "bob"))
    pay_token(chain.url, chain.token, ann, "300")
    run.settle(3)
    assert free(run, "ann") == 0

    made = Desk(run.custody).tokens.add(request_of(chain), "op")
    assert made.allowed == ["withdrawal", "sweep", "top_up"]
    fake = deploy_token(chain.url, "Demo dollar", "USDT")
    pay_token(chain.url, chain.token, bob, "200")
    pay_token(chain.url, chain.token, run.custody.keys.hot, "1000")
    run.settle(2)
    pay_token(chain.url, fake, bob, "5000")
    run.settle(4)
    assert f"5000000000 of the unregistered {fake} arrived at {bob}" in caplog.text
    assert (free(run, "ann"), free(run, "bob")) == (0, 200 * WHOLE * UNITS)

    asked = run.custody.rescans.request("before", 0, None, "op").id
    run.settle(2)
    done = run.custody.book.get(Rescan, asked)
    assert (done.status, done.found) == ("done", 1)
    run.settle(2)
    assert free(run, "ann") == 300 * WHOLE * UNITS

    payee = someone().address
    number = approved(run, "bob", 150 * WHOLE, payee)
    run.settle(14)
    assert status_of(run.exchange, number) == "completed"
    node = run.custody.chain
    assert node.balances([payee], chain.token)[payee] == 150 * WHOLE
    assert node.balances([ann, bob], chain.token) == {ann: 0, bob: 0}
    assert {each.status for each in payments(run, IntentKind.TOP_UP)} == {"paid"}
    assert len(payments(run, IntentKind.SWEEP)) == 2
    found = [each for each in run.custody.book.records.values() if isinstance(each, Deposit)]
    assert {(each.asset, each.amount) for each in found} == {
        ("TOK", 300 * WHOLE),
        ("TOK", 200 * WHOLE),
    }
    run.check()


def test_a_token_that_the_signer_does_not_list_comes_in_but_never_goes(run: EthereumRun) -> None:
    chain = run.chain
    other = deploy_token(chain.url, "Other", "OTH")
    run.settle(1)
    made = Desk(run.custody).tokens.add(request_of(chain, other), "op")
    assert made.allowed == ["top_up"]
    address = run.custody.addresses.of("ann")
    pay_token(chain.url, other, address, "300")
    pay_token(chain.url, other, run.custody.keys.hot, "1000")
    run.settle(5)
    assert free(run, "ann") == 300 * WHOLE * UNITS
    assert payments(run, IntentKind.SWEEP) == payments(run, IntentKind.TOP_UP) == []
    with pytest.raises(PolicyDenied):
        approved(run, "ann", 100 * WHOLE, someone().address)
    run.settle(8)
    assert status_of(run.exchange, 1) == "failed"
    assert free(run, "ann") == 300 * WHOLE * UNITS
    [payment] = payments(run, IntentKind.WITHDRAWAL)
    assert payment.failure.startswith("POLICY_DENIED: no_rule: no rule of the signer's policy")
    run.check()


def test_what_is_no_such_token_is_refused(run: EthereumRun) -> None:
    tokens, url = run.custody.tokens, run.chain.url
    with pytest.raises(UnknownContract):
        tokens.register(request_of(run.chain, TokenId(someone().address)), "op")
    with pytest.raises(BadAddress):
        tokens.register(request_of(run.chain, TokenId(Address("0x1"))), "op")
    wrong = TokenRequest(contract=run.chain.token, asset="TOK", decimals=18)
    with pytest.raises(TokenMismatch, match="has 6 decimals, not 18"):
        tokens.register(wrong, "op")
    assert run.custody.book.tokens == []
    pay(url, run.custody.addresses.of("ann"), ETHER)
    run.check()


def test_a_token_without_decimals_comes_once_an_operator_gives_them(run: EthereumRun) -> None:
    others = World(Rpc.http(run.chain.url))
    silent, ann = others.token("silent_token"), run.custody.addresses.of("ann")
    asked = TokenRequest(contract=silent, asset="TOK", decimals=6, review=False)
    with pytest.raises(TokenMismatch, match="tells no decimals"):
        run.custody.tokens.register(asked, "op")
    told = msgspec.structs.replace(asked, decimals_untold=True)
    assert Desk(run.custody).tokens.add(told, "op").decimals_untold
    run.settle(1)
    others.pay(ann, 100 * WHOLE, silent)
    run.settle(4)
    assert free(run, "ann") == 100 * WHOLE * UNITS
    run.check()


@pytest.mark.parametrize(("measured", "arrived"), [(True, 99), (False, 100)])
def test_of_a_token_that_keeps_a_fee_what_arrived_is_credited_also_when_found_later(
    run: EthereumRun, *, measured: bool, arrived: int
) -> None:
    others = World(Rpc.http(run.chain.url))
    keeps_fee, ann = others.token("fee_token"), run.custody.addresses.of("ann")
    others.pay(ann, 100 * WHOLE, keeps_fee)
    run.settle(3)
    request = TokenRequest(
        contract=keeps_fee, asset="TOK", decimals=6, review=False, measured=measured
    )
    run.custody.tokens.register(request, "op")
    run.custody.rescans.request("before", 0, None, "op")
    run.settle(1)
    others.pay(ann, 100 * WHOLE, keeps_fee)
    run.settle(4)
    assert free(run, "ann") == 2 * arrived * WHOLE * UNITS
    held = run.custody.chain.balances([ann], keeps_fee)[ann]
    assert held == 2 * 99 * WHOLE
    assert (run.custody.book.holding(ann, keeps_fee) == held) is measured
