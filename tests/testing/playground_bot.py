"""A bot for the tests of the playground: it shows every feature, over bare HTTP, and knows nothing of the product."""

import json
import struct
import threading
import urllib.error
import urllib.request
import zlib
from typing import Any

from pyruntime.testing import Playground

KINDS = [
    "message",
    "edited_message",
    "channel_post",
    "callback_query",
    "inline_query",
    "chosen_inline_result",
    "message_reaction",
    "my_chat_member",
]
BUTTONS = {
    "inline_keyboard": [
        [{"text": "Yes", "callback_data": "yes"}, {"text": "Loud", "callback_data": "loud"}],
        [{"text": "Bad", "url": "javascript:document.title='owned'"}, {"text": "Site", "url": "https://example.org/"}],
        [
            {"text": "Search", "switch_inline_query_current_chat": "tea"},
            {"text": "Share", "switch_inline_query": "tea"},
        ],
        [{"text": "Shop", "web_app": {"url": "https://example.org/shop"}}],
    ]
}
COUNTER = {"inline_keyboard": [[{"text": "+1", "callback_data": "count:1"}]]}
COLOURS = {
    "keyboard": [["Red", "Blue"], [{"text": "My number", "request_contact": True}, {"text": "App", "web_app": {}}]],
    "one_time_keyboard": True,
    "resize_keyboard": True,
    "input_field_placeholder": "Choose a colour",
}
HARMFUL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def picture(red: int, green: int, blue: int, width: int = 320, height: int = 200) -> bytes:
    """Return a PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes((red, green, blue)) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class TinyBot:
    """Answer a few commands, one update after the other, until the server is gone or `stop` is called."""

    def __init__(self, playground: Playground) -> None:
        self._server = playground.server
        self._root = f"{playground.api_root}/bot{playground.token}"
        self._files = f"{playground.api_root}/file/bot{playground.token}"
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method; parameters that are bytes are uploaded."""
        if any(isinstance(value, bytes) for value in parameters.values()):
            body, kind = _multipart(parameters), "multipart/form-data; boundary=edge"
        else:
            body, kind = json.dumps(parameters).encode(), "application/json"
        request = urllib.request.Request(f"{self._root}/{method}", body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read())["result"]

    def stop(self) -> None:
        """End after the poll in hand."""
        self._is_stopped.set()
        self._server.answer_polls_at_once()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        offset = 0
        try:
            menu = [
                {"command": "buttons", "description": "Show buttons"},
                {"command": "album", "description": "Pictures"},
            ]
            self.call("setMyCommands", commands=menu)
            self.call(
                "setMyCommands",
                commands=[{"command": "rules", "description": "The rules of this group"}],
                scope={"type": "all_group_chats"},
            )
            while not self._is_stopped.is_set():
                for update in self.call("getUpdates", offset=offset, timeout=20, allowed_updates=KINDS):
                    offset = update["update_id"] + 1
                    self._handle(update)
        except OSError:
            return  # the server was stopped: the test is over

    def _handle(self, update: dict[str, Any]) -> None:
        kind = next(key for key in update if key != "update_id")
        handle = getattr(self, f"_on_{kind}", None)
        if handle is not None:
            handle(update[kind])

    def _on_callback_query(self, query: dict[str, Any]) -> None:
        data = query["data"]
        answered = {"callback_query_id": query["id"]}
        if "inline_message_id" in query:
            self.call("answerCallbackQuery", **answered)
            self.call("editMessageText", inline_message_id=query["inline_message_id"], text="Edited in place")
            return
        message = query["message"]
        target = {"chat_id": message["chat"]["id"], "message_id": message["message_id"]}
        if data.startswith("count:"):
            count = int(data.partition(":")[2])
            self.call("answerCallbackQuery", **answered)
            markup = {"inline_keyboard": [[{"text": "+1", "callback_data": f"count:{count + 1}"}]]}
            self.call("editMessageText", **target, text=f"count: {count}", reply_markup=markup)
            return
        is_loud = data == "loud"
        self.call("answerCallbackQuery", **answered, text=data, show_alert=is_loud)
        if not is_loud:
            self.call("editMessageText", **target, text="You said yes")

    def _on_inline_query(self, query: dict[str, Any]) -> None:
        text = query["query"]
        results = [
            {
                "type": "article",
                "id": name,
                "title": f"{name} {text}",
                "description": "sends it",
                "input_message_content": {"message_text": f"{name} {text}"},
                "reply_markup": {"inline_keyboard": [[{"text": "Change", "callback_data": "change"}]]},
            }
            for name in ("Green", "Black")
        ]
        self.call("answerInlineQuery", inline_query_id=query["id"], results=results)

    def _on_chosen_inline_result(self, chosen: dict[str, Any]) -> None:
        self.call("sendMessage", chat_id=chosen["from"]["id"], text=f"You chose {chosen['result_id']}")

    def _on_message_reaction(self, change: dict[str, Any]) -> None:
        given = " ".join(each["emoji"] for each in change["new_reaction"]) or "nothing"
        self.call("sendMessage", chat_id=change["chat"]["id"], text=f"{change['user']['first_name']} gave {given}")

    def _on_channel_post(self, post: dict[str, Any]) -> None:
        self.call("sendMessage", chat_id=post["chat"]["id"], text=f"Posted: {post['text']}")

    def _on_edited_message(self, message: dict[str, Any]) -> None:
        self.call("sendMessage", chat_id=message["chat"]["id"], text=f"Edited to: {message['text']}")

    def _on_message(self, message: dict[str, Any]) -> None:
        chat_id, who = message["chat"]["id"], message["from"]["first_name"]
        target = {"chat_id": chat_id, "message_id": message["message_id"]}
        for joined in message.get("new_chat_members", ()):
            if not joined["is_bot"]:
                self.call("sendMessage", chat_id=chat_id, text=f"Welcome, {joined['first_name']}")
        if "left_chat_member" in message:
            self.call("sendMessage", chat_id=chat_id, text=f"Goodbye, {message['left_chat_member']['first_name']}")
        if "contact" in message:
            self.call("sendMessage", chat_id=chat_id, text=f"Number of {message['contact']['first_name']}")
        files = [*message.get("photo", ())[-1:], *([message["document"]] if "document" in message else [])]
        for file in files:
            path = self.call("getFile", file_id=file["file_id"])["file_path"]
            with urllib.request.urlopen(f"{self._files}/{path}", timeout=10) as reply:
                size = len(reply.read())
            kind = "picture" if "photo" in message else "document"
            self.call("sendMessage", chat_id=chat_id, text=f"A {kind} of {size} bytes: {message.get('caption', '')}")
        if "text" in message:
            self._answer(message["text"].replace("@test_bot", ""), target, who, message)

    def _answer(self, text: str, target: dict[str, Any], who: str, message: dict[str, Any]) -> None:
        chat = {"chat_id": target["chat_id"]}
        sent: dict[str, dict[str, Any]] = {
            "/start": {"text": "Hello <b>you</b>, try /buttons", "parse_mode": "HTML"},
            "/buttons": {"text": "Sure?", "reply_markup": BUTTONS},
            "/count": {"text": "count: 0", "reply_markup": COUNTER},
            "/colours": {"text": "Which?", "reply_markup": COLOURS},
            "/bare": {"text": "Put away", "reply_markup": {"remove_keyboard": True}},
            "/name": {"text": "Your name?", "reply_markup": {"force_reply": True, "input_field_placeholder": "A name"}},
            "/rules": {"text": "Be kind."},
            "/harm": {"text": HARMFUL},
            "/link": {"text": '<a href="javascript:alert(1)">click</a>', "parse_mode": "HTML"},
        }
        if text.startswith("/quiet"):
            return
        if text == "/vanish":
            gone = self.call("sendMessage", **chat, text="Soon gone")
            self.call("deleteMessage", **chat, message_id=gone["message_id"])
            self.call("sendMessage", **chat, text="It is gone")
        elif text == "/think":
            self.call("sendChatAction", **chat, action="typing")
        elif text == "/photo":
            self.call("sendPhoto", **chat, photo=picture(70, 110, 220), caption="A picture")
        elif text == "/files":
            self.call("sendDocument", **chat, document=b"Some notes\n" * 40, caption="A document")
            self.call("sendVoice", **chat, voice=b"OggS" + b"\0" * 3000)
            self.call("sendSticker", **chat, sticker=b"sticker")
            self.call("sendPhoto", **chat, photo="https://example.org/far.png")
        elif text == "/album":
            media = [
                {"type": "photo", "media": f"attach://p{n}", "caption": "An album" if not n else ""} for n in range(3)
            ]
            pictures = {f"p{n}": picture(200, 80 * n, 60) for n in range(3)}
            self.call("sendMediaGroup", **chat, media=json.dumps(media), **pictures)
        elif text == "/pin":
            self.call("pinChatMessage", **target)
        elif text == "/like":
            self.call("setMessageReaction", **target, reaction=[{"type": "emoji", "emoji": "🔥"}])
        elif text == "/ban" and "reply_to_message" in message:
            self.call("banChatMember", **chat, user_id=message["reply_to_message"]["from"]["id"])
        else:
            quote = message.get("quote", {}).get("text")
            words = f"{who} said: {text}" + (f" (about {quote})" if quote else "")
            reply = {"reply_parameters": {"message_id": target["message_id"]}} if quote else {}
            self.call("sendMessage", **{**chat, **reply, "text": words, **sent.get(text, {})})


def _multipart(parameters: dict[str, Any]) -> bytes:
    parts = []
    for name, value in parameters.items():
        head = f'--edge\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(value, bytes):
            extension = "png" if value.startswith(b"\x89PNG") else "txt"
            parts.append(f'{head}; filename="{name}.{extension}"\r\n\r\n'.encode() + value + b"\r\n")
        else:
            parts.append(f"{head}\r\n\r\n{value}\r\n".encode())
    return b"".join(parts) + b"--edge--\r\n"
