"""The same comparison steered by hypothesis, which shortens what fails to a few commands."""

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from commands.amend_order import AmendOrder
from commands.cancel_all_orders import CancelAllOrders
from commands.cancel_order import CancelOrder
from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.place_order import PlaceOrder
from commands.request_withdrawal import RequestWithdrawal
from commands.reverse_deposit import ReverseDeposit
from commands.set_market_status import SetMarketStatus
from commands.settle_withdrawal import (
    ApproveWithdrawal,
    CompleteWithdrawal,
    FailWithdrawal,
    RejectWithdrawal,
)
from tests.model.chance import CLIENT_IDS, HOUR_MS, HUGE, PREVENTIONS
from tests.model.side_by_side import ACCOUNTS, ASSETS, MARKETS, SideBySide

accounts = st.sampled_from((*ACCOUNTS[:3], "fees"))
markets = st.sampled_from(MARKETS)
assets = st.sampled_from(ASSETS)
sides = st.sampled_from(("buy", "sell"))
prices = st.sampled_from((9, 10, 11, 0, HUGE))
lots = st.sampled_from((1, 2, 3, 5, 0, -1, HUGE))
amounts = st.sampled_from((40, 300, 1_000, 0, 2**63))
order_numbers = st.integers(0, 30)
preventions = st.sampled_from(PREVENTIONS)
client_ids = st.sampled_from(("", "", *CLIENT_IDS))
statuses = st.sampled_from(("open", "open", "open", "cancel_only", "halted"))


class ExchangeMachine(RuleBasedStateMachine):
    """Each rule is one command, or one way to stop and go on."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = SideBySide()
        self.now_ms = 1_000
        self.last: Command | None = None
        self.key = ""

    @initialize()
    def deposit_enough_to_begin(self) -> None:
        for account in ACCOUNTS:
            for asset in ASSETS:
                self._do(
                    CreditDeposit, account=account, asset=asset, amount=700,
                    deposit_id=f"{account}:{asset}",
                )  # fmt: skip

    def _do(self, kind: type[Command], **fields: Any) -> None:
        self.now_ms += 1
        if self.key:
            fields |= {"scope": "s", "idempotency_key": self.key}
            self.key = ""
        self.last = kind(time_ms=self.now_ms, **fields)
        self.pair.do(self.last, sample=True)

    @rule(key=st.sampled_from(("k1", "k2", "k3")))
    def use_a_key_for_the_next(self, key: str) -> None:
        self.key = key

    @rule()
    def send_the_last_again(self) -> None:
        if self.last is not None:
            self.pair.do(self.last, sample=True)

    @rule(hours=st.integers(-1, 25))
    def wait(self, hours: int) -> None:
        self.now_ms += hours * HOUR_MS

    @rule(
        account=accounts, market=markets, side=sides, price_ticks=prices, quantity_lots=lots,
        time_in_force=st.sampled_from(("gtc", "gtc", "ioc", "fok")), post_only=st.booleans(),
        self_trade_prevention=preventions, client_order_id=client_ids,
    )  # fmt: skip
    def place_a_limit_order(self, **fields: Any) -> None:
        self._do(PlaceOrder, **fields)

    @rule(
        account=accounts, market=markets, side=sides, price_ticks=st.sampled_from((9, 10, 11)),
        quantity_lots=st.integers(1, 8), self_trade_prevention=preventions,
    )  # fmt: skip
    def place_a_sound_limit_order(self, **fields: Any) -> None:
        self._do(PlaceOrder, **fields)

    @rule(
        account=accounts, market=markets, side=sides, quantity_lots=st.integers(0, 9),
        quote_amount=st.sampled_from((0, 0, 33, 150)), self_trade_prevention=preventions,
    )  # fmt: skip
    def place_a_market_order(self, **fields: Any) -> None:
        self._do(PlaceOrder, type="market", time_in_force="ioc", **fields)

    @rule(
        account=accounts, order_id=order_numbers, price_ticks=prices, quantity_lots=lots,
        self_trade_prevention=preventions,
    )  # fmt: skip
    def amend_an_order(self, **fields: Any) -> None:
        self._do(AmendOrder, **fields)

    @rule(account=accounts, order_id=order_numbers, client_order_id=client_ids)
    def cancel_an_order(self, **fields: Any) -> None:
        self._do(CancelOrder, **fields)

    @rule(account=accounts, market=st.sampled_from(("", *MARKETS)))
    def cancel_all_orders(self, **fields: Any) -> None:
        self._do(CancelAllOrders, **fields)

    @rule(market=markets, status=statuses)
    def set_the_status_of_a_market(self, **fields: Any) -> None:
        self._do(SetMarketStatus, **fields)

    @rule(
        account=accounts, asset=assets, amount=amounts, deposit_id=st.sampled_from(("d1", "d2")),
    )  # fmt: skip
    def credit_a_deposit(self, **fields: Any) -> None:
        self._do(CreditDeposit, **fields)

    @rule(deposit_id=st.sampled_from(("d1", "d2", "ann:AAA", "bob:BBB", "unheard")))
    def reverse_a_deposit(self, **fields: Any) -> None:
        self._do(ReverseDeposit, **fields)

    @rule(account=accounts, asset=assets, amount=amounts, request_id=st.sampled_from(("r1", "r2")))
    def request_a_withdrawal(self, **fields: Any) -> None:
        self._do(RequestWithdrawal, address="there", **fields)

    @rule(withdrawal_id=st.integers(1, 4), step=st.integers(0, 3))
    def settle_a_withdrawal(self, withdrawal_id: int, step: int) -> None:
        kind, fields = (
            (ApproveWithdrawal, {"approved_by": "op"}),
            (RejectWithdrawal, {"rejected_by": "op", "reason": "no"}),
            (CompleteWithdrawal, {"txid": "tx"}),
            (FailWithdrawal, {"reason": "unpayable"}),
        )[step]
        self._do(kind, withdrawal_id=withdrawal_id, **fields)

    @rule()
    def keep_a_snapshot(self) -> None:
        self.pair.keep_snapshot()

    @rule()
    def go_on_from_a_snapshot(self) -> None:
        self.pair.go_on_from_snapshot()

    @invariant()
    def replay_is_live(self) -> None:
        self.pair.check_replay()


ExchangeMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("FOLDEX_EXAMPLES", "50")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestExchange = ExchangeMachine.TestCase
