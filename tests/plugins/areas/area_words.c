/* fail, report and log: what a plugin says to people. */
#include "../common.h"
TP_MANIFEST({"id": "test.area-words", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["provider"], "options": {"type": "object"}});

static tp_status create(const tp_host *host, tp_call *c, tp_doc options, tp_instance **out)
{
    if (host->find(&options, 0, S("bad")))
        return host->fail(c, TP_E_INPUT, S("options.bad"),
                          S("\"bad\" is not supported; take it out"));
    host->log(c, TP_LOG_INFO, S("created"));
    return any_create(host, c, options, out);
}

static tp_status build(const tp_instance *i, tp_call *c, const tp_operation *op,
                       const tp_target *t)
{
    (void)t;
    if (i->host->find(&op->body, 0, S("logit_bias"))) {
        tp_status st = i->host->report(c, TP_DROPPED, S("logit_bias"), S("not offered upstream"));
        if (st)
            return st;
    }
    return i->host->request(c, S("POST"), S("/words"));
}

static tp_status data(const tp_instance *i, tp_call *c, tp_frame *f)
{
    (void)f;
    return i->host->fail(c, TP_E_UPSTREAM, S(""), S("the upstream speaks in riddles"));
}

static const tp_provider table = {sizeof(table), 0, ANY_FORMATS, build, any_head, data, any_end,
                                  any_failed};
static const void *get_extension(const char *id)
{
    return strcmp(id, TP_PROVIDER) == 0 ? &table : NULL;
}
static const tp_plugin plugin = {sizeof(plugin), TP_SDK_MINOR, {"test.area-words", 15},
                                 {"1.0.0", 5}, create, any_destroy, get_extension};
TP_EXPORT const tp_plugin *tp_plugin_entry_v1(const tp_host *host)
{
    (void)host;
    return &plugin;
}
