/* The credential of an attempt: a secret in a header, a token that is fetched, or a signature over the
 * request as it goes over the wire. */
#include <string.h>

#include "dispatch/dispatch_int.h"
#include "sign/sign.h"

enum { WAY_SECRET = 0, WAY_AWS4 = 1, WAY_GOOGLE = 2 }; /* x->credential_way */

static int failed(exchange *x, const char *why)
{
    dispatch_fault_of(x, FAULT_INTERNAL, why);
    return dispatch_attempt_failed(x, FAULT_INTERNAL);
}

/* ---- What the plugin asked for. */

/* A member of the parameters that is a word or words, in the request's memory; empty: it is not. */
static tp_str parameter(exchange *x, const tp_doc *d, const char *name)
{
    uint32_t t = json_kind(d, 0) == TP_OBJECT ? json_find(d, 0, str_of(name)) : 0;
    tp_str s = t && json_kind(d, t) == TP_STRING ? json_string(d, t, &x->req) : STR("");
    s = arena_str(&x->req, s);
    return s.ptr && !str_has_control(s) ? s : STR("");
}

static int read_scheme(exchange *x, const plug_out *o)
{
    tp_doc d = {.count = 0};
    json_error e = {0};
    int aws = str_eq(o->sign_scheme, STR("aws4"));
    if (!aws && !str_eq(o->sign_scheme, STR("google-oauth"))) {
        tp_str why = arena_printf(&x->mem,
                                  "its plugin asked for the signature '%.*s', which this gateway "
                                  "does not make; expected aws4 or google-oauth%c",
                                  (int)TP_MIN(o->sign_scheme.len, (size_t)64), o->sign_scheme.ptr, 0);
        return failed(x, why.ptr ? why.ptr : "its plugin asked for an unknown signature");
    }
    tp_str text = arena_str(&x->req, o->sign_params);
    if (!text.ptr || json_scan_doc(text, &x->env->scratch->tape, &x->req, &d, &e) != 0)
        return failed(x, "its plugin called sign with parameters that are no JSON");
    x->credential_way = aws ? WAY_AWS4 : WAY_GOOGLE;
    x->sign_with[0] = parameter(x, &d, aws ? "service" : "scope");
    x->sign_with[1] = aws ? parameter(x, &d, "region") : STR("");
    if (!x->sign_with[0].len || (aws && !x->sign_with[1].len))
        return failed(x, aws ? "its plugin called sign (aws4) without a service or a region"
                             : "its plugin called sign (google-oauth) without a scope");
    return STAY;
}

int dispatch_ask_credential(exchange *x, const plug_out *o)
{
    const conf_timeouts *t = &x->on->provider->conf->timeouts;
    int64_t now = x->env->now.mono_us;
    x->credential_way = WAY_SECRET;
    x->sign_with[0] = x->sign_with[1] = STR("");
    if (o->has_secret && o->has_sign)
        return failed(x, "its plugin asked for a secret in a header and for a signature; expected "
                         "one of the two");
    if (o->has_sign) {
        int next = read_scheme(x, o);
        if (next != STAY)
            return next;
    }
    /* Name and prefix of the secret's header wait in the place that the value will take. */
    tp_header *last = (tp_header *)(uintptr_t)&x->up.headers[x->up.header_count];
    last->name = arena_str(&x->req, o->has_secret ? o->secret_name : STR("Authorization"));
    last->value = arena_str(&x->req, o->has_secret ? o->secret_prefix : STR("Bearer "));
    if (!last->name.ptr || !last->value.ptr)
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    /* While it is awaited, the clock of the attempt runs. */
    x->phase_due = now + t->first_byte_ms * 1000;
    x->total_due = TP_MIN(x->total_due, now + t->total_ms * 1000);
    x->asking = ASK_AWAIT;
    x->after_ask = ST_CREDENTIAL;
    return STAY;
}

/* ---- The answer. */

int dispatch_answer_credential(exchange *x, dispatch_input *in)
{
    dispatch_env *env = x->env;
    const world_provider *p = x->on->provider;
    const book_byok *own = admit_byok(&x->who, p->conf->name, x->op.format);
    dispatch_need need = {.secret = own ? own->secret : p->conf->api_key.value, .own = own != NULL};
    const char *why = "no secret is configured for this provider";
    tp_str secret = need.secret; /* the customer's own key, never the gateway's, if there is one */
    int rc = secret.ptr ? 1 : -1;
    x->byok = own != NULL;
    if (x->credential_way == WAY_SECRET && !secret.ptr && p->conf->local) {
        *in = (dispatch_input){.kind = IN_CREDENTIAL}; /* this upstream wants no key */
        return 1;
    }
    if (x->credential_way == WAY_GOOGLE)
        need.scope = x->sign_with[0];
    if (need.scope.ptr && !env->ports.credential)
        rc = -1, why = "this gateway has no token service";
    else if (env->ports.credential && (!own || need.scope.ptr))
        rc = env->ports.credential(env->ports.arg, x, p, &need, &secret, &why);
    if (rc == 0)
        return 0;
    *in = (dispatch_input){
        .kind = IN_CREDENTIAL, .code = rc < 0 ? -1 : 0, .bytes = secret, .what = why};
    return 1;
}

static int sign_request(exchange *x, tp_str key)
{
    sign_aws4_request r = {.method = x->up.method,
                           .target = x->up.target,
                           .host = x->up.to->authority,
                           .headers = x->up.headers,
                           .header_count = x->up.header_count,
                           .segs = x->up.segs,
                           .seg_count = x->up.seg_count,
                           .service = x->sign_with[0],
                           .region = x->sign_with[1],
                           .unix_ms = x->env->now.unix_ms};
    sign_aws4_result out;
    const char *why = NULL;
    if (sign_aws_key_parse(key, &r.key) != 0) {
        dispatch_fault_of(x, FAULT_INTERNAL,
                          "its key cannot sign for AWS; expected " SIGN_AWS_FORM
                          ", or access_key_id and secret_access_key under \"credential\"");
        return TP_E_INTERNAL;
    }
    int rc = sign_aws4(&r, &x->req, &out, &why);
    if (rc != 0) {
        tp_str text = arena_printf(&x->mem, "its request cannot be signed: %s%c", why, 0);
        dispatch_fault_of(x, FAULT_INTERNAL, text.ptr ? text.ptr : why);
        return rc;
    }
    tp_header *to = (tp_header *)(uintptr_t)&x->up.headers[x->up.header_count];
    for (uint32_t i = 0; i < out.header_count; i++)
        to[i] = out.headers[i];
    tp_str token = arena_str(&x->req, r.key.token); /* the key may be gone before the request is */
    for (uint32_t i = 0; i < out.header_count && token.len; i++)
        if (to[i].value.ptr == r.key.token.ptr)
            to[i].value = token;
    x->up.header_count += out.header_count;
    return token.ptr ? 0 : TP_E_NOMEM;
}

int dispatch_on_credential(exchange *x, const dispatch_input *in)
{
    tp_header *last = (tp_header *)(uintptr_t)&x->up.headers[x->up.header_count];
    if (in->code < 0)
        return failed(x, in->what);
    if (x->credential_way == WAY_AWS4)
        return sign_request(x, in->bytes) == 0 ? dispatch_start(x)
                                               : dispatch_attempt_failed(x, FAULT_INTERNAL);
    if (!in->bytes.ptr)
        return dispatch_start(x);
    if (str_has_control(in->bytes)) /* it would end the header's line */
        return failed(x, "its key is of several lines; expected one that fits into a header");
    last->value = arena_cat(&x->req, last->value, in->bytes);
    if (!last->value.ptr)
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    x->up.header_count++;
    return dispatch_start(x);
}

void dispatch_credential_refused(exchange *x)
{
    if (x->credential_way == WAY_GOOGLE && !x->local && x->env->ports.credential_refused)
        x->env->ports.credential_refused(x->env->ports.arg, x);
}

/* ---- No answer. */

void dispatch_leave_credential(exchange *x)
{
    if (x->asking != ASK_AWAIT)
        return;
    x->asking = 0;
    if (x->ask_later && x->env->ports.credential_leave)
        x->env->ports.credential_leave(x->env->ports.arg, x);
    x->ask_later = 0;
}

int dispatch_credential_late(exchange *x)
{
    int64_t now = x->env->now.mono_us;
    if (now < x->phase_due && now < x->total_due)
        return STAY;
    dispatch_leave_credential(x);
    dispatch_fault_of(x, TP_ERR_TIMEOUT,
                      now >= x->total_due ? "its credential took longer than timeouts.total_ms"
                                          : "no credential came within timeouts.first_byte_ms");
    return dispatch_attempt_failed(x, TP_ERR_TIMEOUT);
}
