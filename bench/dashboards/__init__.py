"""Three Grafana dashboards as tables of panels. `python -m bench.dashboards` makes docker/grafana/dashboards of them."""
