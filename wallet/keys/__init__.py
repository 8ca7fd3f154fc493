"""How do keys and addresses come from a seed? BIP-39, BIP-32, BIP-44 and Ethereum's addresses.

Two types keep secrets where they belong. `public.ExtendedPublicKey` is all that online processes
have: they derive addresses from it. `private.ExtendedPrivateKey` signs, cannot be written down, and
is imported by the vault and the signer only (an import contract checks it).
"""
