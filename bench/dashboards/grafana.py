"""Turns a table of panels into Grafana's own JSON, by Grafana's own types (grafana-foundation-sdk), and writes the files.

Nothing but form is decided here: how lines are drawn, where legends stand, which colours the sky of a heat map has.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import (
    bargauge,
    common,
    dashboard,
    gauge,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)

from bench.dashboards.choices import CANARY, SCRAPED_EVERY
from bench.dashboards.engineering import ENGINEERING
from bench.dashboards.latency import LATENCY
from bench.dashboards.panels import Colour, Dashboard, Kind, Limits, Panel, Placed, Row, Variable, placed
from bench.dashboards.warning import WARNING

DASHBOARDS: Final = (WARNING, LATENCY, ENGINEERING)
FOLDER: Final = Path(__file__).parent.parent.parent / "docker" / "grafana"
SOURCE: Final = dashboard.DataSourceRef("prometheus", "triwarn-prometheus")  # as provisioned
_TAG: Final = "triwarn"

_LAST: Final = common.ReduceDataOptions(values=False, calcs=["lastNotNull"])
_LEGEND: Final = common.VizLegendOptions(
    display_mode=common.LegendDisplayMode.LIST, placement=common.LegendPlacement.BOTTOM, show_legend=True, calcs=[]
)
_TOOLTIP: Final = common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING)


@dataclass(frozen=True, slots=True)
class _Form:
    """How Grafana calls a kind of panel, whether it shows only the newest value, and its options."""

    type: str
    newest: bool
    options: object
    custom: Callable[[Panel], object] = lambda _: None
    format: prometheus.PromQueryFormat = prometheus.PromQueryFormat.TIME_SERIES


def _drawn(style: common.GraphDrawStyle) -> Callable[[Panel], object]:
    def custom(panel: Panel) -> object:
        columns = style is common.GraphDrawStyle.BARS
        stacking = common.StackingMode.NORMAL if panel.stacked else common.StackingMode.NONE
        marked = common.GraphThresholdsStyleMode.DASHED if panel.marked else common.GraphThresholdsStyleMode.OFF
        return timeseries.FieldConfig(
            draw_style=style,
            line_width=0 if columns else 2,
            fill_opacity=80 if columns else 30 if panel.stacked else 8,
            show_points=common.VisibilityMode.NEVER if columns else common.VisibilityMode.AUTO,
            stacking=common.StackingConfig(mode=stacking, group="A"),
            thresholds_style=common.GraphThresholdsStyleConfig(mode=marked),
            span_nulls=60_000.0,
        )

    return custom


_SKY: Final = heatmap.Options(
    calculate=False,
    color=heatmap.HeatmapColorOptions(
        mode=heatmap.HeatmapColorMode.SCHEME,
        scheme="Turbo",
        fill="dark-orange",
        scale=heatmap.HeatmapColorScale.EXPONENTIAL,
        exponent=0.5,
        steps=64,
    ),
    filter_values=heatmap.FilterValueRange(le=1e-9),
    rows_frame=heatmap.RowsHeatmapOptions(layout=common.HeatmapCellLayout.AUTO),
    show_value=common.VisibilityMode.NEVER,
    y_axis=heatmap.YAxisConfig(unit="s", axis_placement=common.AxisPlacement.LEFT),
    legend=heatmap.HeatmapLegend(show=True),
    tooltip=heatmap.HeatmapTooltip(mode=common.TooltipDisplayMode.SINGLE, y_histogram=True, show_color_scale=True),
    exemplars=heatmap.ExemplarConfig(color="rgba(255,0,255,0.7)"),
)

_FORMS: Final[dict[Kind, _Form]] = {
    "stat": _Form(
        "stat",
        True,
        stat.Options(
            graph_mode=common.BigValueGraphMode.NONE,
            color_mode=common.BigValueColorMode.BACKGROUND,
            justify_mode=common.BigValueJustifyMode.CENTER,
            text_mode=common.BigValueTextMode.AUTO,
            reduce_options=_LAST,
            orientation=common.VizOrientation.AUTO,
        ),
    ),
    "gauge": _Form("gauge", True, gauge.Options(reduce_options=_LAST, orientation=common.VizOrientation.AUTO)),
    "bars": _Form(
        "bargauge",
        True,
        bargauge.Options(
            display_mode=common.BarGaugeDisplayMode.BASIC,
            value_mode=common.BarGaugeValueMode.COLOR,
            reduce_options=_LAST,
            orientation=common.VizOrientation.HORIZONTAL,
        ),
    ),
    "lines": _Form("timeseries", False, timeseries.Options(legend=_LEGEND, tooltip=_TOOLTIP), _drawn(common.GraphDrawStyle.LINE)),
    "columns": _Form(
        "timeseries", False, timeseries.Options(legend=_LEGEND, tooltip=_TOOLTIP), _drawn(common.GraphDrawStyle.BARS)
    ),
    "states": _Form(
        "state-timeline",
        False,
        statetimeline.Options(show_value=common.VisibilityMode.AUTO, row_height=0.8, legend=_LEGEND, tooltip=_TOOLTIP),
        lambda _: statetimeline.FieldConfig(fill_opacity=80),
    ),
    "heatmap": _Form("heatmap", False, _SKY, format=prometheus.PromQueryFormat.HEATMAP),
    "table": _Form(
        "table",
        True,
        table.Options(show_header=True, cell_height=common.TableCellHeight.SM),
        lambda _: common.TableFieldOptions(cell_options=common.TableColorTextCellOptions()),
        prometheus.PromQueryFormat.TABLE,
    ),
}


def made(board: Dashboard) -> str:
    """A dashboard's JSON, as its file holds it."""
    others = [other for other in DASHBOARDS if other is not board]
    model = dashboard.Dashboard(
        uid=board.uid,
        title=board.title,
        description=board.about,
        tags=[_TAG],
        graph_tooltip=dashboard.DashboardCursorSync.CROSSHAIR,
        time=dashboard.DashboardDashboardTime("now-15m", "now"),
        timepicker=dashboard.TimePickerConfig(refresh_intervals=["5s", "10s", "30s", "1m"]),
        refresh="5s",
        panels=[_item(each) for each in placed(board)],
        templating=dashboard.DashboardDashboardTemplating([_variable(each) for each in board.variables]),
        annotations=dashboard.AnnotationContainer(
            [
                _Times("exercise", "blue", f"max(triwarn_exercise_running) - {CANARY} > 0"),
                _Times("canary (synthetic)", "purple", "max(triwarn_canary) > 0"),
            ]
        ),
        links=[_link(other) for other in others],
    )
    return json.dumps(model, cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"


class _Times(dashboard.AnnotationQuery):
    """Shades the times at which an expression holds. The types do not know what the data source reads of it: newer versions the
    target, older ones what stands beside it.
    """

    def __init__(self, name: str, colour: str, expr: str) -> None:
        super().__init__(name=name, datasource=SOURCE, icon_color=colour, expr=expr)

    def to_json(self) -> dict[str, object]:
        target = {"refId": "Anno", "expr": self.expr, "interval": SCRAPED_EVERY}
        return super().to_json() | {"target": target, "step": SCRAPED_EVERY, "titleFormat": self.name}


def _link(board: Dashboard) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(
        title=board.title.removeprefix("triwarn: "),
        type_val=dashboard.DashboardLinkType.LINK,
        icon="dashboard",
        tooltip=board.about,
        url=f"/d/{board.uid}",
        include_vars=True,
        keep_time=True,
    )


def _variable(variable: Variable) -> dashboard.VariableModel:
    chosen = "All" if variable.several else variable.values[0]
    options = [dashboard.VariableOption(False, value, value) for value in variable.values]
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.QUERY if variable.query else dashboard.VariableType.CUSTOM,
        name=variable.name,
        label=variable.label,
        description=variable.about,
        query=variable.query or ",".join(variable.values),
        datasource=SOURCE if variable.query else None,
        current=dashboard.VariableOption(True, chosen, "$__all" if variable.several else chosen),
        multi=variable.several,
        include_all=variable.several,
        all_value=".*" if variable.several else None,
        allow_custom_value=False,
        options=options,
        refresh=dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED if variable.query else None,
        sort=dashboard.VariableSort.ALPHABETICAL_ASC if variable.query else None,
        auto=None,
        auto_min=None,
        auto_count=None,
    )


def _item(place: Placed) -> dashboard.Panel | dashboard.RowPanel:
    grid = dashboard.GridPos(h=place.height, w=place.width, x=place.x, y=place.y)
    if isinstance(place.item, Row):
        return dashboard.RowPanel(title=place.item.title, grid_pos=grid, id_val=place.number, panels=[])
    panel, form = place.item, _FORMS[place.item.kind]
    return dashboard.Panel(
        type_val=form.type,
        id_val=place.number,
        title=panel.title,
        description=panel.about,
        datasource=SOURCE,
        grid_pos=grid,
        targets=[
            _target(form, letter, each.expr, each.legend) for letter, each in zip(ascii_uppercase, panel.queries, strict=False)
        ],
        transformations=_transformations(panel),
        options=form.options,
        field_config=dashboard.FieldConfigSource(
            dashboard.FieldConfig(
                unit=panel.unit,
                decimals=panel.decimals,
                min_val=panel.lowest,
                max_val=panel.highest,
                mappings=_mappings(panel),
                thresholds=_thresholds(panel.limits),
                color=dashboard.FieldColor(_colouring(panel)),
                no_value=panel.empty,
                custom=form.custom(panel),
            ),
            overrides=_overrides(panel),
        ),
    )


def _target(form: _Form, letter: str, expr: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery(
        expr=expr,
        instant=form.newest,
        range_val=not form.newest,
        editor_mode=prometheus.QueryEditorMode.CODE,
        format_val=form.format,
        legend_format=legend or "__auto",
        ref_id=letter,
        datasource=SOURCE,
    )


def _colouring(panel: Panel) -> dashboard.FieldColorModeId:
    """Lines are told apart by colour; values by the limits."""
    apart = panel.kind in ("lines", "columns")
    return dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME if apart else dashboard.FieldColorModeId.THRESHOLDS


def _named(colour: Colour) -> str:
    """Grafana's name of a colour; it has none for grey."""
    return "#808080" if colour == "grey" else colour


def _thresholds(limits: Limits) -> dashboard.ThresholdsConfig:
    steps = [
        dashboard.Threshold(None, _named(limits.lowest)),
        *(dashboard.Threshold(value, _named(colour)) for value, colour in limits.steps),
    ]
    return dashboard.ThresholdsConfig(dashboard.ThresholdsMode.ABSOLUTE, steps)


def _mappings(panel: Panel) -> list[dashboard.ValueMapping]:
    if not panel.names:
        return []
    words = {
        f"{value:g}": dashboard.ValueMappingResult(text=text, color=_named(colour), index=index)
        for index, (value, text, colour) in enumerate(panel.names)
    }
    return [dashboard.ValueMap(words)]


def _transformations(panel: Panel) -> list[dashboard.DataTransformerConfig] | None:
    if panel.kind != "table":
        return None
    if panel.matrix:
        row, column = panel.matrix
        options: dict[str, Any] = {"rowField": row, "columnField": column, "valueField": "Value"}
        return [dashboard.DataTransformerConfig("groupingToMatrix", options=options)]
    fields = {each.legend: f"Value #{letter}" for letter, each in zip(ascii_uppercase, panel.queries, strict=False)}
    names = [fields.get(name, name) for name, _, _ in panel.columns]
    options = {
        "excludeByName": {hidden: True for hidden in ("Time", "Value") if hidden not in names},
        "indexByName": {name: index for index, name in enumerate(names)},
        "renameByName": {name: heading for name, (_, heading, _) in zip(names, panel.columns, strict=True)},
    }
    return [dashboard.DataTransformerConfig("merge", options={}), dashboard.DataTransformerConfig("organize", options=options)]


def _overrides(panel: Panel) -> list[dashboard.DashboardFieldConfigSourceOverrides]:
    overrides = [
        _override("byRegexp", f"/^{legend}$/", color={"mode": "fixed", "fixedColor": _named(colour)})
        for legend, colour in panel.colours
    ]
    if panel.dashed:
        dash = {"dash": [4, 6], "fill": "dash"}
        look = {"custom.lineStyle": dash, "custom.lineWidth": 1, "custom.fillOpacity": 0}
        overrides.append(_override("byRegexp", f"/^{panel.dashed}$/", **look))
    overrides += [_override("byName", heading, unit=unit, decimals=0) for _, heading, unit in panel.columns if unit]
    return overrides


def _override(matcher: str, options: str, **properties: object) -> dashboard.DashboardFieldConfigSourceOverrides:
    values = [dashboard.DynamicConfigValue(name, value) for name, value in properties.items()]
    return dashboard.DashboardFieldConfigSourceOverrides(dashboard.MatcherConfig(matcher, options), values)
