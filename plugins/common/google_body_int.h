/* Google's format: what the files that write a request share. */
#ifndef TURNPIKE_PLUGINS_GOOGLE_BODY_INT_H
#define TURNPIKE_PLUGINS_GOOGLE_BODY_INT_H
#include "chat_request.h"
#include "google_format.h"
#include "json_out.h"

typedef struct google_model { /* what a model's name tells */
    int32_t generation; /* 15, 20, 25, 30, 31...; "gemini-flash-latest" is 99; other names: 0 */
    int32_t pro, lite;
    int32_t thinking;   /* GOOGLE_THINK_LEVEL, _BUDGET or _NONE */
    int32_t speech;     /* speaks, and nothing else */
} google_model;

typedef struct google_body { /* one request on its way */
    chat_request r;
    json_out o;
    google_flavor f;
    google_model m;
    uint32_t google;        /* extra_body.google, or 0 */
    uint32_t extras[24], extra_count; /* its members that were looked at */
    const tp_doc *options;  /* the deployment's, or NULL */
    uint32_t functions;     /* how many were declared */
} google_body;

typedef struct google_value { /* a value of the request or of the deployment's options */
    const tp_doc *d;        /* NULL: absent */
    uint32_t t;
} google_value;

/* One of Google's own parameters by either spelling: of the request, else of extra_body.google, else
 * of the deployment's options. */
google_value google_own(google_body *b, tp_str snake, tp_str camel);
/* Are two names the same but for case and underscores? */
int google_same_name(tp_str a, tp_str b);
google_model google_model_of(tp_str name);
/* Goes on as long as nothing failed: the statuses of reading and writing as one. */
tp_status google_status(const google_body *b);

/* google_contents.c: "contents" and "systemInstruction". */
void google_put_contents(google_body *b);
/* google_parts.c: one part of a user's message, with its commas; place: of the message. */
void google_put_part(google_body *b, const chat_part *p, uint32_t message);
/* {"mimeType", "data"} with the bytes as they stand. */
void google_put_blob(google_body *b, tp_str media_type, tp_str data, tp_str filename);
/* Is the part media (image, sound, document, video)? */
int google_is_media(const chat_part *p);
/* The media type of a part that has data, said or seen in it; empty: not known. */
tp_str google_media_type(const chat_part *p);
/* google_tools.c: "tools" and "toolConfig". */
void google_put_tools(google_body *b);
/* google_config.c: "generationConfig". */
void google_put_config(google_body *b);
/* google_schema.c: a schema as the subset of OpenAPI 3.0; place: where it stands, for reports. */
void google_put_schema(google_body *b, uint32_t schema, const char *place);
/* Does the chosen way of writing schemas say JSON Schema? */
int google_json_schema(const google_body *b);
#endif
