/* One plugin, many ways to be wrong: each build defines one HOSTILE_... and is refused, or costs
 * its call a clean error, with a sentence that the tests compare. */
#include "../common.h"

#define ID "test.hostile"
#ifdef HOSTILE_MANIFEST_KINDS
TP_MANIFEST({"id": "test.hostile", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["provider", "strategy", "endpoint"]});
#elif defined(HOSTILE_MANIFEST_VERSION)
TP_MANIFEST({"id": "test.hostile", "version": "9.9.9", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["provider"]});
#elif defined(HOSTILE_MANIFEST_JSON)
TP_MANIFEST({"id": "test.hostile", "version": });
#elif defined(HOSTILE_MANIFEST_LICENSE)
TP_MANIFEST({"id": "test.hostile", "version": "1.0.0", "sdk": "1.0", "kinds": ["provider"]});
#elif defined(HOSTILE_MANIFEST_SDK)
TP_MANIFEST({"id": "test.hostile", "version": "1.0.0", "license": "Apache-2.0", "sdk": "one",
             "kinds": ["provider"]});
#elif defined(HOSTILE_MANIFEST_UNKNOWN)
TP_MANIFEST({"id": "test.hostile", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["filter"]});
#elif defined(HOSTILE_MAJOR)
TP_MANIFEST({"id": "test.hostile", "version": "1.0.0", "license": "Apache-2.0", "sdk": "2.3",
             "kinds": ["provider"]});
#elif defined(HOSTILE_RANK)
TP_MANIFEST({"id": "test.hostile", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["strategy"]});
#elif !defined(HOSTILE_NO_MANIFEST)
TP_MANIFEST({"id": "test.hostile", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["provider"]});
#endif

#ifdef HOSTILE_STATE
#define STATE 4097
#else
#define STATE 16
#endif

/* What the configuration asks this plugin to do wrong at run time: {"do": N}. */
struct hostile {
    tp_instance base;
    int what;
};
enum { POSITIVE = 1, UNKNOWN_NEGATIVE, AGAIN, SILENT, NO_REQUEST, BAD_FRAMING, OVERUSE, BIG_KEEP,
       NO_SIZE, EMIT_IN_BUILD, FAIL_BUT_OK, BIG_OUTPUT, NULL_STRING, BAD_HEADER };

static tp_status create(const tp_host *host, tp_call *c, tp_doc options, tp_instance **out)
{
#ifdef HOSTILE_CREATE
    (void)options;
    (void)out;
    return host->fail(c, TP_E_INPUT, S("region"), S("a region was expected,\nsuch as eu-west-1"));
#elif defined(HOSTILE_CREATE_SILENT)
    (void)host;
    (void)c;
    (void)options;
    (void)out;
    return -77;
#elif defined(HOSTILE_CREATE_WRITES)
    (void)options;
    host->write(c, S("too early"));
    return any_create(host, c, options, out);
#else
    struct hostile *h = calloc(1, sizeof(*h));
    (void)c;
    if (!h)
        return TP_E_NOMEM;
    h->base.host = host;
    uint32_t t = host->find(&options, 0, S("do"));
    if (t)
        for (uint32_t k = 0; k < options.tokens[t].len; k++)
            h->what = h->what * 10 + (options.text.ptr[options.tokens[t].at + k] - '0');
    *out = &h->base;
    return TP_OK;
#endif
}

static int does(const tp_instance *i)
{
    return ((const struct hostile *)(const void *)i)->what;
}

static tp_status build(const tp_instance *i, tp_call *c, const tp_operation *op,
                       const tp_target *t)
{
    const tp_host *h = i->host;
    tp_event e = {.size = sizeof(e), .kind = TP_EV_END};
    switch (does(i)) {
    case POSITIVE: return 5;
    case UNKNOWN_NEGATIVE: return -77;
    case AGAIN: return TP_AGAIN;
    case SILENT: return TP_E_INPUT;
    case NO_REQUEST: return TP_OK;
    case EMIT_IN_BUILD: h->emit(c, &e); break;
    case FAIL_BUT_OK: h->fail(c, TP_E_INPUT, S("x"), S("said, and then ignored")); break;
    case NULL_STRING: h->write(c, (tp_str){NULL, 7}); break;
    case BAD_HEADER: h->header(c, S("x"), S("a\r\nhost: evil")); break;
    case BIG_KEEP:
        if (h->keep(c, (size_t)1 << 40) || h->keep(c, SIZE_MAX))
            return TP_E_INTERNAL;
        break;
    case BIG_OUTPUT:
        for (int k = 0; k < 1 << 20; k++) {
            tp_status st = h->write(c, S("0123456789abcdef0123456789abcdef"));
            if (st)
                return st;
        }
        break;
    default: break;
    }
    return any_build(i, c, op, t);
}

static tp_status head(const tp_instance *i, tp_call *c, const tp_reply *r, int32_t *framing)
{
    tp_status st = any_head(i, c, r, framing);
    if (does(i) == BAD_FRAMING)
        *framing = 99;
    return st;
}

static tp_status data(const tp_instance *i, tp_call *c, tp_frame *f)
{
    tp_event e = {.kind = TP_EV_TEXT};
    if (does(i) == OVERUSE)
        f->used = f->data.len + 1;
    return does(i) == NO_SIZE ? i->host->emit(c, &e) : any_data(i, c, f);
}

#ifdef HOSTILE_FORMATS
#define FORMATS {any_formats, 1, 3}
#else
#define FORMATS ANY_FORMATS
#endif
#ifdef HOSTILE_NO_FUNCTION
#define END NULL
#else
#define END any_end
#endif
#ifdef HOSTILE_SMALL_TABLE
#define TABLE_SIZE 24
#else
#define TABLE_SIZE sizeof(tp_provider)
#endif
static const tp_provider table = {TABLE_SIZE, STATE, FORMATS, build, head, data, END, any_failed};

static tp_status bad_rank(const tp_instance *i, tp_call *c, const tp_operation *op,
                          tp_list candidates, tp_rank *order, uint32_t *n)
{
    (void)i;
    (void)c;
    (void)op;
#ifdef HOSTILE_RANK_RANGE
    order[0] = (tp_rank){.candidate = candidates.count};
    *n = 1;
#elif defined(HOSTILE_RANK_TWICE)
    (void)candidates;
    order[0] = order[1] = (tp_rank){.candidate = 1};
    *n = 2;
#else
    (void)order;
    *n = candidates.count + 1;
#endif
    return TP_OK;
}
static const tp_strategy strategy = {sizeof(strategy), 0, bad_rank};

static const void *get_extension(const char *id)
{
    if (strcmp(id, TP_PROVIDER) == 0)
        return &table;
    return strcmp(id, TP_STRATEGY) == 0 ? &strategy : NULL;
}

static const tp_plugin plugin UNUSED = {sizeof(plugin), TP_SDK_MINOR, {ID, sizeof(ID) - 1},
                                        {"1.0.0", 5}, create, any_destroy, get_extension};

#ifdef HOSTILE_TLS
static __thread int calls;
#endif

#ifdef HOSTILE_MAJOR
TP_EXPORT const tp_plugin *tp_plugin_entry_v2(const tp_host *host);
TP_EXPORT const tp_plugin *tp_plugin_entry_v2(const tp_host *host)
#elif defined(HOSTILE_NO_ENTRY)
TP_EXPORT const tp_plugin *some_function(const tp_host *host);
TP_EXPORT const tp_plugin *some_function(const tp_host *host)
#else
TP_EXPORT const tp_plugin *tp_plugin_entry_v1(const tp_host *host)
#endif
{
    (void)host;
#ifdef HOSTILE_TLS
    if (++calls > 1000000)
        return NULL;
#endif
#ifdef HOSTILE_UNDEFINED
    extern int tp_nobody_defines_this(void);
    if (tp_nobody_defines_this())
        return NULL;
#endif
#ifdef HOSTILE_NULL
    return NULL;
#else
    return &plugin;
#endif
}
