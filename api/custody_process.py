"""Custody as a process of its own, beside an engine in another."""

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Final

from api.certificate_metric import watch_certificate
from api.clock import system_clock_ms
from api.custody_link import RemoteEngine
from api.custody_setup import open_bus, open_custody, start_custody
from api.deployment import deployment_of
from api.engine_place import engine_client_of
from api.logs import configure_logging
from api.metrics import Metrics
from api.monitor import Monitor
from api.parts import StorePart
from api.settings import Settings

WATCH_EVERY_S: Final = 0.1


def run_custody(settings: Settings, *, on_ready: Callable[[str], None]) -> int:
    """Run custody until SIGTERM or SIGINT; return 0, or 1 when it failed: start it again.

    Raises: BadSetting, StoreError, StoreLocked, WalletError: what cannot be used, and what to do.
    """
    configure_logging(settings)
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    deployment = deployment_of(settings)
    with ExitStack() as opened:
        store = opened.enter_context(deployment.open_store())
        engine = RemoteEngine(engine_client_of(settings))
        opened.callback(engine.close)
        custody = open_custody(
            settings,
            deployment,
            opened,
            send=engine.send,
            log=store.log,
            clock_ms=system_clock_ms,
        )
        part = start_custody(settings, deployment, opened, custody, store.log)
        monitor = Monitor(settings, Metrics(), [part, StorePart(store)])
        watch_certificate(settings, "client", monitor.metrics)
        opened.callback(monitor.stop)
        monitor.start()
        on_ready(f"Custody follows {custody.chain.id} from block "
                 f"{custody.book.chain_record.tip.height}")  # fmt: skip
        bus = None
        if settings.kafka:
            bus = open_bus(
                settings,
                deployment,
                opened,
                send=engine.send,
                log=store.log,
                clock_ms=system_clock_ms,
            )
            opened.callback(bus.stop)
            bus.start()

        def failed() -> BaseException | None:
            return part.failed or (bus.failed if bus else None)

        while failed() is None and not stop.wait(WATCH_EVERY_S):
            pass
        return 0 if failed() is None else 1
