/* What a token endpoint answers: a token, or why there is none. */
#include <string.h>

#include "base/str.h"
#include "model/json.h"
#include "sign/sign_int.h"

enum { REPLY_TOKENS = 256, REPLY_DEPTH = 8, MOST_TOKEN = 16384, SHOWN = 240 };
#define UNSAID_S 600    /* how long a token is taken to last whose life was not said */
#define LONGEST_S 86400

/* Words of somebody else's in a sentence of ours: printable ASCII, and not long. */
static void put_shown(char *to, size_t room, tp_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len && n + 1 < room; i++)
        to[n++] = s.ptr[i] >= 0x20 && s.ptr[i] < 0x7f ? s.ptr[i] : ' ';
    to[n] = 0;
}

static tp_str text_of(const tp_doc *d, uint32_t object, const char *name, arena *a)
{
    uint32_t t = json_kind(d, object) == TP_OBJECT ? json_find(d, object, str_of(name)) : 0;
    tp_str s = t && json_kind(d, t) == TP_STRING ? json_string(d, t, a) : STR("");
    return s.ptr ? s : STR("");
}

/* {"error": "invalid_grant", "error_description": "..."}, or the form of Google's other APIs:
 * {"error": {"status": "...", "message": "..."}} */
static int refusal(int32_t status, const tp_doc *d, arena *a, tp_error *err)
{
    char code[SHOWN], words[SHOWN];
    tp_str name = STR(""), about = STR("");
    if (d) {
        uint32_t inner = json_kind(d, 0) == TP_OBJECT ? json_find(d, 0, STR("error")) : 0;
        int nested = inner && json_kind(d, inner) == TP_OBJECT;
        name = nested ? text_of(d, inner, "status", a) : text_of(d, 0, "error", a);
        about = nested ? text_of(d, inner, "message", a) : text_of(d, 0, "error_description", a);
    }
    put_shown(code, sizeof(code), name);
    put_shown(words, sizeof(words), about);
    return tp_error_set(err, TP_ERROR_IO, "the token endpoint answered %d%s%s%s%s", status,
                        name.len ? " " : "", code, about.len ? ": " : "", words);
}

static int is_token(tp_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f)
            return 0;
    return s.len > 0 && s.len <= MOST_TOKEN;
}

static int lifetime(const tp_doc *d, int64_t *out)
{
    uint32_t t = json_find(d, 0, STR("expires_in"));
    tp_str digits;
    *out = UNSAID_S;
    if (!t || json_kind(d, t) == TP_NULL)
        return 0;
    if (json_int(d, t, out) != 0 && (!json_plain(d, t, &digits) || str_to_i64(digits, out) != 0))
        return -1;
    *out = TP_MIN(*out, (int64_t)LONGEST_S);
    return *out > 0 ? 0 : -1;
}

static int granted(const tp_doc *d, arena *a, sign_token *out, tp_error *err)
{
    static const char broken[] = "the token endpoint answered 200 and no usable token";
    tp_str token = text_of(d, 0, "access_token", a), type = text_of(d, 0, "token_type", a);
    if (!is_token(token))
        return tp_error_set(err, TP_ERROR_PARSE, "%s: access_token is missing, empty or no token",
                            broken);
    if (type.len && !str_ieq(type, STR("bearer")))
        return tp_error_set(err, TP_ERROR_PARSE, "%s: token_type is not Bearer", broken);
    if (lifetime(d, &out->lifetime_s) != 0)
        return tp_error_set(err, TP_ERROR_PARSE,
                            "%s: expires_in is not a number of seconds above 0", broken);
    out->token = arena_str(a, token);
    return out->token.ptr ? 0 : tp_error_set(err, TP_ERROR_LIMIT, "the gateway is out of memory");
}

int sign_token_parse(int32_t status, tp_str body, arena *a, sign_token *out, tp_error *err)
{
    json_tape tape = {.max = REPLY_TOKENS, .max_depth = REPLY_DEPTH};
    int known = json_scan(body, &tape, NULL) == 0, rc;
    tp_doc d = json_doc(body, &tape);
    *out = (sign_token){.token = STR("")};
    if (status != 200)
        rc = refusal(status, known ? &d : NULL, a, err);
    else if (!known || json_kind(&d, 0) != TP_OBJECT)
        rc = tp_error_set(err, TP_ERROR_PARSE,
                          "the token endpoint answered 200 and something that is no JSON object");
    else
        rc = granted(&d, a, out, err);
    json_tape_free(&tape);
    return rc;
}
