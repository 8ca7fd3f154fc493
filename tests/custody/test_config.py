"""What people write about a chain, and how amounts convert."""

from dataclasses import replace

import pytest

from wallet.coins import Coin
from wallet.config import BadConfig, base_units, parse
from wallet.errors import BadRequest
from wallet.policy import Band, ConfirmationRule, Policy
from wallet.records.payment import Payment
from wallet.types import Address, ChainId, FeePolicy, Intent, IntentId, IntentKind

TEXT = """
chain = "eip155:1"
fee_price_max = "200000000000"
fee_max = "20000000000000000"

[[assets]]
asset = "ETH"
minimum = "0.001"
hot_low = "10"
hot_target = "50"
hot_high = "100"
sweep_from = "0.05"

[[confirmations]]
asset = "ETH"
at_least = "100"
blocks = 64

[[confirmations]]
asset = "USDC"
at_least = "1000.5"
blocks = 32

[[confirmations]]
blocks = 12
"""

SECOND = """[[assets]]
asset = "X"
hot_target = "1"
hot_high = "1"
sweep_from = "1"
"""


def huge_payment() -> Payment:
    """Return a payment of more than 64 bits."""
    intent = Intent(
        id=IntentId("huge"),
        kind=IntentKind.WITHDRAWAL,
        chain=ChainId("fast:1"),
        to=Address("0x1"),
        amount=2**200 + 1,
    )
    return Payment.plan(intent, Address("0xhot"), asset="ETH")


def test_a_file_says_what_the_coin_is_and_how_careful_custody_is() -> None:
    config = parse(TEXT)
    ether = config.coins.of_asset("ETH")
    assert ether is not None
    assert (ether.decimals, ether.token, ether.review) == (18, None, False)
    assert ether.band is not None
    assert ether.band.high == 100 * 10**18
    policy = config.policy
    assert policy.confirmations("ETH", 100 * 10**18, 18) == 64
    assert policy.confirmations("ETH", 100 * 10**18 - 1, 18) == 12
    assert policy.confirmations("USDC", 1_000_500_000, 6) == 32
    assert policy.confirmations("USDC", 1_000_499_999, 6) == 12
    assert policy.confirmations("DAI", 10**30, 18) == 12
    assert policy.approvals == 1


def test_a_file_that_lists_a_token_says_how_tokens_are_registered_now() -> None:
    token = 'token = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"'
    listed = TEXT.replace('asset = "ETH"', f'asset = "USDC"\n{token}', 1)
    with pytest.raises(BadConfig, match="foldex wallet token add 0xA0b8"):
        parse(listed)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("fee_max", "fee_maximum"),
        ('"0.001"', '"0.0000000000000000001"'),
        ('"0.001"', "0.001"),
        ('"0.001"', '"-1"'),
        ('hot_low = "10"', 'hot_low = "60"'),
        ("[[confirmations]]", f"{SECOND}\n[[confirmations]]"),
        ("blocks = 12", "blocks = 0"),
        ("[[confirmations]]\nblocks = 12", ""),
        ("chain = ", "chain = ["),
    ],
)
def test_a_file_with_a_mistake_is_refused(before: str, after: str) -> None:
    assert before in TEXT
    with pytest.raises(BadConfig):
        parse(TEXT.replace(before, after, 1))


def test_an_amount_finer_than_the_asset_is_no_amount() -> None:
    assert base_units("1.5", 6) == 1_500_000
    assert base_units("123456789012345678901234567890.123456789012345678", 18) % 1_000 == 678
    for text in ("1.0000001", "1e3", "-1", "NaN", "", "٣"):
        with pytest.raises(BadConfig):
            base_units(text, 6)


@pytest.mark.parametrize(
    ("decimals", "amount", "ledger"),
    [(18, 10**18, (10**8, 0)), (18, 10**10 - 1, (0, 10**10 - 1)), (6, 7, (700, 0)), (8, 5, (5, 0))],
)
def test_amounts_convert_exactly_and_what_is_left_is_known(
    decimals: int, amount: int, ledger: tuple[int, int]
) -> None:
    coin = Coin(asset="X", token=None, decimals=decimals, ledger_decimals=8)
    assert coin.to_ledger(amount) == ledger
    assert coin.to_chain(ledger[0]) == amount - ledger[1]


def test_what_a_chain_cannot_pay_is_refused() -> None:
    with pytest.raises(BadRequest):
        Coin(asset="X", token=None, decimals=6, ledger_decimals=8).to_chain(150)


def test_a_policy_must_know_every_deposit_and_have_its_limits_in_order() -> None:
    rule = ConfirmationRule(confirmations=3)
    fee = FeePolicy(price_max=1, total_max=1)
    for rules in ((), (replace(rule, asset="ETH"),), (replace(rule, confirmations=0),)):
        with pytest.raises(ValueError, match=r"must match|needs one"):
            Policy(rules=rules, fee=fee)
    with pytest.raises(ValueError, match="not in order"):
        Band(low=2, target=1, high=3, sweep_from=1)
