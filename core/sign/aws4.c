/* AWS Signature Version 4: the request in one canonical form, a string to sign that names its hash,
 * and a key derived from the secret for that day, region and service. */
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "sign/sign_int.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define STAMP 16u /* 20150830T123600Z */
enum { MOST_HEADERS = 256, MOST_PARAMETERS = 256 };

typedef struct field { /* a header in canonical form */
    tp_str name, value;
} field;
typedef struct signer {
    const sign_aws4_request *r;
    arena *a;
    sign_aws4_result *out;
    const char **why;
    field *fields;
    uint32_t field_count;
    tp_str stamp, body_hash, scope, signed_names;
} signer;

int sign_aws_key_parse(tp_str text, sign_aws_key *out)
{
    size_t at = str_find(text, ':');
    tp_str rest = str_skip(text, at + 1);
    *out = (sign_aws_key){.id = str_make(text.ptr, at), .token = STR("")};
    if (at == text.len || str_has_control(text) || str_has(text, ' '))
        return -1;
    at = str_find(rest, ':');
    out->secret = str_make(rest.ptr, at);
    if (at < rest.len)
        out->token = str_skip(rest, at + 1);
    if (!out->id.len || !out->secret.len || (at < rest.len && !out->token.len))
        return -1;
    return str_has(out->token, ':') ? -1 : 0;
}

static int fail(signer *s, int code, const char *why)
{
    *s->why = why;
    return code;
}

static int no_memory(signer *s)
{
    return fail(s, TP_E_NOMEM, "the gateway is out of memory");
}

/* ---- The path: dot segments and empty ones go, what is left is encoded once more. s3 takes it as
 * it stands. */
static char *put_path(char *to, tp_str path, int as_it_stands)
{
    char *begin = to;
    size_t i = 0;
    if (as_it_stands) {
        if (!path.len)
            *to++ = '/';
        for (; i < path.len; i++)
            to = path.ptr[i] == '%' ? (*to = '%', to + 1)
                                    : sign_percent(to, str_make(path.ptr + i, 1), '/');
        return to;
    }
    while (i < path.len) {
        while (i < path.len && path.ptr[i] == '/')
            i++;
        tp_str one = str_skip(path, i);
        one.len = str_find(one, '/');
        i += one.len;
        if (str_eq(one, STR(".."))) {
            while (to > begin && *--to != '/')
                continue;
        } else if (one.len && !str_eq(one, STR("."))) {
            *to++ = '/';
            to = sign_percent(to, one, 0);
        }
    }
    if (to == begin || path.ptr[path.len - 1] == '/')
        *to++ = '/';
    return to;
}

/* ---- The query: each name and value in one encoding, sorted. */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* What is encoded already stays encoded, whatever its case and whether it had to be. */
static char *put_parameter(char *to, tp_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%' && i + 2 < s.len && hex_digit(s.ptr[i + 1]) >= 0 &&
            hex_digit(s.ptr[i + 2]) >= 0) {
            c = (char)(hex_digit(s.ptr[i + 1]) << 4 | hex_digit(s.ptr[i + 2]));
            i += 2;
        }
        to = sign_percent(to, str_make(&c, 1), 0);
    }
    return to;
}

static int order(tp_str a, tp_str b)
{
    size_t n = TP_MIN(a.len, b.len);
    int rc = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return rc ? rc : (a.len > b.len) - (a.len < b.len);
}

static int field_order(const field *a, const field *b, int values)
{
    int rc = order(a->name, b->name);
    return rc || !values ? rc : order(a->value, b->value);
}

/* Insertion sort: there are few, and equal ones keep their order. */
static void sort(field *f, uint32_t n, int values)
{
    for (uint32_t i = 1; i < n; i++) {
        field one = f[i];
        uint32_t k = i;
        for (; k && field_order(&f[k - 1], &one, values) > 0; k--)
            f[k] = f[k - 1];
        f[k] = one;
    }
}

static int query_of(signer *s, tp_str query, tp_str *out)
{
    uint32_t count = 0, most = 1;
    for (size_t i = 0; i < query.len; i++)
        most += query.ptr[i] == '&';
    if (most > MOST_PARAMETERS)
        return fail(s, TP_E_INTERNAL, "its query has more than 256 parameters");
    field *list = arena_alloc(s->a, most * sizeof(*list));
    char *text = arena_alloc(s->a, query.len * 3 + most);
    char *joined = arena_alloc(s->a, query.len * 3 + most * 2);
    if (!list || !text || !joined)
        return no_memory(s);
    for (tp_str rest = query; rest.len; rest = str_skip(rest, str_find(rest, '&') + 1)) {
        tp_str one = str_make(rest.ptr, str_find(rest, '&'));
        size_t eq = str_find(one, '=');
        if (!one.len)
            continue;
        char *value = put_parameter(text, str_make(one.ptr, eq));
        char *end = put_parameter(value, str_skip(one, eq + 1));
        list[count++] = (field){str_make(text, (size_t)(value - text)),
                                str_make(value, (size_t)(end - value))};
        text = end;
    }
    sort(list, count, 1);
    char *to = joined;
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            *to++ = '&';
        str_copy(to, list[i].name.ptr, list[i].name.len);
        to += list[i].name.len;
        *to++ = '=';
        str_copy(to, list[i].value.ptr, list[i].value.len);
        to += list[i].value.len;
    }
    *out = str_make(joined, (size_t)(to - joined));
    return 0;
}

/* ---- The headers. */
static int add_field(signer *s, tp_str name, tp_str value)
{
    char *lower = arena_alloc(s->a, name.len + value.len), *at;
    if (!lower)
        return no_memory(s);
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] | 0x20
                                                                   : name.ptr[i]);
    at = lower + name.len;
    value = str_trim(value);
    for (size_t i = 0; i < value.len; i++) /* runs of spaces are one space */
        if (value.ptr[i] != ' ' || value.ptr[i - 1] != ' ')
            *at++ = value.ptr[i];
    s->fields[s->field_count++] = (field){str_make(lower, name.len),
                                          str_make(lower + name.len,
                                                   (size_t)(at - lower) - name.len)};
    return 0;
}

static int starts_ieq(tp_str s, tp_str prefix)
{
    return s.len >= prefix.len && str_ieq(str_make(s.ptr, prefix.len), prefix);
}

/* A header that the signature brings: it goes onto the request, too. */
static int add_own(signer *s, tp_str name, tp_str value)
{
    s->out->headers[s->out->header_count++] = (tp_header){name, value};
    return add_field(s, name, value);
}

static int collect_fields(signer *s)
{
    static const tp_str own[] = {{"authorization", 13}, {"x-amz-date", 10}, {"host", 4},
                                 {"x-amz-security-token", 20}, {"x-amz-content-sha256", 20}};
    const sign_aws4_request *r = s->r;
    int hashed = (r->flags & SIGN_AWS4_BODY_HASH) || str_eq(r->service, STR("s3")), rc;
    if (r->header_count > MOST_HEADERS - SIGN_AWS4_HEADERS)
        return fail(s, TP_E_INTERNAL, "it has more than 252 headers");
    s->fields = arena_alloc(s->a, (r->header_count + SIGN_AWS4_HEADERS) * sizeof(*s->fields));
    if (!s->fields)
        return no_memory(s);
    rc = add_field(s, STR("host"), r->host);
    if (rc == 0)
        rc = add_own(s, STR("X-Amz-Date"), s->stamp);
    if (rc == 0 && r->key.token.len)
        rc = add_own(s, STR("X-Amz-Security-Token"), r->key.token);
    if (rc == 0 && hashed)
        rc = add_own(s, STR("X-Amz-Content-Sha256"), s->body_hash);
    for (uint32_t i = 0; rc == 0 && i < r->header_count; i++) {
        tp_str name = r->headers[i].name;
        for (size_t k = 0; k < TP_COUNT(own); k++)
            if (str_ieq(name, own[k]))
                return fail(s, TP_E_INTERNAL, "it has a header already that the signature sets "
                                              "(authorization, host, x-amz-date, "
                                              "x-amz-security-token, x-amz-content-sha256)");
        if ((r->flags & SIGN_AWS4_ALL_HEADERS) || str_ieq(name, STR("content-type")) ||
            starts_ieq(name, STR("x-amz-")))
            rc = add_field(s, name, r->headers[i].value);
    }
    if (rc == 0)
        sort(s->fields, s->field_count, 0);
    return rc;
}

/* "host;x-amz-date", each name once. */
static int join_names(signer *s)
{
    size_t n = 0;
    for (uint32_t i = 0; i < s->field_count; i++)
        n += s->fields[i].name.len + 1;
    char *begin = arena_alloc(s->a, n), *to = begin;
    if (!begin)
        return no_memory(s);
    for (uint32_t i = 0; i < s->field_count; i++) {
        tp_str name = s->fields[i].name;
        if (i && str_eq(name, s->fields[i - 1].name))
            continue;
        if (to > begin)
            *to++ = ';';
        str_copy(to, name.ptr, name.len);
        to += name.len;
    }
    s->signed_names = str_make(begin, (size_t)(to - begin));
    return 0;
}

/* ---- Put together. */
static char *put(char *to, tp_str s)
{
    if (s.len)
        memcpy(to, s.ptr, s.len);
    return to + s.len;
}

static int canonical_request(signer *s)
{
    const sign_aws4_request *r = s->r;
    size_t mark = str_find(r->target, '?');
    tp_str path = str_make(r->target.ptr, mark), query = STR("");
    int rc = query_of(s, str_skip(r->target, mark + 1), &query);
    if (rc)
        return rc;
    size_t n = r->method.len + path.len * 3 + query.len + s->signed_names.len + s->body_hash.len + 16;
    for (uint32_t i = 0; i < s->field_count; i++)
        n += s->fields[i].name.len + s->fields[i].value.len + 2;
    char *begin = arena_alloc(s->a, n), *to = begin;
    if (!begin)
        return no_memory(s);
    to = put(to, r->method);
    *to++ = '\n';
    to = put_path(to, path, str_eq(r->service, STR("s3")));
    *to++ = '\n';
    to = put(to, query);
    *to++ = '\n';
    for (uint32_t i = 0; i < s->field_count; i++) {
        const field *f = &s->fields[i];
        if (i && str_eq(f->name, f[-1].name)) {
            to[-1] = ','; /* the same header again: its value follows the other one's */
        } else {
            to = put(to, f->name);
            *to++ = ':';
        }
        to = put(to, f->value);
        *to++ = '\n';
    }
    *to++ = '\n';
    to = put(to, s->signed_names);
    *to++ = '\n';
    to = put(to, s->body_hash);
    TP_MUST((size_t)(to - begin) <= n);
    s->out->canonical = str_make(begin, (size_t)(to - begin));
    return 0;
}

static int string_to_sign(signer *s)
{
    unsigned char hash[SIGN_HASH];
    char hex[SIGN_HASH * 2];
    sign_sha256(&s->out->canonical, 1, hash);
    sign_hex(hash, sizeof(hash), hex);
    s->out->to_sign =
        arena_printf(s->a, ALGORITHM "\n%.*s\n%.*s\n%.*s", STR_ARG(s->stamp), STR_ARG(s->scope),
                     (int)sizeof(hex), hex);
    return s->out->to_sign.ptr ? 0 : no_memory(s);
}

static int authorize(signer *s)
{
    const sign_aws4_request *r = s->r;
    unsigned char key[SIGN_HASH];
    char hex[SIGN_HASH * 2];
    const tp_str k = {(const char *)key, sizeof(key)};
    sign_hmac(STR("AWS4"), r->key.secret, str_make(s->stamp.ptr, 8), key);
    sign_hmac(k, STR(""), r->region, key);
    sign_hmac(k, STR(""), r->service, key);
    sign_hmac(k, STR(""), STR("aws4_request"), key);
    sign_hmac(k, STR(""), s->out->to_sign, key);
    sign_hex(key, sizeof(key), hex);
    tp_str value = arena_printf(
        s->a, ALGORITHM " Credential=%.*s/%.*s, SignedHeaders=%.*s, Signature=%.*s",
        STR_ARG(r->key.id), STR_ARG(s->scope), STR_ARG(s->signed_names), (int)sizeof(hex), hex);
    s->out->headers[s->out->header_count++] = (tp_header){STR("Authorization"), value};
    return value.ptr ? 0 : no_memory(s);
}

/* The time, the scope and the body's hash. */
static int prepare(signer *s)
{
    const sign_aws4_request *r = s->r;
    unsigned char hash[SIGN_HASH];
    char hex[SIGN_HASH * 2];
    time_t at = (time_t)(r->unix_ms / 1000);
    struct tm tm;
    if (!gmtime_r(&at, &tm) || tm.tm_year < 0 || tm.tm_year > 8099)
        return fail(s, TP_E_INTERNAL, "the clock shows a year that has not four digits");
    s->stamp = arena_printf(s->a, "%04d%02d%02dT%02d%02d%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                            tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    s->scope = s->stamp.ptr ? arena_printf(s->a, "%.*s/%.*s/%.*s/aws4_request", 8, s->stamp.ptr,
                                           STR_ARG(r->region), STR_ARG(r->service))
                            : STR_NONE;
    sign_sha256(r->segs, r->seg_count, hash);
    sign_hex(hash, sizeof(hash), hex);
    s->body_hash = arena_str(s->a, str_make(hex, sizeof(hex)));
    TP_MUST(!s->stamp.ptr || s->stamp.len == STAMP);
    return s->scope.ptr && s->body_hash.ptr ? 0 : no_memory(s);
}

static int is_word(tp_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!sign_unreserved((unsigned char)s.ptr[i]))
            return 0;
    return s.len > 0 && s.len <= 64;
}

int sign_aws4(const sign_aws4_request *r, arena *a, sign_aws4_result *out, const char **why)
{
    signer s = {.r = r, .a = a, .out = out, .why = why};
    *out = (sign_aws4_result){.header_count = 0};
    if (!is_word(r->service) || !is_word(r->region))
        return fail(&s, TP_E_INTERNAL, "service and region must be words of letters, digits and "
                                       "'-', such as \"bedrock\" and \"us-east-1\"");
    int rc = prepare(&s);
    rc = rc ? rc : collect_fields(&s);
    rc = rc ? rc : join_names(&s);
    rc = rc ? rc : canonical_request(&s);
    rc = rc ? rc : string_to_sign(&s);
    return rc ? rc : authorize(&s);
}
