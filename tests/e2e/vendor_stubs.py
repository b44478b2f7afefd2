"""Stand-ins for three vendors that answer in the shapes these vendors answer in, the odd ones too.

What is answered follows from what is asked: a tool is called when one is offered and no result is there yet, an
image is seen, a structured answer is JSON. The text has characters that fall apart when bytes are split.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TEXT = "Grüße, 世界 🌍."
ARGUMENTS = '{"city": "Zür\\u0069ch", "days": [1, 2]}'
STRUCTURED = '{"city":"Bern","degrees":21}'
CHAT_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 10,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
THOUGHT, SIGNATURE = "Grüße erwägen … 🌍", "EqQBCgIYAhIM+/=="
MESSAGE_USAGE = {
    "input_tokens": 12,
    "cache_read_input_tokens": 8,
    "cache_creation_input_tokens": 0,
    "output_tokens": 10,
}


@dataclass
class Stub:
    """One vendor. `dialect`: openai, azure or anthropic."""

    dialect: str
    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    """From 400 on, every request is answered with an error of this status."""

    def app(self) -> web.Application:
        """The application to serve."""
        app = web.Application(client_max_size=2**25)
        app.router.add_post("/{path:.*}", self.answer)
        app.router.add_get("/{path:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        body = await request.json() if request.can_read_body else {}
        self.seen.append(body)
        self.paths.append(request.path_qs)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        path = request.path
        if self.status >= 400:
            return self._error()
        if path.endswith("/count_tokens"):
            return web.json_response({"input_tokens": 14})
        if path.endswith("/messages"):
            return await self._send(request, body, message(body), message_events(body))
        if path.endswith("/responses"):
            return await self._send(request, body, response(body), response_events(body))
        if path.endswith("/chat/completions"):
            return await self._send(
                request, body, completion(body), chat_events(body, azure=self.dialect == "azure")
            )
        return web.json_response(
            {"error": {"message": f"no route {path}", "type": "invalid_request_error"}}, status=404
        )

    def _error(self) -> web.Response:
        error: dict[str, Any] = {
            "type": KINDS.get(self.status, "api_error"),
            "message": f"it is {self.status}",
        }
        if self.dialect == "anthropic":
            return web.json_response(
                {"type": "error", "error": error, "request_id": "req-1"},
                status=self.status,
                headers={
                    "request-id": "req-1",
                    "retry-after": "99",
                    "anthropic-ratelimit-requests-limit": "7",
                },
            )
        headers = {"x-request-id": "req-1", "retry-after": "99", "x-ratelimit-limit-requests": "7"}
        return web.json_response(
            {"error": {**error, "param": None, "code": "c"}}, status=self.status, headers=headers
        )

    async def _send(
        self, request: web.Request, body: dict[str, Any], whole: dict[str, Any], stream: bytes
    ) -> web.StreamResponse:
        if not body.get("stream"):
            return web.json_response(whole, headers={"x-request-id": "req-1"})
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await answer.prepare(request)
        for start in range(0, len(stream), 97):
            await answer.write(stream[start : start + 97])
        await answer.write_eof()
        return answer


def calls_tool(body: dict[str, Any]) -> bool:
    """Whether a tool is offered and not yet answered."""
    return bool(body.get("tools")) and "sunny" not in json.dumps(body["messages"])


def offered(body: dict[str, Any]) -> list[str]:
    """The names of the tools, in either dialect."""
    return [tool.get("function", tool)["name"] for tool in body["tools"]]


def wants_json(body: dict[str, Any]) -> bool:
    """Whether a structured answer is asked for, in either dialect."""
    return (
        "response_format" in body or "format" in (body.get("output_config") or {}) or "output_format" in body
    )


def said(body: dict[str, Any]) -> str:
    """The text of the answer."""
    return STRUCTURED if wants_json(body) else TEXT


def completion(body: dict[str, Any]) -> dict[str, Any]:
    """A whole chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": said(body), "refusal": None}
    finish = "stop"
    if calls_tool(body):
        calls = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": ARGUMENTS}}
            for number, name in enumerate(offered(body), 1)
        ]
        message, finish = {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body.get("model", "deployed"),
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": CHAT_USAGE,
    }


def chat_events(body: dict[str, Any], *, azure: bool) -> bytes:
    """A streamed chat completion; Azure's begins with an empty chunk."""
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": body.get("model", "deployed"),
    }
    frames: list[Any] = []
    if azure:
        frames.append(
            {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
        )

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    finish = "stop"
    if calls_tool(body):
        finish = "tool_calls"
        for index, name in enumerate(offered(body)):
            function = {"name": name, "arguments": ""}
            head = {"index": index, "id": f"call_{index + 1}", "type": "function", "function": function}
            frames.append(chunk({"role": "assistant", "content": None, "tool_calls": [head]}))
            for start in range(0, len(ARGUMENTS), 7):
                piece = ARGUMENTS[start : start + 7]
                frames.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
    else:
        frames.append(chunk({"role": "assistant", "content": ""}))
        frames += [chunk({"content": letter}) for letter in said(body)]
    frames.append(chunk({}, finish))
    if (body.get("stream_options") or {}).get("include_usage"):
        frames.append({**base, "choices": [], "usage": CHAT_USAGE})
    lines = [b"data: " + json.dumps(frame, ensure_ascii=False).encode() + b"\r\n\r\n" for frame in frames]
    return b": OPENROUTER PROCESSING\r\n\r\n" + b"".join(lines) + b"data: [DONE]\r\n\r\n"


def _blocks(body: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    if calls_tool(body):
        forced = (body.get("tool_choice") or {}).get("name")
        names = [forced] if forced else offered(body)
        # A forced tool is how a structured answer is asked for where a model has no other way.
        given = json.loads(STRUCTURED if forced else ARGUMENTS)
        return [
            {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}
            for number, name in enumerate(names, 1)
        ], "tool_use"
    blocks: list[dict[str, Any]] = [{"type": "text", "text": said(body)}]
    if (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        hidden = {"type": "redacted_thinking", "data": "c2VjcmV0"}
        blocks[:0] = [{"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE}, hidden]
    return blocks, "end_turn"


def message(body: dict[str, Any]) -> dict[str, Any]:
    """A whole message."""
    blocks, stop = _blocks(body)
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": MESSAGE_USAGE,
    }


def message_events(body: dict[str, Any]) -> bytes:
    """A streamed message with pings, its usage in two places."""
    blocks, stop = _blocks(body)
    begun = {
        **message(body),
        "content": [],
        "stop_reason": None,
        "usage": {**MESSAGE_USAGE, "output_tokens": 1},
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(blocks):
        if block["type"] == "tool_use":
            start: dict[str, Any] = {**block, "input": {}}
            written = ARGUMENTS if block["input"] == json.loads(ARGUMENTS) else json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": ""}]
            deltas += [
                {"type": "input_json_delta", "partial_json": written[at : at + 7]}
                for at in range(0, len(written), 7)
            ]
        elif block["type"] == "redacted_thinking":
            start, deltas = block, []
        elif block["type"] == "thinking":
            start = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": letter} for letter in block["thinking"]]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        else:
            start = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": letter} for letter in block["text"]]
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events.append({"type": "ping"})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 10}})
    events.append({"type": "message_stop"})
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
        for event in events
    )


def response(body: dict[str, Any]) -> dict[str, Any]:
    """A whole response."""
    text = {"type": "output_text", "text": TEXT, "annotations": []}
    item = {"id": "item_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": body.get("model", "deployed"),
        "status": "completed",
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30},
    }


def response_events(body: dict[str, Any]) -> bytes:
    """A streamed response."""
    done = response(body)
    begun = {**done, "status": "in_progress", "output": [], "usage": None}
    item = done["output"][0]
    place = {"item_id": "item_1", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "content": [], "status": "in_progress"},
        },
        {
            "type": "response.content_part.added",
            **place,
            "part": {"type": "output_text", "text": "", "annotations": []},
        },
        *[
            {"type": "response.output_text.delta", **place, "delta": letter, "logprobs": []}
            for letter in TEXT
        ],
        {"type": "response.output_text.done", **place, "text": TEXT, "logprobs": []},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
        for event in numbered
    )
