/* A disk that fails on command, for one process: loaded by LD_PRELOAD.
 *
 * While the file FOREBAY_DISK_CONTROL exists, writes and syncs of files under FOREBAY_DISK_FOLDERS (separated by ':') fail:
 * with ENOSPC if it begins with 'S' (and half of the bytes are written first, as a disk does that fills up), with EIO
 * otherwise. Each failure adds a byte to the file "<control>.hits", so that the test knows that there was one.
 *
 * Each sync of such a file that succeeds adds "<bytes> <path>" to "<control>.synced": what a power cut would have to leave.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { NONE, NO_SPACE, BROKEN };

static enum fault commanded(void) {
    const char *control = getenv("FOREBAY_DISK_CONTROL");
    char first = 0;
    int fd = control ? (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0) : -1;
    if (fd < 0) return NONE;
    long got = syscall(SYS_read, fd, &first, 1);
    syscall(SYS_close, fd);
    return got == 1 && first == 'S' ? NO_SPACE : BROKEN;
}

/* The path of a file that is ours, or 0. */
static int is_ours(int fd, char path[PATH_MAX]) {
    char link[64];
    const char *folder = getenv("FOREBAY_DISK_FOLDERS");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0 || !folder) return 0;
    path[length] = 0;
    while (*folder) {
        size_t size = strcspn(folder, ":");
        if (size && !strncmp(path, folder, size) && (path[size] == '/' || path[size] == 0)) return 1;
        folder += size + (folder[size] == ':');
    }
    return 0;
}

/* Adds a text to a file beside the control file. */
static void note(const char *suffix, const char *text) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s.%s", getenv("FOREBAY_DISK_CONTROL"), suffix);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return;
    syscall(SYS_write, fd, text, strlen(text));
    syscall(SYS_close, fd);
}

static enum fault fault_of(int fd) {
    int saved = errno;
    char path[PATH_MAX];
    enum fault fault = commanded();
    if (fault != NONE && !is_ours(fd, path)) fault = NONE;
    if (fault != NONE) note("hits", "x");
    errno = saved;
    return fault;
}

static int fail(enum fault fault) {
    errno = fault == NO_SPACE ? ENOSPC : EIO;
    return -1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t size) {
    enum fault fault = fault_of(fd);
    if (fault == NO_SPACE && size > 1) return NEXT(write)(fd, bytes, size / 2);
    return fault == NONE ? NEXT(write)(fd, bytes, size) : fail(fault);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    enum fault fault = fault_of(fd);
    if (fault == NO_SPACE && size > 1) return NEXT(pwrite64)(fd, bytes, size / 2, at);
    return fault == NONE ? NEXT(pwrite64)(fd, bytes, size, at) : fail(fault);
}

ssize_t writev(int fd, const struct iovec *pieces, int pieces_count) {
    enum fault fault = fault_of(fd);
    return fault == NONE ? NEXT(writev)(fd, pieces, pieces_count) : fail(fault);
}

/* What is written while the sync is on its way need not be part of it, so the size is taken before. */
static int sync_with(int (*sync)(int), int fd) {
    enum fault fault = fault_of(fd);
    char path[PATH_MAX], line[PATH_MAX + 32];
    struct stat before;
    if (fault != NONE) return fail(fault);
    int is_noted = is_ours(fd, path) && !fstat(fd, &before) && S_ISREG(before.st_mode);
    int result = sync(fd);
    int saved = errno;
    if (!result && is_noted) {
        snprintf(line, sizeof line, "%lld %s\n", (long long)before.st_size, path);
        note("synced", line);
    }
    errno = saved;
    return result;
}

int fsync(int fd) { return sync_with(NEXT(fsync), fd); }

int fdatasync(int fd) { return sync_with(NEXT(fdatasync), fd); }

/* Freeing blocks is what a full disk still can do. */
int ftruncate64(int fd, off64_t size) {
    enum fault fault = fault_of(fd);
    return fault == BROKEN ? fail(fault) : NEXT(ftruncate64)(fd, size);
}
