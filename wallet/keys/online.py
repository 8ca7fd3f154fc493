"""The public side of the keys: all that online processes know of them."""

from collections.abc import Mapping

from wallet.keys.ethereum import AccountAddresses
from wallet.keys.public import ExtendedPublicKey
from wallet.types import Address


class OnlineKeys:
    """Addresses of each role, from extended public keys alone."""

    def __init__(self, xpubs: Mapping[str, str]) -> None:
        """xpubs: by role: deposit, hot, gas, cold. Raises: BadExtendedKey."""
        self.xpubs = dict(xpubs)
        self._accounts = {
            role: AccountAddresses(ExtendedPublicKey.parse(text)) for role, text in xpubs.items()
        }

    @property
    def hot(self) -> Address:
        """Where withdrawals are paid from."""
        return self.address("hot", 0)

    @property
    def gas(self) -> Address:
        """What pays the fees of addresses that hold only tokens."""
        return self.address("gas", 0)

    @property
    def cold(self) -> Address:
        """Where what is not needed goes. Its seed is not online."""
        return self.address("cold", 0)

    def deposit_address(self, index: int) -> Address:
        """Return the deposit address of an index."""
        return self.address("deposit", index)

    def address(self, role: str, index: int) -> Address:
        """Return an address. Raises: KeyError: there is no such role; BadPath."""
        return Address(self._accounts[role].address(index))
