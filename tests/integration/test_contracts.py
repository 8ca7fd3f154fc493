"""Contracts over HTTP, Kafka and the command line: one way, with the same answers and refusals."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.__main__ import app
from api.demo_chain import start_chain
from api.settings import Settings
from tests.api_client import Client, created, ok, problem_code, serving
from tests.custody.ethereum_run import EthereumRun, Own
from tests.ethereum_world import CONTRACTS, World, someone
from wallet.bus import Commands
from wallet.desk import Desk
from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.contracts import EthereumContracts
from wallet.ethereum.devnode.node import DevNode
from wallet.ethereum.devnode.server import DevNodeServer
from wallet.ethereum.rpc import Rpc
from wallet.types import Address

PAYER = json.loads((CONTRACTS / "payer.json").read_text())
TOKEN_ARGS = ["Test", "TST", 6, "1000"]
RULE = """
[[rules]]
chain = "eip155:1337"
kind = "call"
roles = ["hot"]
to = ["{contracts}"]
selectors = [{selectors}]
per_transaction = "1000000000000000000"
per_day = "3000000000000000000"
approvals = 1
"""
SELECTORS = ("0x0c11dedd", "0xa9059cbb", "0x23b872dd")
"""`pay(address)`, `transfer(address,uint256)` and `transferFrom(address,address,uint256)`."""


@dataclass
class Doors:
    """One custody, reached over HTTP and by commands, on a chain where `rich` has contracts."""

    run: EthereumRun
    desk: Desk
    commands: Commands
    operator: Client
    world: World
    payer: Address
    token: Address
    places: int = 0

    def http(self, path: str, body: Any, key: str = "k") -> Any:
        headers = {"Idempotency-Key": key}
        return self.operator.send("POST", f"/v1/operator/contracts/{path}", body, headers=headers)

    def kafka(self, command: dict[str, Any]) -> dict[str, Any]:
        self.places += 1
        answer = self.commands.handle(json.dumps(command).encode(), f"command/0/{self.places}")
        assert answer is not None
        return answer.body

    def approve(self, view: dict[str, Any]) -> dict[str, Any]:
        """Hand in the officer's approval of what is shown."""
        [found] = [each for each in self.desk.contracts.list() if each.id == view["id"]]
        approval = self.run.approval(found.intent.intent())
        shown: dict[str, Any] = ok(self.http("approvals", {"id": view["id"], "approval": approval}))
        return shown

    def done(self, view: dict[str, Any]) -> dict[str, Any]:
        """Approve it, let it be mined deep enough, and return what the list says of it."""
        assert self.approve(view)["approvals"] == ["ann"]
        self.run.settle(6)
        listed = ok(self.operator.send("GET", "/v1/operator/contracts"))
        [found] = [each for each in listed if each["id"] == view["id"]]
        return dict(found)

    def transact(self, key: str, contract: Address, method: str, *args: Any, **more: str) -> Any:
        artifact: Any = PAYER if contract == self.payer else "erc20"
        call = {"artifact": artifact, "contract": contract, "method": method, "args": list(args)}
        return created(self.http("transact", {**call, **more}, key))


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    data = tmp_path_factory.mktemp("contracts")
    with ExitStack() as opened:
        node = DevNode()
        url = opened.enter_context(DevNodeServer(node)).url
        world = World(Rpc.http(url))
        payer, token = world.deploy("payer")[1], world.deploy("erc20", *TOKEN_ARGS)[1]
        chain = start_chain(
            Settings(data=data, ethereum_url=url),
            opened,
            block_s=None,
            more_policy=RULE.format(
                contracts=f'{payer}", "{token}',
                selectors=", ".join(f'"{each}"' for each in SELECTORS),
            ),
        )
        node.mine()
        run = EthereumRun(chain, Own(node), data, 1)
        opened.callback(run.stop)
        ethereum = run.custody.chain
        assert isinstance(ethereum, EthereumChain)
        desk = Desk(run.custody, EthereumContracts(ethereum))
        served = opened.enter_context(serving(data / "exchange"))
        served.foldex.desk = desk
        operator = served.client("", "operate")
        commands = Commands(desk, run.custody.books)
        run.settle(3)
        yield Doors(run, desk, commands, operator, world, payer, token)


def test_a_contract_is_deployed_once_after_its_approval_and_called_from_every_door(
    doors: Doors,
) -> None:
    asked = {"artifact": "erc20", "args": TOKEN_ARGS}
    first = created(doors.http("deploy", asked, "token-1"))
    assert (first["id"], first["status"], first["needed"]) == ("contract-token-1", "planned", 1)
    doors.run.settle(4)
    assert created(doors.http("deploy", asked, "token-1")) == first
    deployed = doors.done(first)
    assert (deployed["status"], deployed["reason"], len(deployed["txids"])) == ("paid", "", 1)

    over_kafka = {**asked, "type": "deploy_contract", "idempotency_key": "token-1"}
    same = doors.kafka(over_kafka)
    assert (same["key"], same["status"], same["to"]) == (
        first["id"], "paid", deployed["contract"],
    )  # fmt: skip

    hot = doors.run.custody.keys.hot
    ask = {"artifact": "erc20", "contract": deployed["contract"], "method": "balanceOf"}
    ask["args"] = [hot]
    assert ok(doors.http("call", ask)) == {"result": "1000"}
    assert doors.kafka({**ask, "type": "call_contract"})["result"] == "1000"
    settings = doors.run.chain.settings
    environment = {
        "FOLDEX_DATA": str(doors.run.data),
        "FOLDEX_ETHEREUM_URL": settings.ethereum_url,
        "FOLDEX_SIGNER": str(settings.signer),
        "FOLDEX_WALLET_CONFIG": str(settings.wallet_config),
    }
    runner = CliRunner()
    words = ["wallet", "call", "erc20", deployed["contract"], "balanceOf", "--args"]
    called = runner.invoke(app, [*words, json.dumps([hot])], env=environment)
    assert called.output == '"1000"\n'
    listed = runner.invoke(app, ["wallet", "contracts", "--json"], env=environment)
    shown = ok(doors.operator.send("GET", "/v1/operator/contracts"))
    assert json.loads(listed.output)["contracts"] == shown
    read = runner.invoke(app, ["wallet", "contracts"], env=environment).output
    assert '  constructor(name "Test", symbol "TST", decimals "6", supply "1000")\n' in read
    assert deployed["call"]["source"] == "erc20"


def test_a_method_is_called_in_a_transaction_with_coins_going_along(doors: Doors) -> None:
    payee = someone().address
    view = doors.transact("pay", doors.payer, "pay", payee, value="250")
    assert (view["value"], view["contract"]) == ("250", doors.payer)
    assert view["call"] == {
        "method": "pay(address)",
        "arguments": [{"name": "receiver", "type": "address", "value": payee}],
        "code": "", "source": "", "unknown": "",
    }  # fmt: skip
    assert doors.done(view)["status"] == "paid"
    assert doors.run.custody.chain.balances([payee], None)[payee] == 250


def test_officers_see_what_a_call_does_and_nobody_can_tell_them_otherwise(
    doors: Doors, tmp_path: Path
) -> None:
    payee = someone().address
    view = doors.transact("shown", doors.payer, "pay", payee, value="3")
    asked = view["intent"]
    key, secret = doors.run.chain.directory / "ann.key", doors.run.chain.directory / "passphrase"

    def officer(intent: Any, *more: str) -> Result:
        file = tmp_path / "intent.json"
        file.write_text(json.dumps(intent))
        words = ["--key", str(key), "--intent", str(file), "--passphrase-file", str(secret)]
        return CliRunner().invoke(app, ["vault", "approve", *words, "--yes", *more])

    shown = officer(asked)
    assert shown.exit_code == 0
    assert "method     pay(address)\n" in shown.stderr
    assert f'  receiver = "{payee}"  (address)\n' in shown.stderr
    assert "read by    custody's words for it; encoded again" in shown.stderr
    trusted = str(CONTRACTS / "payer.json")
    assert f"read by    the ABI in {trusted}" in officer(asked, "--contract", trusted).stderr
    assert doors.http("approvals", {"id": view["id"], "approval": shown.stdout.strip()}).is_success

    lied = json.loads(json.dumps(asked))
    lied["interface"]["inputs"][0]["type"] = "uint160"
    refused = officer(lied)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "what is said of the data is not what it does, so do not approve it" in refused.stderr
    assert "pay(uint160) has the selector" in refused.stderr
    untold = officer({**asked, "interface": None})
    assert "method     UNKNOWN: no ABI given has a method with the selector 0x0c11dedd" in (
        untold.stderr
    )
    assert "UNKNOWN" in officer(asked, "--contract", "erc20").stderr
    assert "there is no contract nothing here" in officer(asked, "--contract", "nothing").stderr
    erc20 = doors.transact("shown-token", doors.token, "transfer", payee, "25")
    assert "read by    Foldex's own erc20" in officer(erc20["intent"]).stderr
    assert '  amount = "25"  (uint256)' in officer(erc20["intent"]).stderr


def test_over_kafka_a_call_is_planned_and_approved_too(doors: Doors) -> None:
    payee = someone().address
    command = {
        "type": "transact_contract", "artifact": PAYER, "contract": doors.payer, "method": "pay",
        "args": [payee], "value": "7", "idempotency_key": "kafka-pay",
    }  # fmt: skip
    planned = doors.kafka(command)
    assert (planned["status"], planned["key"]) == ("planned", "contract-kafka-pay")
    assert planned["meta"] == {"approvals": [], "needed": 1}
    assert (planned["call"]["method"], planned["intent"]["interface"]["method"]) == (
        "pay(address)", "pay",
    )  # fmt: skip
    [view] = [each for each in doors.desk.contracts.list() if each.id == planned["key"]]
    approval = doors.run.approval(view.intent.intent())
    approve = {"type": "approve_contract", "id": planned["key"], "approval": approval}
    assert doors.kafka(approve)["meta"] == {"approvals": ["ann"], "needed": 1}
    doors.run.settle(6)
    assert doors.run.custody.chain.balances([payee], None)[payee] == 7


def test_a_method_that_the_signers_policy_does_not_name_is_refused_and_says_so(
    doors: Doors,
) -> None:
    view = doors.transact("approve-thief", doors.token, "approve", someone().address, "1")
    refused = doors.done(view)
    assert refused["status"] == "failed"
    assert refused["reason"].startswith("POLICY_DENIED: selector: ")
    ours = doors.transact("too-much", doors.payer, "pay", someone().address, value="2" + "0" * 18)
    refused = doors.done(ours)
    assert refused["reason"].startswith("LIMIT_EXCEEDED: amount: ")


def test_what_would_revert_is_not_signed_and_gives_the_contracts_reason(doors: Doors) -> None:
    view = doors.transact("poor", doors.token, "transfer", someone().address, "5")
    refused = doors.done(view)
    assert (refused["status"], refused["txids"]) == ("failed", [])
    assert refused["reason"].startswith("TX_WOULD_FAIL: ")
    assert "balance too low" in refused["reason"]


def test_what_reverts_in_its_block_gives_the_contracts_reason(doors: Doors) -> None:
    """Both calls would succeed when they are signed; only one can be."""
    hot = doors.run.custody.keys.hot
    made, _ = doors.world.deploy("erc20", *TOKEN_ARGS)
    doors.world.transact(made, doors.token, "transfer", hot, "10")
    doors.run.settle(1)
    views = [
        doors.transact(f"race-{number}", doors.token, "transfer", someone().address, "10")
        for number in range(2)
    ]
    doors.approve(views[0])
    done = doors.done(views[1])
    listed = {each.id: each for each in doors.desk.contracts.list()}
    first = listed[views[0]["id"]]
    [failed] = [each for each in (first.reason, done["reason"]) if each]
    assert {first.status, done["status"]} == {"paid", "failed"}
    assert failed.startswith("TX_REVERTED: execution reverted")
    assert "balance too low" in failed


Wrong = Callable[[Doors], dict[str, Any]]
WRONG: dict[str, tuple[str, str, Wrong]] = {
    "a contract nobody knows": (
        "deploy", "UNKNOWN_CONTRACT", lambda doors: {"artifact": "../../etc/passwd"},
    ),
    "no compiled contract": ("deploy", "BAD_REQUEST", lambda doors: {"artifact": {"abi": []}}),
    "too few arguments": ("deploy", "UNKNOWN_METHOD", lambda doors: {"artifact": "erc20"}),
    "a fraction as an argument": (
        "deploy", "UNKNOWN_METHOD",
        lambda doors: {"artifact": "erc20", "args": ["T", "T", 6, 1.5]},
    ),
    "a fraction of a wei": (
        "deploy", "BAD_REQUEST",
        lambda doors: {"artifact": "erc20", "args": TOKEN_ARGS, "value": "1.5"},
    ),
    "no address": (
        "transact", "BAD_ADDRESS",
        lambda doors: {"artifact": PAYER, "contract": "0x12", "method": "pay",
                       "args": [doors.token]},
    ),
    "no contract there": (
        "transact", "UNKNOWN_CONTRACT",
        lambda doors: {"artifact": PAYER, "contract": someone().address, "method": "pay",
                       "args": [doors.token]},
    ),
    "no such method": (
        "transact", "UNKNOWN_METHOD",
        lambda doors: {"artifact": PAYER, "contract": doors.payer, "method": "steal"},
    ),
    "a call that is refused": (
        "call", "CALL_FAILED",
        lambda doors: {"artifact": "erc20", "contract": doors.token, "method": "transfer",
                       "args": [someone().address, "999999"]},
    ),
    "nothing to call there": (
        "call", "UNKNOWN_CONTRACT",
        lambda doors: {"artifact": "erc20", "contract": someone().address, "method": "decimals"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_every_door_refuses_with_the_same_code(doors: Doors, what: str) -> None:
    path, code, make = WRONG[what]
    body, before = make(doors), len(doors.desk.contracts.list())
    refused = doors.http(path, body, f"wrong-{len(what)}")
    assert problem_code(refused) == "custody_refused"
    assert refused.json()["detail"].startswith(f"{code}: ")
    answer = doors.kafka({**body, "type": f"{path}_contract"})
    assert (answer["error_code"], answer["retryable"]) == (code, False)
    assert len(doors.desk.contracts.list()) == before


def test_a_key_is_for_one_thing_whatever_the_door(doors: Doors) -> None:
    created(doors.http("deploy", {"artifact": "erc20", "args": TOKEN_ARGS}, "one-thing"))
    other = {"artifact": "erc20", "args": ["Other", "TST", 6, "1000"]}
    refused = doors.http("deploy", other, "one-thing")
    assert refused.json()["detail"].startswith("DUPLICATE_MISMATCH: ")
    command = {**other, "type": "deploy_contract", "idempotency_key": "one-thing"}
    assert doors.kafka(command)["error_code"] == "DUPLICATE_MISMATCH"


def test_no_key_makes_the_payment_of_a_withdrawal(doors: Doors) -> None:
    view = created(doors.http("deploy", {"artifact": "erc20", "args": TOKEN_ARGS}, "withdrawal-1"))
    assert view["id"] == "contract-withdrawal-1"


def test_an_approval_of_what_is_not_there_is_refused(doors: Doors) -> None:
    refused = doors.http("approvals", {"id": "withdrawal-1", "approval": "ann:abc"})
    assert refused.json()["detail"].startswith("BAD_REQUEST: ")
    view = created(doors.http("deploy", {"artifact": "erc20", "args": TOKEN_ARGS}, "approve-me"))
    refused = doors.http("approvals", {"id": view["id"], "approval": "nonsense"})
    assert refused.json()["detail"].startswith("BAD_APPROVAL: ")
