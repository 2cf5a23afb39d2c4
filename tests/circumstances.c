/* Preloaded, gives a process a wrong clock and no name service, for as long as the file CIRCUMSTANCES says so: it holds
   by how many seconds the clock is ahead, and whether names lead nowhere. Clocks that only measure how long something
   takes stay, and so do addresses. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct {
    int64_t ahead;
    int64_t no_names;
} const usual, *now_so = &usual;

__attribute__((constructor)) static void look(void) {
    const char *path = getenv("CIRCUMSTANCES");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *found = mmap(NULL, sizeof usual, PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED)
        now_so = found;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += now_so->ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static int (*real)(struct timeval *, void *);
    if (!real)
        real = dlsym(RTLD_NEXT, "gettimeofday");
    int failed = real(now, zone);
    if (!failed)
        now->tv_sec += now_so->ahead;
    return failed;
}

time_t time(time_t *now) {
    static time_t (*real)(time_t *);
    if (!real)
        real = dlsym(RTLD_NEXT, "time");
    time_t moment = real(NULL) + now_so->ahead;
    if (now)
        *now = moment;
    return moment;
}

static int is_address(const char *node) {
    char found[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, node, found) == 1 || inet_pton(AF_INET6, node, found) == 1;
}

int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real)
        real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (now_so->no_names && node && !is_address(node))
        return EAI_AGAIN;
    return real(node, service, hints, found);
}
