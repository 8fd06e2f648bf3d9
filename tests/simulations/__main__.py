"""Prints the table of docs/analysis.md: `python -m tests.simulations [rollouts] [seed]`."""

import sys

from tests.simulations import studies
from tests.simulations.traffic import KINDS


def main(rollouts: int, seed: int) -> None:
    """Run every study and print it as it comes."""
    print("| traffic | equal, no margin: aborted | equal, ladder: aborted, promoted | worse: aborted, median block |")
    print("|---|---|---|---|")
    for kind in KINDS:
        plain = studies.equal_revisions(kind, rollouts, seed).share("aborted")
        ladder = studies.equal_on_a_ladder(kind, rollouts // 5, seed)
        worse = studies.worse_revision(kind, rollouts // 5, seed)
        climbed = f"{ladder.share('aborted'):.3f}, {ladder.share('promoted'):.3f}"
        print(f"| {kind} | {plain:.3f} | {climbed} | {worse.share('aborted'):.3f}, {worse.median:.0f} |", flush=True)
    print("\n| experiment | Shown | Harmful | NotShown |\n|---|---|---|---|")
    asked = (("Superior", 0.03, 5), ("Superior", -0.03, 5), ("Superior", 0.0, 1), ("NonInferior", 0.0, 5))
    for kind in ("users", "long_users"):
        for hypothesis, effect, part in asked:
            told = studies.experiment(effect, rollouts // part, hypothesis, seed, kind)
            shares = " | ".join(f"{told.share(end):.3f}" for end in ("Shown", "Harmful", "NotShown"))
            print(f"| {kind}: {hypothesis}, effect {effect:+.2f} | {shares} |", flush=True)


if __name__ == "__main__":
    said = [int(word) for word in sys.argv[1:]]
    main(said[0] if said else 1000, said[1] if len(said) > 1 else studies.SEED)
