#include "stream/stream.h"

#include <string.h>
#include "base/str.h"

int stream_add(stream_held *h, arena *a, const tp_event *e)
{
    if (h->count == h->cap) {
        uint32_t cap = h->cap ? h->cap * 2 : 4;
        tp_event *p = arena_alloc(a, cap * sizeof(*p));
        if (!p)
            return TP_E_NOMEM;
        if (h->count)
            memcpy(p, h->events, h->count * sizeof(*p));
        h->events = p;
        h->cap = cap;
    }
    h->events[h->count++] = *e;
    return 0;
}

static int own(arena *a, tp_str *s)
{
    if (!s->len)
        return 0;
    *s = arena_str(a, *s);
    return s->ptr ? 0 : TP_E_NOMEM;
}

int stream_keep(stream_held *h, arena *a)
{
    for (; h->kept < h->count; h->kept++) {
        tp_event *e = &h->events[h->kept];
        if (own(a, &e->id) || own(a, &e->name) || own(a, &e->text) || own(a, &e->raw) ||
            own(a, &e->param))
            return TP_E_NOMEM;
    }
    return 0;
}

static int joinable(const tp_event *e)
{
    return e->kind == TP_EV_TEXT || e->kind == TP_EV_REASONING || e->kind == TP_EV_REFUSAL ||
           e->kind == TP_EV_ARGUMENTS;
}

static int same_run(const tp_event *a, const tp_event *b)
{
    return joinable(a) && a->kind == b->kind && a->choice == b->choice && a->item == b->item;
}

int stream_join(stream_held *h, arena *a)
{
    uint32_t out = 0, kept = 0;
    for (uint32_t i = 0; i < h->count;) {
        uint32_t end = i + 1;
        size_t len = h->events[i].text.len;
        while (end < h->count && same_run(&h->events[i], &h->events[end]))
            len += h->events[end++].text.len;
        tp_event e = h->events[i];
        if (end > i + 1) {
            char *p = arena_alloc(a, len);
            if (!p)
                return TP_E_NOMEM;
            e.text = (tp_str){p, len};
            for (uint32_t j = i; j < end; j++) {
                if (h->events[j].text.len)
                    memcpy(p, h->events[j].text.ptr, h->events[j].text.len);
                p += h->events[j].text.len;
            }
        }
        h->events[out++] = e;
        if (i < h->kept) /* a run that began with a kept event owns all its strings */
            kept = out;
        i = end;
    }
    h->count = out;
    h->kept = kept;
    return 0;
}

/* What a peer counts is never below zero, nor so much that sums of some could overflow. */
#define COUNT_MOST (INT64_C(1) << 50)

int stream_count(stream_tally *t, const tp_event *e)
{
    if (t->terminal != STREAM_OPEN)
        return TP_E_UPSTREAM;
    switch (e->kind) {
    case TP_EV_USAGE:
        /* a class too many is not counted: bounded */
        usage_set(&t->step, e->name, TP_MIN(TP_MAX(e->number, 0), COUNT_MOST));
        break;
    case TP_EV_FINISH:
        if (e->choice == 0)
            t->finish = e->code;
        break;
    case TP_EV_END:
        t->terminal = STREAM_ENDED;
        break;
    case TP_EV_ERROR:
        t->terminal = STREAM_ERROR;
        break;
    default:
        break;
    }
    return 0;
}

void stream_step(stream_tally *t)
{
    usage_add(&t->used, &t->step);
    t->step = (usage){0};
}

int64_t stream_weight(const tp_event *e)
{
    if (e->kind == TP_EV_FRAME && !(e->flags & TP_EV_PREAMBLE))
        return e->number > 0 ? e->number : 4; /* its provider does not tell: a token */
    return joinable(e) ? (int64_t)e->text.len : 0;
}

int stream_is_answer(const tp_event *e)
{
    if (e->flags & TP_EV_PREAMBLE)
        return 0;
    switch (e->kind) {
    case TP_EV_START:
    case TP_EV_USAGE:
    case TP_EV_FIELD:
    case TP_EV_ERROR:
        return 0;
    default:
        return 1;
    }
}
