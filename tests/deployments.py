"""Where tests keep an exchange."""

from pathlib import Path

from api.deployment import Deployment, deployment_of
from api.settings import Settings


def embedded(directory: Path) -> Deployment:
    """Return the deployment that keeps everything in a directory."""
    return deployment_of(Settings(data=directory))
