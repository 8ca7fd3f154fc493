"""Tokens that are registered while custody runs, and what came before they were."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from tests.custody.test_deposits import step, the_deposit
from tests.custody.world import COIN, RICH, TOK, TOKEN, WEI, World, status
from wallet.coverage import Coverage
from wallet.errors import (
    BadAddress,
    BadRequest,
    DuplicateMismatch,
    NodeLagging,
    TokenConflict,
    TokenDisabled,
    TokenMismatch,
    UnknownAsset,
    UnknownContract,
    UnknownToken,
    WalletError,
)
from wallet.ports import ApprovedWithdrawal
from wallet.records.deposit import Deposit
from wallet.records.payment import Payment
from wallet.records.rescan import Rescan, rescan_id
from wallet.rescans import ATTEMPTS_MAX, BLOCKS_MAX
from wallet.tokens import TokenRequest
from wallet.types import IntentKind, TokenId

FAKE = TokenId("0xfake")
UNITS = 100
"""Ledger units in one base unit of TOK."""


@pytest.fixture
def world() -> World:
    """Where no token is registered yet."""
    return World(tokens=())


def register(world: World, request: TokenRequest = TOK) -> None:
    world.custody.tokens.register(request, "op")


def rescan(world: World, name: str = "r", first: int = 0, last: int | None = None) -> Rescan:
    """Ask for a rescan and let custody do it."""
    asked = world.custody.rescans.request(name, first, last, "op")
    world.rest()
    return world.custody.book.get(Rescan, asked.id)


def deposits(world: World) -> list[Deposit]:
    return [each for each in world.custody.book.records.values() if isinstance(each, Deposit)]


def test_a_token_is_credited_from_its_registration_on_without_a_restart(world: World) -> None:
    world.deposit("ann", 500, TOKEN)
    step(world, 4)
    assert deposits(world) == []
    register(world)
    tx = world.deposit("ann", 700, TOKEN)
    step(world, 4)
    assert world.free("ann", "TOK") == 700 * UNITS
    assert [each.txid for each in deposits(world)] == [tx.txid]


def test_a_token_registered_by_another_process_is_taken_too(world: World) -> None:
    step(world)
    here = world.custody
    world.start()
    register(world)
    world.custody = here
    world.deposit("ann", 700, TOKEN)
    step(world, 4)
    assert world.free("ann", "TOK") == 700 * UNITS


def test_what_came_before_the_registration_is_found_by_a_rescan_once(world: World) -> None:
    world.deposit("ann", 500, TOKEN)
    step(world, 4)
    register(world)
    step(world)
    before = world.reconcile()
    assert before.differences == []
    assert {each.what for each in before.unscanned} == {
        f"TOK at {world.custody.addresses.of('ann')}",
        f"TOK at {world.keys.hot}",
    }
    done = rescan(world)
    assert (done.status, done.found, done.first, done.last) == ("done", 1, 0, 6)
    step(world)
    assert world.free("ann", "TOK") == 500 * UNITS
    after = world.reconcile()
    assert (after.differences, after.unscanned) == ([], [])
    for number in range(3):
        assert rescan(world, f"again {number}").found == 0
    step(world, 2)
    assert world.free("ann", "TOK") == 500 * UNITS
    assert world.reconcile().differences == []


def test_more_than_was_seen_is_a_difference_once_every_block_was_scanned(world: World) -> None:
    step(world, 2)
    register(world)
    world.deposit("ann", 500, TOKEN)
    step(world, 4)
    address = world.custody.addresses.of("ann")
    world.chain.state.move(address, TOKEN, -1)
    assert [each.what for each in world.reconcile().differences] == [f"TOK at {address}"]
    world.chain.state.move(address, TOKEN, 2)
    before = world.reconcile()
    assert before.differences == []
    assert f"TOK at {address}: books 500, other 501" in map(str, before.unscanned)
    rescan(world)
    after = world.reconcile()
    assert (list(map(str, after.differences)), after.unscanned) == (
        [f"TOK at {address}: books 500, other 501"],
        [],
    )


def test_a_rescan_of_what_was_seen_anyway_changes_nothing(world: World) -> None:
    register(world)
    world.deposit("ann", 3 * WEI)
    world.deposit("bob", 10**6, TOKEN)
    world.settle(14)
    held = dict(world.custody.book.held)
    assert rescan(world).found == 0
    assert dict(world.custody.book.held) == held
    assert world.reconcile().differences == []


def test_what_a_rescan_found_in_a_block_that_goes_is_reversed_with_it(world: World) -> None:
    tx = world.deposit("ann", 500, TOKEN)
    step(world, 3)
    register(world)
    step(world)
    rescan(world)
    step(world)
    assert world.free("ann", "TOK") == 500 * UNITS
    world.chain.reorganise(5, drop=1)
    step(world, 3)
    assert world.free("ann", "TOK") == 0
    assert the_deposit(world).status == "orphaned"
    assert world.reconcile().differences == []
    world.chain.pool[tx.txid] = tx
    step(world, 4)
    assert world.free("ann", "TOK") == 500 * UNITS
    rescan(world, "after")
    assert world.reconcile().differences == []


def test_blocks_that_came_after_a_reorganisation_are_not_counted_twice(world: World) -> None:
    world.chain.send(RICH, world.keys.hot, 10**6, TOKEN)
    step(world, 4)
    register(world)
    step(world)
    world.chain.reorganise(5)
    step(world, 5)
    rescan(world)
    assert world.reconcile().differences == []


def test_a_rescan_goes_on_after_a_crash_where_it_was(world: World) -> None:
    world.deposit("ann", 500, TOKEN)
    for _ in range(450):
        world.chain.mine()
    world.rest()
    register(world)
    world.rest()
    name = world.custody.rescans.request("r", 0, None, "op").id
    assert world.custody.rescans.step()
    before = world.custody.book.get(Rescan, name).next
    world.start()
    assert world.custody.book.get(Rescan, name).next == before == 100
    world.rest()
    assert world.custody.book.get(Rescan, name).status == "done"
    step(world)
    assert world.free("ann", "TOK") == 500 * UNITS


def test_a_rescan_asked_for_at_once_leaves_out_no_block_before_the_token_is_watched(
    world: World,
) -> None:
    step(world)
    tx = world.deposit("ann", 500, TOKEN)
    for _ in range(3):
        world.chain.mine()
    register(world)
    world.custody.rescans.request("r", 0, None, "op")
    world.custody.scanner.follow()
    for _ in range(3):
        world.chain.mine()
    step(world, 3)
    assert [each.txid for each in deposits(world)] == [tx.txid]
    assert world.free("ann", "TOK") == 500 * UNITS
    assert world.reconcile().differences == []


def test_one_rescan_finds_what_came_before_custody_began_to_follow(world: World) -> None:
    address = world.custody.keys.deposit_address(0)
    world.chain.send(RICH, address, WEI)
    step(world, 3)
    assert world.custody.addresses.of("ann") == address
    step(world)
    assert world.free("ann") == 0
    assert rescan(world).found == 1
    step(world)
    assert world.free("ann") == WEI // 10**10
    assert world.reconcile().differences == []


@pytest.mark.parametrize(("first", "last"), [(-1, 3), (3, 2), (0, 99), (50, None)])
def test_a_range_that_was_not_followed_is_refused(
    world: World, first: int, last: int | None
) -> None:
    step(world, 4)
    with pytest.raises(BadRequest, match="not within 0 to"):
        world.custody.rescans.request("r", first, last, "op")


def test_a_rescan_is_bounded_and_named_once(world: World) -> None:
    step(world, 4)
    made = world.custody.rescans.request("r", 1, 3, "op")
    assert world.custody.rescans.request("r", 1, 3, "op").version == made.version
    for last in (2, None):
        with pytest.raises(DuplicateMismatch):
            world.custody.rescans.request("r", 1, last, "op")
    for name in ("", "x" * 129):
        with pytest.raises(BadRequest, match="1 to 128 characters"):
            world.custody.rescans.request(name, 1, 3, "op")
    world.custody.book.chain_record.tip = replace(
        world.custody.book.chain_record.tip, height=2 * BLOCKS_MAX
    )
    with pytest.raises(BadRequest, match="100000 blocks at most"):
        world.custody.rescans.request("long", 1, BLOCKS_MAX + 1, "op")


def test_a_node_that_has_lost_old_blocks_ends_the_rescan_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    step(world, 4)
    real = world.chain.scan_range

    def forgetful(first: int, count: int, watch: Any) -> Any:
        if first < 3:
            raise NodeLagging("missing trie node")
        return real(first, count, watch)

    monkeypatch.setattr(world.chain, "scan_range", forgetful)
    asked = world.custody.rescans.request("r", 0, 3, "op").id
    for _ in range(ATTEMPTS_MAX - 1):
        assert not world.custody.rescans.step()
    assert world.custody.book.get(Rescan, asked).status == "running"
    world.deposit("ann", WEI)
    step(world, 3)
    failed = world.custody.book.get(Rescan, asked)
    assert (failed.status, failed.next) == ("failed", 0)
    assert "at block 0: NODE_LAGGING" in failed.reason
    assert world.free("ann") > 0
    assert rescan(world, "later", 3).status == "done"


def test_a_fake_with_the_same_name_at_another_address_is_nothing(world: World) -> None:
    register(world)
    world.chain.state.balances[RICH, FAKE] = 10**9
    world.deposit("ann", 500, FAKE)
    step(world, 4)
    rescan(world)
    assert deposits(world) == []
    assert world.free("ann", "TOK") == 0


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"contract": "nonsense"}, BadAddress),
        ({"contract": "0xnothing"}, UnknownContract),
        ({"decimals": 18}, TokenMismatch),
        ({"decimals": 19}, BadRequest),
        ({"decimals": -1}, BadRequest),
        ({"asset": COIN}, TokenConflict),
        ({"asset": "XYZ"}, UnknownAsset),
        ({"minimum": "0.0000001"}, BadRequest),
        ({"minimum": "1e3"}, BadRequest),
        ({"hot_low": "1", "hot_target": "0"}, BadRequest),
    ],
)
def test_a_token_that_is_not_what_was_said_is_refused(
    world: World, changes: dict[str, Any], error: type[WalletError]
) -> None:
    with pytest.raises(WalletError) as raised:
        register(world, changed(TOK, **changes))
    assert type(raised.value) is error
    assert world.custody.book.tokens == []


def test_a_token_that_tells_no_decimals_has_those_that_an_operator_says(world: World) -> None:
    world.chain.tokens[TOKEN] = None
    with pytest.raises(TokenMismatch, match="tells no decimals: give those that it means"):
        register(world)
    told = changed(TOK, decimals_untold=True)
    register(world, told)
    [token] = world.custody.book.tokens
    assert (token.decimals, token.decimals_untold) == (6, True)
    world.deposit("ann", 500, TOKEN)
    step(world, 4)
    assert world.free("ann", "TOK") == 500 * UNITS
    with pytest.raises(TokenMismatch, match="has 6 decimals, not 8"):
        register(world, changed(told, decimals=8))
    register(world, changed(told, minimum="2"))
    assert world.custody.book.tokens[0].terms.minimum == 2 * 10**6


def test_a_token_that_tells_its_decimals_has_no_others_whatever_an_operator_says(
    world: World,
) -> None:
    with pytest.raises(TokenMismatch, match="has 6 decimals, not 8"):
        register(world, changed(TOK, decimals=8, decimals_untold=True))
    register(world, changed(TOK, decimals_untold=True))
    assert not world.custody.book.tokens[0].decimals_untold


def test_a_contract_is_one_asset_and_an_asset_one_contract(world: World) -> None:
    world.chain.tokens[FAKE] = 6
    world.exchange.ledger.assets["OTH"] = world.exchange.ledger.assets["TOK"]
    register(world)
    with pytest.raises(TokenConflict, match="0xtoken is TOK already"):
        register(world, changed(TOK, asset="OTH"))
    with pytest.raises(TokenConflict, match="TOK is 0xtoken already"):
        register(world, changed(TOK, contract=FAKE))
    register(world, changed(TOK, contract=FAKE, asset="OTH"))
    assert [each.asset for each in world.custody.book.tokens] == ["TOK", "OTH"]


def test_two_processes_cannot_give_one_asset_two_contracts(world: World) -> None:
    world.chain.tokens[FAKE] = 6
    here = world.custody
    world.start()
    register(world)
    with pytest.raises(WalletError) as raised:
        here.tokens.register(changed(TOK, contract=FAKE), "op")
    assert raised.value.retryable
    here.book.catch_up()
    with pytest.raises(TokenConflict):
        here.tokens.register(changed(TOK, contract=FAKE), "op")


def test_registered_again_a_token_is_the_same_or_on_other_terms(world: World) -> None:
    register(world)
    before = world.custody.book.position
    register(world)
    assert world.custody.book.position == before
    register(world, changed(TOK, minimum="5", review=True))
    world.deposit("ann", 10**6, TOKEN)
    step(world, 4)
    coin = world.custody.coins.of_asset("TOK")
    assert coin is not None
    assert (coin.minimum, coin.review) == (5 * 10**6, True)
    assert (the_deposit(world).status, the_deposit(world).reason) == ("quarantined", "review")


def test_a_deposit_is_worth_a_ledger_unit_at_least(world: World) -> None:
    world.chain.tokens[TOKEN] = 18
    register(world, changed(TOK, decimals=18, minimum="0"))
    coin = world.custody.coins.of_asset("TOK")
    assert coin is not None
    assert coin.minimum == 10**10
    world.deposit("ann", 10**10 - 1, TOKEN)
    step(world, 4)
    assert the_deposit(world).status == "small"


def test_deposits_of_a_disabled_token_wait_for_an_operator(world: World) -> None:
    register(world)
    world.custody.tokens.disable(TOKEN, "it was hacked", "op")
    world.deposit("ann", 700, TOKEN)
    step(world, 4)
    held = the_deposit(world)
    assert (held.status, held.reason) == ("quarantined", "token_disabled")
    world.custody.deposits.release(held.key, "op")
    step(world)
    assert the_deposit(world).status == "quarantined"
    world.custody.tokens.enable(TOKEN, "op")
    world.custody.deposits.release(held.key, "op")
    step(world)
    assert world.free("ann", "TOK") == 700 * UNITS
    assert world.reconcile().differences == []


def test_withdrawals_of_a_disabled_token_are_refused_and_given_back(world: World) -> None:
    register(world)
    world.deposit("ann", 10**6, TOKEN)
    step(world, 4)
    asked = ApprovedWithdrawal(
        withdrawal_id=9, account="ann", asset="TOK", amount=100, address="0xpayee"
    )
    assert world.custody.withdrawals.intent(asked).token == TOKEN
    world.custody.tokens.disable(TOKEN, "it was hacked", "op")
    with pytest.raises(TokenDisabled):
        world.custody.withdrawals.intent(asked)
    number = world.withdraw("ann", 50_000, "TOK")
    step(world, 3)
    assert status(world, number) == "failed"
    assert world.free("ann", "TOK") == 10**6 * UNITS


def test_a_withdrawal_that_waits_when_its_token_is_disabled_is_given_back(world: World) -> None:
    register(world)
    world.deposit("ann", 10**6, TOKEN)
    step(world, 4)
    world.chain.price = 10**10
    number = world.withdraw("ann", 50_000, "TOK")
    world.custody.pause("a drill")
    step(world, 2)
    assert status(world, number) == "approved"
    world.chain.price = 2
    world.custody.tokens.disable(TOKEN, "it was hacked", "op")
    world.custody.resume("op")
    step(world, 3)
    assert status(world, number) == "failed"
    assert world.paid("0xpayee1", TOKEN) == 0


def test_a_token_that_is_not_registered_can_be_neither_disabled_nor_enabled(world: World) -> None:
    with pytest.raises(UnknownToken):
        world.custody.tokens.disable(TOKEN, "why", "op")
    with pytest.raises(UnknownToken):
        world.custody.tokens.enable(TOKEN, "op")
    register(world)
    for reason in ("", "x" * 257):
        with pytest.raises(BadRequest):
            world.custody.tokens.disable(TOKEN, reason, "op")
    before = world.custody.book.position
    world.custody.tokens.enable(TOKEN, "op")
    assert world.custody.book.position == before


def test_a_token_of_the_run_is_swept_withdrawn_and_its_gas_is_no_deposit(world: World) -> None:
    step(world)
    register(world)
    world.deposit("ann", 10**6, TOKEN)
    world.settle(12)
    address = world.custody.addresses.of("ann")
    assert world.custody.book.holding(address, TOKEN) == 0
    assert len(world.exchange.ledger.deposits) == 1
    number = world.withdraw("ann", 50_000, "TOK")
    world.settle(4)
    assert (status(world, number), world.paid("0xpayee1", TOKEN)) == ("completed", 1)
    rescan(world)
    assert world.reconcile().differences == []


@pytest.mark.parametrize("unlisted", [(IntentKind.SWEEP, TOKEN), (IntentKind.TOP_UP, None)])
def test_what_the_signer_would_not_sweep_is_not_planned_and_costs_no_gas(
    world: World, unlisted: tuple[IntentKind, TokenId | None]
) -> None:
    world.signer.unlisted.add(unlisted)
    register(world)
    world.deposit("ann", 10**6, TOKEN)
    world.settle(8)
    payments = [p for p in world.custody.book.records.values() if isinstance(p, Payment)]
    assert payments == []
    world.signer.unlisted.clear()
    world.settle(12)
    assert world.custody.book.holding(world.custody.addresses.of("ann"), TOKEN) == 0


def test_a_token_without_a_limit_to_sweep_from_stays_where_it_came(world: World) -> None:
    register(world, changed(TOK, sweep_from="0"))
    world.deposit("ann", 10**6, TOKEN)
    world.settle(8)
    assert world.custody.book.holding(world.custody.addresses.of("ann"), TOKEN) == 10**6
    assert world.custody.book.chain_record.refills == {}


def test_a_rescan_has_a_record_of_its_own(world: World) -> None:
    asked = world.custody.rescans.request("r", 0, 0, "op")
    assert asked.id == rescan_id(world.chain.id, "r") != rescan_id(world.chain.id, "s")


def test_coverage_knows_what_was_scanned_after_any_reorganisation() -> None:
    coverage = Coverage(100)
    assert [coverage.has(height) for height in (99, 100, 101)] == [False, False, True]
    coverage.add(10, 20)
    coverage.add(15, 30)
    coverage.add(31, 40)
    coverage.add(60, 70)
    covered = [height for height in range(101) if coverage.has(height)]
    assert covered == [*range(10, 41), *range(60, 71)]
    assert [coverage.has_all(first) for first in (101, 100, 60)] == [True, False, False]
    coverage.disconnect(65)
    assert [coverage.has(height) for height in (59, 60, 65, 66)] == [False, True, True, True]
    coverage.disconnect(35)
    assert [height for height in range(60) if coverage.has(height)] == list(range(10, 60))
