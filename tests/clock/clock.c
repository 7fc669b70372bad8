/* The clock of a process under test: preloaded, it answers every question for the time of day with what stands in
   the file that TEST_CLOCK names, milliseconds since 1970 as eight bytes. The file is mapped, so that the test moves
   the clock of all processes at once by writing to it. How much time passes (CLOCK_MONOTONIC) stays as it is.
   No memory is allocated and no library asked, for allocators ask for the time while they start. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void) {
    static _Atomic(volatile int64_t *) mapped;
    volatile int64_t *at = mapped;
    if (at == NULL) {
        const char *path = getenv("TEST_CLOCK");
        int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *at, PROT_READ, MAP_SHARED, file, 0);
        if (page == MAP_FAILED) _exit(99);
        close(file);
        mapped = at = page;
    }
    return *at;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
        return (int)syscall(SYS_clock_gettime, clock, out);
    int64_t ms = now_ms();
    out->tv_sec = ms / 1000;
    out->tv_nsec = ms % 1000 * 1000000;
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    int64_t ms = now_ms();
    out->tv_sec = ms / 1000;
    out->tv_usec = ms % 1000 * 1000;
    return 0;
}

time_t time(time_t *out) {
    time_t seconds = now_ms() / 1000;
    if (out != NULL) *out = seconds;
    return seconds;
}
