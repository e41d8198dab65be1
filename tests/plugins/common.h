/* What the tiny plugins share: an instance that only remembers its host, and functions of a
 * provider for the areas that a plugin is not about. */
#ifndef TURNPIKE_TESTS_PLUGIN_COMMON_H
#define TURNPIKE_TESTS_PLUGIN_COMMON_H
#include <stdlib.h>
#include <string.h>
#include <turnpike/plugin.h>

#define S(lit) ((tp_str){"" lit, sizeof(lit) - 1})
#define UNUSED __attribute__((unused))

struct tp_instance {
    const tp_host *host;
};

UNUSED static tp_status any_create(const tp_host *host, tp_call *c, tp_doc options,
                                   tp_instance **out)
{
    (void)options;
    *out = malloc(sizeof(**out));
    if (!*out)
        return host->fail(c, TP_E_NOMEM, S(""), S("no memory for the instance"));
    (*out)->host = host;
    return TP_OK;
}

UNUSED static void any_destroy(tp_instance *i)
{
    free(i);
}

UNUSED static tp_status any_build(const tp_instance *i, tp_call *c, const tp_operation *op,
                                  const tp_target *t)
{
    (void)op;
    (void)t;
    return i->host->request(c, S("POST"), S("/any"));
}

UNUSED static tp_status any_head(const tp_instance *i, tp_call *c, const tp_reply *r,
                                 int32_t *framing)
{
    (void)i;
    (void)c;
    (void)r;
    *framing = TP_SSE;
    return TP_OK;
}

UNUSED static tp_status any_data(const tp_instance *i, tp_call *c, tp_frame *f)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_TEXT, .text = f->data};
    return i->host->emit(c, &e);
}

UNUSED static tp_status any_end(const tp_instance *i, tp_call *c, int32_t broken)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_END};
    return broken ? TP_OK : i->host->emit(c, &e);
}

UNUSED static tp_status any_failed(const tp_instance *i, tp_call *c, const tp_reply *r)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_ERROR, .code = TP_ERR_UPSTREAM, .number = -1,
                  .text = r->body};
    return i->host->emit(c, &e);
}

static const tp_str any_formats[] UNUSED = {{"chat/openai", 11}};
#define ANY_FORMATS {any_formats, 1, sizeof(tp_str)}

/* The entry of a plugin with one table. */
#define PLUGIN(ID, EXTENSION, TABLE)                                                       \
    static const void *get_extension(const char *id)                                       \
    {                                                                                      \
        return strcmp(id, EXTENSION) == 0 ? &(TABLE) : NULL;                               \
    }                                                                                      \
    static const tp_plugin plugin = {sizeof(tp_plugin), TP_SDK_MINOR, {ID, sizeof(ID) - 1}, \
                                     {"1.0.0", 5}, any_create, any_destroy, get_extension}; \
    TP_EXPORT const tp_plugin *tp_plugin_entry_v1(const tp_host *host)                     \
    {                                                                                      \
        (void)host;                                                                        \
        return &plugin;                                                                    \
    }
#endif
