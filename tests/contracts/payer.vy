# pragma version 0.4.3
"""
@title Sends coins on from inside, once, twice, or takes it all back by reverting
"""

event Paid:
    receiver: indexed(address)
    amount: uint256

interface Token:
    def transfer(receiver: address, amount: uint256) -> bool: nonpayable

@external
@payable
def pay(receiver: address):
    raw_call(receiver, b"", value=msg.value)
    log Paid(receiver=receiver, amount=msg.value)

@external
@payable
def pay_and_revert(receiver: address):
    raw_call(receiver, b"", value=msg.value)
    log Paid(receiver=receiver, amount=msg.value)
    raise "changed my mind"

@external
def pay_token_twice(token: address, receiver: address, amount: uint256):
    extcall Token(token).transfer(receiver, amount)
    extcall Token(token).transfer(receiver, amount)
