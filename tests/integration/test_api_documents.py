"""The OpenAPI document is complete, pinned, and agrees with the registries.

After a wanted change, run this file with FOLDEX_REGENERATE=1 and read the difference.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from starlette.testclient import TestClient

from api.app import api_routes
from api.documents import DOCUMENTED
from api.market_data import Interval
from api.problems import REGISTRY
from api.replies import answer_type
from projections.intervals import INTERVALS
from tests.api_client import ok, serving

GOLDEN = Path(__file__).parents[1] / "golden" / "openapi.json"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with serving(tmp_path_factory.mktemp("exchange")) as served:
        yield served.http


@pytest.fixture(scope="module")
def document(http: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = ok(http.get("/openapi.json"))
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_document_is_the_pinned_one(document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("FOLDEX_REGENERATE"):
        GOLDEN.write_text(text, encoding="utf-8")

    assert GOLDEN.read_text(encoding="utf-8") == text


def test_every_operation_reads_like_documentation(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name
        success = next(iter(operation["responses"].values()))
        assert success["content"]["application/json"]["schema"], name
        assert success["content"]["application/json"]["example"], name


def test_every_example_answer_is_one_that_could_be_given() -> None:
    for documentation in DOCUMENTED.values():
        msgspec.convert(documentation.example, answer_type(documentation.answer), strict=True)


def test_the_intervals_offered_are_those_that_are_kept() -> None:
    assert get_args(Interval) == INTERVALS


def test_every_command_body_has_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            reference = content["schema"].get("$ref", "")
            if not reference:
                continue
            schema = document["components"]["schemas"][reference.rpartition("/")[2]]
            assert schema.get("examples") or "orders" in schema["properties"], name


def test_every_error_response_is_a_problem_with_a_registered_code(
    document: dict[str, Any],
) -> None:
    for name, operation in operations(document):
        for status, response in list(operation["responses"].items())[1:]:
            (media_type,) = response["content"]
            assert media_type == "application/problem+json", name
            for code, example in response["content"][media_type]["examples"].items():
                assert REGISTRY[code].status == int(status), name
                assert example["value"]["code"] == code, name


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.partition('"')[0] in document["components"]["schemas"]


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    for route in api_routes():
        assert route.endpoint in DOCUMENTED
        assert route.path_format in document["paths"]
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))


def test_the_error_page_explains_every_code(http: TestClient) -> None:
    page = http.get("/docs/errors").text

    for code in REGISTRY:
        assert f'<tr id="{code}">' in page
