"""Accept the methods that change a chat's members and settings; the fake world keeps bans, and nothing else."""

from typing import Final

from pyruntime.testing.method.registry import Arguments, bad_request, find_chat, method
from pyruntime.testing.world import World

_ABOUT_MEMBERS: Final = (
    "unbanChatMember",
    "restrictChatMember",
    "promoteChatMember",
    "setChatAdministratorCustomTitle",
    "approveChatJoinRequest",
    "declineChatJoinRequest",
)
_ABOUT_CHATS: Final = (
    "setChatPermissions",
    "setChatPhoto",
    "deleteChatPhoto",
    "setChatTitle",
    "setChatDescription",
    "setChatStickerSet",
    "deleteChatStickerSet",
    "leaveChat",
    "banChatSenderChat",
    "unbanChatSenderChat",
    "editForumTopic",
    "closeForumTopic",
    "reopenForumTopic",
    "deleteForumTopic",
    "unpinAllForumTopicMessages",
)
_WITHOUT_CHAT: Final = ("setMyDefaultAdministratorRights", "setUserEmojiStatus")


@method("banChatMember", "kickChatMember")
def ban_chat_member(world: World, arguments: Arguments) -> bool:
    """Remove a member of a chat."""
    chat = find_chat(world, arguments)
    user_id = arguments.integer("user_id")
    if not user_id:
        raise bad_request("invalid user_id specified")
    chat.ban(user_id)
    return True


@method(*_ABOUT_MEMBERS)
def change_member(world: World, arguments: Arguments) -> bool:
    """Check chat and user, and say yes."""
    find_chat(world, arguments)
    if not arguments.integer("user_id"):
        raise bad_request("invalid user_id specified")
    return True


@method(*_ABOUT_CHATS)
def change_chat(world: World, arguments: Arguments) -> bool:
    """Check the chat, and say yes."""
    find_chat(world, arguments)
    return True


@method(*_WITHOUT_CHAT)
def change_setting(world: World, arguments: Arguments) -> bool:
    """Say yes."""
    return True


@method("createForumTopic")
def create_forum_topic(world: World, arguments: Arguments) -> dict[str, int | str]:
    """Return a new topic."""
    find_chat(world, arguments)
    return {"message_thread_id": world.next_number(), "name": arguments.text("name"), "icon_color": 7322096}


@method("createChatInviteLink", "editChatInviteLink", "revokeChatInviteLink")
def create_chat_invite_link(world: World, arguments: Arguments) -> dict[str, object]:
    """Return an invite link."""
    find_chat(world, arguments)
    return {
        "invite_link": arguments.text("invite_link") or f"https://t.me/+fake{world.next_number()}",
        "creator": world.bot_user,
        "creates_join_request": arguments.flag("creates_join_request"),
        "is_primary": False,
        "is_revoked": False,
    }


@method("exportChatInviteLink", "createInvoiceLink")
def export_chat_invite_link(world: World, arguments: Arguments) -> str:
    """Return a link."""
    return f"https://t.me/+fake{world.next_number()}"
