"""Orders over the API: exactly once, in order, and visible to whoever placed them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api_client import (
    Client,
    Served,
    created,
    exchange_with_traders,
    limit_order,
    ok,
    problem_code,
    serving,
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with exchange_with_traders(tmp_path) as running:
        yield running


@pytest.fixture
def alice(served: Served) -> Client:
    return served.trader("alice")


@pytest.fixture
def bob(served: Served) -> Client:
    return served.trader("bob")


def placed(client: Client, key: str = "", **changes: Any) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    return created(client.send("POST", "/v1/orders", limit_order(**changes), headers=headers))


def balance(client: Client, asset: str, position: int) -> dict[str, Any]:
    rows = ok(client.send("GET", f"/v1/balances?min_position={position}"))
    found: dict[str, Any] = next(row for row in rows if row["asset"] == asset)
    return found


def test_a_reply_has_the_position_at_which_its_effect_can_be_read(alice: Client) -> None:
    response = alice.send("POST", "/v1/orders", limit_order())
    position = created(response)["position"]

    assert response.headers["x-position"] == str(position)
    seen = alice.send("GET", f"/v1/orders/open?min_position={position}")
    assert [row["id"] for row in ok(seen)["items"]] == [response.json()["order_id"]]
    assert int(seen.headers["x-position"]) >= position
    assert balance(alice, "USDT", position)["held"] == "10.00000000"


def test_a_position_that_is_not_reached_in_time_is_a_retryable_problem(alice: Client) -> None:
    response = alice.send("GET", "/v1/balances?min_position=1000000")

    assert problem_code(response) == "view_behind"
    assert response.status_code == 503
    assert response.json()["retryable"] is True


def test_two_orders_trade_and_both_sides_see_it(alice: Client, bob: Client) -> None:
    placed(alice, side="sell", price="100.00", quantity="0.300")
    bought = placed(bob, side="buy", price="101.00", quantity="0.100")

    assert bought["status"] == "filled"
    assert (bought["filled_quantity"], bought["filled_quote"]) == ("0.100", "10.00000000")
    position = bought["position"]
    trades = ok(bob.send("GET", f"/v1/trades?min_position={position}"))["items"]
    assert [(row["price"], row["quantity"]) for row in trades] == [("100.00", "0.100")]
    public = ok(bob.http.get(f"/v1/markets/BTC-USDT/trades?min_position={position}"))["items"]
    assert len(public) == 1
    depth = ok(bob.http.get(f"/v1/markets/BTC-USDT/depth?min_position={position}"))
    assert len(depth["asks"]) == 1


def test_an_order_sent_again_with_its_key_is_placed_once(served: Served, alice: Client) -> None:
    first = placed(alice, key="k-1")
    after_first = served.position
    again = placed(alice, key="k-1")

    assert again == {**first, "repeated": True}
    assert served.position == after_first


def test_a_key_used_for_another_command_is_refused(alice: Client) -> None:
    placed(alice, key="k-1")
    headers = {"Idempotency-Key": "k-1"}
    response = alice.send("POST", "/v1/orders", limit_order(price="99.00"), headers=headers)

    assert problem_code(response) == "idempotency_key_reused"


def test_keys_of_two_accounts_do_not_meet(alice: Client, bob: Client) -> None:
    assert placed(alice, key="k-1")["order_id"] != placed(bob, key="k-1")["order_id"]


def test_a_refusal_is_repeated_for_the_same_key(alice: Client) -> None:
    headers = {"Idempotency-Key": "k-1"}
    body = limit_order(quantity="900.000", price="99999.00")
    for _ in range(2):
        response = alice.send("POST", "/v1/orders", body, headers=headers)
        assert problem_code(response) == "insufficient_funds"

    told = ok(alice.send("GET", "/v1/requests/k-1"))
    assert (told["status"], told["code"]) == ("rejected", "insufficient_funds")


def test_what_became_of_a_key_is_told(alice: Client, bob: Client) -> None:
    order = placed(alice, key="k-1")

    told = ok(alice.send("GET", "/v1/requests/k-1"))
    assert (told["status"], told["order_id"]) == ("accepted", order["order_id"])
    assert told["position"] == order["position"]
    assert ok(alice.send("GET", "/v1/requests/k-2"))["status"] == "never_seen"
    assert ok(bob.send("GET", "/v1/requests/k-1"))["status"] == "never_seen"


def test_repeating_a_client_order_id_returns_the_first_order(alice: Client) -> None:
    first = placed(alice, client_order_id="grid-1")
    again = placed(alice, client_order_id="grid-1")

    assert again["order_id"] == first["order_id"]
    assert again["repeated"] is True


def test_a_batch_has_one_result_for_each_order(alice: Client) -> None:
    orders = [
        limit_order(),
        limit_order(market="NO-SUCH"),
        limit_order(price="0.001"),
        limit_order(price="90.00", quantity="999999.000"),
        limit_order(price="99.00"),
    ]
    response = alice.send(
        "POST", "/v1/orders/batch", {"orders": orders}, headers={"Idempotency-Key": "b-1"}
    )

    results = ok(response)["results"]
    assert [("order" in row) for row in results] == [True, False, False, False, True]
    codes = [row["problem"]["code"] for row in results if "problem" in row]
    assert codes == ["unknown_market", "off_step", "insufficient_funds"]
    told = ok(alice.send("GET", "/v1/requests/b-1"))
    assert [row["idempotency_key"] for row in told["items"]] == ["b-1/0", "b-1/3", "b-1/4"]
    assert [row["status"] for row in told["items"]] == ["accepted", "rejected", "accepted"]


def test_a_batch_sent_again_places_nothing(served: Served, alice: Client) -> None:
    body = {"orders": [limit_order(price=f"{price}.00") for price in range(51, 71)]}
    headers = {"Idempotency-Key": "b-1"}
    first = ok(alice.send("POST", "/v1/orders/batch", body, headers=headers))
    after_first = served.position
    again = ok(alice.send("POST", "/v1/orders/batch", body, headers=headers))

    assert served.position == after_first
    ids = [[row["order"]["order_id"] for row in answer["results"]] for answer in (first, again)]
    assert ids[0] == ids[1]


def test_an_order_is_amended_and_cancelled(alice: Client) -> None:
    order = placed(alice, client_order_id="grid-1")
    amended = ok(alice.send("PATCH", f"/v1/orders/{order['order_id']}", {"price": "101.00"}))
    assert balance(alice, "USDT", amended["position"])["held"] == "10.10000000"
    reduced = ok(alice.send("PATCH", "/v1/orders/by-client-id/grid-1", {"quantity": "0.050"}))
    assert balance(alice, "USDT", reduced["position"])["held"] == "5.05000000"

    cancelled = ok(alice.send("DELETE", "/v1/orders/by-client-id/grid-1"))
    assert cancelled["status"] == "cancelled"
    assert balance(alice, "USDT", cancelled["position"])["held"] == "0.00000000"
    gone = alice.send("DELETE", f"/v1/orders/{order['order_id']}")
    assert problem_code(gone) == "unknown_order"


def test_a_cancel_sent_again_with_its_key_gets_the_first_answer(alice: Client) -> None:
    order = placed(alice)
    headers = {"Idempotency-Key": "c-1"}
    first = ok(alice.send("DELETE", f"/v1/orders/{order['order_id']}", headers=headers))
    ok(alice.send("GET", f"/v1/balances?min_position={first['position']}"))
    again = ok(alice.send("DELETE", f"/v1/orders/{order['order_id']}", headers=headers))

    assert again == {**first, "repeated": True}


def test_cancelling_all_orders_leaves_none(alice: Client) -> None:
    for price in ("90.00", "91.00", "92.00"):
        placed(alice, price=price)
    position = ok(alice.send("DELETE", "/v1/orders?market=BTC-USDT"))["position"]

    assert ok(alice.send("GET", f"/v1/orders/open?min_position={position}"))["items"] == []


def test_another_accounts_order_looks_like_an_unknown_one(
    served: Served, alice: Client, bob: Client
) -> None:
    order_id = placed(bob)["order_id"]
    before = served.position

    for method, body in (("GET", None), ("PATCH", {"quantity": "0.01"}), ("DELETE", None)):
        response = alice.send(method, f"/v1/orders/{order_id}", body)
        assert problem_code(response) == "unknown_order"
    assert served.position == before


def test_a_withdrawal_is_held_approved_and_completed(served: Served, alice: Client) -> None:
    operator = served.client("", "operate")
    body = {"asset": "BTC", "amount": "1.5", "address": "bc1qexample"}
    headers = {"Idempotency-Key": "w-1"}
    asked = created(alice.send("POST", "/v1/withdrawals", body, headers=headers))
    assert balance(alice, "BTC", asked["position"])["held"] == "1.50000000"
    again = created(alice.send("POST", "/v1/withdrawals", body, headers=headers))
    assert again["withdrawal_id"] == asked["withdrawal_id"]

    target = f"/v1/operator/withdrawals/{asked['withdrawal_id']}"
    too_soon = operator.send("POST", f"{target}/complete", {"txid": "0x1"})
    assert problem_code(too_soon) == "wrong_state"
    assert ok(operator.send("POST", f"{target}/approve"))["status"] == "approved"
    completed = ok(operator.send("POST", f"{target}/complete", {"txid": "0x1"}))
    assert balance(alice, "BTC", completed["position"])["held"] == "0.00000000"
    assert balance(alice, "BTC", completed["position"])["free"] == "998.50000000"


def test_a_withdrawal_of_another_account_looks_like_an_unknown_one(
    alice: Client, bob: Client
) -> None:
    body = {"asset": "BTC", "amount": "1", "address": "x"}
    asked = created(bob.send("POST", "/v1/withdrawals", body, headers={"Idempotency-Key": "w-1"}))
    position, withdrawal_id = asked["position"], asked["withdrawal_id"]

    target = f"/v1/withdrawals/{withdrawal_id}?min_position={position}"
    assert ok(bob.send("GET", target))["id"] == withdrawal_id
    assert problem_code(alice.send("GET", target)) == "unknown_withdrawal"


def test_a_halted_market_takes_no_order_until_it_is_resumed(served: Served, alice: Client) -> None:
    operator = served.client("", "operate")
    target = "/v1/operator/markets/BTC-USDT/status"
    ok(operator.send("POST", target, {"status": "halted", "reason": "test"}))
    assert problem_code(alice.send("POST", "/v1/orders", limit_order())) == "market_halted"
    ok(operator.send("POST", target, {"status": "cancel_only"}))
    assert problem_code(alice.send("POST", "/v1/orders", limit_order())) == "market_cancel_only"
    ok(operator.send("POST", target, {"status": "open"}))
    placed(alice)


def test_everything_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    with exchange_with_traders(tmp_path / "data") as served:
        order = placed(served.trader("alice"), key="k-1")
        before = served.position
    with serving(tmp_path / "data") as served:
        alice = served.trader("alice")
        assert served.position == before + 1  # Its own WriterStarted.
        assert placed(alice, key="k-1") == {**order, "repeated": True}
        seen = ok(alice.send("GET", f"/v1/orders/open?min_position={served.position}"))
        assert [row["id"] for row in seen["items"]] == [order["order_id"]]


def test_an_exchange_that_stopped_takes_no_commands(served: Served, alice: Client) -> None:
    ok(alice.http.get("/health/ready"))
    served.foldex.engine.stop()

    assert problem_code(alice.send("POST", "/v1/orders", limit_order())) == "engine_stopped"
    assert problem_code(alice.http.get("/health/ready")) == "not_ready"
    ok(alice.http.get("/health/live"))


def test_an_answer_that_does_not_come_in_time_is_an_unknown_outcome(tmp_path: Path) -> None:
    with exchange_with_traders(tmp_path / "data") as served:
        alice = served.trader("alice")
        engine = served.foldex.engine
        held: list[Any] = []
        submit = engine.submit
        engine.submit = lambda *given: held.append(given)  # type: ignore[method-assign]
        served.foldex.gateway._command_timeout_s = 0.05
        headers = {"Idempotency-Key": "k-1"}
        response = alice.send("POST", "/v1/orders", limit_order(), headers=headers)
        assert problem_code(response) == "outcome_unknown"
        assert response.status_code == 504
        assert ok(alice.send("GET", "/v1/requests/k-1"))["status"] == "pending"

        engine.submit = submit  # type: ignore[method-assign]
        served.foldex.gateway._command_timeout_s = 5.0
        for given in held:
            engine.submit(*given)
        placed(alice)
        assert ok(alice.send("GET", "/v1/requests/k-1"))["status"] == "accepted"
