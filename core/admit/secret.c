#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_*, see below */
#include "admit/secret.h"

#include <argon2.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <sys/random.h>

#include "admit/secret_int.h"

/* OWASP's least for Argon2id. A key has 256 random bits: more would only cost the owner. */
enum {
    ARGON2_KIB = 19 * 1024,
    ARGON2_PASSES = 2,
    ARGON2_LANES = 1,
    ARGON2_SALT = 16,
    ARGON2_HASH = 32
};
/* A hash that asks for more than this is none of ours: it would hold a thread for long. */
enum { ARGON2_MOST_KIB = 256 * 1024, ARGON2_MOST_PASSES = 8, ARGON2_MOST_LANES = 8 };

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void secret_random(void *out, size_t n)
{
    unsigned char *p = out;
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        TP_MUST(got > 0 || errno == EINTR);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
}

void secret_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}

static int is_prefix_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

int secret_parse(tp_str key, tp_str *lookup)
{
    if (key.len < SECRET_CHARS + 2 || key.len > SECRET_MAX)
        return 0;
    size_t prefix = key.len - SECRET_CHARS;
    if (key.ptr[prefix - 1] != '_')
        return 0;
    for (size_t i = 0; i < prefix; i++)
        if (!is_prefix_char((unsigned char)key.ptr[i]))
            return 0;
    for (size_t i = prefix; i < key.len; i++) {
        unsigned char c = (unsigned char)key.ptr[i];
        if (!is_prefix_char(c) && c != '-' && !(c >= 'A' && c <= 'Z'))
            return 0;
    }
    *lookup = str_make(key.ptr, prefix + SECRET_LOOKUP);
    return 1;
}

size_t secret_make(tp_str prefix, char out[SECRET_MAX])
{
    unsigned char random[33] = {0}; /* the last byte stays 0: 43 characters are 258 bits */
    TP_MUST(prefix.len >= 2 && prefix.len <= SECRET_PREFIX);
    secret_random(random, 32);
    memcpy(out, prefix.ptr, prefix.len);
    for (size_t i = 0; i < SECRET_CHARS; i++) {
        size_t bit = i * 6;
        unsigned two = (unsigned)random[bit / 8] << 8 | random[bit / 8 + 1];
        out[prefix.len + i] = base64url[(two >> (10 - bit % 8)) & 63u];
    }
    secret_wipe(random, sizeof(random));
    return prefix.len + SECRET_CHARS;
}

void secret_make_id(char out[SECRET_ID])
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t n = 4;
    memcpy(out, "key_", n);
    while (n < SECRET_ID) {
        unsigned char random[32];
        secret_random(random, sizeof(random));
        for (size_t i = 0; i < sizeof(random) && n < SECRET_ID; i++)
            if (random[i] < 62 * 4) /* each letter as likely as the next */
                out[n++] = letters[random[i] % 62];
    }
}

/* ---- HMAC-SHA-256 (RFC 2104) over the low-level SHA256_*: EVP would load and set up OpenSSL's
 * providers, 2 MB of an idle gateway, and look everything up anew for each key. */
struct secret_mac {
    SHA256_CTX inner, outer; /* the pepper's block is in them; each use begins from there */
};

/* A failure would be a wrong answer about a key: it stops the process. */
static void begin(SHA256_CTX *c, const secret_pepper *p, unsigned char pad)
{
    unsigned char block[SHA256_CBLOCK];
    memset(block, pad, sizeof(block));
    for (size_t i = 0; i < sizeof(p->key); i++)
        block[i] ^= p->key[i];
    TP_MUST(SHA256_Init(c) == 1 && SHA256_Update(c, block, sizeof(block)) == 1);
    secret_wipe(block, sizeof(block));
}

secret_mac *secret_mac_new(const secret_pepper *p)
{
    secret_mac *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    begin(&m->inner, p, 0x36);
    begin(&m->outer, p, 0x5c);
    return m;
}

void secret_mac_free(secret_mac *m)
{
    if (m)
        secret_wipe(m, sizeof(*m));
    free(m);
}

void secret_mac_of(secret_mac *m, tp_str key, unsigned char out[32])
{
    SHA256_CTX c = m->inner;
    TP_MUST(SHA256_Update(&c, key.ptr, key.len) == 1 && SHA256_Final(out, &c) == 1);
    c = m->outer;
    TP_MUST(SHA256_Update(&c, out, 32) == 1 && SHA256_Final(out, &c) == 1);
}

/* ---- Argon2id. */
int secret_argon2(tp_str key, char out[SECRET_ARGON2])
{
    unsigned char salt[ARGON2_SALT];
    secret_random(salt, sizeof(salt));
    return argon2id_hash_encoded(ARGON2_PASSES, ARGON2_KIB, ARGON2_LANES, key.ptr, key.len, salt,
                                 sizeof(salt), ARGON2_HASH, out, SECRET_ARGON2) == ARGON2_OK
               ? 0
               : -1;
}

/* "name" and a number up to most at *at; moves behind it. */
static int cost(const char **at, const char *name, unsigned most)
{
    size_t n = strlen(name);
    unsigned v = 0;
    if (strncmp(*at, name, n) != 0)
        return 0;
    const char *p = *at + n;
    if (*p < '0' || *p > '9')
        return 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        v = v * 10 + (unsigned)(*p - '0');
        if (v > most)
            return 0;
    }
    *at = p;
    return 1;
}

int secret_argon2_verify(tp_str key, const char *encoded)
{
    const char *at = encoded;
    if (!encoded || strnlen(encoded, SECRET_ARGON2) == SECRET_ARGON2)
        return 0;
    if (!cost(&at, "$argon2id$v=", ARGON2_VERSION_13) || !cost(&at, "$m=", ARGON2_MOST_KIB) ||
        !cost(&at, ",t=", ARGON2_MOST_PASSES) || !cost(&at, ",p=", ARGON2_MOST_LANES))
        return 0;
    return argon2id_verify(encoded, key.ptr, key.len) == ARGON2_OK;
}
