/* Provider openai: what its files share. */
#ifndef TURNPIKE_PLUGINS_OPENAI_INT_H
#define TURNPIKE_PLUGINS_OPENAI_INT_H
#include "../../common/openai_format.h"
#include "../../common/span.h"

typedef struct rename_rule {
    tp_str from, to;
} rename_rule;

enum { FORMAT_CHAT, FORMATS };

struct tp_instance { /* const after create */
    const tp_host *host;
    tp_str paths[FORMATS];
    tp_str query;                  /* without '?'; or empty */
    tp_str auth_header, auth_prefix;
    tp_str *drop;
    rename_rule *rename;
    uint32_t drop_count, rename_count;
    int stream_usage;
    char *pool; /* the strings above */
};

tp_status openai_create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out);
void openai_destroy(tp_instance *in);
/* Writes the body: the client's own bytes but for the edits that docs/canonical.md lists. */
tp_status openai_write_body(const tp_instance *in, tp_call *c, const tp_operation *op,
                            const tp_target *target);
#endif
