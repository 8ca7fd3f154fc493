"""What has to be there before the processes of a deployment can run."""

from api.brokers import brokers_of
from api.deployment import deployment_of
from api.settings import Settings
from eventstore.kafka_topics import ensure_topics


def migrate(settings: Settings) -> list[str]:
    """Make it, and return what was done, a line for each thing; nothing when all was there.

    Raises: StoreError, StoreTooNew, BusError: it cannot be made, and what to do.
    """
    done = deployment_of(settings).migrate()
    if settings.kafka:
        made = ensure_topics(brokers_of(settings), prefix=settings.kafka_prefix)
        done += [f"made the topic {name}" for name in made]
    return done
