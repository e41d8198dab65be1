/* Google's credential documents, and the requests that exchange them for a token: RFC 7523 for
 * service accounts, a refresh (RFC 6749 6) for users who have logged in. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/str.h"
#include "model/json.h"
#include "sign/sign_int.h"

#define LIFETIME_S 3600
enum { DOCUMENT_TOKENS = 256, DOCUMENT_DEPTH = 8, LEAST_RSA_BITS = 2048, MOST_RSA_BYTES = 2048 };

/* ---- The document. */

typedef struct reader {
    const tp_doc *d;
    arena *a;
    tp_error *err;
    int rc;
} reader;

/* A member's text, always in the arena, so that sign_google_wipe may overwrite it. */
static tp_str member(reader *r, const char *name, int required)
{
    uint32_t t = json_find(r->d, 0, str_of(name));
    tp_str s = STR(""), text = r->d->text;
    if (r->rc)
        return s;
    if (t && json_kind(r->d, t) == TP_STRING)
        s = json_string(r->d, t, r->a);
    else if (t && json_kind(r->d, t) != TP_NULL)
        r->rc = tp_error_set(r->err, TP_ERROR_PARSE, "its '%s' is not a string", name);
    if (s.len && s.ptr >= text.ptr && s.ptr < text.ptr + text.len)
        s = arena_str(r->a, s);
    if (!s.ptr)
        r->rc = tp_error_set(r->err, TP_ERROR_LIMIT, "there is no memory for its '%s'", name);
    else if (!r->rc && required && !s.len)
        r->rc = tp_error_set(r->err, TP_ERROR_PARSE, "it has no '%s'", name);
    return s.ptr ? s : STR("");
}

static int read_document(reader *r, sign_google *out)
{
    if (json_kind(r->d, 0) != TP_OBJECT)
        return tp_error_set(r->err, TP_ERROR_PARSE,
                            "it is not a JSON object; expected Google's credential document");
    tp_str type = member(r, "type", 1);
    if (r->rc)
        return r->rc;
    if (str_eq(type, STR("service_account"))) {
        out->kind = SIGN_GOOGLE_SERVICE_ACCOUNT;
        out->client_email = member(r, "client_email", 1);
        out->private_key = member(r, "private_key", 1);
        out->private_key_id = member(r, "private_key_id", 0);
    } else if (str_eq(type, STR("authorized_user"))) {
        out->kind = SIGN_GOOGLE_USER;
        out->client_id = member(r, "client_id", 1);
        out->client_secret = member(r, "client_secret", 1);
        out->refresh_token = member(r, "refresh_token", 1);
    } else {
        return tp_error_set(r->err, TP_ERROR_PARSE,
                            "its 'type' is not one that is known here; expected "
                            "\"service_account\" or \"authorized_user\"");
    }
    out->token_uri = member(r, "token_uri", 0);
    if (!out->token_uri.len)
        out->token_uri = STR(SIGN_GOOGLE_TOKEN_URI);
    return r->rc;
}

int sign_google_parse(tp_str text, arena *a, sign_google *out, tp_error *err)
{
    json_tape tape = {.max = DOCUMENT_TOKENS, .max_depth = DOCUMENT_DEPTH};
    json_error why = {0};
    *out = (sign_google){.kind = 0};
    if (text.len > SIGN_GOOGLE_MOST)
        return tp_error_set(err, TP_ERROR_PARSE, "it is over 16 KiB");
    if (json_scan(text, &tape, &why) != 0) {
        json_tape_free(&tape);
        return tp_error_set(err, TP_ERROR_PARSE,
                            "it is no JSON document as Google gives them out (at byte %u: %s)",
                            why.at + 1, why.what ? why.what : "too large");
    }
    tp_doc d = json_doc(text, &tape);
    reader r = {.d = &d, .a = a, .err = err};
    int rc = read_document(&r, out);
    json_tape_free(&tape);
    return rc;
}

void sign_google_wipe(sign_google *g)
{
    tp_str secrets[] = {g->private_key, g->client_secret, g->refresh_token};
    for (size_t i = 0; i < TP_COUNT(secrets); i++)
        sign_wipe((char *)(uintptr_t)secrets[i].ptr, secrets[i].len);
    *g = (sign_google){.kind = 0};
}

/* ---- Where the token comes from. */

int sign_google_is_public(tp_str uri)
{
    static const char *const own[] = {SIGN_GOOGLE_TOKEN_URI,
                                      "https://accounts.google.com/o/oauth2/token",
                                      "https://www.googleapis.com/oauth2/v4/token"};
    for (size_t i = 0; i < TP_COUNT(own); i++)
        if (str_eq(uri, str_of(own[i])))
            return 1;
    return 0;
}

static int is_loopback(tp_str rest)
{
    tp_str host = str_make(rest.ptr, str_find(rest, '/'));
    if (str_starts(host, STR("[::1]")))
        return host.len == 5 || host.ptr[5] == ':';
    host.len = str_find(host, ':');
    if (str_eq(host, STR("localhost")))
        return 1;
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] != '.' && (host.ptr[i] < '0' || host.ptr[i] > '9'))
            return 0;
    return str_starts(host, STR("127."));
}

static int check_uri(tp_str uri, tp_error *err)
{
    if (str_starts(uri, STR("https://")) && uri.len > 8 && uri.len <= 1024)
        return 0;
    if (str_starts(uri, STR("http://")) && uri.len <= 1024 && is_loopback(str_skip(uri, 7)))
        return 0;
    return tp_error_set(err, TP_ERROR_CONFIG,
                        "its 'token_uri' does not begin with https:// (http:// is for loopback "
                        "addresses only): the credential would go over the network in the clear");
}

/* ---- The key. */

/* An encrypted PEM has no place here, and OpenSSL must not ask the terminal for its password. */
static int no_password(char *to, int room, int writing, void *arg)
{
    (void)to;
    (void)room;
    (void)writing;
    (void)arg;
    return -1;
}

static EVP_PKEY *read_key(tp_str pem, tp_error *err)
{
    BIO *bio = pem.len <= SIGN_GOOGLE_MOST ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (!key) {
        tp_error_set(err, TP_ERROR_CONFIG,
                     "its 'private_key' cannot be read; expected a PEM (\"-----BEGIN PRIVATE "
                     "KEY-----\", lines, \"-----END PRIVATE KEY-----\"), not encrypted");
        return NULL;
    }
    if (EVP_PKEY_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_bits(key) < LEAST_RSA_BITS ||
        EVP_PKEY_size(key) > MOST_RSA_BYTES) {
        tp_error_set(err, TP_ERROR_CONFIG,
                     "its 'private_key' is not an RSA key of 2,048 bits or more");
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

int sign_google_check(const sign_google *g, tp_error *err)
{
    int rc = check_uri(g->token_uri, err);
    if (rc || g->kind != SIGN_GOOGLE_SERVICE_ACCOUNT)
        return rc;
    EVP_PKEY *key = read_key(g->private_key, err);
    if (!key)
        return TP_ERROR_CONFIG;
    EVP_PKEY_free(key);
    return 0;
}

/* ---- The assertion. */

/* base64url without padding (RFC 7515 2) */
static int add_base64url(buf *out, const unsigned char *p, size_t n)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    int rc = buf_reserve(out, (n + 2) / 3 * 4);
    for (size_t i = 0; rc == 0 && i < n; i += 3) {
        size_t left = n - i;
        unsigned v = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0u) |
                     (left > 2 ? (unsigned)p[i + 2] : 0u);
        char four[4] = {letters[v >> 18], letters[v >> 12 & 63], letters[v >> 6 & 63],
                        letters[v & 63]};
        rc = buf_add(out, four, left > 2 ? 4 : left + 1);
    }
    return rc;
}

static int claims(const sign_google *g, tp_str scope, int64_t now_s, buf *head, buf *body)
{
    int rc = buf_adds(head, STR("{\"alg\":\"RS256\",\"typ\":\"JWT\""));
    if (rc == 0 && g->private_key_id.len) {
        rc = buf_adds(head, STR(",\"kid\":"));
        rc = rc ? rc : buf_json_string(head, g->private_key_id);
    }
    rc = rc ? rc : buf_adds(head, STR("}"));
    rc = rc ? rc : buf_adds(body, STR("{\"iss\":"));
    rc = rc ? rc : buf_json_string(body, g->client_email);
    rc = rc ? rc : buf_adds(body, STR(",\"scope\":"));
    rc = rc ? rc : buf_json_string(body, scope);
    rc = rc ? rc : buf_adds(body, STR(",\"aud\":"));
    rc = rc ? rc : buf_json_string(body, g->token_uri);
    return rc ? rc
              : buf_printf(body, ",\"iat\":%lld,\"exp\":%lld}", (long long)now_s,
                           (long long)now_s + LIFETIME_S);
}

/* Signs what stands in out from `from` on, and appends the signature. */
static int add_signature(EVP_PKEY *key, buf *out, size_t from)
{
    unsigned char sig[MOST_RSA_BYTES];
    size_t n = sizeof(sig);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    int ok = c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
             EVP_DigestSign(c, sig, &n, (const unsigned char *)out->ptr + from,
                            out->len - from) == 1;
    EVP_MD_CTX_free(c);
    ERR_clear_error();
    int rc = ok ? buf_adds(out, STR(".")) : TP_ERROR_CONFIG;
    return rc ? rc : add_base64url(out, sig, n);
}

static int add_assertion(const sign_google *g, tp_str scope, int64_t now_s, buf *out, tp_error *err)
{
    EVP_PKEY *key = read_key(g->private_key, err);
    buf head, body;
    if (!key)
        return TP_ERROR_CONFIG;
    buf_init(&head, SIGN_GOOGLE_MOST);
    buf_init(&body, 4 * SIGN_GOOGLE_MOST);
    int rc = claims(g, scope, now_s, &head, &body);
    size_t from = out->len;
    rc = rc ? rc : add_base64url(out, (const unsigned char *)head.ptr, head.len);
    rc = rc ? rc : buf_adds(out, STR("."));
    rc = rc ? rc : add_base64url(out, (const unsigned char *)body.ptr, body.len);
    if (rc == 0)
        rc = add_signature(key, out, from);
    if (rc)
        rc = tp_error_set(err, rc == TP_ERROR_CONFIG ? rc : TP_ERROR_LIMIT,
                          rc == TP_ERROR_CONFIG ? "its 'private_key' cannot sign"
                                                : "the token request is too large");
    EVP_PKEY_free(key);
    buf_free(&head);
    buf_free(&body);
    return rc;
}

static int add_form(buf *out, tp_str name, tp_str value)
{
    int rc = out->len ? buf_adds(out, STR("&")) : 0;
    rc = rc ? rc : buf_adds(out, name);
    rc = rc ? rc : buf_adds(out, STR("="));
    rc = rc ? rc : buf_reserve(out, value.len * 3);
    if (rc == 0)
        out->len = (size_t)(sign_percent(out->ptr + out->len, value, 0) - out->ptr);
    return rc;
}

int sign_google_body(const sign_google *g, tp_str scope, int64_t unix_s, buf *out, tp_error *err)
{
    int rc;
    if (g->kind == SIGN_GOOGLE_SERVICE_ACCOUNT) {
        rc = add_form(out, STR("grant_type"), STR("urn:ietf:params:oauth:grant-type:jwt-bearer"));
        rc = rc ? rc : buf_adds(out, STR("&assertion="));
        if (rc == 0)
            return add_assertion(g, scope, unix_s, out, err);
    } else {
        rc = add_form(out, STR("grant_type"), STR("refresh_token"));
        rc = rc ? rc : add_form(out, STR("client_id"), g->client_id);
        rc = rc ? rc : add_form(out, STR("client_secret"), g->client_secret);
        rc = rc ? rc : add_form(out, STR("refresh_token"), g->refresh_token);
    }
    return rc ? tp_error_set(err, TP_ERROR_LIMIT, "the token request is too large") : 0;
}
