/* Counts the writes of processes below a directory, and lets one of them fail.

Loaded before the C library (LD_PRELOAD). Every call that needs room or a
writable disk is counted, in all threads and processes, whatever language makes
it. The file that HDC_JAX_TEST_DISK names is shared by them: what is to fail,
and how many calls there were. Each call is a line of the file's neighbour .log.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct disk {
  long count; /* calls until now */
  long first; /* number of the first call that fails, from 1; 0 for none */
  long last;  /* number of the last one that does */
  long error; /* errno of those */
  char root[PATH_MAX];
};

static struct disk *disk;
static int log_handle = -1;

__attribute__((constructor)) static void open_disk(void) {
  const char *path = getenv("HDC_JAX_TEST_DISK");
  char name[PATH_MAX];
  if (!path) return;
  int handle = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
  if (handle < 0) return;
  disk = mmap(NULL, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
  close(handle);
  if (disk == MAP_FAILED) { disk = NULL; return; }
  snprintf(name, sizeof name, "%s.log", path);
  log_handle = syscall(SYS_openat, AT_FDCWD, name,
                       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

static int below(const char *path) {
  size_t length = strlen(disk->root);
  return !strncmp(path, disk->root, length) &&
         (path[length] == '/' || !path[length]);
}

/* Whether a call is to fail; sets errno then. */
static int fails(const char *call, const char *path) {
  char line[PATH_MAX + 80];
  if (!disk || !path || !below(path)) return 0;
  long number = __atomic_add_fetch(&disk->count, 1, __ATOMIC_SEQ_CST);
  int failing =
      disk->first && number >= disk->first && number <= disk->last;
  int length = snprintf(line, sizeof line, "%ld %d %s %s\n", number, failing,
                        call, path);
  syscall(SYS_write, log_handle, line, length);
  if (failing) errno = disk->error;
  return failing;
}

static int fails_at(const char *call, int handle) {
  char link[64], path[PATH_MAX];
  if (!disk || handle < 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
  int before = errno;
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = before;
  if (length < 0) return 0;
  path[length] = 0;
  return fails(call, path);
}

static int fails_below(const char *call, int directory, const char *path) {
  char link[64], folder[PATH_MAX], whole[PATH_MAX * 2];
  if (!disk || !path) return 0;
  if (path[0] == '/') return fails(call, path);
  snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
  ssize_t length = readlink(directory == AT_FDCWD ? "/proc/self/cwd" : link,
                            folder, sizeof folder - 1);
  if (length < 0) return 0;
  folder[length] = 0;
  snprintf(whole, sizeof whole, "%s/%s", folder, path);
  return fails(call, whole);
}

#define WRITES (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)
#define NEXT(name) \
  static __typeof__(&name) next; \
  if (!next) next = (__typeof__(next))dlsym(RTLD_NEXT, #name)

#define OPENS(name) \
  int name(const char *path, int flags, ...) { \
    NEXT(name); \
    va_list list; \
    va_start(list, flags); \
    mode_t mode = va_arg(list, mode_t); \
    va_end(list); \
    if ((flags & WRITES) && fails_below("open", AT_FDCWD, path)) return -1; \
    return next(path, flags, mode); \
  }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name) \
  int name(int directory, const char *path, int flags, ...) { \
    NEXT(name); \
    va_list list; \
    va_start(list, flags); \
    mode_t mode = va_arg(list, mode_t); \
    va_end(list); \
    if ((flags & WRITES) && fails_below("open", directory, path)) return -1; \
    return next(directory, path, flags, mode); \
  }
OPENS_AT(openat)
OPENS_AT(openat64)

#define OPENS_STREAM(name) \
  FILE *name(const char *path, const char *mode) { \
    NEXT(name); \
    if (strpbrk(mode, "wa+") && fails_below("open", AT_FDCWD, path)) \
      return NULL; \
    return next(path, mode); \
  }
OPENS_STREAM(fopen)
OPENS_STREAM(fopen64)

#define CALL(type, name, parameters, arguments, check) \
  type name parameters { \
    NEXT(name); \
    if (check) return -1; \
    return next arguments; \
  }
CALL(ssize_t, write, (int handle, const void *from, size_t size),
     (handle, from, size), fails_at("write", handle))
CALL(ssize_t, pwrite, (int handle, const void *from, size_t size, off_t at),
     (handle, from, size, at), fails_at("write", handle))
CALL(ssize_t, pwrite64, (int handle, const void *from, size_t size, off64_t at),
     (handle, from, size, at), fails_at("write", handle))
CALL(ssize_t, writev, (int handle, const struct iovec *from, int count),
     (handle, from, count), fails_at("write", handle))
CALL(ssize_t, pwritev,
     (int handle, const struct iovec *from, int count, off_t at),
     (handle, from, count, at), fails_at("write", handle))
CALL(ssize_t, sendfile, (int to, int from, off_t *at, size_t size),
     (to, from, at, size), fails_at("write", to))
CALL(ssize_t, copy_file_range,
     (int from, off64_t *at, int to, off64_t *to_at, size_t size,
      unsigned flags),
     (from, at, to, to_at, size, flags), fails_at("write", to))
CALL(int, fsync, (int handle), (handle), fails_at("sync", handle))
CALL(int, fdatasync, (int handle), (handle), fails_at("sync", handle))
CALL(int, ftruncate, (int handle, off_t size), (handle, size),
     fails_at("truncate", handle))
CALL(int, ftruncate64, (int handle, off64_t size), (handle, size),
     fails_at("truncate", handle))
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode),
     fails_below("mkdir", AT_FDCWD, path))
CALL(int, mkdirat, (int directory, const char *path, mode_t mode),
     (directory, path, mode), fails_below("mkdir", directory, path))
CALL(int, rename, (const char *from, const char *to), (from, to),
     fails_below("rename", AT_FDCWD, to))
CALL(int, renameat, (int one, const char *from, int other, const char *to),
     (one, from, other, to), fails_below("rename", other, to))
CALL(int, renameat2,
     (int one, const char *from, int other, const char *to, unsigned flags),
     (one, from, other, to, flags), fails_below("rename", other, to))
CALL(int, link, (const char *from, const char *to), (from, to),
     fails_below("link", AT_FDCWD, to))
CALL(int, symlink, (const char *from, const char *to), (from, to),
     fails_below("link", AT_FDCWD, to))
