#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host.h"
#include "model/json.h"

#define KEEP_MAX 65536u

void *vec_push(vec_list *l, size_t size)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 8;
        l->items = realloc(l->items, l->cap * size);
        TP_MUST(l->items);
    }
    char *p = (char *)l->items + size * l->count++;
    memset(p, 0, size);
    return p;
}

void vec_list_free(vec_list *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        free(((void **)l->items)[i]);
    free(l->items);
    *l = (vec_list){0};
}

static void *own(vec_list *l, size_t n)
{
    void *p = malloc(n ? n : 1);
    TP_MUST(p);
    *(void **)vec_push(l, sizeof(void *)) = p;
    return p;
}

static tp_str own_copy(vec_list *l, tp_str s)
{
    char *p = own(l, s.len);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    return str_make(p, s.len);
}

void vec_out_free(vec_out *o)
{
    buf_free(&o->body);
    free(o->headers.items);
    free(o->events.items);
    free(o->reports.items);
    vec_list_free(&o->owned);
    *o = (vec_out){0};
    buf_init(&o->body, 64u << 20);
}

void vec_call_begin(vec_call *c, vec_out *o, void *state, vec_list *kept)
{
    *c = (vec_call){.out = o, .kept = kept, .keep_left = KEEP_MAX, .not_json = TP_E_INPUT};
    c->pub = (tp_call){.size = sizeof(tp_call), .now_ms = INT64_C(1700000000000),
                       .seed = UINT64_C(0x0123456789abcdef), .state = state};
}

void vec_call_end(vec_call *c)
{
    vec_list_free(&c->allocs);
}

static vec_call *of(tp_call *c)
{
    return (vec_call *)(void *)c;
}

/* ---- tp_host */
static void *h_alloc(tp_call *c, size_t n)
{
    return own(&of(c)->allocs, n);
}

static void *h_keep(tp_call *c, size_t n)
{
    vec_call *k = of(c);
    if (!k->kept || n > k->keep_left)
        return NULL;
    k->keep_left -= n;
    return memset(own(k->kept, n), 0, n);
}

static tp_status h_request(tp_call *c, tp_str method, tp_str path)
{
    vec_out *o = of(c)->out;
    TP_MUST(!o->has_request && !o->has_local && path.len && path.ptr[0] == '/');
    o->has_request = 1;
    o->method = own_copy(&o->owned, method);
    o->path = own_copy(&o->owned, path);
    return TP_OK;
}

static tp_status h_local(tp_call *c, int32_t status, tp_str type, const tp_local *l)
{
    vec_out *o = of(c)->out;
    TP_MUST(!o->has_request && !o->has_local && l->size == sizeof(*l));
    o->has_local = 1;
    o->local_status = status;
    o->local_type = own_copy(&o->owned, type);
    o->local = *l;
    return TP_OK;
}

static tp_status h_status(tp_call *c, int32_t status)
{
    TP_MUST(of(c)->out->status == 0);
    of(c)->out->status = status;
    return TP_OK;
}

static tp_status h_header(tp_call *c, tp_str name, tp_str value)
{
    vec_out *o = of(c)->out;
    tp_str n = own_copy(&o->owned, name), v = own_copy(&o->owned, value);
    *(tp_header *)vec_push(&o->headers, sizeof(tp_header)) = (tp_header){n, v};
    return TP_OK;
}

static tp_status h_secret_header(tp_call *c, tp_str name, tp_str prefix)
{
    vec_out *o = of(c)->out;
    o->has_secret = 1;
    o->secret_name = own_copy(&o->owned, name);
    o->secret_prefix = own_copy(&o->owned, prefix);
    return TP_OK;
}

static tp_status h_sign(tp_call *c, tp_str scheme, tp_str params)
{
    vec_out *o = of(c)->out;
    TP_MUST(!o->has_sign && scheme.len && json_utf8_valid(params));
    o->has_sign = 1;
    o->sign_scheme = own_copy(&o->owned, scheme);
    o->sign_params = own_copy(&o->owned, params);
    return TP_OK;
}

static tp_status h_write(tp_call *c, tp_str bytes)
{
    return buf_adds(&of(c)->out->body, bytes) ? TP_E_NOMEM : TP_OK;
}

static tp_status h_quote(tp_call *c, tp_str text)
{
    TP_MUST(json_utf8_valid(text));
    return json_quote(&of(c)->out->body, text) ? TP_E_NOMEM : TP_OK;
}

static tp_status h_attach(tp_call *c, uint32_t part, uint32_t base64)
{
    (void)c, (void)part, (void)base64;
    return TP_E_UNSUPPORTED;
}

static tp_status h_emit(tp_call *c, const tp_event *e)
{
    vec_out *o = of(c)->out;
    TP_MUST(e->size == sizeof(*e));
    tp_event copy = *e;
    tp_str *strings[] = {&copy.id, &copy.name, &copy.text, &copy.raw, &copy.param};
    for (size_t i = 0; i < TP_COUNT(strings); i++)
        *strings[i] = own_copy(&o->owned, *strings[i]);
    *(tp_event *)vec_push(&o->events, sizeof(tp_event)) = copy;
    return TP_OK;
}

static tp_status h_report(tp_call *c, int32_t what, tp_str field, tp_str why)
{
    vec_out *o = of(c)->out;
    tp_str f = own_copy(&o->owned, field), w = own_copy(&o->owned, why);
    *(vec_report *)vec_push(&o->reports, sizeof(vec_report)) = (vec_report){what, f, w};
    return TP_OK;
}

static tp_status h_fail(tp_call *c, tp_status status, tp_str param, tp_str why)
{
    vec_out *o = of(c)->out;
    TP_MUST(status < 0 && why.len && json_utf8_valid(why));
    if (o->fail_status == TP_OK) {
        o->fail_status = status;
        o->fail_param = own_copy(&o->owned, param);
        o->fail_why = own_copy(&o->owned, why);
    }
    return status;
}

static void h_log(tp_call *c, int32_t level, tp_str message)
{
    (void)c, (void)level, (void)message;
}

static tp_status h_scan(tp_call *c, tp_str text, tp_doc *out)
{
    json_tape tape = {0};
    vec_call *k = of(c);
    /* The text is scanned in a copy of exactly its length, so that the scanner is watched too; the
     * document lies on the text that the plugin gave. */
    tp_str copy = own_copy(&k->allocs, text);
    tape.lone_surrogates = k->of_reply;
    int rc = json_scan(copy, &tape, NULL);
    if (rc == 0) {
        tp_token *tokens = own(&k->allocs, tape.count * sizeof(tp_token));
        memcpy(tokens, tape.tokens, tape.count * sizeof(tp_token));
        *out = (tp_doc){.text = text, .tokens = tokens, .count = tape.count};
    }
    json_tape_free(&tape);
    return rc == 0 ? TP_OK : k->not_json;
}

static uint32_t h_find(const tp_doc *d, uint32_t object, tp_str key)
{
    TP_MUST(object < d->count);
    return json_find(d, object, key);
}

static tp_str h_text(tp_call *c, const tp_doc *d, uint32_t t)
{
    arena a;
    arena_init(&a, NULL, 64u << 20);
    tp_str s = json_string(d, t, &a);
    if (s.ptr)
        s = own_copy(&of(c)->allocs, s);
    arena_reset(&a);
    return s;
}

static const void *h_extension(const tp_host *h, const char *id)
{
    (void)h, (void)id;
    return NULL;
}

const tp_host *vec_host(void)
{
    static const tp_host host = {
        .size = sizeof(tp_host), .minor = TP_SDK_MINOR, .alloc = h_alloc, .keep = h_keep,
        .request = h_request, .local = h_local, .status = h_status, .header = h_header,
        .secret_header = h_secret_header, .sign = h_sign, .write = h_write, .quote = h_quote,
        .attach = h_attach, .emit = h_emit, .report = h_report, .fail = h_fail, .log = h_log,
        .scan = h_scan, .find = h_find, .text = h_text, .get_extension = h_extension,
    };
    return &host;
}

tp_doc vec_doc(vec_call *c, tp_str text)
{
    tp_doc d = {0};
    tp_str copy = own_copy(&c->allocs, text);
    if (h_scan(&c->pub, copy, &d) != TP_OK)
        d = (tp_doc){.text = copy};
    return d;
}

/* ---- Plugins. */
static const void *extension(const vec_plugin *p, const char *id)
{
    return p->plugin->get_extension(id);
}

int vec_open(vec_plugin *p, const char *path, const char *options)
{
    *p = (vec_plugin){0};
    p->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!p->library) {
        snprintf(p->why, sizeof(p->why), "%s", dlerror());
        return -1;
    }
    const tp_plugin *(*entry)(const tp_host *);
    *(void **)(void *)&entry = dlsym(p->library, "tp_plugin_entry_v1");
    TP_MUST(entry);
    p->plugin = entry(vec_host());
    TP_MUST(p->plugin && p->plugin->size == sizeof(tp_plugin));
    vec_out out = {0};
    vec_out_free(&out);
    vec_call c;
    vec_call_begin(&c, &out, NULL, NULL);
    tp_doc d = vec_doc(&c, vec_str(options));
    tp_status st = p->plugin->create(vec_host(), &c.pub, d, &p->self);
    if (st != TP_OK) {
        snprintf(p->why, sizeof(p->why), "%.*s", STR_ARG(out.fail_why));
        snprintf(p->param, sizeof(p->param), "%.*s", STR_ARG(out.fail_param));
    }
    vec_call_end(&c);
    vec_out_free(&out);
    p->provider = extension(p, TP_PROVIDER);
    p->endpoint = extension(p, TP_ENDPOINT);
    p->strategy = extension(p, TP_STRATEGY);
    TP_MUST(!extension(p, "tp.nothing/1"));
    return st == TP_OK ? 0 : -1;
}

void vec_close(vec_plugin *p)
{
    if (p->self)
        p->plugin->destroy(p->self);
    p->self = NULL; /* the library stays: code is cheap, and a leak report needs its symbols */
}

char *vec_read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    size_t cap = 4096, n = 0, got;
    char *p = malloc(cap);
    while (p && (got = fread(p + n, 1, cap - n - 1, f)) > 0) {
        n += got;
        if (cap - n < 2)
            p = realloc(p, cap *= 2);
    }
    fclose(f);
    TP_MUST(p);
    p[n] = 0;
    if (len)
        *len = n;
    return p;
}
