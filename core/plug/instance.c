/* What an image offers, copied and checked once; and its configured uses. */
#include <stdlib.h>
#include <string.h>
#include "plug/plug_int.h"

#define CREATE_MEMORY ((size_t)16 << 20) /* bytes of alloc and scan during create */

/* Copies min(size, sizeof): the one place where a table of another size becomes the host's. */
static int copy_table(void *dst, size_t size, const void *src, const char *id, tp_error *err)
{
    uint32_t theirs;
    memcpy(&theirs, src, sizeof(theirs));
    if (theirs < size)
        return tp_error_set(err, TP_ERROR_ABI, "its table \"%s\" has size %u, and %zu are needed; "
                            "set .size = sizeof(the struct)", id, theirs, size);
    memcpy(dst, src, size);
    *(uint32_t *)dst = (uint32_t)size;
    return 0;
}

static int is_format(tp_str s)
{
    size_t slash = str_find(s, '/');
    if (s.len == 0 || s.len > 128 || slash == 0 || slash + 1 >= s.len)
        return 0;
    for (size_t i = 0; i < s.len; i++)
        if (!s.ptr || s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f)
            return 0;
    return 1;
}

static int missing(tp_error *err, const char *id, const char *what)
{
    return tp_error_set(err, TP_ERROR_ABI, "its table \"%s\" has no %s; that function must be "
                        "there", id, what);
}

static int check_state(tp_error *err, const char *id, uint32_t state_size)
{
    if (state_size > PLUG_MAX_STATE)
        return tp_error_set(err, TP_ERROR_ABI, "its table \"%s\" asks for state_size %u bytes; "
                            "%u are allowed: use tp_host.keep for what only some exchanges need",
                            id, state_size, PLUG_MAX_STATE);
    return 0;
}

/* The formats as a packed list in the image's memory: nothing after this reads the stride. */
static int bind_formats(plug_image *i, tp_error *err)
{
    tp_list in = i->provider.formats;
    if (in.count == 0 || in.count > PLUG_MAX_FORMATS || !in.ptr || in.stride < sizeof(tp_str) ||
        in.stride > 4096)
        return tp_error_set(err, TP_ERROR_ABI, "its table \"%s\" has formats with count %u and "
                            "stride %u; 1 to %u formats with stride sizeof(tp_str) are expected",
                            TP_PROVIDER, in.count, in.stride, PLUG_MAX_FORMATS);
    tp_str *out = arena_alloc(&i->mem, in.count * sizeof(*out));
    for (uint32_t k = 0; out && k < in.count; k++) {
        memcpy(&out[k], (const char *)in.ptr + (size_t)k * in.stride, sizeof(*out));
        if (!is_format(out[k]))
            return tp_error_set(err, TP_ERROR_ABI, "its table \"%s\" has a format number %u that "
                                "is not of the form \"chat/openai\"", TP_PROVIDER, k);
        out[k] = arena_str(&i->mem, out[k]);
    }
    TP_MUST(out); /* the arena is larger than any list that passed the check */
    i->provider.formats = (tp_list){out, in.count, sizeof(*out)};
    return 0;
}

static int bind_provider(plug_image *i, const void *table, tp_error *err)
{
    tp_provider *p = &i->provider;
    int rc = copy_table(p, sizeof(*p), table, TP_PROVIDER, err);
    if (rc)
        return rc;
    const char *lack = !p->build ? "build" : !p->head ? "head" : !p->data ? "data" :
                       !p->end ? "end" : !p->failed ? "failed" : NULL;
    if (lack)
        return missing(err, TP_PROVIDER, lack);
    rc = check_state(err, TP_PROVIDER, p->state_size);
    return rc ? rc : bind_formats(i, err);
}

static int bind_endpoint(plug_image *i, const void *table, tp_error *err)
{
    tp_endpoint *e = &i->endpoint;
    int rc = copy_table(e, sizeof(*e), table, TP_ENDPOINT, err);
    if (rc)
        return rc;
    if (!e->parse || !e->render)
        return missing(err, TP_ENDPOINT, e->parse ? "render" : "parse");
    if (!is_format(e->format))
        return tp_error_set(err, TP_ERROR_ABI, "its table \"%s\" has a format that is not of the "
                            "form \"chat/openai\"", TP_ENDPOINT);
    if (e->canonical.len && !is_format(e->canonical))
        return tp_error_set(err, TP_ERROR_ABI, "its table \"%s\" has a canonical format that is "
                            "neither empty nor of the form \"chat/openai\"", TP_ENDPOINT);
    e->format = arena_str(&i->mem, e->format);
    e->canonical = e->canonical.len ? arena_str(&i->mem, e->canonical) : e->format;
    if (!str_eq(e->format, e->canonical) && !e->convert)
        return tp_error_set(err, TP_ERROR_ABI, "its table \"%s\" says that %.*s becomes %.*s, but "
                            "has no convert; give one, or leave canonical empty", TP_ENDPOINT,
                            STR_ARG(e->format), STR_ARG(e->canonical));
    return check_state(err, TP_ENDPOINT, e->state_size);
}

static int bind_strategy(plug_image *i, const void *table, tp_error *err)
{
    int rc = copy_table(&i->strategy, sizeof(i->strategy), table, TP_STRATEGY, err);
    if (!rc && !i->strategy.rank)
        return missing(err, TP_STRATEGY, "rank");
    return rc;
}

int plug_image_bind(plug_image *i, const tp_plugin *p, tp_error *err)
{
    static const struct {
        uint32_t kind;
        const char *word, *id;
        int (*bind)(plug_image *, const void *, tp_error *);
    } kinds[] = {{PLUG_KIND_PROVIDER, "provider", TP_PROVIDER, bind_provider},
                 {PLUG_KIND_ENDPOINT, "endpoint", TP_ENDPOINT, bind_endpoint},
                 {PLUG_KIND_STRATEGY, "strategy", TP_STRATEGY, bind_strategy}};
    const plug_manifest *m = &i->manifest;
    int rc = copy_table(&i->plugin, sizeof(i->plugin), p, "tp_plugin", err);
    if (rc)
        return rc;
    p = &i->plugin;
    if (!p->create || !p->get_extension)
        return missing(err, "tp_plugin", p->create ? "get_extension" : "create");
    if (!str_eq(p->id, m->id) || !str_eq(p->version, m->version))
        return tp_error_set(err, TP_ERROR_ABI, "its manifest says %.*s %.*s, and the plugin itself "
                            "%.*s %.*s; id and version must be the same in both", STR_ARG(m->id),
                            STR_ARG(m->version), STR_ARG(p->id), STR_ARG(p->version));
    for (size_t k = 0; k < TP_COUNT(kinds); k++) {
        if (!(m->kinds & kinds[k].kind))
            continue;
        const void *table = p->get_extension(kinds[k].id);
        if (!table)
            return tp_error_set(err, TP_ERROR_ABI, "its manifest lists the kind \"%s\", but its "
                                "get_extension does not offer \"%s\"; offer it, or take the kind "
                                "out of the manifest", kinds[k].word, kinds[k].id);
        rc = kinds[k].bind(i, table, err);
        if (rc)
            return rc;
    }
    return 0;
}

static const char *status_word(tp_status s)
{
    switch (s) {
    case TP_E_INPUT: return "TP_E_INPUT";
    case TP_E_UPSTREAM: return "TP_E_UPSTREAM";
    case TP_E_UNSUPPORTED: return "TP_E_UNSUPPORTED";
    case TP_E_NOMEM: return "TP_E_NOMEM";
    case TP_E_INTERNAL: return "TP_E_INTERNAL";
    default: return "a status that is no error of the SDK";
    }
}

static int create_error(const plug_image *i, tp_str name, tp_status s, const plug_out *o,
                        tp_error *err)
{
    if (!o->failed)
        return tp_error_set(err, TP_ERROR_CONFIG, "%.*s: plugin %.*s refused its options (%s) "
                            "without saying why", STR_ARG(name), STR_ARG(i->manifest.id),
                            status_word(s));
    return tp_error_set(err, TP_ERROR_CONFIG, "%.*s: %.*s%s%.*s", STR_ARG(name),
                        STR_ARG(o->fail_param), o->fail_param.len ? ": " : "",
                        STR_ARG(o->fail_why));
}

int plug_create(plug_image *i, tp_str name, const tp_doc *options, plug_instance **out,
                tp_error *err)
{
    static const tp_token none = {.kind = TP_OBJECT, .at = 0, .len = 2, .next = 1};
    static const tp_doc empty = {.text = {"{}", 2}, .tokens = &none, .count = 1};
    plug_scratch scratch;
    plug_out o;
    *out = NULL;
    plug_scratch_init(&scratch, NULL, CREATE_MEMORY, i->log);
    plug_out_reset(&o);
    if (!options || !options->count)
        options = &empty;
    plug_call call = {.pub = {.size = sizeof(tp_call)}, .scratch = &scratch, .out = &o,
                      .who = name, .borrowed_count = 1, .borrowed = {options->text}};
    tp_instance *self = NULL;
    tp_status s = i->plugin.create(plug_host(), &call.pub, *options, &self);
    int rc = 0;
    if (s != TP_OK || o.failed) {
        rc = create_error(i, name, s, &o, err);
        if (s == TP_OK && self && i->plugin.destroy)
            i->plugin.destroy(self);
    } else {
        plug_instance *made = tp_xcalloc(1, sizeof(*made));
        made->image = i;
        made->self = self;
        made->provider = (i->manifest.kinds & PLUG_KIND_PROVIDER) ? &i->provider : NULL;
        made->endpoint = (i->manifest.kinds & PLUG_KIND_ENDPOINT) ? &i->endpoint : NULL;
        made->strategy = (i->manifest.kinds & PLUG_KIND_STRATEGY) ? &i->strategy : NULL;
        made->name = (tp_str){tp_xstrndup(name.ptr, name.len), name.len};
        *out = made;
    }
    plug_scratch_free(&scratch);
    return rc;
}

void plug_destroy(plug_instance *i)
{
    if (!i)
        return;
    if (i->self && i->image->plugin.destroy)
        i->image->plugin.destroy(i->self);
    free((void *)(uintptr_t)i->name.ptr);
    free(i);
}
