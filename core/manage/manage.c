#include "manage/manage.h"

#include <stdio.h>

#include "base/str.h"
#include "catalog/catalog.h"

#define JSON_TYPE STR("application/json")

/* Percent-decoded into out[cap]: the length, or -1 (bad escape, NUL, too long, no UTF-8). */
static int64_t path_decode(tp_str in, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.ptr[i];
        if (c == '%') {
            unsigned v = 0;
            if (in.len - i < 3)
                return -1;
            for (int k = 1; k <= 2; k++) {
                unsigned char h = (unsigned char)in.ptr[i + (size_t)k];
                unsigned low = h | 0x20u;
                if (h >= '0' && h <= '9')
                    v = v * 16 + (h - '0');
                else if (low >= 'a' && low <= 'f')
                    v = v * 16 + (low - 'a' + 10);
                else
                    return -1;
            }
            c = (unsigned char)v;
            i += 2;
        }
        if (c == 0 || n == cap)
            return -1;
        out[n++] = (char)c;
    }
    return json_utf8_valid(str_make(out, n)) ? (int64_t)n : -1;
}

static int add_number(buf *b, const char *name, int64_t v)
{
    return v < 0 ? 0 : buf_printf(b, ",\"%s\":%lld", name, (long long)v);
}

static int add_pair(buf *b, const char *name, tp_str value)
{
    int rc = buf_printf(b, ",\"%s\":", name);
    return rc ? rc : buf_json_string(b, value);
}

/* The deployment whose terms stand for the model: the first that can be used. */
static const world_deployment *first_usable(const world_model *m, const admit_principal *who)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->deployments[i].provider->usable ||
            (m->deployments[i].provider->keyless &&
             admit_byok(who, m->deployments[i].provider->conf->name, STR("chat/openai"))))
            return &m->deployments[i];
    return NULL;
}

/* "pricing":{"prompt":"0.00000059","completion":"0.00000079"}; nothing when neither is known. */
static int add_pricing(buf *b, const world_deployment *d)
{
    static const char *const units[] = {"prompt",    "completion", "cache_read", "cache_write",
                                        "cache_write:1h", "reasoning", "request", "image"};
    int any = 0, rc = 0;
    for (uint32_t i = 0; i < TP_COUNT(units) && rc == 0; i++) {
        int64_t price = catalog_price(d->prices, d->price_count, str_of(units[i]));
        char text[40];
        if (price < 0)
            continue;
        catalog_price_print(text, price);
        rc = buf_printf(b, "%s\"%s\":\"%s\"", any ? "," : ",\"pricing\":{", units[i], text);
        any = 1;
    }
    return rc == 0 && any ? buf_adds(b, STR("}")) : rc;
}

/* The lowest threshold above `last`; 0: there is none. */
static int64_t next_threshold(const world_deployment *d, int64_t last)
{
    int64_t next = 0, above;
    for (uint32_t i = 0; i < d->price_count; i++) {
        (void)conf_unit_plain(d->prices[i].unit, &above);
        if (above > last && (!next || above < next))
            next = above;
    }
    return next;
}

/* Of our own, beside the plain prices that every client of such lists knows:
 * "pricing_above":{"200000":{"prompt":"0.0000025"}}, what counts for longer prompts; the lowest
 * threshold first; nothing where no price has one. */
static int add_pricing_above(buf *b, const world_deployment *d)
{
    int64_t at = d->price_tiers ? next_threshold(d, 0) : 0, above;
    int rc = at ? buf_adds(b, STR(",\"pricing_above\":{")) : 0;
    if (!at)
        return 0;
    for (const char *comma = ""; rc == 0 && at; at = next_threshold(d, at), comma = ",") {
        const char *between = "";
        rc = buf_printf(b, "%s\"%lld\":{", comma, (long long)at);
        for (uint32_t i = 0; rc == 0 && i < d->price_count; i++) {
            tp_str unit = conf_unit_plain(d->prices[i].unit, &above);
            char text[40];
            if (above != at)
                continue;
            catalog_price_print(text, TP_MAX(d->prices[i].nano_per_million, 0));
            rc = buf_printf(b, "%s\"%.*s\":\"%s\"", between, STR_ARG(unit), text);
            between = ",";
        }
        rc = rc ? rc : buf_adds(b, STR("}"));
    }
    return rc ? rc : buf_adds(b, STR("}"));
}

static int add_capabilities(buf *b, uint64_t bits)
{
    int rc = buf_adds(b, STR(",\"capabilities\":["));
    const char *comma = "";
    for (uint32_t i = 0; rc == 0 && catalog_capability(i).bit; i++) {
        catalog_cap c = catalog_capability(i);
        if (!(bits & c.bit))
            continue;
        rc = buf_printf(b, "%s\"%.*s\"", comma, STR_ARG(c.name));
        comma = ",";
    }
    return rc ? rc : buf_adds(b, STR("]"));
}

/* What every list of this family has, then what is known of the model beyond it. */
static int add_model(buf *b, const world_model *m, const world_deployment *d)
{
    const conf_model *c = m->conf;
    int rc = buf_adds(b, STR("{\"id\":"));
    rc = rc ? rc : buf_json_string(b, c->id);
    rc = rc ? rc
            : buf_printf(b, ",\"object\":\"model\",\"created\":%lld",
                         (long long)TP_MAX(c->created, 0));
    rc = rc ? rc : add_pair(b, "owned_by", c->owned_by);
    rc = rc ? rc : buf_adds(b, STR(",\"permission\":[]"));
    rc = rc ? rc : add_pair(b, "root", c->id);
    rc = rc ? rc : buf_adds(b, STR(",\"parent\":null"));
    rc = rc ? rc : add_pair(b, "name", c->name.len ? c->name : c->id);
    if (rc == 0 && c->description.len)
        rc = add_pair(b, "description", c->description);
    rc = rc ? rc : add_number(b, "context_length", d->context_length);
    rc = rc ? rc : add_pricing(b, d);
    rc = rc ? rc : add_pricing_above(b, d);
    if (rc == 0 && d->max_output_tokens >= 0)
        rc = buf_printf(b, ",\"top_provider\":{\"max_completion_tokens\":%lld}",
                        (long long)d->max_output_tokens);
    rc = rc ? rc : add_capabilities(b, d->capabilities);
    return rc ? rc : buf_adds(b, STR("}"));
}

static int list_models(const world *w, const admit_principal *who, buf *b)
{
    int rc = buf_adds(b, STR("{\"object\":\"list\",\"data\":["));
    const char *comma = "";
    for (uint32_t i = 0; rc == 0 && i < w->model_count; i++) {
        const world_model *m = &w->models[i];
        const world_deployment *d = first_usable(m, who);
        if (!d || !admit_may_use(who, m->conf->id))
            continue;
        rc = buf_printf(b, "%s", comma);
        rc = rc ? rc : add_model(b, m, d);
        comma = ",";
    }
    return rc ? rc : buf_adds(b, STR("]}"));
}

static int model_not_found(const world_route *r, tp_str shown, manage_reply *out)
{
    char text[400];
    int n = snprintf(text, sizeof(text), "Model '%.*s' not found or not active.",
                     STR_ARG(profile_shown(shown)));
    profile_error e = {
        .status = 404, .code = STR("model_not_found"), .message = str_make(text, (size_t)n)};
    out->status = 404;
    return profile_write_error(r->surface, &e, &out->body);
}

/* A model that the key may not use is answered as one that is not there: the list does not show it
 * either. */
static int one_model(const world *w, const world_route *r, tp_str rest, const admit_principal *who,
                     manage_reply *out)
{
    char id[512];
    int64_t n = path_decode(rest, id, sizeof(id));
    if (n < 0)
        return model_not_found(r, STR("(the name in the path is not readable)"), out);
    tp_str name = str_make(id, (size_t)n);
    const world_model *m = map_get(&w->model_by_name, name);
    const world_deployment *d = m ? first_usable(m, who) : NULL;
    if (!d || !(admit_may_use(who, m->conf->id) || admit_may_use(who, name)))
        return model_not_found(r, name, out);
    return add_model(&out->body, m, d);
}

static int health(const manage_ports *p, const world *w, tp_now now, manage_reply *out)
{
    int64_t started = p && p->started_unix_ms ? p->started_unix_ms : w->created_unix_s * 1000;
    char why[256] = "";
    int sick = p && p->store_health && p->store_health(p->arg, why, sizeof(why)) < 0;
    why[sizeof(why) - 1] = 0;
    /* A store in trouble does not stop the gateway from serving: 200, so that no supervisor kills
     * what still works, and the word says it. */
    int rc = buf_printf(&out->body,
                        "{\"status\":\"%s\",\"version\":\"%s\",\"world\":%u,\"uptime_s\":%lld",
                        sick ? "degraded" : "ok", TURNPIKE_VERSION, w->serial,
                        (long long)TP_MAX((now.unix_ms - started) / 1000, 0));
    if (rc == 0 && sick)
        rc = add_pair(&out->body, "store", str_of(why));
    return rc ? rc : buf_adds(&out->body, STR("}"));
}

int manage_handle(const manage_ports *ports, const world *w, const world_route *r, tp_str rest,
                  const admit_principal *who, tp_now now, manage_reply *out)
{
    int rc = -1;
    *out = (manage_reply){.status = 200, .type = JSON_TYPE};
    buf_init(&out->body, MANAGE_MAX_BODY);
    switch (r->kind) {
    case WORLD_MODELS:
        rc = list_models(w, who, &out->body);
        break;
    case WORLD_MODEL:
        rc = one_model(w, r, rest, who, out);
        break;
    case WORLD_HEALTH:
        rc = health(ports, w, now, out);
        break;
    default:
        tp_must_failed(__FILE__, __LINE__, "a built-in route");
    }
    if (rc == 0)
        return 0;
    buf_free(&out->body);
    out->status = 503;
    return -1;
}
