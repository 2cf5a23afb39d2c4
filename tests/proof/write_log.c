/* Preloaded, notes in the file WRITE_LOG what a process does to files whose path begins with WRITE_LOG_OF, and to the
 * folder they are in: each write, truncation, deletion and sync, with when it began and ended, and what was written.
 *
 * A record is the struct below, the path, then the bytes. Records of several processes do not mix: each is one write at
 * the log's end.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, DELETE, SYNC, SYNC_FOLDER };

struct record {
    int64_t began, ended; /* nanoseconds of CLOCK_MONOTONIC */
    int64_t kind, offset; /* of a truncation, the new size */
    int64_t path_length, length;
};

static const char *prefix;
static char folder[4096];
static int log_file = -1;
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_ftruncate)(int, off64_t);
static int (*real_unlink)(const char *);
static int (*real_fsync)(int), (*real_fdatasync)(int);

__attribute__((constructor)) static void prepare(void)
{
    real_write = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    real_pwrite = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    real_ftruncate = (int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64");
    real_unlink = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    prefix = getenv("WRITE_LOG_OF");
    const char *path = getenv("WRITE_LOG"), *end = prefix ? strrchr(prefix, '/') : NULL;
    if (!path || !end || (size_t)(end - prefix) >= sizeof folder)
        return;
    memcpy(folder, prefix, (size_t)(end - prefix));
    log_file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
}

static int64_t now(void)
{
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (int64_t)moment.tv_sec * 1000000000 + moment.tv_nsec;
}

/* The path of an open file, if it is one of those to watch, or their folder; else an empty text. */
static const char *watched(int file, char *path, size_t size)
{
    char link[64];
    path[0] = 0;
    if (log_file < 0)
        return path;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, size - 1);
    path[length > 0 ? length : 0] = 0;
    if (strncmp(path, prefix, strlen(prefix)) && strcmp(path, folder))
        path[0] = 0;
    return path;
}

static void note(int64_t began, int64_t kind, const char *path, int64_t offset, const void *bytes, int64_t length)
{
    int before = errno;
    struct record record = {began, now(), kind, offset, (int64_t)strlen(path), length};
    struct iovec parts[] = {
        {&record, sizeof record}, {(void *)path, (size_t)record.path_length}, {(void *)bytes, (size_t)length}};
    if (writev(log_file, parts, 3) != (ssize_t)(sizeof record + strlen(path) + (size_t)length))
        abort();
    errno = before;
}

static ssize_t written_at(int file, const void *bytes, size_t size, off64_t offset)
{
    char path[4096];
    int64_t began = now();
    ssize_t done = real_pwrite(file, bytes, size, offset);
    if (done > 0 && *watched(file, path, sizeof path))
        note(began, WRITE, path, offset, bytes, done);
    return done;
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset)
{
    return written_at(file, bytes, size, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset)
{
    return written_at(file, bytes, size, offset);
}

ssize_t write(int file, const void *bytes, size_t size)
{
    char path[4096];
    int64_t began = now();
    int known = *watched(file, path, sizeof path) != 0;
    off64_t offset = known ? lseek64(file, 0, SEEK_CUR) : 0;
    ssize_t done = real_write(file, bytes, size);
    if (known && done > 0)
        note(began, WRITE, path, offset, bytes, done);
    return done;
}

static int truncated(int file, off64_t size)
{
    char path[4096];
    int64_t began = now();
    int failed = real_ftruncate(file, size);
    if (!failed && *watched(file, path, sizeof path))
        note(began, TRUNCATE, path, size, NULL, 0);
    return failed;
}

int ftruncate(int file, off_t size)
{
    return truncated(file, size);
}

int ftruncate64(int file, off64_t size)
{
    return truncated(file, size);
}

int unlink(const char *path)
{
    int64_t began = now();
    int failed = real_unlink(path);
    if (!failed && log_file >= 0 && !strncmp(path, prefix, strlen(prefix)))
        note(began, DELETE, path, 0, NULL, 0);
    return failed;
}

static int synced(int file, int (*real)(int))
{
    char path[4096];
    int64_t began = now();
    int failed = real(file);
    if (!failed && *watched(file, path, sizeof path))
        note(began, strcmp(path, folder) ? SYNC : SYNC_FOLDER, path, 0, NULL, 0);
    return failed;
}

int fsync(int file)
{
    return synced(file, real_fsync);
}

int fdatasync(int file)
{
    return synced(file, real_fdatasync);
}
