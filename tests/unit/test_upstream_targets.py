"""Targets: addresses, keys, and why one cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.policy.targets import TargetSpec
from proxy.upstream.addresses import is_forbidden
from proxy.upstream.targets import RoutingTable, Target, build_target

ENV = {"KEY": "sk-1"}


def target(**spec: Any) -> Target:
    given = {"id": "t", "provider": "openai", "secret_env": "KEY", "models": {"gpt-*": "gpt-*"}}
    return build_target(TargetSpec(**{**given, **spec}), ENV)


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        (None, "https://api.openai.com/v1/chat/completions"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1/chat/completions"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1/chat/completions"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/chat/completions"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/chat/completions"),
        ("https://h/openai/v1", "https://h/openai/v1/chat/completions"),
        ("https://h/api", "https://h/api/v1/chat/completions"),
        ("https://h/api/paas/v4", "https://h/api/paas/v4/chat/completions"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai/chat/completions"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1/chat/completions"),
    ],
)
def test_v1_is_never_doubled(base_url: str | None, expected: str) -> None:
    assert str(target(base_url=base_url).url("chat", "gpt-4o")) == expected


def test_azure_names_the_deployment_and_the_version() -> None:
    azure = target(
        provider="azure-openai",
        base_url="https://r.openai.azure.com/",
        api_version="2024-10-21",
        models=["gpt-4o"],
        deployments={"gpt-4o": "prod-4o"},
    )
    expected = "https://r.openai.azure.com/openai/deployments/prod-4o/chat/completions?api-version=2024-10-21"
    assert str(azure.url("chat", "gpt-4o")) == expected
    assert azure.auth_header() == ("api-key", "sk-1")
    assert azure.body_model("gpt-4o") == "gpt-4o"


def test_azure_s_own_v1_path_takes_the_deployment_in_the_body() -> None:
    azure = target(provider="azure-openai", base_url="https://r.h/openai/v1", deployments={"gpt-4o": "prod"})
    assert str(azure.url("embeddings", "gpt-4o")) == "https://r.h/openai/v1/embeddings"
    assert azure.body_model("gpt-4o") == "prod"


@pytest.mark.parametrize("name", ["a/b", "../../x", "127.0.0.1:9#", "a?b", "a b", "é"])
def test_no_deployment_can_change_host_or_path(name: str) -> None:
    azure = target(provider="azure-openai", base_url="https://r.h", api_version="1", deployments={"m": name})
    assert azure.unavailable_reason is not None and "deployment" in azure.unavailable_reason
    with pytest.raises(ValueError, match="deployment"):
        azure.url("chat", "m")


def test_no_model_name_can_change_host_or_path() -> None:
    azure = target(provider="azure-openai", base_url="https://r.h", api_version="1", models=["*"])
    url = azure.url("chat", "../../../evil?x#y")
    assert url.host == "r.h" and url.raw_path.startswith("/openai/deployments/..%2F..%2F..%2Fevil%3Fx%23y/")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"secret_env": "NOT_SET"}, "the environment variable NOT_SET is not set"),
        ({"secret_env": None, "secret_file": "/no/such/file"}, "/no/such/file cannot be read"),
        ({"secret_env": None, "secret_store": "../x"}, "no key called"),
        ({"base_url": "ftp://h"}, "not an address such as"),
        ({"base_url": "http://"}, "not an address"),
        ({"base_url": "http://h:99999"}, "not an address"),
        ({"base_url": "http://user:sk-1@h"}, "user name or password"),
        ({"base_url": "http://h/v1?x=1"}, "query or a fragment"),
        ({"base_url": "http://h/../x"}, "dots"),
        ({"base_url": "http://169.254.169.254/"}, "never dialled"),
        ({"base_url": "http://[fe80::1]/"}, "never dialled"),
        ({"provider": "openai-compatible", "base_url": None}, "has no base_url"),
        ({"provider": "azure-openai", "base_url": None}, "AZURE_OPENAI_ENDPOINT"),
        ({"provider": "azure-openai", "base_url": "https://h"}, "OPENAI_API_VERSION"),
    ],
)
def test_what_is_missing_is_a_sentence_without_secrets(spec: dict[str, Any], words: str) -> None:
    reason = target(**spec).unavailable_reason
    assert reason is not None and words in reason and "sk-1" not in reason
    assert reason.startswith("the target t cannot be used: ")


def test_keys_from_files_and_the_store(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-file\n")
    assert target(secret_env=None, secret_file=str(file)).auth_header() == ("Authorization", "Bearer sk-file")
    (tmp_path / "ktui" / "keys").mkdir(parents=True)
    (tmp_path / "ktui" / "keys" / "mine").write_text("sk-store")
    spec = TargetSpec(id="t", provider="openai", secret_store="mine")
    stored = build_target(spec, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert stored.auth_header() == ("Authorization", "Bearer sk-store")
    file.write_text("two words")
    assert "one word" in (target(secret_env=None, secret_file=str(file)).unavailable_reason or "")


def test_a_compatible_target_needs_no_key_and_none_is_shown() -> None:
    local = target(provider="openai-compatible", base_url="http://127.0.0.1:1", secret_env=None)
    assert local.unavailable_reason is None and local.auth_header() is None
    assert "sk-1" not in repr(target()) and "***" in repr(target())


def test_the_routing_table_keeps_the_order_of_the_file() -> None:
    first, second = target(id="a", models=["gpt-4o"]), target(id="b", models={"gpt-*": "gpt-*", "x": "up-x"})
    table = RoutingTable([first, second])
    assert table.for_model("gpt-4o") == [first, second]
    assert table.for_model("gpt-4o", "b") == [second]
    assert table.for_model("gpt-4o", "none") == []
    assert table.for_model("nope") == []
    assert table.named_models == ("gpt-4o", "x")
    assert second.body_model("x") == "up-x"


@pytest.mark.parametrize(
    ("address", "forbidden"),
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("8.8.8.8", False),
        ("example.test", False),
    ],
)
def test_addresses_that_are_never_dialled(address: str, forbidden: bool) -> None:
    assert is_forbidden(address) is forbidden
