"""Tell about the bot, chats and files, and keep the bot's settings."""

import re
from typing import Any, Final

import ujson

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
    if user_id == chat.user["id"]:
        return {"user": chat.user, "status": "creator" if chat.type != "private" else "member", "is_anonymous": False}
    raise bad_request("user not found")


@method("getChatAdministrators")
def get_chat_administrators(world: World, arguments: Arguments) -> list[dict[str, Any]]:
    """List the administrators of a group: its default user."""
    chat = find_chat(world, arguments)
    if chat.type == "private":
        raise bad_request("there are no administrators in the private chat")
    return [{"user": chat.user, "status": "creator", "is_anonymous": False}]


@method("getChatMemberCount", "getChatMembersCount")
def get_chat_member_count(world: World, arguments: Arguments) -> int:
    """Count the members of a chat: its default user and the bot."""
    find_chat(world, arguments)
    return 2


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
    world.tell("commands", default_commands(world))
    return True


def default_commands(world: World) -> list[dict[str, Any]]:
    """Return the commands that a menu shows: those of the default scope, else of the first scope that has some."""
    default = world.commands.get(ujson.dumps([{"type": "default"}, ""], sort_keys=True))
    return default or next((commands for commands in world.commands.values() if commands), [])


@method("getMyCommands")
def get_my_commands(world: World, arguments: Arguments) -> list[dict[str, Any]]:
    """Return the list of commands of a scope and a language."""
    return world.commands.get(_commands_key(arguments), [])


@method("deleteMyCommands")
def delete_my_commands(world: World, arguments: Arguments) -> bool:
    """Forget the list of commands of a scope and a language."""
    world.commands.pop(_commands_key(arguments), None)
    world.tell("commands", default_commands(world))
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


@method("getChatMenuButton")
def get_chat_menu_button(world: World, arguments: Arguments) -> dict[str, str]:
    """Return the menu button: the list of commands."""
    return {"type": "commands"}
