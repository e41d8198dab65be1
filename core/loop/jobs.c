/* What an exchange needs that blocks: Argon2, the management API over the store. It runs on libuv's
 * threads, and the loop hears the answer; the exchange waits meanwhile, so what the job reads of it
 * stays as it is. */
#include <stdatomic.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "loop/server_int.h"

#define JOBS_MAX 64u /* of one worker; more is answered 503 */

struct job {
    uv_work_t work;
    flight *f;
    int32_t running, right;
    api_request request;
    api_reply reply;
};

static job *job_new(flight *f)
{
    if (f->w->jobs >= JOBS_MAX)
        return NULL;
    job *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    jobs_free(f);
    j->f = f;
    j->work.data = j;
    f->job = j;
    return j;
}

static int start(job *j, uv_work_cb run, uv_after_work_cb done)
{
    worker *w = j->f->w;
    j->running = 1;
    w->jobs++;
    TP_MUST(uv_queue_work(&w->loop, &j->work, run, done) == 0);
    return 0; /* the answer comes later */
}

static flight *over(uv_work_t *work)
{
    job *j = work->data;
    flight *f = j->f;
    j->running = 0;
    f->w->jobs--;
    worker_clock(f->w);
    return f;
}

void jobs_free(flight *f)
{
    job *j = f->job;
    if (!j)
        return;
    TP_MUST(!j->running); /* the exchange waits for it */
    api_reply_free(&j->reply);
    free(j);
    f->job = NULL;
}

/* ---- A key that can only be checked with Argon2. */

static void run_verify(uv_work_t *work)
{
    job *j = work->data;
    exchange *x = &j->f->x;
    j->right = admit_verify(x->who.key, admit_presented(x->head));
}

static void done_verify(uv_work_t *work, int status)
{
    flight *f = over(work);
    int32_t right = status == 0 ? f->job->right : -1;
    conn *c = f->c;
    if (c)
        c->state = CONN_READING;
    flight_run(f, &(dispatch_input){.kind = IN_VERIFIED, .code = right}); /* f may be gone */
    if (c)
        conn_next(c);
}

int jobs_verify(flight *f, int32_t *right)
{
    job *j = job_new(f);
    *right = -1;
    return j ? start(j, run_verify, done_verify) : 1;
}

/* ---- The management API. */

static void run_api(uv_work_t *work)
{
    job *j = work->data;
    api_handle(server_ports_of(j->f->w->owner)->api, &j->request, &j->reply);
    OPENSSL_thread_stop(); /* these threads end after OpenSSL has: nothing of theirs may stay */
}

static void answer_of(const job *j, dispatch_input *in)
{
    const api_reply *r = &j->reply;
    *in = (dispatch_input){.kind = IN_MANAGED,
                           .code = r->status,
                           .bytes = buf_str(&r->body),
                           .what = r->type.ptr ? r->type.ptr : "application/json",
                           .headers = r->headers,
                           .header_count = r->header_count};
}

static void done_api(uv_work_t *work, int status)
{
    flight *f = over(work);
    dispatch_input in;
    answer_of(f->job, &in);
    if (status != 0)
        in.code = 503;
    flight_run(f, &in);
}

static api_actor actor_of(const admit_principal *who)
{
    api_actor a = {0};
    if (!who->role)
        return a;
    a = (api_actor){.kind = API_KEY, .role = who->role};
    if (who->key)
        a.key_id = who->key->id;
    if (who->team)
        a.team = who->team->id;
    return a;
}

int jobs_manage(flight *f, dispatch_input *reply)
{
    const exchange *x = &f->x;
    const http_head *h = x->head;
    job *j = server_ports_of(f->w->owner)->api ? job_new(f) : NULL;
    if (!j) {
        *reply = (dispatch_input){.kind = IN_MANAGED, .code = 503, .what = "application/json"};
        return 1;
    }
    j->request = (api_request){.world = x->world,
                               .route = x->route,
                               .method = h->method,
                               .secure = f->c && f->c->n.tls,
                               .method_text = h->method_text,
                               .path = h->path,
                               .rest = x->rest,
                               .query = h->query,
                               .body = x->manage_body,
                               .type = h->known[HTTP_H_CONTENT_TYPE],
                               .cookie = http_header(h, STR("cookie")),
                               .csrf = http_header(h, STR("x-csrf-token")),
                               .address = x->peer,
                               .actor = actor_of(&x->who),
                               .now = f->w->now};
    return start(j, run_api, done_api);
}
