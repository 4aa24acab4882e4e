"""aiogram: polling with a task per update, a limit of tasks, and uvloop, which `run_polling` takes when it is there."""

import ssl

import setting
from aiogram import Bot, Dispatcher, F
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.fsm.storage.memory import SimpleEventIsolation


def main() -> None:
    """Echo until the process is ended."""
    session = AiohttpSession(api=TelegramAPIServer.from_base(setting.API_ROOT), limit=setting.CONCURRENCY + 1)
    if setting.CA_FILE:
        session._connector_init["ssl"] = ssl.create_default_context(cafile=setting.CA_FILE)
    bot = Bot(setting.TOKEN, session=session)
    if setting.SESSION:
        # Its own way to keep the order of a chat.
        dispatcher = Dispatcher(events_isolation=SimpleEventIsolation())

        @dispatcher.message(F.text)
        async def count(message, state):
            number = (await state.get_data()).get("n", 0) + 1
            await state.update_data(n=number)
            await message.answer(f"{message.text} {number}")

    else:
        dispatcher = Dispatcher(disable_fsm=True)

        @dispatcher.message(F.text)
        async def echo(message):
            if setting.CPU_LOOPS:
                setting.burn(setting.CPU_LOOPS)
            await message.answer(message.text)

    dispatcher.run_polling(bot, polling_timeout=30, tasks_concurrency_limit=setting.CONCURRENCY)


if __name__ == "__main__":
    main()
