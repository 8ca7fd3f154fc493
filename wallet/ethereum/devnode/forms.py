"""The forms in which a node's JSON-RPC shows blocks, transactions and receipts."""

from collections.abc import Mapping
from typing import Any

from eth.abc import SignedTransactionAPI

from wallet.ethereum.devnode.evm import Sealed

Json = dict[str, Any]
NO_UNCLES = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"


def number(value: int) -> str:
    """Return a QUANTITY."""
    return hex(value)


def data(value: bytes) -> str:
    """Return DATA."""
    return "0x" + value.hex()


def block_form(block: Sealed, *, full: bool) -> Json:
    """Return a block with its transactions, or with their hashes only."""
    header = block.header
    return header_form(block) | {
        "size": number(len(header.hash) + sum(len(tx.encode()) for tx in block.transactions)),
        "uncles": [],
        "withdrawals": [],
        "transactions": [
            mined_form(block, index) if full else data(transaction.hash)
            for index, transaction in enumerate(block.transactions)
        ],
    }


def header_form(block: Sealed) -> Json:
    """Return a header, as a subscription to new ones shows it."""
    header = block.header
    return {
        "number": number(block.height),
        "hash": data(block.hash),
        "parentHash": data(block.parent),
        "sha3Uncles": NO_UNCLES,
        "miner": data(header.coinbase),
        "stateRoot": data(header.state_root),
        "transactionsRoot": data(header.transaction_root),
        "receiptsRoot": data(header.receipt_root),
        "logsBloom": data(header.bloom.to_bytes(256, "big")),
        "difficulty": number(header.difficulty),
        "gasLimit": number(header.gas_limit),
        "gasUsed": number(header.gas_used),
        "timestamp": number(header.timestamp),
        "extraData": data(header.extra_data),
        "mixHash": data(header.mix_hash),
        "nonce": data(header.nonce),
        "baseFeePerGas": number(block.base_fee),
    }


def mined_form(block: Sealed, index: int) -> Json:
    """Return a transaction in its block."""
    transaction = block.transactions[index]
    place = {
        "blockHash": data(block.hash),
        "blockNumber": number(block.height),
        "transactionIndex": number(index),
        "gasPrice": number(paid_price(block, transaction)),
    }
    return waiting_form(transaction) | place


def waiting_form(transaction: SignedTransactionAPI) -> Json:
    """Return a transaction that waits for a block."""
    kind = _kind(transaction)
    form: Json = {
        "blockHash": None,
        "blockNumber": None,
        "transactionIndex": None,
        "type": number(kind),
        "chainId": number(transaction.chain_id or 0),
        "nonce": number(transaction.nonce),
        "gas": number(transaction.gas),
        "gasPrice": number(transaction.max_fee_per_gas),
        "to": data(transaction.to) if transaction.to else None,
        "value": number(transaction.value),
        "input": data(transaction.data),
        "hash": data(transaction.hash),
        "from": data(transaction.sender),
        "v": number(transaction.y_parity),
        "r": number(transaction.r),
        "s": number(transaction.s),
    }
    if kind >= 2:
        form["maxFeePerGas"] = number(transaction.max_fee_per_gas)
        form["maxPriorityFeePerGas"] = number(transaction.max_priority_fee_per_gas)
        form["accessList"] = []
        form["yParity"] = number(transaction.y_parity)
    return form


def receipt_form(block: Sealed, index: int) -> Json:
    """Return a receipt; its logs are numbered through the whole block, as on a real node."""
    transaction, receipt = block.transactions[index], block.receipts[index]
    before = block.receipts[index - 1].gas_used if index else 0
    contract = block.contracts[index]
    place = {
        "transactionHash": data(transaction.hash),
        "transactionIndex": number(index),
        "blockHash": data(block.hash),
        "blockNumber": number(block.height),
    }
    first = sum(len(earlier.logs) for earlier in block.receipts[:index])
    return place | {
        "type": number(_kind(transaction)),
        "status": number(1 if receipt.state_root == b"\x01" else 0),
        "cumulativeGasUsed": number(receipt.gas_used),
        "gasUsed": number(receipt.gas_used - before),
        "effectiveGasPrice": number(paid_price(block, transaction)),
        "from": data(transaction.sender),
        "to": data(transaction.to) if transaction.to else None,
        "contractAddress": data(contract) if contract is not None else None,
        "logsBloom": data(receipt.bloom.to_bytes(256, "big")),
        "logs": [_log_form(log, first + i, place) for i, log in enumerate(receipt.logs)],
    }


def paid_price(block: Sealed, transaction: SignedTransactionAPI) -> int:
    """Return what one unit of gas cost: the base fee and the tip as far as the offer goes."""
    return min(transaction.max_fee_per_gas, block.base_fee + transaction.max_priority_fee_per_gas)


def _log_form(log: Any, number_in_block: int, place: Mapping[str, str]) -> Json:
    return dict(place) | {
        "address": data(log.address),
        "topics": [data(topic.to_bytes(32, "big")) for topic in log.topics],
        "data": data(log.data),
        "logIndex": number(number_in_block),
        "removed": False,
    }


def _kind(transaction: SignedTransactionAPI) -> int:
    return int(getattr(transaction, "type_id", None) or 0)
