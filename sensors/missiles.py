"""The catalogue of missile types, launch sites and published flights: data, read once, with every name in any letter case."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from bus.errors import BadInput
from bus.settings import entries_from_toml
from physics.constants import STANDARD_GRAVITY_M_S2
from sensors.quantities import Degrees, Kilometres, Latitude, Longitude
from sensors.rows import rows_from_csv

CATALOGUE: Final = Path(__file__).parent / "catalogue"

# About 1 MW/sr for a large liquid first stage and tens of kW/sr for a short-range missile: textbook orders of magnitude,
# notional.
_PLUME_W_SR_PER_N: Final = 0.4

Mass = Annotated[float, Meta(gt=0.0, le=1e6, description="kilograms, above 0, at most 1000000")]
Area = Annotated[float, Meta(gt=0.0, le=1e4, description="square metres, above 0, at most 10000")]


class Stage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One stage: masses kg (stage_mass with its propellant), specific impulse and burn time s, diameter m."""

    propellant_kg: Mass
    stage_mass_kg: Mass
    isp_s: Annotated[float, Meta(gt=0.0, le=1000.0, description="seconds, above 0, at most 1000")]
    burn_s: Annotated[float, Meta(ge=1.0, le=1000.0, description="seconds, 1 to 1000")]
    diameter_m: Annotated[float, Meta(gt=0.0, le=20.0, description="metres, above 0, at most 20")]

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

    boost: Area
    coast: Area
    reentry: Area


class MissileType(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One type: its stages from the ground up, the payload, the ballistic coefficient after burnout, and where it glides."""

    title: str
    source: str
    payload_kg: Mass
    beta_kg_m2: Annotated[float, Meta(ge=10.0, le=1e6, description="kg/m2, 10 to 1000000")]
    rcs_m2: CrossSection
    stage: Annotated[tuple[Stage, ...], Meta(min_length=1, description="one or more stages")]
    glide: tuple[Glide, ...] = ()

    @property
    def burn_s(self) -> float:
        """Seconds from launch to the last stage's burnout."""
        return sum(stage.burn_s for stage in self.stage)


class Site(Struct, frozen=True, kw_only=True):
    """One launch site; the usual azimuth is notional."""

    name: Annotated[str, Meta(pattern=r"^\S", description="a name")] = field(name="site")
    lat_deg: Latitude
    lon_deg: Longitude
    usual_azimuth_deg: Degrees


class PublishedFlight(Struct, frozen=True, kw_only=True):
    """One flight as published: who flew from where, how high and how far. A salvo is one row, of what each of it flew."""

    date_jst: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="a date like 2017-02-12")]
    type: str
    site: str
    apogee_km: Kilometres
    range_km: Kilometres


def parse_types(text: str, source: str) -> dict[str, MissileType]:
    """Types by name. BadInput names `source`, the key and what is allowed.

    Also where a stage is lighter than its propellant, or a band of altitude ends below where it begins.
    """
    types = entries_from_toml(text, source, {"": MissileType}, "")
    for name, missile in types.items():
        for index, stage in enumerate(missile.stage):
            if stage.stage_mass_kg <= stage.propellant_kg:
                key = f"{name}.stage[{index}].stage_mass_kg"
                raise BadInput(source, key, f"{stage.stage_mass_kg:g} is not above its propellant", "more than propellant_kg")
        for index, band in enumerate(missile.glide):
            if band.below_km <= band.above_km:
                key = f"{name}.glide[{index}].below_km"
                raise BadInput(source, key, f"{band.below_km:g} is not above above_km", f"above {band.above_km:g}")
    return types


def parse_sites(text: str, source: str) -> dict[str, Site]:
    """Sites by their lower-case names. BadInput names `source`, the site and the column; also where two have one name."""
    found: dict[str, Site] = {}
    for name, site in rows_from_csv(text, source, Site, "site"):
        if name.lower() in found:
            raise BadInput(source, f"{name}.site", "is there already", "a name of its own, in any letter case")
        found[name.lower()] = site
    return found


def parse_flights(text: str, source: str) -> tuple[PublishedFlight, ...]:
    """Published flights in order. BadInput names `source`, the date and type, and the column; also an unknown type or site."""
    found = []
    for name, flight in rows_from_csv(text, source, PublishedFlight, "date_jst", "type"):
        find_type(flight.type, source, f"{name}.type")
        find_site(flight.site, source, f"{name}.site")
        found.append(flight)
    return tuple(found)


@cache
def missile_types() -> dict[str, MissileType]:
    """Every type of the catalogue by its lower-case name."""
    path = CATALOGUE / "types.toml"
    return parse_types(path.read_text(encoding="utf-8"), path.name)


@cache
def sites() -> dict[str, Site]:
    """Every site by its lower-case name."""
    path = CATALOGUE / "sites.csv"
    return parse_sites(path.read_text(encoding="utf-8"), path.name)


@cache
def published_flights() -> tuple[PublishedFlight, ...]:
    """Every published flight, in the order of its file, which names the source of each."""
    path = CATALOGUE / "flights.csv"
    return parse_flights(path.read_text(encoding="utf-8"), path.name)


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
