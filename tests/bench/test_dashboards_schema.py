"""The committed dashboards against the schema that Grafana itself is built of: its published TypeScript, checked by the compiler.

Each panel is checked as the kind that it is, with that kind's options. A field that the schema does not know is an error, as is
one that is missing or of another type. It needs node, npm and the package registry, so it is among the long tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest

from bench.dashboards.ask import FOLDER

GRAFANA: Final = version("grafana-foundation-sdk").partition("!")[2]  # its epoch is a date, its version Grafana's
PACKAGES: Final = (f"@grafana/schema@{GRAFANA}", "typescript@5.9.3")
RAW: Final = "./node_modules/@grafana/schema/dist/esm/raw/composable"
KINDS: Final = {  # of a panel: the folder, the file, and whether its fields have a look of their own
    "stat": ("stat", "StatPanelCfg", False),
    "gauge": ("gauge", "GaugePanelCfg", False),
    "bargauge": ("bargauge", "BarGaugePanelCfg", False),
    "timeseries": ("timeseries", "TimeSeriesPanelCfg", True),
    "state-timeline": ("statetimeline", "StateTimelinePanelCfg", True),
    "heatmap": ("heatmap", "HeatmapPanelCfg", False),
    "table": ("table", "TablePanelCfg", True),
}
HEAD: Final = """\
import type { AnnotationQuery, Dashboard, Panel, RowPanel } from "@grafana/schema";
// What a type looks like as JSON: an enumeration is its values.
type Plain<T> = unknown extends T ? T
  : T extends string ? `${T}`
  : T extends number ? number
  : T extends boolean | null | undefined ? T
  : T extends Array<infer U> ? Plain<U>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> }
  : T;
type Kind<Options, Custom> = Omit<Panel<Record<string, unknown>, Custom>, "options"> & { options: Options };
// A query as the Prometheus source has it, which the schema leaves to the source.
type Asked = { refId: string; expr: string; interval: string };
type Shaded = Omit<AnnotationQuery, "target"> & { target: Asked; expr: string; step: string; titleFormat: string };
"""


def lines() -> Iterator[str]:
    """The dashboards as TypeScript, each part claimed to be of its type."""
    yield HEAD
    for folder, file, _ in KINDS.values():
        yield f'import type * as {folder} from "{RAW}/{folder}/panelcfg/x/{file}_types.gen";'
    for number, path in enumerate(sorted(FOLDER.glob("*.json"))):
        board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        panels, shaded = board.pop("panels"), board.pop("annotations")["list"]
        yield f'const board{number}: Plain<Omit<Dashboard, "panels" | "annotations">> = {json.dumps(board)};'
        yield f"const shaded{number}: Plain<Shaded>[] = {json.dumps(shaded)};"
        for panel in panels:
            claimed = "RowPanel"
            if panel["type"] != "row":
                kind, _, own = KINDS[panel["type"]]
                claimed = f"Kind<{kind}.Options, {f'{kind}.FieldConfig' if own else 'never'}>"
            yield f"const item{number}_{panel['id']}: Plain<{claimed}> = {json.dumps(panel)};"


def compiled(source: str, folder: Path) -> str:
    """What the compiler says of it."""
    (folder / "dashboards.ts").write_text(source, encoding="utf-8")
    flags = [
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
        "--target",
        "es2022",
    ]
    tsc = [str(folder / "node_modules" / ".bin" / "tsc"), *flags, "dashboards.ts"]
    return subprocess.run(tsc, cwd=folder, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.long
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_the_dashboards_are_of_grafanas_own_types(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}", encoding="utf-8")
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *PACKAGES]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    source = "\n".join(lines()) + "\n"
    assert compiled(source, tmp_path) == ""
    for right, wrong in (
        ('"graphMode": "none"', '"graphMod": "none"'),
        ('"drawStyle": "bars"', '"drawStyle": "bar"'),
        ('"gridPos"', '"grid"'),
    ):
        assert len(compiled(source.replace(right, wrong, 1), tmp_path).splitlines()) == 1, wrong
