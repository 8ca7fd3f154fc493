"""Money of a development chain, for whoever asks."""

from typing import Final

from coincurve import PrivateKey

from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.transaction import Fields
from wallet.keys.ethereum import checksummed
from wallet.keys.hashes import keccak256
from wallet.types import Address

KEY: Final = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Of the first account of every development node: derived from `test test … junk`, and no secret.

Deriving it here would import a whole EVM.
"""


def pay(url: str, to: Address, amount: int) -> str:
    """Pay wei from a development node's first account, whose key everybody knows; return the txid.

    Raises: WalletError: there is no such node, or it is none for development.
    """
    chain = EthereumChain.connect(url)
    key = PrivateKey(bytes.fromhex(KEY))
    payer = checksummed(keccak256(key.public_key.format(compressed=False)[1:])[-20:])
    fields = Fields(
        chain_id=int(chain.id.partition(":")[2]),
        nonce=int(chain.rpc.call("eth_getTransactionCount", payer, "pending"), 16),
        tip=10**9,
        price=100 * 10**9,
        gas=21_000,
        to=bytes.fromhex(to[2:]),
        value=amount,
        data=b"",
    )
    raw = fields.signed(key.sign_recoverable(keccak256(fields.encode()), hasher=None))
    chain.broadcast(raw)
    return "0x" + keccak256(raw).hex()
