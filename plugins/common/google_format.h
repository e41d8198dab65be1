/* Google's generateContent format, as the Gemini API and Vertex AI speak it: a canonical chat request
 * becomes its body, its replies become canonical events. Built into every provider that speaks it.
 * Google's words for signatures and items are GOOGLE_FORMAT and GOOGLE_ITEM. All functions: [loop]. */
#ifndef TURNPIKE_PLUGINS_GOOGLE_FORMAT_H
#define TURNPIKE_PLUGINS_GOOGLE_FORMAT_H
#include "fault.h"
#include "span.h"

#define GOOGLE_FORMAT SPAN("google-gemini-v1") /* format of its thought signatures */
#define GOOGLE_ITEM SPAN("chat/google")        /* name of its ITEM events */

enum { GOOGLE_SCHEMA_AUTO = 0, /* JSON Schema, but for models of before Gemini 2 */
       GOOGLE_SCHEMA_JSON,     /* parametersJsonSchema, responseJsonSchema: as it stands */
       GOOGLE_SCHEMA_OPENAPI };/* parameters, responseSchema: the subset of OpenAPI 3.0 */
enum { GOOGLE_THINK_AUTO = 0,  /* by the model's name */
       GOOGLE_THINK_LEVEL, GOOGLE_THINK_BUDGET, GOOGLE_THINK_NONE };

typedef struct google_flavor { /* how one API, or one instance of a provider, differs */
    int32_t vertex;        /* labels, displayName, modelArmorConfig; a file always names its type */
    int32_t schema;        /* GOOGLE_SCHEMA_ */
    int32_t thinking;      /* GOOGLE_THINK_ */
    int32_t no_call_ids;   /* functionCall.id and functionResponse.id are not taken */
    int32_t refuse_remote; /* http and https addresses are not fetched by this upstream */
} google_flavor;

/* schema ("auto", "json", "openapi"), thinking ("auto", "level", "budget", "none"), remote_files
 * ("pass", "refuse"), call_ids of an options object, into the flavor; what is absent stays. */
void google_read_options(const tp_host *h, tp_call *c, const tp_doc *options, google_flavor *f);

/* Writes the body of a request in the format chat/openai, and reports what it cannot carry. The
 * deployment's own options may hold defaults for Google's parameters, and the flavor's options. */
tp_status google_write_body(const tp_host *h, tp_call *c, const google_flavor *f,
                            const tp_operation *op, const tp_target *target);
/* prefix + the model, percent-encoded, + ":generateContent" or ":streamGenerateContent?alt=sse". A
 * model with a collection of its own ("tunedModels/x", "models/x") takes the place of the prefix's
 * last segment. ptr NULL: no memory. */
tp_str google_path(const tp_host *h, tp_call *c, tp_str prefix, tp_str model, int stream);

/* ---- The reply: the state of an attempt. */
typedef struct google_choice google_choice;
typedef struct google_annotated google_annotated;
enum { GOOGLE_UNITS = 6 };
typedef struct google_reply {
    uint8_t stream;  /* the client wants it as it comes */
    uint8_t sse;     /* the upstream sends it so */
    uint8_t list;    /* a whole reply that is a list of a stream's chunks */
    uint8_t started, done;
    uint8_t measure; /* places within the text may be asked for: count its characters */
    uint8_t counted; /* usage was told */
    uint8_t block_len;
    char block[40];  /* promptFeedback.blockReason */
    uint64_t seed;
    uint64_t made;   /* ids of calls so far */
    int64_t units[GOOGLE_UNITS]; /* as told last */
    google_choice *choices;
    google_annotated *annotated;
} google_reply;

/* Called by build, once the request is written. */
void google_begin(google_reply *r, const tp_host *h, tp_call *c, const tp_operation *op);
tp_status google_head(google_reply *r, const tp_reply *reply, int32_t *framing);
tp_status google_data(const tp_host *h, tp_call *c, google_reply *r, tp_frame *frame);
tp_status google_end(const tp_host *h, tp_call *c, google_reply *r, int32_t broken);
tp_status google_failed(const tp_host *h, tp_call *c, const tp_reply *reply);
/* An error document within a reply; at: the value of "error". */
tp_status google_fault_in(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t at);
#endif
