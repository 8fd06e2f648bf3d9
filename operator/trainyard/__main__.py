"""`python -m trainyard`: logging, settings, kopf. Exit status 2 where the settings are wrong."""

import json
import logging
import sys

import kopf

from trainyard import handlers  # noqa: F401 - hangs itself into the registry of kopf
from trainyard.settings import Settings, SettingsWrong, read_settings


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logging(settings: Settings) -> None:
    """Log to standard error, as text or JSON."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if settings.log_format == "json" else text)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a dozen lines at every start that tell nothing


def main(registry: kopf.OperatorRegistry | None = None) -> int:
    """Run the operator until it is told to stop."""
    try:
        settings = read_settings()
    except SettingsWrong as error:
        print(error, file=sys.stderr)
        return 2
    configure_logging(settings)
    kopf.run(
        registry=registry or kopf.get_default_registry(),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
