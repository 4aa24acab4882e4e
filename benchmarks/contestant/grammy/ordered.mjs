// grammY runner with what makes it keep the order of a chat and its session: sequentialize, then session.

import { run, sequentialize } from "@grammyjs/runner";
import { Bot, session } from "grammy";
import { concurrency, config, count, token } from "./setting.mjs";

const bot = new Bot(token, config);
const getSessionKey = (ctx) => ctx.chat?.id.toString();
bot.use(sequentialize(getSessionKey));
bot.use(session({ initial: () => ({ n: 0 }), getSessionKey }));
bot.on("message:text", count);
run(bot, { sink: { concurrency } });
