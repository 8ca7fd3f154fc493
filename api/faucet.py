"""Money of a development chain, for whoever asks: coins, and a token of its own."""

from typing import Final

import rlp
from coincurve import PrivateKey

from wallet.config import base_units
from wallet.errors import TokenMismatch
from wallet.ethereum.abi import encode_constructor
from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.compiled import own_artefact
from wallet.ethereum.tokens import transfer_call
from wallet.ethereum.transaction import Fields
from wallet.keys.ethereum import checksummed
from wallet.keys.hashes import keccak256
from wallet.types import Address, TokenId

KEY: Final = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Of the first account of every development node: derived from `test test … junk`, and no secret.

Deriving it here would import a whole EVM.
"""
TOKEN_DECIMALS: Final = 6
_SUPPLY: Final = 10**9 * 10**TOKEN_DECIMALS
_PAYMENT_GAS: Final = 21_000
_TOKEN_GAS: Final = 100_000
_DEPLOY_GAS: Final = 2_000_000


def pay(url: str, to: Address, amount: int) -> str:
    """Pay wei from a development node's first account, whose key everybody knows; return the txid.

    Raises: WalletError: there is no such node, or it is none for development.
    """
    payer = _Payer(url)
    return payer.send(bytes.fromhex(to[2:]), gas=_PAYMENT_GAS, value=amount)


def pay_token(url: str, token: TokenId, to: Address, amount: str) -> str:
    """Pay a token of that account's; return the txid. amount: of whole tokens, as text.

    Raises: WalletError, also when there is no such token; BadConfig: it is no amount.
    """
    payer = _Payer(url)
    decimals = payer.chain.token_decimals(token)
    if decimals is None:
        raise TokenMismatch(f"{token} tells no decimals, so {amount} may be any amount of it")
    units = base_units(amount, decimals)
    return payer.send(bytes.fromhex(token[2:]), gas=_TOKEN_GAS, data=transfer_call(to, units))


def deploy_token(url: str, name: str, symbol: str) -> TokenId:
    """Deploy a token whose whole supply is that account's; return its contract.

    It is there once the transaction is in a block. Raises: WalletError.
    """
    artefact = own_artefact("erc20")
    arguments = encode_constructor(artefact.abi, [name, symbol, TOKEN_DECIMALS, str(_SUPPLY)])
    payer = _Payer(url)
    payer.send(b"", gas=_DEPLOY_GAS, data=artefact.bytecode + arguments)
    made = keccak256(bytes(rlp.encode([bytes.fromhex(payer.address[2:]), payer.nonce])))
    return TokenId(checksummed(made[-20:]))


class _Payer:
    """The account, with the nonce of its next transaction."""

    def __init__(self, url: str) -> None:
        self._key = PrivateKey(bytes.fromhex(KEY))
        self.chain = EthereumChain.connect(url)
        self.address = checksummed(
            keccak256(self._key.public_key.format(compressed=False)[1:])[-20:]
        )
        count = self.chain.rpc.call("eth_getTransactionCount", self.address, "pending")
        self.nonce = int(count, 16)

    def send(self, to: bytes, *, gas: int, value: int = 0, data: bytes = b"") -> str:
        """Broadcast one transaction; return its txid."""
        fields = Fields(
            chain_id=int(self.chain.id.partition(":")[2]),
            nonce=self.nonce,
            tip=10**9,
            price=100 * 10**9,
            gas=gas,
            to=to,
            value=value,
            data=data,
        )
        raw = fields.signed(self._key.sign_recoverable(keccak256(fields.encode()), hasher=None))
        self.chain.broadcast(raw)
        return "0x" + keccak256(raw).hex()
