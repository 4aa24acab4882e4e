/* A shim for LD_PRELOAD that records what a process does to the files below a folder, for the model of a disk.

   RECORD_FOLDER (without a slash at its end) is the folder, RECORD_LOG the file that the record is appended to. Each
   operation that succeeded is one entry: a head (see below), the path, the bytes. A sync has two entries, before and
   after, because what is written while it runs is not promised by it. `record_note` adds an entry of the program
   itself, so that what it acknowledged has its place among its writes.

   Guarantees: the order of entries is the order of the operations, as one lock is held over an operation and its entry
   (a sync excepted); an entry that cannot be written ends the process. What goes through mmap is not seen. Linux only.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct head {
    char kind;           /* w write, t truncate, s sync begins, S sync ended, c create, u unlink, r rename, n note */
    char unused;
    uint16_t path_size;
    uint32_t number;     /* of a sync: the same at its beginning and its end */
    int64_t offset;      /* of a write; of a truncate: the new size */
    uint64_t size;       /* of the bytes that follow the path */
};

/* Guards the log, and holds operations and their entries together. Innermost: nothing is called under it but the
   system. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static uint32_t syncs = 0;
static char folder[PATH_MAX];
static size_t folder_size = 0;

static void give_up(const char *why) {
    dprintf(STDERR_FILENO, "record: %s: %s\n", why, strerror(errno));
    _exit(97);
}

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) give_up(name);
    return found;
}

/* The first call of each function looks for the real one; two threads that do so at once find the same. */
#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__) = NULL; \
    if (real == NULL) real = (result (*)(__VA_ARGS__)) next(#name)

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("RECORD_FOLDER");
    const char *log = getenv("RECORD_LOG");
    if (where == NULL || log == NULL || realpath(where, folder) == NULL) give_up("RECORD_FOLDER or RECORD_LOG");
    folder_size = strlen(folder);
    log_fd = (int) syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (log_fd < 0) give_up(log);
}

static int is_below(const char *path) {
    return folder_size > 0 && strncmp(path, folder, folder_size) == 0 &&
           (path[folder_size] == 0 || path[folder_size] == '/');
}

/* Whether a descriptor is of the folder; its path, as it is called now ("… (deleted)" once it is not there). */
static int path_of(int fd, char *path) {
    char link[64];
    ssize_t size;
    int before = errno;
    if (fd < 0 || log_fd < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, PATH_MAX - 1);
    errno = before;
    if (size < 0) return 0;
    path[size] = 0;
    return is_below(path);
}

/* The folder of a path made real, its last part as it is. */
static int place_of(const char *path, char *place) {
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int before = errno;
    size_t size = slash == NULL ? 1 : (size_t) (slash - path) + 1;
    char *found;
    if (log_fd < 0 || size >= sizeof parent) return 0;
    memcpy(parent, slash == NULL ? "." : path, size);
    parent[size] = 0;
    found = realpath(parent, place);
    errno = before;
    if (found == NULL) return 0;
    size = strlen(place);
    snprintf(place + size, PATH_MAX - size, "/%s", slash == NULL ? path : slash + 1);
    return is_below(place);
}

/* Append one entry; the lock is held. */
static void add(char kind, const char *path, uint32_t number, int64_t offset, const void *bytes, uint64_t size) {
    struct head head = {kind, 0, (uint16_t) strlen(path), number, offset, size};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *) path, head.path_size}, {(void *) bytes, size}};
    size_t whole = sizeof head + head.path_size + size;
    int before = errno;
    /* A regular file takes all of it at once, or the disk is full. */
    if (syscall(SYS_writev, log_fd, parts, 3) != (ssize_t) whole) give_up("cannot write the log");
    errno = before;
}

void record_note(const char *bytes, uint64_t size) {
    if (log_fd < 0) return;
    pthread_mutex_lock(&lock);
    add('n', "", 0, 0, bytes, size);
    pthread_mutex_unlock(&lock);
}

static ssize_t write_at(int fd, const void *bytes, size_t size, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    char path[PATH_MAX];
    ssize_t written;
    if (!path_of(fd, path)) return real(fd, bytes, size, offset);
    pthread_mutex_lock(&lock);
    written = real(fd, bytes, size, offset);
    if (written > 0) add('w', path, 0, offset, bytes, (uint64_t) written);
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) { return write_at(fd, bytes, size, offset); }

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) { return write_at(fd, bytes, size, offset); }

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    char path[PATH_MAX];
    ssize_t written;
    if (!path_of(fd, path)) return real(fd, bytes, size);
    pthread_mutex_lock(&lock);
    written = real(fd, bytes, size);
    if (written > 0) add('w', path, 0, lseek(fd, 0, SEEK_CUR) - written, bytes, (uint64_t) written);
    pthread_mutex_unlock(&lock);
    return written;
}

static int truncate_to(int fd, off64_t size) {
    REAL(int, ftruncate64, int, off64_t);
    char path[PATH_MAX];
    int result;
    if (!path_of(fd, path)) return real(fd, size);
    pthread_mutex_lock(&lock);
    result = real(fd, size);
    if (result == 0) add('t', path, 0, size, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate64(int fd, off64_t size) { return truncate_to(fd, size); }

int ftruncate(int fd, off_t size) { return truncate_to(fd, size); }

/* The lock is free while the disk works, so that other threads write meanwhile as they do without the shim. */
static int synchronise(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    uint32_t number;
    int result;
    if (!path_of(fd, path)) return real(fd);
    pthread_mutex_lock(&lock);
    number = ++syncs;
    add('s', path, number, 0, "", 0);
    pthread_mutex_unlock(&lock);
    result = real(fd);
    pthread_mutex_lock(&lock);
    if (result == 0) add('S', path, number, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd) {
    REAL(int, fsync, int);
    return synchronise(fd, real);
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    return synchronise(fd, real);
}

static int open_file(const char *given, int flags, mode_t mode) {
    REAL(int, open64, const char *, int, ...);
    char path[PATH_MAX];
    struct stat found;
    int before = errno;
    int is_new;
    int fd;
    if (!(flags & (O_CREAT | O_TRUNC)) || !place_of(given, path)) return real(given, flags, mode);
    pthread_mutex_lock(&lock);
    is_new = stat(path, &found) != 0;
    errno = before;
    fd = real(given, flags, mode);
    if (fd >= 0 && is_new) add('c', path, 0, 0, "", 0);
    if (fd >= 0 && !is_new && (flags & O_TRUNC)) add('t', path, 0, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        mode_t mode = 0; \
        va_list rest; \
        va_start(rest, flags); \
        if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) mode = va_arg(rest, mode_t); \
        va_end(rest); \
        return open_file(path, flags, mode); \
    }

OPEN(open64)
OPEN(open)

int unlink(const char *given) {
    REAL(int, unlink, const char *);
    char path[PATH_MAX];
    int result;
    if (!place_of(given, path)) return real(given);
    pthread_mutex_lock(&lock);
    result = real(given);
    if (result == 0) add('u', path, 0, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int rename(const char *given, const char *new_name) {
    REAL(int, rename, const char *, const char *);
    char path[PATH_MAX];
    char new_path[PATH_MAX];
    int result;
    if (!place_of(given, path) || !place_of(new_name, new_path)) return real(given, new_name);
    pthread_mutex_lock(&lock);
    result = real(given, new_name);
    if (result == 0) add('r', path, 0, 0, new_path, strlen(new_path));
    pthread_mutex_unlock(&lock);
    return result;
}
