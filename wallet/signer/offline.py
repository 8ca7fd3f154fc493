"""Signs refills on the cold wallet's own machine, which has no network.

The file is not believed: each transaction is decoded here, byte by byte, and must pay exactly the
hot wallet that the vault knows by its extended public key, on the chain that the person names.
"""

from dataclasses import dataclass

from wallet.keys.errors import KeysError
from wallet.keys.hashes import keccak256
from wallet.refill_file import BadFile, RefillFile, RefillItem, SignedFile, SignedItem, from_hex
from wallet.signer.denials import Denied
from wallet.signer.rlp import BadEncoding
from wallet.signer.rules import check_effect
from wallet.signer.transaction import Transaction, decode
from wallet.types import Address, ChainId, Intent, IntentId, IntentKind, TokenId
from wallet.vault.document import Role
from wallet.vault.errors import VaultError
from wallet.vault.keyring import Keyring


class RefillRefused(VaultError):
    """The file is not what the cold wallet signs; nothing was signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refill:
    """A transaction that was found to be a refill, and nothing else."""

    item: RefillItem
    transaction: Transaction


def checked(file: RefillFile, keyring: Keyring, *, chain: str, fee_max: int) -> list[Refill]:
    """Return the refills of a file. fee_max: wei that each may cost at most.

    Raises: RefillRefused: why not.
    """
    if not keyring.can_sign(Role.COLD):
        raise RefillRefused("this vault does not have the cold wallet's seed")
    if Role.HOT not in keyring.roles:
        raise RefillRefused(
            "this vault does not know the hot wallet: foldex vault import hot --xpub xpub…"
        )
    if file.chain != chain:
        raise RefillRefused(f"the file is for {file.chain}, not for {chain}: see --chain")
    if not file.transactions:
        raise RefillRefused("there is nothing to sign in the file")
    found = [_checked(item, keyring, chain, fee_max) for item in file.transactions]
    if len({each.transaction.nonce for each in found}) != len(found):
        raise RefillRefused("two transactions have the same nonce")
    return found


def sign(refills: list[Refill], keyring: Keyring, *, chain: str) -> SignedFile:
    """Return the signed transactions; the same file always gives the same (RFC 6979)."""
    return SignedFile(chain=chain, transactions=[_signed(each, keyring) for each in refills])


def _checked(item: RefillItem, keyring: Keyring, chain: str, fee_max: int) -> Refill:
    cold, hot = keyring.address(Role.COLD, 0), keyring.address(Role.HOT, 0)
    try:
        transaction = decode(from_hex(item.unsigned))
        intent = Intent(
            id=IntentId(item.id),
            kind=IntentKind.REFILL,
            chain=ChainId(chain),
            to=Address(hot),
            token=TokenId(item.token) if item.token else None,
            amount=int(item.amount),
        )
        check_effect(intent, transaction, cold)
    except (BadFile, BadEncoding, Denied, KeysError, ValueError) as error:
        raise RefillRefused(f"{item.id}: {error}") from None
    wrong = [
        name
        for name, said, found in (
            ("chain", chain, f"eip155:{transaction.chain_id}"),
            ("type", False, transaction.is_legacy),
            ("sender", item.sender, cold),
            ("to", item.to, hot),
            ("nonce", item.nonce, str(transaction.nonce)),
            ("gas", item.gas, str(transaction.gas)),
            ("max_fee_per_gas", item.max_fee_per_gas, str(transaction.price)),
            ("max_priority_fee_per_gas", item.max_priority_fee_per_gas, str(transaction.tip)),
            ("fee_max", item.fee_max, str(transaction.fee_max)),
        )
        if said != found
    ]
    if wrong:
        raise RefillRefused(f"{item.id}: not what the file says: {', '.join(wrong)}")
    if transaction.fee_max > fee_max:
        raise RefillRefused(f"{item.id}: a fee of {transaction.fee_max} wei is above --fee-max")
    return Refill(item=item, transaction=transaction)


def _signed(refill: Refill, keyring: Keyring) -> SignedItem:
    transaction = refill.transaction
    raw = transaction.signed(keyring.sign(Role.COLD, 0, transaction.digest))
    return SignedItem(id=refill.item.id, txid="0x" + keccak256(raw).hex(), raw="0x" + raw.hex())
