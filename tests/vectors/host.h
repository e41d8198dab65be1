/* A host for tests: loads a built plugin and implements tp_host in the plainest way, one malloc a
 * thing, freed when the SDK says that it ends, so that a sanitizer sees every byte that a plugin
 * reads too far or too late. */
#ifndef TP_TEST_VECTORS_HOST_H
#define TP_TEST_VECTORS_HOST_H
#include <turnpike/plugin.h>
#include "base/buf.h"
#include "base/str.h"

typedef struct vec_plugin { /* an opened plugin with one instance */
    void *library;
    const tp_plugin *plugin;
    const tp_provider *provider;
    const tp_endpoint *endpoint;
    const tp_strategy *strategy;
    tp_instance *self;
    char why[1024]; /* why create failed */
    char param[128];
} vec_plugin;
/* path of the .so, options as JSON text. 0, or -1: library or options were refused, see why. */
int vec_open(vec_plugin *p, const char *path, const char *options);
void vec_close(vec_plugin *p);

typedef struct vec_list { /* a growing array */
    void *items;
    uint32_t count, cap;
} vec_list;
typedef struct vec_report {
    int32_t what;
    tp_str field, why;
} vec_report;

typedef struct vec_out { /* what a call put out; copies, owned */
    buf body;
    vec_list headers; /* tp_header */
    vec_list events;  /* tp_event */
    vec_list reports; /* vec_report */
    int32_t status;   /* status() */
    int has_request, has_local, has_secret, has_sign;
    tp_str method, path, local_type, secret_name, secret_prefix;
    tp_str sign_scheme, sign_params;
    tp_local local;
    int32_t local_status;
    tp_status fail_status;
    tp_str fail_param, fail_why;
    vec_list owned; /* void *: bytes that the above point to */
} vec_out;
void vec_out_free(vec_out *o); /* also resets */

typedef struct vec_call {
    tp_call pub; /* first */
    vec_out *out;
    vec_list allocs; /* void *: ended with the call */
    vec_list *kept;  /* void *: the state's; NULL: keep fails */
    size_t keep_left;
    tp_status not_json; /* what scan answers to what is not JSON */
    int of_reply;       /* what is scanned is an upstream's: half a surrogate pair is taken */
} vec_call;
/* state may be NULL. The call's clock stands at a fixed time, and what is not JSON is the client's
 * fault: change c->pub.now_ms and c->not_json afterwards where it is otherwise. */
void vec_call_begin(vec_call *c, vec_out *o, void *state, vec_list *kept);
void vec_call_end(vec_call *c);
void vec_list_free(vec_list *l); /* frees the pointers in a list of void *, and the list */
void *vec_push(vec_list *l, size_t size);

const tp_host *vec_host(void);
/* Scans a text into a document whose text and tokens are exact copies of their own, which end with
 * the call. count 0: not JSON. */
tp_doc vec_doc(vec_call *c, tp_str text);
/* The text of a whole file, NUL-terminated; NULL if it cannot be read. The caller frees. */
char *vec_read_file(const char *path, size_t *len);
static inline tp_str vec_str(const char *z)
{
    return str_of(z);
}
#endif
