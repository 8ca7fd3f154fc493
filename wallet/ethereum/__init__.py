"""Ethereum: the node's interface, deposits, payments and contracts, and a chain in the process."""

import sys
from typing import Final

# web3 imports it, and it lets recursion go 100,000 deep for the whole process: a request body of as
# many brackets would then overflow the stack of whoever parses it, and end the process.
import py_ecc as _py_ecc

RECURSION_LIMIT: Final = 10_240
"""What the EVM asks for: far below what overflows a thread's stack."""

sys.setrecursionlimit(RECURSION_LIMIT)
del _py_ecc
