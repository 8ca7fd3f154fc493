"""The custody steps that the demo prints, against anvil, and over Kafka in production's shape."""

import os
import re
import shutil
import signal
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kafka.admin import KafkaAdminClient

from api.custody_steps import CUSTODY_STEPS
from api.demo_client import NAME
from eventstore.kafka_topics import TOPICS
from tests.e2e.custody_steps import check_custody, demo_in, documents, paste
from tests.processes import ROOT, environment, free_port

TUTORIAL = ROOT / "docs" / "custody-tutorial.md"
SERVERS = ["make services", 'eval "$(python3 -m deploy.services env)"']
TUTORIAL_S_MAX = 250

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        any(shutil.which(name) is None for name in ("curl", "bash", "openssl")),
        reason="the commands are for bash, curl and openssl",
    ),
]


def blocks() -> dict[str, str]:
    """Return the tutorial's commands by the name of their part, in order."""
    text = TUTORIAL.read_text(encoding="utf-8")
    found = re.findall(r"<!-- (\w+) -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert text.count("```sh") == len(found), "a part has no name"
    return dict(found)


def test_the_tutorial_shows_the_steps_that_the_demo_prints() -> None:
    assert blocks()["steps"] == CUSTODY_STEPS
    servers = [line.partition("  #")[0].rstrip() for line in blocks()["servers"].splitlines()]
    assert servers == SERVERS


def test_the_steps_work_against_anvil(ethereum_node: str, tmp_path: Path) -> None:
    with demo_in(tmp_path, {"FOLDEX_ETHEREUM_URL": ethereum_node}):
        shown = paste(f". {tmp_path / NAME}\n{CUSTODY_STEPS}")
    check_custody(shown, ether="101.50000000")


def test_the_tutorial_works_with_postgresql_kafka_and_anvil(
    postgres_database: str, kafka_bootstrap: str, ethereum_node: str, tmp_path: Path
) -> None:
    """Only where servers, ports and files are differs from what people paste."""
    engine, prefix = free_port(), f"test-{uuid4().hex[:12]}."
    settings = {
        "FOLDEX_DATABASE_URL": postgres_database,
        "FOLDEX_KAFKA": kafka_bootstrap,
        "FOLDEX_KAFKA_PREFIX": prefix,
        "FOLDEX_ETHEREUM_URL": ethereum_node,
        "FOLDEX_ENGINE_PORT": str(engine),
        "FOLDEX_PORT": str(free_port()),
    }
    parts = blocks()
    del parts["servers"]
    parts["settings"] = parts["settings"].replace(":7420", f":{engine}")
    script = "".join(f"echo '## {name}'\n{text}" for name, text in parts.items())
    try:
        shown = run(script.replace("data/sandbox", str(tmp_path / "s")), settings)
    finally:
        admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        admin.delete_topics([prefix + name for name in TOPICS])
        admin.close()
    check_custody(documents(shown["steps"]), ether="1.50000000")
    assert "0 differences" in shown["steps"]
    check_kafka(documents(shown["kafka"]), address=shown["steps"].splitlines()[0])


def run(script: str, settings: dict[str, str]) -> dict[str, str]:
    """Run the tutorial in a shell; return what each part printed."""
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        printed, problems = process.communicate(timeout=TUTORIAL_S_MAX)
    finally:
        if process.poll() != 0:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, printed[-2_000:] + problems[-4_000:]
    parts = re.split(r"^## (\w+)\n", printed, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def check_kafka(shown: list[dict[str, Any]], address: str) -> None:
    """Check `address.created`, `transaction`, a refused command, and `errors`, in this order."""
    created, *told, refused, error = shown
    assert (created["account"], created["address"]) == ("demo", address)
    statuses: dict[str, list[str]] = defaultdict(list)
    for each in told:
        assert {"txid", "value", "to", "from"} <= each.keys()
        statuses[each["key"]].append(each["status"])
    assert statuses["withdrawal-1"] == statuses["withdrawal-2"] == ["broadcast", "finalised"]
    deposits = {each["txid"]: each["key"] for each in told if each.get("direction") == "in"}
    assert [statuses[key] for key in deposits.values()] == [["confirming", "credited"]] * 2
    assert (refused["type"], refused["error_code"]) == ("open_sesame", "BAD_REQUEST")
    assert error == refused
