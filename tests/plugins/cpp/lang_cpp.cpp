// A provider in C++17: the SDK header as it stands, a class as the instance, no exceptions and no
// C++ runtime library, so that the .so needs nothing but libc.
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <turnpike/plugin.h>

TP_MANIFEST({"id": "test.lang-cpp", "version": "2.1.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["provider"],
             "options": {"type": "object", "properties": {"base_url": {"type": "string"}}}});

// What the SDK calls tp_instance is the plugin's to define; here it is a class.
struct tp_instance {
    explicit tp_instance(const tp_host *h) noexcept : host(h) {}
    tp_status build(tp_call *c, const tp_operation &op) const noexcept;
    const tp_host *host;
};

namespace
{
tp_str str(std::string_view s) noexcept
{
    return {s.data(), s.size()};
}
} // namespace

tp_status tp_instance::build(tp_call *c, const tp_operation &op) const noexcept
{
    const std::string_view model(op.model.ptr, op.model.len);
    if (model.empty())
        return host->fail(c, TP_E_INPUT, str("model"), str("model is missing; name one"));
    if (tp_status st = host->request(c, str("POST"), str("/cpp")))
        return st;
    if (tp_status st = host->write(c, str("{\"model\":")))
        return st;
    if (tp_status st = host->quote(c, str(model)))
        return st;
    return host->write(c, str("}"));
}

extern "C" {
static tp_status create(const tp_host *host, tp_call *c, tp_doc, tp_instance **out)
{
    void *at = std::malloc(sizeof(tp_instance));
    if (!at)
        return host->fail(c, TP_E_NOMEM, str(""), str("no memory for the instance"));
    *out = new (at) tp_instance(host);
    return TP_OK;
}

static void destroy(tp_instance *i)
{
    i->~tp_instance();
    std::free(i);
}

static tp_status build(const tp_instance *i, tp_call *c, const tp_operation *op,
                       const tp_target *)
{
    return i->build(c, *op);
}

static tp_status head(const tp_instance *, tp_call *, const tp_reply *, int32_t *framing)
{
    *framing = TP_LINES;
    return TP_OK;
}

static tp_status data(const tp_instance *i, tp_call *c, tp_frame *f)
{
    tp_event e{};
    e.size = sizeof(e);
    e.kind = TP_EV_TEXT;
    e.text = f->data;
    return i->host->emit(c, &e);
}

static tp_status end(const tp_instance *i, tp_call *c, int32_t broken)
{
    tp_event e{};
    e.size = sizeof(e);
    e.kind = TP_EV_END;
    return broken ? TP_OK : i->host->emit(c, &e);
}

static tp_status failed(const tp_instance *i, tp_call *c, const tp_reply *r)
{
    tp_event e{};
    e.size = sizeof(e);
    e.kind = TP_EV_ERROR;
    e.code = r->status == 429 ? TP_ERR_RATE : TP_ERR_UPSTREAM;
    e.number = -1;
    e.text = r->body;
    return i->host->emit(c, &e);
}

static const tp_str formats[] = {{"chat/openai", 11}};
static const tp_provider provider = {sizeof(tp_provider), 0, {formats, 1, sizeof(tp_str)}, build,
                                     head, data, end, failed};

static const void *get_extension(const char *id)
{
    return std::strcmp(id, TP_PROVIDER) == 0 ? &provider : nullptr;
}

static const tp_plugin plugin = {sizeof(tp_plugin), TP_SDK_MINOR, {"test.lang-cpp", 13},
                                 {"2.1.0", 5}, create, destroy, get_extension};

const tp_plugin *tp_plugin_entry_v1(const tp_host *)
{
    return &plugin;
}
}
