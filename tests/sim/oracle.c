/* What must have come of a life, computed from what its upstreams said, without the machine. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

typedef struct verdict {
    int status, ok, late; /* late: an error event after a part of the answer */
    int open;
    int64_t units, priced;
    int64_t words; /* of the upstreams of the attempt that decided */
    buf text;
} verdict;

static outcome attempt_outcome(const actor *a, const attempt *at, buf *text)
{
    outcome all = {.status = 502};
    int64_t units = 0;
    text->len = 0;
    for (int i = 0; i < at->steps; i++) {
        const script *s = &at->step[i];
        all = script_outcome(s, a->q.stream);
        buf_add(text, s->texts.ptr, all.text);
        units += all.units;
        if (!all.again)
            break;
        CHECK(a, i + 1 < at->steps, "a step that was wanted did not begin");
        all.status = 502;
    }
    all.units = units;
    return all;
}

/* 1: the attempt decides; its status is in v. */
static int judge(actor *a, const attempt *at, verdict *v)
{
    static const int of_build[] = {0, 400, 400, 502, 503, 502, 0};
    if (at->build == BUILD_INPUT) {
        v->status = 400;
        return 1;
    }
    v->status = of_build[at->build];
    if (at->build == BUILD_DROPS && a->q.strict)
        v->status = 400;
    if (v->status)
        return 0;
    v->status = at->no_credential == 2 ? 504 : 502;
    if (at->no_credential)
        return 0;
    CHECK(a, at->steps, "an attempt that did not begin");
    outcome o = attempt_outcome(a, at, &v->text);
    v->units = o.units;
    v->words = 0;
    for (int i = 0; i < at->steps; i++)
        v->words += at->step[i].count;
    v->open = o.open;
    v->ok = o.complete;
    v->late = !o.complete && a->q.stream && o.answered;
    v->status = o.complete || v->late ? 200 : o.status;
    return o.complete || v->late || o.final;
}

/* The shipped echo provider answers by itself, always in the same way. */
static int judge_echo(actor *a, int last, verdict *v)
{
    tp_str model = str_of(a->q.model);
    v->status = 503;
    if (str_eq(model, STR("plain")) && !last)
        return 0;
    if (str_eq(model, STR("m6"))) {
        v->ok = 1;
        v->status = 200;
        buf_adds(&v->text, STR("abc"));
        return 1;
    }
    v->status = 502;
    v->open = 1;
    v->late = a->q.stream;
    if (v->late)
        v->status = 200;
    return 1;
}

static void judge_plan(actor *a, verdict *v)
{
    int k = 0, converted = 0;
    for (uint32_t i = 0; i < a->plan_count; i++) {
        const plan_entry *p = &a->plan[i];
        v->text.len = 0;
        v->priced = p->priced;
        v->status = 502;
        if (!p->relay && !p->convert)
            continue;
        if (a->shipped && (strcmp(a->q.model, "m6") == 0 || strcmp(a->q.model, "plain") == 0)) {
            if (judge_echo(a, i + 1 == a->plan_count, v))
                return;
            continue;
        }
        if (!p->relay && !converted && a->q.convert) {
            v->status = a->q.convert == 2 ? 400 : 502;
            if (a->q.convert == 2)
                return;
            continue;
        }
        converted |= !p->relay;
        CHECK(a, k < a->attempt_count, "candidate %u of %u was not tried", i, a->plan_count);
        const attempt *at = &a->attempts[k++];
        CHECK(a, at->live_key == p->live_key, "candidates are not tried in order");
        if (judge(a, at, v))
            break;
    }
    CHECK(a, k == a->attempt_count, "%d attempts, %d were needed", a->attempt_count, k);
}

/* ---- What the client has got. */

static const char *find(tp_str s, const char *what)
{
    return s.len ? memmem(s.ptr, s.len, what, strlen(what)) : NULL;
}

/* All texts of a reply in the order of coming: of the simulation's own form, or of OpenAI's. */
static void read_texts(const actor *a, buf *text)
{
    const char *mark = a->shipped ? "\"content\":\"" : a->q.stream ? "data: T" : "{\"text\":\"";
    tp_str rest = buf_str(&a->out);
    for (const char *p; (p = find(rest, mark));) {
        rest = str_skip(rest, (size_t)(p - rest.ptr) + strlen(mark));
        size_t n = 0;
        while (n < rest.len && rest.ptr[n] != '"' && rest.ptr[n] != '\n')
            n++;
        buf_add(text, rest.ptr, n);
    }
}

static void check_stream(const actor *a, const verdict *v)
{
    tp_str out = buf_str(&a->out);
    int done = find(out, "data: [DONE]") != NULL;
    int error = find(out, "data: {\"error\"") != NULL || find(out, "data: {\"id\":\"err") != NULL;
    CHECK(a, str_starts(str_of(a->type), STR("text/event-stream")), "a stream of type %s", a->type);
    CHECK(a, str_starts(out, STR("data: ")) && str_ends(out, STR("\n\n")),
          "no stream of events: %.*s", STR_ARG(out));
    CHECK(a, done == v->ok && (!done || str_ends(out, STR("data: [DONE]\n\n"))), "%s [DONE]",
          done ? "a wrong" : "no");
    CHECK(a, error == !v->ok, "%s error event", error ? "a wrong" : "no");
    if (error) {
        const char *last = find(out, "data: {\"error\"");
        CHECK(a, last && !find(str_skip(out, (size_t)(last - out.ptr) + 6), "data: "),
              "the error is not the last event");
    }
}

static void check_texts(const actor *a, const verdict *v)
{
    buf got = {.max = 64u << 20};
    read_texts(a, &got);
    tp_str g = buf_str(&got), w = buf_str(&v->text);
    CHECK(a, v->open ? str_starts(g, w) : str_eq(g, w),
          "the client has got \"%.*s\" instead of \"%.*s\"", STR_ARG(g), STR_ARG(w));
    buf_free(&got);
}

static void check_error(const actor *a)
{
    tp_str out = buf_str(&a->out);
    CHECK(a, str_eq(str_of(a->type), STR("application/json")), "an error of type %s", a->type);
    CHECK(a, str_starts(out, STR("{\"error\":")) && str_ends(out, STR("}")),
          "an error without a body: %.*s", STR_ARG(out));
}

static void check_answer(const actor *a, const verdict *v)
{
    CHECK(a, a->status == v->status, "status %d instead of %d", a->status, v->status);
    CHECK(a, a->finished && !a->broken, "not finished");
    if (!v->ok && !v->late) {
        check_error(a);
    } else if (a->q.stream) {
        check_stream(a, v);
        check_texts(a, v);
    } else {
        CHECK(a, str_ends(buf_str(&a->out), STR("}")), "a whole reply without an end");
        CHECK(a, find(buf_str(&a->out), "\"error\"") == NULL, "an error within a reply");
        check_texts(a, v);
    }
    int how = v->ok ? SETTLE_COMPLETED : SETTLE_FAILED;
    CHECK(a, a->recorded_outcome == how, "outcome %d instead of %d", a->recorded_outcome, how);
    if (!a->settles)
        return;
    CHECK(a, a->settled_outcome == how, "settled as %d instead of %d", a->settled_outcome, how);
    int64_t cost = v->ok && v->priced ? v->units : 0;
    int echo = a->shipped && !a->attempt_count;
    /* Nobody has said what it took, or that it took nothing: then it is estimated, a token for four
     * bytes, or for a frame whose bytes nobody tells. */
    int untold = v->ok && v->priced && v->units == 0;
    int64_t most = (int64_t)v->text.len + v->words;
    CHECK(a, !untold || echo || (a->settled_nano >= 0 && a->settled_nano <= most),
          "estimated at %lld, and there were %lld bytes and words", (long long)a->settled_nano,
          (long long)most);
    CHECK(a, echo || untold || a->settled_nano == cost, "costs %lld instead of %lld",
          (long long)a->settled_nano, (long long)cost);
}

/* Somebody left: what has been said until then must still be in order. */
static void check_disturbed(const actor *a)
{
    tp_str out = buf_str(&a->out);
    if (a->heads && a->status == 200 && a->q.stream && !a->finished)
        CHECK(a, !find(out, "[DONE]"), "a stream that was left shows [DONE]");
    CHECK(a, !a->stage || a->recorded_outcome == SETTLE_CANCELLED || a->settles || a->finished,
          "outcome %d", a->recorded_outcome);
}

/* Anything may have failed, but what is complete must look so, and nothing else may. */
static void check_squeezed(const actor *a)
{
    tp_str out = buf_str(&a->out);
    int done = find(out, "data: [DONE]") != NULL;
    if (a->broken) {
        CHECK(a, a->heads && !done, "broken off, but complete");
    } else if (a->status != 200) {
        check_error(a);
    } else if (a->q.stream && a->q.kind != ASK_BUILT_IN) {
        verdict v = {.ok = done};
        check_stream(a, &v);
        CHECK(a, a->recorded_outcome == (done ? SETTLE_COMPLETED : SETTLE_FAILED), "outcome %d",
              a->recorded_outcome);
    } else {
        CHECK(a, str_ends(out, STR("}")) && !find(out, "\"error\""), "a whole reply that is none");
        CHECK(a, a->recorded_outcome == SETTLE_COMPLETED, "outcome %d", a->recorded_outcome);
    }
}

void oracle_check(actor *a)
{
    verdict v = {.text = {.max = 64u << 20}};
    a->s->outcomes[a->disturbed ? 0 : a->q.status ? 1 : 2]++;
    if (a->disturbed) {
        check_disturbed(a);
        return;
    }
    if (a->squeezed) {
        check_squeezed(a);
        return;
    }
    if (a->q.kind == ASK_BUILT_IN) {
        CHECK(a, a->status == 200 && str_eq(buf_str(&a->out), STR("{\"well\":true}")), "no list");
        CHECK(a, a->recorded_outcome == SETTLE_COMPLETED, "outcome %d", a->recorded_outcome);
        return;
    }
    if (a->q.status)
        v.status = a->q.status;
    else
        judge_plan(a, &v);
    a->s->outcomes[v.ok ? 3 : v.late ? 4 : 5]++;
    check_answer(a, &v);
    buf_free(&v.text);
}
