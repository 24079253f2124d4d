"""`python -m bench.dashboards`: makes docker/grafana/dashboards anew. A test holds what is committed to it."""

from __future__ import annotations

from bench.dashboards.grafana import DASHBOARDS, FOLDER, made


def main() -> None:
    """Write every dashboard's file."""
    for board in DASHBOARDS:
        (FOLDER / "dashboards" / f"{board.uid}.json").write_text(made(board), encoding="utf-8")


if __name__ == "__main__":
    main()
