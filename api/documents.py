"""What the OpenAPI document says about an operation beyond its parameters: answer and refusals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from api.problems import ErrorType

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Documentation:
    """answer: the type of the body, or the query of the views that returns it."""

    answer: Any
    example: Any
    refuses: tuple[str, ...]
    status: int


DOCUMENTED: Final[dict[Callable[..., Any], Documentation]] = {}
"""Each endpoint's documentation; a test asserts that no route is without."""


def documents(
    answer: Any, *, example: Any, refuses: Sequence[ErrorType] = (), status: int = 200
) -> Callable[[Endpoint], Endpoint]:
    """Say what an endpoint answers, with an example, and which refusals are its own."""

    def decorate(endpoint: Endpoint) -> Endpoint:
        codes = tuple(kind.code for kind in refuses)
        DOCUMENTED[endpoint] = Documentation(answer, example, codes, status)
        return endpoint

    return decorate
