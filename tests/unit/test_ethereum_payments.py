"""Payments on Ethereum: what is built, what a node says, and what became of it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web3.types import RPCEndpoint, RPCResponse

from tests.ethereum_world import ETHER, GWEI, RICH, DevWorld, Person, someone
from wallet.errors import (
    BadAddress,
    BadRequest,
    FeeAboveCap,
    InsufficientHotFunds,
    NodeLagging,
    NodeUnavailable,
    WalletError,
    WillFail,
    WrongChain,
)
from wallet.ethereum import fees
from wallet.ethereum.chain import EthereumChain, heads_url
from wallet.ethereum.devnode.node import DevNode
from wallet.ethereum.devnode.provider import DevNodeProvider
from wallet.ethereum.rpc import Rpc, RpcError, hint
from wallet.ethereum.scan import find
from wallet.ethereum.transaction import Fields, parse
from wallet.types import (
    Address,
    Attempt,
    BlockHash,
    BroadcastHint,
    ChainId,
    FeePolicy,
    FeeQuote,
    Finality,
    InPool,
    Intent,
    IntentId,
    IntentKind,
    Mined,
    NotSeen,
    Slot,
    SlotTaken,
    TokenId,
    Unsigned,
    WatchSet,
)


@pytest.fixture
def world() -> DevWorld:
    return DevWorld()


def release(world: DevWorld) -> Intent:
    return Intent(id=IntentId("r"), kind=IntentKind.RELEASE, chain=world.chain.id)


def test_a_payment_is_what_the_intent_says(world: DevWorld) -> None:
    payee = someone().address
    intent = world.payment(payee, 5 * ETHER)
    unsigned = world.chain.build(intent, world.slot(world.rich), world.chain.estimate_fee(RICH))
    said = world.chain.parse(unsigned.raw)
    assert (said.chain, said.anchor, said.to, said.amount) == ("eip155:1337", "0", payee, 5 * ETHER)
    assert (said.token, said.data, said.sender, said.txid) == (None, b"", None, None)
    assert unsigned.fee_max == said.fee_max == 21_000 * said.price
    attempt = world.rich.sign(unsigned)
    signed = world.chain.parse(attempt.raw)
    assert (signed.sender, signed.txid) == (world.rich.address, attempt.txid)
    assert replace(signed, sender=None, txid=None) == said


def test_a_token_payment_is_read_back_as_one(world: DevWorld) -> None:
    token, payee = world.token(), someone().address
    said = world.chain.parse(world.attempt(world.rich, world.payment(payee, 7, token)).raw)
    assert (said.token, said.to, said.amount, said.data) == (token, payee, 7, b"")


def test_a_payment_in_a_block_is_done(world: DevWorld) -> None:
    payee = someone().address
    attempt = world.attempt(world.rich, world.payment(payee, 5))
    assert world.chain.outcome([attempt]) == NotSeen()
    assert world.chain.broadcast(attempt.raw) is BroadcastHint.ACCEPTED
    assert world.chain.outcome([attempt]) == InPool(txid=attempt.txid)
    world.mine()
    mined = world.chain.outcome([attempt])
    assert isinstance(mined, Mined)
    assert (mined.txid, mined.ok, mined.moved) == (attempt.txid, True, 5)
    assert mined.block == world.chain.tip()
    assert mined.fee == ETHER * 10_000 - 5 - balance(world, world.rich.address)


def balance(world: DevWorld, address: Address) -> int:
    return world.chain.balances([address], None)[address]


def test_any_attempt_may_be_the_one_that_is_mined(world: DevWorld) -> None:
    slot, intent = world.slot(world.rich), world.payment(someone().address, 5)
    first = world.attempt(world.rich, intent, slot)
    second = world.attempt(world.rich, intent, slot, [first])
    world.chain.broadcast(first.raw)
    world.mine()
    assert world.chain.broadcast(second.raw) is BroadcastHint.SLOT_USED
    mined = world.chain.outcome([first, second])
    assert isinstance(mined, Mined)
    assert mined.txid == first.txid


def test_a_replacement_offers_an_eighth_more_and_is_taken(world: DevWorld) -> None:
    slot, intent = world.slot(world.rich), world.payment(someone().address, 5)
    first = world.attempt(world.rich, intent, slot)
    second = world.attempt(world.rich, intent, slot, [first])
    old, new = parse(first.raw), parse(second.raw)
    assert new.price * 8 >= old.price * 9
    assert new.tip * 8 >= old.tip * 9
    assert (new.to, new.amount, new.anchor) == (old.to, old.amount, old.anchor)
    world.chain.broadcast(first.raw)
    assert world.chain.broadcast(second.raw) is BroadcastHint.ACCEPTED
    assert world.chain.outcome([first, second]) == InPool(txid=second.txid)


def test_a_replacement_that_offers_too_little_is_underpriced(world: DevWorld) -> None:
    slot, offer = world.slot(world.rich), world.chain.estimate_fee(RICH)
    one, other = (world.payment(someone().address, amount) for amount in (1, 2))
    slightly_more = replace(offer, price=offer.price * 105 // 100, tip=offer.tip * 105 // 100)
    first = world.rich.sign(world.chain.build(one, slot, offer))
    second = world.rich.sign(world.chain.build(other, slot, slightly_more))
    world.chain.broadcast(first.raw)
    assert world.chain.broadcast(second.raw) is BroadcastHint.UNDERPRICED


def test_a_release_uses_up_the_slot_of_a_payment(world: DevWorld) -> None:
    slot, payee = world.slot(world.rich), someone().address
    stuck = world.attempt(world.rich, world.payment(payee, 5), slot)
    world.chain.broadcast(stuck.raw)
    freed = world.attempt(world.rich, release(world), slot, [stuck])
    assert world.chain.broadcast(freed.raw) is BroadcastHint.ACCEPTED
    world.mine()
    assert world.chain.outcome([stuck]) == SlotTaken(at=world.chain.tip())
    said = parse(freed.raw)
    assert (said.to, said.amount) == (world.rich.address, 0)
    assert balance(world, payee) == 0


def test_attempts_of_another_slot_are_refused(world: DevWorld) -> None:
    slot, intent = world.slot(world.rich), world.payment(someone().address, 5)
    other = world.attempt(world.rich, intent, replace(slot, anchor="9"))
    with pytest.raises(BadRequest):
        world.attempt(world.rich, intent, slot, [other])


def test_a_token_that_says_no_is_not_paid(world: DevWorld) -> None:
    made, address = world.deploy("false_token", 10**6)
    world.transact(made, address, "refuse", True)
    world.mine()
    with pytest.raises(WillFail, match="refuses"):
        world.attempt(world.rich, world.payment(someone().address, 1, TokenId(address)))


def test_success_without_our_transfer_is_a_failure(world: DevWorld) -> None:
    """The token began to say no between the try and the block: status 1, but nothing moved."""
    made, address = world.deploy("false_token", 10**6)
    payment = world.payment(someone().address, 1, TokenId(address))
    slot = Slot.numbered(world.chain.id, world.rich.address, 2)
    attempt = world.attempt(world.rich, payment, slot)
    world.transact(made, address, "refuse", True)
    world.chain.broadcast(attempt.raw)
    world.mine()
    mined = world.chain.outcome([attempt])
    assert isinstance(mined, Mined)
    assert (mined.ok, mined.moved) == (False, 0)


@pytest.mark.parametrize("name", ["erc20", "silent_token"])
def test_a_token_payment_with_its_log_is_done(world: DevWorld, name: str) -> None:
    token = world.token(name)
    attempt = world.attempt(world.rich, world.payment(someone().address, 8, token))
    world.chain.broadcast(attempt.raw)
    world.mine()
    mined = world.chain.outcome([attempt])
    assert isinstance(mined, Mined)
    assert (mined.ok, mined.moved) == (True, 8)


def test_who_has_too_little_is_told_before_signing(world: DevWorld) -> None:
    poor, token = someone(), world.token()
    with pytest.raises(InsufficientHotFunds):
        world.attempt(poor, world.payment(someone().address, 1))
    with pytest.raises(WillFail, match="balance too low"):
        world.attempt(poor, world.payment(someone().address, 1, token))


def test_a_gap_before_it_keeps_a_transaction_waiting(world: DevWorld) -> None:
    slot = Slot.numbered(world.chain.id, world.rich.address, 1)
    ahead = world.attempt(world.rich, world.payment(someone().address, 1), slot)
    assert world.chain.broadcast(ahead.raw) is BroadcastHint.ACCEPTED
    world.mine()
    assert world.chain.outcome([ahead]) == InPool(txid=ahead.txid)
    world.pay(someone().address, 1)
    world.mine()
    assert isinstance(world.chain.outcome([ahead]), Mined)


def test_the_same_broadcast_twice_is_known(world: DevWorld) -> None:
    attempt = world.attempt(world.rich, world.payment(someone().address, 1))
    world.chain.broadcast(attempt.raw)
    assert world.chain.broadcast(attempt.raw) is BroadcastHint.KNOWN


def test_a_broadcast_for_another_chain_is_refused(world: DevWorld) -> None:
    fields = replace(
        _fields(world.attempt(world.rich, world.payment(someone().address, 1))), chain_id=1
    )
    signed = _signed(world.rich, fields)
    assert world.chain.broadcast(signed.raw) is BroadcastHint.REFUSED


def test_a_wiped_pool_is_not_seen_and_sent_again(world: DevWorld) -> None:
    attempt = world.attempt(world.rich, world.payment(someone().address, 1))
    world.chain.broadcast(attempt.raw)
    world.node.wipe_pool()
    assert world.chain.outcome([attempt]) == NotSeen()
    assert world.chain.broadcast(attempt.raw) is BroadcastHint.ACCEPTED


def test_a_reorganisation_takes_a_payment_back_into_the_pool(world: DevWorld) -> None:
    attempt = world.attempt(world.rich, world.payment(someone().address, 1))
    world.chain.broadcast(attempt.raw)
    world.mine(3)
    mined = world.chain.outcome([attempt])
    assert isinstance(mined, Mined)
    world.node.reorg(3, blocks=0)
    assert world.chain.outcome([attempt]) == InPool(txid=attempt.txid)
    world.mine(4)
    again = world.chain.outcome([attempt])
    assert isinstance(again, Mined)
    assert again.block.hash != mined.block.hash
    assert world.chain.confirmations(mined.block) is None
    assert world.chain.confirmations(again.block) == 4


def test_slots_used_are_those_of_the_block(world: DevWorld) -> None:
    before = world.chain.tip()
    world.pay(someone().address, 1)
    world.mine()
    assert world.chain.slots_used(world.rich.address) == 1
    assert world.chain.slots_used(world.rich.address, before) == 0


def test_finality_grows_with_depth(world: DevWorld) -> None:
    world.mine()
    ref = world.chain.tip()
    assert world.chain.finality(ref) is Finality.HEAD
    world.mine(4)
    assert world.chain.finality(ref) is Finality.SAFE
    world.mine(4)
    assert world.chain.finality(ref) is Finality.FINAL
    world.node.reorg(9)
    assert world.chain.finality(ref) is Finality.HEAD


def test_fees_above_the_policy_are_not_offered(world: DevWorld) -> None:
    with pytest.raises(FeeAboveCap):
        world.chain.estimate_fee(FeePolicy(price_max=100, total_max=ETHER))
    offer = world.chain.estimate_fee(FeePolicy(price_max=100 * GWEI, total_max=100))
    with pytest.raises(FeeAboveCap):
        world.chain.build(world.payment(someone().address, 1), world.slot(world.rich), offer)


def test_an_offer_stays_below_its_cap() -> None:
    history = {"baseFeePerGas": ["0x64", "0x64"], "gasUsedRatio": [0.5], "reward": [["0x989680"]]}
    policy = FeePolicy(price_max=10_000_150, total_max=ETHER)
    assert fees.quote(history, policy) == FeeQuote(price=10_000_150, tip=10**7, policy=policy)


@given(price=st.integers(1, 10**15), tip=st.integers(0, 10**15))
def test_outbidding_is_always_an_eighth_more(price: int, tip: int) -> None:
    policy = FeePolicy(price_max=10**16, total_max=ETHER)
    old = replace(parse(EXAMPLE.encode()), price=price, tip=tip)
    new = fees.outbid(FeeQuote(price=1, tip=1, policy=policy), [old])
    assert new.price * 8 >= price * 9
    assert new.tip * 8 >= tip * 9


EXAMPLE = Fields(
    chain_id=1, nonce=0, tip=1, price=2, gas=21_000, to=b"\x11" * 20, value=1, data=b""
)


@given(
    st.builds(
        Fields,
        chain_id=st.integers(1, 2**32),
        nonce=st.integers(0, 2**63),
        tip=st.integers(0, 2**100),
        price=st.integers(0, 2**100),
        gas=st.integers(21_000, 30_000_000),
        to=st.one_of(st.just(b""), st.binary(min_size=20, max_size=20)),
        value=st.integers(0, 2**255),
        data=st.binary(max_size=100),
    )
)
def test_every_transaction_is_read_as_it_was_written(fields: Fields) -> None:
    said = parse(fields.encode())
    assert (said.anchor, said.price, said.tip) == (str(fields.nonce), fields.price, fields.tip)
    assert said.fee_max == fields.gas * fields.price
    if said.token is None:
        assert (said.amount, said.data) == (fields.value, fields.data)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_transaction_are_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(b"\x02" + raw)


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("already known", BroadcastHint.KNOWN),
        ("transaction already imported", BroadcastHint.KNOWN),
        ("AlreadyKnown", BroadcastHint.KNOWN),
        ("nonce too low: next nonce 5, tx nonce 3", BroadcastHint.SLOT_USED),
        ("OldNonce, Current nonce: 5", BroadcastHint.SLOT_USED),
        ("replacement transaction underpriced", BroadcastHint.UNDERPRICED),
        ("transaction underpriced: tip needed 1", BroadcastHint.UNDERPRICED),
        ("nonce too high", BroadcastHint.SLOT_AHEAD),
        ("Insufficient funds for gas * price + value", BroadcastHint.NO_FUNDS),
        ("invalid chain id for signer: have 1 want 2", BroadcastHint.REFUSED),
    ],
)
def test_nodes_say_the_same_in_different_words(message: str, meant: BroadcastHint) -> None:
    assert hint(RpcError(-32603, message)) is meant


class Faulty(DevNodeProvider):
    """Loses requests or answers as it is told to."""

    def __init__(self, node: DevNode) -> None:
        super().__init__(node)
        self.lose_requests = self.lose_answers = 0

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        if self.lose_requests:
            self.lose_requests -= 1
            raise ConnectionError("lost request")
        response = super().make_request(method, params)
        if self.lose_answers:
            self.lose_answers -= 1
            raise ConnectionError("lost answer")
        return response


@pytest.fixture
def faulty(world: DevWorld) -> tuple[Faulty, EthereumChain]:
    provider = Faulty(world.node)
    return provider, EthereumChain(Rpc(provider, pause=lambda s: None))


def test_a_lost_answer_to_a_broadcast_proves_nothing(
    world: DevWorld, faulty: tuple[Faulty, EthereumChain]
) -> None:
    provider, chain = faulty
    attempt = world.attempt(world.rich, world.payment(someone().address, 1))
    provider.lose_requests = 1
    assert chain.broadcast(attempt.raw) is BroadcastHint.UNKNOWN
    assert chain.outcome([attempt]) == NotSeen()
    provider.lose_answers = 1
    assert chain.broadcast(attempt.raw) is BroadcastHint.UNKNOWN
    assert chain.outcome([attempt]) == InPool(txid=attempt.txid)
    assert chain.broadcast(attempt.raw) is BroadcastHint.KNOWN


def test_reading_is_tried_again(world: DevWorld, faulty: tuple[Faulty, EthereumChain]) -> None:
    provider, chain = faulty
    provider.lose_answers = 2
    assert chain.tip() == world.chain.tip()
    provider.lose_answers = 3
    with pytest.raises(NodeUnavailable):
        chain.tip()


def test_a_node_that_lags_is_not_a_reorganisation(world: DevWorld) -> None:
    """One backend of several is behind: it knows less, and says nothing else of what it knows."""
    behind = DevNode(clock=lambda: 1_700_000_000.0)
    ahead = DevNode(clock=lambda: 1_700_000_000.0)
    behind.mine(2)
    ahead.mine(5)
    chain = EthereumChain(Rpc(DevNodeProvider(ahead), pause=lambda s: None))
    tip, second = chain.tip(), chain.block_ref(2)
    assert second is not None
    chain.rpc.provider = DevNodeProvider(behind)
    chain.check()
    assert chain.block_ref(5) is None, "no answer, rather than another block"
    assert chain.block_ref(2) == second
    assert chain.confirmations(second) == 1
    for ask in (
        lambda: chain.confirmations(tip),
        lambda: chain.scan(tip, WatchSet()),
        lambda: chain.balances([someone().address], None, tip),
        lambda: chain.slots_used(someone().address, tip),
    ):
        with pytest.raises(NodeLagging):
            ask()


def test_receipts_of_another_block_are_not_believed(world: DevWorld) -> None:
    payee = someone().address
    world.pay(payee, 1)
    world.mine()
    block = world.rpc.call("eth_getBlockByNumber", "latest", True)
    receipts = world.rpc.call("eth_getBlockReceipts", block["hash"])
    watch = WatchSet([payee])
    assert find(world.chain.id, block, receipts, watch).scan.transfers
    for wrong in ([], [receipts[0] | {"blockHash": "0x" + "12" * 32}], receipts * 2):
        with pytest.raises(NodeLagging):
            find(world.chain.id, block, wrong, watch)


def test_another_chain_is_refused_at_the_start_and_later(world: DevWorld) -> None:
    rpc = world.rpc
    with pytest.raises(WrongChain):
        EthereumChain(rpc, expected=ChainId("eip155:1"))
    with pytest.raises(WrongChain):
        EthereumChain(rpc, genesis=BlockHash("0x" + "00" * 32))
    world.chain.check()
    rpc.provider = DevNodeProvider(DevNode(chain_id=1337, clock=lambda: 1e9))
    with pytest.raises(WrongChain):
        world.chain.check()


@pytest.mark.parametrize(
    "text", ["", "0x12", "0x" + "g" * 40, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92267"]
)
def test_a_bad_address_is_refused(world: DevWorld, text: str) -> None:
    with pytest.raises(BadAddress):
        world.chain.validate_address(text)


def test_an_address_has_one_spelling_and_no_tag(world: DevWorld) -> None:
    payee = someone().address
    assert world.chain.validate_address(payee.lower()) == payee
    with pytest.raises(BadAddress):
        world.chain.validate_address(payee, tag=1)


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = WalletError.__subclasses__()
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes) >= 25


def test_heads_come_from_the_same_place() -> None:
    assert heads_url("https://node:8545/key") == "wss://node:8545/key"


def _fields(attempt: Attempt) -> Fields:
    said = parse(attempt.raw)
    assert said.to is not None
    return Fields(
        chain_id=1337,
        nonce=int(said.anchor),
        tip=said.tip,
        price=said.price,
        gas=21_000,
        to=bytes.fromhex(said.to[2:]),
        value=said.amount,
        data=b"",
    )


def _signed(owner: Person, fields: Fields) -> Attempt:
    slot = Slot.numbered(ChainId("eip155:1"), owner.address, fields.nonce)
    return owner.sign(Unsigned(intent_id=IntentId("x"), slot=slot, raw=fields.encode(), fee_max=0))
