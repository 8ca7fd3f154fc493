"""`foldex wallet token …` and `rescan`, beside an exchange that runs custody."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.__main__ import app
from api.demo_chain import DemoChain, start_chain
from api.deployment import deployment_of
from api.faucet import deploy_token, pay_token
from api.settings import Settings
from tests.processes import Process, SigningClient, free_port
from tests.waiting import until
from wallet.ethereum.rpc import Rpc
from wallet.types import Address


@dataclass(frozen=True, slots=True)
class World:
    """An exchange that runs custody on a chain of its own, and a shell beside it."""

    chain: DemoChain
    settings: dict[str, str]
    url: str
    ann: SigningClient

    def foldex(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["wallet", *words], env=self.settings)

    def ok(self, *words: str) -> Any:
        done = self.foldex(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def free(self) -> dict[str, str]:
        balances = self.ann.ask(self.url, "GET", "/v1/balances")
        return {each["asset"]: each["free"] for each in balances}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("exchange")
    with ExitStack() as opened:
        chain = start_chain(Settings(data=data), opened, block_s=0.1)
        settings = {
            "FOLDEX_DATA": str(data),
            "FOLDEX_ETHEREUM_URL": chain.url,
            "FOLDEX_SIGNER": str(chain.settings.signer),
            "FOLDEX_WALLET_CONFIG": str(chain.settings.wallet_config),
        }
        port = free_port()
        served = opened.enter_context(Process(settings, data, "serve", "--port", port))
        served.says("Foldex at")
        keys = opened.enter_context(closing(deployment_of(chain.settings).open_keys(create=True)))
        operator, ann = (
            opened.enter_context(closing(SigningClient(*keys.create(account, scopes))))
            for account, scopes in (("", ["operate"]), ("ann", ["read"]))
        )
        made = World(chain, settings, f"http://127.0.0.1:{port}", ann)
        for asset in ("USDC", "OTH", "FRS"):
            operator.ask(made.url, "POST", "/v1/operator/assets", {"asset": asset})
        opening = operator.ask(made.url, "POST", "/v1/operator/accounts", {"account": "ann"})
        ann.ask(made.url, "GET", f"/v1/balances?min_position={opening['position']}")
        yield made
        assert served.end() == 0


ADD = ("--decimals", "6", "--minimum", "1", "--no-review")


def test_a_token_is_added_stopped_let_go_on_and_what_came_before_is_found(world: World) -> None:
    token = world.chain.token
    asked = {"asset": "ETH"}
    address = world.ann.ask(world.url, "POST", "/v1/deposit-addresses", asked)["address"]
    txid = pay_token(world.chain.url, token, Address(address), "12.5")
    rpc = Rpc.http(world.chain.url)
    receipt = until(lambda: rpc.call("eth_getTransactionReceipt", txid))
    until(lambda: world.ok("status")["height"] >= int(receipt["blockNumber"], 16))
    added = world.ok("token", "add", token, "USDC", *ADD)
    assert (added["asset"], added["minimum"], added["review"]) == ("USDC", "1.000000", False)
    assert added["allowed"] == ["withdrawal", "sweep", "top_up"]
    done = world.ok("rescan", "0", "--id", "before", "--wait")
    assert (done["status"], done["found"], done["next"]) == ("done", 1, done["last"] + 1)
    assert until(lambda: world.free().get("USDC")) == "12.50000000"
    assert world.ok("rescan", "0", "--id", "before", "--wait") == done
    assert world.ok("rescans") == {"rescans": [done]}
    assert world.foldex("rescans").stdout.startswith("before  0 to ")

    stopped = world.ok("token", "disable", token, "--reason", "a drill")
    assert stopped["disabled"] == "a drill"
    assert "disabled: a drill" in world.foldex("token", "list").stdout
    assert world.ok("token", "enable", token)["disabled"] == ""
    [shown] = world.ok("token", "list")["tokens"]
    assert shown["contract"] == token
    assert "6 decimals  enabled" in world.foldex("token", "list").stdout


def test_what_the_signer_does_not_list_is_said(world: World) -> None:
    other = deploy_token(world.chain.url, "Other", "OTH")
    until(lambda: world.foldex("token", "add", other, "OTH", *ADD).exit_code == 0)
    listed = world.foldex("token", "list").stdout
    assert "the signer's policy has no rule for: withdrawal, sweep\n" in listed


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("token", "add", "nonsense", "USDC", *ADD), 3, "BAD_ADDRESS"),
        (("token", "add", "PAYEE", "NONE", *ADD), 3, "the exchange does not list NONE"),
        (("token", "add", "TOKEN", "ETH", *ADD), 3, "TOKEN_CONFLICT"),
        (("token", "add", "PAYEE", "FRS", *ADD), 3, "UNKNOWN_CONTRACT"),
        (("token", "add", "FRESH", "FRS", "--decimals", "8"), 3, "has 6 decimals, not 8"),
        (("token", "add", "TOKEN", "USDC"), 2, "--decimals"),
        (("token", "disable", "PAYEE", "--reason", "x"), 3, "UNKNOWN_TOKEN"),
        (("token", "enable", "PAYEE"), 3, "UNKNOWN_TOKEN"),
        (("rescan", "0", "999999", "--id", "far"), 3, "are not within 0 to"),
        (("rescan", "0"), 2, "--id"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    world: World, words: tuple[str, ...], code: int, said: str
) -> None:
    places = {"TOKEN": world.chain.token, "PAYEE": Address("0x" + "12" * 20)}
    if "FRESH" in words:
        places["FRESH"] = deploy_token(world.chain.url, "Fresh", "FRS")
        until(lambda: _is_there(world, places["FRESH"]))
    done = world.foldex(*(str(places.get(word, word)) for word in words))
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def _is_there(world: World, contract: str) -> bool:
    done = world.foldex("call", "erc20", contract, "symbol")
    return done.exit_code == 0
