"""What the API server told of objects, moment by moment, through one `kubectl get --watch`."""

import os
import subprocess
import threading
from dataclasses import dataclass, field

from tests.scenarios.cluster import Cluster

# Templates of Go: kubectl's jsonpath cannot range twice, and a watch uses it again and again.
ROUTES = r'{{range .spec.rules}}{{range .backendRefs}}{{.name}}={{.weight}} {{end}}{{end}}{{"\n"}}'
# The same of many routes, a rule by a rule: "<route> <name>=<weight> <name>=<weight>".
RULES = (
    r"{{$name := .metadata.name}}{{range .spec.rules}}{{$name}}"
    r'{{range .backendRefs}} {{.name}}={{.weight}}{{end}}{{"\n"}}{{end}}'
)


@dataclass
class Watch:
    """Every state of what kubectl is asked for, as the API server tells it, one line each; `changed` is set with each.

    what: `<kind>/<name>`, or a kind for all of the namespace.
    """

    ns: Cluster
    what: str
    line: str
    changed: threading.Event = field(default_factory=threading.Event)
    lines: list[str] = field(default_factory=list)

    def __enter__(self) -> "Watch":
        command = ["kubectl", "-n", self.ns.namespace, "get", self.what, "--watch", "-o", f"go-template={self.line}"]
        env = {**os.environ, **self.ns.env}
        self._process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(10)

    @property
    def is_whole(self) -> bool:
        """Whether nothing can have been missed."""
        return self._process.poll() is None

    def _read(self) -> None:
        assert self._process.stdout
        for text in self._process.stdout:
            self.lines.append(text.strip())
            self.changed.set()
