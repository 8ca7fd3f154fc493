# pragma version 0.4.3
"""
@title A token whose transfer says false and does nothing once it is told to
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

balanceOf: public(HashMap[address, uint256])

@deploy
def __init__(supply: uint256):
    self.balanceOf[msg.sender] = supply

refuses: public(bool)

@external
def refuse(refuses: bool):
    self.refuses = refuses

@external
def transfer(receiver: address, amount: uint256) -> bool:
    if self.refuses or self.balanceOf[msg.sender] < amount:
        return False
    self.balanceOf[msg.sender] -= amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=msg.sender, receiver=receiver, amount=amount)
    return True
