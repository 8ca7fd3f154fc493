"""How is there an Ethereum chain with nothing installed?

A chain of its own in this process, for the demo and for tests: a real EVM, a pool of waiting
transactions with a node's rules and messages, and blocks that can be replaced. It speaks a node's
JSON-RPC, in the process and over HTTP and WebSocket, so that whoever talks to it cannot tell.
Nothing here is safe or fast enough for more than that; nothing is kept when it ends.
"""
