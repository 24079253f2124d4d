"""`triwarn check FILE`: whether a scenario or settings file can be taken, and what it holds."""

from __future__ import annotations

from pathlib import Path

from bench.settings import Settings, checked
from bus.errors import BadInput
from bus.release import label
from bus.settings import from_tree, read_toml
from sensors.scenario import load_scenario, possible_releases
from sensors.truth import build_truth


def describe(file: Path) -> str:
    """What the file holds, in a few lines; BadInput where it cannot be taken. Only settings sections: settings."""
    try:
        tree = read_toml(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise BadInput(str(file), "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadInput(str(file), "", f"not TOML: {error}") from None
    settings_sections = set(Settings.__struct_fields__)
    if (tree and set(tree) <= settings_sections) or not tree:
        checked(from_tree(tree, str(file), Settings))
        return f"{file}: settings, sound; it sets {', '.join(sorted(tree)) or 'nothing'}"
    return _scenario(file)


def _scenario(file: Path) -> str:
    scenario = load_scenario(str(file))
    truth = build_truth(scenario)
    lines = [
        f"{file}: scenario {scenario.name}, sound; {(truth.end_ns - truth.start_ns) / 1e9:.0f} s, {len(truth.launches)} launches"
    ]
    lines += [
        f"  {each.launch_id} {each.type}: apogee {each.apogee_km:.1f} km, range {each.range_km:.1f} km, "
        f"flight {(each.impact_ns - each.launch_ns) / 1e9:.0f} s"
        for each in truth.launches
    ]
    for nation, releases in possible_releases(scenario).items():
        if scenario.nations[nation].rule is not None:
            marked = ", ".join(sorted(map(label, releases)))
            lines.append(f"  {nation} releases by {len(scenario.policies[nation].rules)} rules, marked {marked}")
    lines += [
        f"  at {word.at_s:g} s {word.nation} says that {word.pair[0]} and {word.pair[1]} "
        f"{'may be one object again' if word.undo else 'are not one object'}"
        for word in scenario.decorrelations
    ]
    return "\n".join(lines)
