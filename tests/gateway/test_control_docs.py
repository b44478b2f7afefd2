"""docs/api.md lists the routes, parameters and metrics there are, no more and no fewer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from starlette.routing import Route

from proxy.control.app import routes
from proxy.control.event_routes import LIST_PARAMETERS
from proxy.control.hub import Hub
from proxy.events.metrics import METRICS

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def test_every_route_is_documented() -> None:
    # The table is made without asking anything of the hub.
    table: list[Route] = routes(cast(Hub, None))
    there = {(method, route.path) for route in table for method in (route.methods or set()) - {"HEAD"}}
    documented = re.findall(r"^### `([A-Z]+) (\S+)`$", TEXT, flags=re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == there


def test_every_parameter_of_the_list_is_documented() -> None:
    section = TEXT.partition("### `GET /v1/events`")[2].partition("### ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(documented) == sorted(LIST_PARAMETERS)


def test_every_metric_is_documented() -> None:
    section = TEXT.partition("### `GET /v1/metrics/series`")[2].partition("### ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    assert rows == [[f"`{metric.name}`", metric.unit, metric.doc] for metric in METRICS.values()]
