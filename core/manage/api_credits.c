/* Credits: the balance in the book, grants and refunds into the ledger, the ledger's entries. */
#include <stdlib.h>

#include "manage/manage_int.h"

#define CREDITS_MOST                                                                               \
    INT64_C(4000000000000000000) /* nano-dollars, all entries of a team together                   \
                                  */

typedef struct figures {
    int64_t credited, used, held, available;
} figures;

static int figures_of(api_call *c, tp_str team, figures *f)
{
    *f = (figures){0};
    if (!team.len)
        return 0;
    book_enter(c->p->book);
    book_team *t = book_team_of(c->p->book, team);
    if (t)
        *f = (figures){.credited = atomic_load_explicit(&t->credited, memory_order_relaxed),
                       .used = atomic_load_explicit(&t->used, memory_order_relaxed),
                       .held = atomic_load_explicit(&t->held, memory_order_relaxed),
                       .available = atomic_load_explicit(&t->available, memory_order_relaxed)};
    book_leave(c->p->book);
    return t != NULL;
}

int api_credits_own(api_call *c)
{
    figures f;
    figures_of(c, c->team, &f); /* a key without a team has none of anything */
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    api_open(&o, "data", '{');
    api_money_cents(&o, "total_credits", f.credited);
    api_money_cents(&o, "total_usage", f.used);
    api_money_cents(&o, "remaining", f.credited - f.used);
    api_close(&o, '}');
    api_close(&o, '}');
    return o.rc;
}

int api_credits_show(api_call *c)
{
    figures f;
    if (!figures_of(c, c->parameters[0], &f))
        return api_not_found(c, "team", c->parameters[0]);
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    api_text(&o, "team", c->parameters[0]);
    api_money(&o, "balance", f.credited - f.used);
    api_money(&o, "available", f.available);
    api_money(&o, "held", f.held);
    api_money(&o, "credited", f.credited);
    api_money(&o, "used", f.used);
    api_close(&o, '}');
    return o.rc;
}

static const char *kind_name(int32_t kind)
{
    static const char *const names[] = {"?",       "grant",  "hold",      "settle",
                                        "release", "refund", "adjustment"};
    return names[kind >= LEDGER_GRANT && kind <= LEDGER_ADJUSTMENT ? kind : 0];
}

/* ---- A grant, refund or adjustment. */
static int check_entry(api_call *c, const ledger_entry *e, const figures *f)
{
    int64_t sum;
    if (e->kind == LEDGER_ADJUSTMENT ? e->nano == 0 : e->nano <= 0)
        return api_fail(c, 400, "invalid_value", "amount",
                        e->kind == LEDGER_ADJUSTMENT ? "'amount' of an adjustment must not be 0."
                                                     : "'amount' of a %s must be above 0.",
                        kind_name(e->kind));
    if (e->generation.len && e->kind != LEDGER_REFUND)
        return api_fail(c, 400, "invalid_value", "generation",
                        "'generation' belongs to a refund: give \"kind\": \"refund\" too.");
    if (__builtin_add_overflow(f->credited, e->nano, &sum) || sum > CREDITS_MOST ||
        sum < -CREDITS_MOST)
        return api_fail(c, 400, "invalid_value", "amount",
                        "The team's credits would grow beyond what can be counted.");
    return 0;
}

static int answer_entry(api_call *c, const ledger_entry *e, int64_t seq, int duplicate)
{
    figures f;
    figures_of(c, e->team, &f);
    c->out->status = duplicate ? 200 : 201;
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    api_int(&o, "seq", seq);
    api_text(&o, "team", e->team);
    api_text(&o, "kind", str_of(kind_name(e->kind)));
    api_money(&o, "amount", e->nano);
    api_money(&o, "balance", f.credited - f.used);
    api_bool(&o, "duplicate", duplicate);
    api_close(&o, '}');
    return o.rc;
}

int api_credits_add(api_call *c)
{
    static const int32_t kinds[] = {LEDGER_GRANT, LEDGER_REFUND, LEDGER_ADJUSTMENT};
    const registry_port *store = c->p->registry;
    figures f;
    tp_error err = {0};
    int64_t balance = 0, seq = 0;
    ledger_entry e = {.kind = kinds[c->v[FIELD_KIND].given == 1 ? c->v[FIELD_KIND].number : 0],
                      .team = c->parameters[0],
                      .nano = c->v[FIELD_AMOUNT].number,
                      .unix_ms = c->r->now.unix_ms,
                      .generation = c->v[FIELD_GENERATION].text,
                      .note = c->v[FIELD_NOTE].text,
                      .actor = c->actor,
                      .reference = c->v[FIELD_REFERENCE].text};
    if (!figures_of(c, e.team, &f))
        return api_not_found(c, "team", e.team);
    int rc = check_entry(c, &e, &f);
    if (rc)
        return rc;
    rc = store->add_entry(store->self, &e, &balance, &seq, &err);
    if (rc == TP_ERROR_EXISTS)
        return answer_entry(c, &e, seq, 1);
    if (rc != 0)
        return api_store_down(c, &err);
    book_enter(c->p->book);
    book_team *t = book_team_of(c->p->book, e.team);
    if (t)
        book_credit(t, e.nano);
    book_leave(c->p->book);
    char amount[40];
    money_print(amount, e.nano);
    api_log(c, "%s of %s dollars to team %.*s, ledger entry %lld", kind_name(e.kind), amount,
            STR_ARG(e.team), (long long)seq);
    return answer_entry(c, &e, seq, 0);
}

/* ---- Reading it. */
static int write_entry(void *arg, const ledger_entry *e)
{
    api_out *o = arg;
    api_open(o, NULL, '{');
    api_int(o, "seq", e->seq);
    api_text(o, "kind", str_of(kind_name(e->kind)));
    api_money(o, "amount", e->nano);
    api_time(o, "at", e->unix_ms);
    api_text_or_null(o, "generation", e->generation);
    api_text_or_null(o, "key", e->key);
    api_text_or_null(o, "price_version", e->price_version);
    api_text_or_null(o, "note", e->note);
    api_text_or_null(o, "actor", e->actor);
    api_text_or_null(o, "reference", e->reference);
    api_close(o, '}');
    return o->rc;
}

int api_ledger_list(api_call *c)
{
    const registry_port *store = c->p->registry;
    const api_value *v = c->v;
    figures f;
    char next[64] = "";
    tp_error err = {0};
    if (!figures_of(c, c->parameters[0], &f))
        return api_not_found(c, "team", c->parameters[0]);
    registry_query q = {
        .team = c->parameters[0],
        .limit = v[FIELD_PAGE].given ? (uint32_t)v[FIELD_PAGE].number : 100,
        .status = v[FIELD_ENTRY].given ? LEDGER_GRANT + (int32_t)v[FIELD_ENTRY].number : 0,
        .cursor = v[FIELD_CURSOR].text};
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    api_open(&o, "data", '[');
    int rc = store->ledger(store->self, &q, write_entry, &o, next, &err);
    if (o.rc)
        return -1;
    if (rc == TP_ERROR_NOT_FOUND)
        return api_bad_cursor(c);
    if (rc != 0)
        return api_store_down(c, &err);
    api_close(&o, ']');
    api_text_or_null(&o, "next", str_of(next));
    api_close(&o, '}');
    return o.rc;
}

int api_ledger_verify(api_call *c)
{
    const registry_port *store = c->p->registry;
    registry_verdict v = {0};
    tp_error err = {0};
    int rc = store->verify(store->self, &v, &err);
    if (rc != 0) {
        buf_free(&v.text);
        return rc == TP_ERROR_LIMIT ? api_store_busy(c, &err) : api_store_down(c, &err);
    }
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    api_bool(&o, "ok", v.faults == 0);
    api_int(&o, "entries", v.entries);
    api_int(&o, "generations", v.generations);
    api_int(&o, "segments", v.segments);
    api_int(&o, "teams", v.teams);
    api_int(&o, "faults", v.faults);
    api_text(&o, "text", buf_str(&v.text));
    api_close(&o, '}');
    buf_free(&v.text);
    return o.rc;
}
