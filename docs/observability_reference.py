"""docs/observability.md: what other systems can read of a gateway; its tables are those of the code."""

from __future__ import annotations

from proxy.control.exposition import OWN
from proxy.events.totals import MAX_SERIES, MAX_STRANGERS
from proxy.events.totals_families import FAMILIES, Family

_PROMETHEUS = f"""\
## Prometheus

`GET /metrics` on the control API, in the text format or, for those who accept it, OpenMetrics. It wants a token like every other route; a viewer's is enough.
Add one to `tokens.json` of the state directory (`{{"name": "prometheus", "role": "viewer", "token": "..."}}`), start the gateway
anew, put the token alone into a file that Prometheus may read, and:

```yaml
scrape_configs:
  - job_name: ktui
    authorization:
      credentials_file: /etc/prometheus/ktui.token
    static_configs:
      - targets: ["127.0.0.1:41003"]
```

Counters of traffic are made of what the event store has stored, so they agree with `/v1/events`, `kt events stats` and the screen, and no request
waits for them; a request is in them about 0.1 s after it ended. They begin at 0 with the process and never go down while it lives,
so money in them is what was known when the answer ended: `kt prices reprice` changes events and roll-ups, not counters.
`ktui_requests_total` added up is `ktui_events_stored_total`. Label names of `gen_ai_*` are those of OpenTelemetry with underscores.

```promql
sum by (variant) (rate(ktui_requests_total{{outcome!="ok"}}[5m])) / sum by (variant) (rate(ktui_requests_total[5m]))
histogram_quantile(0.95, sum by (le, gen_ai_request_model) (rate(gen_ai_server_request_duration_seconds_bucket[5m])))
sum by (model) (increase(ktui_cost_dollars_total[1h]))
increase(ktui_events_dropped_total[5m]) > 0
max by (target) (ktui_target_breaker{{state="open"}}) == 1
```

**Labels are bounded.** Models, providers, targets, variants and policies that the policy file names have series of their own. Of others, the first {MAX_STRANGERS}
of a label do, and a model only once an upstream answered for it: what a client makes up is counted under `_OTHER`. A counter has at most {MAX_SERIES:,} label
sets and a histogram {MAX_SERIES // 4:,}; what goes beyond is counted in one whose labels are all `_OTHER`, so that sums stay right. `none` means that there was
none: no variant was assigned, nothing went upstream. An empty `error_type` is a label that is not there: no error.
"""

_OTEL = """\
## Alerts

```yaml
events:
  alerts:
    - {name: timeouts, filter: "error:timeout", more_than: 5}
    - {name: b-is-slow, filter: "variant:b latency>5s", more_than_percent: 10, of: "variant:b", within: 15m}
```

An alert fires while more requests than that ended within the window, and is over when no more did for a tenth of it; a share is taken of 20 requests at least. It follows
what is stored, also what was stored before it was written (up to 50,000 requests), so while the store takes nothing alerts stand still. The screen names it in red and in a
toast, `!` shows its requests; the log (stderr of `kt gateway run`) has a line when one fires and when it is over; `kt doctor` exits with 1; `/v1/status` and the two
`ktui_alert_*` gauges above tell the rest of the world. The filter is that of Live ([filter.md](filter.md)), without times and bodies.

## OpenTelemetry

With the extra `ktui[otel]` and an endpoint, the gateway sends spans and the traffic metrics above to a collector, over OTLP/HTTP with protobuf:

```sh
pip install 'ktui[otel]'
export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318
export OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer%20TOKEN'   # where the collector wants one
kt gateway run --policy-config policy.yaml
```

`kt doctor`, `/v1/status` (`telemetry`) and `ktui_otel_*` tell how it goes; an endpoint without the extra is said at the start and is no error.
The variables are the standard ones: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`,
`..._HEADERS`, `..._TIMEOUT`, `..._COMPRESSION`, `..._CERTIFICATE`, `OTEL_SERVICE_NAME` (`ktui`), `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_EXPORTER=none`,
`OTEL_METRICS_EXPORTER=none`, `OTEL_TRACES_SAMPLER` (`parentbased_always_on`) with `OTEL_TRACES_SAMPLER_ARG`, `OTEL_BSP_MAX_QUEUE_SIZE` (2048),
`OTEL_BSP_SCHEDULE_DELAY` (5000), `OTEL_METRIC_EXPORT_INTERVAL` (60000) and `OTEL_SDK_DISABLED`. `OTEL_EXPORTER_OTLP_PROTOCOL` may only be `http/protobuf`.

Requests never wait for it: what the store has stored is queued, and a process of its own makes spans of it and sends them, at most 128 requests at a time. A full
queue drops, a batch that the collector does not take is dropped, and both are counted. At the stop, what waits is sent within 5 s.

**Spans.** A request is one `SERVER` span named like `chat gpt-4o`, from its headers being read to the last byte sent, with one `CLIENT` span below it for each
request sent upstream. Tokens and cost stand on the first alone, so that sums over all spans count them once.

| attribute | on | meaning |
|---|---|---|
| `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model` | both | `chat`, `text_completion`, `embeddings`, ...; `ktui` where the gateway answered itself |
| `gen_ai.response.model`, `gen_ai.response.finish_reasons`, `gen_ai.response.time_to_first_chunk` | request | as the vendor reported; seconds |
| `gen_ai.request.stream`, `gen_ai.request.max_tokens` | request | |
| `gen_ai.usage.input_tokens`, `.output_tokens`, `.cache_read.input_tokens`, `.cache_creation.input_tokens`, `.reasoning.output_tokens` | request | not there when not known |
| `http.response.status_code`, `error.type` | both | status and short code of the error, or why another attempt was made |
| `server.address`, `server.port`, `http.request.resend_count` | attempt | where it went; how many came before it |
| `ktui.target` | both | id of the target |
| `ktui.request.id`, `.endpoint`, `.requested_model`, `.decision`, `.outcome`, `.policies`, `.policy_version`, `.split`, `.variant`, `.phase`, `.key`, `.attempts`, `.overhead` (s), `.usage_status`, `.cost` (dollars), `.cost_status` | request | as in the event |

Prompts, answers, error messages, metadata, users and the keys themselves are never among them.

**Traces.** A client's valid `traceparent` is the parent of the request's span, and is kept on the event (`trace`): `kt events list --filter trace:4bf92f35`. Upstream
gets a `traceparent` that names the span of the attempt, in the same trace, or in a new one when the client has none; `tracestate` goes with the trace it
belongs to. Without an export both go upstream as they came.
"""


def observability_reference(banner: str) -> str:
    """The whole document."""
    parts = [
        "# Observability\n",
        banner,
        "What other systems can read of a gateway. Names that OpenTelemetry's conventions for generative AI have are used; the rest begins with `ktui`.\n",
        _PROMETHEUS,
        "### Traffic\n",
        "| in Prometheus | with OpenTelemetry | kind | labels | meaning |",
        "|---|---|---|---|---|",
        *(_row(family) for family in FAMILIES),
        "",
        "### The gateway itself\n",
        "Beside these there are `process_*` (CPU, memory, open files, start) where the system tells them.\n",
        "| name | kind | labels | meaning |",
        "|---|---|---|---|",
        *(
            f"| `{metric.name}{'_total' if metric.kind == 'counter' else ''}` | {metric.kind} "
            f"| {_labels(metric.labels)} | {metric.doc} |"
            for metric in OWN
        ),
        "",
        _OTEL,
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _row(family: Family) -> str:
    name = family.prometheus + ("_total" if family.kind == "counter" else "")
    return (
        f"| `{name}` | `{family.name}` | {family.kind} | {_labels(family.prometheus_labels)} | {family.doc} |"
    )


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels)
