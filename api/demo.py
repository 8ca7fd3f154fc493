"""A small exchange to try: two markets, simulated traders, keys, and what to do with them."""

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from api import demo_token
from api.bootstrap import Foldex, system_clock_ms
from api.cli_output import say
from api.demo_chain import DemoChain, start_chain
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

TRADER: Final = "demo"
VIEWS_S_MAX: Final = 10.0
CLIENT_NAME: Final = "client.sh"

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
        say(_next_steps(settings, _write_client(foldex, chains[0]), chains[0].url))

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
    """Create keys and write a shell file that signs with them, readable by its owner only."""
    directory = foldex.settings.data.absolute()
    path = directory / CLIENT_NAME
    _revoke_earlier(foldex)
    trader = foldex.keys.create(TRADER, ["read", "trade", "withdraw"], _LABEL)
    operator = foldex.keys.create("", ["operate", "audit"], _LABEL)
    text = _CLIENT.format(
        url=_url(foldex.settings),
        python=shlex.quote(sys.executable),
        trader_key=trader[0],
        trader_secret=trader[1],
        operator_key=operator[0],
        operator_secret=operator[1],
        root=shlex.quote(str(Path(__file__).resolve().parents[1])),
        custody=shlex.quote(str(chain.directory)),
        node=chain.url,
        token=chain.token,
        config=shlex.quote(str(chain.settings.wallet_config)),
        signer=shlex.quote(str(chain.settings.signer)),
        data=shlex.quote(str(directory)),
    )
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    return path


def _revoke_earlier(foldex: Foldex) -> None:
    """An earlier demo's secrets were in the file that is about to be replaced."""
    for row in foldex.keys.rows():
        if row.label == _LABEL and not row.revoked:
            foldex.keys.revoke(row.key_id)


def _url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host
    return f"http://{host}:{settings.port}"


_CLIENT: Final = """\
# Signs requests to the demo exchange: load it with `. client.sh`. It holds the demo's secrets.
FOLDEX_URL={url}

# as_trader METHOD PATH[?QUERY] [BODY], and the same as the operator.
as_trader() {{ foldex_signed {trader_key} {trader_secret} "$@"; }}
as_operator() {{ foldex_signed {operator_key} {operator_secret} "$@"; }}

# What custody needs to know, for `foldex wallet`.
export FOLDEX_ETHEREUM_URL={node} FOLDEX_WALLET_CONFIG={config} FOLDEX_SIGNER={signer}
export FOLDEX_DATA={data}

foldex() {{ (cd {root} && ./foldex "$@"); }}

# demo_pay ADDRESS ETHER: somebody's money, sent on the demo's own Ethereum.
demo_pay() {{ foldex wallet faucet --url "$FOLDEX_ETHEREUM_URL" "$1" "$2"; }}

# TOKEN is an ERC-20 there. demo_pay_token ADDRESS AMOUNT: somebody's tokens.
TOKEN={token}
demo_pay_token() {{
  foldex wallet faucet --url "$FOLDEX_ETHEREUM_URL" --token "$TOKEN" "$1" "$2"
}}

# demo_withdraw ASSET AMOUNT ADDRESS: request a withdrawal; print its number.
demo_withdraw() {{
  local request='{{"asset":"'"$1"'","amount":"'"$2"'","address":"'"$3"'"}}'
  IDEMPOTENCY_KEY="demo-$RANDOM$RANDOM" as_trader POST /v1/withdrawals "$request" |
    field withdrawal_id
}}

# field NAME: print a field of the JSON on stdin.
field() {{ {python} -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }}

# as_officer WITHDRAWAL: see what is to be paid, sign it with the officer's own key, hand that in.
as_officer() {{
  local review="{custody}/review.json" approval
  as_operator GET "/v1/operator/withdrawals/$1/review" | {python} -c '
import json, sys
print(json.dumps(json.load(sys.stdin)["intent"]))' > "$review" || return
  approval=$(foldex vault approve --key {custody}/ann.key --intent "$review" --yes \\
    --passphrase-file {custody}/passphrase) || return
  as_operator POST "/v1/operator/withdrawals/$1/approvals" '{{"approval":"'"$approval"'"}}'
}}

# Signature: hex HMAC-SHA256 over timestamp, window, method, path, query and body (docs/api.md).
foldex_signed() {{
  local key="$1" secret="$2" method="$3" target="$4" body="${{5:-}}" stamp
  stamp=$(FOLDEX_SECRET="$secret" {python} -c '
import hashlib, hmac, os, sys, time
method, target, body = sys.argv[1:]
route, _, query = target.partition("?")
now = str(time.time_ns() // 10**6)
text = "\\n".join((now, "5000", method, route, query, body)).encode()
print(now, hmac.new(os.environ["FOLDEX_SECRET"].encode(), text, hashlib.sha256).hexdigest())
' "$method" "$target" "$body") || return
  set -- -H "X-Foldex-Key: $key" -H "X-Foldex-Timestamp: ${{stamp% *}}" \\
    -H "X-Foldex-Signature: ${{stamp#* }}"
  if [ -n "$body" ]; then set -- "$@" -H "Content-Type: application/json" --data-binary "$body"; fi
  if [ -n "${{IDEMPOTENCY_KEY:-}}" ]; then set -- "$@" -H "Idempotency-Key: $IDEMPOTENCY_KEY"; fi
  curl -sS -X "$method" "$@" "$FOLDEX_URL$target"; echo
}}
"""


def _next_steps(settings: Settings, client: Path, node: str) -> str:
    return _NEXT_STEPS.lstrip().format(
        url=_url(settings),
        client=shlex.quote(str(client)),
        data=settings.data.absolute(),
        node=node,
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
  as_trader POST /v1/orders '{{"market":"BTC-USDT","side":"buy","type":"market","quantity":"0.01"}}'
  as_trader GET '/v1/orders/history?limit=1'

  # Coins from a chain: an address; ether, and a token that custody was told of while it runs, and
  # takes as USDT; their confirmations (3 blocks of 1 s); the balance
  ADDRESS=$(as_trader POST /v1/deposit-addresses '{{"asset":"ETH"}}' | field address); echo $ADDRESS
  as_operator GET /v1/operator/custody/tokens
  demo_pay $ADDRESS 1.5
  demo_pay_token $ADDRESS 250
  as_trader GET /v1/deposits/pending
  sleep 6; as_trader GET '/v1/deposits?limit=2'; as_trader GET /v1/balances

  # Coins to a chain: requests, an officer's signatures, signed by the signer, paid on chain
  PAYEE=0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC
  ETHER=$(demo_withdraw ETH 0.75 $PAYEE)
  TOKENS=$(demo_withdraw USDT 100 $PAYEE)
  as_operator GET '/v1/operator/withdrawals?status=requested'
  as_officer $ETHER
  as_officer $TOKENS
  sleep 8; as_trader GET /v1/withdrawals/$ETHER; as_trader GET /v1/withdrawals/$TOKENS
  BALANCE='{{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["'$PAYEE'","latest"]}}'
  curl -sS -w '\n' -H 'Content-Type: application/json' {node} -d "$BALANCE"
  foldex wallet call erc20 $TOKEN balanceOf --args '["'$PAYEE'"]'

  # Books, chain and ledger agree
  foldex wallet reconcile

  # The events that this order wrote
  as_operator GET '/v1/events?account=demo&market=BTC-USDT&limit=20'

  # Stop the exchange, then prove what it recorded
  ./foldex verify --data {data}
"""
