"""Custody over HTTP: addresses, reviews and state; and what is said without a chain."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api_client import Client, Served, created, ok, problem_code, serving
from tests.custody.test_deposits import step
from tests.custody.test_reconciler import look, reconciler, steal
from tests.custody.world import TOKEN, WEI, World
from wallet.approvals import IntentText
from wallet.desk import Desk
from wallet.types import Address


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as made:
        operator = made.client("", "operate")
        created(operator.send("POST", "/v1/operator/assets", {"asset": "ETH"}))
        created(operator.send("POST", "/v1/operator/accounts", {"account": "ann"}))
        body = {"account": "ann", "asset": "ETH", "amount": "2", "deposit_id": "d"}
        headers = {"Idempotency-Key": "d"}
        created(operator.send("POST", "/v1/operator/deposits", body, headers=headers))
        yield made


@pytest.fixture
def world(served: Served) -> World:
    made = World()
    served.foldex.desk = Desk(made.custody)
    return made


@pytest.fixture
def ann(served: Served) -> Client:
    return served.trader("ann")


@pytest.fixture
def operator(served: Served) -> Client:
    return served.client("", "operate")


def test_an_account_gets_its_address_and_the_same_again(world: World, ann: Client) -> None:
    first = created(ann.send("POST", "/v1/deposit-addresses", {"asset": "ETH"}))
    again = created(ann.send("POST", "/v1/deposit-addresses", {"asset": "TOK"}))
    assert first["address"] == again["address"] == world.custody.addresses.of("ann")
    assert (first["account"], first["chain"]) == ("ann", world.chain.id)
    unknown = ann.send("POST", "/v1/deposit-addresses", {"asset": "BTC"})
    assert problem_code(unknown) == "unknown_asset"


def test_deposits_on_their_way_are_shown_with_what_they_wait_for(world: World, ann: Client) -> None:
    world.deposit("ann", WEI)
    world.deposit("bob", WEI)
    step(world)
    [pending] = ok(ann.send("GET", "/v1/deposits/pending"))
    assert (pending["status"], pending["confirmations"], pending["required"]) == (
        "confirming",
        1,
        2,
    )
    step(world)
    assert ok(ann.send("GET", "/v1/deposits/pending")) == []


def requested(ann: Client, address: str = "0xpayee") -> int:
    body = {"asset": "ETH", "amount": "0.5", "address": address}
    reply = ann.send("POST", "/v1/withdrawals", body, headers={"Idempotency-Key": address})
    return int(created(reply)["withdrawal_id"])


def review_of(operator: Client, number: int, min_position: int) -> Any:
    """Return the review once the views show the withdrawal."""
    ok(operator.send("GET", f"/v1/operator/withdrawals?min_position={min_position}"))
    return operator.send("GET", f"/v1/operator/withdrawals/{number}/review")


def test_the_last_approval_that_is_needed_approves_the_withdrawal(
    served: Served, world: World, ann: Client, operator: Client
) -> None:
    number = requested(ann)
    review = ok(review_of(operator, number, served.position))
    assert review["intent"]["to"] == "0xpayee"
    assert int(review["intent"]["amount"]) == WEI // 2
    path = f"/v1/operator/withdrawals/{number}/approvals"
    bad = operator.send("POST", path, {"approval": "no approval"})
    assert problem_code(bad) == "custody_refused"
    assert served.foldex.engine.exchange.withdrawals[number].status == "requested"
    intent = msgspec.convert(review["intent"], IntentText).intent()
    forged = operator.send("POST", path, {"approval": world.approval("ann", intent)[:-4] + "AA=="})
    assert problem_code(forged) == "custody_refused"
    assert forged.json()["detail"].startswith("BAD_APPROVAL: 'ann' did not sign exactly this")
    assert ok(operator.send("GET", path.replace("approvals", "review")))["approvals"] == []
    genuine = {"approval": world.approval("ann", intent)}
    assert ok(operator.send("POST", path, genuine))["approvals"] == ["ann"]
    world.now_ms += 1
    twice = operator.send("POST", path, {"approval": world.approval("ann", intent)})
    assert twice.json()["detail"].startswith("DUPLICATE_APPROVAL")
    assert ok(operator.send("POST", path, genuine))["approvals"] == ["ann"]
    assert served.foldex.engine.exchange.withdrawals[number].status == "approved"


def test_a_withdrawal_that_cannot_be_paid_says_why_in_its_review(
    served: Served, world: World, ann: Client, operator: Client
) -> None:
    number = requested(ann, "bc1q")
    refused = review_of(operator, number, served.position)
    assert problem_code(refused) == "custody_refused"
    assert "BAD_ADDRESS" in refused.json()["detail"]
    nobody = operator.send("GET", "/v1/operator/withdrawals/99/review")
    assert problem_code(nobody) == "unknown_withdrawal"


@pytest.mark.parametrize(
    ("step_", "body"), [("fail", {"reason": "no"}), ("complete", {"txid": "0x1"})]
)
def test_what_custody_pays_nobody_settles_by_hand(
    *, served: Served, world: World, ann: Client, operator: Client, step_: str, body: dict[str, str]
) -> None:
    number = requested(ann)
    ok(operator.send("POST", f"/v1/operator/withdrawals/{number}/approve"))
    ok(operator.send("GET", f"/v1/operator/withdrawals?min_position={served.position}"))
    refused = operator.send("POST", f"/v1/operator/withdrawals/{number}/{step_}", body)
    assert problem_code(refused) == "custody_refused"
    assert world.custody.coins.of_asset("ETH") is not None
    served.foldex.desk = None
    ok(operator.send("POST", f"/v1/operator/withdrawals/{number}/{step_}", body))


def approved(served: Served, world: World, ann: Client, operator: Client) -> int:
    """Return a withdrawal that the exchange approved, and that custody's world knows as well."""
    world.deposit("ann", 2 * WEI)
    world.settle(8)
    number = requested(ann)
    ok(operator.send("POST", f"/v1/operator/withdrawals/{number}/approve"))
    ok(operator.send("GET", f"/v1/operator/withdrawals?min_position={served.position}"))
    assert world.withdraw("ann", WEI // 2 // 10**10, address="0xpayee") == number
    return number


def test_an_approved_withdrawal_is_cancelled_until_it_is_signed(
    served: Served, world: World, ann: Client, operator: Client
) -> None:
    waiting = requested(ann, "0xother")
    ok(operator.send("GET", f"/v1/operator/withdrawals?min_position={served.position}"))
    path = f"/v1/operator/withdrawals/{waiting}/cancel"
    body = {"reason": "the client asked"}
    assert problem_code(operator.send("POST", path, body)) == "wrong_state"
    ok(operator.send("POST", f"/v1/operator/withdrawals/{waiting}/approve"))
    ok(operator.send("GET", f"/v1/operator/withdrawals?min_position={served.position}"))
    cancelled = ok(operator.send("POST", path, body))
    assert cancelled["status"] == "failed"
    assert cancelled["reason"].startswith("CANCELLED: the client asked (by ")
    assert ok(operator.send("POST", path, body)) == cancelled
    assert problem_code(ann.send("POST", path, body)) == "wrong_scope"
    nobody = operator.send("POST", "/v1/operator/withdrawals/99/cancel", body)
    assert problem_code(nobody) == "unknown_withdrawal"


def test_a_signed_payment_is_not_cancelled_but_bumped_once(
    served: Served, world: World, ann: Client, operator: Client
) -> None:
    number = approved(served, world, ann, operator)
    bump = ("POST", "/v1/operator/custody/payments/bump")
    payment = {"payment": f"withdrawal-{number}"}
    unheard = operator.send(*bump, payment)
    assert "BAD_REQUEST" in unheard.json()["detail"]
    world.step()
    cancel = f"/v1/operator/withdrawals/{number}/cancel"
    refused = operator.send("POST", cancel, {"reason": "too late"})
    assert problem_code(refused) == "custody_refused"
    assert refused.json()["detail"].startswith("ALREADY_SIGNED")
    for _ in range(2):
        assert len(ok(operator.send(*bump, payment))["txids"]) == 1
    world.step()
    assert len(ok(operator.send(*bump, payment))["txids"]) == 2
    assert problem_code(ann.send(*bump, payment)) == "wrong_scope"


def test_who_resumes_names_the_differences_that_are_accepted(
    world: World, operator: Client
) -> None:
    step(world, 2)
    steal(world)
    assert look(reconciler(world))
    resume = ("POST", "/v1/operator/custody/resume")
    refused = operator.send(*resume, {"reason": "known"})
    assert problem_code(refused) == "custody_refused"
    assert refused.json()["detail"].startswith("DIFFERENCES_NOT_ACCEPTED: 1 differences")
    shown = ok(operator.send("GET", "/v1/operator/custody"))
    assert [each["what"] for each in shown["differences"]] == ["ETH at 0xhot"]
    resumed = ok(operator.send(*resume, {"reason": "known", "accept": shown["mark"]}))
    assert (resumed["paused"], resumed["mark"]) == ("", shown["mark"])


def test_operators_see_pause_resume_and_release(world: World, operator: Client) -> None:
    tx = world.deposit("nobody", WEI)
    step(world, 3)
    [held] = ok(operator.send("GET", "/v1/operator/custody/quarantine"))
    assert held["reason"] == "unknown_account"
    paused = ok(operator.send("POST", "/v1/operator/custody/pause", {"reason": "a drill"}))
    assert paused["paused"] == "a drill"
    assert paused["paused_by"] == operator.key_id
    unexplained = operator.send("POST", "/v1/operator/custody/resume", {})
    assert problem_code(unexplained) == "missing_field"
    resumed = ok(operator.send("POST", "/v1/operator/custody/resume", {"reason": "over"}))
    assert (resumed["paused"], resumed["paused_by"], resumed["differences"]) == ("", "", [])
    key = {"key": held["key"]}
    assert tx.txid in held["key"]
    released = ok(operator.send("POST", "/v1/operator/custody/quarantine/release", key))
    assert released["deposits"] == {"confirming": 1}
    again = operator.send("POST", "/v1/operator/custody/quarantine/release", key)
    assert problem_code(again) == "custody_refused"


def test_the_state_tells_where_refills_go(world: World, operator: Client) -> None:
    step(world)
    state = ok(operator.send("GET", "/v1/operator/custody"))
    assert (state["hot"], state["height"]) == (Address("0xhot"), 2)


def test_without_a_chain_it_says_so(served: Served, ann: Client, operator: Client) -> None:
    reply = ann.send("POST", "/v1/deposit-addresses", {"asset": "ETH"})
    assert problem_code(reply) == "custody_unavailable"
    assert problem_code(operator.send("GET", "/v1/operator/custody")) == "custody_unavailable"


TERMS: dict[str, Any] = {
    "contract": TOKEN, "asset": "TOK", "decimals": 6, "minimum": "0.5", "sweep_from": "2",
    "review": False,
}  # fmt: skip


@pytest.fixture
def tokenless(served: Served) -> World:
    made = World(tokens=())
    served.foldex.desk = Desk(made.custody)
    return made


def test_a_token_is_registered_once_and_its_deposits_credited(
    tokenless: World, operator: Client, ann: Client
) -> None:
    refused = ann.send("POST", "/v1/deposit-addresses", {"asset": "TOK"})
    assert problem_code(refused) == "unknown_asset"
    made = created(operator.send("POST", "/v1/operator/custody/tokens", TERMS))
    assert {"minimum": "0.500000", "hot_high": "0.000000", "disabled": ""}.items() <= made.items()
    assert made["allowed"] == ["withdrawal", "sweep", "top_up"]
    again = created(operator.send("POST", "/v1/operator/custody/tokens", TERMS))
    assert again == made
    created(ann.send("POST", "/v1/deposit-addresses", {"asset": "TOK"}))
    tokenless.deposit("ann", 10**6, TOKEN)
    step(tokenless, 3)
    assert tokenless.free("ann", "TOK") == 10**8
    [shown] = ok(operator.send("GET", "/v1/operator/custody/tokens"))
    assert shown["watched_after"] == 0


def test_a_token_that_is_not_what_was_said_is_refused_with_the_reason(
    tokenless: World, operator: Client
) -> None:
    path = "/v1/operator/custody/tokens"
    refused = operator.send("POST", path, TERMS | {"decimals": 18})
    assert problem_code(refused) == "custody_refused"
    assert refused.json()["detail"] == "TOKEN_MISMATCH: 0xtoken has 6 decimals, not 18"
    for changes in ({"decimals": 19}, {"minimum": 1}, {"asset": None}, {"other": 1}):
        assert operator.send("POST", path, TERMS | changes).status_code in (400, 422)
    assert ok(operator.send("GET", path)) == []


def test_a_token_is_disabled_and_enabled(world: World, operator: Client, ann: Client) -> None:
    path = "/v1/operator/custody/tokens"
    body = {"contract": TOKEN, "reason": "incident 12"}
    assert ok(operator.send("POST", f"{path}/disable", body))["disabled"] == "incident 12"
    refused = ann.send("POST", "/v1/deposit-addresses", {"asset": "TOK"})
    assert problem_code(refused) == "custody_refused"
    assert "TOKEN_DISABLED" in refused.json()["detail"]
    assert ok(operator.send("POST", f"{path}/enable", {"contract": TOKEN}))["disabled"] == ""
    created(ann.send("POST", "/v1/deposit-addresses", {"asset": "TOK"}))
    unknown = operator.send("POST", f"{path}/enable", {"contract": "0xother"})
    assert "UNKNOWN_TOKEN" in unknown.json()["detail"]


def test_blocks_are_looked_at_again_under_a_name(tokenless: World, operator: Client) -> None:
    path = "/v1/operator/custody/rescans"
    tokenless.deposit("ann", 10**6, TOKEN)
    step(tokenless, 3)
    created(operator.send("POST", "/v1/operator/custody/tokens", TERMS))
    key = {"Idempotency-Key": "before"}
    assert problem_code(operator.send("POST", path, {"first": 0})) == "idempotency_key_missing"
    asked = created(operator.send("POST", path, {"first": 0}, headers=key))
    assert (asked["name"], asked["status"], asked["last"]) == ("before", "running", None)
    step(tokenless, 3)
    [done] = ok(operator.send("GET", path))
    assert (done["status"], done["found"]) == ("done", 1)
    assert created(operator.send("POST", path, {"first": 0}, headers=key)) == done
    other = operator.send("POST", path, {"first": 1}, headers=key)
    assert "DUPLICATE_MISMATCH" in other.json()["detail"]
    far = operator.send("POST", path, {"first": 0, "last": 99}, headers={"Idempotency-Key": "x"})
    assert "BAD_REQUEST" in far.json()["detail"]
    assert tokenless.free("ann", "TOK") == 10**8


def test_only_operators_reach_tokens_and_rescans(world: World, ann: Client) -> None:
    for path in ("tokens", "rescans"):
        reply = ann.send("GET", f"/v1/operator/custody/{path}")
        assert problem_code(reply) == "wrong_scope"
