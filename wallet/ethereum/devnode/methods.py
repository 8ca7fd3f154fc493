"""The JSON-RPC methods of a node, on a `DevNode`."""

from collections.abc import Callable, Sequence
from statistics import quantiles
from typing import Any

from wallet.ethereum.devnode import forms
from wallet.ethereum.devnode.evm import BLOCK_GAS, Message, Reverted, Sealed
from wallet.ethereum.devnode.node import FINAL_DEPTH, SAFE_DEPTH, DevNode
from wallet.ethereum.devnode.pool import PoolError

SERVER_ERROR = -32000
UNKNOWN_METHOD = -32601
BAD_PARAMETERS = -32602
REVERTED = 3
LOG_BLOCKS_MAX = 1000
FEE_BLOCKS_MAX = 1024
TIP = 10**9
HASH_CHARACTERS = 66
# How far below the tip each is.
TAGS = {"latest": 0, "pending": 0, "safe": SAFE_DEPTH, "finalized": FINAL_DEPTH}


class MethodError(Exception):
    """A request is refused: a code and a text, as JSON-RPC has them."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


class Methods:
    """Answers requests by method name and parameters."""

    def __init__(self, node: DevNode) -> None:
        self.node = node
        self._evm = node.evm
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: "foldex-devnode/1",
            "net_version": lambda: str(node.chain_id),
            "eth_chainId": lambda: hex(node.chain_id),
            "eth_syncing": lambda: False,
            "eth_blockNumber": lambda: hex(node.tip.height),
            "eth_gasPrice": lambda: hex(self._evm.next_base_fee(node.tip) + TIP),
            "eth_maxPriorityFeePerGas": lambda: hex(TIP),
            "eth_feeHistory": self._fee_history,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getTransactionCount": self._transaction_count,
            "eth_getBalance": self._balance,
            "eth_getCode": self._code,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate_gas,
            "eth_sendRawTransaction": self._send,
            "eth_getLogs": self._logs,
            "evm_mine": self._mine,
        }

    def answer(self, method: str, parameters: Sequence[Any]) -> Any:
        """Return the result of a request. Raises: MethodError."""
        found = self._methods.get(method)
        if found is None:
            raise MethodError(
                UNKNOWN_METHOD, f"the method {method} does not exist/is not available"
            )
        try:
            with self.node.lock:
                return found(*parameters)
        except Reverted as error:
            raise MethodError(REVERTED, str(error), forms.data(error.data)) from error
        except PoolError as error:
            raise MethodError(SERVER_ERROR, str(error)) from error
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise MethodError(BAD_PARAMETERS, f"invalid argument: {error}") from error

    def _block_by_number(self, which: str, full: bool) -> Any:
        found = self._at(which)
        return None if found is None else forms.block_form(found, full=full)

    def _block_by_hash(self, block_hash: str, full: bool) -> Any:
        found = self.node.block(_bytes(block_hash))
        return None if found is None else forms.block_form(found, full=full)

    def _block_receipts(self, which: Any) -> Any:
        found = self._at(which)
        if found is None:
            return None
        return [forms.receipt_form(found, index) for index in range(len(found.transactions))]

    def _transaction(self, txid: str) -> Any:
        place = self.node.place_of(_bytes(txid))
        if place is not None:
            return forms.mined_form(place.block, place.index)
        waiting = self.node.pool.find(_bytes(txid))
        return None if waiting is None else forms.waiting_form(waiting)

    def _receipt(self, txid: str) -> Any:
        place = self.node.place_of(_bytes(txid))
        return None if place is None else forms.receipt_form(place.block, place.index)

    def _transaction_count(self, address: str, which: Any = "latest") -> str:
        if which == "pending":
            return hex(self.node.nonce(_bytes(address), pending=True))
        return hex(self._evm.nonce(self._known(which), _bytes(address)))

    def _balance(self, address: str, which: Any = "latest") -> str:
        return hex(self._evm.balance(self._known(which), _bytes(address)))

    def _code(self, address: str, which: Any = "latest") -> str:
        return forms.data(self._evm.code(self._known(which), _bytes(address)))

    def _call(self, call: dict[str, str], which: Any = "latest") -> str:
        return forms.data(self._evm.call(self._known(which), _message(call)))

    def _estimate_gas(self, call: dict[str, str], which: Any = "latest") -> str:
        return hex(self._evm.gas_needed(self._known(which), _message(call)))

    def _send(self, raw: str) -> str:
        return forms.data(self.node.send(_bytes(raw)))

    def _mine(self, count: Any = 1) -> str:
        self.node.mine(_number(count))
        return "0x0"

    def _logs(self, wanted: dict[str, Any]) -> list[forms.Json]:
        addresses = wanted.get("address", [])
        if isinstance(addresses, str):
            addresses = [addresses]
        sought = {address.lower() for address in addresses}
        return [
            log
            for block in self._range(wanted)
            for index in range(len(block.transactions))
            for log in forms.receipt_form(block, index)["logs"]
            if (not sought or log["address"] in sought)
            and _topics_match(log["topics"], wanted.get("topics", []))
        ]

    def _range(self, wanted: dict[str, Any]) -> list[Sealed]:
        if "blockHash" in wanted:
            return [self._known({"blockHash": wanted["blockHash"]})]
        first = self._known(wanted.get("fromBlock", "latest")).height
        last = self._known(wanted.get("toBlock", "latest")).height
        if last - first >= LOG_BLOCKS_MAX:
            raise MethodError(SERVER_ERROR, f"query exceeds max block range {LOG_BLOCKS_MAX}")
        return [self._known(hex(height)) for height in range(first, last + 1)]

    def _fee_history(self, count: Any, newest: Any, percentiles: Sequence[float] = ()) -> Any:
        last = self._known(newest)
        first = max(0, last.height + 1 - min(_number(count), FEE_BLOCKS_MAX))
        blocks = [self._known(hex(height)) for height in range(first, last.height + 1)]
        fees = [block.base_fee for block in blocks] + [self._evm.next_base_fee(last)]
        return {
            "oldestBlock": hex(first),
            "baseFeePerGas": [hex(fee) for fee in fees],
            "gasUsedRatio": [block.header.gas_used / BLOCK_GAS for block in blocks],
            "reward": [[hex(_reward(block, p)) for p in percentiles] for block in blocks],
        }

    def _at(self, which: Any) -> Sealed | None:
        """Return the block of a tag, number or hash."""
        if isinstance(which, dict):
            which = which.get("blockHash") or which["blockNumber"]
        if which in TAGS:
            return self.node.block_at(max(0, self.node.tip.height - TAGS[which]))
        if which == "earliest":
            return self.node.block_at(0)
        if isinstance(which, str) and len(which) == HASH_CHARACTERS:
            return self.node.block(_bytes(which))
        return self.node.block_at(_number(which))

    def _known(self, which: Any) -> Sealed:
        found = self._at(which)
        if found is None:
            raise MethodError(SERVER_ERROR, "header not found")
        return found


def _message(call: dict[str, str]) -> Message:
    to = call.get("to")
    return Message(
        sender=_bytes(call.get("from", "0x" + "00" * 20)),
        to=_bytes(to) if to else None,
        value=_number(call.get("value", 0)),
        data=_bytes(call.get("input") or call.get("data") or "0x"),
        gas=min(_number(call.get("gas", BLOCK_GAS)), BLOCK_GAS),
    )


def _topics_match(topics: Sequence[str], wanted: Sequence[Any]) -> bool:
    if len(wanted) > len(topics):
        return False
    return all(
        want is None or topic in ([want] if isinstance(want, str) else want)
        for topic, want in zip(topics, wanted, strict=False)
    )


def _reward(block: Sealed, percentile: float) -> int:
    """Return the tip at a percentile of a block's transactions; 0 when it has none."""
    tips = [forms.paid_price(block, tx) - block.base_fee for tx in block.transactions]
    if len(tips) < 2:
        return tips[0] if tips else 0
    place = min(98, max(0, round(percentile) - 1))
    return int(quantiles(tips, n=100, method="inclusive")[place])


def _bytes(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError("hex string without 0x prefix")
    return bytes.fromhex(text[2:])


def _number(value: Any) -> int:
    return value if isinstance(value, int) else int(value, 16)
