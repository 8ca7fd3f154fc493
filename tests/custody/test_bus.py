"""The bus: required shapes, one answer for each key, and nothing that stops it."""

import json
from typing import Any

import pytest

from tests.custody.test_deposits import ONE, step
from tests.custody.world import TOKEN, WEI, World
from wallet.bus import ADDRESS_CREATED, ERRORS, TRANSACTION, Commands, Message
from wallet.bus_withdrawals import WithdrawalCommands
from wallet.desk import Desk
from wallet.outbox import Relay


class Bus:
    """A bus on a world, with a memory of its own that outlives nothing."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.restart()

    def restart(self) -> None:
        self.world.start()
        desk = Desk(self.world.custody)
        more = WithdrawalCommands(desk, self.world.exchange).actions
        self.commands = Commands(desk, self.world.custody.books, more)
        self.relay = Relay(self.world.chain.id, self.world.custody.books)

    def ask(self, command: Any, place: str = "command/0/0") -> Message:
        value = command if isinstance(command, bytes) else json.dumps(command).encode()
        answer = self.commands.handle(value, place)
        assert answer is not None
        return answer


@pytest.fixture
def bus() -> Bus:
    return Bus(World())


def test_an_account_gets_an_address_and_its_meta_back(bus: Bus) -> None:
    answer = bus.ask({"type": "create_account", "meta": {"account": "ann", "ref": [1, "x"]}})
    address = bus.world.custody.addresses.of("ann")
    assert answer.topic == ADDRESS_CREATED
    assert {"account": "ann", "ref": [1, "x"], "address": address}.items() <= answer.body.items()
    assert answer.body["chain"] == bus.world.chain.id


def test_the_same_key_gets_the_same_answer_after_a_restart(bus: Bus) -> None:
    command = {"type": "create_account", "meta": {"n": 1}, "idempotency_key": "k1"}
    first = bus.ask(command)
    bus.restart()
    assert bus.ask(command, "command/0/99") == first
    assert bus.ask({**command, "idempotency_key": "k2"}).body["address"] != first.body["address"]


def test_the_same_key_with_another_body_is_a_mismatch(bus: Bus) -> None:
    bus.ask({"type": "create_account", "meta": {"n": 1}, "idempotency_key": "k1"})
    answer = bus.ask({"type": "create_account", "meta": {"n": 2}, "idempotency_key": "k1"})
    assert answer.topic == ERRORS
    assert answer.body["error_code"] == "DUPLICATE_MISMATCH"


def test_without_a_key_the_place_is_the_key_so_the_same_meta_may_come_twice(bus: Bus) -> None:
    command = {"type": "create_account", "meta": {"n": 1}}
    first, other = bus.ask(command, "command/0/1"), bus.ask(command, "command/0/2")
    assert first.body["address"] != other.body["address"]
    assert bus.ask(command, "command/0/1") == first


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"\xff\xfe",
        b"not json",
        b"[]",
        b'{"type": 7}',
        b'{"type": "create_account"}',
        b'{"type": "create_account", "meta": {"address": "0x1"}}',
        b'{"type": "create_account", "meta": {"account": 5}}',
        b'{"type": "steal"}',
        b'{"type": "release_quarantined", "key": "unheard"}',
        b'{"type": "deploy_contract", "artifact": "../../etc/passwd"}',
    ],
)
def test_poison_becomes_an_error_and_the_next_command_is_answered(bus: Bus, poison: bytes) -> None:
    answer = bus.ask(poison)
    assert answer.topic == ERRORS
    assert {"type", "request", "error_code", "error_message"} <= answer.body.keys()
    assert answer.body["error_code"] in ("BAD_REQUEST", "UNKNOWN_CONTRACT")
    json.loads(answer.value)
    good = bus.ask({"type": "create_account", "meta": {}}, "command/0/1")
    assert good.topic == ADDRESS_CREATED


def test_what_is_secret_is_not_repeated_in_an_error(bus: Bus) -> None:
    answer = bus.ask({"type": "steal", "approvals": ["ann:abc"], "x": 1})
    assert answer.body["request"] == {"type": "steal", "x": 1}


def test_commands_for_another_chain_are_left_alone(bus: Bus) -> None:
    command = {"type": "create_account", "meta": {}, "chain": "bip122:0"}
    assert bus.commands.handle(json.dumps(command).encode(), "p") is None


def test_custody_is_paused_and_resumed_by_command(bus: Bus) -> None:
    bus.ask({"type": "pause_chain", "reason": "a drill", "idempotency_key": "p"})
    bus.world.custody.book.catch_up()
    assert bus.world.custody.book.chain_record.paused == "a drill"
    bus.ask({"type": "resume_chain", "reason": "over", "idempotency_key": "r"})
    assert Desk(bus.world.custody).status().paused == ""


def test_a_deposit_and_a_withdrawal_are_told_step_by_step_in_the_required_shape(bus: Bus) -> None:
    world = bus.world
    tx = world.deposit("ann", 2 * WEI)
    step(world, 3)
    world.withdraw("ann", ONE)
    step(world, 4)
    told = [message.body for message in bus.relay.take() if message.topic == TRANSACTION]
    for body in told:
        assert {"txid", "value", "to", "from"} <= body.keys()
    deposit = [body for body in told if body["txid"] == tx.txid]
    assert [body["status"] for body in deposit] == ["confirming", "credited"]
    assert (deposit[0]["value"], deposit[0]["from"]) == (str(2 * WEI), "0xrich")
    paid = [body for body in told if body.get("withdrawal_id") == 1]
    assert [body["status"] for body in paid] == ["broadcast", "finalised"]


def test_what_may_not_have_been_sent_is_sent_again_with_the_same_ids(bus: Bus) -> None:
    bus.world.deposit("ann", WEI)
    step(bus.world, 3)
    first = bus.relay.take()
    bus.restart()
    assert bus.relay.take() == first
    bus.relay.sent()
    bus.restart()
    assert bus.relay.take() == []
    bus.world.deposit("ann", WEI)
    step(bus.world, 1)
    told = [message.body for message in bus.relay.take()]
    assert [body["status"] for body in told if body["direction"] == "in"] == ["confirming"]


def test_a_reversal_is_told(bus: Bus) -> None:
    bus.world.deposit("ann", WEI)
    step(bus.world, 2)
    bus.world.chain.reorganise(3, drop=1)
    step(bus.world)
    told = [message.body for message in bus.relay.take()]
    deposit = [body["status"] for body in told if body["direction"] == "in"]
    assert deposit == ["confirming", "credited", "reversed"]


def test_a_token_is_registered_stopped_and_let_go_on_by_command(bus: Bus) -> None:
    bus.world = World(tokens=())
    bus.restart()
    command = {
        "type": "add_token", "contract": TOKEN, "asset": "TOK", "decimals": 6, "minimum": "0.5",
        "sweep_from": "1", "review": False, "idempotency_key": "t1",
    }  # fmt: skip
    first = bus.ask(command)
    assert (first.topic, first.body["status"], first.body["asset"]) == (
        TRANSACTION,
        "registered",
        "TOK",
    )
    assert {"txid": "", "value": "0", "to": "", "from": ""}.items() <= first.body.items()
    assert (first.body["token"]["minimum"], first.body["token"]["allowed"]) == (
        "0.500000",
        ["withdrawal", "sweep", "top_up"],
    )
    before = bus.world.custody.book.position
    assert bus.ask(command) == first
    assert bus.world.custody.book.position == before
    stopped = bus.ask({"type": "disable_token", "contract": TOKEN, "reason": "a drill"}, "c/0/1")
    assert (stopped.body["status"], stopped.body["token"]["disabled"]) == ("disabled", "a drill")
    again = bus.ask({"type": "enable_token", "contract": TOKEN}, "c/0/2")
    assert (again.body["status"], again.body["token"]["disabled"]) == ("enabled", "")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"contract": 7}, "BAD_REQUEST"),
        ({"contract": None}, "BAD_REQUEST"),
        ({"decimals": "6"}, "BAD_REQUEST"),
        ({"decimals": True}, "BAD_REQUEST"),
        ({"decimals": 6.5}, "BAD_REQUEST"),
        ({"minimum": 1}, "BAD_REQUEST"),
        ({"minimum": "-1"}, "BAD_REQUEST"),
        ({"mimimum": "1"}, "BAD_REQUEST"),
        ({"contract": "nonsense"}, "BAD_ADDRESS"),
        ({"contract": "0xnothing"}, "UNKNOWN_CONTRACT"),
        ({"decimals": 18}, "TOKEN_MISMATCH"),
        ({"asset": "XYZ"}, "UNKNOWN_ASSET"),
        ({"asset": "ETH"}, "TOKEN_CONFLICT"),
        ({"type": "disable_token", "reason": "x"}, "UNKNOWN_TOKEN"),
        ({"type": "disable_token"}, "BAD_REQUEST"),
        ({"type": "enable_token", "contract": []}, "BAD_REQUEST"),
        ({"type": "rescan"}, "BAD_REQUEST"),
    ],
)
def test_a_command_about_a_token_that_cannot_be_done_is_an_error_and_nothing_stops(
    bus: Bus, changes: dict[str, Any], code: str
) -> None:
    bus.world = World(tokens=())
    bus.restart()
    command = {"type": "add_token", "contract": TOKEN, "asset": "TOK", "decimals": 6}
    answer = bus.ask(command | changes)
    assert (answer.topic, answer.body["error_code"]) == (ERRORS, code)
    assert bus.world.custody.book.tokens == []
    assert bus.ask(command, "c/0/1").body["status"] == "registered"


def test_blocks_are_looked_at_again_by_command_and_the_end_is_told(bus: Bus) -> None:
    bus.world = World(tokens=())
    bus.restart()
    tx = bus.world.deposit("ann", 500, TOKEN)
    step(bus.world, 3)
    bus.ask({"type": "add_token", "contract": TOKEN, "asset": "TOK", "decimals": 6,
             "review": False})  # fmt: skip
    command = {"type": "rescan", "first": 0, "idempotency_key": "find"}
    answer = bus.ask(command)
    assert (answer.body["status"], answer.body["key"]) == ("rescanning", "find")
    step(bus.world, 3)
    assert bus.ask(command) == answer
    step(bus.world, 1)
    told = [message.body for message in bus.relay.take()]
    [ended] = [body for body in told if body["status"] == "rescanned"]
    assert (ended["key"], ended["meta"]["found"]) == ("find", 1)
    assert [body["status"] for body in told if body["txid"] == tx.txid] == [
        "confirming",
        "credited",
    ]


@pytest.mark.parametrize(
    "fields",
    [{}, {"first": "0"}, {"first": -1}, {"first": 3, "last": 2}, {"first": 0, "last": 10**9},
     {"first": 0, "from": 1}, {"first": 1.5}],
)  # fmt: skip
def test_a_rescan_that_makes_no_sense_is_an_error(bus: Bus, fields: dict[str, Any]) -> None:
    step(bus.world)
    answer = bus.ask({"type": "rescan"} | fields)
    assert (answer.topic, answer.body["error_code"]) == (ERRORS, "BAD_REQUEST")
