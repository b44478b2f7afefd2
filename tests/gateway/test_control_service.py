"""Starting and stopping a gateway: one writer for a state directory, keys off loopback, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from pathlib import Path

import httpx
import pytest
from control_support import ENV, gateway, raw, split_policy, vendor

from proxy.service.gateway_service import GatewayService, StartError
from proxy.service.options import ServiceOptions
from proxy.service.state_dir import running_gateways


def options(tmp_path: Path, **changes: object) -> ServiceOptions:
    path = tmp_path / "policy.yaml"
    if not path.exists():
        path.write_text(split_policy("http://127.0.0.1:9"))
    values = {
        "policy_path": path, "state_dir": tmp_path / "state", "listen": "127.0.0.1:0",
        "api_listen": "127.0.0.1:0", "env": ENV,
    }  # fmt: skip
    return ServiceOptions(**{**values, **changes})  # type: ignore[arg-type]


async def test_a_running_gateway_can_be_found_and_a_stopped_one_cannot(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        path = running.state / "run" / f"{os.getpid()}.json"
        record = json.loads(path.read_text())
        assert (record["api"], record["listen"]) == (running.api[7:], running.data[7:])
        assert record["policy"] == str(running.policy) and record["started"].endswith("Z")
        assert [item.pid for item in running_gateways(running.state)] == [os.getpid()]
        dead = path.with_name("999999999.json")
        dead.write_text(json.dumps({**record, "pid": 999_999_999}))
        path.with_name("1.json").write_text("{")
        assert [item.pid for item in running_gateways(running.state)] == [os.getpid()]
    assert running_gateways(tmp_path / "state") == []


async def test_a_state_directory_has_one_writer(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        second = GatewayService(options(tmp_path, state_dir=running.state))
        with pytest.raises(StartError, match="another gateway uses the state directory"):
            await second.start()
        assert (await running.ask())[0].status_code == 200
    third = GatewayService(options(tmp_path, state_dir=tmp_path / "state"))
    await third.start()
    await third.stop(0)


async def test_a_taken_port_is_one_sentence_and_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name in ("listen", "api_listen"):
            service = GatewayService(options(tmp_path, **{name: f"127.0.0.1:{port}"}))
            with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: the port is taken"):
                await service.start()
            assert running_gateways(tmp_path / "state") == []
    again = GatewayService(options(tmp_path))
    await again.start()
    await again.stop(0)


async def test_off_loopback_clients_need_a_key_that_is_made_once(tmp_path: Path) -> None:
    async with vendor() as url:
        (tmp_path / "policy.yaml").write_text(split_policy(url))
        made = None
        for number in range(2):
            service = GatewayService(options(tmp_path, listen="0.0.0.0:0"))
            addresses = await service.start()
            try:
                if number == 0:
                    made = addresses.new_client_key
                assert made is not None
                assert (addresses.new_client_key is None) == (number == 1), "shown once"
                base = f"http://127.0.0.1:{addresses.listen.rpartition(':')[2]}"
                async with httpx.AsyncClient(base_url=base) as client:
                    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
                    for key, status in (("", 401), ("wrong", 401), (made.reveal(), 200)):
                        headers = {"Authorization": f"Bearer {key}"} if key else {}
                        answer = await client.post("/v1/chat/completions", json=body, headers=headers)
                        assert answer.status_code == status, key
            finally:
                await service.stop(0)
    key_file = tmp_path / "state" / "client_key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert key_file.read_text() == made.reveal()


async def test_off_loopback_the_file_s_own_keys_are_enough(tmp_path: Path) -> None:
    keys = "gateway:\n  client_keys:\n    - {name: app, secret_key_ref: {env: APP_KEY}}\n"
    (tmp_path / "policy.yaml").write_text(keys)
    service = GatewayService(options(tmp_path, listen="0.0.0.0:0", env={"APP_KEY": "app-key-0123456789"}))
    assert (await service.start()).new_client_key is None
    await service.stop(0)
    assert not (tmp_path / "state" / "client_key").exists()


async def test_the_control_api_stays_on_loopback_unless_told(tmp_path: Path) -> None:
    for address in ("0.0.0.0:0", "[::]:0", "example.test:0"):
        with pytest.raises(StartError, match="only with --tls-cert and --tls-key, or with --insecure"):
            await GatewayService(options(tmp_path, api_listen=address)).start()
    service = GatewayService(options(tmp_path, api_listen="0.0.0.0:0", insecure_api=True))
    addresses = await service.start()
    try:
        host = f"http://127.0.0.1:{addresses.api.rpartition(':')[2]}"
        status, _ = await raw(host, "GET /v1/status HTTP/1.1\nHost: 127.0.0.1\nConnection: close")
        assert status == 401
    finally:
        await service.stop(0)


@pytest.mark.parametrize("address", ["", "41002", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ":1"])
async def test_an_address_that_is_none_is_one_sentence(tmp_path: Path, address: str) -> None:
    with pytest.raises(StartError, match="is not an address; write host:port"):
        await GatewayService(options(tmp_path, listen=address)).start()


async def test_what_runs_is_finished_before_it_stops(tmp_path: Path) -> None:
    """A request under way gets its whole answer and its event; a new connection is refused."""
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        message = {"role": "assistant", "content": "late"}
        body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        await writer.drain()
        writer.close()

    upstream = await asyncio.start_server(slow, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}"
    async with gateway(tmp_path, split_policy(url)) as running:
        asking = asyncio.create_task(running_chat(running.data))
        while running.service.runtime.in_flight == 0:
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(running.service.stop(drain_s=5))
        while running.service.info.state != "draining":
            await asyncio.sleep(0.01)
        with pytest.raises(httpx.ConnectError):
            await running_chat(running.data)
        release.set()
        answer = await asking
        await stopping
        assert answer.status_code == 200
        counters = running.service.hub.store.counters()
        assert (counters.accepted, counters.stored, counters.spilled) == (1, 1, 0)
    upstream.close()


async def running_chat(base: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=base, timeout=10) as client:
        body = {"model": "gpt-4o", "user": "u", "messages": [{"role": "user", "content": "hi"}]}
        return await client.post("/v1/chat/completions", json=body)


async def test_after_a_restart_the_numbers_of_the_last_minutes_are_there(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        await running.ask(7)
    async with gateway(tmp_path) as running, running.control() as control:
        status = (await control.get("/v1/status")).json()
    assert status["traffic"]["requests"] == status["events"]["total"] == 7
    assert sum(arm["requests"] for arm in status["splits"][0]["arms"]) == 7
