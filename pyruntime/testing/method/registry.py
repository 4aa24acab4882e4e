"""Register methods of the Bot API, and read their arguments as the real server does."""

from collections.abc import Callable
from typing import Any, Final

import ujson

from pyruntime.testing.body import UploadedFile
from pyruntime.testing.chat import Chat
from pyruntime.testing.message import Message
from pyruntime.testing.world import World


class Refused(Exception):
    """Answer a call with an error."""

    def __init__(self, error_code: int, description: str, parameters: dict[str, Any] | None = None) -> None:
        """Carry what the reply says; `parameters` is the reply's field of that name."""
        super().__init__(description)
        self.error_code = error_code
        self.description = description
        self.parameters = parameters or {}


def bad_request(description: str) -> Refused:
    """Return a refusal with code 400."""
    return Refused(400, f"Bad Request: {description}")


class Arguments:
    """Read the arguments of a call, which come as strings in forms and with their types in JSON."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]) -> None:
        """Read from `values`."""
        self._values = values

    @property
    def values(self) -> dict[str, Any]:
        """Return the arguments as they came."""
        return self._values

    def text(self, name: str) -> str:
        """Return a string, empty if it is missing."""
        value = self._values.get(name)
        if value is None:
            return ""
        return value if isinstance(value, str) else str(value)

    def integer(self, name: str, default: int = 0) -> int:
        """Return an integer; the default if it is missing or none."""
        value = self._values.get(name)
        if isinstance(value, int):
            return value
        if isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                return default
        return default

    def flag(self, name: str) -> bool:
        """Return a boolean, False if it is missing."""
        value = self._values.get(name)
        if isinstance(value, str):
            return value.lower() in ("true", "yes", "1")
        return bool(value)

    def json(self, name: str) -> Any:
        """Return a JSON value, decoded if it came as a string; None if it is missing.

        Raises: Refused if it is not JSON.
        """
        value = self._values.get(name)
        if isinstance(value, str):
            if not value:
                return None
            try:
                return ujson.loads(value)
            except ValueError as error:
                raise bad_request(f"can't parse {name.replace('_', ' ')} JSON object") from error
        return value

    def file(self, name: str) -> UploadedFile | str | None:
        """Return an uploaded file, the part that `attach://` names, or a file_id or URL."""
        return self.resolve_file(self._values.get(name))

    def resolve_file(self, value: object) -> UploadedFile | str | None:
        """Return the file that the value of an argument stands for."""
        if isinstance(value, UploadedFile):
            return value
        if isinstance(value, str) and value.startswith("attach://"):
            attached = self._values.get(value.removeprefix("attach://"))
            return attached if isinstance(attached, UploadedFile) else None
        return value if isinstance(value, str) and value else None


Method = Callable[[World, Arguments], Any]

METHODS: Final[dict[str, tuple[str, Method]]] = {}


def method(*names: str) -> Callable[[Method], Method]:
    """Register a function as the methods `names`."""

    def register(function: Method) -> Method:
        for name in names:
            METHODS[name.lower()] = (name, function)
        return function

    return register


def find_method(name: str) -> tuple[str, Method] | None:
    """Return the documented spelling and the function of a method, whatever the case of `name`."""
    return METHODS.get(name) or METHODS.get(name.lower())


def find_chat(world: World, arguments: Arguments, name: str = "chat_id") -> Chat:
    """Return the chat that the argument `name` means.

    Raises: Refused if there is none, or if the bot may not write there.
    """
    value = arguments.values.get(name)
    if value is None or value == "":
        raise bad_request(f"{name} is empty")
    chat: Chat | None = None
    if isinstance(value, str) and value.startswith("@"):
        wanted = value[1:].lower()
        chat = next((each for each in world.chats.values() if each.info.get("username", "").lower() == wanted), None)
    else:
        try:
            chat_id = int(value)
        except (TypeError, ValueError):
            raise bad_request("chat not found") from None
        chat = world.chats.get(chat_id)
        if chat is None and world.knows_any_chat:
            chat = world.chat(chat_id)
    if chat is None:
        raise bad_request("chat not found")
    if chat.migrated_to is not None:
        raise Refused(
            400,
            "Bad Request: group chat was upgraded to a supergroup chat",
            {"migrate_to_chat_id": chat.migrated_to},
        )
    if chat.is_blocked:
        who = "user" if chat.type == "private" else f"{chat.type} chat"
        what = "bot was blocked by the" if chat.type == "private" else "bot was kicked from the"
        raise Refused(403, f"Forbidden: {what} {who}")
    return chat


def find_message(chat: Chat, arguments: Arguments, purpose: str, name: str = "message_id") -> Message:
    """Return the message that the argument means.

    Raises: Refused, worded as "message to {purpose} not found".
    """
    message = chat.find(arguments.integer(name))
    if message is None:
        raise bad_request(f"message to {purpose} not found")
    return message
