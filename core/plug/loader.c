/* Images: a plugin file is copied to a private place named by its content and opened from there,
 * so that replacing or truncating the file never disturbs running code. Nothing is ever unmapped:
 * dlclose under live threads is not safe, and code is cheap. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
/* The low-level SHA256_*: EVP would load and set up OpenSSL's providers, 2 MB of an idle gateway,
 * for one hash a plugin. Deprecated since 3.0, kept in all of 3.x. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plug/plug_int.h"

struct plug_loader {
    char *dir;      /* run_dir/plugins */
    const logger *log;
    plug_image *images;
};

int plug_error_at(tp_error *err, const char *path)
{
    if (err) {
        tp_error inner = *err;
        tp_error_set(err, inner.code, "plugin %s: %s", path, inner.text);
        return inner.code;
    }
    return TP_ERROR_ABI;
}

static int read_all(int fd, char *p, size_t n)
{
    while (n) {
        ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1; /* a file that shrank meanwhile is as bad as one that cannot be read */
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -1;
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

int plug_file_read(const char *path, char **out, size_t *len, tp_error *err)
{
    struct stat st;
    *out = NULL;
    *len = 0;
    /* Not blocking: a pipe in a plugin's place must not hold up the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return tp_error_set(err, TP_ERROR_IO, "plugin %s: cannot be opened: %s", path,
                            strerror(errno));
    int rc = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = tp_error_set(err, TP_ERROR_IO, "plugin %s: not a regular file", path);
    else if (st.st_size < 0 || (uint64_t)st.st_size > PLUG_MAX_FILE)
        rc = tp_error_set(err, TP_ERROR_IO, "plugin %s: larger than the %zu MiB that a plugin may "
                          "have", path, PLUG_MAX_FILE >> 20);
    if (!rc) {
        *len = (size_t)st.st_size;
        *out = malloc(*len ? *len : 1);
        if (!*out)
            rc = tp_error_set(err, TP_ERROR_IO, "plugin %s: no memory to read it", path);
        else if (read_all(fd, *out, *len))
            rc = tp_error_set(err, TP_ERROR_IO, "plugin %s: cannot be read, or changed while it "
                              "was read; try again", path);
    }
    if (rc) {
        free(*out);
        *out = NULL;
    }
    close(fd);
    return rc;
}

static int sha256_hex(const char *p, size_t n, char out[65])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char md[SHA256_DIGEST_LENGTH];
    SHA256_CTX c;
    if (SHA256_Init(&c) != 1 || SHA256_Update(&c, p, n) != 1 || SHA256_Final(md, &c) != 1)
        return -1;
    for (unsigned i = 0; i < 32; i++) {
        out[2 * i] = hex[md[i] >> 4];
        out[2 * i + 1] = hex[md[i] & 15];
    }
    out[64] = '\0';
    return 0;
}

/* mkdir -p of the path, 0700 for what is new. */
static int make_dirs(const char *path)
{
    char part[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(part))
        return -1;
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

plug_loader *plug_loader_new(const char *run_dir, const logger *log, tp_error *err)
{
    char dir[4096];
    struct stat st;
    int n = snprintf(dir, sizeof(dir), "%s/plugins", run_dir);
    if (n < 0 || (size_t)n >= sizeof(dir) || make_dirs(dir) != 0 || stat(dir, &st) != 0) {
        tp_error_set(err, TP_ERROR_IO, "the run directory %s/plugins cannot be made: %s; name "
                     "another run directory", run_dir, strerror(errno));
        return NULL;
    }
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022)) {
        tp_error_set(err, TP_ERROR_IO, "the run directory %s is not a directory of this user that "
                     "nobody else may write to; code is loaded from it: chown and chmod 0700 it",
                     dir);
        return NULL;
    }
    plug_loader *l = tp_xcalloc(1, sizeof(*l));
    l->dir = tp_xstrndup(dir, strlen(dir));
    l->log = log;
    return l;
}

static void image_free(plug_image *i)
{
    arena_reset(&i->mem);
    free(i->path);
    free(i);
}

void plug_loader_free(plug_loader *l)
{
    if (!l)
        return;
    while (l->images) {
        plug_image *i = l->images;
        l->images = i->next;
        image_free(i);
    }
    free(l->dir);
    free(l);
}

/* The copy is there already, and is what its name says? */
static int copy_is_good(const char *path, const char *sha256)
{
    struct stat st;
    char *bytes, got[65];
    size_t len;
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 0777) != 0500 || plug_file_read(path, &bytes, &len, NULL) != 0)
        return 0;
    int good = sha256_hex(bytes, len, got) == 0 && strcmp(got, sha256) == 0;
    free(bytes);
    return good;
}

/* Writes the private copy through a temporary file, so that its name never shows half of it. */
static int copy_make(const char *path, const char *bytes, size_t len, tp_error *err)
{
    char tmp[4096 + 96];
    snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", path, (long)getpid());
    unlink(tmp); /* left by a process of the same number that was killed */
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0700);
    int bad = fd < 0;
    if (!bad) {
        bad = write_all(fd, bytes, len) != 0 || fchmod(fd, 0500) != 0;
        bad |= close(fd) != 0;
        bad = bad || rename(tmp, path) != 0;
    }
    if (bad) {
        int rc = tp_error_set(err, TP_ERROR_IO, "its private copy %s cannot be written: %s", path,
                              strerror(errno));
        if (fd >= 0)
            unlink(tmp);
        return rc;
    }
    return 0;
}

/* Opens the copy and calls the plugin's entry. */
static int image_open(plug_image *i, const char *copy, tp_error *err)
{
    /* RTLD_DEEPBIND would break the sanitizers' interceptors; NODELETE also keeps the image when
     * somebody else's dlclose drops the last handle. */
    void *handle = dlopen(copy, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        const char *why = dlerror();
        const char *hint = why && strstr(why, "undefined symbol")
                               ? "link the plugin with -Wl,-z,defs: nothing may be undefined but "
                                 "what its own libraries define"
                           : why && strstr(why, "Operation not permitted")
                               ? "is the run directory on a file system mounted noexec?"
                               : "see the plugin's documentation for what it needs installed";
        return tp_error_set(err, TP_ERROR_ABI, "cannot be opened: %s; %s", why ? why : "unknown",
                            hint);
    }
    union { /* ISO C has no conversion from an object to a function pointer; POSIX has this one */
        void *object;
        const tp_plugin *(*function)(const tp_host *);
    } entry = {.object = dlsym(handle, "tp_plugin_entry_v1")};
    if (!entry.object)
        return tp_error_set(err, TP_ERROR_ABI, "its entry tp_plugin_entry_v1 cannot be found: %s",
                            dlerror());
    const tp_plugin *p = entry.function(plug_host());
    if (!p)
        return tp_error_set(err, TP_ERROR_ABI, "its entry returned NULL: it will not run on this "
                            "host (Turnpike %s, SDK %d.%d); ask its documentation what it needs",
                            TURNPIKE_VERSION, TP_SDK_MAJOR, TP_SDK_MINOR);
    return plug_image_bind(i, p, err);
}

static int image_load(plug_loader *l, plug_image *i, tp_str file, tp_error *err)
{
    char copy[4096 + 80];
    int rc = plug_manifest_parse(file, &i->mem, &i->manifest, err);
    if (rc)
        return rc;
    snprintf(copy, sizeof(copy), "%s/%s.so", l->dir, i->sha256);
    int lock = plug_dir_lock(l->dir, 0); /* until it is mapped, nobody may remove it */
    if (!copy_is_good(copy, i->sha256))
        rc = copy_make(copy, file.ptr, file.len, err);
    if (!rc)
        rc = image_open(i, copy, err);
    plug_dir_unlock(lock);
    return rc;
}

int plug_load(plug_loader *l, const char *path, plug_image **out, tp_error *err)
{
    char *bytes, sha256[65];
    size_t len;
    *out = NULL;
    int rc = plug_file_read(path, &bytes, &len, err);
    if (rc)
        return rc;
    if (sha256_hex(bytes, len, sha256)) {
        free(bytes);
        return tp_error_set(err, TP_ERROR_IO, "plugin %s: SHA-256 is not available from OpenSSL",
                            path);
    }
    for (plug_image *i = l->images; i; i = i->next) {
        if (strcmp(i->sha256, sha256) == 0) {
            free(bytes);
            *out = i;
            return 0;
        }
    }
    plug_image *i = tp_xcalloc(1, sizeof(*i));
    memcpy(i->sha256, sha256, sizeof(sha256));
    i->path = tp_xstrndup(path, strlen(path));
    i->log = l->log;
    arena_init(&i->mem, NULL, 16 * PLUG_MAX_MANIFEST);
    rc = image_load(l, i, str_make(bytes, len), err);
    free(bytes);
    if (rc) {
        image_free(i);
        return plug_error_at(err, path);
    }
    i->next = l->images;
    l->images = i;
    *out = i;
    return 0;
}

int plug_loader_sweep(plug_loader *l)
{
    int removed = plug_dir_sweep(l->dir, l->images);
    if (removed)
        log_line(l->log, LOG_INFO, "%d old copies of plugins were removed from %s", removed, l->dir);
    return removed;
}

const plug_manifest *plug_image_manifest(const plug_image *i)
{
    return &i->manifest;
}

const char *plug_image_sha256(const plug_image *i)
{
    return i->sha256;
}
