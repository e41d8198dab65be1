/* Secrets: how keys look, how they are made, kept and recognised; and how customers' provider keys
 * are sealed. libcrypto and libargon2 live here. Nothing here ever logs a secret. */
#ifndef TP_ADMIT_SECRET_H
#define TP_ADMIT_SECRET_H
#include "base/base.h"
#include "base/str.h"

#define SECRET_CHARS 43u   /* base64url characters after the prefix: 256 bits */
#define SECRET_LOOKUP 12u  /* of them, the public ones: 72 bits; the other 186 bits are secret */
#define SECRET_PREFIX 24u  /* longest prefix: "air_live_" */
#define SECRET_MAX (SECRET_PREFIX + SECRET_CHARS)
#define SECRET_ID 24u      /* "key_" and 20 letters or digits */
#define SECRET_ARGON2 128u /* an encoded Argon2id hash and its NUL */
#define SECRET_SEAL (1u + 12u + 16u) /* what sealing adds: version, nonce, tag */

typedef struct secret_pepper { /* const after secret_pepper_load; any thread */
    unsigned char key[32], id[8];
    int32_t known, reserved;
} secret_pepper;

/* Shape of a key: prefix (of [a-z0-9_], ending in '_', 2 .. SECRET_PREFIX bytes) and SECRET_CHARS
 * base64url characters. 1 and *lookup (its public beginning: the prefix and SECRET_LOOKUP
 * characters, borrowed from key); 0: not of this shape. Any bytes are safe. */
int secret_parse(tp_str key, tp_str *lookup);
/* Makes a new key under a prefix into out (not terminated); its length. From the system's random
 * numbers. */
size_t secret_make(tp_str prefix, char out[SECRET_MAX]);
void secret_make_id(char out[SECRET_ID]); /* "key_..." */

/* Reads the pepper, making the file (0600) when it is not there. 0, or TP_ERROR_IO with what to do.
 * [load] */
int secret_pepper_load(const char *path, secret_pepper *out, tp_error *err);
/* A thread's means to compute HMACs under one pepper, about half a microsecond each. One thread at
 * a time. NULL: out of memory. */
typedef struct secret_mac secret_mac;
secret_mac *secret_mac_new(const secret_pepper *p);
void secret_mac_free(secret_mac *m);
void secret_mac_of(secret_mac *m, tp_str key, unsigned char out[32]);

/* Argon2id, 19 MiB, 2 passes, 1 lane (OWASP's minimum, RFC 9106 encoding): tens of milliseconds, so
 * never on a worker. 0, or -1 (no memory). */
int secret_argon2(tp_str key, char out[SECRET_ARGON2]);
int secret_argon2_verify(tp_str key, const char *encoded); /* 1: it is that key */

/* ---- Customers' provider keys: AES-256-GCM, nonce random, `bound` (team, provider and type)
 * authenticated with it, so that a row cannot be moved to another team. */
typedef struct secret_master {
    unsigned char key[32];
} secret_master;
/* text: 64 hex digits or base64 of 32 bytes. 0, or TP_ERROR_CONFIG. */
int secret_master_parse(tp_str text, secret_master *out, tp_error *err);
/* Reads the file of 64 hex digits, making it (0600) when it is not there. 0, or TP_ERROR_IO. */
int secret_master_load(const char *path, secret_master *out, tp_error *err);
/* out has room for plain.len + SECRET_SEAL; the bytes written, or 0. */
size_t secret_seal(const secret_master *m, tp_str bound, tp_str plain, unsigned char *out);
/* out has room for sealed.len; the plain length, or -1: another master key, or tampered with. */
int64_t secret_open(const secret_master *m, tp_str bound, tp_str sealed, char *out);
void secret_wipe(void *p, size_t n); /* not optimised away */
#endif
