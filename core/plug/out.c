/* What a call puts out: arrays that grow by doubling in scratch memory. */
#include <string.h>
#include "plug/plug_int.h"

#define ROOM 1008u /* two rooms and their alignment fill one pooled chunk of an arena */

void plug_out_reset(plug_out *o)
{
    *o = (plug_out){0};
}

/* Room for one more item, or NULL. The old array stays behind in the arena. */
static void *grow(arena *a, void *items, uint32_t count, uint32_t *cap, size_t size)
{
    if (TP_LIKELY(count < *cap))
        return items;
    uint32_t more = *cap ? *cap * 2 : 8;
    if (more < *cap)
        return NULL;
    void *p = arena_alloc(a, more * size);
    if (!p)
        return NULL;
    if (count)
        memcpy(p, items, count * size);
    *cap = more;
    return p;
}

/* n bytes where they join the bytes copied before, if there is room for that. */
static char *room_for(plug_scratch *s, plug_out *o, size_t n)
{
    if (TP_UNLIKELY((size_t)(o->room_end - o->room) < n)) {
        if (n > ROOM / 2) /* its own piece; the room stays for small ones */
            return arena_alloc(&s->mem, n);
        char *room = arena_alloc(&s->mem, ROOM);
        if (!room)
            return NULL;
        o->room = room;
        o->room_end = room + ROOM;
    }
    char *p = o->room;
    o->room += n;
    return p;
}

static int append(plug_scratch *s, plug_out *o, tp_str bytes)
{
    if (o->seg_count) {
        tp_str *last = &o->segs[o->seg_count - 1];
        if (last->ptr + last->len == bytes.ptr) {
            last->len += bytes.len;
            o->bytes += bytes.len;
            return 0;
        }
    }
    tp_str *segs = grow(&s->mem, o->segs, o->seg_count, &o->seg_cap, sizeof(*segs));
    if (!segs)
        return TP_E_NOMEM;
    o->segs = segs;
    segs[o->seg_count++] = bytes;
    o->bytes += bytes.len;
    return 0;
}

char *plug_out_room(plug_scratch *s, plug_out *o, size_t n)
{
    char *p = room_for(s, o, n);
    return p && append(s, o, str_make(p, n)) == 0 ? p : NULL;
}

int plug_out_write(plug_scratch *s, plug_out *o, tp_str bytes, int copy)
{
    if (bytes.len == 0)
        return 0;
    if (!copy)
        return append(s, o, bytes);
    char *p = plug_out_room(s, o, bytes.len);
    if (!p)
        return TP_E_NOMEM;
    if (bytes.len <= 64)
        str_copy(p, bytes.ptr, bytes.len);
    else
        memcpy(p, bytes.ptr, bytes.len);
    return 0;
}

int plug_out_header(plug_scratch *s, plug_out *o, tp_str name, tp_str value)
{
    tp_header *h = grow(&s->mem, o->headers, o->header_count, &o->header_cap, sizeof(*h));
    if (!h)
        return TP_E_NOMEM;
    o->headers = h;
    h[o->header_count++] = (tp_header){name, value};
    return 0;
}

tp_event *plug_out_slot(plug_scratch *s, plug_out *o)
{
    tp_event *e = grow(&s->mem, o->events, o->event_count, &o->event_cap, sizeof(*e));
    if (!e)
        return NULL;
    o->events = e;
    return e + o->event_count;
}

tp_event *plug_out_event(plug_scratch *s, plug_out *o)
{
    tp_event *e = plug_out_slot(s, o);
    if (!e)
        return NULL;
    o->event_count++;
    *e = (tp_event){.size = sizeof(*e)};
    return e;
}

void plug_out_rewind(plug_out *o, const plug_out *before)
{
    plug_out now = *o;
    size_t rest = before->bytes;
    *o = *before;
    /* The arrays may have moved as they grew; what they hold up to the old counts is the same, but
     * for the last seg's length. */
    o->segs = now.segs;
    o->seg_cap = now.seg_cap;
    o->headers = now.headers;
    o->header_cap = now.header_cap;
    o->events = now.events;
    o->event_cap = now.event_cap;
    o->reports = now.reports;
    o->report_cap = now.report_cap;
    o->room = now.room;
    o->room_end = now.room_end;
    for (uint32_t i = 0; i + 1 < o->seg_count; i++)
        rest -= o->segs[i].len;
    if (o->seg_count)
        o->segs[o->seg_count - 1].len = rest;
}
