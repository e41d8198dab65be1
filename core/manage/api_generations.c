/* Generations: the record of a request, in the shape of the surface's document and in full. */
#include "manage/manage_int.h"

static tp_str status_name(int32_t outcome)
{
    return outcome == SETTLE_COMPLETED   ? STR("completed")
           : outcome == SETTLE_CANCELLED ? STR("cancelled")
                                         : STR("failed");
}

static tp_str finish_name(int32_t finish)
{
    switch (finish) {
    case TP_FINISH_STOP:
        return STR("stop");
    case TP_FINISH_LENGTH:
        return STR("length");
    case TP_FINISH_TOOLS:
        return STR("tool_calls");
    case TP_FINISH_FILTER:
        return STR("content_filter");
    case TP_FINISH_REFUSAL:
        return STR("refusal");
    case TP_FINISH_PAUSE:
        return STR("pause");
    default:
        return STR_NONE;
    }
}

static void write_usage(api_out *o, const usage *u)
{
    api_open(o, "usage", '{');
    for (uint32_t i = 0; i < u->count; i++)
        api_int(o, u->classes[i].unit, u->classes[i].count);
    api_close(o, '}');
}

static int64_t milliseconds(int64_t us)
{
    return us < 0 ? -1 : us / 1000;
}

/* What both shapes tell after their beginning. money: strings (admin) or numbers. */
static void write_rest(api_out *o, const settle_record *r, int admin)
{
    const usage *u = &r->used;
    api_text_or_null(o, "model_served", r->model_served);
    api_bool(o, "streamed", r->streamed);
    api_text_or_null(o, "finish_reason", finish_name(r->finish));
    api_int_or_null(o, "time_to_first_token_ms", milliseconds(r->first_token_us));
    api_int(o, "attempts", r->attempts);
    api_int(o, "tokens_reasoning", usage_get(u, STR("reasoning")));
    api_int(o, "tokens_cached", usage_get(u, STR("cache_read")));
    write_usage(o, u);
    api_money_as(o, admin, "charged", r->charged_nano, 1);
    api_money_as(o, admin, "savings", r->baseline_nano - r->cost_nano, r->baseline_nano >= 0);
    api_text_or_null(o, "upstream_id", r->upstream_id);
    api_bool(o, "byok", (r->flags & SETTLE_BYOK) != 0);
    api_bool(o, "estimated", (r->flags & SETTLE_ESTIMATED) != 0);
}

static void write_own(api_out *o, const settle_record *r)
{
    api_open(o, NULL, '{');
    api_text(o, "id", r->generation);
    api_text_or_null(o, "model", r->model_asked);
    api_time(o, "created_at", r->unix_ms);
    api_int(o, "tokens_prompt", usage_tokens_in(&r->used));
    api_int(o, "tokens_completion", usage_tokens_out(&r->used));
    api_money_number(o, "total_cost", r->cost_nano);
    api_int(o, "latency_ms", TP_MAX(milliseconds(r->latency_us), 0));
    api_text_or_null(o, "provider", r->provider);
    api_text(o, "status", status_name(r->outcome));
    write_rest(o, r, 0);
    api_close(o, '}');
}

static void write_full(api_out *o, const settle_record *r)
{
    api_open(o, NULL, '{');
    api_text(o, "id", r->generation);
    api_time(o, "created_at", r->unix_ms);
    api_text_or_null(o, "team", r->team);
    api_text_or_null(o, "key", r->key_id);
    api_text_or_null(o, "key_name", r->key);
    api_text_or_null(o, "request_id", r->request_id);
    api_text_or_null(o, "surface", r->surface);
    api_text_or_null(o, "endpoint", r->endpoint);
    api_text_or_null(o, "method", r->method);
    api_text_or_null(o, "path", r->path);
    api_text_or_null(o, "client", r->client);
    api_text_or_null(o, "model", r->model_asked);
    api_text_or_null(o, "provider", r->provider);
    api_text(o, "status", status_name(r->outcome));
    api_int(o, "http_status", r->status);
    api_int(o, "tokens_prompt", usage_tokens_in(&r->used));
    api_int(o, "tokens_completion", usage_tokens_out(&r->used));
    api_int(o, "latency_ms", TP_MAX(milliseconds(r->latency_us), 0));
    api_text_or_null(o, "price_version", r->price_version);
    api_money(o, "hold", r->hold_nano);
    api_money(o, "cost", r->cost_nano);
    api_money_as(o, 1, "baseline", r->baseline_nano, r->baseline_nano >= 0);
    write_rest(o, r, 1);
    api_int(o, "bytes_in", r->bytes_in);
    api_int(o, "bytes_out", r->bytes_out);
    tp_str prompt = r->prompt;
    for (int i = 0; i < 3 && prompt.len && !json_utf8_valid(prompt); i++)
        prompt.len--; /* it may have been cut within a character */
    api_text_or_null(o, "prompt", json_utf8_valid(prompt) ? prompt : STR_NONE);
    api_close(o, '}');
}

typedef struct reading {
    api_call *c;
    api_out o;
    int full, foreign, wrote;
} reading;

/* May the caller see it? A record without a team belongs to the key that it came with; one with
 * neither, to any key that has neither: those of the configuration that nobody set apart. */
static int is_own(const api_call *c, const settle_record *r)
{
    tp_str team = c->row->mount == WORLD_ADMIN ? c->own : c->team;
    if (c->role == CONF_ROLE_ADMIN)
        return 1;
    return team.len || r->team.len ? str_eq(r->team, team) : str_eq(r->key_id, c->key_id);
}

static int row_of(void *arg, const settle_record *r)
{
    reading *g = arg;
    if (!is_own(g->c, r)) {
        g->foreign = 1;
        return 0;
    }
    if (g->full)
        write_full(&g->o, r);
    else
        write_own(&g->o, r);
    g->wrote = 1;
    return g->o.rc;
}

static int show(api_call *c, tp_str id, int full)
{
    const registry_port *store = c->p->registry;
    reading g = {.c = c, .o = api_out_of(c), .full = full};
    tp_error err = {0};
    int rc = store->generation(store->self, id, row_of, &g, &err);
    if (g.o.rc)
        return -1;
    if (rc == TP_ERROR_NOT_FOUND || (rc == 0 && !g.wrote))
        return api_not_found(c, "generation", id);
    return rc ? api_store_down(c, &err) : 0;
}

int api_generation_own(api_call *c)
{
    return show(c, c->v[FIELD_ID].text, 0);
}

int api_generations_show(api_call *c)
{
    return show(c, c->parameters[0], 1);
}

int api_generations_list(api_call *c)
{
    const registry_port *store = c->p->registry;
    const api_value *v = c->v;
    char next[64] = "";
    tp_error err = {0};
    registry_query q = {
        .team = v[FIELD_TEAM].text,
        .key = v[FIELD_KEY].text,
        .model = v[FIELD_MODEL].text,
        .provider = v[FIELD_PROVIDER].text,
        .status = v[FIELD_STATUS].given ? SETTLE_COMPLETED + (int32_t)v[FIELD_STATUS].number : 0,
        .limit = v[FIELD_PAGE].given ? (uint32_t)v[FIELD_PAGE].number : 100,
        .from_ms = v[FIELD_FROM].number,
        .to_ms = v[FIELD_TO].number,
        .cursor = v[FIELD_CURSOR].text};
    if (c->role != CONF_ROLE_ADMIN) {
        if (q.team.len && !str_eq(q.team, c->own))
            return api_not_found(c, "team", q.team);
        q.team = c->own;
    }
    reading g = {.c = c, .o = api_out_of(c), .full = 1};
    api_open(&g.o, NULL, '{');
    api_open(&g.o, "data", '[');
    int rc = store->generations(store->self, &q, row_of, &g, next, &err);
    if (g.o.rc)
        return -1;
    if (rc == TP_ERROR_NOT_FOUND)
        return api_bad_cursor(c);
    if (rc != 0)
        return api_store_down(c, &err);
    api_close(&g.o, ']');
    api_text_or_null(&g.o, "next", str_of(next));
    api_close(&g.o, '}');
    return g.o.rc;
}
