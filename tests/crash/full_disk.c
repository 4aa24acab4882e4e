/* A disk that is full while a file is there: preloaded into a bot, it fails what would need room with ENOSPC.

   FULL_DISK_FOLDER is where the disk is: files whose path begins so. FULL_DISK_FLAG is the file that fills it. While it
   is there, no file there can grow: a write that goes beyond the end writes what fits and then fails, as on a real disk.
   If the flag holds the letter "a", all writes fail, as on a file system that copies on write.

   Built with: cc -shared -fPIC -O2 -o full_disk.so full_disk.c -ldl */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

/* Returns how many bytes of `length` from `offset` on the disk takes. A negative offset is where the file stands. */
static size_t room_for(int descriptor, size_t length, off64_t offset) {
    char link[64], path[4096], mode = 0;
    const char *folder = getenv("FULL_DISK_FOLDER"), *flag = getenv("FULL_DISK_FLAG");
    struct stat state;
    ssize_t size;
    int flag_descriptor;

    if (folder == NULL || flag == NULL || (flag_descriptor = open(flag, O_RDONLY | O_CLOEXEC)) < 0)
        return length;
    if (read(flag_descriptor, &mode, 1) < 1)
        mode = 0;
    close(flag_descriptor);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return length;
    path[size] = 0;
    if (strncmp(path, folder, strlen(folder)) != 0)
        return length;
    if (mode == 'a')
        return 0;
    if (fstat(descriptor, &state) != 0 || !S_ISREG(state.st_mode))
        return length;
    if (offset < 0)
        offset = lseek(descriptor, 0, SEEK_CUR);
    if (offset + (off64_t) length <= (off64_t) state.st_size)
        return length;
    return offset < (off64_t) state.st_size ? (size_t) (state.st_size - offset) : 0;
}

static int is_growing(int descriptor, off64_t size) {
    struct stat state;
    if (fstat(descriptor, &state) != 0 || size <= (off64_t) state.st_size)
        return 0;
    return room_for(descriptor, (size_t) (size - state.st_size), state.st_size) == 0;
}

#define FULL_UNLESS(room, length)                                                                                      \
    if (room == 0 && length != 0) {                                                                                    \
        errno = ENOSPC;                                                                                                \
        return -1;                                                                                                     \
    }

ssize_t write(int descriptor, const void *bytes, size_t length) {
    size_t room = room_for(descriptor, length, -1);
    FULL_UNLESS(room, length)
    return NEXT(write)(descriptor, bytes, room);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
    size_t room = room_for(descriptor, length, offset);
    FULL_UNLESS(room, length)
    return NEXT(pwrite)(descriptor, bytes, room, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    size_t room = room_for(descriptor, length, offset);
    FULL_UNLESS(room, length)
    return NEXT(pwrite64)(descriptor, bytes, room, offset);
}

int ftruncate(int descriptor, off_t size) {
    FULL_UNLESS(!is_growing(descriptor, size), 1)
    return NEXT(ftruncate)(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) {
    FULL_UNLESS(!is_growing(descriptor, size), 1)
    return NEXT(ftruncate64)(descriptor, size);
}

int fallocate(int descriptor, int mode, off_t offset, off_t length) {
    FULL_UNLESS(!is_growing(descriptor, offset + length), 1)
    return NEXT(fallocate)(descriptor, mode, offset, length);
}

int fallocate64(int descriptor, int mode, off64_t offset, off64_t length) {
    FULL_UNLESS(!is_growing(descriptor, offset + length), 1)
    return NEXT(fallocate64)(descriptor, mode, offset, length);
}

int posix_fallocate(int descriptor, off_t offset, off_t length) {
    return is_growing(descriptor, offset + length) ? ENOSPC : NEXT(posix_fallocate)(descriptor, offset, length);
}

int posix_fallocate64(int descriptor, off64_t offset, off64_t length) {
    return is_growing(descriptor, offset + length) ? ENOSPC : NEXT(posix_fallocate64)(descriptor, offset, length);
}
