"""Which kind of event is this? The first reader that knows it reads it. Pure."""

from trainyard.events.adapters import github, minio
from trainyard.events.answers import malformed
from trainyard.events.cloudevents import binary, refuse_batch, structured
from trainyard.events.delivery import Delivery, Event

_READERS = (
    structured,  # by the body's type
    binary,  # by its ce- headers
    github,  # by its X-GitHub- headers
    minio,  # by the fields of its body
)


def read(delivery: Delivery) -> Event:
    """Return the event. Raises Refused with a sentence."""
    refuse_batch(delivery)
    for reader in _READERS:
        event = reader(delivery)
        if event is not None:
            return event
    raise malformed(
        "This is no event that is known here: no CloudEvent in binary or structured mode, no webhook of GitHub, "
        "no bucket notification of MinIO."
    )
