"""A `DevNode` as a provider of web3, in the same process; and its answers as JSON."""

import json
from typing import Any

from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from wallet.ethereum.devnode.methods import MethodError, Methods
from wallet.ethereum.devnode.node import DevNode

BAD_REQUEST = -32600


class DevNodeProvider(JSONBaseProvider):
    """Hands requests to a node without a network between."""

    def __init__(self, node: DevNode) -> None:
        super().__init__()
        self.node = node
        self._methods = Methods(node)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Return the node's answer."""
        request = json.loads(self.encode_rpc_request(method, params))
        response: RPCResponse = answer(self._methods, request)
        return response

    def make_batch_request(
        self, batch_requests: list[tuple[RPCEndpoint, Any]]
    ) -> list[RPCResponse] | RPCResponse:
        """Return the node's answers, in order."""
        return [self.make_request(method, params) for method, params in batch_requests]

    def is_connected(self, show_traceback: bool = False) -> bool:
        """Return True."""
        return True


def answer(methods: Methods, request: Any) -> Any:
    """Return the JSON-RPC response to a request, or the responses to a batch of them."""
    if isinstance(request, list):
        return [answer(methods, each) for each in request]
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return {"jsonrpc": "2.0", "id": None, "error": _error(BAD_REQUEST, "invalid request")}
    head = {"jsonrpc": "2.0", "id": request.get("id")}
    try:
        return head | {"result": methods.answer(request["method"], request.get("params") or [])}
    except MethodError as error:
        return head | {"error": _error(error.code, str(error), error.data)}


def _error(code: int, message: str, data: str | None = None) -> dict[str, Any]:
    return {"code": code, "message": message} | ({} if data is None else {"data": data})
