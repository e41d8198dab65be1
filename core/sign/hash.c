#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_*, see sign_int.h */
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "sign/sign_int.h"

/* A failure would be a wrong signature without a word: it stops the process. */
static void update(SHA256_CTX *c, tp_str s)
{
    if (s.len)
        TP_MUST(SHA256_Update(c, s.ptr, s.len) == 1);
}

void sign_sha256(const tp_str *segs, uint32_t count, unsigned char out[SIGN_HASH])
{
    SHA256_CTX c;
    TP_MUST(SHA256_Init(&c) == 1);
    for (uint32_t i = 0; i < count; i++)
        update(&c, segs[i]);
    TP_MUST(SHA256_Final(out, &c) == 1);
    sign_wipe(&c, sizeof(c));
}

static void begin(SHA256_CTX *c, const unsigned char key[SHA256_CBLOCK], unsigned char pad)
{
    unsigned char block[SHA256_CBLOCK];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = key[i] ^ pad;
    TP_MUST(SHA256_Init(c) == 1 && SHA256_Update(c, block, sizeof(block)) == 1);
    sign_wipe(block, sizeof(block));
}

void sign_hmac(tp_str key, tp_str key_rest, tp_str message, unsigned char out[SIGN_HASH])
{
    unsigned char block[SHA256_CBLOCK] = {0};
    SHA256_CTX c;
    const tp_str parts[] = {key, key_rest};
    if (key.len + key_rest.len > sizeof(block)) {
        sign_sha256(parts, 2, block);
    } else {
        if (key.len)
            memcpy(block, key.ptr, key.len);
        if (key_rest.len)
            memcpy(block + key.len, key_rest.ptr, key_rest.len);
    }
    begin(&c, block, 0x36);
    update(&c, message);
    TP_MUST(SHA256_Final(out, &c) == 1);
    begin(&c, block, 0x5c);
    TP_MUST(SHA256_Update(&c, out, SIGN_HASH) == 1 && SHA256_Final(out, &c) == 1);
    sign_wipe(&c, sizeof(c));
    sign_wipe(block, sizeof(block));
}

void sign_hex(const unsigned char *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        *out++ = "0123456789abcdef"[p[i] >> 4];
        *out++ = "0123456789abcdef"[p[i] & 15];
    }
}

void sign_wipe(void *p, size_t n)
{
    if (n)
        OPENSSL_cleanse(p, n);
}

int sign_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

char *sign_percent(char *to, tp_str s, char keep)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (sign_unreserved(c) || (keep && c == (unsigned char)keep)) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = "0123456789ABCDEF"[c >> 4];
        *to++ = "0123456789ABCDEF"[c & 15];
    }
    return to;
}
