/* Sound of a reply as OpenAI's "audio" member: {"id", "data"}, with the data in base64. */
#include "chat_int.h"

int chat_is_sound(const tp_event *e)
{
    return e->kind == TP_EV_MEDIA && span_istarts(e->name, SPAN("audio/"));
}

void chat_put_sound(render_call *r, tp_str data)
{
    put(r, SPAN("\"audio\":{\"id\":"));
    put_quoted(r, r->s->id);
    put(r, SPAN(",\"data\":"));
    put_quoted(r, data);
}

typedef struct joiner { /* bytes into base64 */
    char *to;
    uint32_t bits, have;
} joiner;

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void add_byte(joiner *j, uint32_t byte)
{
    j->bits = j->bits << 8 | byte;
    j->have += 8;
    for (; j->have >= 6; j->have -= 6)
        *j->to++ = letters[j->bits >> (j->have - 6) & 63];
}

static int value_of(char c)
{
    if (c == '-' || c == '_') /* the alphabet of addresses */
        c = c == '-' ? '+' : '/';
    const char *at = c ? memchr(letters, c, 64) : NULL;
    return at ? (int)(at - letters) : -1;
}

static void add_piece(joiner *j, tp_str base64)
{
    uint32_t bits = 0, have = 0;
    for (size_t i = 0; i < base64.len; i++) {
        int v = value_of(base64.ptr[i]);
        if (v < 0)
            continue;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        add_byte(j, bits >> have & 255);
    }
}

/* Each piece ends with padding of its own: several are taken apart and put together anew. */
void chat_put_sounds(render_call *r, uint32_t choice)
{
    tp_str one = SPAN_NONE;
    size_t n = 0, pieces = 0;
    for (uint32_t i = 0; i < r->events.count; i++) {
        const tp_event *e = event_at(&r->events, i);
        if (e->choice != choice || !chat_is_sound(e))
            continue;
        one = e->text;
        n += e->text.len;
        pieces++;
    }
    if (pieces > 1) {
        char *p = r->h->alloc(r->c, n + 4);
        joiner j = {.to = p};
        if (!p) {
            r->st = TP_E_NOMEM;
            return;
        }
        for (uint32_t i = 0; i < r->events.count; i++) {
            const tp_event *e = event_at(&r->events, i);
            if (e->choice == choice && chat_is_sound(e))
                add_piece(&j, e->text);
        }
        if (j.have)
            *j.to++ = letters[j.bits << (6 - j.have) & 63];
        while ((j.to - p) % 4)
            *j.to++ = '=';
        one = (tp_str){p, (size_t)(j.to - p)};
    }
    chat_put_sound(r, one);
    put(r, SPAN(",\"expires_at\":0,\"transcript\":\"\"}"));
}
