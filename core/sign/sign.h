/* Credentials that are more than a header: a signature over the request (AWS Signature Version 4),
 * and what is exchanged for a token (Google's service accounts and logged-in users). Pure: bytes in,
 * bytes out; time is an argument. Nothing here is logged, and no error names a secret. All functions:
 * [any] thread. */
#ifndef TP_SIGN_SIGN_H
#define TP_SIGN_SIGN_H
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

/* ---- AWS Signature Version 4, in the Authorization header. */

typedef struct sign_aws_key { /* borrowed spans of the text that it was parsed from */
    tp_str id, secret, token; /* token: of a session; empty: none */
} sign_aws_key;
#define SIGN_AWS_FORM "ACCESS_KEY_ID:SECRET_ACCESS_KEY or ACCESS_KEY_ID:SECRET_ACCESS_KEY:SESSION_TOKEN"
/* SIGN_AWS_FORM -> *out. 0, or -1: it has not that form. */
int sign_aws_key_parse(tp_str text, sign_aws_key *out);

enum { SIGN_AWS4_ALL_HEADERS = 1, /* all headers are signed, not only host, content-type and x-amz-* */
       SIGN_AWS4_BODY_HASH = 2    /* X-Amz-Content-Sha256 is added and signed; always for s3 */ };
typedef struct sign_aws4_request { /* borrowed */
    tp_str method, target; /* as they go over the wire */
    tp_str host;           /* the Host header's value */
    const tp_header *headers;
    const tp_str *segs; /* the body */
    uint32_t header_count, seg_count;
    tp_str service, region;
    sign_aws_key key;
    int64_t unix_ms;
    uint32_t flags, reserved;
} sign_aws4_request;
#define SIGN_AWS4_HEADERS 4
typedef struct sign_aws4_result { /* in the arena */
    tp_header headers[SIGN_AWS4_HEADERS]; /* to be added to the request */
    uint32_t header_count, reserved;
    tp_str canonical, to_sign; /* what was signed, to look into */
} sign_aws4_result;
/* 0, or a negative code with *why, a sentence: out of memory, or a request that cannot be signed
 * (a header that the signature brings itself, a service or region that is no plain word). */
int sign_aws4(const sign_aws4_request *r, arena *a, sign_aws4_result *out, const char **why);

/* ---- Google. */

enum { SIGN_GOOGLE_SERVICE_ACCOUNT = 1, SIGN_GOOGLE_USER = 2 };
typedef struct sign_google { /* a credential document; strings in the arena given to the parser */
    int32_t kind, reserved;
    tp_str token_uri; /* as written, else SIGN_GOOGLE_TOKEN_URI */
    tp_str client_email, private_key, private_key_id; /* service account; private_key: PEM */
    tp_str client_id, client_secret, refresh_token;   /* user */
} sign_google;
#define SIGN_GOOGLE_TOKEN_URI "https://oauth2.googleapis.com/token"
#define SIGN_GOOGLE_MOST 16384u /* bytes of a document */

/* Parses "service_account" and "authorized_user" documents, whose members it checks for being there.
 * 0, or TP_ERROR_PARSE with a sentence that names the member. */
int sign_google_parse(tp_str text, arena *a, sign_google *out, tp_error *err);
/* Overwrites the secrets in g's memory, before the arena is reset. */
void sign_google_wipe(sign_google *g);
/* What parsing does not look at: can the private key be read and is it RSA of 2,048 bits or more, is
 * the token_uri one that an operator may write (https, or http to a loopback address)? 0, or
 * TP_ERROR_CONFIG with a sentence. Costs what reading a PEM does, under a millisecond. */
int sign_google_check(const sign_google *g, tp_error *err);
/* Is the token_uri one of Google's own? */
int sign_google_is_public(tp_str token_uri);
/* Appends the body of the token request (application/x-www-form-urlencoded): for a service account
 * an assertion (RS256) for that scope, valid for an hour; for a user the refresh token, whose scopes
 * were chosen at the login. 0, or TP_ERROR_CONFIG or TP_ERROR_LIMIT with a sentence. The buffer holds
 * a secret. An RSA signature costs about a millisecond. */
int sign_google_body(const sign_google *g, tp_str scope, int64_t unix_s, buf *out, tp_error *err);

/* ---- The reply of a token endpoint (RFC 6749 5). */
typedef struct sign_token {
    tp_str token; /* fit for a header; in the arena */
    int64_t lifetime_s; /* 1 .. 86,400 */
} sign_token;
/* 0; or a negative code with a sentence that names the status and what the endpoint said of it. */
int sign_token_parse(int32_t status, tp_str body, arena *a, sign_token *out, tp_error *err);
#endif
