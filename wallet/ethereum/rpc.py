"""Ask a node: JSON-RPC with retries, and what its refusals mean."""

import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from requests.exceptions import RequestException
from web3 import HTTPProvider
from web3.exceptions import Web3Exception
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint

from wallet.errors import NodeLagging, NodeRefused, NodeUnavailable
from wallet.types import BroadcastHint

TIMEOUT_S = 20
TRIES_MAX = 3
PAUSE_S = 0.2
BATCH_MAX = 200
# Nodes say with these that they do not have a block, or not the state at it.
MISSING = (
    "header not found",
    "resource not found",
    "missing trie node",
    "unknown block",
    "block not found",
    "state not available",
    "historical state",
    "no state available",
)
# By node: geth, anvil, Nethermind, Besu, Erigon. The first that fits is meant.
HINTS = (
    (BroadcastHint.KNOWN, ("already known", "already imported", "alreadyknown",
                           "known transaction", "already in the pool")),
    (BroadcastHint.SLOT_USED, ("nonce too low", "oldnonce", "nonce is too low")),
    (BroadcastHint.SLOT_AHEAD, ("nonce too high", "nonce too distant", "noncegap",
                                "exceeds the next nonce")),
    (BroadcastHint.UNDERPRICED, ("underpriced", "replacementnotallowed", "feetoolow",
                                 "gas price below", "fee too low")),
    (BroadcastHint.NO_FUNDS, ("insufficient funds", "insufficientfunds",
                              "upfront cost exceeds")),
)  # fmt: skip


class RpcError(NodeRefused):
    """A node answered with an error; the text is its own."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.rpc_code, self.data = code, data


class Rpc:
    """Requests to one node. Safe to use from many threads.

    pause: sleeps between tries, which a test may replace.
    """

    def __init__(
        self, provider: JSONBaseProvider, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.provider = provider
        self._pause = pause

    @classmethod
    def http(cls, url: str) -> "Rpc":
        """Return requests to the node at a URL. We retry ourselves, so web3 shall not."""
        options = {"timeout": TIMEOUT_S}
        return cls(HTTPProvider(url, request_kwargs=options, exception_retry_configuration=None))

    def call(self, method: str, *parameters: Any) -> Any:
        """Return a result; None is one.

        Raises: NodeUnavailable: no answer, several times. RpcError: the node's own error.
        NodeLagging: it does not have the block that the request is about.
        """
        return result_of(self._tried(lambda: self.once(method, *parameters)))

    def once(self, method: str, *parameters: Any) -> Any:
        """Return the response to a request that is sent only once. Raises: NodeUnavailable."""
        return _guarded(lambda: self.provider.make_request(RPCEndpoint(method), list(parameters)))

    def batch(
        self, requests: Sequence[tuple[str, Sequence[Any]]], *, size: int = BATCH_MAX
    ) -> list[Any]:
        """Return the results of many requests, in order, sent in few messages.

        size: requests in a message; nodes refuse to answer with more than some megabytes.
        Raises: as `call`, for the first that fails.
        """
        results: list[Any] = []
        for start in range(0, len(requests), size):
            part = [(RPCEndpoint(method), list(p)) for method, p in requests[start:][:size]]
            results += self._batched(part)
        return results

    def _batched(self, part: list[tuple[RPCEndpoint, Any]]) -> list[Any]:
        responses = self._tried(lambda: _guarded(lambda: self.provider.make_batch_request(part)))
        if not isinstance(responses, list):
            return [result_of(responses)]
        if len(responses) != len(part):
            raise NodeUnavailable(f"{len(responses)} answers to {len(part)} requests")
        return [result_of(response) for response in responses]

    def _tried(self, request: Callable[[], Any]) -> Any:
        for number in range(1, TRIES_MAX):
            try:
                return request()
            except NodeUnavailable:
                self._pause(PAUSE_S * number)
        return request()


def hint(error: RpcError) -> BroadcastHint:
    """Return what a node means that does not take a transaction. Its codes tell nothing."""
    text = str(error).lower()
    found = (meant for meant, phrases in HINTS if any(phrase in text for phrase in phrases))
    return next(found, BroadcastHint.REFUSED)


def result_of(response: Any) -> Any:
    """Return the result of a response, or raise what its error means."""
    if not isinstance(response, dict):
        raise NodeUnavailable("the node's answer is no JSON-RPC")
    error = response.get("error")
    if error is None:
        return response.get("result")
    if not isinstance(error, dict):
        raise RpcError(0, str(error))
    message = str(error.get("message"))
    if any(phrase in message.lower() for phrase in MISSING):
        raise NodeLagging(message)
    raise RpcError(cast(int, error.get("code", 0)), message, error.get("data"))


def _guarded(request: Callable[[], Any]) -> Any:
    try:
        return request()
    except (RequestException, Web3Exception, OSError, ValueError) as error:
        raise NodeUnavailable(f"the node does not answer: {type(error).__name__}") from error
