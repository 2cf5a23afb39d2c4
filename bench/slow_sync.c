/* Preloaded into a server: every sync takes SLOW_SYNC_MS longer, and is counted in the file SLOW_SYNC_COUNT.
 *
 * It stands for a disk that syncs in milliseconds. The count proves that the database syncs through the C library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct timespec extra;
static atomic_ulong *count;

__attribute__((constructor)) static void prepare(void)
{
    const char *ms = getenv("SLOW_SYNC_MS"), *path = getenv("SLOW_SYNC_COUNT");
    long nanoseconds = ms ? (long)(atof(ms) * 1e6) : 0;
    extra = (struct timespec){nanoseconds / 1000000000, nanoseconds % 1000000000};
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    count = page == MAP_FAILED ? NULL : page;
    close(file);
}

static void wait_and_count(void)
{
    if (count)
        atomic_fetch_add(count, 1);
    nanosleep(&extra, NULL);
}

int fsync(int file)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_and_count();
    return real(file);
}

int fdatasync(int file)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_and_count();
    return real(file);
}

int sync_file_range(int file, off64_t offset, off64_t bytes, unsigned int flags)
{
    static int (*real)(int, off64_t, off64_t, unsigned int);
    if (!real)
        real = (int (*)(int, off64_t, off64_t, unsigned int))dlsym(RTLD_NEXT, "sync_file_range");
    wait_and_count();
    return real(file, offset, bytes, flags);
}
