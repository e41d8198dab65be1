#include "profile/profile.h"

#include "base/hash.h"
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
            rc = write_or_null(out, e->code);
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

#define ID_CHARS 24u
#define ID_PREFIX_MAX (64u - ID_CHARS - 1u)

size_t profile_reply_id(const conf_surface *s, uint64_t r0, uint64_t r1, char out[64])
{
    static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    tp_str prefix = s ? s->reply_id : STR("chatcmpl-");
    size_t n = TP_MIN(prefix.len, ID_PREFIX_MAX);
    if (n)
        memcpy(out, prefix.ptr, n);
    /* 8 characters take 47.6 bits of a word; the bits of both words that are left over go into
     * the third. So no character is constant, and the id keeps what the two words hold. */
    uint64_t words[3] = {r0, r1, hash_mix(r0 ^ (r1 << 29 | r1 >> 35))};
    for (uint32_t w = 0; w < 3; w++)
        for (uint32_t i = 0; i < ID_CHARS / 3; i++) {
            out[n++] = base62[words[w] % 62];
            words[w] /= 62;
        }
    out[n] = 0;
    return n;
}
