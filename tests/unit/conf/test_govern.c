/* Who may pass and who pays: what the sections of governance become, and what they refuse. */
#include "conf_fixture.h"

#define MODELS                                                                                     \
    "\"providers\": {\"groq\": {}, \"home\": {\"local\": true, \"trust_level\": 3}}, "             \
    "\"strategies\": {\"ordered\": {}}, \"models\": {"                                             \
    "\"llama\": {\"aliases\": [\"big\"], \"deployments\": [{\"provider\": \"groq\"}]},"            \
    "\"gpt\": {\"deployments\": [{\"provider\": \"groq\", \"price\": {\"prompt\": \"1\"}}]}}"

static void tiers_are_built_in_unless_written(void **state)
{
    (void)state;
    conf *c = fx_load(NULL, NULL, NULL);
    assert_int_equal(c->tier_count, 3);
    assert_str(c->tiers[0].name, "free");
    assert_int_equal(c->tiers[0].limits.requests_per_minute, 100);
    assert_int_equal(c->tiers[0].limits.tokens_per_minute, 0);
    assert_int_equal(c->tiers[0].limits.concurrency, 0);
    assert_str(c->tiers[1].name, "pro");
    assert_int_equal(c->tiers[1].limits.requests_per_minute, 1000);
    assert_str(c->tiers[2].name, "enterprise");
    assert_int_equal(c->tiers[2].limits.requests_per_minute, 0);
    assert_null(c->tiers[2].place.file);
    conf_free(c);

    c = fx_load("{\"tiers\": {\"batch\": {\"concurrency\": 8},\n"
                "\"pro\": {\"requests_per_minute\": 16000000, \"tokens_per_minute\": 5}}}",
                "{\"tiers\": {\"last\": {\"tokens_per_minute\": 16000000000}}}", NULL);
    assert_int_equal(c->tier_count, 5);
    assert_str(c->tiers[0].name, "free");
    assert_str(c->tiers[1].name, "pro"); /* keeps its place, but not its limits */
    assert_int_equal(c->tiers[1].limits.requests_per_minute, 16000000);
    assert_int_equal(c->tiers[1].limits.tokens_per_minute, 5);
    assert_int_equal(c->tiers[1].place.line, 2);
    assert_str(c->tiers[3].name, "batch");
    assert_int_equal(c->tiers[3].limits.requests_per_minute, 0);
    assert_int_equal(c->tiers[3].limits.concurrency, 8);
    assert_str(c->tiers[4].name, "last");
    assert_int_equal(c->tiers[4].limits.tokens_per_minute, INT64_C(16000000000));
    conf_free(c);
}

static void teams_and_their_policies(void **state)
{
    (void)state;
    conf *c =
        fx_load("{" MODELS "}",
                "{\"teams\": {\"plain\": {},\n\"acme.1\": {\"name\": \"Acme, Inc.\", \"active\": "
                "false, \"billing\": \"postpaid\", \"tier\": \"enterprise\", \"policy\": {"
                "\"allow_models\": [\"llama\", \"big\", \"groq/x/y\", \"g*\", \"*\"], "
                "\"deny_models\": [], \"allow_providers\": [\"groq\", \"no*\"], "
                "\"deny_providers\": [\"home\"], \"min_trust\": 2, \"data_local\": true}}}}",
                NULL);
    assert_int_equal(c->team_count, 2);
    const conf_team *t = c->teams;
    assert_str(t->id, "plain");
    assert_str(t->name, "plain");
    assert_int_equal(t->active, 1);
    assert_int_equal(t->billing, CONF_PREPAID);
    assert_str(t->tier, "");
    assert_int_equal(t->policy.allow_model_count + t->policy.deny_model_count +
                         t->policy.allow_provider_count + t->policy.deny_provider_count,
                     0);
    assert_int_equal(t->policy.min_trust + t->policy.data_local, 0);
    t++;
    assert_str(t->id, "acme.1");
    assert_str(t->name, "Acme, Inc.");
    assert_int_equal(t->active, 0);
    assert_int_equal(t->billing, CONF_POSTPAID);
    assert_str(t->tier, "enterprise");
    assert_int_equal(t->place.line, 2);
    assert_int_equal(t->policy.allow_model_count, 5);
    assert_str(t->policy.allow_models[3], "g*");
    assert_int_equal(t->policy.deny_model_count, 0);
    assert_int_equal(t->policy.allow_provider_count, 2);
    assert_int_equal(t->policy.deny_provider_count, 1);
    assert_str(t->policy.deny_providers[0], "home");
    assert_int_equal(t->policy.min_trust, 2);
    assert_int_equal(t->policy.data_local, 1);
    assert_int_equal(c->providers[0].local, 0);
    assert_int_equal(c->providers[1].local, 1);
    conf_free(c);
}

static void patterns(void **state)
{
    (void)state;
    const tp_str list[] = {STR("gpt-4"), STR("llama-*"), STR("")};
    assert_true(conf_pattern_in(list, 3, STR("gpt-4")));
    assert_false(conf_pattern_in(list, 3, STR("gpt-4o")));
    assert_false(conf_pattern_in(list, 3, STR("gpt-")));
    assert_false(conf_pattern_in(list, 3, STR("Gpt-4")));
    assert_true(conf_pattern_in(list, 3, STR("llama-3")));
    assert_true(conf_pattern_in(list, 3, STR("llama-")));
    assert_false(conf_pattern_in(list, 3, STR("llama")));
    assert_false(conf_pattern_in(list, 2, STR("")));
    assert_false(conf_pattern_in(NULL, 0, STR("gpt-4")));
    const tp_str all = STR("*"), literal = STR("a*b");
    assert_true(conf_pattern_in(&all, 1, STR("")));
    assert_true(conf_pattern_in(&all, 1, STR("anything/at all")));
    assert_false(conf_pattern_in(&literal, 1, STR("axb")));
}

static void keys_have_limits_and_owners(void **state)
{
    (void)state;
    conf *c =
        fx_load("{" MODELS ", \"teams\": {\"acme\": {}}, \"admission\": {\"session_minutes\": 5, "
                "\"static_keys\": [{\"name\": \"a\", \"key\": \"0123456789abcdef\"}]}}",
                "{\"admission\": {\"static_keys\": [{\"name\": \"b\", \"key\": "
                "\"0123456789abcdeg\", \"role\": \"management\", \"team\": \"elsewhere\", "
                "\"tier\": \"pro\", \"requests_per_minute\": 0, \"tokens_per_minute\": 7, "
                "\"concurrency\": 1000000, \"models\": [\"big\", \"ll*\"]}, {\"name\": \"c\", "
                "\"key\": \"0123456789abcdeh\", \"role\": \"admin\", \"team\": \"acme\"}], "
                "\"pepper_file\": \"p\"}}",
                NULL);
    assert_int_equal(c->key_count, 3);
    const conf_key *k = c->keys;
    assert_int_equal(k->role, CONF_ROLE_INFERENCE);
    assert_str(k->team, "");
    assert_str(k->tier, "");
    assert_int_equal(k->limits.requests_per_minute, -1);
    assert_int_equal(k->limits.tokens_per_minute, -1);
    assert_int_equal(k->limits.concurrency, -1);
    k++;
    assert_str(k->name, "b");
    assert_int_equal(k->role, CONF_ROLE_MANAGEMENT);
    assert_str(k->team, "elsewhere"); /* the store may know it */
    assert_str(k->tier, "pro");
    assert_int_equal(k->limits.requests_per_minute, 0);
    assert_int_equal(k->limits.tokens_per_minute, 7);
    assert_int_equal(k->limits.concurrency, 1000000);
    assert_int_equal(k->model_count, 2);
    assert_int_equal(k[1].role, CONF_ROLE_ADMIN);
    assert_str(k[1].team, "acme");
    /* What is beside the keys may stand in any of the files. */
    assert_int_equal(c->admission.session_minutes, 5);
    assert_str(c->admission.pepper_file, "/c/p");
    assert_int_equal(c->admission.address_requests_per_minute, 60);
    assert_null(c->admission.master_key.value.ptr);
    assert_int_equal(c->notice_count, 0);
    conf_free(c);

    c = fx_load(
        "{\"teams\": {\"research\": {}}}",
        "{\"admission\": {\"static_keys\": [{\"name\": \"a\", \"key\": \"0123456789abcdef\",\n"
        "\"team\": \"reserch\"}]}}",
        NULL);
    assert_notices(c, "/c/b.json:2:9: admission.static_keys[0].team: team 'reserch' is not in the "
                      "configuration and must be in the store; did you mean 'research'?");
    conf_free(c);
}

static void admission_and_store(void **state)
{
    (void)state;
    conf *c = fx_load("{}", NULL, NULL);
    assert_str(c->admission.pepper_file, "/run/pepper");
    assert_int_equal(c->admission.session_minutes, 720);
    assert_int_equal(c->admission.address_requests_per_minute, 60);
    const conf_store *s = &c->store;
    assert_int_equal(s->journal_bytes, 16777216);
    assert_int_equal(s->sync_ms, 1000);
    assert_int_equal(s->flush_ms, 100);
    assert_int_equal(s->retention_days, 90);
    assert_int_equal(s->generations, 1);
    assert_int_equal(s->prompts, 0);
    assert_int_equal(s->prompt_bytes, 16384);
    assert_str(c->billing.baseline_model, "");
    assert_int_equal(c->billing.byok_fee_permille, 0);
    conf_free(c);

    c = fx_load(
        "{\"store\": {\"journal_dir\": \"j\", \"journal_bytes\": 1048576, \"sync_ms\": 0, "
        "\"flush_ms\": 1, \"retention_days\": 0}}",
        "{\"store\": {\"generations\": false, \"prompts\": true, \"prompt_bytes\": 262144}, "
        "\"admission\": {\"master_key\": {\"env\": \"NONE\"}, "
        "\"address_requests_per_minute\": 0}}",
        NULL);
    s = &c->store;
    assert_str(s->journal_dir, "/c/j");
    assert_int_equal(s->journal_bytes, 1048576);
    assert_int_equal(s->sync_ms, 0);
    assert_int_equal(s->flush_ms, 1);
    assert_int_equal(s->retention_days, 0);
    assert_int_equal(s->generations, 0);
    assert_int_equal(s->prompts, 1);
    assert_int_equal(s->prompt_bytes, 262144);
    assert_int_equal(c->admission.address_requests_per_minute, 0);
    assert_notices(c, "admission.master_key: environment variable NONE is not set; "
                      "/run/master.key is used instead");
    conf_free(c);
}

static void master_keys(void **state)
{
    static const char *const good[] = {
        "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="};
    static const char *const bad[] = {
        "short", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8 "};
    char text[200], want[300];
    (void)state;
    for (size_t i = 0; i < TP_COUNT(good); i++) {
        snprintf(text, sizeof(text), "{\"admission\": {\"master_key\": \"%s\"}}", good[i]);
        conf *c = fx_load(text, NULL, NULL);
        assert_str(c->admission.master_key.value, good[i]);
        conf_free(c);
    }
    for (size_t i = 0; i < TP_COUNT(bad); i++) {
        snprintf(text, sizeof(text), "{\"admission\": {\"master_key\": \"%s\"}}", bad[i]);
        snprintf(want, sizeof(want),
                 "/c/a.json:1:30: admission.master_key: expected 64 hex digits, or 32 bytes in "
                 "base64 (43 or 44 characters); the secret (literal) has %zu bytes",
                 strlen(bad[i]));
        assert_error(want, text, NULL);
    }
    assert_error("/c/b.json:1:30: admission.master_key: set twice: it is set at /c/a.json:1:30 "
                 "already",
                 "{\"admission\": {\"master_key\": {\"env\": \"NONE\"}}}",
                 "{\"admission\": {\"master_key\": {\"env\": \"NONE\"}}}");
}

static void baselines(void **state)
{
    (void)state;
    conf *c = fx_load("{" MODELS ", \"billing\": {\"baseline_model\": \"gpt\"}}",
                      "{\"billing\": {\"byok_fee_permille\": 1000}}", NULL);
    assert_str(c->billing.baseline_model, "gpt");
    assert_int_equal(c->billing.byok_fee_permille, 1000);
    assert_int_equal(c->notice_count, 0);
    conf_free(c);
    c = fx_load("{" MODELS ", \"billing\": {\"baseline_model\": \"big\"}}", NULL, NULL);
    assert_str(c->billing.baseline_model, "llama"); /* by its alias */
    assert_notices(c, "billing.baseline_model: model llama has no prices; nothing is said of "
                      "savings");
    conf_free(c);
    assert_error("/c/a.json:1:31: billing.baseline_model: no model is named 'lama'; did you mean "
                 "'llama'?",
                 "{\"billing\":{\"baseline_model\": \"lama\"}}", "{" MODELS "}");
    assert_error("/c/a.json:1:34: billing.byok_fee_permille: expected an integer from 0 to 1000, "
                 "found the number 1001",
                 "{\"billing\":{\"byok_fee_permille\": 1001}}", NULL);
}

static void surfaces_say_what_they_manage(void **state)
{
    (void)state;
    conf *c = fx_load("{\"endpoints\": {\"chat\": {\"path\": \"/chat\"}}, \"surfaces\": {"
                      "\"none\": {\"base_path\": \"/api\", \"endpoints\": [], \"models\": false, "
                      "\"manage\": []},"
                      "\"own\": {\"base_path\": \"/o\", \"manage\": [\"auth\", \"generation\"], "
                      "\"words\": \"kairosroute\", \"cost_headers\": true, \"key_prefix\": \"k_\", "
                      "\"key_tier\": \"pro\", \"key_limit\": 0}}}",
                      NULL, NULL);
    const conf_surface *s = c->surfaces;
    assert_int_equal(s->endpoint_count, 0);
    assert_int_equal(s->models, 0);
    assert_int_equal(s->manage, 0);
    s++;
    assert_int_equal(s->endpoint_count, 1);
    assert_int_equal(s->models, 1);
    assert_int_equal(s->manage, CONF_MANAGE_AUTH | CONF_MANAGE_GENERATION);
    assert_int_equal(s->words, CONF_WORDS_KAIROSROUTE);
    assert_int_equal(s->cost_headers, 1);
    assert_str(s->key_prefix, "k_");
    assert_str(s->key_tier, "pro");
    assert_int_equal(s->key_limit, 0);
    conf_free(c);
}

#define SURFACE(x) "{\"surfaces\": {\"s\":{\"base_path\": \"/v1\", " x "}}}"
#define POLICY(x) "{\"teams\": {\"t\": {\"policy\": {" x "}}}}"
static void what_is_refused(void **state)
{
    (void)state;
    assert_error("/c/a.json:1:51: surfaces.s.manage[0]: expected one of \"keys\", \"auth\", "
                 "\"credits\", \"generation\", found the string \"key\"; did you mean 'keys'?",
                 SURFACE("\"manage\": [\"key\"]"), NULL);
    assert_error("/c/a.json:1:49: surfaces.s.words: expected one of \"turnpike\", \"airouter\", "
                 "\"kilo\", \"cailos\", \"kairosroute\", found the string \"kilos\"; did you mean "
                 "'kilo'?",
                 SURFACE("\"words\": \"kilos\""), NULL);
    assert_error("/c/a.json:1:54: surfaces.s.key_prefix: expected lower-case letters, digits and "
                 "'_', with '_' at the end, found the string \"tp-live-\"",
                 SURFACE("\"key_prefix\": \"tp-live-\""), NULL);
    assert_error("/c/a.json:1:54: surfaces.s.key_prefix: expected lower-case letters, digits and "
                 "'_', with '_' at the end of at most 24 bytes, found 25 bytes",
                 SURFACE("\"key_prefix\": \"abcdefghijklmnopqrstuvwx_\""), NULL);
    assert_error("/c/a.json:1:52: surfaces.s.key_tier: no tier is named 'fre'; did you mean "
                 "'free'?",
                 SURFACE("\"key_tier\": \"fre\""), NULL);
    assert_error("/c/a.json:1:33: surfaces.s.base_path: /admin and what lies under it is the "
                 "gateway's own; choose another path",
                 "{\"surfaces\": {\"s\":{\"base_path\": \"/admin\"}}}", NULL);
    assert_error("/c/a.json:1:33: surfaces.s.base_path: /admin and what lies under it is the "
                 "gateway's own; choose another path",
                 "{\"surfaces\": {\"s\":{\"base_path\": \"/admin/v1\"}}}", NULL);
    conf *c = fx_load("{\"surfaces\": {\"s\":{\"base_path\": \"/administration\"}}}", NULL, NULL);
    conf_free(c);

    assert_error(
        "/c/a.json:1:12: tiers: expected a name of letters, digits, '.', '_' and '-', of "
        "at most 64 bytes, found the string "
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...",
        "{\"tiers\": {\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": "
        "{}}}",
        NULL);
    assert_error("/c/a.json:1:42: tiers.t.requests_per_minute: expected an integer from 0 to "
                 "16000000, found the number -1",
                 "{\"tiers\": {\"t\":{\"requests_per_minute\":   -1}}}", NULL);
    assert_error("/c/a.json:1:12: teams: expected an id of letters, digits, '.', '_' and '-', of "
                 "at most 64 bytes, found the string \"_a\"",
                 "{\"teams\": {\"_a\": {}}}", NULL);
    assert_error("/c/b.json:1:12: team 'a' is defined twice: it is defined at /c/a.json:1:12 "
                 "already",
                 "{\"teams\": {\"a\": {}}}", "{\"teams\": {\"a\": {}}}");
    assert_error("/c/a.json:1:26: teams.t.tier: no tier is named 'gold'; tiers: free, pro, "
                 "enterprise",
                 "{\"teams\": {\"t\": {\"tier\": \"gold\"}}}", NULL);
    assert_error(
        "/c/a.json:1:29: teams.t.billing: expected one of \"prepaid\", \"postpaid\", found "
        "the string \"paid\"",
        "{\"teams\": {\"t\": {\"billing\": \"paid\"}}}", NULL);
    assert_error("/c/a.json:1:17: teams.t: unknown key \"allow_models\"; known keys: name, active, "
                 "billing, tier, policy",
                 "{\"teams\": {\"t\":{\"allow_models\": []}}}", NULL);

    assert_error(
        "/c/a.json:1:45: teams.t.policy.deny_models[0]: expected a model, or the beginning "
        "of one and '*', found the string \"a*b\"",
        POLICY("\"deny_models\": [\"a*b\"]"), NULL);
    assert_error("/c/a.json:1:45: teams.t.policy.deny_models[0]: no model is named 'lama'; did you "
                 "mean 'llama'?",
                 POLICY("\"deny_models\": [\"lama\"]"), "{" MODELS "}");
    assert_error("/c/a.json:1:54: teams.t.policy.deny_models[1]: no model is named 'grok/x'; "
                 "models: llama, gpt",
                 POLICY("\"deny_models\": [\"llama\", \"grok/x\"]"), "{" MODELS "}");
    assert_error("/c/a.json:1:49: teams.t.policy.allow_providers[0]: no provider is named 'grog'; "
                 "did you mean 'groq'?",
                 POLICY("\"allow_providers\": [\"grog\"]"), "{" MODELS "}");
    assert_error("/c/a.json:1:45: teams.t.policy.allow_models: expected at least one model; leave "
                 "'allow_models' out to allow all",
                 POLICY("\"allow_models\": []"), NULL);
    assert_error("/c/a.json:1:48: teams.t.policy.allow_providers: expected at least one provider; "
                 "leave 'allow_providers' out to allow all",
                 POLICY("\"allow_providers\": []"), NULL);
    assert_error("/c/a.json:1:42: teams.t.policy.min_trust: expected an integer from 0 to 3, found "
                 "the number 4",
                 POLICY("\"min_trust\": 4"), NULL);

#define KEY(x)                                                                                     \
    "{\"admission\": {\"static_keys\": [{\"name\": \"a\", \"key\": \"0123456789abcdef\", " x "}]}" \
                                                                                             "}"
    assert_error("/c/a.json:1:81: admission.static_keys[0].tier: no tier is named 'prof'; did you "
                 "mean 'pro'?",
                 KEY("\"tier\": \"prof\""), NULL);
    assert_error("/c/a.json:1:81: admission.static_keys[0].role: expected one of \"inference\", "
                 "\"management\", \"admin\", found the string \"root\"",
                 KEY("\"role\": \"root\""), NULL);
    assert_error("/c/a.json:1:81: admission.static_keys[0].team: expected the id of a team, found "
                 "the string \"a b\"",
                 KEY("\"team\": \"a b\""), NULL);
    assert_error(
        "/c/a.json:1:96: admission.static_keys[0].requests_per_minute: expected an integer "
        "from 0 to 16000000, found the number -1",
        KEY("\"requests_per_minute\": -1"), NULL);
    assert_error("/c/a.json:1:30: store.journal_bytes: expected an integer from 1048576 to "
                 "1073741824, found the number 1024",
                 "{\"store\":  {\"journal_bytes\": 1024}}", NULL);
    assert_error(
        "/c/b.json:1:34: admission.session_minutes: set twice: it is set at /c/a.json:1:34 "
        "already",
        "{\"admission\":{\"session_minutes\": 1}}", "{\"admission\":{\"session_minutes\": 1}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_are_built_in_unless_written),
        cmocka_unit_test(teams_and_their_policies),
        cmocka_unit_test(patterns),
        cmocka_unit_test(keys_have_limits_and_owners),
        cmocka_unit_test(admission_and_store),
        cmocka_unit_test(master_keys),
        cmocka_unit_test(baselines),
        cmocka_unit_test(surfaces_say_what_they_manage),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
