"""What the source of a target tells: run it as a script, or import it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner_c.command.script import find_script, is_script, polls_when_imported

Write = Callable[[str, str], Path]

GUARD = "if __name__ == '__main__':\n    "


@pytest.mark.parametrize(
    ("source", "is_one", "polls"),
    [
        ("bot.polling()", True, True),
        ("while True:\n    try:\n        bot.infinity_polling()\n    except Exception:\n        pass", True, True),
        (GUARD + "bot.polling()", True, False),
        ("if '__main__' == __name__:\n    main()\ndef main():\n    bot.polling()", True, False),
        ("Thread(target=bot.infinity_polling).start()", True, True),
        ("def main():\n    bot.polling()\nmain()", True, True),
        ("def go():\n    bot.polling()\ndef main():\n    go()\nmain()", True, True),
        ("def go():\n    bot.polling()\nThread(target=go).start()", True, True),
        ("def main():\n    bot.polling()", False, False),
        ("class Shop:\n    def run(self):\n        self.bot.polling()", False, False),
        ("bot = TeleBot('x')", False, False),
        (GUARD + "run(bot).wait()", False, False),
        ("bot.polling = None", False, False),
        ("# bot.polling()\ntext = 'bot.polling()'", False, False),
        ("bot.polling(", False, False),
    ],
)
def test_the_source_tells(write: Write, source: str, is_one: bool, polls: bool) -> None:
    path = write("shop.py", source)
    assert is_script(path) == is_one
    assert polls_when_imported(path) == polls


def test_what_cannot_be_found_is_left_to_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for target in ("nothing.py", "no_such_module", "no.such.module", "a/b", "1x"):
        assert find_script(target) is None
