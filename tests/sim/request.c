/* What clients ask for. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

static void choose_kind(request *q, rng *r)
{
    static const struct {
        int kind, status;
    } wrong[] = {{ASK_NO_KEY, 401},     {ASK_BAD_KEY, 401},     {ASK_BAD_PATH, 404},
                 {ASK_BAD_METHOD, 405}, {ASK_NO_LENGTH, 411},   {ASK_BAD_TYPE, 415},
                 {ASK_BAD_CODING, 415}, {ASK_BODY_FAILED, 0},   {ASK_BAD_JSON, 400},
                 {ASK_TOO_DEEP, 400},   {ASK_PARSE_INPUT, 400}, {ASK_PARSE_INTERNAL, 500},
                 {ASK_BAD_MODEL, 404},  {ASK_NARROW_KEY, 403},  {ASK_BUILT_IN, 200},
                 {ASK_HELD_BACK, 402},  {ASK_NO_LEDGER, 503},   {ASK_NO_RANK, 500}};
    q->kind = ASK_WELL;
    q->status = 0;
    if (!chance(r, 20))
        return;
    size_t i = rng_below(r, TP_COUNT(wrong));
    q->kind = wrong[i].kind;
    q->status = wrong[i].status;
    if (q->kind == ASK_BODY_FAILED) {
        static const int codes[] = {400, 408, 413};
        q->status = codes[rng_below(r, 3)];
    }
}

static void own_members(request *q, buf *b)
{
    static const char *const converts[] = {"well", "fails", "input"};
    const char *how = q->kind == ASK_PARSE_INPUT      ? "input"
                      : q->kind == ASK_PARSE_INTERNAL ? "internal"
                      : q->rewritten                  ? "rewrite"
                                                      : "well";
    const char *all[] = {"\"parse\":\"",
                         how,
                         "\",\"convert\":\"",
                         converts[q->convert],
                         "\",\"errors\":\"",
                         q->own_errors ? "own" : "host",
                         "\",\"seed\":9007199254740993,\"deep\":{\"cailos\":[1,{\"turnpike\":2}]}"};
    for (size_t i = 0; i < TP_COUNT(all); i++)
        buf_adds(b, str_of(all[i]));
}

static void shipped_members(request *q, buf *b)
{
    buf_adds(b, STR("\"messages\":[{\"role\":\"user\",\"content\":"));
    buf_adds(b, q->kind == ASK_PARSE_INPUT || q->kind == ASK_PARSE_INTERNAL ? STR("17")
                                                                            : STR("\"say abc\""));
    buf_adds(b, STR("}],\"seed\":9007199254740993"));
}

/* The body, with hints here and there, and the same without them. */
static void write_body(request *q, rng *r, int shipped)
{
    static const char *const hints[] = {"\"turnpike\": {\"optimise\":\"cost\"}",
                                        "\"cailos\" :[\"a,}\"]"};
    char head[128];
    int first = 1, at[2];
    q->hints = (int)rng_below(r, 4); /* bit 0: turnpike, bit 1: cailos */
    at[0] = (int)rng_below(r, 3);
    at[1] = (int)rng_below(r, 3);
    snprintf(head, sizeof(head), "\"model\":\"%s\",\"stream\":%s", q->model,
             q->stream ? "true" : "false");
    buf_adds(&q->body, STR("{"));
    buf_adds(&q->wanted, STR("{"));
    for (int place = 0; place < 3; place++) {
        for (int h = 0; h < 2; h++) {
            if (!(q->hints >> h & 1) || at[h] != place)
                continue;
            buf_adds(&q->body, first ? STR("") : STR(","));
            buf_adds(&q->body, str_of(hints[h]));
            first = 0;
        }
        if (place == 2)
            break;
        buf_adds(&q->body, first ? STR("") : STR(","));
        buf_adds(&q->wanted, place ? STR(",") : STR(""));
        buf *both[2] = {&q->body, &q->wanted};
        for (int k = 0; k < 2; k++) {
            if (place == 0)
                buf_adds(both[k], str_of(head));
            else if (shipped)
                shipped_members(q, both[k]);
            else
                own_members(q, both[k]);
        }
        first = 0;
    }
    buf_adds(&q->body, STR("}"));
    buf_adds(&q->wanted, STR("}"));
    if (q->kind == ASK_BAD_JSON)
        q->body.len -= 1 + rng_below(r, q->body.len - 1);
    if (q->kind == ASK_TOO_DEEP) {
        q->body.len = 0;
        for (int i = 0; i < 500; i++)
            buf_adds(&q->body, STR("["));
    }
}

void request_make(request *q, rng *r, int shipped)
{
    static const char *const models[] = {"m1", "m2", "m3", "m5", "m6", "plain"};
    buf body = q->body, wanted = q->wanted;
    memset(q, 0, sizeof(*q));
    q->body = body;
    q->wanted = wanted;
    q->body.len = q->wanted.len = 0;
    q->body.max = q->wanted.max = 1u << 20;
    choose_kind(q, r);
    q->stream = chance(r, 50);
    q->strict = !shipped && chance(r, 10);
    q->convert = chance(r, 95) ? 0 : 1 + (int)rng_below(r, 2);
    q->own_errors = !shipped && chance(r, 50);
    q->rewritten = !shipped && chance(r, 10);
    if (q->rewritten) /* then the member lies deeper than convert looks */
        q->convert = 0;
    q->method = HTTP_POST;
    snprintf(q->path, sizeof(q->path), "%s", shipped ? "/v1/chat/completions" : "/v1/sim");
    snprintf(q->model, sizeof(q->model), "%s", models[rng_below(r, TP_COUNT(models))]);
    if (chance(r, 8)) /* a deployment that is in no catalog, or is found in it by its full name */
        snprintf(q->model, sizeof(q->model), "%s",
                 shipped         ? "two/unlisted"
                 : chance(r, 30) ? "both/\\u007a"
                 : chance(r, 50) ? "relay/unlisted"
                                 : "canon/unlisted");
    if (q->kind == ASK_BAD_MODEL)
        snprintf(q->model, sizeof(q->model), "%s", chance(r, 50) ? "nobody" : "nobody/at-all");
    if (q->kind == ASK_NARROW_KEY)
        snprintf(q->model, sizeof(q->model), "m2");
    if (q->kind == ASK_NO_RANK) {
        snprintf(q->model, sizeof(q->model), "m3");
        if (shipped) { /* the shipped strategy always answers */
            q->kind = ASK_WELL;
            q->status = 0;
        }
    }
    if (q->kind == ASK_PARSE_INTERNAL && shipped)
        q->status = 400;
    if (q->kind == ASK_BAD_PATH)
        snprintf(q->path, sizeof(q->path), "%s", chance(r, 50) ? "/v1/nowhere" : "/nowhere");
    if (q->kind == ASK_BAD_METHOD)
        q->method = chance(r, 50) ? HTTP_GET : HTTP_HEAD;
    if (q->kind == ASK_BUILT_IN) {
        snprintf(q->path, sizeof(q->path), "%s", chance(r, 50) ? "/v1/models" : "/healthz");
        q->method = chance(r, 50) ? HTTP_GET : HTTP_HEAD;
    }
    write_body(q, r, shipped);
}
