"""Commands drawn by chance from a space so small that they keep meeting each other."""

from random import Random
from typing import Any

from commands.amend_order import AmendOrder
from commands.cancel_all_orders import CancelAllOrders
from commands.cancel_order import CancelOrder
from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.open_account import OpenAccount
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
from tests.model.naive import NaiveExchange
from tests.model.side_by_side import ACCOUNTS, ASSETS, MARKETS

PREVENTIONS = ("none", "cancel_taker", "cancel_maker", "cancel_both", "decrement")
CLIENT_IDS = ("c1", "c2", "c3", "c4", "c5", "c6")
PRICES = {"buy": (8, 8, 9, 9, 10, 11), "sell": (9, 10, 11, 11, 12, 12)}
LOTS = (1, 2, 3, 5, 8)
HUGE = 2**62
HOUR_MS = 3_600_000

_KINDS = {
    "place": 140, "amend": 22, "cancel": 14, "cancel_all": 1, "status": 1, "resume": 6,
    "deposit": 12, "reverse": 2, "withdraw": 5, "settle": 8, "open": 1,
}  # fmt: skip


class Chance:
    """Draws commands; the same seed and the same answers give the same commands."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now_ms = 1_000
        self._kinds = [kind for kind, weight in _KINDS.items() for _ in range(weight)]
        self._before: list[Command] = []

    def command(self, naive: NaiveExchange) -> Command:
        """Return the next command; about one in thirty is an earlier one, sent again."""
        random = self.random
        self._pass_time()
        if self._before and random.random() < 0.03:
            return random.choice(self._before[-40:])
        command: Command = getattr(self, "_" + random.choice(self._kinds))(naive)
        self._before.append(command)
        return command

    def _pass_time(self) -> None:
        """Mostly forward by a little, at times back, seldom by hours so that keys are forgotten."""
        chance = self.random.random()
        if chance < 0.003:
            self.now_ms += 9 * HOUR_MS
        elif chance < 0.05:
            self.now_ms -= 5
        else:
            self.now_ms += self.random.randrange(4)

    def _common(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"time_ms": self.now_ms}
        if self.random.random() < 0.1:
            fields["scope"] = self.random.choice(("ann", "bob"))
            fields["idempotency_key"] = f"k{self.random.randrange(500)}"
        return fields

    def _account(self) -> str:
        if self.random.random() < 0.01:
            return self.random.choice(("fees", "nobody"))
        return self.random.choice(ACCOUNTS)

    def _lots(self) -> int:
        if self.random.random() < 0.02:
            return self.random.choice((0, -1, HUGE))
        return self.random.choice(LOTS)

    def _price(self, side: str) -> int:
        if self.random.random() < 0.02:
            return self.random.choice((0, -1, 1, HUGE))
        return self.random.choice(PRICES[side])

    def _market(self) -> str:
        return "NO-NO" if self.random.random() < 0.005 else self.random.choice(MARKETS)

    def _rarely(self, share: float, value: Any, otherwise: Any) -> Any:
        return value if self.random.random() < share else otherwise

    def _place(self, _: NaiveExchange) -> Command:
        random = self.random
        side = random.choice(("buy", "sell"))
        fields = self._common() | {
            "account": self._account(),
            "market": self._market(),
            "side": self._rarely(0.003, "both", side),
            "time_in_force": random.choice(
                ("gtc", "gtc", "gtc", "gtc", "gtc", "gtc", "ioc", "fok")
            ),
            "post_only": random.random() < 0.1,
            "self_trade_prevention": random.choice(PREVENTIONS),
            "client_order_id": self._rarely(0.2, random.choice(CLIENT_IDS), ""),
        }
        if random.random() < 0.01:
            fields["client_order_id"] = "not a name"
        if random.random() < 0.88:
            return PlaceOrder(
                **fields, price_ticks=self._price(side), quantity_lots=self._lots(),
                quote_amount=self._rarely(0.01, 5, 0),
            )  # fmt: skip
        if random.random() < 0.5:
            return PlaceOrder(
                **fields, type="market", quantity_lots=self._lots(),
                price_ticks=self._rarely(0.02, 9, 0),
            )  # fmt: skip
        return PlaceOrder(
            **fields, type="market", quote_amount=random.choice((1, 20, 77, 150, 400, -3, 2**63)),
            quantity_lots=self._rarely(0.02, 1, 0),
        )  # fmt: skip

    def _order(self, naive: NaiveExchange) -> dict[str, Any]:
        """Name an order: mostly an open one of the account, at times by its client order id."""
        random = self.random
        if naive.orders and random.random() < 0.85:
            order = random.choice(naive.orders)
            if order.client_id and random.random() < 0.5:
                return {"account": order.account, "client_order_id": order.client_id}
            return {"account": order.account, "order_id": order.id}
        return {
            "account": self._account(),
            "order_id": random.randrange(naive.placed + 2),
            "client_order_id": self._rarely(0.1, random.choice(CLIENT_IDS), ""),
        }

    def _amend(self, naive: NaiveExchange) -> Command:
        side = self.random.choice(("buy", "sell"))
        return AmendOrder(
            **self._common(),
            **self._order(naive),
            price_ticks=self._rarely(0.4, 0, self._price(side)),
            quantity_lots=self._rarely(0.3, 0, self._lots()),
            self_trade_prevention=self._rarely(0.01, "pray", self.random.choice(PREVENTIONS)),
        )

    def _cancel(self, naive: NaiveExchange) -> Command:
        return CancelOrder(**self._common(), **self._order(naive))

    def _cancel_all(self, _: NaiveExchange) -> Command:
        market = self._rarely(0.5, "", self._market())
        return CancelAllOrders(**self._common(), account=self._account(), market=market)

    def _status(self, _: NaiveExchange) -> Command:
        status = self._rarely(0.05, "closed", self.random.choice(("cancel_only", "halted")))
        return SetMarketStatus(**self._common(), market=self._market(), status=status)

    def _resume(self, naive: NaiveExchange) -> Command:
        stopped = [market.symbol for market in naive.markets if market.status != "open"]
        market = self.random.choice(stopped or MARKETS)
        return SetMarketStatus(**self._common(), market=market, status="open")

    def _asset(self) -> str:
        return "ZZZ" if self.random.random() < 0.01 else self.random.choice(ASSETS)

    def _deposit(self, naive: NaiveExchange) -> Command:
        new = f"chain:{len(naive.deposits)}:0"
        return CreditDeposit(
            **self._common(),
            account=self._account(),
            asset=self._asset(),
            amount=self._rarely(
                0.05, self.random.choice((0, -1, 2**63)), self.random.choice((900, 4_000))
            ),
            deposit_id=self._rarely(0.2, "chain:1:0", new),
        )

    def _reverse(self, naive: NaiveExchange) -> Command:
        """Mostly a deposit of late, as old ones are spent: both ends of what may be covered."""
        late = self.random.choice(naive.deposits[-3:])[0] if naive.deposits else "chain:0:0"
        chosen = self.random.choice(naive.deposits)[0] if naive.deposits else "chain:1:0"
        deposit_id = self._rarely(0.1, "chain:unheard:0", self._rarely(0.5, late, chosen))
        return ReverseDeposit(**self._common(), deposit_id=deposit_id)

    def _withdraw(self, naive: NaiveExchange) -> Command:
        return RequestWithdrawal(
            **self._common(),
            account=self._account(),
            asset=self._asset(),
            amount=self._rarely(0.05, self.random.choice((0, -1, 2**63)), 40),
            address="there",
            request_id=self._rarely(0.2, "r1", f"r{len(naive.withdrawals)}"),
        )

    def _settle(self, naive: NaiveExchange) -> Command:
        waiting = [
            each.id for each in naive.withdrawals if each.status in ("requested", "approved")
        ]
        any_id = self.random.randrange(len(naive.withdrawals) + 2)
        chosen = self.random.choice(waiting) if waiting and self.random.random() < 0.8 else any_id
        fields = self._common() | {"withdrawal_id": chosen}
        kind = self.random.randrange(5)
        if kind == 0:
            return RejectWithdrawal(**fields, rejected_by="op", reason="no")
        if kind == 1:
            return CompleteWithdrawal(**fields, txid="tx")
        if kind == 2:
            return FailWithdrawal(**fields, reason="unpayable")
        return ApproveWithdrawal(**fields, approved_by="op")

    def _open(self, naive: NaiveExchange) -> Command:
        new = f"acc{len(naive.accounts)}"
        name = new if len(naive.accounts) < 7 and self.random.random() < 0.2 else "ann"
        return OpenAccount(**self._common(), account=name)
