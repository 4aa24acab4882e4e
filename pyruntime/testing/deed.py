"""Name what somebody did, so that it can be done again."""

from typing import Any, Literal, NamedTuple


class Deed(NamedTuple):
    """Describe one thing that a user or the bot did in a chat, as observers are told of it ("deed").

    `by` tells who, `kind` what. Of users: send, edit, unsend, press, react, pin, unpin, join, leave, bot_join,
    bot_leave, block, inline, choose, push. Of the bot: message, edit, delete, reaction, answer. Of the network: fault,
    clear_faults, latency. `chat_id` is 0 where no chat is meant. `fields` holds what it was done with: the message or
    its id, the user.
    """

    by: Literal["user", "bot", "network"]
    kind: str
    chat_id: int
    fields: dict[str, Any]
