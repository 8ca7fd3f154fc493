"""A small exchange to try: two markets, simulated traders, keys, and what to do with them."""

import shlex
from pathlib import Path
from textwrap import indent
from typing import Final

from api import demo_token
from api.bootstrap import Foldex
from api.cli_output import say
from api.clock import system_clock_ms
from api.custody_steps import CUSTODY_STEPS
from api.demo_chain import DemoChain, start_chain
from api.demo_client import NAME, TRADER, Client, exports_of, write_client
from api.demo_traders import MAKER, TAKERS, DemoMarket, Traders
from api.faucet import TOKEN_DECIMALS, pay_token
from api.server import serve
from api.settings import Settings
from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.list_asset import ListAsset
from commands.list_market import ListMarket
from commands.open_account import OpenAccount
from domain.errors import AlreadyExists
from wallet.types import Address

VIEWS_S_MAX: Final = 10.0

_LABEL: Final = "foldex demo"
_ASSETS: Final = ("BTC", "ETH", "USDT")
_MARKETS: Final = (("BTC-USDT", "0.0001"), ("ETH-USDT", "0.001"))
_FUNDS: Final = {"BTC": "10000", "ETH": "100000", "USDT": "1000000000"}
_UNIT: Final = 10**8


def run_demo(settings: Settings, seed: int) -> int:
    """Serve a demo exchange until told to stop; return the exit code.

    Raises: StoreError, KeyStoreError: the data directory cannot be used.
    """
    traders: list[Traders] = []
    chains: list[DemoChain] = []

    def prepare(foldex: Foldex) -> None:
        _open_exchange(foldex)
        chains.append(start_chain(settings, foldex.resources))
        foldex.start_custody(chains[0].settings)
        _register_token(foldex, chains[0])
        traders.append(Traders(foldex.engine, _markets(), seed, system_clock_ms))
        traders[0].start()

    def ready(foldex: Foldex) -> None:
        say(_next_steps(settings, _write_client(foldex, chains[0])))

    try:
        # Custody is started by `prepare`, on a vault of the demo's own.
        served = settings.model_copy(update={"ethereum_url": ""})
        return serve(served, prepare=prepare, on_ready=ready)
    finally:
        for each in traders:
            each.stop()


def _register_token(foldex: Foldex, chain: DemoChain) -> None:
    """Have custody take the demo's token, once the views show its asset; fill the hot wallet."""
    assert foldex.desk is not None, "custody was just started"
    foldex.runner.wait_for(foldex.engine.exchange.position, VIEWS_S_MAX)
    demo_token.register(foldex.desk, chain.token, TOKEN_DECIMALS, _LABEL)
    hot = Address(foldex.desk.status().hot)
    pay_token(chain.url, chain.token, hot, demo_token.IN_HOT)


def _markets() -> list[DemoMarket]:
    return [
        DemoMarket("BTC-USDT", start_ticks=9_700_000, step_ticks=100, lots_max=500),
        DemoMarket("ETH-USDT", start_ticks=350_000, step_ticks=10, lots_max=900),
    ]


def _open_exchange(foldex: Foldex) -> None:
    """List and fund everything; what an earlier demo in the same directory did stays as it is."""
    now_ms = system_clock_ms()
    opening: list[Command] = [ListAsset(time_ms=now_ms, asset=asset) for asset in _ASSETS]
    opening += [
        ListMarket(
            time_ms=now_ms,
            market=symbol,
            base_asset=symbol.partition("-")[0],
            quote_asset="USDT",
            tick_size="0.01",
            lot_size=lot_size,
            min_notional="1",
            maker_fee_ppm=500,
        )
        for symbol, lot_size in _MARKETS
    ]
    for account in (TRADER, MAKER, *TAKERS):
        opening.append(OpenAccount(time_ms=now_ms, account=account))
        opening += [_deposit(now_ms, account, asset) for asset in _ASSETS]
    for command in opening:
        try:
            foldex.engine.execute(command)
        except AlreadyExists:
            continue


def _deposit(now_ms: int, account: str, asset: str) -> CreditDeposit:
    whole = int(_FUNDS[asset]) // (1 if account != TRADER else 1_000)
    return CreditDeposit(
        time_ms=now_ms,
        account=account,
        asset=asset,
        amount=whole * _UNIT,
        deposit_id=f"demo:{account}:{asset}",
    )


def _write_client(foldex: Foldex, chain: DemoChain) -> Path:
    directory = foldex.settings.data.absolute()
    exports = exports_of(chain) | {"FOLDEX_DATA": str(directory)}
    client = Client(url=_url(foldex.settings), chain=chain, exports=exports, label=_LABEL)
    write_client(directory / NAME, foldex.keys, client)
    return directory / NAME


def _url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host
    return f"http://{host}:{settings.port}"


def _next_steps(settings: Settings, client: Path) -> str:
    return _NEXT_STEPS.lstrip().format(
        url=_url(settings),
        client=shlex.quote(str(client)),
        data=settings.data.absolute(),
        custody=indent(CUSTODY_STEPS, "  "),
    )


_NEXT_STEPS: Final = r"""
Foldex runs at {url}, with two markets and simulated traders. Ctrl-C stops it; nothing is lost.
The API is described at {url}/docs

Try this in another shell:

  # One-minute K-lines, the book, the last 24 hours
  curl -sS -w '\n' '{url}/v1/markets/BTC-USDT/candles?interval=1m&limit=5'
  curl -sS -w '\n' '{url}/v1/markets/BTC-USDT/depth?limit=5'
  curl -sS -w '\n' '{url}/v1/tickers'

  # Signed requests: what the demo's trader has, an order, and what became of it
  . {client}
  as_trader GET /v1/balances
  ORDER=$(as_trader POST /v1/orders \
    '{{"market":"BTC-USDT","side":"buy","type":"market","quantity":"0.01"}}'); echo "$ORDER"
  SEEN="min_position=$(field position <<< "$ORDER")"
  as_trader GET "/v1/orders/history?limit=1&$SEEN"

{custody}
  # The events that this order wrote
  as_operator GET "/v1/events?order_id=$(field order_id <<< "$ORDER")&$SEEN"

  # Stop the exchange, then prove what it recorded
  ./foldex verify --data {data}
"""
