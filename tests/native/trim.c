/* Memory that is free goes back to the system: loaded into a process by LD_PRELOAD, this asks the
   allocator for it twice a second. What the process holds is then what it uses, and not what each
   thread's arena has kept of its largest merge or question.

   The end of an arena is only given back where memory is freed, and only what is above a threshold that
   rises to twice the largest block so far. So it is fixed at what it is in the beginning. */
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

static void *trim(void *nothing) {
    for (;;) {
        usleep(500000);
        malloc_trim(0);
    }
    return nothing;
}

__attribute__((constructor)) static void start(void) {
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
    pthread_t thread;
    pthread_create(&thread, 0, trim, 0);
}
