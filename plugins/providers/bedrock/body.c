/* The body of Converse: what is left of it, and the order. */
#include "bedrock_int.h"

static int is_zero(plan *p, uint32_t t)
{
    if (span_kind(p->r.d, t) != TP_NUMBER)
        return 0;
    tp_str s = span_raw(p->r.d, t);
    for (size_t i = 0; i < s.len && (s.ptr[i] | 32) != 'e'; i++)
        if (s.ptr[i] >= '1' && s.ptr[i] <= '9')
            return 0;
    return 1;
}

/* Parameters that say what is so anyway need no report. */
static void take_defaults(plan *p)
{
    static const tp_str off[] = {SPAN_INIT("logprobs"), SPAN_INIT("store")};
    static const tp_str zero[] = {SPAN_INIT("frequency_penalty"), SPAN_INIT("presence_penalty")};
    const tp_host *h = p->r.h;
    const tp_doc *d = p->r.d;
    int64_t n;
    uint32_t t = h->find(d, 0, SPAN("n"));
    if (span_int(d, t, &n) && n == 1)
        chat_take(&p->r, SPAN("n"));
    for (size_t i = 0; i < 2; i++)
        if (span_kind(d, t = h->find(d, 0, off[i])) == TP_BOOL && !span_true(d, t))
            chat_take(&p->r, off[i]);
    for (size_t i = 0; i < 2; i++)
        if (is_zero(p, h->find(d, 0, zero[i])))
            chat_take(&p->r, zero[i]);
    t = h->find(d, 0, SPAN("logit_bias"));
    if (span_kind(d, t) == TP_OBJECT && !span_filled(d, t))
        chat_take(&p->r, SPAN("logit_bias"));
    t = h->find(d, 0, SPAN("modalities"));
    if (span_kind(d, t) == TP_ARRAY && d->tokens[t].next == t + 2 &&
        span_kind(d, t + 1) == TP_STRING && span_is(span_inner(d, t + 1), "text"))
        chat_take(&p->r, SPAN("modalities"));
}

static uint32_t deployment_member(plan *p, tp_str name)
{
    const tp_doc *o = &p->r.target->options;
    uint32_t t = o->count && o->tokens[0].kind == TP_OBJECT ? p->r.h->find(o, 0, name) : 0;
    return span_given(o, t) ? t : 0;
}

/* Fields of this API's own: the client's, else the deployment's. 1: it was written. */
static int put_field(plan *p, tp_str name)
{
    uint32_t t = chat_take(&p->r, name), of_deployment = deployment_member(p, name);
    if (t)
        jo_key_token(&p->o, name, p->r.d, t);
    else if (of_deployment)
        jo_key_token(&p->o, name, &p->r.target->options, of_deployment);
    return t || of_deployment;
}

/* A guardrail of the deployment's is not for a client to change. */
static void put_guardrail(plan *p)
{
    uint32_t of_deployment = deployment_member(p, SPAN("guardrailConfig"));
    if (!of_deployment) {
        put_field(p, SPAN("guardrailConfig"));
        return;
    }
    if (chat_take(&p->r, SPAN("guardrailConfig")))
        chat_note(&p->r, TP_CHANGED, SPAN("this deployment has its own"), "guardrailConfig");
    jo_key_token(&p->o, SPAN("guardrailConfig"), &p->r.target->options, of_deployment);
}

static void put_service_tier(plan *p)
{
    static const tp_str tiers[] = {SPAN_INIT("default"), SPAN_INIT("flex"), SPAN_INIT("priority"),
                                   SPAN_INIT("reserved")};
    uint32_t t = p->r.h->find(p->r.d, 0, SPAN("service_tier"));
    if (put_field(p, SPAN("serviceTier")) || span_kind(p->r.d, t) != TP_STRING)
        return;
    tp_str word = span_text(p->r.h, p->r.c, p->r.d, t);
    if (span_is(word, "auto")) {
        chat_take(&p->r, SPAN("service_tier"));
        return;
    }
    for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
        if (!span_eq(tiers[i], word))
            continue;
        chat_take(&p->r, SPAN("service_tier"));
        jo_key(&p->o, SPAN("serviceTier"));
        jo_open(&p->o, SPAN("{"));
        jo_key_string(&p->o, SPAN("type"), word);
        jo_close(&p->o, SPAN("}"));
    }
}

/* Letters, digits, white space and : _ @ $ # = / + , - . */
static int fits_metadata(tp_str s)
{
    static const char marks[] = ":_@$#=/+,-. \t\n\r";
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
              (c && strchr(marks, c))))
            return 0;
    }
    return s.len <= 256;
}

static void put_metadata(plan *p)
{
    enum { MOST = 16 };
    json_out *o = &p->o;
    uint32_t n = 0, t = p->r.h->find(p->r.d, 0, SPAN("metadata"));
    if (put_field(p, SPAN("requestMetadata")) || span_kind(p->r.d, t) != TP_OBJECT)
        return;
    chat_take(&p->r, SPAN("metadata"));
    for (members m = members_of(p->r.d, t); plan_ok(p) && members_next(&m);) {
        tp_str key = span_text(p->r.h, p->r.c, p->r.d, m.key);
        int is_text = span_kind(p->r.d, m.value) == TP_STRING;
        if (!is_text || !key.len || n == MOST || !fits_metadata(key) ||
            !fits_metadata(span_text(p->r.h, p->r.c, p->r.d, m.value))) {
            chat_note(&p->r, TP_DROPPED,
                      SPAN("at most 16 short texts of letters, digits and : _ @ $ # = / + , - ."),
                      "metadata.%.*s", (int)(key.len < 64 ? key.len : 64), key.ptr);
            continue;
        }
        if (!n++) {
            jo_key(o, SPAN("requestMetadata"));
            jo_open(o, SPAN("{"));
        }
        jo_comma(o);
        jo_token(o, p->r.d, m.key);
        jo_put(o, SPAN(":"));
        jo_token(o, p->r.d, m.value);
    }
    if (n)
        jo_close(o, SPAN("}"));
}

tp_status bedrock_write_body(plan *p)
{
    json_out *o = &p->o;
    p->has_history = bedrock_has_history(p);
    p->format = chat_take_format(&p->r);
    p->native_format = p->format.kind == CHAT_FORMAT_SCHEMA && p->format.schema &&
                       p->t.structured == STRUCTURED_NATIVE &&
                       (p->t.structured_said || bedrock_schema_fits(p, p->format.schema));
    bedrock_reasoning(p);
    take_defaults(p);
    jo_open(o, SPAN("{"));
    bedrock_system(p);
    bedrock_messages(p);
    if (plan_ok(p))
        bedrock_tools(p);
    if (plan_ok(p))
        bedrock_sampling(p);
    if (plan_ok(p))
        bedrock_extras(p);
    if (!plan_ok(p))
        return p->r.st != TP_OK ? p->r.st : p->o.st;
    bedrock_output(p);
    put_guardrail(p);
    put_field(p, SPAN("performanceConfig"));
    put_field(p, SPAN("promptVariables"));
    put_field(p, SPAN("additionalModelResponseFieldPaths"));
    put_service_tier(p);
    put_metadata(p);
    jo_close(o, SPAN("}"));
    return p->o.st != TP_OK ? p->o.st : chat_rest(&p->r);
}
