/* A disk that misbehaves on demand, between a program and the C library. CRASH_DISK names a folder; while it holds a file
   `slow`, flushing takes as many milliseconds as the file says; while it holds `read-only`, writing to regular files fails
   with EROFS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int has(const char *name, int *number) {
    const char *folder = getenv("CRASH_DISK");
    char path[4096];
    if (!folder) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (number && fscanf(file, "%d", number) != 1) *number = 0;
    fclose(file);
    return 1;
}

static int refused(int fd) {
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || !has("read-only", NULL)) return 0;
    errno = EROFS;
    return 1;
}

static void wait_for_the_disk(void) {
    int milliseconds = 0;
    if (!has("slow", &milliseconds)) return;
    struct timespec pause = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
    nanosleep(&pause, NULL);
}

#define NEXT(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

int fsync(int fd) { wait_for_the_disk(); return NEXT(int, "fsync", int)(fd); }
int fdatasync(int fd) { wait_for_the_disk(); return NEXT(int, "fdatasync", int)(fd); }

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return refused(fd) ? -1 : NEXT(ssize_t, "pwrite64", int, const void *, size_t, off64_t)(fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return refused(fd) ? -1 : NEXT(ssize_t, "pwrite", int, const void *, size_t, off_t)(fd, bytes, count, at);
}
