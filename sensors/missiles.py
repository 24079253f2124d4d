"""The catalogue of missile types, launch sites and published flights: data, read once, with every name in any letter case."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from bus.errors import BadInput
from bus.settings import entries_from_toml
from physics.constants import STANDARD_GRAVITY_M_S2

CATALOGUE: Final = Path(__file__).parent / "catalogue"

# About 1 MW/sr for a large liquid first stage and tens of kW/sr for a short-range missile: textbook orders of magnitude,
# notional.
_PLUME_W_SR_PER_N: Final = 0.4

Positive = Annotated[float, Meta(gt=0.0, description="a number above 0")]


class Stage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One stage: masses kg (stage_mass with its propellant), specific impulse and burn time s, diameter m."""

    propellant_kg: Positive
    stage_mass_kg: Positive
    isp_s: Positive
    burn_s: Positive
    diameter_m: Positive

    @property
    def plume_w_sr(self) -> float:
        """Radiant intensity of its plume in the band that satellites see, W/sr: in proportion to its thrust (notional)."""
        return _PLUME_W_SR_PER_N * self.propellant_kg / self.burn_s * self.isp_s * STANDARD_GRAVITY_M_S2


class Glide(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A band of altitude, km, in which a type that has passed its apogee lifts, and its ratio of lift to drag there."""

    above_km: Annotated[float, Meta(ge=0.0, le=100.0, description="kilometres, 0 to 100")]
    below_km: Annotated[float, Meta(gt=0.0, le=100.0, description="kilometres, above 0, at most 100")]
    lift_to_drag: Annotated[float, Meta(gt=0.0, le=6.0, description="a ratio, above 0, at most 6")]


class CrossSection(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Mean radar cross-section by phase, m2; it fluctuates from look to look (Swerling I)."""

    boost: Positive
    coast: Positive
    reentry: Positive


class MissileType(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One type: its stages from the ground up, the payload, the ballistic coefficient after burnout, and where it glides."""

    title: str
    source: str
    payload_kg: Positive
    beta_kg_m2: Positive
    rcs_m2: CrossSection
    stage: Annotated[tuple[Stage, ...], Meta(min_length=1, description="one or more stages")]
    glide: tuple[Glide, ...] = ()

    @property
    def burn_s(self) -> float:
        """Seconds from launch to the last stage's burnout."""
        return sum(stage.burn_s for stage in self.stage)


class Site(Struct, frozen=True, kw_only=True):
    """One launch site; the usual azimuth is notional."""

    name: str
    lat_deg: float
    lon_deg: float
    usual_azimuth_deg: float


class PublishedFlight(Struct, frozen=True, kw_only=True):
    """One flight as published: who flew from where, how high and how far. A salvo is one row, of what each of it flew."""

    date_jst: str
    type: str
    site: str
    apogee_km: float
    range_km: float


def parse_types(text: str, source: str) -> dict[str, MissileType]:
    """Types by name. BadInput names `source`, the key and what is allowed; also where a stage is lighter than its propellant."""
    types = entries_from_toml(text, source, {"": MissileType}, "")
    for name, missile in types.items():
        for index, stage in enumerate(missile.stage):
            if stage.stage_mass_kg <= stage.propellant_kg:
                key = f"{name}.stage[{index}].stage_mass_kg"
                raise BadInput(source, key, f"{stage.stage_mass_kg:g} is not above its propellant", "more than propellant_kg")
    return types


@cache
def missile_types() -> dict[str, MissileType]:
    """Every type of the catalogue by its lower-case name."""
    path = CATALOGUE / "types.toml"
    return parse_types(path.read_text(encoding="utf-8"), path.name)


@cache
def sites() -> dict[str, Site]:
    """Every site by its lower-case name."""
    with (CATALOGUE / "sites.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["site"].lower(): Site(
                name=row["site"],
                lat_deg=float(row["lat_deg"]),
                lon_deg=float(row["lon_deg"]),
                usual_azimuth_deg=float(row["usual_azimuth_deg"]),
            )
            for row in csv.DictReader(file)
        }


@cache
def published_flights() -> tuple[PublishedFlight, ...]:
    """Every published flight, in the order of its file, which names the source of each."""
    with (CATALOGUE / "flights.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            PublishedFlight(
                date_jst=row["date_jst"],
                type=row["type"],
                site=row["site"],
                apogee_km=float(row["apogee_km"]),
                range_km=float(row["range_km"]),
            )
            for row in csv.DictReader(file)
        )


def type_key(name: str) -> str:
    """A type's name as the catalogue has it: `No-dong A` is `no-dong-a`."""
    return "-".join(name.lower().split())


def find_type(name: str, source: str, key: str) -> MissileType:
    """The type of that name; BadInput names `source` and `key` and lists what there is."""
    found = missile_types().get(type_key(name))
    if found is None:
        raise BadInput(source, key, f"no missile type {name!r}", ", ".join(sorted(missile_types())))
    return found


def find_site(name: str, source: str, key: str) -> Site:
    """The site of that name; BadInput names `source` and `key` and lists what there is."""
    found = sites().get(name.lower())
    if found is None:
        raise BadInput(source, key, f"no launch site {name!r}", ", ".join(site.name for site in sites().values()))
    return found
