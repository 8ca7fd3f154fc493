"""How the routes of the API are built."""

import inspect
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.app import api_routes
from api.parameters import dependants


@pytest.mark.parametrize("route", api_routes(), ids=lambda route: f"{route.methods} {route.path}")
def test_nothing_of_a_request_waits_for_a_thread_of_the_framework(route: APIRoute) -> None:
    for part in dependants(route.dependant):
        call: Any = part.call
        function = call if inspect.isfunction(call) else type(call).__call__
        assert inspect.iscoroutinefunction(function), call
