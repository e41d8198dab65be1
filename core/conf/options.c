/* Options: the JSON text that a plugin gets. Members of the form {"env": NAME, "default": X} are
 * replaced by their value. A replacement shifts what follows it, so the text comes with a map of
 * anchors, by which an offset finds its line and column in the snippet again: that keeps every
 * place exact, and a fault in a replaced value is reported where the {"env": ...} stands. */
#include <stdlib.h>

#include "conf/conf_int.h"

typedef struct anchor { /* from byte `at` of the text on */
    uint32_t at, line, column;
    uint16_t pinned; /* 1: every byte up to the next anchor has this place */
    uint16_t unset;  /* 1: null stands for a variable that is not set */
} anchor;
struct conf_map {
    uint32_t count, cap;
    anchor *anchors;
};

static conf_place walk(conf_place from, tp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            from.line++;
            from.column = 1;
        } else {
            from.column++;
        }
    }
    return from;
}

conf_place conf_place_in(conf_place base, tp_str text, uint32_t at)
{
    const conf_map *m = base.map;
    anchor a = {.line = base.line, .column = base.column};
    base.map = NULL;
    if (!base.file)
        return base;
    for (uint32_t i = 0; m && i < m->count && m->anchors[i].at <= at; i++)
        a = m->anchors[i];
    base.line = a.line;
    base.column = a.column;
    uint32_t end = (uint32_t)TP_MIN((size_t)at, text.len);
    return a.pinned ? base : walk(base, str_make(text.ptr + a.at, end - a.at));
}

int conf_place_unset(conf_place base, uint32_t at)
{
    const conf_map *m = base.map;
    for (uint32_t i = 0; m && i < m->count && m->anchors[i].at <= at; i++)
        if (m->anchors[i].at == at && m->anchors[i].unset)
            return 1;
    return 0;
}

typedef struct writer {
    conf_loader *l;
    buf out;
    conf_map map;
    int soft;
    int replaced;
} writer;

static int add(writer *w, conf_node n, tp_str s)
{
    if (buf_adds(&w->out, s) == 0)
        return 0;
    return conf_fail(w->l, n, "options are over 8 MiB with their environment variables");
}

static void add_anchor(writer *w, conf_place p, uint16_t pinned)
{
    conf_map *m = &w->map;
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 8;
        m->anchors = tp_xrealloc(m->anchors, m->cap * sizeof(*m->anchors));
    }
    m->anchors[m->count++] = (anchor){(uint32_t)w->out.len, p.line, p.column, pinned, 0};
}

/* {"env": NAME} or {"env": NAME, "default": X}, in any order: sets the two value tokens. */
static int is_env(const tp_doc *d, uint32_t t, uint32_t *name, uint32_t *other)
{
    *name = *other = 0;
    if (json_kind(d, t) != TP_OBJECT)
        return 0;
    for (uint32_t k = t + 1; k < d->tokens[t].next; k = d->tokens[k + 1].next) {
        if (json_string_is(d, k, STR("env")))
            *name = k + 1;
        else if (json_string_is(d, k, STR("default")))
            *other = k + 1;
        else
            return 0;
    }
    return *name && json_kind(d, *name) == TP_STRING;
}

static int write_value(writer *w, conf_node n, const conf_path *path, int root);

static int write_env(writer *w, conf_node n, const conf_path *path, uint32_t name, uint32_t other)
{
    conf_loader *l = w->l;
    tp_str variable;
    const char *v = NULL;
    int rc = conf_string(l, conf_child(n, name), path, "the name of a variable", &variable);
    if (rc)
        return rc;
    v = conf_getenv(l, variable.ptr);
    w->replaced = 1;
    if (!v && other)
        return write_value(w, conf_child(n, other), path, 0);
    add_anchor(w, conf_place_of(n), 1);
    if (v) {
        if (!json_utf8_valid(str_of(v)))
            return conf_fail(l, n, "%s: environment variable %s is not valid UTF-8",
                             conf_path_text(path).s, variable.ptr);
        return json_quote(&w->out, str_of(v)) ? conf_fail(l, n, "options are over 8 MiB") : 0;
    }
    if (w->soft) {
        w->map.anchors[w->map.count - 1].unset = 1;
        return add(w, n, STR("null"));
    }
    return conf_fail(l, n,
                     "%s: environment variable %s is not set, and there is no \"default\" "
                     "beside \"env\"; set it or add one",
                     conf_path_text(path).s, variable.ptr);
}

/* Copies the value with its replacements. The root is never taken for one: an option may be
 * called "env". */
static int write_value(writer *w, conf_node n, const conf_path *path, int root)
{
    const conf_snippet *s = n.s;
    const tp_doc *d = &s->doc;
    uint32_t from = d->tokens[n.t].at, end = from + d->tokens[n.t].len, name, other;
    if (!root && is_env(d, n.t, &name, &other))
        return write_env(w, n, path, name, other);
    add_anchor(w, conf_place_of(n), 0);
    for (uint32_t t = n.t + 1; t < d->tokens[n.t].next;) {
        if (!is_env(d, t, &name, &other)) {
            t++;
            continue;
        }
        int rc = add(w, n, str_make(d->text.ptr + from, d->tokens[t].at - from));
        if (rc == 0)
            rc = write_env(w, conf_child(n, t), path, name, other);
        if (rc)
            return rc;
        from = d->tokens[t].at + d->tokens[t].len;
        add_anchor(w, conf_place_at(s, from), 0);
        t = d->tokens[t].next;
    }
    return add(w, n, str_make(d->text.ptr + from, end - from));
}

int conf_options(conf_loader *l, conf_node item, const conf_path *path, int soft, tp_doc *out,
                 conf_place *place)
{
    uint32_t t = json_find(&item.s->doc, item.t, STR("options"));
    tp_str text = STR("{}");
    json_error e = {0};
    *place = conf_place_of(t ? conf_child(item, t) : item);
    if (t) {
        conf_path p = {.up = path, .name = STR("options")};
        writer w = {.l = l, .soft = soft};
        buf_init(&w.out, CONF_MAX_OPTIONS);
        int rc = write_value(&w, conf_child(item, t), &p, 1);
        if (rc == 0)
            text = conf_str(l, buf_str(&w.out));
        if (rc == 0 && w.replaced) {
            conf_map *m = conf_mem(l, sizeof(*m));
            *m = (conf_map){.count = w.map.count, .cap = w.map.count};
            m->anchors = conf_mem(l, w.map.count * sizeof(*m->anchors));
            memcpy(m->anchors, w.map.anchors, w.map.count * sizeof(*m->anchors));
            place->map = m;
        }
        free(w.map.anchors);
        buf_free(&w.out);
        if (rc)
            return rc;
    }
    if (json_scan_doc(text, &l->tape, &l->c->mem, out, &e))
        return conf_fail_at(l, conf_place_in(*place, text, e.at), "%s.options: %s",
                            conf_path_text(path).s, e.what ? e.what : "this is not JSON");
    return 0;
}

/* ---- base_url */
static const char *url_fault(tp_str url)
{
    tp_str rest = str_starts(url, STR("https://"))  ? str_skip(url, 8)
                  : str_starts(url, STR("http://")) ? str_skip(url, 7)
                                                    : STR_NONE;
    int64_t port = 1;
    if (!rest.ptr)
        return "it must begin with http:// or https://";
    for (size_t i = 0; i < url.len; i++)
        if (url.ptr[i] <= ' ' || url.ptr[i] >= 0x7f || strchr("\"<>\\^`{|}", url.ptr[i]))
            return "it has a character that must be percent-encoded";
    if (str_find(url, '?') < url.len)
        return "it must not have a query ('?')";
    if (str_find(url, '#') < url.len)
        return "it must not have a fragment ('#')";
    tp_str host = str_make(rest.ptr, str_find(rest, '/'));
    if (str_find(host, '@') < host.len)
        return "it must not hold a user or password ('@'); use api_key";
    size_t close = host.len && host.ptr[0] == '[' ? str_find(host, ']') : 0;
    if (close == host.len && close)
        return "its IPv6 address lacks the ']'";
    size_t colon = close + str_find(str_skip(host, close), ':');
    if (colon == 0 || host.len == 0 || (host.ptr[0] == '[' && (close < 3 || colon != close + 1)))
        return "it has no host";
    for (size_t i = 0; close == 0 && i < colon; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_",
                    host.ptr[i]))
            return "its host has a character that host names do not have";
    if (colon < host.len &&
        (str_to_i64(str_skip(host, colon + 1), &port) || port > 65535 || port < 1))
        return "its port must be a number from 1 to 65535";
    return NULL;
}

tp_str conf_base_url_unset(conf_loader *l, conf_node provider)
{
    const tp_doc *d = &provider.s->doc;
    uint32_t t = json_find(d, provider.t, STR("options")), name, other;
    t = t && json_kind(d, t) == TP_OBJECT ? json_find(d, t, STR("base_url")) : 0;
    if (!t || !is_env(d, t, &name, &other) || other)
        return STR_NONE;
    tp_str variable = conf_str(l, json_string(d, name, &l->scratch));
    return conf_getenv(l, variable.ptr) ? STR_NONE : variable;
}

int conf_base_url(conf_loader *l, conf_provider *p, const conf_path *path)
{
    uint32_t t = json_find(&p->options, 0, STR("base_url"));
    p->base_url = STR("");
    if (!t || (json_kind(&p->options, t) == TP_NULL && (p->dormant || !p->enabled)))
        return 0;
    conf_place place = conf_place_in(p->options_place, p->options.text, p->options.tokens[t].at);
    if (json_kind(&p->options, t) != TP_STRING)
        return conf_fail_at(l, place, "%s.options.base_url: expected a URL, found %s",
                            conf_path_text(path).s, conf_doc_found(&p->options, t).s);
    tp_str url = conf_str(l, json_string(&p->options, t, &l->scratch));
    const char *fault = url_fault(url);
    if (fault)
        return conf_fail_at(l, place, "%s.options.base_url: %s is not a base URL: %s",
                            conf_path_text(path).s, conf_doc_found(&p->options, t).s, fault);
    while (str_ends(url, STR("/")))
        url.len--;
    p->base_url = conf_str(l, url);
    return 0;
}
