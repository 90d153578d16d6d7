"""The flags that the programs which train have in common. No framework."""

import argparse
from pathlib import Path
from typing import Optional, Sequence


def training_parser(description: Optional[str]) -> argparse.ArgumentParser:
    """A parser of what to train on, for how long, and how."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder that preprocess.py wrote")
    add("--output", type=Path, required=True, help="folder for results.json and the models")
    add("--epochs", type=int, default=1000, help="at most, of each model [%(default)s]")
    add("--minutes", type=float, default=60, help="at most, for each model [%(default)s]")
    add("--num-sampled", type=int, default=1000, help="negatives of a batch [%(default)s]")
    add("--batch-size", type=int, default=2048, help="positives of a batch, about [%(default)s]")
    add("--dim", type=int, default=64, help="width of the item vectors [%(default)s]")
    add("--learning-rate", type=float, default=0.01, help="of Adam, at first [%(default)s]")
    add("--seed", type=int, default=17, help="of weights, negatives, order [%(default)s]")
    return parser


def parse(parser: argparse.ArgumentParser, argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """The flags of `training_parser`, and others that were added; numbers that are none end it."""
    args = parser.parse_args(argv)
    for name in ("epochs", "num_sampled", "batch_size", "dim"):
        if getattr(args, name) < 1:
            parser.error(f"Expected --{name.replace('_', '-')} of 1 or more.")
    if not args.minutes > 0:
        parser.error("Expected --minutes above 0.")
    return args
