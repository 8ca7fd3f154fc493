"""What is true? The pure core: money, markets, order book, matching, ledger, events, state."""
