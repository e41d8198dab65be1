/* Sealing: version 1 is one byte 1, a nonce of 12 bytes, the text under AES-256-GCM, and the tag of
 * 16 bytes. The version and what the caller binds are authenticated with it. */
#include <limits.h>
#include <openssl/evp.h>

#include "admit/secret_int.h"

enum { SEAL_VERSION = 1, NONCE = 12, TAG = 16, HEAD = 1 + NONCE };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int secret_from_hex(tp_str text, unsigned char out[32])
{
    if (text.len != 64)
        return 0;
    for (size_t i = 0; i < 32; i++) {
        int high = hex_digit(text.ptr[i * 2]), low = hex_digit(text.ptr[i * 2 + 1]);
        if (high < 0 || low < 0)
            return 0;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return 1;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* 43 characters, with or without the '=' that fills up to 44; either alphabet. */
static int from_base64(tp_str text, unsigned char out[32])
{
    unsigned bits = 0, have = 0;
    size_t n = 0;
    if (text.len == 44 && text.ptr[43] == '=')
        text.len--;
    if (text.len != 43)
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        int v = base64_digit(text.ptr[i]);
        if (v < 0)
            return 0;
        bits = (bits << 6 | (unsigned)v) & 0xffffu;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (unsigned char)(bits >> have);
        }
    }
    return (bits & ((1u << have) - 1)) == 0; /* 258 bits were written: the last two mean nothing */
}

int secret_master_parse(tp_str text, secret_master *out, tp_error *err)
{
    if (secret_from_hex(text, out->key) || from_base64(text, out->key))
        return 0;
    secret_wipe(out, sizeof(*out));
    return tp_error_set(err, TP_ERROR_CONFIG,
                        "the master key of customers' provider keys must be 32 bytes as 64 hex "
                        "digits or as 43 or 44 characters of base64; `openssl rand -hex 32` makes "
                        "one");
}

/* Key, nonce and what is authenticated beside the text. */
static int begin(EVP_CIPHER_CTX *c, int seal, const secret_master *m, const unsigned char *head,
                 tp_str bound)
{
    int n;
    return bound.len <= INT_MAX &&
           EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, m->key, head + 1, seal) == 1 &&
           EVP_CipherUpdate(c, NULL, &n, head, 1) == 1 &&
           (bound.len == 0 ||
            EVP_CipherUpdate(c, NULL, &n, (const unsigned char *)bound.ptr, (int)bound.len) == 1);
}

size_t secret_seal(const secret_master *m, tp_str bound, tp_str plain, unsigned char *out)
{
    int n = 0, last = 0, ok = 0;
    EVP_CIPHER_CTX *c = plain.len <= INT_MAX ? EVP_CIPHER_CTX_new() : NULL;
    if (!c)
        return 0;
    out[0] = SEAL_VERSION;
    secret_random(out + 1, NONCE);
    if (begin(c, 1, m, out, bound))
        ok =
            (plain.len == 0 || EVP_CipherUpdate(c, out + HEAD, &n, (const unsigned char *)plain.ptr,
                                                (int)plain.len) == 1) &&
            EVP_CipherFinal_ex(c, out + HEAD + n, &last) == 1 &&
            EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, out + HEAD + n) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok ? plain.len + SECRET_SEAL : 0;
}

int64_t secret_open(const secret_master *m, tp_str bound, tp_str sealed, char *out)
{
    int n = 0, last = 0, ok = 0;
    unsigned char tag[TAG];
    const unsigned char *in = (const unsigned char *)sealed.ptr;
    if (sealed.len < SECRET_SEAL || sealed.len > INT_MAX || in[0] != SEAL_VERSION)
        return -1;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (!c)
        return -1;
    size_t len = sealed.len - SECRET_SEAL;
    memcpy(tag, in + HEAD + len, TAG);
    if (begin(c, 0, m, in, bound))
        ok =
            (len == 0 || EVP_CipherUpdate(c, (unsigned char *)out, &n, in + HEAD, (int)len) == 1) &&
            EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
            EVP_CipherFinal_ex(c, (unsigned char *)out + n, &last) == 1;
    EVP_CIPHER_CTX_free(c);
    if (!ok)
        secret_wipe(out, len); /* what did not prove itself is not to be seen */
    return ok ? (int64_t)len : -1;
}
