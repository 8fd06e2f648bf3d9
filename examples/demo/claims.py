"""What the demo claims, each checked against what really happened. A claim that does not hold ends the demo."""

from dataclasses import dataclass, field

from examples.demo.board import Board
from examples.demo.shell import Failed


@dataclass
class Claims:
    """Claims so far, as (sentence, holds)."""

    board: Board
    made: list[tuple[str, bool]] = field(default_factory=list)

    def claim(self, sentence: str, holds: bool, seen: str = "") -> None:
        """Check one. Raises Failed with what was seen where it does not hold."""
        self.made.append((sentence, holds))
        if not holds:
            raise Failed(f"claimed: {sentence}; seen: {seen or 'otherwise'}")
        self.board.say(f"✔ {sentence}" + (f" ({seen})" if seen else ""), "green")
