"""Tell about the bot, chats and files, and keep the bot's settings."""

import re
from typing import Any, Final

import ujson

from pyruntime.testing.chat import Chat
from pyruntime.testing.method.registry import Arguments, bad_request, find_chat, method
from pyruntime.testing.world import World

_COMMAND: Final = re.compile(r"[a-z0-9_]{1,32}\Z")
_MAX_DOWNLOAD_BYTES: Final = 20 * 1024 * 1024


@method("getMe")
def get_me(world: World, arguments: Arguments) -> dict[str, Any]:
    """Describe the bot."""
    return {
        **world.bot_user,
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": True,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


@method("logOut", "close")
def close(world: World, arguments: Arguments) -> bool:
    """Do as if the bot had left the server."""
    return True


@method("getChat")
def get_chat(world: World, arguments: Arguments) -> dict[str, Any]:
    """Describe a chat."""
    chat = find_chat(world, arguments)
    described = {**chat.info, "accent_color_id": 0, "max_reaction_count": 11}
    if chat.pinned and (pinned := chat.find(chat.pinned[-1])) is not None:
        described["pinned_message"] = pinned
    return described


@method("getChatMember")
def get_chat_member(world: World, arguments: Arguments) -> dict[str, Any]:
    """Describe a member of a chat."""
    chat = find_chat(world, arguments)
    user_id = arguments.integer("user_id")
    if user_id == world.bot_user["id"]:
        return {"user": world.bot_user, "status": "administrator", "can_be_edited": False}
    if chat.creator is not None and user_id == chat.creator["id"]:
        status = "creator" if chat.type != "private" else "member"
        return {"user": chat.creator, "status": status, "is_anonymous": False}
    if user_id in chat.members:
        return {"user": chat.members[user_id], "status": "member"}
    raise bad_request("user not found")


@method("getChatAdministrators")
def get_chat_administrators(world: World, arguments: Arguments) -> list[dict[str, Any]]:
    """List the administrators of a group, other bots aside: who made it, if that is known."""
    chat = find_chat(world, arguments)
    if chat.type == "private":
        raise bad_request("there are no administrators in the private chat")
    return [{"user": chat.creator, "status": "creator", "is_anonymous": False}] if chat.creator else []


@method("getChatMemberCount", "getChatMembersCount")
def get_chat_member_count(world: World, arguments: Arguments) -> int:
    """Count the members of a chat, the bot among them."""
    return len(find_chat(world, arguments).members) + 1


@method("getUserProfilePhotos")
def get_user_profile_photos(world: World, arguments: Arguments) -> dict[str, Any]:
    """List a user's pictures: none."""
    return {"total_count": 0, "photos": []}


@method("getFile")
def get_file(world: World, arguments: Arguments) -> dict[str, Any]:
    """Tell the path under which a file can be downloaded."""
    file_id = arguments.text("file_id")
    file = world.files.get(file_id)
    if file is None:
        if file_id in world.foreign_files:
            raise bad_request("wrong file_id or the file is temporarily unavailable")
        raise bad_request("invalid file_id" if file_id else "file_id not specified")
    if len(file.data) > _MAX_DOWNLOAD_BYTES:
        raise bad_request("file is too big")
    return {
        "file_id": file_id,
        "file_unique_id": f"u{file_id}",
        "file_size": len(file.data),
        "file_path": f"files/{file_id}",
    }


def _commands_key(arguments: Arguments) -> str:
    scope = arguments.json("scope") or {"type": "default"}
    if isinstance(scope, dict):
        scope = {name: int(value) if str(value).lstrip("-").isdigit() else value for name, value in scope.items()}
    return ujson.dumps([scope, arguments.text("language_code")], sort_keys=True)


@method("setMyCommands")
def set_my_commands(world: World, arguments: Arguments) -> bool:
    """Set the list of commands of a scope and a language."""
    commands = arguments.json("commands")
    if not isinstance(commands, list):
        raise bad_request("can't parse commands: expected an Array")
    if len(commands) > 100:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    for command in commands:
        if not isinstance(command, dict) or not _COMMAND.match(str(command.get("command", "")).removeprefix("/")):
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(str(command.get("description", ""))) <= 256:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    world.commands[_commands_key(arguments)] = [
        {"command": command["command"].removeprefix("/"), "description": command["description"]} for command in commands
    ]
    world.tell("commands", None)
    return True


def commands_for(world: World, chat: Chat) -> list[dict[str, Any]]:
    """Return the commands that the menu of a chat shows to its own user: those of the narrowest scope that has some."""
    if chat.type == "channel":
        return []
    wide = "all_private_chats" if chat.type == "private" else "all_group_chats"
    scopes: list[dict[str, Any]] = [{"type": "chat", "chat_id": chat.id}, {"type": wide}, {"type": "default"}]
    if chat.type != "private":
        if chat.creator is not None:
            # The chat's own user made the group, so what administrators get comes first.
            scopes.insert(1, {"type": "all_chat_administrators"})
            scopes.insert(0, {"type": "chat_administrators", "chat_id": chat.id})
        scopes.insert(0, {"type": "chat_member", "chat_id": chat.id, "user_id": chat.user["id"]})
    language = str(chat.user.get("language_code", ""))
    for scope in scopes:
        for code in dict.fromkeys((language, "")):
            commands = world.commands.get(ujson.dumps([scope, code], sort_keys=True))
            if commands:
                return commands
    return []


@method("getMyCommands")
def get_my_commands(world: World, arguments: Arguments) -> list[dict[str, Any]]:
    """Return the list of commands of a scope and a language."""
    return world.commands.get(_commands_key(arguments), [])


@method("deleteMyCommands")
def delete_my_commands(world: World, arguments: Arguments) -> bool:
    """Forget the list of commands of a scope and a language."""
    world.commands.pop(_commands_key(arguments), None)
    world.tell("commands", None)
    return True


_TEXT_SETTINGS: Final = {"Name": "name", "Description": "description", "ShortDescription": "short_description"}


def _register_text_setting(suffix: str, field: str) -> None:
    def change(world: World, arguments: Arguments) -> bool:
        world.texts[f"{field}:{arguments.text('language_code')}"] = arguments.text(field)
        return True

    def show(world: World, arguments: Arguments) -> dict[str, str]:
        default = str(world.bot_user["first_name"]) if field == "name" else ""
        return {field: world.texts.get(f"{field}:{arguments.text('language_code')}", default)}

    method(f"setMy{suffix}")(change)
    method(f"getMy{suffix}")(show)


for _suffix, _field in _TEXT_SETTINGS.items():
    _register_text_setting(_suffix, _field)


@method("setChatMenuButton")
def set_chat_menu_button(world: World, arguments: Arguments) -> bool:
    """Set the button beside the field for messages: in one private chat, or in all."""
    chat_id = find_chat(world, arguments).id if "chat_id" in arguments.values else 0
    button = arguments.json("menu_button")
    if button is not None and not isinstance(button, dict):
        raise bad_request("can't parse menu button: expected an Object")
    if button is None or button.get("type") == "default":
        world.menu_buttons.pop(chat_id, None)
    else:
        world.menu_buttons[chat_id] = button
    world.tell("commands", None)
    return True


@method("getChatMenuButton")
def get_chat_menu_button(world: World, arguments: Arguments) -> dict[str, Any]:
    """Return the menu button: the list of commands unless another was set."""
    return menu_button_for(world, arguments.integer("chat_id"))


def menu_button_for(world: World, chat_id: int) -> dict[str, Any]:
    """Return the menu button of a private chat."""
    return world.menu_buttons.get(chat_id) or world.menu_buttons.get(0) or {"type": "commands"}
