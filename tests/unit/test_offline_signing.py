"""The cold wallet's machine: it signs refills of its own hot wallet, and nothing else."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from msgspec.structs import replace as changed

from tests.signer_world import CHAIN, GWEI, OTHER, TOKEN
from wallet.keys.ethereum import parse_address
from wallet.refill_file import BadFile, RefillFile, RefillItem, SignedFile, read, write
from wallet.signer import rlp
from wallet.signer.offline import RefillRefused, checked, sign
from wallet.signer.process import run
from wallet.signer.transaction import decode, transfer_data
from wallet.vault.contents import Contents, Key, Seed, with_key
from wallet.vault.document import Role
from wallet.vault.errors import ColdSeedOnline
from wallet.vault.keyring import Keyring

ETHER = 10**18
FEE_MAX = ETHER // 10
HOT = Key.of_seed(Role.HOT, Seed.new(os.urandom))
COLD = Key.of_seed(Role.COLD, Seed.new(os.urandom))
CONTENTS = Contents.new((COLD, Key.watched(Role.HOT, HOT.xpub)), os.urandom)
KEYRING = CONTENTS.keyring()


@dataclass(frozen=True)
class Wish:
    """A refill, with parts that may be wrong."""

    to: str = KEYRING.address(Role.HOT, 0)
    amount: int = 5 * ETHER
    token: str = ""
    nonce: int = 3
    chain_id: int = 1337
    gas: int = 21_000
    price: int = 30 * GWEI
    says: str = KEYRING.address(Role.HOT, 0)

    @property
    def item(self) -> RefillItem:
        to, value, data = parse_address(self.to), self.amount, b""
        if self.token:
            to, value, data = parse_address(self.token), 0, transfer_data(to, self.amount)
        fields: tuple[Any, ...] = (
            self.chain_id,
            self.nonce,
            GWEI,
            self.price,
            self.gas,
            to,
            value,
            data,
            [],
        )
        return RefillItem(
            id=f"refill-{self.nonce}", summary="as agreed", asset="X", token=self.token,
            sender=KEYRING.address(Role.COLD, 0), to=self.says, amount=str(self.amount),
            nonce=str(self.nonce), gas=str(self.gas), max_fee_per_gas=str(self.price),
            max_priority_fee_per_gas=str(GWEI), fee_max=str(self.gas * self.price),
            unsigned="0x" + (b"\x02" + rlp.encode(list(fields))).hex(),
        )  # fmt: skip


def file(*items: RefillItem, chain: str = CHAIN) -> RefillFile:
    return RefillFile(chain=chain, transactions=list(items))


def test_refills_are_signed_as_other_software_reads_them() -> None:
    asked = file(Wish().item, Wish(token=TOKEN, nonce=4, gas=90_000).item)
    refills = checked(asked, KEYRING, chain=CHAIN, fee_max=FEE_MAX)
    signed = sign(refills, KEYRING, chain=CHAIN)
    assert sign(refills, KEYRING, chain=CHAIN) == signed
    for item, wish in zip(signed.transactions, asked.transactions, strict=True):
        assert Account.recover_transaction(item.raw) == KEYRING.address(Role.COLD, 0)
        assert item.id == wish.id
    assert refills[0].transaction == decode(bytes.fromhex(asked.transactions[0].unsigned[2:]))


WRONG: dict[str, tuple[str, Callable[[], RefillFile]]] = {
    "another payee": ("payee", lambda: file(Wish(to=OTHER).item)),
    "another payee, openly": ("payee", lambda: file(Wish(to=OTHER, says=OTHER).item)),
    "a token to another": ("data", lambda: file(Wish(to=OTHER, token=TOKEN).item)),
    "more than it says": ("value", lambda: file(changed(Wish().item, amount="1"))),
    "another chain inside": ("chain", lambda: file(Wish(chain_id=1).item)),
    "another chain outside": ("not for eip155:1337", lambda: file(Wish().item, chain="eip155:1")),
    "another nonce than it says": ("nonce", lambda: file(changed(Wish().item, nonce="4"))),
    "more gas than it says": ("gas", lambda: file(changed(Wish().item, gas="1"))),
    "dearer than it says": ("fee", lambda: file(changed(Wish().item, max_fee_per_gas="1"))),
    "another sender": ("sender", lambda: file(changed(Wish().item, sender=OTHER))),
    "another receiver in words": ("to", lambda: file(changed(Wish().item, to=OTHER))),
    "a huge fee": ("above --fee-max", lambda: file(Wish(price=5_000 * GWEI).item)),
    "one nonce twice": ("same nonce", lambda: file(Wish().item, Wish(amount=1).item)),
    "a legacy transaction": ("type", lambda: file(legacy())),
    "no transaction": ("neither", lambda: file(changed(Wish().item, unsigned="0x01"))),
    "no digits": ("hexadecimal", lambda: file(changed(Wish().item, unsigned="no"))),
    "no amount": ("refill-3", lambda: file(changed(Wish().item, amount="much"))),
    "nothing": ("nothing to sign", file),
}


def legacy() -> RefillItem:
    wish = Wish()
    to = parse_address(wish.to)
    raw = rlp.encode([wish.nonce, wish.price, wish.gas, to, wish.amount, b"", 1337, 0, 0])
    fees = {"max_priority_fee_per_gas": str(wish.price)}
    return changed(wish.item, unsigned="0x" + raw.hex(), **fees)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_refill_of_our_hot_wallet_is_not_signed(what: str) -> None:
    why, make = WRONG[what]
    with pytest.raises(RefillRefused, match=why):
        checked(make(), KEYRING, chain=CHAIN, fee_max=FEE_MAX)


def test_one_wrong_transaction_keeps_the_whole_file_unsigned() -> None:
    with pytest.raises(RefillRefused):
        checked(
            file(Wish().item, Wish(nonce=4, to=OTHER).item), KEYRING, chain=CHAIN, fee_max=FEE_MAX
        )


def test_a_vault_that_is_not_the_cold_wallets_signs_nothing() -> None:
    for keys, why in (
        ((HOT, Key.watched(Role.COLD, COLD.xpub)), "does not have the cold"),
        ((COLD,), "does not know the hot wallet"),
    ):
        keyring = Contents.new(keys, os.urandom).keyring()
        with pytest.raises(RefillRefused, match=why):
            checked(file(Wish().item), keyring, chain=CHAIN, fee_max=FEE_MAX)


def test_the_cold_seed_is_never_in_one_vault_with_others() -> None:
    with pytest.raises(ColdSeedOnline):
        Contents.new((COLD, HOT), os.urandom)
    with pytest.raises(ColdSeedOnline):
        with_key(CONTENTS, Key.of_seed(Role.GAS, Seed.new(os.urandom)))
    with pytest.raises(ColdSeedOnline):
        with_key(Contents.new((HOT,), os.urandom), COLD)


def test_a_signer_does_not_start_with_the_cold_seed(tmp_path: Path) -> None:
    nothing: Any = None
    with pytest.raises(ColdSeedOnline):
        run(keyring=KEYRING, policy=nothing, journal=tmp_path, socket=tmp_path / "s", hardened=())


def test_files_are_read_as_they_were_written_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "refill.json"
    write(path, file(Wish().item))
    assert read(path, RefillFile) == file(Wish().item)
    with pytest.raises(FileExistsError):
        write(path, file())
    with pytest.raises(BadFile):
        read(path, SignedFile)
    path.write_text('{"format": 2, "chain": "x", "transactions": []}')
    with pytest.raises(BadFile, match="format 2"):
        read(path, RefillFile)


def test_a_keyring_of_the_cold_vault_shows_the_hot_address_of_the_online_one() -> None:
    online: Keyring = Contents.new((HOT,), os.urandom).keyring()
    assert online.address(Role.HOT, 0) == KEYRING.address(Role.HOT, 0)
    assert replace(Wish(), nonce=9).item.to == online.address(Role.HOT, 0)
