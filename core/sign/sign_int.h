/* What the files of this room share. */
#ifndef TP_SIGN_SIGN_INT_H
#define TP_SIGN_SIGN_INT_H
#include "sign/sign.h"

#define SIGN_HASH 32u

/* SHA-256 and HMAC-SHA-256 over pieces, by OpenSSL's low-level functions: EVP would set up providers
 * that an idle gateway needs no memory for. */
void sign_sha256(const tp_str *segs, uint32_t count, unsigned char out[SIGN_HASH]);
/* key: of two parts, joined; each may be empty. out may be one of the inputs' memory. */
void sign_hmac(tp_str key, tp_str key_rest, tp_str message, unsigned char out[SIGN_HASH]);
void sign_hex(const unsigned char *p, size_t n, char *out); /* 2 n bytes, no NUL */
void sign_wipe(void *p, size_t n);                          /* not optimised away */
/* RFC 3986: letters, digits, '-', '.', '_', '~' */
int sign_unreserved(unsigned char c);
/* Appends s with all but unreserved characters (and `keep`, 0: none) as %XX; room for 3 s.len. */
char *sign_percent(char *to, tp_str s, char keep);
#endif
