/* Credentials of several parts: what providers need that sign requests or fetch tokens. They end in
 * the one secret that a provider has. */
#include "conf/conf_int.h"

/* The fields read better as they stand. */
/* clang-format off */
static const conf_field fields[] = {
    {.name = "access_key_id", .type = CONF_SECRET, .at = offsetof(conf_credential, access_key_id),
     .doc = "AWS: the id of the access key, such as {\"env\": \"AWS_ACCESS_KEY_ID\"}."},
    {.name = "secret_access_key", .type = CONF_SECRET,
     .at = offsetof(conf_credential, secret_access_key),
     .doc = "AWS: its secret, such as {\"env\": \"AWS_SECRET_ACCESS_KEY\"}."},
    {.name = "session_token", .type = CONF_SECRET, .at = offsetof(conf_credential, session_token),
     .doc = "AWS: the token of temporary credentials. Nowhere to be found, there is none."},
    {.name = "service_account", .type = CONF_SECRET, .flags = CONF_LINES,
     .at = offsetof(conf_credential, service_account),
     .doc = "Google: the credential document (JSON of type service_account or authorized_user), "
            "such as {\"file\": {\"env\": \"GOOGLE_APPLICATION_CREDENTIALS\"}}."},
};
/* clang-format on */
const conf_table conf_credential_table = {.name = "credential",
                                          .fields = fields,
                                          .count = TP_COUNT(fields),
                                          .place_at = offsetof(conf_credential, place),
                                          .size = sizeof(conf_credential)};

static int written(const conf_secret *s)
{
    return s->source.len > 0;
}

/* The parts are joined by ':', so none of them may have one. */
static int check_part(conf_loader *l, conf_node n, const conf_path *path, const char *name,
                      const conf_secret *s)
{
    conf_path below = {.up = path, .name = str_of(name)};
    if (!s->value.ptr || (!str_has(s->value, ':') && !str_has(s->value, ' ')))
        return 0;
    return conf_fail(l, conf_member(n, name),
                     "%s: the secret from %.*s has a ':' or a space in it, which no part of an AWS "
                     "key has",
                     conf_path_text(&below).s, STR_ARG(s->source));
}

static int join_aws(conf_loader *l, conf_provider *p, conf_node n, const conf_path *path)
{
    const conf_credential *c = &p->credential;
    const conf_secret *id = &c->access_key_id, *secret = &c->secret_access_key;
    const conf_secret *token = &c->session_token;
    if (!written(id) || !written(secret))
        return conf_fail(l, n, "%s: access_key_id and secret_access_key belong together: '%s' is "
                               "missing",
                         conf_path_text(path).s,
                         written(id) ? "secret_access_key" : "access_key_id");
    int rc = check_part(l, n, path, "access_key_id", id);
    rc = rc ? rc : check_part(l, n, path, "secret_access_key", secret);
    rc = rc ? rc : check_part(l, n, path, "session_token", token);
    p->credential_kind = CONF_CREDENTIAL_AWS;
    p->api_key = id->value.ptr ? *secret : *id;
    if (!id->value.ptr || !secret->value.ptr)
        return rc;
    p->api_key.value = conf_fmt(l, "%.*s:%.*s%s%.*s", STR_ARG(id->value), STR_ARG(secret->value),
                                token->value.ptr ? ":" : "", STR_ARG(token->value));
    return rc;
}

int conf_join_credential(conf_loader *l, conf_provider *p, conf_node provider,
                         const conf_path *path)
{
    const conf_credential *c = &p->credential;
    conf_path below = {.up = path, .name = STR("credential")};
    uint32_t t = json_find(&provider.s->doc, provider.t, below.name);
    if (!t)
        return 0;
    conf_node n = conf_child(provider, t);
    int aws = written(&c->access_key_id) || written(&c->secret_access_key) ||
              written(&c->session_token);
    int google = written(&c->service_account);
    if (written(&p->api_key))
        return conf_fail(l, n, "%s: the provider has an api_key, too; expected one of the two",
                         conf_path_text(&below).s);
    if (aws == google)
        return conf_fail(l, n, "%s: expected either access_key_id and secret_access_key (AWS) or "
                               "service_account (Google)%s",
                         conf_path_text(&below).s, aws ? ", not both" : "");
    if (aws)
        return join_aws(l, p, n, &below);
    p->credential_kind = CONF_CREDENTIAL_GOOGLE;
    p->api_key = c->service_account;
    return 0;
}
