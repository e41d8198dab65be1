/* Messages, places and memory of a load. */
#include <stdarg.h>
#include <stdio.h>

#include "conf/conf_int.h"

void *conf_mem(conf_loader *l, size_t n)
{
    void *p = arena_zalloc(&l->c->mem, n);
    TP_MUST(p); /* bounded by CONF_MAX_TOTAL */
    return p;
}

tp_str conf_str(conf_loader *l, tp_str s)
{
    char *p = conf_mem(l, s.len + 1);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    return (tp_str){p, s.len};
}

static tp_str format(conf_loader *l, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    TP_MUST(n >= 0);
    char *p = conf_mem(l, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return (tp_str){p, (size_t)n};
}

tp_str conf_fmt(conf_loader *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tp_str s = format(l, fmt, ap);
    va_end(ap);
    return s;
}

conf_place conf_place_at(const conf_snippet *s, uint32_t at)
{
    uint32_t low = 0, high = s->line_count; /* lines[low] <= at < lines[high] */
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (s->lines[mid] <= at)
            low = mid;
        else
            high = mid;
    }
    return (conf_place){.file = s->file, .line = low + 1, .column = at - s->lines[low] + 1};
}

conf_place conf_place_of(conf_node n)
{
    return n.s ? conf_place_at(n.s, n.s->doc.tokens[n.t].at) : (conf_place){.file = NULL};
}

conf_text conf_where(conf_place p)
{
    conf_text t;
    if (p.file)
        snprintf(t.s, sizeof(t.s), "%s:%u:%u", p.file, p.line, p.column);
    else
        snprintf(t.s, sizeof(t.s), "built in");
    return t;
}

static int fail(conf_loader *l, conf_place p, const char *fmt, va_list ap)
{
    char text[sizeof(l->err->text)];
    vsnprintf(text, sizeof(text), fmt, ap);
    if (p.file)
        return tp_error_set(l->err, TP_ERROR_CONFIG, "%s: %s", conf_where(p).s, text);
    return tp_error_set(l->err, TP_ERROR_CONFIG, "%s", text);
}

int conf_fail_at(conf_loader *l, conf_place p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = fail(l, p, fmt, ap);
    va_end(ap);
    return rc;
}

int conf_fail(conf_loader *l, conf_node n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = fail(l, conf_place_of(n), fmt, ap);
    va_end(ap);
    return rc;
}

void conf_notice(conf_loader *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tp_str s = format(l, fmt, ap);
    va_end(ap);
    if (l->notice_count == l->notice_cap) {
        l->notice_cap = l->notice_cap ? l->notice_cap * 2 : 16;
        l->notices = tp_xrealloc(l->notices, l->notice_cap * sizeof(*l->notices));
    }
    l->notices[l->notice_count++] = s;
}

static void path_add(const conf_path *path, conf_text *t, size_t *n)
{
    if (path->up)
        path_add(path->up, t, n);
    int k = path->name.ptr ? snprintf(t->s + *n, sizeof(t->s) - *n, "%s%.*s", *n ? "." : "",
                                      (int)TP_MIN(path->name.len, 128u), path->name.ptr)
                           : snprintf(t->s + *n, sizeof(t->s) - *n, "[%u]", path->index);
    *n = TP_MIN(*n + (size_t)TP_MAX(k, 0), sizeof(t->s) - 1);
}

conf_text conf_path_text(const conf_path *path)
{
    conf_text t = {""};
    size_t n = 0;
    path_add(path, &t, &n);
    return t;
}

/* Raw bytes are cut before a UTF-8 sequence, never within it. */
static int cut(tp_str s, size_t max)
{
    if (s.len <= max)
        return (int)s.len;
    while (max && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return (int)max;
}

conf_text conf_doc_found(const tp_doc *d, uint32_t t)
{
    enum { MOST = 48 };
    conf_text out;
    tp_str raw = json_raw(d, t);
    const char *more = raw.len > MOST ? "..." : "";
    switch (json_kind(d, t)) {
    case TP_STRING:
        snprintf(out.s, sizeof(out.s), "the string %.*s%s", cut(raw, MOST), raw.ptr, more);
        break;
    case TP_NUMBER:
        snprintf(out.s, sizeof(out.s), "the number %.*s%s", cut(raw, MOST), raw.ptr, more);
        break;
    case TP_ARRAY:
        snprintf(out.s, sizeof(out.s), "an array");
        break;
    case TP_OBJECT:
        snprintf(out.s, sizeof(out.s), "an object");
        break;
    default:
        snprintf(out.s, sizeof(out.s), "%.*s", cut(raw, MOST), raw.ptr);
    }
    return out;
}

conf_text conf_found(conf_node n)
{
    return conf_doc_found(&n.s->doc, n.t);
}

conf_guess conf_guess_begin(tp_str name)
{
    return (conf_guess){.name = name, .distance = 8};
}

void conf_guess_offer(conf_guess *g, tp_str known)
{
    unsigned d = str_distance(g->name, known);
    if (d < g->distance) {
        g->distance = d;
        g->best = known;
    }
    if (g->offered++ < 12 && known.len + 3 < sizeof(g->known) - g->known_len)
        g->known_len += (size_t)snprintf(g->known + g->known_len, sizeof(g->known) - g->known_len,
                                         "%s%.*s", g->known_len ? ", " : "", STR_ARG(known));
}

conf_text conf_guess_text(const conf_guess *g, const char *what)
{
    conf_text t = {""};
    /* Half of a short name changed is another name; three letters are as far as a slip goes. */
    size_t near = TP_MIN(TP_MAX(g->name.len / 3, (size_t)1), (size_t)3);
    if (g->best.ptr && g->distance <= near)
        snprintf(t.s, sizeof(t.s), "; did you mean '%.*s'?", cut(g->best, 64), g->best.ptr);
    else if (g->known_len)
        snprintf(t.s, sizeof(t.s), "; %s: %s%s", what, g->known, g->offered > 12 ? "..." : "");
    return t;
}

conf_node conf_member(conf_node n, const char *key)
{
    uint32_t t = n.s ? json_find(&n.s->doc, n.t, str_of(key)) : 0;
    return t ? conf_child(n, t) : n;
}
