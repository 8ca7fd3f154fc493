"""Execute transactions and keep states: py-evm, at the tip of any branch.

Blocks are sealed by us and kept by `Ledger`, so that a branch can be left and another one begun at
any block: py-evm only keeps the states, all of them, and tells one state from another by its root.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI, VirtualMachineAPI
from eth.chains.base import MiningChain
from eth.consensus.applier import ConsensusApplier
from eth.consensus.noproof import NoProofConsensus
from eth.db.atomic import AtomicDB
from eth.exceptions import Revert, VMError
from eth.vm.forks.prague import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError
from eth_typing import Address as Bytes20
from eth_utils.exceptions import ValidationError

from wallet.keys.hashes import keccak256

BLOCK_GAS = 30_000_000
ERROR_SELECTOR = bytes.fromhex("08c379a0")  # Error(string)
PLENTY = 10**40
MARGIN_PER_CENT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A block with what came of each of its transactions."""

    header: BlockHeaderAPI
    transactions: tuple[SignedTransactionAPI, ...] = ()
    receipts: tuple[ReceiptAPI, ...] = ()
    contracts: tuple[bytes | None, ...] = ()
    """The address of the contract that each one deployed."""

    @property
    def height(self) -> int:
        return int(self.header.block_number)

    @property
    def hash(self) -> bytes:
        return bytes(self.header.hash)

    @property
    def parent(self) -> bytes:
        return bytes(self.header.parent_hash)

    @property
    def base_fee(self) -> int:
        return self.header.base_fee_per_gas or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A call that is tried out. to: None deploys `data`."""

    sender: bytes
    to: bytes | None
    value: int
    data: bytes
    gas: int = BLOCK_GAS


class Reverted(Exception):
    """The code refused. data: what it returned with that."""

    def __init__(self, reason: str, data: bytes = b"") -> None:
        super().__init__(reason)
        self.data = data


class Evm:
    """The machine and every state it ever made."""

    def __init__(self, chain_id: int, balances: Mapping[bytes, int], time_s: int) -> None:
        class DevChain(MiningChain):
            vm_configuration = ConsensusApplier(NoProofConsensus).amend_vm_configuration(
                ((0, PragueVM),)
            )

        DevChain.chain_id = chain_id
        accounts = {
            address: {"balance": balance, "nonce": 0, "code": b"", "storage": {}}
            for address, balance in balances.items()
        }
        self._chain = DevChain.from_genesis(
            AtomicDB(),
            {"difficulty": 0, "gas_limit": BLOCK_GAS, "timestamp": time_s, "nonce": bytes(8)},
            accounts,  # type: ignore[arg-type]
        )
        self.chain_id = chain_id
        self.genesis = Sealed(header=self._chain.get_canonical_block_header_by_number(0))  # type: ignore[arg-type]

    def decode(self, raw: bytes) -> SignedTransactionAPI:
        """Return a signed transaction; raise ValueError when these bytes are none."""
        try:
            transaction = self._chain.get_vm().get_transaction_builder().decode(raw)
            transaction.check_signature_validity()
        except Exception as error:
            raise ValueError(str(error)) from error
        return transaction

    def next_base_fee(self, block: Sealed) -> int:
        """Return the base fee of a block on top of this one."""
        return self._header_after(block, block.header.timestamp + 1).base_fee_per_gas or 0

    def seal(
        self, parent: Sealed, waiting: Sequence[SignedTransactionAPI], *, time_s: int, salt: int
    ) -> tuple[Sealed, list[SignedTransactionAPI]]:
        """Return a new block on top of `parent`, and those of `waiting` that cannot be in it.

        salt: makes the block's hash differ from those of others with the same contents.
        """
        mark = keccak256(salt.to_bytes(32, "big"))
        header = self._header_after(parent, time_s, mix_hash=mark)
        machine = self._chain.get_vm(header)
        done, unfit = [], []
        for transaction in waiting:
            try:
                receipt, computation = machine.apply_transaction(header, transaction)
            except ValidationError:
                unfit.append(transaction)
                continue
            header = machine.add_receipt_to_header(header, receipt)
            created = computation.msg.is_create and computation.is_success
            contract = bytes(computation.msg.storage_address) if created else None
            done.append((transaction, receipt, contract))
        transactions = tuple(entry[0] for entry in done)
        receipts = tuple(entry[1] for entry in done)
        filled = machine.set_block_transactions_and_withdrawals(
            machine.get_block(), header, transactions, receipts
        )
        block = machine.mine_block(filled).block
        self._chain.chaindb.persist_block(block)
        sealed = Sealed(
            header=block.header,
            transactions=transactions,
            receipts=receipts,
            contracts=tuple(entry[2] for entry in done),
        )
        return sealed, unfit

    def balance(self, block: Sealed, address: bytes) -> int:
        """Return the balance in wei as of the end of a block."""
        return self._after(block).state.get_balance(Bytes20(address))

    def nonce(self, block: Sealed, address: bytes) -> int:
        """Return how many transactions the address has sent as of the end of a block."""
        return self._after(block).state.get_nonce(Bytes20(address))

    def code(self, block: Sealed, address: bytes) -> bytes:
        """Return the code at an address as of the end of a block."""
        return self._after(block).state.get_code(Bytes20(address))

    def call(self, block: Sealed, message: Message) -> bytes:
        """Return what a call on top of a block answers. Raises: Reverted."""
        self._check_funds(block, message)
        computation = self._try(block, message)
        if computation.is_error:
            raise _reverted(computation.error)
        return bytes(computation.output)

    def gas_needed(self, block: Sealed, message: Message) -> int:
        """Return an amount of gas that is enough, and seldom much more than needed.

        Raises: Reverted: no amount is enough.
        """
        self._check_funds(block, message)
        intrinsic = self._spoofed(self._after(block), message).intrinsic_gas
        if message.to is not None and not self.code(block, message.to):
            return int(intrinsic)
        used = self._try(block, message)
        if used.is_error:
            raise _reverted(used.error)
        gas = intrinsic + used.get_gas_used()
        while gas < message.gas:
            # A call inside may need more to be left over than it uses.
            if not self._try(block, message, gas=gas).is_error:
                return int(gas)
            gas += gas * MARGIN_PER_CENT // 100
        return message.gas

    def _header_after(self, parent: Sealed, time_s: int, **fields: Any) -> BlockHeaderAPI:
        return self._chain.create_header_from_parent(
            parent.header, timestamp=time_s, gas_limit=BLOCK_GAS, **fields
        )

    def _after(self, block: Sealed) -> VirtualMachineAPI:
        """Return a machine whose state is that after the block; what it does is thrown away."""
        return self._chain.get_vm(self._header_after(block, block.header.timestamp + 1))

    def _check_funds(self, block: Sealed, message: Message) -> None:
        if self.balance(block, message.sender) < message.value:
            raise Reverted("insufficient funds for transfer")

    def _try(self, block: Sealed, message: Message, *, gas: int | None = None) -> Any:
        machine = self._after(block)
        sender = Bytes20(message.sender)
        machine.state.delta_balance(sender, PLENTY)
        return machine.state.apply_transaction(self._spoofed(machine, message, gas=gas))  # type: ignore[arg-type]

    def _spoofed(
        self, machine: VirtualMachineAPI, message: Message, *, gas: int | None = None
    ) -> SpoofTransaction:
        sender = Bytes20(message.sender)
        unsigned = machine.get_transaction_builder().new_unsigned_dynamic_fee_transaction(  # type: ignore[attr-defined]
            chain_id=self.chain_id,
            nonce=machine.state.get_nonce(sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=machine.get_header().base_fee_per_gas,
            gas=gas or message.gas,
            to=message.to or b"",
            value=message.value,
            data=message.data,
            access_list=(),
        )
        return SpoofTransaction(unsigned, from_=sender)


def _reverted(error: VMError) -> Reverted:
    if not isinstance(error, Revert):
        return Reverted(str(error) or type(error).__name__)
    data = bytes(error.args[0]) if error.args else b""
    if data[:4] != ERROR_SELECTOR:
        return Reverted("execution reverted", data)
    try:
        (reason,) = abi_decode(["string"], data[4:])
    except DecodingError:
        return Reverted("execution reverted", data)
    return Reverted(f"execution reverted: {reason}", data)
