/* Echo as a C program can: the lower bound of a comparison, and the client that measures what the load server can do.

   API_ROOT (http://127.0.0.1:PORT), BOT_TOKEN, CONCURRENCY (connections that send, default 500), SESSION=1 (a count per
   chat is appended), CPU_US=N (N us of work for each update). Runs until SIGTERM.

   Guarantees: the answers of one chat go out one after another, in order; at most 2 CONCURRENCY + 100 updates wait.
   Assumes: a server that answers one request per connection at a time, with Content-Length. No TLS. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
    fprintf(stderr, "capacity: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *grow(void *old, size_t size)
{
    void *grown = realloc(old, size);
    if (!grown)
        fail("memory");
    return grown;
}

/* ---- chats and updates ----------------------------------------------------------------------------------------- */

struct update {
    struct update *next;
    struct chat *chat;
    size_t size;
    char text[232]; /* as it stood in the JSON, escapes included */
};

struct chat {
    int64_t id;
    unsigned count;
    bool is_busy;
    struct update *first, *last; /* waiting behind the one under way */
    struct chat *same_hash;
};

#define HASHES 65536
static struct chat *chats[HASHES];
static struct update *spare, *ready_first, *ready_last;
static unsigned backlog;

static struct chat *find_chat(int64_t id)
{
    struct chat **place = &chats[((uint64_t)id * 0x9E3779B97F4A7C15ULL) >> 48], *chat;
    for (chat = *place; chat; chat = chat->same_hash)
        if (chat->id == id)
            return chat;
    chat = grow(NULL, sizeof *chat);
    *chat = (struct chat){.id = id, .same_hash = *place};
    *place = chat;
    return chat;
}

static void push(struct update **first, struct update **last, struct update *update)
{
    update->next = NULL;
    if (*first)
        (*last)->next = update;
    else
        *first = update;
    *last = update;
}

static struct update *pop(struct update **first)
{
    struct update *update = *first;
    *first = update->next;
    return update;
}

static void on_update(int64_t chat_id, const char *text, size_t size)
{
    struct update *update = spare ? pop(&spare) : grow(NULL, sizeof *update);
    if (size > sizeof update->text)
        size = 0;
    memcpy(update->text, text, size);
    update->size = size;
    update->chat = find_chat(chat_id);
    backlog++;
    if (update->chat->is_busy) {
        push(&update->chat->first, &update->chat->last, update);
    } else {
        update->chat->is_busy = true;
        push(&ready_first, &ready_last, update);
    }
}

/* ---- JSON: walk over it once, keep three values ------------------------------------------------------------------ */

/* The texts end with a zero byte, at which each of these stops. */
static const char *skip_string(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

static const char *skip_value(const char *p)
{
    int depth = 0;
    do {
        if (*p == '"') {
            p = skip_string(p);
        } else if (*p == '{' || *p == '[') {
            depth++, p++;
        } else if (*p == '}' || *p == ']') {
            depth--, p++;
        } else if (depth) {
            if (!*p)
                return p;
            p++;
        } else {
            while (*p && *p != ',' && *p != '}' && *p != ']')
                p++;
        }
    } while (depth > 0);
    return p;
}

/* Go to the next member of an object: `p` is at its opening brace or behind a value. NULL at its end. */
static const char *next_member(const char *p, const char **key, size_t *key_size)
{
    if (*p != '{' && *p != ',')
        return NULL;
    p++;
    if (*p != '"')
        return NULL;
    *key = p + 1;
    p = skip_string(p);
    *key_size = (size_t)(p - *key - 1);
    return *p == ':' ? p + 1 : NULL;
}

static bool is_key(const char *key, size_t size, const char *wanted)
{
    return size == strlen(wanted) && !memcmp(key, wanted, size);
}

static const char *on_message(const char *p)
{
    const char *key, *text = NULL, *at;
    size_t size, text_size = 0;
    int64_t chat = 0;
    while ((at = next_member(p, &key, &size))) {
        p = skip_value(at);
        if (is_key(key, size, "chat")) {
            const char *inner = at, *value;
            while ((value = next_member(inner, &key, &size))) {
                if (is_key(key, size, "id"))
                    chat = atoll(value);
                inner = skip_value(value);
            }
        } else if (is_key(key, size, "text")) {
            text = at + 1;
            text_size = (size_t)(p - at - 2);
        }
    }
    if (chat && text)
        on_update(chat, text, text_size);
    return *p ? p + 1 : p;
}

/* Take the updates of a getUpdates answer; returns the next offset. */
static int64_t on_updates(const char *body, int64_t offset)
{
    const char *p = strstr(body, "\"result\":["), *key, *at;
    size_t size;
    for (p = p ? p + 10 : ""; *p == '{' || *p == ',';) {
        if (*p == ',')
            p++;
        while ((at = next_member(p, &key, &size))) {
            if (is_key(key, size, "message")) {
                p = on_message(at);
                continue;
            }
            if (is_key(key, size, "update_id"))
                offset = atoll(at) + 1;
            p = skip_value(at);
        }
        if (*p)
            p++;
    }
    return offset;
}

/* ---- connections ----------------------------------------------------------------------------------------------- */

struct connection {
    int fd;
    struct update *update; /* under way */
    struct connection *next;
    char *in;
    size_t size, capacity;
};

static struct sockaddr_in address;
static char host[64];
static const char *token;
static int epoll_fd;
static struct connection *idle, poller;
static unsigned open_count, concurrency = 500;
static int64_t offset;
static bool has_session, is_polling;
static long work_us;

static void open_connection(struct connection *c)
{
    int one = 1;
    c->capacity = 4096;
    c->in = grow(NULL, c->capacity);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address))
        fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &wanted))
        fail("epoll_ctl");
}

static void post(struct connection *c, const char *method, const char *body, int body_size)
{
    char request[1024];
    int size = snprintf(request, sizeof request,
                        "POST /bot%s/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                        "%.*s",
                        token, method, host, body_size, body_size, body);
    c->size = 0;
    if (size >= (int)sizeof request || send(c->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        fail("send");
}

static void poll_updates(void)
{
    char body[64];
    if (is_polling || backlog > 2 * concurrency)
        return;
    is_polling = true;
    post(&poller, "getUpdates", body,
         snprintf(body, sizeof body, "{\"offset\":%lld,\"timeout\":30}", (long long)offset));
}

static void work(void)
{
    struct timespec start, at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    while ((at.tv_sec - start.tv_sec) * 1000000 + (at.tv_nsec - start.tv_nsec) / 1000 < work_us);
}

static void send_answer(struct connection *c, struct update *update)
{
    char body[320];
    int size;
    if (work_us)
        work();
    c->update = update;
    if (has_session)
        size = snprintf(body, sizeof body, "{\"chat_id\":%lld,\"text\":\"%.*s %u\"}", (long long)update->chat->id,
                        (int)update->size, update->text, ++update->chat->count);
    else
        size = snprintf(body, sizeof body, "{\"chat_id\":%lld,\"text\":\"%.*s\"}", (long long)update->chat->id,
                        (int)update->size, update->text);
    post(c, "sendMessage", body, size);
}

static void start_ready(void)
{
    while (ready_first) {
        struct connection *c = idle;
        if (c) {
            idle = c->next;
        } else if (open_count < concurrency) {
            c = grow(NULL, sizeof *c);
            memset(c, 0, sizeof *c);
            open_connection(c);
            open_count++;
        } else {
            return;
        }
        send_answer(c, pop(&ready_first));
    }
}

static void on_answered(struct connection *c)
{
    struct update *done = c->update;
    struct chat *chat = done->chat;
    c->update = NULL;
    done->next = spare;
    spare = done;
    backlog--;
    if (chat->first)
        push(&ready_first, &ready_last, pop(&chat->first));
    else
        chat->is_busy = false;
    if (ready_first) {
        send_answer(c, pop(&ready_first));
    } else {
        c->next = idle;
        idle = c;
    }
}

/* Returns the body once the answer is complete. */
static const char *read_answer(struct connection *c)
{
    if (c->capacity - c->size < 2048)
        c->in = grow(c->in, c->capacity *= 2);
    ssize_t count = recv(c->fd, c->in + c->size, c->capacity - c->size - 1, 0);
    if (count < 0 && errno == EAGAIN)
        return NULL;
    if (count <= 0)
        fail("the server has closed a connection");
    c->size += (size_t)count;
    c->in[c->size] = 0;
    char *body = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "\r\ncontent-length:");
    if (!body || !length || c->size < (size_t)(body + 4 - c->in) + (size_t)atol(length + 17))
        return NULL;
    if (memcmp(c->in + 9, "200", 3)) {
        fputs(body + 4, stderr);
        exit(1);
    }
    return body + 4;
}

int main(void)
{
    const char *root = getenv("API_ROOT"), *value;
    unsigned port;
    char name[40];
    if (!root || sscanf(root, "http://%39[^:/]:%u", name, &port) != 2)
        fail("API_ROOT must be http://HOST:PORT");
    token = (value = getenv("BOT_TOKEN")) ? value : "123456789:TEST";
    concurrency = (value = getenv("CONCURRENCY")) ? (unsigned)atoi(value) : 500;
    if (!concurrency)
        concurrency = 1;
    has_session = (value = getenv("SESSION")) && *value && *value != '0';
    work_us = (value = getenv("CPU_US")) ? atol(value) : 0;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, strcmp(name, "localhost") ? name : "127.0.0.1", &address.sin_addr) != 1)
        fail("API_ROOT");
    snprintf(host, sizeof host, "%s:%u", name, port);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    open_connection(&poller);
    for (;;) {
        struct epoll_event events[128];
        poll_updates();
        int count = epoll_wait(epoll_fd, events, 128, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            const char *body = read_answer(c);
            if (body && c == &poller) {
                is_polling = false;
                offset = on_updates(body, offset);
                poll_updates();
                start_ready();
            } else if (body) {
                on_answered(c);
            }
        }
        start_ready();
    }
}
