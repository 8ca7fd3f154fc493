"""Ethereum, and every chain whose nodes speak like Ethereum's, as custody sees it."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from wallet.block_scan import BlockScan, ChangedByCall
from wallet.chain import Heads
from wallet.errors import (
    BadAddress,
    NodeLagging,
    NodeUnavailable,
    TokenMismatch,
    UnknownContract,
    WrongChain,
)
from wallet.ethereum import build, fees, outcome, transaction
from wallet.ethereum.heads import POLL_S, PolledHeads, SubscribedHeads
from wallet.ethereum.rpc import Rpc, RpcError, hint, result_of
from wallet.ethereum.scan import CalledHolding, Found, Holding, find, measure, measure_calls, ref_of
from wallet.ethereum.tokens import (
    COLLECTIBLE_CALL,
    DECIMALS_SELECTOR,
    NOTHING,
    balance_call,
    read_balance,
    read_number,
)
from wallet.keys import errors as key_errors
from wallet.keys.ethereum import checksummed, parse_address
from wallet.types import (
    Address,
    Attempt,
    BlockHash,
    BlockRef,
    BroadcastHint,
    Capabilities,
    ChainId,
    Decoded,
    FeePolicy,
    FeeQuote,
    Finality,
    Intent,
    Outcome,
    Slot,
    TokenId,
    Unsigned,
    WatchSet,
)

_log = logging.getLogger(__name__)

Request = tuple[str, Sequence[Any]]
# A full block of the main network and its receipts are some megabytes.
BLOCKS_PER_MESSAGE = 10
ETHER = Capabilities(
    coin="ETH",
    decimals=18,
    reorgs=True,
    numbered_slots=True,
    tokens=True,
    contracts=True,
    finality_tags=True,
)


class EthereumChain:
    """A chain through one node.

    heads_url: where new heads are told of (`ws://…`); None looks every `poll_s` only.
    Raises: WrongChain: the node serves another chain than `expected`, by number or first block.
    """

    capabilities = ETHER

    def __init__(
        self,
        rpc: Rpc,
        *,
        heads_url: str | None = None,
        poll_s: float = POLL_S,
        expected: ChainId | None = None,
        genesis: BlockHash | None = None,
        on_trouble: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self.rpc = rpc
        self._heads_url, self._poll_s, self._on_trouble = heads_url, poll_s, on_trouble
        self.id, self.genesis = self._identity()
        if (expected or self.id, genesis or self.genesis) != (self.id, self.genesis):
            raise WrongChain(f"the node serves {self.id} from block {self.genesis}")

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        poll_s: float = POLL_S,
        expected: ChainId | None = None,
        genesis: BlockHash | None = None,
        on_trouble: Callable[[Exception], None] = lambda error: None,
    ) -> "EthereumChain":
        """Return the chain of the node at an HTTP URL.

        New heads are heard of over WebSocket at the same place; where nobody answers there, by
        looking every `poll_s`.
        """
        return cls(
            Rpc.http(url),
            heads_url=heads_url(url),
            poll_s=poll_s,
            expected=expected,
            genesis=genesis,
            on_trouble=on_trouble,
        )

    def check(self) -> None:
        """See `Chain.check`."""
        found = self._identity()
        if found != (self.id, self.genesis):
            raise WrongChain(f"the node now serves {found[0]} from block {found[1]}")

    def tip(self) -> BlockRef:
        """See `Chain.tip`."""
        return ref_of(self.rpc.call("eth_getBlockByNumber", "latest", False))

    def heads(self) -> Heads:
        """See `Chain.heads`."""
        if self._heads_url is None:
            return PolledHeads(self._poll_s)
        return SubscribedHeads(self._heads_url, poll_s=self._poll_s, on_trouble=self._on_trouble)

    def block_ref(self, height: int) -> BlockRef | None:
        """See `Chain.block_ref`."""
        block = self.rpc.call("eth_getBlockByNumber", hex(height), False)
        return None if block is None else ref_of(block)

    def scan(self, ref: BlockRef, watch: WatchSet) -> BlockScan:
        """See `Chain.scan`."""
        block = self.rpc.call("eth_getBlockByHash", ref.hash, True)
        if block is None:
            raise NodeLagging(f"the node does not have block {ref.hash}")
        return self._scan([block], watch)[0]

    def scan_range(self, first: int, count: int, watch: WatchSet) -> list[BlockScan]:
        """See `Chain.scan_range`."""
        heights = range(first, first + count)
        requests: list[Request] = [("eth_getBlockByNumber", [hex(h), True]) for h in heights]
        answers = self.rpc.batch(requests, size=BLOCKS_PER_MESSAGE)
        return self._scan(_linked(answers), watch)

    def finality(self, ref: BlockRef) -> Finality:
        """See `Chain.finality`."""
        if self.confirmations(ref) is None:
            return Finality.HEAD
        if ref.height <= self._tagged("finalized"):
            return Finality.FINAL
        return Finality.SAFE if ref.height <= self._tagged("safe") else Finality.HEAD

    def confirmations(self, ref: BlockRef) -> int | None:
        """See `Chain.confirmations`. Raises: NodeLagging: the node is not there yet."""
        tip, there = self.rpc.batch(
            [
                ("eth_getBlockByNumber", ["latest", False]),
                ("eth_getBlockByNumber", [hex(ref.height), False]),
            ]
        )
        if there is None:
            raise NodeLagging(f"the node does not have height {ref.height}")
        return ref_of(tip).height - ref.height + 1 if there["hash"] == ref.hash else None

    def validate_address(self, text: str, tag: int | None = None) -> Address:
        """See `Chain.validate_address`."""
        if tag is not None:
            raise BadAddress("addresses of Ethereum have no tag")
        try:
            return Address(checksummed(parse_address(text)))
        except key_errors.BadAddress as error:
            raise BadAddress(str(error)) from error

    def balances(
        self, addresses: Collection[Address], token: TokenId | None, at: BlockRef | None = None
    ) -> dict[Address, int]:
        """See `Chain.balances`."""
        block = (at or self.tip()).hash
        if token is not None:
            held = self._holdings([((token, address), block) for address in addresses])
            return dict(zip(addresses, held, strict=True))
        where = {"blockHash": block}
        answers = self.rpc.batch([("eth_getBalance", [address, where]) for address in addresses])
        return {address: int(a, 16) for address, a in zip(addresses, answers, strict=True)}

    def token_decimals(self, token: TokenId) -> int | None:
        """See `Chain.token_decimals`. To tell them is optional, says EIP-20; balances are not.

        A collectible (ERC-721) tells balances and no decimals, too, and is no such token.
        """
        if self.rpc.call("eth_getCode", token, "latest") in ("0x", None):
            raise UnknownContract(f"there is no contract at {token}")
        decimals, balance, collectible = (
            self._ask_contract(token, data)
            for data in (DECIMALS_SELECTOR, balance_call(token), COLLECTIBLE_CALL)
        )
        if read_number(balance) is None or read_number(collectible) == 1:
            raise TokenMismatch(f"{token} is no ERC-20 token: it tells no balances, or of one each")
        if decimals == NOTHING:
            return None
        found = read_number(decimals)
        if found is None or found >= 1 << 8:
            raise TokenMismatch(f"{token} is no ERC-20 token: its decimals are no such number")
        return found

    def estimate_fee(self, policy: FeePolicy) -> FeeQuote:
        """See `Chain.estimate_fee`."""
        percentiles = [fees.PERCENTILES[policy.speed]]
        blocks = hex(fees.HISTORY_BLOCKS)
        return fees.quote(self.rpc.call("eth_feeHistory", blocks, "latest", percentiles), policy)

    def build(
        self, intent: Intent, slot: Slot, fee: FeeQuote, previous: Sequence[Attempt] = ()
    ) -> Unsigned:
        """See `Chain.build`."""
        return build.build(self.rpc, intent, slot, fee, previous)

    def parse(self, raw: bytes) -> Decoded:
        """See `Chain.parse`."""
        return transaction.parse(raw)

    def broadcast(self, raw: bytes) -> BroadcastHint:
        """See `Chain.broadcast`."""
        try:
            result_of(self.rpc.once("eth_sendRawTransaction", "0x" + raw.hex()))
        except (NodeUnavailable, NodeLagging):
            return BroadcastHint.UNKNOWN
        except RpcError as error:
            return hint(error)
        return BroadcastHint.ACCEPTED

    def outcome(self, attempts: Sequence[Attempt]) -> Outcome:
        """See `Chain.outcome`."""
        return outcome.outcome(self.rpc, attempts)

    def slots_used(self, owner: Address, at: BlockRef | None = None) -> int:
        """See `Chain.slots_used`."""
        where = "latest" if at is None else {"blockHash": at.hash}
        return int(self.rpc.call("eth_getTransactionCount", owner, where), 16)

    def _identity(self) -> tuple[ChainId, BlockHash]:
        number, first = self.rpc.batch(
            [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
        )
        return transaction.chain_id_text(int(number, 16)), ref_of(first).hash

    def _tagged(self, tag: str) -> int:
        """Return the height of a tag; -1 where the chain has no such block yet, or no tags."""
        try:
            block = self.rpc.call("eth_getBlockByNumber", tag, False)
        except (RpcError, NodeLagging):
            return -1
        return -1 if block is None else ref_of(block).height

    def _scan(self, blocks: Sequence[Any], watch: WatchSet) -> list[BlockScan]:
        receipts = self._receipts(blocks)
        found = [
            find(self.id, block, of_block, watch)
            for block, of_block in zip(blocks, receipts, strict=True)
        ]
        return [self._measured(each) for each in found]

    def _receipts(self, blocks: Sequence[Any]) -> list[list[Any]]:
        """Return the receipts of each block, asked for by its hash so that forks cannot mix."""
        busy = [block for block in blocks if block["transactions"]]
        try:
            requests: list[Request] = [("eth_getBlockReceipts", [b["hash"]]) for b in busy]
            answers = self.rpc.batch(requests, size=BLOCKS_PER_MESSAGE)
        except RpcError:
            answers = [self._receipts_one_by_one(block) for block in busy]
        by_hash = {b["hash"]: a or [] for b, a in zip(busy, answers, strict=True)}
        return [by_hash.get(block["hash"], []) for block in blocks]

    def _receipts_one_by_one(self, block: Any) -> list[Any]:
        """Return what nodes without `eth_getBlockReceipts` have too."""
        hashes = [tx["hash"] for tx in block["transactions"]]
        answers = self.rpc.batch([("eth_getTransactionReceipt", [txid]) for txid in hashes])
        return [answer for answer in answers if answer is not None]

    def _measured(self, found: Found) -> BlockScan:
        scan = self._with_tokens_measured(found)
        return replace(scan, changed=self._changed(found, scan)) if found.called else scan

    def _changed(self, found: Found, scan: BlockScan) -> tuple[ChangedByCall, ...]:
        """Return what contracts changed in what their callers of ours hold.

        A node that has the block but no state of so long ago cannot tell. The chain is followed all
        the same: what is missing in the books then is a difference that people look at.
        """
        called = sorted(found.called, key=str)
        asked = [_holding(each, at) for at in (scan.ref.parent, scan.ref.hash) for each in called]
        try:
            answers = self.rpc.batch(asked)
        except NodeLagging:
            if self.rpc.call("eth_getBlockByHash", scan.ref.hash, False) is None:
                raise
            _log.warning("what calls changed for us in block %d is not known", scan.ref.height)
            return ()
        held = [
            int(answer, 16) if token is None else read_balance(answer)
            for (token, _), answer in zip([*called, *called], answers, strict=True)
        ]
        before = dict(zip(called, held[: len(called)], strict=True))
        return measure_calls(scan, before, dict(zip(called, held[len(called) :], strict=True)))

    def _with_tokens_measured(self, found: Found) -> BlockScan:
        if not found.measured:
            return found.scan
        holdings, ref = sorted(found.measured), found.scan.ref
        blocks = (ref.parent, ref.hash)
        held = self._holdings([(holding, block) for block in blocks for holding in holdings])
        before, after = held[: len(holdings)], held[len(holdings) :]
        return measure(
            found,
            dict(zip(holdings, before, strict=True)),
            dict(zip(holdings, after, strict=True)),
        )

    def _ask_contract(self, contract: TokenId, data: bytes) -> str:
        """Return what a contract answers; nothing when it refuses."""
        try:
            call = {"to": contract, "data": "0x" + data.hex()}
            return str(self.rpc.call("eth_call", call, "latest"))
        except RpcError:
            return NOTHING

    def _holdings(self, wanted: Iterable[tuple[Holding, BlockHash]]) -> list[int]:
        """Return balances of tokens as of blocks."""
        requests = [_holding(holding, block) for holding, block in wanted]
        return [read_balance(answer) for answer in self.rpc.batch(requests)]


def heads_url(url: str) -> str:
    """Return where a node at an HTTP URL tells of new heads: the same place over WebSocket."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme="wss" if parts.scheme == "https" else "ws"))


def _holding(holding: CalledHolding, block: BlockHash) -> Request:
    """Return what asks for a balance as of a block, of a token or of the chain's own coin."""
    token, address = holding
    if token is None:
        return "eth_getBalance", [address, {"blockHash": block}]
    call = {"to": token, "data": "0x" + balance_call(address).hex()}
    return "eth_call", [call, {"blockHash": block}]


def _linked(answers: Iterable[Any]) -> list[Any]:
    """Return the blocks up to the first that is missing or not the child of the one before."""
    blocks: list[Any] = []
    for block in answers:
        if block is None or (blocks and block["parentHash"] != blocks[-1]["hash"]):
            break
        blocks.append(block)
    return blocks
