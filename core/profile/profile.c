#include "profile/profile.h"

#include "base/str.h"

tp_str profile_error_type(int32_t status)
{
    switch (status) {
    case 401:
        return STR("authentication_error");
    case 402:
        return STR("insufficient_credits");
    case 403:
        return STR("permission_error");
    case 404:
        return STR("not_found_error");
    case 429:
        return STR("rate_limit_error");
    case 502:
        return STR("upstream_error");
    case 503:
        return STR("service_unavailable_error");
    case 504:
        return STR("timeout_error");
    default:
        return status >= 500 ? STR("api_error") : STR("invalid_request_error");
    }
}

static int write_or_null(buf *out, tp_str s)
{
    return s.len ? buf_json_string(out, s) : buf_adds(out, STR("null"));
}

/* Cailos' document prints the error for an unknown model, and its code is null. */
static tp_str shown_code(const conf_surface *s, tp_str code)
{
    int none = s && s->words == CONF_WORDS_CAILOS && str_eq(code, STR("model_not_found"));
    return none ? STR("") : code;
}

int profile_write_error(const conf_surface *s, const profile_error *e, buf *out)
{
    int32_t envelope = s ? s->envelope : CONF_ENVELOPE_OPENAI;
    tp_str type = e->type.len ? e->type : profile_error_type(e->status);
    int rc = buf_adds(out, STR("{\"error\":{\"message\":"));
    if (rc == 0)
        rc = buf_json_string(out, e->message);
    if (rc == 0 && envelope != CONF_ENVELOPE_BARE) {
        rc = buf_adds(out, STR(",\"type\":"));
        if (rc == 0)
            rc = buf_json_string(out, type);
    }
    if (rc == 0 && envelope == CONF_ENVELOPE_OPENAI) {
        rc = buf_adds(out, STR(",\"param\":"));
        if (rc == 0)
            rc = write_or_null(out, e->param);
        if (rc == 0)
            rc = buf_adds(out, STR(",\"code\":"));
        if (rc == 0)
            rc = write_or_null(out, shown_code(s, e->code));
    } else if (rc == 0) {
        rc = buf_printf(out, ",\"code\":%d", e->status);
    }
    return rc ? rc : buf_adds(out, STR("}}"));
}

tp_str profile_shown(tp_str name)
{
    size_t n = TP_MIN(name.len, 256u);
    while (n > 0 && n < name.len && ((unsigned char)name.ptr[n] & 0xc0) == 0x80)
        n--;
    return str_make(name.ptr, n);
}

/* As the gateways' own documents print them; a case for which a document has no sentence, or one
 * that would not be true here, is left out. */
tp_str profile_words(const conf_surface *s, int which)
{
    static const char *const words[][PROFILE_RATE + 1] = {
        [CONF_WORDS_AIROUTER] = {[PROFILE_NO_KEY] = "Invalid or missing API key",
                                 [PROFILE_NO_CREDIT] =
                                     "Insufficient credits. Please add funds to your account."},
        [CONF_WORDS_KILO] = {[PROFILE_NO_KEY] = "Invalid or missing API key",
                             [PROFILE_NO_CREDIT] =
                                 "Insufficient balance -- add credits to continue",
                             [PROFILE_POLICY] =
                                 "Forbidden -- model not allowed by organization policy",
                             [PROFILE_RATE] = "Rate limited -- too many requests"},
        [CONF_WORDS_CAILOS] = {[PROFILE_NO_KEY] = "Missing or invalid API key.",
                               [PROFILE_TEAM_INACTIVE] = "Key valid but team is inactive.",
                               [PROFILE_RATE] = "Rate limit exceeded."},
        [CONF_WORDS_KAIROSROUTE] = {[PROFILE_NO_KEY] = "Unauthorized - Invalid or missing API key",
                                    [PROFILE_RATE] = "Too Many Requests - Rate limit exceeded"},
    };
    const char *says = NULL;
    if (s && s->words >= 0 && s->words < (int32_t)TP_COUNT(words) && which >= PROFILE_NO_KEY &&
        which <= PROFILE_RATE)
        says = words[s->words][which];
    return says ? str_of(says) : STR("");
}

/* ---- Reply ids. */
#define ID_TIME 7u    /* of the time: until the year 2081 */
#define ID_RANDOM 17u /* 101 bits */
#define ID_CHARS (ID_TIME + ID_RANDOM)
#define ID_PREFIX_MAX (64u - ID_CHARS - 1u)
#define ID_TIMES INT64_C(3521614606208) /* 62^7 */

/* In the order of ASCII, so that ids sort as their times do. */
static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

size_t profile_reply_id(const conf_surface *s, int64_t unix_ms, uint64_t r0, uint64_t r1,
                        char out[64])
{
    tp_str prefix = s ? s->reply_id : STR("chatcmpl-");
    size_t n = TP_MIN(prefix.len, ID_PREFIX_MAX);
    int64_t time = TP_MIN(TP_MAX(unix_ms, 0), ID_TIMES - 1);
    if (n)
        memcpy(out, prefix.ptr, n);
    for (uint32_t i = ID_TIME; i-- > 0; time /= 62)
        out[n + i] = base62[time % 62];
    n += ID_TIME;
    /* 8 and 9 characters take 47.6 and 53.6 bits of a word: none of them is constant. */
    for (uint32_t i = 0; i < ID_RANDOM; i++) {
        uint64_t *word = i < ID_RANDOM / 2 ? &r0 : &r1;
        out[n++] = base62[*word % 62];
        *word /= 62;
    }
    out[n] = 0;
    return n;
}

/* By a table: one is looked up for each record that is stored. 0: no digit; else it and 1. */
#define TEN(c, v)                                                                                  \
    [c] = v, [c + 1] = v + 1, [c + 2] = v + 2, [c + 3] = v + 3, [c + 4] = v + 4, [c + 5] = v + 5,  \
    [c + 6] = v + 6, [c + 7] = v + 7, [c + 8] = v + 8, [c + 9] = v + 9
#define LETTERS(c, v)                                                                              \
    TEN(c, v), TEN(c + 10, v + 10), [c + 20] = v + 20, [c + 21] = v + 21, [c + 22] = v + 22,       \
    [c + 23] = v + 23, [c + 24] = v + 24, [c + 25] = v + 25
static const unsigned char digits[256] = {TEN('0', 1), LETTERS('A', 11), LETTERS('a', 37)};

int64_t profile_reply_id_ms(tp_str id)
{
    int64_t ms = 0;
    if (id.len < ID_CHARS || id.len > ID_PREFIX_MAX + ID_CHARS)
        return -1;
    const char *p = id.ptr + id.len - ID_CHARS;
    int bad = 0;
    for (uint32_t i = 0; i < ID_CHARS; i++)
        bad |= digits[(unsigned char)p[i]] == 0;
    for (uint32_t i = 0; i < ID_TIME; i++)
        ms = ms * 62 + digits[(unsigned char)p[i]] - 1;
    return bad ? -1 : ms;
}
