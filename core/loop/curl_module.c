/* The curl transport, a module of its own: libcurl's multi interface on the worker's loop, for
 * HTTP/2 and forward proxies. libcurl walks all connections of a multi for each new transfer, so
 * transfers are spread over shards of at most 64. Nothing of a stream's owner is called from within
 * libcurl: callbacks note what happened, and upc_drain() tells it when libcurl has returned. */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "loop/curl_int.h"

TP_EXPORT const up_transport *tp_curl_transport_v1(void); /* UP_CURL_SYMBOL */
static void start_next(curl_up *t, queue *q);

/* ---- what is ready */
static void on_kick(uv_timer_t *h)
{
    upc_drain(h->data);
}

void upc_mark(cstream *s)
{
    if (s->ready_link)
        return;
    s->ready_next = NULL;
    s->ready_link = s->t->ready_end;
    *s->t->ready_end = s;
    s->t->ready_end = &s->ready_next;
}

static void unmark(cstream *s)
{
    if (!s->ready_link)
        return;
    if (s->t->ready_end == &s->ready_next)
        s->t->ready_end = s->ready_link;
    *s->ready_link = s->ready_next;
    if (s->ready_next)
        s->ready_next->ready_link = s->ready_link;
    s->ready_next = NULL;
    s->ready_link = NULL;
}

static void mark_and_kick(cstream *s)
{
    upc_mark(s);
    if (!s->t->draining)
        uv_timer_start(s->t->kick, on_kick, 0, 0);
}

/* Gives the stream to libcurl, or marks it as failed. */
static void begin(cstream *s)
{
    curl_up *t = s->t;
    shard *sh = upc_shard(t);
    s->easy = t->spares ? t->spare[--t->spares] : curl_easy_init();
    if (!sh || !s->easy) {
        upc_wrong(s, UP_E_NOMEM, "out of memory");
    } else if (upc_prepare(s, sh) == 0) {
        if (curl_multi_add_handle(sh->multi, s->easy) == CURLM_OK) {
            s->sh = sh;
            sh->transfers++;
            return;
        }
        upc_wrong(s, UP_E_TRANSPORT, "libcurl does not take the request");
    }
    s->over = 1;
    mark_and_kick(s);
}

void upc_settle(curl_up *t)
{
    if (!t->done || t->handles)
        return;
    void (*done)(void *) = t->done;
    void *arg = t->done_arg;
    free(t);
    curl_global_cleanup();
    done(arg);
}

/* ---- the end of a stream */
static void release(cstream *s)
{
    curl_up *t = s->t;
    unmark(s);
    if (s->sh) {
        curl_multi_remove_handle(s->sh->multi, s->easy);
        s->sh->transfers--;
    }
    if (s->easy) {
        curl_easy_reset(s->easy);
        if (t->spares < SPARE_MAX)
            t->spare[t->spares++] = s->easy;
        else
            curl_easy_cleanup(s->easy);
    }
    if (s->ssl)
        SSL_set_msg_callback(s->ssl, NULL);
    SSL_free(s->ssl);
    curl_slist_free_all(s->headers);
    buf_free(&s->raw);
    buf_free(&s->body);
    t->st.active--;
    free(s);
}

static int reason_of(CURLcode c)
{
    switch (c) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return UP_E_RESOLVE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PROXY:
        return UP_E_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return UP_E_TLS;
    case CURLE_OUT_OF_MEMORY:
        return UP_E_NOMEM;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
        return UP_E_PROTOCOL;
    default:
        return UP_E_RESET;
    }
}

static void tell_end(cstream *s)
{
    curl_up *t = s->t;
    const up_events *on = s->on;
    void *arg = s->arg;
    queue *q = s->q;
    char why[CURL_ERROR_SIZE + 64];
    buf last = s->body;
    const http_head *head = s->head_told ? NULL : s->head;
    int ok = !s->reason && s->result == CURLE_OK && s->head;
    int reason = s->reason ? s->reason : s->result ? reason_of(s->result) : UP_E_PROTOCOL;
    if (s->easy && s->result == CURLE_OK && s->sh) {
        long connects = 0;
        curl_easy_getinfo(s->easy, CURLINFO_NUM_CONNECTS, &connects);
        t->st.connects += (uint64_t)TP_MAX(connects, 0L);
        t->st.reuses += connects == 0;
    }
    snprintf(why, sizeof(why), "%s",
             s->why ? s->why
             : s->error[0] ? s->error
             : s->result   ? curl_easy_strerror(s->result)
                           : "the upstream's reply has no head");
    s->body = (buf){.max = 0};
    if (q)
        q->active--;
    release(s);
    t->st.failures += !ok;
    if (ok)
        on->reply(arg, head, buf_str(&last), 1);
    else
        on->failed(arg, reason, why);
    buf_free(&last);
    if (q)
        start_next(t, q);
}

/* Tells the owner what has happened to one stream; it may cancel this or any other one. */
static void tell(cstream *s)
{
    int ended_well = s->over && !s->reason && s->result == CURLE_OK;
    if (s->told != s->state && !s->over && !s->head) {
        s->told = s->state;
        upc_mark(s); /* comes again for the rest, unless the owner cancels it */
        if (s->on->progress)
            s->on->progress(s->arg, s->state);
        return;
    }
    if (s->paused)
        return; /* marked again when it goes on */
    if (s->over && (ended_well || (s->body.len == 0 && (s->head_told || !s->head)))) {
        tell_end(s);
        return;
    }
    if (s->body.len == 0 && (s->head_told || !s->head)) {
        if (s->curl_paused && s->sh) {
            s->curl_paused = 0;
            curl_easy_pause(s->easy, CURLPAUSE_CONT); /* may call on_body, which marks */
        }
        return;
    }
    const http_head *head = s->head_told ? NULL : s->head;
    buf out = s->body;
    s->body = (buf){.max = out.max};
    s->head_told = 1;
    if (s->over || s->curl_paused)
        upc_mark(s); /* the end, or the next piece, comes in a turn of its own */
    s->on->reply(s->arg, head, buf_str(&out), 0);
    buf_free(&out);
}

static void collect(curl_up *t)
{
    for (shard *sh = t->shards; sh; sh = sh->next) {
        CURLMsg *m;
        int left;
        while ((m = curl_multi_info_read(sh->multi, &left))) {
            cstream *s = NULL;
            if (m->msg != CURLMSG_DONE)
                continue;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)(void *)&s);
            s->result = m->data.result;
            s->over = 1;
            if (s->ssl && !s->result && !s->notified)
                upc_wrong(s, UP_E_RESET,
                          "the upstream ended the connection without TLS close_notify");
            upc_mark(s);
        }
    }
}

void upc_drain(curl_up *t)
{
    if (t->draining)
        return;
    t->draining = 1;
    collect(t);
    while (t->ready) {
        cstream *s = t->ready;
        unmark(s);
        tell(s);
        collect(t);
    }
    t->draining = 0;
}

/* ---- limits on connections */
static queue *queue_of(curl_up *t, uint64_t key)
{
    queue *q = t->queues;
    while (q && q->key != key)
        q = q->next;
    if (!q && (q = calloc(1, sizeof(*q)))) {
        q->key = key;
        q->next = t->queues;
        t->queues = q;
    }
    return q;
}

static void unqueue(cstream *s)
{
    queue *q = s->q;
    *(s->prev ? &s->prev->next : &q->first) = s->next;
    *(s->next ? &s->next->prev : &q->last) = s->prev;
    s->next = s->prev = NULL;
}

static void start_next(curl_up *t, queue *q)
{
    (void)t;
    while (q->first && q->active < (uint32_t)q->first->r.to->max_connections) {
        cstream *s = q->first;
        unqueue(s);
        q->active++;
        begin(s);
    }
}

/* ---- the transport */
static void *curl_open(net_loop *l, const logger *log)
{
    (void)log;
    if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
        return NULL;
    curl_up *t = tp_xcalloc(1, sizeof(*t));
    unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
    t->loop = l;
    t->h2c_once = version >= 0x075800 && version < 0x080000;
    t->ready_end = &t->ready;
    t->kick = tp_xcalloc(1, sizeof(*t->kick));
    uv_timer_init(l->uv, t->kick);
    t->kick->data = t;
    t->handles = 1;
    return t;
}

static void kick_closed(uv_handle_t *h)
{
    curl_up *t = h->data;
    free(h);
    t->handles--;
    upc_settle(t);
}

static void curl_close(void *transport, void (*done)(void *), void *arg)
{
    curl_up *t = transport;
    TP_MUST(t->st.active == 0);
    t->done = done;
    t->done_arg = arg;
    while (t->spares)
        curl_easy_cleanup(t->spare[--t->spares]);
    while (t->queues) {
        queue *q = t->queues;
        t->queues = q->next;
        free(q);
    }
    while (t->shards) {
        shard *sh = t->shards;
        t->shards = sh->next;
        upc_shard_close(sh);
    }
    uv_close((uv_handle_t *)t->kick, kick_closed);
}

static up_stream *curl_start(void *transport, const up_request *r, arena *a, const up_events *on,
                             void *arg, int *state)
{
    curl_up *t = transport;
    cstream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->base.via = tp_curl_transport_v1();
    s->t = t;
    s->r = *r;
    s->a = a;
    s->on = on;
    s->arg = arg;
    s->state = s->told = UP_CONNECTING;
    buf_init(&s->raw, HEAD_MAX);
    buf_init(&s->body, 4 * HOLD_MAX);
    t->st.active++;
    *state = UP_CONNECTING;
    if (r->to->max_connections > 0 && !r->to->http2 && (s->q = queue_of(t, r->to->pool))) {
        if (s->q->first || s->q->active >= (uint32_t)r->to->max_connections) {
            s->prev = s->q->last;
            *(s->prev ? &s->prev->next : &s->q->first) = s;
            s->q->last = s;
            return &s->base;
        }
        s->q->active++;
    }
    begin(s);
    return &s->base;
}

static int curl_sending(const up_stream *u)
{
    const cstream *s = (const void *)u;
    return !s->over && s->state != UP_SENT;
}

static void curl_pause_stream(up_stream *u)
{
    ((cstream *)(void *)u)->paused = 1;
}

static void curl_resume_stream(up_stream *u)
{
    cstream *s = (cstream *)(void *)u;
    if (!s->paused)
        return;
    s->paused = 0;
    mark_and_kick(s);
}

static void curl_cancel(up_stream *u)
{
    cstream *s = (cstream *)(void *)u;
    curl_up *t = s->t;
    queue *q = s->q;
    if (q && !s->sh && !s->over)
        unqueue(s);
    else if (q)
        q->active--;
    /* libcurl leaves the RST_STREAM of a cancelled stream lying until the connection is used again;
     * until then the upstream would go on. A connection that nobody else uses is closed instead. */
    if (s->sh && s->easy && !s->over)
        curl_easy_setopt(s->easy, CURLOPT_FORBID_REUSE, 1L);
    release(s);
    if (q)
        start_next(t, q);
}

static void curl_stats(const void *transport, up_stats *out)
{
    *out = ((const curl_up *)transport)->st;
}

const up_transport *tp_curl_transport_v1(void)
{
    static const up_transport transport = {.size = sizeof(up_transport),
                                           .open = curl_open,
                                           .close = curl_close,
                                           .start = curl_start,
                                           .sending = curl_sending,
                                           .pause = curl_pause_stream,
                                           .resume = curl_resume_stream,
                                           .cancel = curl_cancel,
                                           .stats = curl_stats};
    return &transport;
}
