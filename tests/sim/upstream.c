/* Simulated upstreams: what a script says, in pieces, on the clock. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static uint64_t sum(uint64_t h, tp_str s)
{
    static const hash_key key = {1, 2};
    return hash_mix(h) ^ hash_sip(key, s.ptr, s.len);
}

static uint64_t sum_of_request(const dispatch_upstream *u)
{
    uint64_t h = sum(u->header_count, u->target);
    for (uint32_t i = 0; i < u->header_count; i++)
        h = sum(sum(h, u->headers[i].name), u->headers[i].value);
    for (uint32_t i = 0; i < u->seg_count; i++)
        h = sum(h, u->segs[i]);
    return h;
}

/* What an upstream gets: the client's bytes without the hints, as they were or in canonical form.
 */
static void check_request(actor *a)
{
    const dispatch_upstream *u = &a->x.up;
    buf got = {.max = 1u << 20};
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < u->seg_count; i++) {
        buf_adds(&got, u->segs[i]);
        bytes += u->segs[i].len;
    }
    CHECK(a, bytes == u->body_bytes, "body_bytes %llu of %llu", (unsigned long long)u->body_bytes,
          (unsigned long long)bytes);
    CHECK(a, str_starts(u->target, a->shipped ? STR("/v1/") : STR("/base/")), "target %.*s",
          STR_ARG(u->target));
    if (!a->shipped) {
        tp_str body = buf_str(&got), wanted = buf_str(&a->q.wanted);
        int canon = str_starts(body, STR("{\"canon\":"));
        CHECK(a, canon == !a->x.relay, "canonical %d", canon);
        if (canon)
            body = str_make(body.ptr + 9, body.len - 10);
        if (a->q.rewritten) {
            CHECK(a, str_starts(body, STR("{\"rewritten\":")), "the new body is not used");
            body = str_make(body.ptr + 13, body.len - 14);
        }
        CHECK(a, str_eq(body, wanted), "the upstream gets\n%.*s\ninstead of\n%.*s", STR_ARG(body),
              STR_ARG(wanted));
        const tp_header *last = &u->headers[u->header_count - 1];
        CHECK(a, u->header_count >= 2 && str_ieq(last->name, STR("authorization")),
              "no credential");
        if (a->attempts[a->attempt_count - 1].sign == 2)
            CHECK(a,
                  str_starts(last->value, STR("AWS4-HMAC-SHA256 Credential=AKIDSIM/20231114/here/sim/"
                                              "aws4_request, SignedHeaders=content-type;host;"
                                              "x-amz-date, Signature=")),
                  "a signature of %.*s", STR_ARG(last->value));
        else
            CHECK(a, str_eq(last->value, STR("Bearer sk-upstream-0123456789")),
                  "a wrong credential");
    }
    buf_free(&got);
}

static void choose_pieces(actor *a)
{
    rng *r = &a->random;
    uint64_t kind = rng_below(r, 100);
    size_t n = a->up->cut + 1;
    a->piece = kind < 50 ? (uint32_t)n : kind < 95 ? 1 + (uint32_t)rng_below(r, n) : 1;
    if (a->s->o.one_byte)
        a->piece = 1;
    if (a->up->body.len > 20000)
        a->piece = TP_MAX(a->piece, 3000u);
    size_t pieces = n / a->piece + 1;
    a->gap_us = (int64_t)rng_below(r, 1500 * MS / pieces + 1);
    a->up_fin_alone = chance(r, 50);
}

void up_start(actor *a)
{
    exchange *x = &a->x;
    attempt *at = &a->attempts[a->attempt_count - 1];
    CHECK(a, !a->up_active, "a second upstream beside the first");
    CHECK(a, !x->committed && !a->heads, "an upstream is started after the first answer");
    CHECK(a, !x->released, "an upstream is started without a request");
    CHECK(a, at->steps < SIM_STEPS, "too many steps");
    a->starts++;
    a->up = &at->step[at->steps++];
    script_make(a->up, &a->random, a->shipped, a->q.stream, 0, at->steps < SIM_STEPS);
    if (a->traced)
        script_print(a->up);
    check_request(a);
    a->up_hash = sum_of_request(&x->up);
    a->up_active = 1;
    a->up_stage = 0;
    a->up_at = 0;
    a->up_due = soon(a, 100 * MS);
    choose_pieces(a);
}

void up_over(actor *a)
{
    a->up_active = 0;
    a->up_due = INT64_MAX;
}

static void up_fail(actor *a, int code)
{
    up_over(a);
    actor_run(a, (dispatch_input){.kind = IN_UP_FAILED, .code = code, .what = "it was to be"});
}

/* Bytes that are gone after the run, as a reader's buffer is. */
static void up_say(actor *a, const http_head *head, const char *bytes, size_t n, int fin)
{
    char *p = malloc(n ? n : 1);
    TP_MUST(p);
    if (n)
        memcpy(p, bytes, n);
    if (fin)
        up_over(a);
    actor_run(a, (dispatch_input){.kind = IN_UP_REPLY, .head = head, .bytes = {p, n}, .fin = fin});
    memset(p, 0xa5, n);
    free(p);
}

static const http_head *reply_head(actor *a)
{
    size_t max = a->x.req.max;
    a->x.req.max = SIZE_MAX / 2; /* the transport's own memory is not what is short */
    http_head *h = arena_zalloc(&a->x.req, sizeof(*h));
    h->status = a->up->status;
    h->content_length = -1;
    h->known[HTTP_H_CONTENT_TYPE] = arena_str(&a->x.req, str_of(script_type(a->up)));
    a->x.req.max = max;
    return h;
}

static void up_bytes(actor *a, const http_head *head)
{
    static const char *const endless[] = {"z\n", "data: Tz\n\n", "Tz\n", "0002Tz", ""};
    static const char endless_shipped[] = "data: {\"id\":\"u\",\"choices\":[{\"index\":0,\"delta\":"
                                          "{\"content\":\"z\"}}]}\n\n";
    script *s = a->up;
    size_t left = s->cut - a->up_at, n = TP_MIN(left, (size_t)a->piece);
    const char *from = s->body.ptr ? s->body.ptr + a->up_at : "";
    if (left || head) {
        if (head && a->up_fin_alone)
            n = 0;
        a->up_at += n;
        a->up_due = soon(a, (uint64_t)a->gap_us);
        up_say(a, head, from, n, a->up_at == s->cut && s->stop == STOP_WELL && !a->up_fin_alone);
        return;
    }
    switch (s->stop) {
    case STOP_WELL:
        up_say(a, NULL, NULL, 0, 1);
        break;
    case STOP_BROKEN:
        up_fail(a, DISPATCH_UP_BROKEN);
        break;
    case STOP_STALL:
        a->up_due = INT64_MAX;
        break;
    default:
        from = s->shipped && s->form == FORM_SSE ? endless_shipped : endless[s->form];
        a->up_due = a->s->now.mono_us + 500 * MS;
        up_say(a, NULL, from, strlen(from), 0);
        break;
    }
}

/* Now and then a client reads so slowly that its upstream has to wait, longer than it may be
 * silent. */
static int slow_client(actor *a)
{
    if (a->slow == 1) {
        a->slow = 2;
        a->due = dispatch_paused(&a->x, 0, a->s->now);
    } else if (!a->slow && chance(&a->random, 1)) {
        a->slow = 1;
        a->due = dispatch_paused(&a->x, 1, a->s->now);
        a->up_due = soon(a, 8000 * MS);
        return 1;
    }
    return 0;
}

void up_tick(actor *a)
{
    exchange *x = &a->x;
    a->up_due = soon(a, 50 * MS);
    switch (a->up_stage) {
    case 0:
        if (a->up->way == WAY_REFUSES || a->up->way == WAY_NOMEM) {
            up_fail(a, a->up->way == WAY_NOMEM ? DISPATCH_UP_NOMEM : DISPATCH_UP_UNREACHABLE);
        } else if (a->up->way == WAY_NO_CONNECTION) {
            a->up_due = INT64_MAX;
        } else {
            a->up_stage = 1;
            actor_run(a, (dispatch_input){.kind = IN_UP_PROGRESS, .code = DISPATCH_UP_SENDING});
        }
        break;
    case 1:
        CHECK(a, sum_of_request(&x->up) == a->up_hash, "the request changed while it was sent");
        a->up_stage = 2;
        if (a->release_wanted)
            actor_release(a);
        actor_run(a, (dispatch_input){.kind = IN_UP_PROGRESS, .code = DISPATCH_UP_SENT});
        break;
    case 2:
        if (a->up->way == WAY_DIES || a->up->way == WAY_PROTOCOL) {
            up_fail(a, a->up->way == WAY_DIES ? DISPATCH_UP_BROKEN : DISPATCH_UP_PROTOCOL);
        } else if (a->up->way == WAY_NO_ANSWER) {
            a->up_due = INT64_MAX;
        } else {
            a->up_stage = 3;
            up_bytes(a, reply_head(a));
        }
        break;
    default:
        if (!slow_client(a))
            up_bytes(a, NULL);
        break;
    }
}
