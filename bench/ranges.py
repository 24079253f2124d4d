"""Numbers of the command line that have a range. Click's own takes NaN for any, since nothing is above or below it."""

from __future__ import annotations

import math
from typing import Any

import click


class Between(click.FloatRange):
    """A number from `min` to `max`, both included."""

    def __init__(self, min: float, max: float) -> None:
        super().__init__(min, max)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; fails as click's does."""
        if math.isnan(number := super().convert(value, param, ctx)):
            self.fail(f"{value} is not in the range {self.min:g} to {self.max:g}.", param, ctx)
        return number
