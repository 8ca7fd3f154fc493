"""What is logged, and that no secret ever is."""

import logging
import re
from typing import Final

_SECRET: Final = re.compile(r"fdxs_[A-Za-z0-9_-]+|\b[0-9a-fA-F]{64}\b")
"""API secrets by their prefix, and signatures or master keys by their form."""


class Redacted(logging.Formatter):
    """Formats records, traces included, and takes out whatever has the form of a secret."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return _SECRET.sub("[redacted]", super().format(record))


def configure_logging(level: str) -> None:
    """Send every log record to standard error, redacted."""
    handler = logging.StreamHandler()
    handler.setFormatter(Redacted("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
