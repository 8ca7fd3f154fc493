# pragma version 0.4.3
"""
@title An ERC-721: its Transfer has the signature of ERC-20's, but indexes the token's number too
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    token_id: indexed(uint256)

ownerOf: public(HashMap[uint256, address])

@external
def mint(receiver: address, token_id: uint256):
    self.ownerOf[token_id] = receiver
    log Transfer(sender=empty(address), receiver=receiver, token_id=token_id)
