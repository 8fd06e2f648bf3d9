"""An engine in a dict: the `Engine` port for tests, with its outages and the runs' fates as levers.

It passes the contract suite of the real engines (`tests/contracts/test_engine.py`).
"""

from dataclasses import dataclass, field

from trainyard.systems.engine.port import (
    Announce,
    EngineError,
    EngineState,
    Outputs,
    Phase,
    RunRequest,
    Step,
    unannounced,
)


@dataclass
class FakeEngine:
    """Runs by identity. `away`: every verb raises EngineError. `starts` counts what was really started."""

    states: dict[str, EngineState] = field(default_factory=dict)
    published: dict[str, Outputs] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)
    requests: dict[str, RunRequest] = field(default_factory=dict)
    away: bool = False
    stops_slowly: bool = False

    # ---- the port ----

    async def start(self, request: RunRequest, announce: Announce = unannounced) -> None:
        """Start once by identity."""
        self._reach()
        if request.id not in self.states:
            self.starts.append(request.id)
            self.requests[request.id] = request
            self.become(request.id, Phase.PENDING)

    async def state(self, request: RunRequest) -> EngineState:
        """Return the run's state, ABSENT where there is none."""
        self._reach()
        return self.states.get(request.id, EngineState(Phase.ABSENT))

    async def cancel(self, request: RunRequest) -> bool:
        """Stop the run: at once, or with the next `let_go`."""
        self._reach()
        if request.id in self.states and self.stops_slowly:
            self.states[request.id] = EngineState(Phase.RUNNING, "Stopping")
            return False
        self.states.pop(request.id, None)
        return True

    async def outputs(self, request: RunRequest) -> Outputs | None:
        """Return what the run published."""
        self._reach()
        return self.published.get(request.id)

    # ---- levers ----

    def become(self, engine_id: str, phase: Phase, reason: str = "", message: str = "") -> None:
        """Put a run into a state with one step, `train`."""
        self.states[engine_id] = EngineState(phase, reason, message, (Step("train", phase, reason, message),))

    def let_go(self, engine_id: str) -> None:
        """End a slow stop."""
        self.states.pop(engine_id, None)

    def _reach(self) -> None:
        if self.away:
            raise EngineError("The engine does not answer.")
