/* Credential documents: whether they can be used shows here, not at the first request. */
#include "base/str.h"
#include "sign/sign.h"
#include "world/world_int.h"

static int check_google(const conf_provider *p, tp_error *err)
{
    arena a;
    sign_google g;
    tp_error why = {0};
    arena_init(&a, NULL, 4 * SIGN_GOOGLE_MOST);
    int rc = sign_google_parse(p->api_key.value, &a, &g, &why);
    if (rc == 0)
        rc = sign_google_check(&g, &why);
    sign_google_wipe(&g);
    arena_reset(&a);
    if (rc == 0)
        return 0;
    return world_fail(err, &p->credential.place,
                      "providers.%.*s.credential.service_account: the document from %.*s cannot be "
                      "used: %s",
                      STR_ARG(p->name), STR_ARG(p->api_key.source), why.text);
}

int world_check_credentials(const conf *c, tp_error *err)
{
    for (uint32_t i = 0; i < c->provider_count; i++) {
        const conf_provider *p = &c->providers[i];
        if (p->enabled && !p->dormant && p->credential_kind == CONF_CREDENTIAL_GOOGLE &&
            check_google(p, err) != 0)
            return TP_ERROR_CONFIG;
    }
    return 0;
}
