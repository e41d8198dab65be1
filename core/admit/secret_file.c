/* Files that hold one secret of 32 bytes: the pepper (raw) and the master key (hex). Made when they
 * are not there, whole or not at all: a key that half exists would make hashes nobody can check. */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_*: see secret.c */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admit/secret_int.h"

enum { FILE_MOST = 256 };

/* The file's bytes: their number, or -errno. */
static int read_file(const char *path, char *out, size_t room)
{
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (n < room) {
        ssize_t got = read(fd, out + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int e = errno;
            close(fd);
            return -e;
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    return (int)n;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        p += put;
        n -= (size_t)put;
    }
    return fsync(fd);
}

static void sync_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd); /* the file is there all the same; only a power cut could tell */
    close(fd);
}

/* Under another name first, and linked when it is whole and on disk. When somebody else was faster,
 * theirs is the file. 0, or -errno. */
static int make_file(const char *path, const char *text, size_t n)
{
    char temp[PATH_MAX];
    if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= (int)sizeof(temp))
        return -ENAMETOOLONG;
    int fd = mkostemp(temp, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return -errno;
    int rc = write_all(fd, text, n) < 0 ? -errno : 0;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && link(temp, path) < 0 && errno != EEXIST)
        rc = -errno;
    unlink(temp);
    if (rc == 0)
        sync_folder(path);
    return rc;
}

/* Reads the file into out, or makes it of text. The number of bytes, or TP_ERROR_IO. */
static int load(const char *path, const char *what, const char *text, size_t n, char *out,
                tp_error *err)
{
    int got = read_file(path, out, FILE_MOST);
    if (got == -ENOENT) {
        int rc = make_file(path, text, n);
        if (rc < 0)
            return tp_error_set(err, TP_ERROR_IO,
                                "%s: the %s cannot be made there: %s; make the folder writable for "
                                "the gateway, or name another file",
                                path, what, strerror(-rc));
        got = read_file(path, out, FILE_MOST);
    }
    if (got < 0)
        return tp_error_set(err, TP_ERROR_IO,
                            "%s: the %s cannot be read: %s; make the file readable for the gateway",
                            path, what, strerror(-got));
    return got;
}

int secret_pepper_load(const char *path, secret_pepper *out, tp_error *err)
{
    char fresh[32], got[FILE_MOST];
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX c;
    secret_random(fresh, sizeof(fresh));
    int n = load(path, "pepper of the keys' hashes", fresh, sizeof(fresh), got, err);
    if (n >= 0 && n != (int)sizeof(out->key))
        n = tp_error_set(err, TP_ERROR_IO,
                         "%s: the pepper of the keys' hashes has 32 bytes, this file has %s; put "
                         "the right file back, or remove it and a new one is made (each key's next "
                         "use then costs one Argon2id)",
                         path, n < 32 ? "fewer" : "more");
    if (n >= 0) {
        memcpy(out->key, got, sizeof(out->key));
        TP_MUST(SHA256_Init(&c) == 1 && SHA256_Update(&c, out->key, sizeof(out->key)) == 1 &&
                SHA256_Final(digest, &c) == 1);
        memcpy(out->id, digest, sizeof(out->id));
        out->known = 1;
        out->reserved = 0;
    }
    secret_wipe(fresh, sizeof(fresh));
    secret_wipe(got, sizeof(got));
    return n < 0 ? n : 0;
}

int secret_master_load(const char *path, secret_master *out, tp_error *err)
{
    static const char digits[] = "0123456789abcdef";
    char fresh[65], got[FILE_MOST];
    unsigned char random[32];
    secret_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        fresh[i * 2] = digits[random[i] >> 4];
        fresh[i * 2 + 1] = digits[random[i] & 15u];
    }
    fresh[64] = '\n';
    int n = load(path, "master key of customers' provider keys", fresh, sizeof(fresh), got, err);
    if (n >= 0) {
        tp_str text = str_make(got, (size_t)n);
        while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
            text.len--;
        if (!secret_from_hex(text, out->key))
            n = tp_error_set(err, TP_ERROR_IO,
                             "%s: the master key of customers' provider keys is 64 hex digits, and "
                             "this file holds something else; put the right file back (without it "
                             "the provider keys that are stored cannot be opened)",
                             path);
    }
    secret_wipe(random, sizeof(random));
    secret_wipe(fresh, sizeof(fresh));
    secret_wipe(got, sizeof(got));
    return n < 0 ? n : 0;
}
