"""What lint says, where, how severely, and how to mend it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import date
from textwrap import dedent, indent

import pytest

from proxy.policy.diagnostics import Diagnostic
from proxy.policy.lint import LintResult, Surroundings, lint
from proxy.policy.schema import effective_targets, json_schema
from proxy.policy.text_edits import apply_edits

KEYS = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x", "AZURE_OPENAI_API_KEY": "x", "K": "x"}
SPLIT = """\
policies:
  - name: ab
    type: traffic_split
    variants:
      - {model: gpt-4o, weight: 95, tag: a}
      - {model: gpt-4o-mini, weight: 5, tag: b}
"""


def run(text: str, env: Mapping[str, str] = KEYS, today: date = date(2026, 6, 1)) -> LintResult:
    return lint(dedent(text), Surroundings(env, today))


def codes(text: str, env: Mapping[str, str] = KEYS, today: date = date(2026, 6, 1)) -> set[tuple[str, str]]:
    return {(problem.severity, problem.code) for problem in run(text, env, today).diagnostics}


def find(text: str, code: str, env: Mapping[str, str] = KEYS) -> Diagnostic:
    return next(problem for problem in run(text, env).diagnostics if problem.code == code)


def policy(body: str) -> str:
    return "policies:\n  - name: p\n" + indent(dedent(body), "    ")


def target(body: str) -> str:
    return "providers:\n  targets:\n    - id: openai\n" + indent(dedent(body), "      ") + SPLIT


def test_a_good_file_is_clean_and_read() -> None:
    result = run(SPLIT)
    assert result.diagnostics == ()
    assert result.clean
    assert result.policy_file is not None
    assert [policy.name for policy in result.policy_file.policies] == ["ab"]
    assert result.policy_file.policies[0].line == 2


def test_a_file_with_an_error_is_not_handed_out() -> None:
    result = run(SPLIT.replace("95", "-1"))
    assert not result.clean
    assert result.policy_file is None


@pytest.mark.parametrize(
    ("old", "new", "code", "place", "mended"),
    [
        ("weight: 5", "wieght: 5", "unknown-key", (6, 30), "weight: 5"),
        ("weight: 5", "wei\u200bght: 5", "unknown-key", (6, 30), "weight: 5"),
        ("variants", "Variants", "unknown-key", (4, 5), "variants"),
        ("type: traffic_split", "type: trafic_split", "unknown-type", (3, 11), "type: traffic_split"),
        ("weight: 95", 'weight: "95"', "wrong-type", (5, 33), "weight: 95"),
        (
            "  variants",
            "  enabled: yes\n    variants",
            "wrong-type",
            (4, 14),
            "  enabled: true\n    variants",
        ),
        (
            "  variants",
            "  enabled: Off\n    variants",
            "wrong-type",
            (4, 14),
            "  enabled: false\n    variants",
        ),
    ],
)
def test_slips_have_a_place_and_a_fix(
    old: str, new: str, code: str, place: tuple[int, int], mended: str
) -> None:
    text = SPLIT.replace(old, new)
    found = find(text, code)
    assert (found.severity, found.line, found.column) == ("error", *place)
    assert found.fix is not None
    assert apply_edits(text, found.fix.edits) == SPLIT.replace(old, mended)
    assert found.message.isprintable()


@pytest.mark.parametrize(
    "weight", [".nan", ".inf", "-.inf", "nan", "1e3", "1_000", "0600", "0x5", "22:22", "five", "+5"]
)
def test_weights_that_only_look_like_numbers(weight: str) -> None:
    found = find(SPLIT.replace("weight: 95", f"weight: {weight}"), "wrong-type")
    assert (found.line, found.column, found.end_column) == (5, 33, 33 + len(weight))


@pytest.mark.parametrize(
    ("weight", "code"), [("-1", "out-of-range"), ("0.0005", "bad-value"), ("9000000", "out-of-range")]
)
def test_weights_out_of_range(weight: str, code: str) -> None:
    assert ("error", code) in codes(SPLIT.replace("weight: 95", f"weight: {weight}"))


def test_text_fields_keep_what_yaml_would_turn_into_something_else() -> None:
    result = run(
        """
        providers:
          targets:
            - id: azure-openai
              secret_key_ref: {env: K}
              api_version: 2024-10-21
              base_url: https://r.openai.azure.com
              deployments: {on: 4.10}
        policies:
          - {name: no, type: model_filter, allowed_models: [on, 1e3, 22:22, 0600]}
        """
    )
    assert result.policy_file is not None
    target = result.policy_file.targets[0]
    assert (target.api_version, dict(target.deployments)) == ("2024-10-21", {"on": "4.10"})
    assert result.policy_file.policies[0].name == "no"
    assert result.policy_file.policies[0].allowed_models == ["on", "1e3", "22:22", "0600"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "severity", "code"),
    [
        (SPLIT + SPLIT.removeprefix("policies:\n"), "error", "duplicate-name"),
        (SPLIT.replace("tag: b", "tag: a"), "error", "duplicate-tag"),
        (SPLIT.replace(", tag: b", "").replace("tag: a", "tag: gpt-4o-mini"), "error", "duplicate-tag"),
        (SPLIT.replace("95", "0").replace("weight: 5", "weight: 0"), "error", "weights-zero"),
        (SPLIT.replace("95", "90"), "info", "weights-sum"),
        (SPLIT.replace(", weight: 5", ""), "error", "missing-key"),
        (SPLIT.replace("gpt-4o-mini", "gpt-*"), "error", "bad-value"),
        (SPLIT.replace("gpt-4o-mini", "llama"), "warning", "model-not-served"),
        (SPLIT.replace("tag: b", "tag: b, target: nowhere"), "error", "unknown-target"),
        (SPLIT.replace("tag: b", "tag: b, target: anthropic"), "warning", "model-not-served"),
        (SPLIT + "    unit: cookie\n", "error", "bad-value"),
        (policy("type: model_filter"), "error", "bad-value"),
        (policy("type: model_filter\nallowed_models: []"), "error", "empty-list"),
        (policy("type: model_filter\nallowed_models:"), "error", "empty-value"),
        (policy("type: model_filter\nallowed_models: [a*]\nblocked_models: ab\n"), "info", "none"),
        (policy("type: model_filter\nallowed_models: ab\nblocked_models: a*"), "warning", "allowed-and-blocked"),
        (policy("type: model_filter\nblocked_models: g*\npreferred_model: gpt-4o"), "warning", "preferred-refused"),
        (policy("type: model_filter\npreferred_model: gpt-*"), "error", "bad-value"),
        (policy("type: log\nseverity: warning"), "error", "bad-value"),
        (policy("type: log\nconditions: {max_tokens_gt: 2, max_tokens_lt: 2}"), "warning", "never-holds"),
        (policy("type: log\nconditions: {after: 2026-02-30}"), "error", "bad-value"),
        (policy("type: log\nconditions: {after: 2026-06-01T10:00:00}"), "error", "bad-value"),
        (policy("type: log\nconditions: {after: 2026-06-02, before: 2026-06-01}"), "warning", "never-holds"),
        (policy("type: log\nconditions: {after: 0001-01-01}"), "error", "bad-value"),
        (policy("type: log\nconditions: {before: 9999-12-31T23:59:59-14:00}"), "error", "bad-value"),
        (policy("type: log\nconditions: {header: {'x y': a}}"), "error", "bad-value"),
        (policy("type: log\nconditions: {model: []}"), "error", "empty-list"),
        (policy("type: log\nconditions: {stream: 'true'}"), "error", "wrong-type"),
        (policy("type: log\nconditions: {max_token_gt: 2}"), "error", "unknown-key"),
        (policy("type: quality-scorer\nmin_score: 0.7"), "warning", "not-enforced"),
        (policy("type: quality_scorer\nmin_score: 7"), "error", "out-of-range"),
        (policy("type: cost_limit\nlimit_usd: 5"), "warning", "not-enforced"),
        (policy("type: cost_limit\nlimit_usd: 5\naction: downgrade"), "error", "bad-value"),
        (policy("type: cost_limit\nlimit_usd: 5\nwindow: fortnight"), "error", "bad-value"),
        (policy("type: rate_limit\nrequests: 5"), "warning", "not-enforced"),
        (policy("type: rate_limit"), "error", "bad-value"),
        (policy("description: no type"), "error", "missing-key"),
        ("policies: {a: 1}\n", "error", "wrong-type"),
        ("policies:\n  - just text\n", "error", "wrong-type"),
        ("policies:\n  - name: \"a\\e]52;c;x\"\n    type: log\n", "error", "control-character"),
        ("polices: []\n", "error", "unknown-key"),
        ("version: 2\n", "error", "bad-value"),
        ("gateway: {timezone: Mars/Olympus}\n", "error", "bad-value"),
        ("events: {bodies: {max_bytes: 2000000}}\n", "error", "out-of-range"),
        ("events: {bodies: {keep: often}}\n", "error", "bad-value"),
        ("events: {bodies: sometimes}\n", "error", "wrong-type"),
        ("- a\n", "error", "wrong-type"),
        ("providers: {targets: []}\n", "warning", "no-targets"),
        ("policies: []\n", "info", "no-policies"),
    ],
)  # fmt: skip
def test_each_check_speaks_up(text: str, severity: str, code: str) -> None:
    if code == "none":
        assert codes(text) == set()
    else:
        assert (severity, code) in codes(text)


ROLLOUT = (
    SPLIT
    + """\
    rollout:
      phase: canary
      phases:
        - {name: canary, weights: {a: 95, b: 5}, duration: 3d}
        - {name: done, weights: {a: 0, b: 100}}
"""
)


@pytest.mark.parametrize(
    ("old", "new", "severity", "code"),
    [
        ("phase: canary", "phase: cannary", "error", "unknown-phase"),
        ("{a: 95, b: 5}", "{a: 95, b: 5, c: 1}", "error", "phase-unknown-tag"),
        ("{a: 95, b: 5}", "{a: 95}", "error", "phase-missing-tag"),
        ("{a: 0, b: 100}", "{a: 0, b: 0}", "error", "weights-zero"),
        ("{a: 0, b: 100}", "{a: 1, b: 100}", "info", "weights-sum"),
        ("{a: 0, b: 100}", "{a: 1, b: 99}", "info", "plan-open-end"),
        ("name: done", "name: canary", "error", "duplicate-phase"),
        ("name: done", "name: aborted", "error", "reserved-phase"),
        ("duration: 3d", "duration: 3 days", "error", "bad-value"),
        ("duration: 3d", "duration: 0d", "error", "bad-value"),
        ("phase: canary", "phase: canary\n      advance: auto", "warning", "not-enforced"),
        ("phase: canary", "phase: canary\n      control: x", "error", "unknown-control"),
        (
            "phase: canary",
            "phase: canary\n      gates: [{metric: error_rate, max_ratio: 1.5}]",
            "warning",
            "not-enforced",
        ),
        ("weight: 95", "weight: 90", "warning", "split-not-phase"),
    ],
)
def test_rollout_checks(old: str, new: str, severity: str, code: str) -> None:
    assert codes(ROLLOUT) == set()
    assert (severity, code) in codes(ROLLOUT.replace(old, new))


def test_weights_off_the_plan_can_be_written_into_the_phase() -> None:
    text = ROLLOUT.replace("weight: 95", "weight: 90").replace("weight: 5", "weight: 10")
    found = find(text, "split-not-phase")
    assert (found.line, found.path) == (5, "policies[name=ab].variants[tag=a].weight")
    assert found.fix is not None
    assert apply_edits(text, found.fix.edits) == text.replace("{a: 95, b: 5}", "{a: 90, b: 10}")
    assert codes(ROLLOUT.replace("weight: 95", "weight: 190").replace("weight: 5", "weight: 10")) >= {
        ("info", "weights-sum")
    }
    doubled = ROLLOUT.replace("weight: 95", "weight: 190").replace("weight: 5", "weight: 10")
    assert "split-not-phase" not in {code for _, code in codes(doubled)}


@pytest.mark.parametrize("phase", ["rolled-back", "aborted"])
def test_reserved_phases_may_be_live(phase: str) -> None:
    assert codes(ROLLOUT.replace("phase: canary", f"phase: {phase}")) == set()


@pytest.mark.parametrize(
    ("url", "severity", "code"),
    [
        ("https://example.com/v1", None, None),
        ("http://127.0.0.1:8000/v1", None, None),
        ("http://localhost:8000", None, None),
        ("http://[::1]:8000", None, None),
        ("http://10.0.0.5:8000", "warning", "plain-http"),
        ("ftp://example.com", "error", "bad-url"),
        ("example.com", "error", "bad-url"),
        ("https://user:pass@example.com", "error", "bad-url"),
        ("https://example.com?x=1", "error", "bad-url"),
        ("'https://example.com#'", "error", "bad-url"),
        ("https://example.com/a/../b", "error", "bad-url"),
        ("'https://exa mple.com'", "error", "bad-url"),
        ("https://example.com:99999", "error", "bad-url"),
        ("http://169.254.169.254/latest", "error", "bad-url"),
        ("http://2852039166/", "error", "bad-url"),
        ("http://0xa9fea9fe/", "error", "bad-url"),
        ("http://169.254.43518/", "error", "bad-url"),
        ("'http://[::ffff:169.254.169.254]/'", "error", "bad-url"),
        ("'http://[fe80::1]/'", "error", "bad-url"),
        ("'http://[fd00:ec2::254]/'", "error", "bad-url"),
        ("http://100.100.100.200", "error", "bad-url"),
        ("http://metadata.google.internal./", "error", "bad-url"),
        ("http://0.0.0.0:1", "error", "bad-url"),
    ],
)
def test_base_urls(url: str, severity: str | None, code: str | None) -> None:
    found = codes(target(f"base_url: {url}\nsecret_key_ref: {{env: K}}\n"))
    assert found == (set() if code is None else {(severity, code)})


@pytest.mark.parametrize(
    "body",
    [
        "provider:\n  secret_key_ref:\n    env: K\n",
        "provider:\nsecret_key_ref:\n  env: K\n",
        "provider: openai\nsecret_key_ref: {env: K}\n",
        "provider: {name: openai, secret_key_ref: {env: K}}\n",
    ],
)
def test_both_readings_of_the_secret_reference(body: str) -> None:
    result = run(target(body))
    assert result.diagnostics == ()
    assert result.policy_file is not None
    (found,) = result.policy_file.targets
    assert (found.id, found.provider, found.secret_env, found.line) == ("openai", "openai", "K", 3)


@pytest.mark.parametrize(
    "body",
    [
        "secret_key_ref: sk-live-0123456789\n",
        "secret_key_ref: {env: sk-live-0123456789}\n",
        "api_key: sk-live-0123456789\nsecret_key_ref: {env: K}\n",
        "apiKey: sk-live-0123456789\nsecret_key_ref: {env: K}\n",
        "secret_key_ref: {env: K}\nheaders: {Authorization: Bearer sk-live-0123456789}\n",
        "provider: {secret_key_ref: sk-live-0123456789}\n",
        "secret_key_ref: [sk-live-0123456789]\n",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(body: str) -> None:
    result = run(target(body))
    assert not result.clean
    assert "sk-live" not in json.dumps([problem.to_json() for problem in result.diagnostics])


@pytest.mark.parametrize(
    ("body", "severity", "code"),
    [
        ("secret_key_ref: {env: K, file: x}\n", "error", "bad-value"),
        ("secret_key_ref: {}\n", "error", "bad-value"),
        ("provider: {secret_key_ref: {env: K}}\nsecret_key_ref: {env: K}\n", "error", "two-secrets"),
        ("secret_key_ref: {env: NOT_SET}\n", "warning", "env-not-set"),
        ("provider: opnai\n", "error", "bad-value"),
        ("provider: openai-compatible\nbase_url: http://127.0.0.1:1\n", "error", "models-missing"),
        ("provider: openai-compatible\nmodels: [x]\n", "error", "base-url-missing"),
        ("deployments: {a: b}\n", "error", "azure-only"),
        ("headers: {Host: x}\n", "error", "bad-header"),
        ("headers: {'x y': x}\n", "error", "bad-value"),
        ("provider: azure-openai\n", "warning", "serves-nothing"),
        ("provider: azure-openai\n", "warning", "no-endpoint"),
        ("provider: azure-openai\ndeployments: {a: b}\n", "warning", "no-api-version"),
        ("provider: azure-openai\ndeployments: {a: 'b#'}\n", "error", "bad-deployment"),
        ("provider: azure-openai\ndeployments: [../x]\n", "error", "bad-deployment"),
        ("timeouts: {idle: soon}\n", "error", "bad-value"),
        ("passthrough: ['a b']\n", "error", "bad-value"),
        ("passthrough: [../files]\n", "error", "bad-value"),
        ("pricing: {gpt-4o: {input: -1}}\n", "error", "out-of-range"),
    ],
)
def test_target_checks(body: str, severity: str, code: str) -> None:
    assert (severity, code) in codes(target(body))


def test_targets_are_told_apart_and_their_provider_must_be_known() -> None:
    twice = "providers: {targets: [{id: openai}, {id: openai}]}\n"
    assert ("error", "duplicate-id") in codes(twice)
    assert ("error", "unknown-provider") in codes("providers: {targets: [{id: mine}]}\n")
    inferred = run(
        "providers: {targets: [{id: mine, base_url: 'https://x.example', models: [m]}, {id: azure-eu}]}\n"
    )
    assert inferred.policy_file is not None
    assert [target.provider for target in inferred.policy_file.targets] == [
        "openai-compatible",
        "azure-openai",
    ]


def test_models_names_globs_and_renaming() -> None:
    result = run(target("secret_key_ref: {env: K}\nmodels: {fast: gpt-4o-mini, gpt-4o: gpt-4o-2024-11-20}\n"))
    assert result.policy_file is not None
    (found,) = result.policy_file.targets
    assert found.serves("fast")
    assert not found.serves("gpt-4o-mini")
    assert (found.upstream_name("fast"), found.upstream_name("other")) == ("gpt-4o-mini", "other")
    listed = run(target("secret_key_ref: {env: K}\nmodels: ['gpt-*', 'o[0-9]*']\n")).policy_file
    assert listed is not None
    assert [listed.targets[0].serves(name) for name in ("gpt-4o", "o1-pro", "opus")] == [True, True, False]


def test_implicit_targets_depend_on_the_environment() -> None:
    policy_file = run(SPLIT).policy_file
    assert policy_file is not None
    assert [target.id for target in effective_targets(policy_file, {})] == ["openai", "anthropic"]
    env = {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com", "OPENAI_API_VERSION": "2024-10-21"}
    azure = effective_targets(policy_file, env)[2]
    assert (azure.id, azure.base_url, azure.api_version) == (
        "azure-openai",
        "https://r.openai.azure.com",
        "2024-10-21",
    )


@pytest.mark.parametrize(
    ("base_url", "today", "warned"),
    [
        ("", date(2026, 6, 15), True),
        ("", date(2026, 6, 14), False),
        ("base_url: https://api.anthropic.com, ", date(2026, 7, 1), True),
        ("base_url: http://127.0.0.1:1, ", date(2026, 7, 1), False),
    ],
)
def test_retired_models_are_warned_of_on_the_vendors_own_endpoint(
    base_url: str, today: date, warned: bool
) -> None:
    text = (
        f"providers: {{targets: [{{id: anthropic, {base_url}secret_key_ref: {{env: K}}}}, {{id: openai}}]}}\n"
        + (SPLIT.replace("gpt-4o-mini", "claude-sonnet-4-20250514"))
    )
    assert codes(text, today=today) == ({("warning", "model-retired")} if warned else set())


def test_a_pick_an_earlier_filter_would_refuse() -> None:
    allow = "policies:\n  - {name: f, type: model_filter, allowed_models: [gpt-4o]}\n"
    found = find(allow + SPLIT.removeprefix("policies:\n"), "pick-refused-earlier")
    assert (found.severity, found.path) == ("warning", "policies[name=ab].variants[tag=b].model")
    off = allow.replace("allowed_models", "enabled: false, allowed_models")
    assert codes(off + SPLIT.removeprefix("policies:\n")) == set()


def test_what_an_earlier_policy_leaves_nothing_to_do() -> None:
    all_to_one = "policies:\n  - {name: all, type: model_filter, preferred_model: gpt-4o}\n"
    later = "  - {name: l, type: log, conditions: {model: MODEL}}\n"
    assert ("warning", "never-reached") in codes(all_to_one + later.replace("MODEL", "o1"))
    assert codes(all_to_one + later.replace("MODEL", "gpt-*")) == set()
    second = SPLIT.removeprefix("policies:\n").replace("name: ab", "name: second")
    assert codes(SPLIT + second) == {("warning", "never-reached")}
    assert codes(SPLIT.replace("  variants", "  conditions: {stream: true}\n    variants") + second) == set()
    assert codes(SPLIT + second.replace("-mini", "-nano")) == set()


def test_a_key_that_is_there_already_is_not_suggested() -> None:
    found = find(SPLIT.replace("weight: 5", "weight: 5, wieght: 6"), "unknown-key")
    assert found.fix is None
    assert "did you mean" not in found.message


def test_not_enforced_points_at_the_type() -> None:
    found = find(policy("type: cost_limit\nlimit_usd: 5\n"), "not-enforced")
    assert (found.line, found.column, found.end_column) == (3, 11, 21)
    assert codes(policy("type: cost_limit\nlimit_usd: 5\nenabled: false\n")) == set()


def test_one_bad_policy_does_not_hide_the_others() -> None:
    text = SPLIT.replace("weight: 5", "wieght: 5") + "  - {name: q, type: quality_scorer, min_score: 2}\n"
    assert {"unknown-key", "missing-key", "out-of-range"} <= {code for _, code in codes(text)}


def test_several_slips_in_one_mapping_are_all_told() -> None:
    found = run(
        policy(
            "type: log\nseverity: loud\nenabled: yes\nextra: 1\nconditions: {stream: 1, max_tokens_gt: x}\n"
        )
    )
    assert [(problem.line, problem.code) for problem in found.diagnostics] == [
        (4, "bad-value"),
        (5, "wrong-type"),
        (6, "unknown-key"),
        (7, "wrong-type"),
        (7, "wrong-type"),
    ]


def test_a_300_line_file_is_linted_while_one_types() -> None:
    text = "policies:\n" + "".join(
        SPLIT.removeprefix("policies:\n").replace("name: ab", f"name: ab-{index}") for index in range(60)
    )
    run(text)
    assert text.count("\n") > 300
    best = min(_timed(text) for _ in range(3))
    assert best < 0.25, f"{best * 1000:.0f} ms"


def _timed(text: str) -> float:
    started = time.process_time()
    assert lint(text, Surroundings(KEYS, date(2026, 6, 1))).clean
    return time.process_time() - started


def test_the_json_schema_knows_every_type_and_key() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    for word in (
        "traffic_split",
        "quality-scorer",
        "min_score",
        "secret_key_ref",
        "max_tokens_lte",
        "phases",
    ):
        assert word in text
    assert set(schema["properties"]) == {"version", "gateway", "providers", "prices", "events", "policies"}
