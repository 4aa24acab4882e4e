// One worker thread of distribute.mjs.

import { BotWorker } from "@grammyjs/runner";
import { config, echo, token } from "./setting.mjs";

const bot = new BotWorker(token, config);
bot.on("message:text", echo);
