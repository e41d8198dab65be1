#include "loop/upstream.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "loop/direct_int.h"

struct up_client {
    net_loop *loop;
    const logger *log;
    void *direct;
    const up_transport *curl; /* NULL: not opened (yet) */
    void *curl_state;
    char *module;             /* its path; NULL: none, or it could not be opened */
    uv_lib_t lib;
    char why[256];            /* why there is no curl transport */
    uint64_t refused;
    up_stats last; /* when closing began */
    uint32_t closing, reserved;
    void (*done)(void *);
    void *arg;
};

typedef struct lost { /* a stream that no transport can carry */
    up_stream base;
    up_client *c;
    net_task task;
    const up_events *on;
    void *arg;
} lost;

static int lost_sending(const up_stream *s)
{
    (void)s;
    return 0;
}

static void lost_pause(up_stream *s)
{
    (void)s;
}

static void lost_cancel(up_stream *u)
{
    lost *s = (lost *)(void *)u;
    net_undefer(s->c->loop, &s->task);
    free(s);
}

static const up_transport lost_transport = {.size = sizeof(up_transport),
                                            .sending = lost_sending,
                                            .pause = lost_pause,
                                            .resume = lost_pause,
                                            .cancel = lost_cancel};

static void lost_tell(net_task *t)
{
    lost *s = TP_CONTAINER(t, lost, task);
    up_client *c = s->c;
    const up_events *on = s->on;
    void *arg = s->arg;
    free(s);
    on->failed(arg, UP_E_TRANSPORT, c->why);
}

static up_stream *lost_start(up_client *c, const up_events *on, void *arg, int *state)
{
    lost *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    c->refused++;
    s->base.via = &lost_transport;
    s->c = c;
    s->on = on;
    s->arg = arg;
    s->task.run = lost_tell;
    net_defer(c->loop, &s->task);
    *state = UP_CONNECTING;
    return &s->base;
}

up_client *up_client_new(net_loop *l, const char *curl_module, const logger *log)
{
    up_client *c = tp_xcalloc(1, sizeof(*c));
    c->loop = l;
    c->log = log;
    c->direct = direct_transport.open(l, log);
    c->module = curl_module ? tp_xstrndup(curl_module, strlen(curl_module)) : NULL;
    snprintf(c->why, sizeof(c->why),
             "this upstream is configured with \"http\": \"2\" or \"proxy\", which the curl "
             "transport serves, and this gateway was started without it (turnpike-curl.so)");
    return c;
}

/* Tried once; the module is never unloaded (libcurl and its libraries keep thread state). */
static void open_curl(up_client *c)
{
    const up_transport *(*get)(void) = NULL;
    const char *why = NULL;
    if (uv_dlopen(c->module, &c->lib) != 0 ||
        uv_dlsym(&c->lib, UP_CURL_SYMBOL, (void **)(void *)&get) != 0)
        why = uv_dlerror(&c->lib);
    const up_transport *t = why ? NULL : get();
    if (t && t->size != sizeof(up_transport)) {
        why = "it was built for another version of this gateway; install the two together";
    } else if (t) {
        c->curl_state = t->open(c->loop, c->log);
        if (c->curl_state)
            c->curl = t;
        else
            why = "libcurl could not be initialised";
    }
    if (why) {
        snprintf(c->why, sizeof(c->why), "cannot open the curl transport: %s", why);
        if (c->log)
            log_line(c->log, LOG_ERROR, "%s", c->why);
        if (!c->lib.handle)
            uv_dlclose(&c->lib); /* frees its message */
    }
    free(c->module);
    c->module = NULL;
}

up_stream *up_start(up_client *c, const up_request *r, arena *a, const up_events *on, void *arg,
                    int *state)
{
    if (TP_LIKELY(!r->to->http2 && r->to->proxy.len == 0))
        return direct_transport.start(c->direct, r, a, on, arg, state);
    if (!c->curl && c->module)
        open_curl(c);
    if (!c->curl)
        return lost_start(c, on, arg, state);
    return c->curl->start(c->curl_state, r, a, on, arg, state);
}

int up_sending(const up_stream *s)
{
    return s->via->sending(s);
}

void up_pause(up_stream *s)
{
    s->via->pause(s);
}

void up_resume(up_stream *s)
{
    s->via->resume(s);
}

void up_cancel(up_stream *s)
{
    s->via->cancel(s);
}

static void one_closed(void *arg)
{
    up_client *c = arg;
    if (--c->closing)
        return;
    void (*done)(void *) = c->done;
    void *done_arg = c->arg;
    free(c->module);
    free(c);
    done(done_arg);
}

void up_client_stats(const up_client *c, up_stats *out)
{
    if (c->closing) { /* a transport that has closed is gone while the other still waits */
        *out = c->last;
        return;
    }
    direct_transport.stats(c->direct, out);
    out->failures += c->refused;
    if (c->curl) {
        up_stats x = {0};
        c->curl->stats(c->curl_state, &x);
        out->connects += x.connects;
        out->reuses += x.reuses;
        out->retries += x.retries;
        out->failures += x.failures;
        out->active += x.active;
        out->idle += x.idle;
    }
}

void up_client_close(up_client *c, void (*done)(void *), void *arg)
{
    up_client_stats(c, &c->last);
    c->done = done;
    c->arg = arg;
    c->closing = c->curl ? 2 : 1;
    if (c->curl)
        c->curl->close(c->curl_state, one_closed, c);
    direct_transport.close(c->direct, one_closed, c);
}

void *up_client_direct(up_client *c)
{
    return c->direct;
}
