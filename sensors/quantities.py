"""Quantities that several files of the user's hold: each with its unit and its limits, told where a number is refused."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0.0, le=86_400.0, description="seconds, 0 to 86400")]
Kilometres = Annotated[float, Meta(ge=0.1, le=20_000.0, description="kilometres, 0.1 to 20000")]
Degrees = Annotated[float, Meta(ge=-360.0, le=360.0, description="degrees, -360 to 360")]
Latitude = Annotated[float, Meta(ge=-90.0, le=90.0, description="degrees, -90 to 90")]
Longitude = Annotated[float, Meta(ge=-180.0, le=180.0, description="degrees, -180 to 180")]
