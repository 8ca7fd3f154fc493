"""A small exchange with simulated traders, and what to try with it.

The traders go through the engine like everybody else, as fast as people watch; nothing is
back-dated, so candles begin when the demo does.
"""

import random
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from api.bootstrap import Foldex, system_clock_ms
from api.console import out
from api.server import serve
from api.settings import Settings
from commands.cancel_all_orders import CancelAllOrders
from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.engine import Engine
from commands.errors import EngineError
from commands.list_asset import ListAsset
from commands.list_market import ListMarket
from commands.open_account import OpenAccount
from commands.place_order import PlaceOrder
from domain.errors import AlreadyExists, Rejected
from domain.units import BUY, SELL, Side

VISITOR: Final = "demo"
ASSETS: Final = ("BTC", "ETH", "USDT")
DEPOSIT_UNITS: Final = 10**16
"""Of each asset to each account: 100 million, in 8 decimals."""
TURN_S: Final = 0.05
LEVELS: Final = 8


class _Simulated(NamedTuple):
    """A market and where its price begins, in ticks; steps_ticks: of its random walk."""

    symbol: str
    base: str
    tick: str
    lot: str
    start_ticks: int
    step_ticks: int


MARKETS: Final = (
    _Simulated("BTC-USDT", "BTC", "0.01", "0.00001", 6_000_000, 400),
    _Simulated("ETH-USDT", "ETH", "0.01", "0.0001", 300_000, 40),
)


class Traders:
    """One market maker and one taker for each market, on a thread of their own."""

    def __init__(self, engine: Engine, seed: int = 1) -> None:
        self._engine = engine
        self._random = random.Random(seed)  # noqa: S311  a show, not a secret
        self._mid = {each.symbol: each.start_ticks for each in MARKETS}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traders", daemon=True)

    def start(self) -> None:
        """Trade until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End after the current turn."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def turn(self, market: _Simulated) -> None:
        """Quote around a moved price, then hit the quotes now and then."""
        mid = self._mid[market.symbol] + self._random.randint(-market.step_ticks, market.step_ticks)
        mid = self._mid[market.symbol] = max(mid, market.start_ticks // 2)
        maker = f"maker-{market.base.lower()}"
        self._send(CancelAllOrders(time_ms=system_clock_ms(), account=maker, market=market.symbol))
        for level in range(1, LEVELS + 1):
            for side, sign in ((BUY, -1), (SELL, 1)):
                price = mid + sign * level * market.step_ticks // 2
                self._order(market, maker, side, price, time_in_force="gtc")
        for _ in range(self._random.randint(0, 3)):
            side = BUY if self._random.random() < 0.5 else SELL
            far = mid * 2 if side == BUY else mid // 2
            self._order(market, f"taker-{market.base.lower()}", side, far, time_in_force="ioc")

    def _order(
        self, market: _Simulated, account: str, side: str, price: int, *, time_in_force: str
    ) -> None:
        named: Side = BUY if side == BUY else SELL
        self._send(
            PlaceOrder(
                time_ms=system_clock_ms(),
                account=account,
                market=market.symbol,
                side=named,
                price_ticks=price,
                quantity_lots=self._random.randint(100, 5_000),
                time_in_force="ioc" if time_in_force == "ioc" else "gtc",
            )
        )

    def _send(self, command: Command) -> None:
        try:
            self._engine.execute(command)
        except Rejected:
            # A trader that was refused (out of funds, market halted) waits for its next turn.
            self._stopping.wait(TURN_S)

    def _run(self) -> None:
        try:
            while not self._stopping.wait(TURN_S):
                for market in MARKETS:
                    self.turn(market)
        except EngineError as error:
            if not self._stopping.is_set():
                out.print(f"the simulated traders stopped: {error.detail}")


def prepare(engine: Engine) -> None:
    """List the demo's assets and markets and fund its accounts; what exists already stays."""
    time_ms = system_clock_ms()
    accounts = [
        VISITOR,
        *(f"{role}-{each.base.lower()}" for each in MARKETS for role in ("maker", "taker")),
    ]
    commands: list[Command] = [ListAsset(time_ms=time_ms, asset=asset) for asset in ASSETS]
    commands += [
        ListMarket(
            time_ms=time_ms,
            market=each.symbol,
            base_asset=each.base,
            quote_asset="USDT",
            tick_size=each.tick,
            lot_size=each.lot,
            min_notional="1",
        )
        for each in MARKETS
    ]
    commands += [OpenAccount(time_ms=time_ms, account=account) for account in accounts]
    commands += [
        CreditDeposit(
            time_ms=time_ms,
            account=account,
            asset=asset,
            amount=DEPOSIT_UNITS,
            deposit_id=f"demo:{account}:{asset}",
        )
        for account in accounts
        for asset in ASSETS
    ]
    for command in commands:
        try:
            engine.execute(command)
        except AlreadyExists:
            continue


def run_demo(*, port: int, data: Path | None) -> int:
    """Serve the demo until a signal; return the exit code. Raises: as `serve`."""
    if data is not None:
        return _serve(port, data)
    with tempfile.TemporaryDirectory(prefix="foldex-demo-") as folder:
        return _serve(port, Path(folder))


def _serve(port: int, data: Path) -> int:
    running: list[Traders] = []

    def begin(foldex: Foldex) -> None:
        traders = Traders(foldex.engine)
        running.append(traders)
        traders.start()
        _print_next_steps(foldex, port)

    settings = replace(Settings.from_environment(), data=data, port=port, log_level="warning")
    try:
        return serve(settings, prepare=lambda foldex: prepare(foldex.engine), on_ready=begin)
    finally:
        for traders in running:
            traders.stop()


def _print_next_steps(foldex: Foldex, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    key, secret = foldex.keys.create(VISITOR, ["read", "trade", "withdraw"], "demo")
    order = (
        '{"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "20000.00",'
        ' "quantity": "0.5", "client_order_id": "first"}'
    )
    lines = [
        f"Foldex is running at {url} (data in {foldex.settings.data}). Try, in another terminal:",
        "",
        "# the last K-lines, the book, the markets",
        f"curl -s '{url}/v1/markets/BTC-USDT/candles?interval=1m'",
        f"curl -s '{url}/v1/markets/BTC-USDT/depth?limit=5'",
        f"curl -s '{url}/v1/tickers'",
        "",
        f"# as the account {VISITOR!r}: balances, an order, and what became of it",
        f"export FOLDEX_KEY={key} FOLDEX_SECRET={secret}",
        f"./foldex call GET /v1/balances --url {url}",
        f"./foldex call POST /v1/orders '{order}' --url {url} --idempotency-key my-first",
        f"./foldex call GET /v1/requests/my-first --url {url}",
        f"./foldex call GET /v1/orders/open --url {url}",
        "",
        f"# every route, with examples: {url}/docs",
        "# stop with Ctrl-C",
    ]
    for line in lines:
        out.print(line, markup=False, highlight=False)
