"""Between a client and an upstream that speak different dialects: requests, whole answers and streams.

The client's dialect follows from the endpoint: Anthropic for messages, OpenAI for the others.
"""

from __future__ import annotations

from proxy.policy.facts import Endpoint
from proxy.wire.chat import ParsedRequest
from proxy.wire.chat_stream_to_messages import ChatStreamToMessages
from proxy.wire.chat_to_message import message, message_error, wants_thinking
from proxy.wire.chat_to_messages import messages_request
from proxy.wire.errors import RequestError
from proxy.wire.message_to_chat import chat_completion, chat_error
from proxy.wire.messages_stream_to_chat import MessagesStreamToChat
from proxy.wire.messages_to_chat import chat_request
from proxy.wire.translation import Dialect, StreamTranscoder, Translated, WholeAnswer


def translate_request(
    endpoint: Endpoint,
    parsed: ParsedRequest,
    outbound: Dialect,
    model: str,
    *,
    known_as: str = "",
    ask_usage: bool = True,
) -> Translated:
    """The request in the dialect of the upstream, asking for `model`.

    `known_as`: what the policy file calls it, for a deployment's name may not tell which model it is.
    `ask_usage`: False for an upstream that refuses to be asked for the usage of a stream. Raises RequestError
    (400) for what must not be dropped.
    """
    if endpoint == "chat" and outbound == "anthropic":
        return messages_request(parsed, model)
    if endpoint == "messages" and outbound == "openai":
        return chat_request(parsed, model, known_as=known_as, ask_usage=ask_usage)
    message = f"requests to {endpoint} cannot be translated for an upstream that speaks {outbound}"
    raise RequestError(400, "unsupported_endpoint", message)


def translate_answer(
    endpoint: Endpoint,
    status: int,
    body: bytes,
    parsed: ParsedRequest,
    created: int,
    *,
    json_tool: bool = False,
) -> WholeAnswer:
    """A whole answer, or an error (any status from 400), in the dialect of the client.

    `created`: seconds since 1970. `json_tool`: as the translated request says. Raises RequestError (502) when
    the answer cannot be read.
    """
    if endpoint == "messages":
        return message(parsed, body) if status < 400 else message_error(status, body)
    if status >= 400:
        return chat_error(status, body)
    answer = chat_completion(body, created, json_tool=json_tool)
    if answer is None:
        raise RequestError(502, "upstream_unreadable", "what the upstream answered cannot be read")
    return answer


def stream_transcoder(
    endpoint: Endpoint, parsed: ParsedRequest, created: int, *, json_tool: bool = False
) -> StreamTranscoder:
    """What carries the stream of the upstream to the client; `created` and `json_tool` as for a whole answer."""
    if endpoint == "messages":
        return ChatStreamToMessages(parsed.model, wants_thinking=wants_thinking(parsed))
    return MessagesStreamToChat(created, includes_usage=parsed.asks_usage, json_tool=json_tool)
