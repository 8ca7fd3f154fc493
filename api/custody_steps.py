"""What to try of custody, as commands for a shell that has loaded `client.sh`.

The demo prints them, docs/custody-tutorial.md shows them, and tests run them: on the demo's own
chain, on anvil, and on separate processes with PostgreSQL and Kafka.
"""

from typing import Final

CUSTODY_STEPS: Final = r"""
# Coins from a chain: an address; ether, and a token that custody was told of while it runs, and
# takes as USDT; their confirmations (3 blocks); the balance
ADDRESS=$(deposit_address); echo $ADDRESS
as_operator GET /v1/operator/custody/tokens
demo_pay $ADDRESS 1.5
demo_pay_token $ADDRESS 250
wait_for confirming as_trader GET /v1/deposits/pending
wait_for 250.00 as_trader GET '/v1/deposits?limit=2'
as_trader GET /v1/balances

# Coins to a chain: requests, an officer's signatures, signed by the signer, paid on chain
PAYEE=0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC
ETHER=$(demo_withdraw ETH 0.75 $PAYEE)
TOKENS=$(demo_withdraw USDT 100 $PAYEE)
as_operator GET '/v1/operator/withdrawals?status=requested'
as_officer $ETHER
as_officer $TOKENS
wait_for completed as_trader GET /v1/withdrawals/$ETHER
wait_for completed as_trader GET /v1/withdrawals/$TOKENS
ether_of $PAYEE
foldex wallet call erc20 $TOKEN balanceOf --args '["'$PAYEE'"]'

# Books, chain and ledger agree
foldex wallet reconcile
""".lstrip()
