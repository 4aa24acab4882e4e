"""Build the updates that tell of members of a chat."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyruntime.testing.world import World


def member_update(
    world: "World", chat: dict[str, Any], actor: dict[str, Any], person: dict[str, Any], old: str, new: str
) -> dict[str, Any]:
    """Return the update of a member whose status changed from `old` to `new`: my_chat_member for the bot itself."""
    kind = "my_chat_member" if person["id"] == world.bot_user["id"] else "chat_member"
    return {
        kind: {
            "chat": chat,
            "from": actor,
            "date": int(world.clock()),
            "old_chat_member": {"user": person, "status": old},
            "new_chat_member": {"user": person, "status": new},
        }
    }
