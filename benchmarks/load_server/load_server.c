/* Serve the Bot API to one bot under test, as fast as one core can, and check everything that the bot does.

   The bot answers each text message "u<id>" by sendMessage with the same text ("u<id> <n>" with --session). The server
   creates the updates, takes the answers, and reports rate, latency and every broken promise: updates that were lost,
   answered twice, out of order, or while the previous answer of the same chat was still under way.

   Guarantees: one thread; no allocation per request once buffers have grown; one system call to read a request and one
   to write its answer; times are ns of CLOCK_MONOTONIC, taken when a request has arrived completely.
   Assumes: Linux. Without epoll_pwait2 (before 5.11) it spins instead of sleeping through the last millisecond.

   Longer than 400 lines on purpose: one file is built by one compiler call, without a build system. In order: options,
   numbers and histograms, updates, chats and checks, the report, connections, requests, getUpdates, methods, timers,
   main. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL
#define NEVER INT64_MAX

/* What the real server does, see the pacing and conflict rules in on_get_updates. */
#define MAX_LIMIT 100
#define MAX_TIMEOUT_S 50
#define SAME_OFFSET_TIMEOUT_S 3
#define SAME_OFFSET_LIMIT_WINDOW_NS (NS_PER_S / 2)
#define CONFLICT_PAUSE_NS (3 * NS_PER_S)
#define OFFSET_SLACK 10
#define MAX_TEXT_BYTES 16384
#define MAX_TEXT_CHARACTERS 4096

#define MAX_HEAD_BYTES 65536
#define MAX_BODY_BYTES (1 << 20)
#define FIRST_CHAT_ID 5000000000LL
#define FIRST_MESSAGE_ID 1000000
#define HEAD_ROOM 1024
#define SETTLE_NS (100 * NS_PER_MS)

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load_server: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void *grow(void *old, size_t size_bytes)
{
    void *grown = realloc(old, size_bytes);
    if (!grown)
        fail("out of memory");
    return grown;
}

/* ---- options ------------------------------------------------------------------------------------------------- */

static const char HELP[] =
    "load_server [options]: a Bot API server on 127.0.0.1 that loads one bot and checks its answers; JSON lines on stdout\n"
    "  --port N              0 (default): any free port\n"
    "  --chats C             updates go round and round over C chats (default 1000)\n"
    "  --shuffle SEED        each round over the chats in a new random order\n"
    "  --first-id N          the first update_id, 100000000..899999999 (default: random)\n"
    "what there is to fetch (times count from the first getUpdates on):\n"
    "  --seconds S [--warmup-s W]            always something; answers between W and W+S count (default: 5 after 1)\n"
    "  --updates N [--warmup-updates K]      exactly N; the window lasts from the first poll, or the K-th answer, to the\n"
    "                                        last answer\n"
    "  --rate R [--poisson SEED]             R per second until W+S, evenly or with exponential gaps\n"
    "  --one                                 one update, then nothing\n"
    "  --idle                                nothing; with --seconds there are window events all the same\n"
    "  --flood CHAT:COUNT@T                  COUNT more of the chat with this index (0..), T s after the window began;\n"
    "                                        this chat is then reported apart, as \"flooded\"; up to 16 times\n"
    "  --spin-us U           stay awake for the last U us before an update of --rate (default 100), so that it is in time\n"
    "  --gather-ms G         a held poll is answered G ms after the latest new update, 2 G after the first (default 1, as\n"
    "                        the real server does; 0: at once)\n"
    "what the bot does:\n"
    "  --latency-ms L        calls but get*, delete*, set*, logOut and close are answered after L ms (default 0)\n"
    "  --session             answers carry \"u<id> <n>\", n counting the answers of the chat\n"
    "  --commands            texts are \"/echo u<id>\" (the answer stays \"u<id>\")\n"
    "  --small               updates of about 350 bytes instead of 690: no reply_to_message\n"
    "the end:\n"
    "  --patience-s P        after the window: report when nothing happened for P s (default 10)\n"
    "  --drain-s D           and at the latest after D s (default 120)\n"
    "  --tls CERT KEY        PEM files; needs a build with OpenSSL\n"
    "The server goes on after its report until SIGTERM or the end of stdin (if that is a pipe or a socket).\n";

enum mode { TIMED, COUNTED, OPEN_LOOP, IDLE };

struct flood {
    uint32_t chat;
    uint32_t count;
    double at_s;
    int64_t at_ns; /* NEVER until the window has begun, and again once it is done */
};

static struct {
    enum mode mode;
    int port;
    uint32_t chats;
    bool is_shuffled, is_poisson, has_session, has_commands, is_small;
    uint64_t shuffle_seed, poisson_seed;
    int64_t first_id;
    double seconds, warmup_s, rate, patience_s, drain_s, latency_ms, gather_ms, spin_us;
    uint64_t updates, warmup_updates;
    const char *certificate, *key;
    struct flood floods[16];
    int flood_count;
} options = {.chats = 1000, .warmup_s = -1, .seconds = -1, .patience_s = 10, .drain_s = 120, .gather_ms = 1, .spin_us = 100};

static double number_option(const char *name, const char *text, double low, double high)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high))
        fail("%s %s: expected a number from %.15g to %.15g", name, text, low, high);
    return value;
}

static void add_flood(const char *text)
{
    unsigned chat, count;
    double at_s;
    int read = -1;
    if (sscanf(text, "%u:%u@%lf%n", &chat, &count, &at_s, &read) != 3 || read < 0 || text[read] || at_s < 0 ||
        chat >= 100000000 || count > 10000000)
        fail("--flood %s: expected CHAT:COUNT@T", text);
    if (options.flood_count == (int)(sizeof options.floods / sizeof *options.floods))
        fail("--flood: given too often");
    options.floods[options.flood_count++] = (struct flood){chat, count, at_s, NEVER};
}

static void read_options(int argc, char **argv)
{
    bool is_one = false, is_idle = false;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        int values = !strcmp(name, "--tls") ? 2 : 1;
        if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
            fputs(HELP, stdout);
            exit(0);
        } else if (!strcmp(name, "--session")) {
            options.has_session = true;
            continue;
        } else if (!strcmp(name, "--commands")) {
            options.has_commands = true;
            continue;
        } else if (!strcmp(name, "--small")) {
            options.is_small = true;
            continue;
        } else if (!strcmp(name, "--one")) {
            is_one = true;
            continue;
        } else if (!strcmp(name, "--idle")) {
            is_idle = true;
            continue;
        }
        if (i + values >= argc)
            fail("%s: unknown, or its value is missing (see --help)", name);
        const char *value = argv[i + 1];
        i += values;
        if (!strcmp(name, "--port"))
            options.port = (int)number_option(name, value, 0, 65535);
        else if (!strcmp(name, "--chats"))
            options.chats = (uint32_t)number_option(name, value, 1, 10000000);
        else if (!strcmp(name, "--shuffle")) {
            options.is_shuffled = true;
            options.shuffle_seed = (uint64_t)number_option(name, value, 0, 1e15);
        } else if (!strcmp(name, "--first-id"))
            options.first_id = (int64_t)number_option(name, value, 100000000, 899999999);
        else if (!strcmp(name, "--seconds"))
            options.seconds = number_option(name, value, 0.001, 1e6);
        else if (!strcmp(name, "--warmup-s"))
            options.warmup_s = number_option(name, value, 0, 1e6);
        else if (!strcmp(name, "--updates"))
            options.updates = (uint64_t)number_option(name, value, 1, 5e7);
        else if (!strcmp(name, "--warmup-updates"))
            options.warmup_updates = (uint64_t)number_option(name, value, 0, 5e7);
        else if (!strcmp(name, "--rate"))
            options.rate = number_option(name, value, 0.001, 1e7);
        else if (!strcmp(name, "--poisson")) {
            options.is_poisson = true;
            options.poisson_seed = (uint64_t)number_option(name, value, 0, 1e15);
        } else if (!strcmp(name, "--flood"))
            add_flood(value);
        else if (!strcmp(name, "--gather-ms"))
            options.gather_ms = number_option(name, value, 0, 1000);
        else if (!strcmp(name, "--latency-ms"))
            options.latency_ms = number_option(name, value, 0, 1e6);
        else if (!strcmp(name, "--spin-us"))
            options.spin_us = number_option(name, value, 0, 10000);
        else if (!strcmp(name, "--patience-s"))
            options.patience_s = number_option(name, value, 0.01, 1e6);
        else if (!strcmp(name, "--drain-s"))
            options.drain_s = number_option(name, value, 0.01, 1e6);
        else if (!strcmp(name, "--tls")) {
            options.certificate = value;
            options.key = argv[i];
        } else
            fail("%s: unknown (see --help)", name);
    }
    if (is_one && !options.updates)
        options.updates = 1;
    if ((options.updates > 0) + (options.rate > 0) + is_idle > 1)
        fail("choose one of --updates or --one, --rate, --idle");
    if (options.updates && (options.seconds >= 0 || options.warmup_s >= 0))
        fail("--updates has no --seconds and no --warmup-s");
    if (options.warmup_updates >= options.updates && options.warmup_updates)
        fail("--warmup-updates must be less than --updates");
    options.mode = is_idle ? IDLE : options.updates ? COUNTED : options.rate > 0 ? OPEN_LOOP : TIMED;
    if (options.mode == TIMED || options.mode == OPEN_LOOP) {
        if (options.seconds < 0)
            options.seconds = 5;
        if (options.warmup_s < 0)
            options.warmup_s = 1;
    }
#ifndef WITH_TLS
    if (options.certificate)
        fail("--tls: this build has no OpenSSL");
#endif
}

/* ---- random numbers, digits, histograms ------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{ /* splitmix64 */
    uint64_t z = (*state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

/* Numbers are written with a fixed width wherever they change from update to update, so that templates keep their size. */
static void put_digits(char *to, uint64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

static char *put_number(char *to, uint64_t value)
{
    char reversed[20];
    int count = 0;
    do {
        reversed[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count)
        *to++ = reversed[--count];
    return to;
}

#define SUB_BITS 7 /* 128 steps per power of two: a percentile is at most 0.8 % off */
#define BUCKETS ((64 - SUB_BITS + 1) << SUB_BITS)

struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t total;
    int64_t max_ns;
};

static int bucket_of(uint64_t value)
{
    if (value < (1u << SUB_BITS))
        return (int)value;
    int shift = 63 - __builtin_clzll(value) - SUB_BITS;
    return ((shift + 1) << SUB_BITS) + (int)((value >> shift) - (1u << SUB_BITS));
}

static double bucket_low_ns(int bucket)
{
    int shift = (bucket >> SUB_BITS) - 1;
    if (shift < 0)
        return bucket;
    return ldexp((bucket & ((1 << SUB_BITS) - 1)) + (1 << SUB_BITS), shift);
}

static void record_ns(struct histogram *h, int64_t value_ns)
{
    if (value_ns < 0)
        value_ns = 0;
    h->counts[bucket_of((uint64_t)value_ns)]++;
    h->total++;
    if (value_ns > h->max_ns)
        h->max_ns = value_ns;
}

static double percentile_ms(const struct histogram *h, double share)
{
    double wanted = share * (double)h->total, seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        double count = (double)h->counts[i];
        if (count > 0 && seen + count >= wanted) {
            double low = bucket_low_ns(i), high = bucket_low_ns(i + 1);
            double at_ns = low + (high - low) * (wanted - seen) / count;
            return (at_ns < (double)h->max_ns ? at_ns : (double)h->max_ns) / 1e6;
        }
        seen += count;
    }
    return 0;
}

/* ---- updates --------------------------------------------------------------------------------------------------- */

/* A JSON text in which only numbers of a fixed width change: the letter says which. */
struct template {
    char bytes[2048];
    int length, patch_count;
    struct {
        uint16_t at;
        char what;
    } patches[24];
};

#define WIDTH_UPDATE 9
#define WIDTH_MESSAGE 7
#define WIDTH_CHAT 10
#define WIDTH_DATE 10

struct digits {
    char update[WIDTH_UPDATE], message[WIDTH_MESSAGE], previous[WIDTH_MESSAGE], chat[WIDTH_CHAT], date[WIDTH_DATE];
};

static char bot_id[24] = "123456789";

/* %U update_id, %M message_id, %R the message before, %C chat id, %D date; %B the bot's id, which stays. */
static void append_template(struct template *t, const char *format)
{
    for (const char *p = format; *p; p++) {
        if (*p != '%') {
            t->bytes[t->length++] = *p;
            continue;
        }
        char what = *++p;
        if (what == 'B') {
            size_t size = strlen(bot_id);
            memcpy(t->bytes + t->length, bot_id, size);
            t->length += (int)size;
            continue;
        }
        t->patches[t->patch_count].at = (uint16_t)t->length;
        t->patches[t->patch_count++].what = what;
        t->length += what == 'U' ? WIDTH_UPDATE : what == 'C' ? WIDTH_CHAT : what == 'D' ? WIDTH_DATE : WIDTH_MESSAGE;
    }
}

static char *put_template(char *to, const struct template *t, const struct digits *d)
{
    memcpy(to, t->bytes, (size_t)t->length);
    for (int i = 0; i < t->patch_count; i++) {
        char *at = to + t->patches[i].at;
        switch (t->patches[i].what) {
        case 'U': memcpy(at, d->update, WIDTH_UPDATE); break;
        case 'M': memcpy(at, d->message, WIDTH_MESSAGE); break;
        case 'R': memcpy(at, d->previous, WIDTH_MESSAGE); break;
        case 'C': memcpy(at, d->chat, WIDTH_CHAT); break;
        default: memcpy(at, d->date, WIDTH_DATE); break;
        }
    }
    return to + t->length;
}

static struct template update_template, sent_template;

#define CHAT_JSON "{\"id\":%C,\"first_name\":\"Ada\",\"last_name\":\"Lovelace\",\"username\":\"user%C\",\"type\":\"private\"}"
#define BOT_JSON "{\"id\":%B,\"is_bot\":true,\"first_name\":\"Load server\",\"username\":\"load_server_bot\"}"

static void make_templates(void)
{
    update_template.length = update_template.patch_count = 0;
    append_template(&update_template,
                    "{\"update_id\":%U,\"message\":{\"message_id\":%M,\"from\":{\"id\":%C,\"is_bot\":false,"
                    "\"first_name\":\"Ada\",\"last_name\":\"Lovelace\",\"username\":\"user%C\",\"language_code\":\"en\"},"
                    "\"chat\":" CHAT_JSON ",\"date\":%D,");
    if (!options.is_small)
        append_template(&update_template,
                        "\"reply_to_message\":{\"message_id\":%R,\"from\":" BOT_JSON ",\"chat\":" CHAT_JSON ",\"date\":%D,"
                        "\"text\":\"What can I do for you? Send me a text, and I shall send it back.\"},");
    append_template(&update_template,
                    options.has_commands ? "\"text\":\"/echo u%U\",\"entities\":[{\"offset\":0,\"length\":5,"
                                           "\"type\":\"bot_command\"}]}}"
                                         : "\"text\":\"u%U\"}}");
    sent_template.length = sent_template.patch_count = 0;
    append_template(&sent_template, "{\"ok\":true,\"result\":{\"message_id\":%M,\"from\":" BOT_JSON ",\"chat\":" CHAT_JSON
                                    ",\"date\":%D,\"text\":\"");
}

enum { HANDED_OUT = 1, ANSWERED = 2 };

struct update {
    int64_t there_ns; /* 0 until it is handed out, where there is always something to fetch */
    uint32_t chat;
    uint32_t message : 28, flags : 4;
};

/* Ids grow by one, so an update is found by its id. The memory is reserved at once and used as it is touched. */
static struct {
    struct update *all;
    size_t capacity;
    int64_t first_id;
    size_t head; /* the oldest one that is not confirmed */
    size_t tail; /* the next one to be created */
    size_t handed_out, answered;
    size_t fetched_up_to; /* beyond it nothing was handed out yet */
} queue;

static void make_queue(void)
{
    for (queue.capacity = (size_t)1 << 27;; queue.capacity /= 2) {
        queue.all = mmap(NULL, queue.capacity * sizeof *queue.all, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (queue.all != MAP_FAILED)
            break;
        if (queue.capacity < 1000000)
            fail("no memory for the updates");
    }
    uint64_t seed = (uint64_t)clock_ns() ^ ((uint64_t)getpid() << 40);
    queue.first_id = options.first_id ? options.first_id : (int64_t)(100000000 + next_random(&seed) % 700000000);
}

/* ---- chats, and the checks on answers -------------------------------------------------------------------------- */

enum { MAIN, FLOODED, GROUPS };

struct chat {
    int64_t newest_answered; /* index of an update, -1: none */
    uint32_t under_way;      /* calls that wait for their delayed answer */
    uint32_t next_message;
    uint64_t next_count; /* what a session must have counted to at the next answer */
    uint8_t group;
};

struct group {
    uint64_t created, handed_out, answered, answered_in_window, duplicates, order_violations, overlaps, session_errors;
    struct histogram latency;
};

static struct chat *chats;
static uint32_t chat_count; /* those of --chats, and those that only --flood names */
static uint32_t *chat_order;
static uint32_t chat_position;
static struct group groups[GROUPS];

static struct {
    uint64_t connections, requests, polls, empty_polls, bad_requests, unknown_texts, wrong_chats, conflicts, dropped;
    uint32_t open_connections, max_connections, delayed, max_outstanding;
    uint64_t max_unanswered;
    struct histogram update_late, answer_late;
} totals;

/* The window of measurement. Answers are judged by these times, not by when the events are written. */
static struct {
    int64_t first_poll_ns, begin_ns, end_ns; /* NEVER: not known yet */
    bool has_begun, has_ended, is_reported, is_drained;
    int64_t progress_ns, settled_ns, first_answer_ns, last_answer_ns;
    int64_t cpu_begin_ns, cpu_end_ns; /* without what was spun */
} window = {.first_poll_ns = NEVER, .begin_ns = NEVER, .end_ns = NEVER, .settled_ns = NEVER, .first_answer_ns = NEVER};

static int64_t now; /* of the event at hand */
static int64_t next_due = NEVER;
static int64_t next_update_ns = NEVER; /* open loop */
static int64_t spun_ns;                /* see wait_for_events */

/* Every time at which something is to happen goes through here, or is found again by run_timers. */
static void wake_at(int64_t at_ns)
{
    if (at_ns < next_due)
        next_due = at_ns;
}

static void make_chats(void)
{
    chat_count = options.chats;
    for (int i = 0; i < options.flood_count; i++)
        if (options.floods[i].chat >= chat_count)
            chat_count = options.floods[i].chat + 1;
    chats = calloc(chat_count, sizeof *chats);
    chat_order = malloc(options.chats * sizeof *chat_order);
    if (!chats || !chat_order)
        fail("no memory for the chats");
    for (uint32_t i = 0; i < chat_count; i++)
        chats[i] = (struct chat){.newest_answered = -1, .next_message = FIRST_MESSAGE_ID + 1, .next_count = 1};
    for (uint32_t i = 0; i < options.chats; i++)
        chat_order[i] = i;
    for (int i = 0; i < options.flood_count; i++)
        chats[options.floods[i].chat].group = FLOODED;
}

static uint32_t next_chat(void)
{
    if (chat_position == options.chats)
        chat_position = 0;
    if (chat_position == 0 && options.is_shuffled)
        for (uint32_t i = options.chats - 1; i > 0; i--) {
            uint32_t other = (uint32_t)(next_random(&options.shuffle_seed) % (i + 1)), kept = chat_order[i];
            chat_order[i] = chat_order[other];
            chat_order[other] = kept;
        }
    return chat_order[chat_position++];
}

/* Message ids count on with each message of a chat, and start anew before they need an eighth digit. */
static uint32_t next_message(struct chat *chat)
{
    if (chat->next_message >= 10 * FIRST_MESSAGE_ID)
        chat->next_message = FIRST_MESSAGE_ID + 1;
    return chat->next_message++;
}

static void create_update(uint32_t chat, int64_t there_ns)
{
    if (queue.tail == queue.capacity)
        fail("more than %zu updates", queue.capacity);
    queue.all[queue.tail++] =
        (struct update){.there_ns = there_ns, .chat = chat, .message = next_message(&chats[chat]), .flags = 0};
    groups[chats[chat].group].created++;
}

static void event(const char *name, int64_t at_ns)
{
    printf("{\"event\":\"%s\",\"t\":%.9f}\n", name, (double)at_ns / 1e9);
    fflush(stdout);
}

static void begin_window(int64_t at_ns)
{
    window.begin_ns = at_ns;
    window.has_begun = true;
    window.cpu_begin_ns = cpu_ns() - spun_ns;
    event("window_begin", at_ns);
    for (int i = 0; i < options.flood_count; i++) {
        options.floods[i].at_ns = at_ns + (int64_t)(options.floods[i].at_s * 1e9);
        wake_at(options.floods[i].at_ns);
    }
}

static void end_window(int64_t at_ns)
{
    window.end_ns = at_ns;
    window.has_ended = true;
    window.cpu_end_ns = cpu_ns() - spun_ns;
    window.progress_ns = now;
    event("window_end", at_ns);
    wake_at(now);
}

static bool is_in_window(int64_t at_ns)
{
    return at_ns >= window.begin_ns && at_ns < window.end_ns;
}

static const char *read_digits(const char *p, const char *end, uint64_t *value)
{
    const char *start = p;
    uint64_t sum = 0;
    while (p < end && *p >= '0' && *p <= '9' && p - start < 18)
        sum = sum * 10 + (uint64_t)(*p++ - '0');
    *value = sum;
    return p > start ? p : NULL;
}

/* Read "u<id>" or "u<id> <n>"; n is 0 where it is absent. */
static bool read_answer(const char *text, size_t length, uint64_t *id, uint64_t *count)
{
    const char *end = text + length, *p;
    *count = 0;
    if (length < 2 || text[0] != 'u' || !(p = read_digits(text + 1, end, id)))
        return false;
    if (p == end)
        return true;
    return *p == ' ' && (p = read_digits(p + 1, end, count)) && p == end;
}

static void on_answer(uint32_t chat_index, const char *text, size_t length)
{
    struct chat *chat = &chats[chat_index];
    struct group *group = &groups[chat->group];
    uint64_t id, count;
    int64_t index;
    if (!read_answer(text, length, &id, &count) || (index = (int64_t)id - queue.first_id) < 0 ||
        (size_t)index >= queue.tail || !(queue.all[index].flags & HANDED_OUT)) {
        totals.unknown_texts++;
        return;
    }
    struct update *update = &queue.all[index];
    if (update->chat != chat_index) {
        totals.wrong_chats++;
        return;
    }
    if (chat->under_way)
        group->overlaps++;
    if (options.has_session) {
        /* Counted on from what was said, so that one lost write is one error and not one with each later answer. */
        if (count != chat->next_count)
            group->session_errors++;
        chat->next_count = count + 1;
    }
    window.progress_ns = now;
    if (update->flags & ANSWERED) {
        group->duplicates++;
        return;
    }
    update->flags |= ANSWERED;
    queue.answered++;
    group->answered++;
    if (index < chat->newest_answered)
        group->order_violations++;
    else
        chat->newest_answered = index;
    if (is_in_window(now))
        group->answered_in_window++;
    if (is_in_window(update->there_ns))
        record_ns(&group->latency, now - update->there_ns);
    window.last_answer_ns = now;
    if (window.first_answer_ns == NEVER) {
        window.first_answer_ns = now;
        event("first_answer", now);
    }
    if (options.mode == COUNTED && !window.has_ended) {
        if (!window.has_begun && queue.answered == options.warmup_updates)
            begin_window(now + 1); /* this answer itself lies before */
        if (queue.answered == queue.tail)
            end_window(now + 1);
    }
    if (window.has_ended && queue.answered == queue.handed_out)
        wake_at(now);
}

/* ---- the report ------------------------------------------------------------------------------------------------ */

static void print_latency(const struct histogram *h)
{
    printf("\"latency_count\":%llu,\"latency_ms\":{\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"p999\":%.4f,\"max\":%.4f}",
           (unsigned long long)h->total, percentile_ms(h, 0.5), percentile_ms(h, 0.9), percentile_ms(h, 0.99),
           percentile_ms(h, 0.999), (double)h->max_ns / 1e6);
}

static void print_group(const char *name, int which, double window_s)
{
    const struct group *g = &groups[which];
    uint64_t lost = 0, unconfirmed = 0;
    for (size_t i = 0; i < queue.fetched_up_to; i++)
        if (queue.all[i].flags == HANDED_OUT && chats[queue.all[i].chat].group == which) {
            if (i < queue.head)
                lost++;
            else
                unconfirmed++;
        }
    printf("\"%s\":{\"answered\":%llu,\"answered_in_window\":%llu,\"rate\":%.3f,\"window_s\":%.6f,\"created\":%llu,"
           "\"handed_out\":%llu,\"lost\":%llu,\"unconfirmed\":%llu,\"duplicates\":%llu,\"order_violations\":%llu,"
           "\"overlaps\":%llu,\"session_errors\":%llu,",
           name, (unsigned long long)g->answered, (unsigned long long)g->answered_in_window,
           window_s > 0 ? (double)g->answered_in_window / window_s : 0.0, window_s, (unsigned long long)g->created,
           (unsigned long long)g->handed_out, (unsigned long long)lost, (unsigned long long)unconfirmed,
           (unsigned long long)g->duplicates, (unsigned long long)g->order_violations, (unsigned long long)g->overlaps,
           (unsigned long long)g->session_errors);
    print_latency(&g->latency);
    /* [upper bound in ms, count], eight steps per power of two. */
    printf(",\"histogram\":[");
    const char *comma = "";
    for (int i = 0; i < BUCKETS; i += 16) {
        uint64_t count = 0;
        for (int j = i; j < i + 16; j++)
            count += g->latency.counts[j];
        if (count) {
            printf("%s[%.6g,%llu]", comma, bucket_low_ns(i + 16) / 1e6, (unsigned long long)count);
            comma = ",";
        }
    }
    printf("]}");
}

static void report(void)
{
    window.is_reported = true;
    double window_s = 0, busy = 0, cpu_us = 0;
    if (window.has_begun) {
        int64_t end_ns = window.has_ended ? window.end_ns : now;
        int64_t used_ns = (window.has_ended ? window.cpu_end_ns : cpu_ns() - spun_ns) - window.cpu_begin_ns;
        uint64_t answered = groups[MAIN].answered_in_window + groups[FLOODED].answered_in_window;
        window_s = (double)(end_ns - window.begin_ns) / 1e9;
        busy = window_s > 0 ? (double)used_ns / 1e9 / window_s : 0;
        cpu_us = answered ? (double)used_ns / 1e3 / (double)answered : 0;
    }
    printf("{\"event\":\"report\",\"t\":%.9f,\"complete\":%s,", (double)now / 1e9, window.is_drained ? "true" : "false");
    print_group("main", MAIN, window_s);
    printf(",");
    if (options.flood_count) {
        print_group("flooded", FLOODED, window_s);
        printf(",");
    }
    printf("\"polls\":%llu,\"empty_polls\":%llu,\"conflicts\":%llu,\"connections\":%llu,\"max_connections\":%u,"
           "\"requests\":%llu,\"bad_requests\":%llu,\"unknown_texts\":%llu,\"wrong_chats\":%llu,\"dropped\":%llu,"
           "\"max_outstanding\":%u,\"max_unanswered\":%llu,\"server_cpu_us_per_update\":%.3f,\"server_busy\":%.4f,",
           (unsigned long long)totals.polls, (unsigned long long)totals.empty_polls,
           (unsigned long long)totals.conflicts, (unsigned long long)totals.connections, totals.max_connections,
           (unsigned long long)totals.requests, (unsigned long long)totals.bad_requests,
           (unsigned long long)totals.unknown_texts, (unsigned long long)totals.wrong_chats,
           (unsigned long long)totals.dropped, totals.max_outstanding, (unsigned long long)totals.max_unanswered, cpu_us,
           busy);
    /* How late the server itself was: an update made later than its time, an answer later than its latency. */
    printf("\"update_late_ms\":{\"p50\":%.4f,\"p99\":%.4f,\"max\":%.4f},"
           "\"answer_late_ms\":{\"p50\":%.4f,\"p99\":%.4f,\"max\":%.4f}}\n",
           percentile_ms(&totals.update_late, 0.5), percentile_ms(&totals.update_late, 0.99),
           (double)totals.update_late.max_ns / 1e6, percentile_ms(&totals.answer_late, 0.5),
           percentile_ms(&totals.answer_late, 0.99), (double)totals.answer_late.max_ns / 1e6);
    fflush(stdout);
}

/* ---- connections ----------------------------------------------------------------------------------------------- */

/* Offsets into a connection's buffer, because reading on may move it. */
struct head {
    uint32_t size; /* 0: not read yet */
    uint32_t target, target_size, type, type_size;
    uint32_t body_size;
    bool is_post, is_chunked, is_kept, expects_continue;
};

enum state { READING, HELD, DELAYED };

/* A connection has one request at a time: what a client sends ahead waits in its buffer, or in the socket. While a
   request is HELD (a long poll) or DELAYED its bytes stay in the buffer, so `text` may point there. */
struct connection {
    int fd;
    enum state state;
    bool is_readable, is_hung_up, is_dead, closes;
    uint32_t generation; /* grows when the connection ends: timers recognise that theirs is gone */
    struct head head;
    char *in;
    uint32_t in_start, in_end, in_capacity;
    char *out;
    size_t out_start, out_end, out_capacity;
    const char *text;
    size_t text_size;
    int64_t chat; /* of the sendMessage under way; -1: the answer is just true */
    struct connection *next;
#ifdef WITH_TLS
    SSL *ssl;
#endif
};

static int epoll_fd, listen_fd;
static struct connection *spare, *dead;
static struct connection *poller;  /* whose getUpdates is held */
static struct connection *resumed; /* whose getUpdates was just ended by another one: it may have more to say */
#ifdef WITH_TLS
static SSL_CTX *tls;
#endif

static void close_connection(struct connection *c)
{
    if (c->is_dead)
        return;
    c->is_dead = true;
    c->generation++;
    if (poller == c)
        poller = NULL;
    if (resumed == c)
        resumed = NULL;
#ifdef WITH_TLS
    if (c->ssl) {
        SSL_shutdown(c->ssl);
        ERR_clear_error();
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
#endif
    close(c->fd);
    totals.open_connections--;
    c->next = dead;
    dead = c;
}

/* Events of the same batch may still name a connection that has ended, so it is used again only after the batch. */
static void reap_connections(void)
{
    while (dead) {
        struct connection *c = dead;
        dead = c->next;
        c->next = spare;
        spare = c;
    }
}

static void accept_connections(void)
{
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct connection *c = spare;
        if (c) {
            spare = c->next;
        } else {
            c = grow(NULL, sizeof *c);
            memset(c, 0, sizeof *c);
            c->in_capacity = 4096;
            c->in = grow(NULL, c->in_capacity);
        }
        c->fd = fd;
        c->state = READING;
        c->is_readable = c->is_hung_up = c->is_dead = c->closes = false;
        c->head.size = 0;
        c->in_start = c->in_end = 0;
        c->out_start = c->out_end = 0;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
#ifdef WITH_TLS
        if (tls) {
            c->ssl = SSL_new(tls);
            if (!c->ssl || !SSL_set_fd(c->ssl, fd))
                fail("no memory for a TLS connection");
            SSL_set_accept_state(c->ssl);
        }
#endif
        totals.connections++;
        if (++totals.open_connections > totals.max_connections)
            totals.max_connections = totals.open_connections;
        struct epoll_event wanted = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &wanted))
            close_connection(c);
    }
}

/* Returns how much was written, 0 if the socket is full, -1 if the connection is broken. */
static ssize_t write_some(struct connection *c, const char *bytes, size_t size)
{
#ifdef WITH_TLS
    if (c->ssl) {
        size_t done = 0;
        while (done < size) {
            int count = SSL_write(c->ssl, bytes + done, (int)(size - done));
            if (count > 0) {
                done += (size_t)count;
                continue;
            }
            int error = SSL_get_error(c->ssl, count);
            ERR_clear_error();
            if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ)
                break;
            return -1;
        }
        return (ssize_t)done;
    }
#endif
    ssize_t count = send(c->fd, bytes, size, MSG_NOSIGNAL);
    if (count >= 0)
        return count;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

/* Returns how much was read, 0 if there is nothing now, -1 at the end. */
static ssize_t read_some(struct connection *c, char *to, size_t size)
{
#ifdef WITH_TLS
    if (c->ssl) {
        int count = SSL_read(c->ssl, to, (int)size);
        if (count > 0)
            return count;
        int error = SSL_get_error(c->ssl, count);
        ERR_clear_error();
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            return -1;
        c->is_readable = false;
        return 0;
    }
#endif
    ssize_t count = recv(c->fd, to, size, 0);
    if (count > 0) {
        /* A short read empties the socket, and what comes later is a new edge: no second call to hear "nothing". */
        if ((size_t)count < size && !c->is_hung_up)
            c->is_readable = false;
        return count;
    }
    if (count < 0 && errno == EAGAIN) {
        c->is_readable = false;
        return 0;
    }
    return count < 0 && errno == EINTR ? 0 : -1;
}

static void write_or_keep(struct connection *c, const char *bytes, size_t size)
{
    if (c->is_dead)
        return;
    if (c->out_start == c->out_end) {
        c->out_start = c->out_end = 0;
        ssize_t count = write_some(c, bytes, size);
        if (count < 0) {
            close_connection(c);
            return;
        }
        bytes += count;
        size -= (size_t)count;
    }
    if (!size)
        return;
    if (c->out_end + size > c->out_capacity) {
        c->out_capacity = 2 * (c->out_end + size);
        c->out = grow(c->out, c->out_capacity);
    }
    memcpy(c->out + c->out_end, bytes, size);
    c->out_end += size;
}

static void flush_kept(struct connection *c)
{
    if (c->out_start == c->out_end)
        return;
    ssize_t count = write_some(c, c->out + c->out_start, c->out_end - c->out_start);
    if (count < 0)
        close_connection(c);
    else
        c->out_start += (size_t)count;
}

/* ---- answers --------------------------------------------------------------------------------------------------- */

/* A body is written at `body_area`, then the head is put right in front of it: one write, and no copy of the body. */
static char answer_area[HEAD_ROOM + 512 * 1024];
#define body_area (answer_area + HEAD_ROOM)

static char date_header[40] = "";
static char date_digits[WIDTH_DATE];

static void refresh_date(void)
{
    static time_t shown;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    if (t.tv_sec == shown)
        return;
    shown = t.tv_sec;
    put_digits(date_digits, (uint64_t)shown, WIDTH_DATE);
    struct tm parts;
    gmtime_r(&shown, &parts);
    strftime(date_header, sizeof date_header, "%a, %d %b %Y %H:%M:%S GMT", &parts);
}

static const char *reason(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Request Entity Too Large";
    case 431: return "Request Header Fields Too Large";
    default: return "Error";
    }
}

static char *put_text(char *to, const char *text)
{
    size_t size = strlen(text);
    memcpy(to, text, size);
    return to + size;
}

/* The headers of api.telegram.org, all of them: parsing them is part of what a client does. */
static void answer_status(struct connection *c, int status, char *body_end)
{
    char head[HEAD_ROOM], *p = head;
    p = put_text(p, "HTTP/1.1 ");
    p = put_number(p, (uint64_t)status);
    *p++ = ' ';
    p = put_text(p, reason(status));
    p = put_text(p, "\r\nServer: nginx/1.18.0\r\nDate: ");
    p = put_text(p, date_header);
    p = put_text(p, "\r\nContent-Type: application/json\r\nContent-Length: ");
    p = put_number(p, (uint64_t)(body_end - body_area));
    p = put_text(p, c->closes ? "\r\nConnection: close" : "\r\nConnection: keep-alive");
    p = put_text(p, "\r\nStrict-Transport-Security: max-age=31536000; includeSubDomains; preload"
                    "\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, POST, OPTIONS"
                    "\r\nAccess-Control-Expose-Headers: Content-Length,Content-Type,Date,Server,Connection\r\n\r\n");
    size_t size = (size_t)(p - head);
    memcpy(body_area - size, head, size);
    c->state = READING;
    write_or_keep(c, body_area - size, size + (size_t)(body_end - body_area));
}

static void answer_result(struct connection *c, const char *json)
{
    char *p = put_text(body_area, "{\"ok\":true,\"result\":");
    p = put_text(p, json);
    *p++ = '}';
    answer_status(c, 200, p);
}

static void answer_error(struct connection *c, int status, const char *description)
{
    char *p = put_text(body_area, "{\"ok\":false,\"error_code\":");
    p = put_number(p, (uint64_t)status);
    p = put_text(p, ",\"description\":\"");
    p = put_text(p, description);
    p = put_text(p, "\"}");
    answer_status(c, status, p);
}

static void refuse(struct connection *c, int status, const char *description)
{
    totals.bad_requests++;
    answer_error(c, status, description);
}

static char *put_escaped(char *to, const char *text, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\') {
            *to++ = '\\';
            *to++ = (char)byte;
        } else if (byte < 0x20) {
            memcpy(to, "\\u00", 4);
            to[4] = hex[byte >> 4];
            to[5] = hex[byte & 15];
            to += 6;
        } else {
            *to++ = (char)byte;
        }
    }
    return to;
}

static void answer_call(struct connection *c)
{
    if (c->chat < 0) {
        answer_result(c, "true");
        return;
    }
    struct digits d;
    put_digits(d.message, next_message(&chats[c->chat]), WIDTH_MESSAGE);
    put_digits(d.chat, (uint64_t)(FIRST_CHAT_ID + c->chat), WIDTH_CHAT);
    memcpy(d.date, date_digits, WIDTH_DATE);
    char *p = put_template(body_area, &sent_template, &d);
    p = put_escaped(p, c->text, c->text_size);
    p = put_text(p, "\"}}");
    answer_status(c, 200, p);
}

/* ---- delayed answers ------------------------------------------------------------------------------------------- */

/* The delay is the same for all of them, so a queue in order of arrival is in order of time too. */
struct delayed {
    int64_t at_ns;
    struct connection *connection;
    uint32_t generation;
    int64_t chat;
};

struct delay_queue {
    struct delayed *all;
    size_t first, count, capacity;
};

static struct delay_queue delayed_calls, delayed_conflicts;

static void delay(struct delay_queue *q, struct connection *c, int64_t at_ns)
{
    if (q->count == q->capacity) {
        size_t capacity = q->capacity ? 2 * q->capacity : 1024;
        struct delayed *all = grow(NULL, capacity * sizeof *all);
        for (size_t i = 0; i < q->count; i++)
            all[i] = q->all[(q->first + i) % q->capacity];
        free(q->all);
        q->all = all;
        q->capacity = capacity;
        q->first = 0;
    }
    q->all[(q->first + q->count++) % q->capacity] = (struct delayed){at_ns, c, c->generation, c->chat};
    c->state = DELAYED;
    wake_at(at_ns);
}

static int64_t first_of(const struct delay_queue *q)
{
    return q->count ? q->all[q->first].at_ns : NEVER;
}

static struct delayed take_first(struct delay_queue *q)
{
    struct delayed first = q->all[q->first];
    q->first = (q->first + 1) % q->capacity;
    q->count--;
    return first;
}

static void answer_after_latency(struct connection *c)
{
    if (options.latency_ms <= 0) {
        answer_call(c);
        return;
    }
    if (c->chat >= 0)
        chats[c->chat].under_way++;
    if (++totals.delayed > totals.max_outstanding)
        totals.max_outstanding = totals.delayed;
    delay(&delayed_calls, c, now + (int64_t)(options.latency_ms * 1e6));
}

/* ---- getUpdates ------------------------------------------------------------------------------------------------ */

static struct {
    int64_t offset;
    int limit;
    int64_t give_up_ns, wake_ns, first_update_ns;
} held = {.give_up_ns = NEVER, .wake_ns = NEVER, .first_update_ns = NEVER};

static struct {
    bool has_any;
    int64_t offset, start_ns, finish_ns, next_conflict_ns;
} previous_poll = {.start_ns = -NS_PER_S * 10, .finish_ns = -NS_PER_S * 10, .next_conflict_ns = INT64_MIN};

/* Forget what `offset` confirms; return the index from which the answer starts. */
static size_t confirm(int64_t offset)
{
    int64_t index = offset - queue.first_id;
    if (offset < 0) {
        size_t kept = (size_t)-offset;
        if (queue.tail - queue.head > kept) {
            for (size_t i = queue.head; i < queue.tail - kept; i++)
                totals.dropped += !(queue.all[i].flags & HANDED_OUT);
            queue.head = queue.tail - kept;
        }
        return queue.head;
    }
    if (offset == 0 || index > (int64_t)queue.tail + OFFSET_SLACK || index < (int64_t)queue.head)
        return queue.head;
    size_t until = (size_t)index < queue.tail ? (size_t)index : queue.tail;
    if (until > queue.fetched_up_to)
        for (size_t i = queue.head > queue.fetched_up_to ? queue.head : queue.fetched_up_to; i < until; i++)
            totals.dropped++;
    queue.head = until;
    return (size_t)index;
}

static char *put_update(char *p, size_t index)
{
    struct update *u = &queue.all[index];
    struct group *group = &groups[chats[u->chat].group];
    if (!u->there_ns)
        u->there_ns = now;
    if (!(u->flags & HANDED_OUT)) {
        u->flags |= HANDED_OUT;
        queue.handed_out++;
        group->handed_out++;
    }
    struct digits d;
    put_digits(d.update, (uint64_t)(queue.first_id + (int64_t)index), WIDTH_UPDATE);
    put_digits(d.message, u->message, WIDTH_MESSAGE);
    put_digits(d.previous, u->message - 1, WIDTH_MESSAGE);
    put_digits(d.chat, (uint64_t)(FIRST_CHAT_ID + u->chat), WIDTH_CHAT);
    memcpy(d.date, date_digits, WIDTH_DATE);
    return put_template(p, &update_template, &d);
}

static void answer_poll(struct connection *c, size_t from, int limit)
{
    previous_poll.finish_ns = now;
    char *p = put_text(body_area, "{\"ok\":true,\"result\":[");
    size_t until = from;
    for (; until < queue.tail && until - from < (size_t)limit; until++) {
        if (until > from)
            *p++ = ',';
        p = put_update(p, until);
    }
    if (until > queue.fetched_up_to)
        queue.fetched_up_to = until;
    if (until == from)
        totals.empty_polls++;
    else
        window.progress_ns = now;
    if (queue.handed_out - queue.answered > totals.max_unanswered)
        totals.max_unanswered = queue.handed_out - queue.answered;
    p = put_text(p, "]}");
    answer_status(c, 200, p);
}

static void answer_held_poll(void)
{
    struct connection *c = poller;
    poller = NULL;
    answer_poll(c, confirm(held.offset), held.limit);
}

/* The real server waits a moment for more after the first update, so as not to answer with one at a time. */
static void on_new_updates(void)
{
    if (!poller || queue.head == queue.tail)
        return;
    int64_t gather_ns = (int64_t)(options.gather_ms * 1e6);
    if (held.first_update_ns == NEVER)
        held.first_update_ns = now;
    int64_t latest_ns = held.first_update_ns + 2 * gather_ns;
    held.wake_ns = now + gather_ns < latest_ns ? now + gather_ns : latest_ns;
    wake_at(held.wake_ns);
}

static const char CONFLICT[] =
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";

/* The first conflict is told at once, those within the 3 s after it with a delay: that slows down rival pollers. */
static void end_held_poll(void)
{
    struct connection *c = poller;
    poller = NULL;
    totals.conflicts++;
    c->chat = -1;
    if (now >= previous_poll.next_conflict_ns) {
        previous_poll.next_conflict_ns = now + CONFLICT_PAUSE_NS;
        answer_error(c, 409, CONFLICT);
        resumed = c;
    } else {
        delay(&delayed_conflicts, c, now + CONFLICT_PAUSE_NS);
    }
}

static void on_first_poll(void)
{
    window.first_poll_ns = now;
    event("first_poll", now);
    if (options.mode == COUNTED) {
        if (!options.warmup_updates)
            begin_window(now);
        window.progress_ns = now;
    } else if (options.seconds >= 0) {
        window.begin_ns = now + (int64_t)((options.warmup_s < 0 ? 0 : options.warmup_s) * 1e9);
        window.end_ns = window.begin_ns + (int64_t)(options.seconds * 1e9);
    }
    wake_at(now);
}

static void on_get_updates(struct connection *c, int64_t offset, int limit, int timeout_s)
{
    totals.polls++;
    if (window.first_poll_ns == NEVER)
        on_first_poll();
    if (previous_poll.has_any && offset == previous_poll.offset) {
        if (timeout_s < SAME_OFFSET_TIMEOUT_S && now < previous_poll.start_ns + SAME_OFFSET_TIMEOUT_S * NS_PER_S)
            timeout_s = SAME_OFFSET_TIMEOUT_S;
        if (now < previous_poll.finish_ns + SAME_OFFSET_LIMIT_WINDOW_NS)
            limit = 1;
    }
    previous_poll.has_any = true;
    previous_poll.offset = offset;
    previous_poll.start_ns = now;
    if (poller)
        end_held_poll();
    size_t from = confirm(offset);
    if (options.mode == TIMED && now < window.end_ns)
        while (queue.tail < from + (size_t)limit)
            create_update(next_chat(), 0);
    if (from < queue.tail || !timeout_s) {
        answer_poll(c, from, limit);
        return;
    }
    c->state = HELD;
    poller = c;
    held.offset = offset > 0 ? offset : queue.first_id + (int64_t)queue.head;
    held.limit = limit;
    held.give_up_ns = now + timeout_s * NS_PER_S;
    held.wake_ns = held.first_update_ns = NEVER;
    wake_at(held.give_up_ns);
}

/* ---- parameters of a request ----------------------------------------------------------------------------------- */

struct slice {
    char *at; /* NULL: absent */
    size_t size;
};

struct parameters {
    struct slice chat_id, text, offset, limit, timeout, drop_pending_updates;
};

static void set_parameter(struct parameters *to, struct slice key, struct slice value)
{
    switch (key.size) {
    case 4:
        if (!memcmp(key.at, "text", 4))
            to->text = value;
        break;
    case 5:
        if (!memcmp(key.at, "limit", 5))
            to->limit = value;
        break;
    case 6:
        if (!memcmp(key.at, "offset", 6))
            to->offset = value;
        break;
    case 7:
        if (!memcmp(key.at, "chat_id", 7))
            to->chat_id = value;
        else if (!memcmp(key.at, "timeout", 7))
            to->timeout = value;
        break;
    case 20:
        if (!memcmp(key.at, "drop_pending_updates", 20))
            to->drop_pending_updates = value;
        break;
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void decode_form(struct slice *s)
{
    char *to = s->at, *end = s->at + s->size;
    for (char *p = s->at; p < end; p++) {
        int high, low;
        if (*p == '%' && end - p > 2 && (high = hex_value(p[1])) >= 0 && (low = hex_value(p[2])) >= 0) {
            *to++ = (char)(high << 4 | low);
            p += 2;
        } else {
            *to++ = *p == '+' ? ' ' : *p;
        }
    }
    s->size = (size_t)(to - s->at);
}

static void read_form(char *p, size_t size, struct parameters *to)
{
    char *end = p + size;
    while (p < end) {
        char *stop = memchr(p, '&', (size_t)(end - p));
        if (!stop)
            stop = end;
        char *equals = memchr(p, '=', (size_t)(stop - p));
        if (equals) {
            struct slice key = {p, (size_t)(equals - p)}, value = {equals + 1, (size_t)(stop - equals - 1)};
            decode_form(&key);
            decode_form(&value);
            set_parameter(to, key, value);
        }
        p = stop + 1;
    }
}

static char *skip_space(char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static int read_hex4(const char *p, const char *end)
{
    int value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(p[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static char *put_utf8(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (char)(0xE0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xF0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 63));
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* Decode a JSON string in place; `p` is behind its opening quote. Returns what follows it, NULL if it is broken. */
static char *read_json_string(char *p, char *end, struct slice *value)
{
    value->at = p;
    while (p < end && *p != '"' && *p != '\\')
        p++;
    char *to = p;
    while (p < end && *p != '"') {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        if (++p == end)
            return NULL;
        char escape = *p++;
        switch (escape) {
        case 'n': *to++ = '\n'; break;
        case 't': *to++ = '\t'; break;
        case 'r': *to++ = '\r'; break;
        case 'b': *to++ = '\b'; break;
        case 'f': *to++ = '\f'; break;
        case '"': case '\\': case '/': *to++ = escape; break;
        case 'u': {
            int code = read_hex4(p, end), low;
            if (code < 0)
                return NULL;
            p += 4;
            unsigned whole = (unsigned)code;
            if (code >= 0xD800 && code < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
                (low = read_hex4(p + 2, end)) >= 0xDC00 && low < 0xE000) {
                whole = 0x10000 + (((unsigned)code - 0xD800) << 10) + ((unsigned)low - 0xDC00);
                p += 6;
            }
            to = put_utf8(to, whole);
            break;
        }
        default: return NULL;
        }
    }
    if (p == end)
        return NULL;
    value->size = (size_t)(to - value->at);
    return p + 1;
}

/* Skip an object or an array with all that it holds. Returns what follows it, NULL if it never ends. */
static char *skip_json_nested(char *p, char *end)
{
    int depth = 0;
    for (; p < end; p++) {
        if (*p == '"') {
            for (p++; p < end && *p != '"'; p++)
                if (*p == '\\')
                    p++;
            if (p >= end)
                return NULL;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if ((*p == '}' || *p == ']') && --depth == 0) {
            return p + 1;
        }
    }
    return NULL;
}

static bool read_json(char *p, size_t size, struct parameters *to)
{
    char *end = p + size;
    p = skip_space(p, end);
    if (p == end || *p++ != '{')
        return false;
    p = skip_space(p, end);
    if (p < end && *p == '}')
        return true;
    while (p < end) {
        struct slice key, value;
        if (*p != '"' || !(p = read_json_string(p + 1, end, &key)))
            return false;
        p = skip_space(p, end);
        if (p == end || *p++ != ':')
            return false;
        p = skip_space(p, end);
        if (p == end)
            return false;
        if (*p == '"') {
            if (!(p = read_json_string(p + 1, end, &value)))
                return false;
        } else {
            value.at = p;
            if (*p == '{' || *p == '[') {
                if (!(p = skip_json_nested(p, end)))
                    return false;
            } else {
                while (p < end && *p != ',' && *p != '}' && (unsigned char)*p > ' ')
                    p++;
            }
            value.size = (size_t)(p - value.at);
            if (!value.size)
                return false;
        }
        if (!(value.size == 4 && value.at[-1] != '"' && !memcmp(value.at, "null", 4)))
            set_parameter(to, key, value);
        p = skip_space(p, end);
        if (p == end)
            return false;
        if (*p == '}')
            return true;
        if (*p++ != ',')
            return false;
        p = skip_space(p, end);
    }
    return false;
}

/* The value of `name` in a header such as: form-data; name="text". */
static struct slice header_parameter(char *p, char *end, const char *name)
{
    size_t size = strlen(name);
    while (p < end && (p = memchr(p, ';', (size_t)(end - p)))) {
        p = skip_space(p + 1, end);
        if ((size_t)(end - p) <= size || strncasecmp(p, name, size) || p[size] != '=')
            continue;
        p += size + 1;
        if (p < end && *p == '"') {
            char *stop = memchr(p + 1, '"', (size_t)(end - p - 1));
            return stop ? (struct slice){p + 1, (size_t)(stop - p - 1)} : (struct slice){NULL, 0};
        }
        char *stop = p;
        while (stop < end && *stop != ';' && (unsigned char)*stop > ' ')
            stop++;
        return (struct slice){p, (size_t)(stop - p)};
    }
    return (struct slice){NULL, 0};
}

static bool read_multipart(char *p, size_t size, struct slice boundary, struct parameters *to)
{
    char mark[128], *end = p + size;
    if (!boundary.at || !boundary.size || boundary.size > 100)
        return false;
    memcpy(mark, "\r\n--", 4);
    memcpy(mark + 4, boundary.at, boundary.size);
    size_t mark_size = boundary.size + 4;
    /* The first boundary has no line end before it. */
    p = memmem(p, size, mark + 2, mark_size - 2);
    if (!p)
        return false;
    p += mark_size - 2;
    for (;;) {
        if (end - p >= 2 && p[0] == '-' && p[1] == '-')
            return true;
        char *head_end = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
        if (!head_end)
            return false;
        char *value = head_end + 4;
        char *stop = memmem(value - 2, (size_t)(end - value + 2), mark, mark_size);
        if (!stop)
            return false;
        for (char *line = p; line < head_end;) {
            char *line_end = memmem(line, (size_t)(head_end - line), "\r\n", 2);
            if (!line_end)
                line_end = head_end;
            if (line_end - line > 20 && !strncasecmp(line, "content-disposition:", 20)) {
                struct slice name = header_parameter(line, line_end, "name");
                if (name.at && stop >= value)
                    set_parameter(to, name, (struct slice){value, (size_t)(stop - value)});
            }
            line = line_end + 2;
        }
        p = stop + mark_size;
    }
}

/* As the real server: what is no number counts as the default, too large ones as the limit. */
static int64_t integer(struct slice s, int64_t absent, int64_t low, int64_t high)
{
    uint64_t digits;
    if (!s.at || !s.size)
        return absent;
    bool is_negative = s.at[0] == '-';
    if (!read_digits(s.at + is_negative, s.at + s.size, &digits))
        return absent;
    int64_t value = is_negative ? -(int64_t)digits : (int64_t)digits;
    return value < low ? low : value > high ? high : value;
}

/* ---- methods --------------------------------------------------------------------------------------------------- */

static bool is_utf8(const char *text, size_t size, size_t *characters)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + size;
    for (*characters = 0; p < end; ++*characters) {
        int more = *p < 0x80 ? 0 : *p >= 0xC2 && *p < 0xE0 ? 1 : (*p & 0xF0) == 0xE0 ? 2 : *p >= 0xF0 && *p < 0xF5 ? 3 : -1;
        if (more < 0 || end - p <= more)
            return false;
        if ((*p == 0xE0 && p[1] < 0xA0) || (*p == 0xED && p[1] > 0x9F) || (*p == 0xF0 && p[1] < 0x90) ||
            (*p == 0xF4 && p[1] > 0x8F))
            return false;
        for (p++; more; more--)
            if ((*p++ & 0xC0) != 0x80)
                return false;
    }
    return true;
}

static void on_send_message(struct connection *c, const struct parameters *given)
{
    size_t characters;
    int64_t chat = integer(given->chat_id, 0, INT64_MIN, INT64_MAX) - FIRST_CHAT_ID;
    if (!given->chat_id.at || !given->chat_id.size)
        refuse(c, 400, "Bad Request: chat_id is empty");
    else if (chat < 0 || chat >= chat_count)
        refuse(c, 400, "Bad Request: chat not found");
    else if (!given->text.at || !given->text.size)
        refuse(c, 400, "Bad Request: message text is empty");
    else if (given->text.size > MAX_TEXT_BYTES)
        refuse(c, 400, "Bad Request: message is too long");
    else if (!is_utf8(given->text.at, given->text.size, &characters))
        refuse(c, 400, "Bad Request: strings must be encoded in UTF-8");
    else if (characters > MAX_TEXT_CHARACTERS)
        refuse(c, 400, "Bad Request: message is too long");
    else {
        on_answer((uint32_t)chat, given->text.at, given->text.size);
        c->text = given->text.at;
        c->text_size = given->text.size;
        c->chat = chat;
        answer_after_latency(c);
    }
}

static void on_get_me(struct connection *c)
{
    char json[512];
    snprintf(json, sizeof json,
             "{\"id\":%s,\"is_bot\":true,\"first_name\":\"Load server\",\"username\":\"load_server_bot\","
             "\"can_join_groups\":true,\"can_read_all_group_messages\":false,\"supports_inline_queries\":false,"
             "\"can_connect_to_business\":false,\"has_main_web_app\":false,\"has_topics_enabled\":false}",
             bot_id);
    answer_result(c, json);
}

static bool starts_with(struct slice s, const char *start)
{
    size_t size = strlen(start);
    return s.size >= size && !strncasecmp(s.at, start, size);
}

static bool is_method(struct slice s, const char *name)
{
    return s.size == strlen(name) && !strncasecmp(s.at, name, s.size);
}

static void on_call(struct connection *c, struct slice method, const struct parameters *given)
{
    static const struct {
        const char *name, *result;
    } constants[] = {
        {"deleteMyCommands", "true"},
        {"setMyCommands", "true"},
        {"getMyCommands", "[]"},
        {"setMyName", "true"},
        {"getMyName", "{\"name\":\"Load server\"}"},
        {"setMyDescription", "true"},
        {"getMyDescription", "{\"description\":\"\"}"},
        {"setMyShortDescription", "true"},
        {"getMyShortDescription", "{\"short_description\":\"\"}"},
        {"setMyDefaultAdministratorRights", "true"},
        {"setChatMenuButton", "true"},
        {"getChatMenuButton", "{\"type\":\"default\"}"},
        {"logOut", "true"},
        {"close", "true"},
    };
    if (is_method(method, "sendMessage")) {
        on_send_message(c, given);
    } else if (is_method(method, "getUpdates")) {
        on_get_updates(c, integer(given->offset, 0, INT32_MIN, INT32_MAX),
                       (int)integer(given->limit, MAX_LIMIT, 1, MAX_LIMIT),
                       (int)integer(given->timeout, 0, 0, MAX_TIMEOUT_S));
    } else if (is_method(method, "getMe")) {
        on_get_me(c);
    } else if (is_method(method, "deleteWebhook")) {
        struct slice drop = given->drop_pending_updates;
        if (drop.at && (is_method(drop, "true") || is_method(drop, "1"))) {
            for (size_t i = queue.head; i < queue.tail; i++)
                totals.dropped += !(queue.all[i].flags & HANDED_OUT);
            queue.head = queue.tail;
        }
        answer_result(c, "true");
    } else if (is_method(method, "getWebhookInfo")) {
        char json[128];
        snprintf(json, sizeof json, "{\"url\":\"\",\"has_custom_certificate\":false,\"pending_update_count\":%zu}",
                 queue.tail - queue.head);
        answer_result(c, json);
    } else if (is_method(method, "sendChatAction") || is_method(method, "setMessageReaction") ||
               is_method(method, "deleteMessage") || starts_with(method, "answer")) {
        c->chat = -1;
        answer_after_latency(c);
    } else {
        for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
            if (is_method(method, constants[i].name)) {
                answer_result(c, constants[i].result);
                return;
            }
        refuse(c, 404, "Not Found: method not found");
    }
}

/* The bot's id is what stands before the colon in its token: libraries compare the two. */
static void learn_bot_id(struct slice token)
{
    static bool is_known;
    uint64_t id;
    if (is_known)
        return;
    const char *end = read_digits(token.at, token.at + token.size, &id);
    if (end && id && end < token.at + token.size && *end == ':') {
        is_known = true;
        *put_number(bot_id, id) = 0;
        make_templates();
    }
}

/* Serve /bot<token>/<method>?<query>; the test environment's /bot<token>/test/<method> is the same. */
static void on_request(struct connection *c, char *body, size_t body_size)
{
    struct head *head = &c->head;
    char *target = c->in + c->in_start + head->target, *end = target + head->target_size;
    struct parameters given = {0};
    totals.requests++;
    c->closes = !head->is_kept;
    char *query = memchr(target, '?', head->target_size), *path_end = query ? query : end;
    char *slash;
    if (path_end - target < 5 || memcmp(target, "/bot", 4) ||
        !(slash = memchr(target + 4, '/', (size_t)(path_end - target - 4)))) {
        refuse(c, 404, "Not Found");
        return;
    }
    learn_bot_id((struct slice){target + 4, (size_t)(slash - target - 4)});
    struct slice method = {slash + 1, (size_t)(path_end - slash - 1)};
    if (starts_with(method, "test/"))
        method = (struct slice){method.at + 5, method.size - 5};
    if (query)
        read_form(query + 1, (size_t)(end - query - 1), &given);
    if (body_size) {
        struct slice type = {c->in + c->in_start + head->type, head->type_size};
        bool is_fine = true;
        if (starts_with(type, "application/json"))
            is_fine = read_json(body, body_size, &given);
        else if (starts_with(type, "application/x-www-form-urlencoded"))
            read_form(body, body_size, &given);
        else if (starts_with(type, "multipart/form-data"))
            is_fine = read_multipart(body, body_size, header_parameter(type.at, type.at + type.size, "boundary"), &given);
        if (!is_fine) {
            refuse(c, 400, "Bad Request: can't parse the parameters");
            return;
        }
    }
    on_call(c, method, &given);
}

/* ---- HTTP ------------------------------------------------------------------------------------------------------ */

enum parsed { MORE, DONE, BROKEN };

static bool has_token(const char *value, size_t size, const char *token)
{
    size_t token_size = strlen(token);
    for (size_t i = 0; i + token_size <= size; i++)
        if (!strncasecmp(value + i, token, token_size))
            return true;
    return false;
}

static enum parsed read_header(struct head *head, const char *start, char *line, size_t size)
{
    char *colon = memchr(line, ':', size);
    if (!colon || colon == line)
        return BROKEN;
    size_t name_size = (size_t)(colon - line);
    char *value = skip_space(colon + 1, line + size);
    size_t value_size = (size_t)(line + size - value);
    if (name_size == 14 && !strncasecmp(line, "content-length", 14)) {
        uint64_t length;
        const char *end = read_digits(value, value + value_size, &length);
        if (!end)
            return BROKEN;
        while (end < value + value_size && (*end == ' ' || *end == '\t'))
            end++;
        if (end != value + value_size)
            return BROKEN;
        head->body_size = length > MAX_BODY_BYTES ? MAX_BODY_BYTES + 1 : (uint32_t)length;
    } else if (name_size == 12 && !strncasecmp(line, "content-type", 12)) {
        head->type = (uint32_t)(value - start);
        head->type_size = (uint32_t)value_size;
    } else if (name_size == 10 && !strncasecmp(line, "connection", 10)) {
        if (has_token(value, value_size, "close"))
            head->is_kept = false;
        else if (has_token(value, value_size, "keep-alive"))
            head->is_kept = true;
    } else if (name_size == 17 && !strncasecmp(line, "transfer-encoding", 17)) {
        head->is_chunked = has_token(value, value_size, "chunked");
    } else if (name_size == 6 && !strncasecmp(line, "expect", 6)) {
        head->expects_continue = has_token(value, value_size, "100-continue");
    }
    return DONE;
}

static enum parsed read_head(struct connection *c)
{
    char *start = c->in + c->in_start, *end = c->in + c->in_end, *line = start;
    struct head head = {0};
    for (;;) {
        char *feed = memchr(line, '\n', (size_t)(end - line));
        if (!feed)
            return MORE;
        size_t size = (size_t)(feed - line);
        if (size && line[size - 1] == '\r')
            size--;
        if (line == start) {
            if (size > 13 && !memcmp(line, "GET /", 5))
                head.target = 4;
            else if (size > 14 && !memcmp(line, "POST /", 6))
                head.target = 5, head.is_post = true;
            else
                return BROKEN;
            if (memcmp(line + size - 9, " HTTP/1.", 8) || (line[size - 1] != '0' && line[size - 1] != '1'))
                return BROKEN;
            head.target_size = (uint32_t)size - 9 - head.target;
            head.is_kept = line[size - 1] == '1';
        } else if (!size) {
            head.size = (uint32_t)(feed + 1 - start);
            c->head = head;
            return DONE;
        } else if (read_header(&head, start, line, size) == BROKEN) {
            return BROKEN;
        }
        line = feed + 1;
    }
}

/* Join the chunks of a body in place, once all are there: the first pass only looks. `taken` is their size as sent. */
static enum parsed read_chunks(char *body, char *end, size_t *size, size_t *taken)
{
    for (int pass = 0; pass < 2; pass++) {
        char *p = body, *to = body;
        for (;;) {
            size_t chunk = 0;
            char *feed = memchr(p, '\n', (size_t)(end - p));
            if (!feed)
                return end - p > 1024 ? BROKEN : MORE;
            if (hex_value(*p) < 0)
                return BROKEN;
            for (int digit; p < feed && (digit = hex_value(*p)) >= 0; p++)
                if ((chunk = chunk << 4 | (size_t)digit) > MAX_BODY_BYTES)
                    return BROKEN;
            p = feed + 1;
            if (!chunk)
                break;
            if ((size_t)(end - p) < chunk + 2)
                return MORE;
            if (pass)
                memmove(to, p, chunk);
            to += chunk;
            p += chunk;
            if (*p == '\r')
                p++;
            if (*p++ != '\n')
                return BROKEN;
        }
        for (;;) { /* trailers, up to an empty line */
            char *feed = memchr(p, '\n', (size_t)(end - p));
            if (!feed)
                return MORE;
            bool is_empty = feed == p || (feed == p + 1 && *p == '\r');
            p = feed + 1;
            if (is_empty)
                break;
        }
        *size = (size_t)(to - body);
        *taken = (size_t)(p - body);
    }
    return DONE;
}

static void refuse_for_good(struct connection *c, int status, const char *description)
{
    c->closes = true;
    c->in_start = c->in_end = 0;
    refuse(c, status, description);
}

/* Serve the next request of the buffer if it is complete. Returns false if more must be read first. */
static bool serve_next(struct connection *c)
{
    if (c->in_start == c->in_end)
        return false;
    struct head *head = &c->head;
    if (!head->size) {
        while (c->in_start < c->in_end && (c->in[c->in_start] == '\r' || c->in[c->in_start] == '\n'))
            c->in_start++;
        enum parsed parsed = read_head(c);
        if (parsed == MORE && c->in_end - c->in_start <= MAX_HEAD_BYTES)
            return false;
        if (parsed != DONE) {
            refuse_for_good(c, parsed == MORE ? 431 : 400, "Bad Request");
            return true;
        }
        if (head->body_size > MAX_BODY_BYTES) {
            refuse_for_good(c, 413, "Request Entity Too Large");
            return true;
        }
    }
    char *body = c->in + c->in_start + head->size, *end = c->in + c->in_end;
    size_t size = head->body_size, taken = head->body_size;
    enum parsed parsed = DONE;
    if (head->is_chunked)
        parsed = read_chunks(body, end, &size, &taken);
    else if ((size_t)(end - body) < size)
        parsed = MORE;
    if (parsed == MORE && end - body <= 2 * MAX_BODY_BYTES) {
        if (head->expects_continue) {
            static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
            head->expects_continue = false;
            write_or_keep(c, go_on, sizeof go_on - 1);
        }
        return false;
    }
    if (parsed != DONE) {
        refuse_for_good(c, parsed == MORE ? 413 : 400, "Bad Request");
        return true;
    }
    on_request(c, body, size);
    c->in_start += head->size + (uint32_t)taken;
    head->size = 0;
    if (c->in_start == c->in_end && c->state == READING)
        c->in_start = c->in_end = 0;
    return true;
}

static void read_more(struct connection *c)
{
    if (c->in_end == c->in_capacity) {
        if (c->in_start > 0) {
            memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
            c->in_end -= c->in_start;
            c->in_start = 0;
        } else {
            c->in_capacity *= 2;
            c->in = grow(c->in, c->in_capacity);
        }
    }
    ssize_t count = read_some(c, c->in + c->in_end, c->in_capacity - c->in_end);
    if (count < 0)
        close_connection(c);
    else
        c->in_end += (uint32_t)count;
    now = clock_ns();
}

/* Go on with a connection until it has to wait: for the client, for the time of an answer, or for room to write. */
static void advance_one(struct connection *c)
{
    while (!c->is_dead && c->state == READING) {
        if (c->out_start < c->out_end)
            return;
        if (c->closes) {
            close_connection(c);
            return;
        }
        if (serve_next(c))
            continue;
        if (!c->is_readable)
            return;
        read_more(c);
    }
}

static void advance(struct connection *c)
{
    while (c) {
        advance_one(c);
        c = resumed;
        resumed = NULL;
    }
}

static void on_connection_event(struct connection *c, uint32_t events)
{
    if (c->is_dead)
        return;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->is_readable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->is_hung_up = true;
    if ((events & (EPOLLHUP | EPOLLERR)) || (c->is_hung_up && c->state != READING)) {
        close_connection(c); /* nobody is there to hear the answer */
        return;
    }
    if (events & EPOLLOUT)
        flush_kept(c);
    advance(c);
}

/* ---- timers ---------------------------------------------------------------------------------------------------- */

static uint64_t scheduled;
static double poisson_s;

static void schedule_update(void)
{
    double after_s;
    scheduled++;
    if (options.is_poisson) {
        double unit = (double)(next_random(&options.poisson_seed) >> 11) / 9007199254740992.0;
        poisson_s += -log1p(-unit) / options.rate;
        after_s = poisson_s;
    } else {
        after_s = (double)scheduled / options.rate;
    }
    next_update_ns = window.first_poll_ns + (int64_t)(after_s * 1e9);
    if (next_update_ns >= window.end_ns)
        next_update_ns = NEVER;
}

static void create_due_updates(void)
{
    bool is_any = false;
    if (options.mode == OPEN_LOOP && window.first_poll_ns != NEVER && !scheduled)
        schedule_update();
    while (next_update_ns <= now) {
        record_ns(&totals.update_late, now - next_update_ns);
        create_update(next_chat(), next_update_ns);
        schedule_update();
        is_any = true;
    }
    for (int i = 0; i < options.flood_count; i++) {
        struct flood *flood = &options.floods[i];
        if (flood->at_ns > now)
            continue;
        for (uint32_t j = 0; j < flood->count; j++)
            create_update(flood->chat, flood->at_ns);
        flood->at_ns = NEVER;
        is_any = true;
    }
    if (is_any)
        on_new_updates();
}

static void send_due_answers(void)
{
    bool is_any = false;
    while (first_of(&delayed_calls) <= now) {
        is_any = true;
        struct delayed due = take_first(&delayed_calls);
        totals.delayed--;
        if (due.chat >= 0)
            chats[due.chat].under_way--;
        record_ns(&totals.answer_late, now - due.at_ns);
        if (due.generation == due.connection->generation) {
            answer_call(due.connection);
            advance(due.connection);
        }
    }
    if (is_any && !totals.delayed && window.has_ended)
        wake_at(now); /* perhaps this was the last thing to wait for */
    while (first_of(&delayed_conflicts) <= now) {
        struct delayed due = take_first(&delayed_conflicts);
        if (due.generation == due.connection->generation) {
            answer_error(due.connection, 409, CONFLICT);
            advance(due.connection);
        }
    }
}

static bool is_everything_answered(void)
{
    if (totals.delayed || queue.answered < queue.handed_out)
        return false;
    /* Open loop and floods: what nobody has fetched is still owed, except what the bot itself threw away. */
    return queue.fetched_up_to >= queue.tail || queue.head >= queue.tail;
}

static int64_t run_window(void)
{
    if (!window.has_begun && now >= window.begin_ns)
        begin_window(window.begin_ns);
    if (window.has_begun && !window.has_ended && now >= window.end_ns)
        end_window(window.end_ns);
    if (window.is_reported)
        return NEVER;
    int64_t patience_ns = (int64_t)(options.patience_s * 1e9);
    if (window.has_ended) {
        /* A moment more after the last answer: a second answer to the same update would come now. */
        if (!is_everything_answered())
            window.settled_ns = NEVER;
        else if (window.settled_ns == NEVER)
            window.settled_ns = now + SETTLE_NS;
        int64_t latest_ns = window.end_ns + (int64_t)(options.drain_s * 1e9);
        int64_t end_ns = window.progress_ns + patience_ns < latest_ns ? window.progress_ns + patience_ns : latest_ns;
        if (now >= window.settled_ns || now >= end_ns) {
            window.is_drained = now >= window.settled_ns;
            report();
            return NEVER;
        }
        return window.settled_ns < end_ns ? window.settled_ns : end_ns;
    }
    if (options.mode == COUNTED && window.first_poll_ns != NEVER) {
        if (now < window.progress_ns + patience_ns)
            return window.progress_ns + patience_ns;
        /* The bot has stopped before the last answer. */
        if (!window.has_begun)
            begin_window(window.first_poll_ns);
        end_window(window.last_answer_ns > window.begin_ns ? window.last_answer_ns + 1 : now);
        report();
        return NEVER;
    }
    return window.has_begun ? window.end_ns : window.begin_ns;
}

static void run_timers(void)
{
    next_due = NEVER;
    int64_t window_ns = run_window();
    create_due_updates();
    if (poller && (held.wake_ns <= now || held.give_up_ns <= now)) {
        struct connection *c = poller;
        answer_held_poll();
        advance(c);
    }
    send_due_answers();
    wake_at(window_ns);
    wake_at(next_update_ns);
    for (int i = 0; i < options.flood_count; i++)
        wake_at(options.floods[i].at_ns);
    if (poller)
        wake_at(held.wake_ns < held.give_up_ns ? held.wake_ns : held.give_up_ns);
    wake_at(first_of(&delayed_calls));
    wake_at(first_of(&delayed_conflicts));
}

/* ---- main ------------------------------------------------------------------------------------------------------ */

#ifdef WITH_TLS
static void start_tls(void)
{
    if (!options.certificate)
        return;
    tls = SSL_CTX_new(TLS_server_method());
    if (!tls || SSL_CTX_use_certificate_chain_file(tls, options.certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, options.key, SSL_FILETYPE_PEM) != 1)
        fail("--tls %s %s: %s", options.certificate, options.key, ERR_error_string(ERR_get_error(), NULL));
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(tls, 1); /* a record with one system call instead of two */
}
#endif

static void start_listening(void)
{
    int one = 1, buffer_bytes = 1 << 20;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* Inherited by what is accepted: a full getUpdates answer then goes out with one write. */
    setsockopt(listen_fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    /* Where BBR is the default it would pace a long answer by what a quiet connection seemed to need before. */
    if (setsockopt(listen_fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5))
        setsockopt(listen_fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    if (listen_fd < 0 || bind(listen_fd, (struct sockaddr *)&address, size) || listen(listen_fd, 4096) ||
        getsockname(listen_fd, (struct sockaddr *)&address, &size))
        fail("cannot listen on port %d: %s", options.port, strerror(errno));
    printf("{\"event\":\"listening\",\"port\":%d}\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void watch(int fd, void *tag)
{
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = tag};
    /* Fails for what cannot be waited for, such as stdin from a file: then there is nothing to wait for. */
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &wanted) && fd != STDIN_FILENO)
        fail("epoll_ctl: %s", strerror(errno));
}

/* epoll_wait counts in ms, too coarse for the times of updates and answers. Even so a core that has fallen asleep is some
   ten us late, so before an update of the open loop it stays awake: that is no load, and not counted as such. */
static int wait_for_events(struct epoll_event *events, int count)
{
    int64_t spin_ns = (int64_t)(options.spin_us * 1e3), from_ns = now;
    if (spin_ns && next_due == next_update_ns && next_due != NEVER) {
        if (next_due - now <= spin_ns) {
            int found;
            while (!(found = epoll_wait(epoll_fd, events, count, 0)) && (now = clock_ns()) < next_due)
                continue;
            spun_ns += (now = clock_ns()) - from_ns;
            return found;
        }
    } else {
        spin_ns = 0;
    }
#ifdef SYS_epoll_pwait2
    static bool is_missing;
    if (!is_missing) {
        struct timespec timeout, *given = NULL;
        if (next_due != NEVER) {
            int64_t left_ns = next_due - spin_ns > now ? next_due - spin_ns - now : 0;
            timeout = (struct timespec){left_ns / NS_PER_S, left_ns % NS_PER_S};
            given = &timeout;
        }
        int found = (int)syscall(SYS_epoll_pwait2, epoll_fd, events, count, given, NULL, 0);
        if (found >= 0 || errno != ENOSYS)
            return found;
        is_missing = true;
    }
#endif
    int64_t left_ms = next_due == NEVER ? -1 : next_due > now ? (next_due - now) / NS_PER_MS : 0;
    return epoll_wait(epoll_fd, events, count, left_ms > 1000000 ? 1000000 : (int)left_ms);
}

static bool has_ended(int stdin_fd)
{
    char bytes[256];
    ssize_t count = read(stdin_fd, bytes, sizeof bytes);
    return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
}

int main(int argc, char **argv)
{
    static char stdin_tag, signal_tag, listen_tag;
    struct epoll_event events[128];
    sigset_t ending;
    read_options(argc, argv);
    make_queue();
    make_chats();
    make_templates();
    for (uint64_t i = 0; i < options.updates; i++)
        create_update(next_chat(), 0);
#ifdef WITH_TLS
    start_tls();
#endif
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* the default lets timers be 50 us late */
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    start_listening();
    watch(listen_fd, &listen_tag);
    watch(signalfd(-1, &ending, SFD_CLOEXEC), &signal_tag);
    watch(STDIN_FILENO, &stdin_tag);
    for (bool is_ending = false; !is_ending;) {
        now = clock_ns();
        int count = wait_for_events(events, (int)(sizeof events / sizeof *events));
        now = clock_ns();
        refresh_date();
        if (now >= next_due)
            run_timers();
        for (int i = 0; i < count; i++) {
            void *tag = events[i].data.ptr;
            if (tag == &listen_tag)
                accept_connections();
            else if (tag == &signal_tag)
                is_ending = true;
            else if (tag == &stdin_tag)
                is_ending |= has_ended(STDIN_FILENO);
            else
                on_connection_event(tag, events[i].events);
            /* Between events too, or a full batch would make due answers late. */
            if (now >= next_due)
                run_timers();
        }
        reap_connections();
    }
    if (!window.is_reported) {
        now = clock_ns();
        report();
    }
    return 0;
}
