/* Old copies. A plugin that is replaced leaves a copy of what it was, and a process that is killed
 * while it writes one leaves half of it: at start, what nobody needs is removed.
 *
 * Another process may use the same directory. A copy that it has mapped may go: the mapping stays,
 * and only the name is lost. A copy that it has found, or is writing, and has not opened yet may
 * not: so whoever finds, writes and opens one holds the directory's lock, shared, and whoever
 * removes holds it alone, or does not remove. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "plug/plug_int.h"

int plug_dir_lock(const char *dir, int alone)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
    if (fd < 0)
        return -1;
    do
        rc = flock(fd, alone ? LOCK_EX | LOCK_NB : LOCK_SH);
    while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return fd;
    close(fd);
    return -1;
}

void plug_dir_unlock(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* <sha256>.so, or <sha256>.so.<process>.tmp: what the loader itself names so. */
static int is_copy(const char *name)
{
    size_t hex = strspn(name, "0123456789abcdef");
    if (hex != 64 || strncmp(name + 64, ".so", 3) != 0)
        return 0;
    const char *rest = name + 67;
    if (*rest == '\0')
        return 1;
    size_t digits = *rest == '.' ? strspn(rest + 1, "0123456789") : 0;
    return digits && strcmp(rest + 1 + digits, ".tmp") == 0;
}

static int is_loaded(const plug_image *images, const char *name)
{
    for (const plug_image *i = images; i; i = i->next)
        if (strncmp(name, i->sha256, 64) == 0 && name[67] == '\0')
            return 1;
    return 0;
}

int plug_dir_sweep(const char *dir, const plug_image *images)
{
    int lock = plug_dir_lock(dir, 1), removed = 0;
    DIR *d = lock >= 0 ? opendir(dir) : NULL;
    for (struct dirent *e; d && (e = readdir(d));)
        if (is_copy(e->d_name) && !is_loaded(images, e->d_name))
            removed += unlinkat(dirfd(d), e->d_name, 0) == 0;
    if (d)
        closedir(d);
    plug_dir_unlock(lock);
    return removed;
}
