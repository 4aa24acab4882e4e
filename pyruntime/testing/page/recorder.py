"""Keep what users and the bot did since the recording began, to be saved as a test or as a stream of updates.

Guarantees: deeds are kept in the order in which they happened. The first ones are kept, and when there is no room for
more the recording ends, because a conversation without its beginning cannot be replayed.
Assumes: everything here is called with the server's lock held.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import ujson

from pyruntime.testing.deed import Deed
from pyruntime.testing.transcript import Call

if TYPE_CHECKING:
    from pyruntime.testing.world import World

MAX_DEEDS: Final = 20_000
MAX_UPDATES: Final = 50_000

# Calls that change something and leave no other trace in a chat: a saved test waits for them.
_NOTED_CALLS: Final = frozenset(
    {
        "pinChatMessage",
        "unpinChatMessage",
        "unpinAllChatMessages",
        "banChatMember",
        "unbanChatMember",
        "restrictChatMember",
        "promoteChatMember",
        "approveChatJoinRequest",
        "declineChatJoinRequest",
        "setChatPermissions",
        "setChatPhoto",
        "deleteChatPhoto",
        "setChatTitle",
        "setChatDescription",
        "leaveChat",
        "createForumTopic",
        "createChatInviteLink",
    }
)


class Recorder:
    """Record the deeds and updates of one server."""

    def __init__(self, world: "World") -> None:
        """Record nothing yet: hand `on_change` to `FakeBotApi.observe`."""
        self._world = world
        self.deeds: list[Deed] = []
        self.beginnings: dict[int, dict[str, Any]] = {}
        self._updates: deque[tuple[int, str, bytes]] = deque(maxlen=MAX_UPDATES)
        self.is_full = False

    def on_change(self, kind: str, content: Any) -> None:
        """Take note of a change."""
        if kind == "deed":
            self.note(content)
        elif kind == "queue" and content is not None:
            self._updates.append(content)
        elif kind == "call" and content.method in _NOTED_CALLS and content.status == 200:
            self._note_call(content)

    def note(self, deed: Deed) -> None:
        """Keep a deed, and how its chat was before the first one."""
        if len(self.deeds) >= MAX_DEEDS:
            self.is_full = True
            return
        chat = self._world.chats.get(deed.chat_id)
        if chat is not None and chat.id not in self.beginnings:
            self.beginnings[chat.id] = {
                "type": chat.type,
                "title": chat.info.get("title"),
                "user": chat.user,
                "members": [user for user in chat.members.values() if user["id"] != chat.user["id"]],
            }
        self.deeds.append(deed)

    def clear(self) -> None:
        """Begin anew: what happened so far is in no saved test."""
        self.deeds = []
        self.beginnings = {}
        self.is_full = False
        self._updates.clear()

    def updates(self) -> bytes:
        """Return the updates that were queued, one JSON object a line, as getUpdates delivers them."""
        return b"".join(b'{"update_id":%d,%b\n' % (update_id, body[1:]) for update_id, _, body in self._updates)

    def find_update(self, update_id: int) -> dict[str, Any] | None:
        """Return the content of an update that was queued, without its id, or None if it is not known any more."""
        for known_id, _, body in reversed(self._updates):
            if known_id == update_id:
                return dict(ujson.loads(body))
        return None

    def recent_updates(self, count: int) -> list[dict[str, Any]]:
        """Return the newest updates, oldest first: id and kind."""
        newest = list(self._updates)[-count:]
        return [{"update_id": update_id, "kind": kind} for update_id, kind, _ in newest]

    def _note_call(self, call: Call) -> None:
        number = 1 + sum(
            deed.kind == "call" and deed.fields["method"] == call.method and deed.fields["chat"] == call.chat_id
            for deed in self.deeds
        )
        chat_id = call.chat_id if isinstance(call.chat_id, int) else 0
        self.note(Deed("bot", "call", chat_id, {"method": call.method, "chat": call.chat_id, "number": number}))
