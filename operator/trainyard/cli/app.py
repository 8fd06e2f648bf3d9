"""`trainyard`, which is also `kubectl trainyard`: all commands, in the order that `--help` lists them."""

import typer

from trainyard.cli.commands import aliases, models, replay, rollouts, training
from trainyard.cli.options import TwoWords

app = typer.Typer(
    name="trainyard",
    cls=TwoWords,
    help="Train models, watch them roll out, and say yes or no. Also `kubectl trainyard`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
training.add_to(app)
models.add_to(app)
aliases.add_to(app)
rollouts.add_to(app)
replay.add_to(app)
