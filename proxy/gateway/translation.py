"""Requests and answers between a client and an upstream that speak different dialects."""

from __future__ import annotations

from proxy.policy.facts import Endpoint
from proxy.wire.chat import ParsedRequest
from proxy.wire.chat_to_messages import messages_request
from proxy.wire.errors import RequestError
from proxy.wire.message_to_chat import chat_completion, chat_error
from proxy.wire.messages_stream_to_chat import MessagesStreamToChat
from proxy.wire.transcode import Answer, Dialect, Stream, Translated


def translate_request(endpoint: Endpoint, parsed: ParsedRequest, outbound: Dialect, model: str) -> Translated:
    """The request in the dialect of the upstream. Raises RequestError (400) for what must not be dropped."""
    if endpoint == "chat" and outbound == "anthropic":
        return messages_request(parsed, model)
    message = f"requests to {endpoint} cannot be translated for an upstream that speaks {outbound}"
    raise RequestError(400, "unsupported_endpoint", message)


def translate_answer(
    endpoint: Endpoint, status: int, body: bytes, created: int, *, json_tool: bool = False
) -> Answer:
    """A whole answer, or an error, in the dialect of the client. Raises RequestError (502).

    `created`: seconds since 1970.
    """
    if status >= 400:
        return chat_error(status, body)
    answer = chat_completion(body, created, json_tool=json_tool)
    if answer is None:
        raise RequestError(502, "upstream_unreadable", "what the upstream answered cannot be read")
    return answer


def translated_stream(
    endpoint: Endpoint, parsed: ParsedRequest, created: int, *, json_tool: bool = False
) -> Stream:
    """What carries the stream of the upstream to the client."""
    return MessagesStreamToChat(created, includes_usage=parsed.asks_usage, json_tool=json_tool)
