"""A shell file with which people talk to an exchange: signed requests, custody, an officer."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.demo_chain import DemoChain
from api.keys import KeyStore

NAME: Final = "client.sh"
TRADER: Final = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the file is of. exports: settings for `foldex`, by name.

    label: of the keys that it holds; those of an earlier file are revoked.
    """

    url: str
    chain: DemoChain
    exports: dict[str, str]
    label: str


def write_client(path: Path, keys: KeyStore, client: Client) -> None:
    """Create keys and write a shell file that signs with them, readable by its owner only."""
    for row in keys.rows():
        if row.label == client.label and not row.revoked:
            keys.revoke(row.key_id)
    trader = keys.create(TRADER, ["read", "trade", "withdraw"], client.label)
    operator = keys.create("", ["operate", "audit"], client.label)
    exports = " ".join(f"{name}={shlex.quote(text)}" for name, text in client.exports.items())
    text = _CLIENT.format(
        url=client.url,
        python=shlex.quote(sys.executable),
        trader=TRADER,
        trader_key=trader[0],
        trader_secret=trader[1],
        operator_key=operator[0],
        operator_secret=operator[1],
        root=shlex.quote(str(Path(__file__).resolve().parents[1])),
        custody=shlex.quote(str(client.chain.directory)),
        token=client.chain.token,
        exports=exports,
    )
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    draft.replace(path)


def exports_of(chain: DemoChain) -> dict[str, str]:
    """Return what `foldex wallet` needs to know of a chain."""
    return {
        "FOLDEX_ETHEREUM_URL": chain.url,
        "FOLDEX_WALLET_CONFIG": str(chain.settings.wallet_config),
        "FOLDEX_SIGNER": str(chain.settings.signer),
    }


_CLIENT: Final = """\
# Signs requests to an exchange to try: load it with `. client.sh`. It holds the exchange's secrets.
FOLDEX_URL={url}

# as_trader METHOD PATH[?QUERY] [BODY], and the same as the operator.
as_trader() {{ foldex_signed {trader_key} {trader_secret} "$@"; }}
as_operator() {{ foldex_signed {operator_key} {operator_secret} "$@"; }}

# What custody needs to know, for `foldex wallet`.
export {exports}

foldex() {{ (cd {root} && ./foldex "$@"); }}

# demo_pay ADDRESS ETHER: somebody's money, sent on a development chain.
demo_pay() {{ foldex wallet faucet --url "$FOLDEX_ETHEREUM_URL" "$1" "$2"; }}

# TOKEN is an ERC-20 there. demo_pay_token ADDRESS AMOUNT: somebody's tokens.
TOKEN={token}
demo_pay_token() {{
  foldex wallet faucet --url "$FOLDEX_ETHEREUM_URL" --token "$TOKEN" "$1" "$2"
}}

# deposit_address: the trader's own; asked for over Kafka where there is one, else over HTTP.
deposit_address() {{
  if [ -n "${{FOLDEX_KAFKA:-}}" ]; then
    foldex wallet command '{{"type":"create_account","meta":{{"account":"{trader}"}}}}'
  else
    as_trader POST /v1/deposit-addresses '{{"asset":"ETH"}}'
  fi | field address
}}

# wait_for TEXT COMMAND...: ask again, a minute at most, until the answer has the text; print it.
wait_for() {{
  local text="$1" answer=""; shift
  for _ in $(seq 300); do
    answer=$("$@" 2>&1) || true
    case "$answer" in *"$text"*) printf '%s\\n' "$answer"; return ;; esac
    sleep 0.2
  done
  printf 'still: %s\\n' "$answer" >&2; return 1
}}

# demo_withdraw ASSET AMOUNT ADDRESS: request a withdrawal; print its number.
demo_withdraw() {{
  local request='{{"asset":"'"$1"'","amount":"'"$2"'","address":"'"$3"'"}}'
  IDEMPOTENCY_KEY="demo-$RANDOM$RANDOM" as_trader POST /v1/withdrawals "$request" |
    field withdrawal_id
}}

# ether_of ADDRESS: what an address holds on chain, in wei.
ether_of() {{
  curl -sS -H 'Content-Type: application/json' "$FOLDEX_ETHEREUM_URL" \\
    -d '{{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["'"$1"'","latest"]}}'; echo
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
