/* A wall clock that somebody else moves: loaded into a process by LD_PRELOAD, it adds the number of
   seconds in the file named by CLOCK_OFFSET (8 bytes, native order) to the real time, at every look;
   or it stands at the Unix time CLOCK_STANDS_AT for ever. The monotonic clock is left alone, as the kernel leaves it alone when somebody sets the time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset;
static int64_t standing;

__attribute__((constructor)) static void begin(void) {
    const char *at = getenv("CLOCK_STANDS_AT");
    if (at) {
        standing = strtoll(at, NULL, 10);
        return;
    }
    const char *path = getenv("CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *seen = file < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
    if (seen == MAP_FAILED)
        abort(); /* A test that moves no clock must not pass. */
    close(file);
    offset = seen;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return failed;
    if (offset)
        now->tv_sec += *offset;
    if (standing)
        *now = (struct timespec){.tv_sec = standing};
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
