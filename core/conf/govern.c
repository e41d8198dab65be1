/* Who may pass and who pays: tiers, teams and their policies, static keys, admission, billing. */
#include "conf/conf_int.h"

int conf_pattern_in(const tp_str *patterns, uint32_t count, tp_str name)
{
    for (uint32_t i = 0; i < count; i++) {
        tp_str p = patterns[i];
        if (p.len && p.ptr[p.len - 1] == '*') {
            if (str_starts(name, str_make(p.ptr, p.len - 1)))
                return 1;
        } else if (str_eq(p, name)) {
            return 1;
        }
    }
    return 0;
}

/* ---- Lists of names. A slip in one would open or close a door without a word, so what is no
 * pattern must be known. Names of what is disabled are. */
static int name_known(const conf_loader *l, int section, tp_str name)
{
    if (str_ends(name, STR("*")) || map_get(&l->names[section], name))
        return 1;
    size_t slash = str_find(name, '/'); /* "provider/model": the model may be any of it */
    return section == CONF_S_MODELS && slash < name.len &&
           map_get(&l->names[CONF_S_PROVIDERS], str_make(name.ptr, slash)) != NULL;
}

static int check_names(conf_loader *l, conf_node n, const conf_path *path, const char *key,
                       int section, const tp_str *names, uint32_t count)
{
    uint32_t t = json_find(&n.s->doc, n.t, str_of(key)) + 1;
    conf_path up = {.up = path, .name = str_of(key)};
    for (uint32_t i = 0; i < count; i++, t = n.s->doc.tokens[t].next) {
        conf_path below = {.up = &up, .index = i};
        if (!name_known(l, section, names[i]))
            return conf_unknown(l, conf_child(n, t), &below, section, names[i]);
    }
    return 0;
}

/* An allow-list that is empty would read as "nothing" and count as "all". */
static int check_allowed(conf_loader *l, conf_node n, const conf_path *path, const char *key,
                         int section, const tp_str *names, uint32_t count)
{
    uint32_t list = json_find(&n.s->doc, n.t, str_of(key));
    conf_path below = {.up = path, .name = str_of(key)};
    if (list && !count)
        return conf_fail(l, conf_child(n, list),
                         "%s: expected at least one %s; leave '%s' out to allow all",
                         conf_path_text(&below).s, conf_sections[section].item, key);
    return check_names(l, n, path, key, section, names, count);
}

/* ---- tiers */
int conf_tier_known(conf_loader *l, conf_node n, const conf_path *path, const char *key,
                    tp_str name)
{
    conf_path below = {.up = path, .name = str_of(key)};
    if (!name.len || map_get(&l->names[CONF_S_TIERS], name))
        return 0;
    return conf_unknown(l, conf_member(n, key), &below, CONF_S_TIERS, name);
}

int conf_tiers(conf_loader *l)
{
    static const conf_tier built_in[] = {{.name = {"free", 4}, .limits = {100, 0, 0}},
                                         {.name = {"pro", 3}, .limits = {1000, 0, 0}},
                                         {.name = {"enterprise", 10}, .limits = {0, 0, 0}}};
    conf *c = l->c;
    conf_tier *all = conf_mem(l, (c->tier_count + TP_COUNT(built_in)) * sizeof(*all));
    map names = {0};
    uint32_t count = 0;
    for (size_t i = 0; i < TP_COUNT(built_in); i++) {
        const conf_tier *written = map_get(&l->names[CONF_S_TIERS], built_in[i].name);
        all[count] = written ? *written : built_in[i];
        map_put(&names, all[count].name, &all[count]);
        count++;
    }
    for (uint32_t i = 0; i < c->tier_count; i++) {
        all[count] = c->tiers[i];
        if (!map_put(&names, all[count].name, &all[count]))
            count++;
    }
    c->tiers = all;
    c->tier_count = count;
    map_free(&l->names[CONF_S_TIERS]); /* it pointed to what was written alone */
    l->names[CONF_S_TIERS] = names;
    return 0;
}

/* ---- teams */
static int check_policy(conf_loader *l, const conf_policy *p, conf_node n, const conf_path *path)
{
    int rc = check_allowed(l, n, path, "allow_models", CONF_S_MODELS, p->allow_models,
                           p->allow_model_count);
    if (rc == 0)
        rc = check_names(l, n, path, "deny_models", CONF_S_MODELS, p->deny_models,
                         p->deny_model_count);
    if (rc == 0)
        rc = check_allowed(l, n, path, "allow_providers", CONF_S_PROVIDERS, p->allow_providers,
                           p->allow_provider_count);
    if (rc == 0)
        rc = check_names(l, n, path, "deny_providers", CONF_S_PROVIDERS, p->deny_providers,
                         p->deny_provider_count);
    return rc;
}

int conf_teams(conf_loader *l)
{
    conf_path up = {.name = STR("teams")};
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < l->c->team_count; i++) {
        conf_team *team = &l->c->teams[i];
        conf_node n = l->nodes[CONF_S_TEAMS][i];
        conf_path path = {.up = &up, .name = team->id};
        conf_path policy = {.up = &path, .name = STR("policy")};
        if (!team->name.len)
            team->name = team->id;
        rc = conf_tier_known(l, n, &path, "tier", team->tier);
        uint32_t t = json_find(&n.s->doc, n.t, policy.name);
        if (rc == 0 && t)
            rc = check_policy(l, &team->policy, conf_child(n, t), &policy);
    }
    return rc;
}

/* ---- keys */
/* A team that only the store knows is right; one that is nearly one of these may be a slip. */
static void key_team(conf_loader *l, const conf_key *k, conf_node n, const conf_path *path)
{
    conf_path below = {.up = path, .name = STR("team")};
    if (!k->team.len || map_get(&l->names[CONF_S_TEAMS], k->team))
        return;
    conf_guess g = conf_guess_begin(k->team);
    for (uint32_t i = 0; i < l->c->team_count; i++)
        conf_guess_offer(&g, l->c->teams[i].id);
    g.known_len = 0; /* only what is near is worth a word */
    conf_text near = conf_guess_text(&g, "");
    if (near.s[0])
        conf_notice(l, "%s: %s: team '%.*s' is not in the configuration and must be in the store%s",
                    conf_where(conf_place_of(conf_member(n, "team"))).s, conf_path_text(&below).s,
                    STR_ARG(k->team), near.s);
}

static int check_key(conf_loader *l, const conf_key *k, conf_node n, const conf_path *path)
{
    conf_path below = {.up = path, .name = STR("key")};
    tp_str v = k->secret.value;
    size_t i = 0;
    while (i < v.len && v.ptr[i] > ' ' && v.ptr[i] < 0x7f)
        i++;
    if (v.ptr && (i < v.len || v.len < 16 || v.len > 256)) /* never the value itself */
        return conf_fail(l, conf_member(n, "key"),
                         "%s: expected 16 to 256 printable ASCII "
                         "characters without spaces; the secret (%.*s) has %zu bytes%s",
                         conf_path_text(&below).s, STR_ARG(k->secret.source), v.len,
                         i < v.len ? " and others among them" : "");
    int rc = conf_tier_known(l, n, path, "tier", k->tier);
    if (rc)
        return rc;
    key_team(l, k, n, path);
    return check_allowed(l, n, path, "models", CONF_S_MODELS, k->models, k->model_count);
}

/* Names and secrets are unique; k is one of conf.keys, n its object. */
static int unique_key(conf_loader *l, conf_key *k, conf_node n, const conf_path *path, map *names,
                      map *secrets)
{
    const conf_key *other = map_put(names, k->name, k);
    if (other)
        return conf_fail(l, conf_member(n, "name"),
                         "%s: a key named '%.*s' is defined at %s "
                         "already",
                         conf_path_text(path).s, STR_ARG(k->name), conf_where(other->place).s);
    if (!k->secret.value.ptr)
        return 0;
    other = map_put(secrets, k->secret.value, k);
    if (other)
        return conf_fail(l, conf_member(n, "key"), "%s: key '%.*s' at %s has the same secret",
                         conf_path_text(path).s, STR_ARG(other->name), conf_where(other->place).s);
    return 0;
}

int conf_keys(conf_loader *l)
{
    conf *c = l->c;
    map names = {0}, secrets = {0};
    conf_path admission = {.name = STR("admission")};
    conf_path up = {.up = &admission, .name = STR("static_keys")};
    conf_key *kept = conf_mem(l, c->key_count * sizeof(*kept));
    uint32_t count = 0, index = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < c->key_count; i++) {
        conf_key *k = &c->keys[i];
        conf_node n = l->key_nodes[i];
        index = i && l->key_nodes[i - 1].s == n.s ? index + 1 : 0; /* in its own file */
        conf_path path = {.up = &up, .index = index};
        rc = check_key(l, k, n, &path);
        if (rc == 0)
            rc = unique_key(l, k, n, &path, &names, &secrets);
        if (k->secret.value.ptr)
            kept[count++] = *k;
        else if (k->enabled)
            conf_notice(l, "static key %.*s is left out: %.*s", STR_ARG(k->name),
                        STR_ARG(k->secret.missing));
    }
    c->keys = kept;
    c->key_count = count;
    map_free(&names);
    map_free(&secrets);
    return rc;
}

/* ---- admission */
int conf_admit(conf_loader *l)
{
    static const char form[] = "^([0-9A-Fa-f]{64}|[A-Za-z0-9+/_-]{43}=?)$";
    conf_admission *a = &l->c->admission;
    const conf_secret *key = &a->master_key;
    conf_node n = conf_seen(l, CONF_S_ADMISSION, "master_key");
    tp_str run = l->c->server.run_dir;
    if (!a->pepper_file.len)
        a->pepper_file = conf_fmt(l, "%.*s/pepper", STR_ARG(run));
    if (key->value.ptr && !conf_match(l, form, key->value)) /* never the value itself */
        return conf_fail(l, n,
                         "admission.master_key: expected 64 hex digits, or 32 bytes in base64 (43 "
                         "or 44 characters); the secret (%.*s) has %zu bytes",
                         STR_ARG(key->source), key->value.len);
    if (key->missing.len)
        conf_notice(l, "admission.master_key: %.*s; %.*s/master.key is used instead",
                    STR_ARG(key->missing), STR_ARG(run));
    return 0;
}

/* ---- billing */
int conf_bill(conf_loader *l)
{
    conf_billing *b = &l->c->billing;
    conf_path up = {.name = STR("billing")}, path = {.up = &up, .name = STR("baseline_model")};
    if (!b->baseline_model.len)
        return 0;
    const conf_model *m = map_get(&l->names[CONF_S_MODELS], b->baseline_model);
    if (!m)
        return conf_unknown(l, conf_seen(l, CONF_S_BILLING, "baseline_model"), &path, CONF_S_MODELS,
                            b->baseline_model);
    uint32_t priced = m->price_count;
    for (uint32_t i = 0; i < m->deployment_count; i++)
        priced += m->deployments[i].price_count;
    if (!priced)
        conf_notice(l,
                    "billing.baseline_model: model %.*s has no prices; nothing is said of savings",
                    STR_ARG(m->id));
    b->baseline_model = m->id; /* it may be an alias */
    return 0;
}
