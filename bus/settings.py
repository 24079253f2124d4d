"""The one strict loader of TOML, and the settings that several processes share.

Every section is a frozen struct beside its user; each field says its unit and why that default. Values come from the file,
then from the environment, then from flags: the later wins. An environment variable is `TRIWARN_` and the key's path with
double underscores: `TRIWARN_BROKER__URL=mqtt://10.0.0.5:1883`. Whatever cannot be taken raises BadInput, and nothing starts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from bus.errors import BadInput

T = TypeVar("T")

ENVIRONMENT_PREFIX: Final = "TRIWARN_"


def from_toml(text: str, source: str, kind: type[T]) -> T:
    """`text` as a `kind`; BadInput names `source`, the key, what was wrong and what is allowed."""
    return from_tree(read_toml(text, source), source, kind)


def entries_from_toml(text: str, source: str, kinds: Mapping[str, type[T]], tag: str) -> dict[str, T]:
    """The tables of `text` by name, each of the kind that its own key `tag` names; errors as of `from_toml`, with that name.

    With one kind alone under "", no tag is asked for.
    """
    found: dict[str, T] = {}
    for name, entry in read_toml(text, source).items():
        if not isinstance(entry, Mapping):
            raise BadInput(source, name, "expected a table")
        kind = kinds.get("", kinds.get(str(entry.get(tag))))
        if kind is None:
            raise BadInput(source, f"{name}.{tag}", f"no such {tag}: {entry.get(tag)!r}", ", ".join(kinds))
        try:
            found[name] = from_tree(entry, source, kind)
        except BadInput as error:
            raise BadInput(source, ".".join(filter(None, [name, error.key])), error.problem, error.allowed) from None
    return found


def read_toml(text: str, source: str) -> dict[str, Any]:
    """The tree of TOML values in `text`; BadInput where it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(source, "", f"not TOML: {error}") from None
    except RecursionError:
        raise BadInput(source, "", "not TOML: nested too deeply") from None


def from_tree(tree: Mapping[str, Any], source: str, kind: type[T], *, strict: bool = True) -> T:
    """A tree of TOML values as a `kind`, with the errors of `from_toml`. Not strict: numbers may be written as strings."""
    try:
        return msgspec.convert(tree, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise _explained(_with_entry(str(error), tree, kind), source, kind) from None


def _with_entry(text: str, tree: Mapping[str, Any], kind: type[Any]) -> str:
    """The error with the name of the table's entry that it speaks of: it says only `nations[...]`."""
    found = re.search(r"`\$\.(\w+)\[\.\.\.\]", text)
    entries = tree.get(found[1]) if found else None
    if not found or not isinstance(entries, Mapping):
        return text
    for name, entry in entries.items():
        try:
            msgspec.convert({name: entry}, _unwrapped(_hint_at(kind, found[1])))
        except msgspec.ValidationError:
            return text.replace(f"{found[1]}[...]", f"{found[1]}.{name}")
    return text


_AT = re.compile(r" - at `(?P<key>key` in `)?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")


def _explained(text: str, source: str, kind: type[Any]) -> BadInput:
    """A validation error in the user's words: the key's path, and what is allowed there."""
    at = _AT.search(text)
    path = at["path"].removeprefix("$").lstrip(".") if at else ""
    problem = re.sub(r"^Expected `str` matching regex .*", "does not have the form of one", _AT.sub("", text))
    if unknown := _UNKNOWN.search(problem):
        key = ".".join(filter(None, [path, unknown["name"]]))
        return BadInput(source, key, "no such key", ", ".join(_keys_at(kind, path)))
    if missing := _MISSING.search(problem):
        key = ".".join(filter(None, [path, missing["name"]]))
        return BadInput(source, key, "missing", _meaning(kind, key))
    if at and at["key"]:
        return BadInput(source, path, problem[:1].lower() + problem[1:], _table_keys(kind, path))
    return BadInput(source, path, problem[:1].lower() + problem[1:], _meaning(kind, path))


def _steps(path: str) -> list[str]:
    """`launch[0].site` and `nations[...].sensors` as steps, an element of a list or table being `[]`."""
    return [step for step in re.sub(r"\[[^\]]*\]", ".[]", path).split(".") if step]


def _unwrapped(hint: Any) -> Any:
    """The struct, list or dict inside Annotated and Optional wrappers."""
    while True:
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        elif isinstance(hint, type) or get_origin(hint) in (list, tuple, dict, frozenset):
            return hint
        else:
            inner = [part for part in get_args(hint) if part is not type(None)]
            if len(inner) != 1:
                return hint
            hint = inner[0]


def _hint_at(kind: Any, path: str) -> Any:
    """The type hint that stands at `path` below `kind`, Annotated metadata kept; None where there is none."""
    hint = kind
    for step in _steps(path):
        inside = _unwrapped(hint)
        if step == "[]":
            arguments = get_args(inside)
            hint = arguments[-1 if get_origin(inside) is dict else 0] if arguments else None
        elif isinstance(inside, type) and issubclass(inside, Struct):
            names = {field.encode_name: field.name for field in msgspec.structs.fields(inside)}
            hint = get_type_hints(inside, include_extras=True).get(names.get(step, step))
        elif get_origin(inside) is dict:
            hint = get_args(inside)[1]
        else:
            return None
    return hint


def _keys_at(kind: Any, path: str) -> list[str]:
    inside = _unwrapped(_hint_at(kind, path))
    if isinstance(inside, type) and issubclass(inside, Struct):
        return sorted(field.encode_name for field in msgspec.structs.fields(inside))
    return []


def _table_keys(kind: Any, path: str) -> str:
    """The keys that a table of named entries may have."""
    arguments = get_args(_unwrapped(_hint_at(kind, path)))
    return ", ".join(get_args(arguments[0])) if arguments else ""


def _meaning(kind: Any, path: str) -> str:
    """What a field's own description says, or the values of a literal."""
    hint = _hint_at(kind, path)
    if get_origin(hint) is not Annotated:  # inside an optional field
        hint = next((part for part in get_args(hint) if get_origin(part) is Annotated), hint)
    if get_origin(hint) is Annotated:
        metas = [meta for meta in get_args(hint)[1:] if isinstance(meta, Meta)]
        described = next((meta.description for meta in reversed(metas) if meta.description), "")
        if described:
            return described if _RANGED.search(described) else "; ".join(filter(None, [_range(metas), described]))
        hint = get_args(hint)[0]
    literal = [value for value in get_args(hint) if isinstance(value, str)]
    return ", ".join(literal)


_RANGED = re.compile(r"\d to \d|above \d|at most|from \d|1 GiB")


def _range(metas: list[Meta]) -> str:
    """The limits of a number in words."""
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    limits = {name: getattr(meta, name) for meta in metas for name in words if getattr(meta, name) is not None}
    return ", ".join(f"{words[name]} {limits[name]:g}" for name in words if name in limits)


def load_settings(kind: type[T], path: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> T:
    """Settings of `kind` from the file, then the environment, then flags (`{"broker.url": ...}`; None: not given)."""
    tree: dict[str, Any] = {}
    source = str(path) if path else "settings"
    if path is not None:
        try:
            tree = read_toml(path.read_text(encoding="utf-8"), source)
        except OSError as error:
            raise BadInput(source, "", f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise BadInput(source, "", f"not TOML: {error}") from None
        from_tree(tree, source, kind)
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            if "__" not in name:
                raise BadInput(f"environment variable {name}", "", "is no setting", f"{ENVIRONMENT_PREFIX}SECTION__KEY")
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            _put(tree, key, _literal(text), f"environment variable {name}")
            from_tree(tree, f"environment variable {name}", kind)
    for key, value in (flags or {}).items():
        if value is not None:
            _put(tree, key, value, f"flag for {key}")
            from_tree(tree, f"flag for {key}", kind)
    return from_tree(tree, source, kind)


def _put(tree: dict[str, Any], key: str, value: Any, source: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise BadInput(source, key, f"{section} is a value, not a section")
    tree[last] = value


def _literal(text: str) -> Any:
    """An environment variable's text as the TOML value it spells, or else as the string it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
