/* attach: the parts of a form, raw and as base64, between bytes of the plugin's own. */
#include "../common.h"
TP_MANIFEST({"id": "test.area-parts", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["provider"]});

static tp_status build(const tp_instance *i, tp_call *c, const tp_operation *op,
                       const tp_target *t)
{
    const tp_host *h = i->host;
    (void)t;
    tp_status st = h->request(c, S("POST"), S("/parts"));
    for (uint32_t k = 0; !st && k < op->parts.count; k++) {
        st = h->write(c, S("<"));
        if (!st)
            st = h->attach(c, k, k % 2);
        if (!st)
            st = h->write(c, S(">"));
    }
    return st;
}

static const tp_provider table = {sizeof(table), 0, ANY_FORMATS, build, any_head, any_data,
                                  any_end, any_failed};
PLUGIN("test.area-parts", TP_PROVIDER, table)
