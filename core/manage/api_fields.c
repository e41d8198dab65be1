/* What bodies and queries may hold: one table of fields, and a list of them for each body. */
#include "manage/manage_int.h"

#define MONEY_MOST INT64_C(1000000000000000000) /* a thousand million dollars */

static const char *const resets[] = {"daily", "monthly", NULL};
static const char *const roles[] = {"inference", "management", NULL};
static const char *const any_roles[] = {"inference", "management", "admin", NULL};
static const char *const billings[] = {"prepaid", "postpaid", NULL};
static const char *const kinds[] = {"grant", "refund", "adjustment", NULL};
static const char *const types[] = {"api_key", "codestral", NULL};
static const char *const statuses[] = {"completed", "failed", "cancelled", NULL};
static const char *const entries[] = {"grant",  "hold",       "settle", "release",
                                      "refund", "adjustment", NULL};

static const api_field fields[FIELD_COUNT] = {
    [FIELD_NAME] = {.name = "name",
                    .kind = API_TEXT,
                    .min = 1,
                    .max = REGISTRY_NAME,
                    .about = "A name for people."},
    [FIELD_RATE_LIMIT] = {.name = "rate_limit",
                          .kind = API_INT,
                          .min = 1,
                          .max = 16000000,
                          .about = "Requests a minute."},
    [FIELD_TOKENS] = {.name = "tokens_per_minute",
                      .kind = API_INT,
                      .min = 1,
                      .max = 16000000000,
                      .about = "Tokens a minute."},
    [FIELD_CONCURRENCY] = {.name = "concurrency",
                           .kind = API_INT,
                           .min = 1,
                           .max = 1000000,
                           .about = "Requests at the same time."},
    [FIELD_EXPIRES_IN] = {.name = "expires_in",
                          .kind = API_INT,
                          .min = 1,
                          .max = 3153600000,
                          .about = "Seconds from now until the key expires."},
    [FIELD_MODELS] = {.name = "models",
                      .kind = API_LIST,
                      .min = 1,
                      .max = REGISTRY_LIST,
                      .about = "Models that the key may use: names, or the beginning of a name "
                               "and '*'."},
    [FIELD_LIMIT] = {.name = "limit",
                     .kind = API_MONEY,
                     .min = 1,
                     .max = MONEY_MOST,
                     .about = "Spending limit in US dollars."},
    [FIELD_LIMIT_RESET] = {.name = "limit_reset",
                           .kind = API_WORD,
                           .words = resets,
                           .about = "When the spending limit begins anew (UTC); null: never."},
    [FIELD_TIER] = {.name = "tier",
                    .kind = API_TEXT,
                    .min = 1,
                    .max = 64,
                    .about = "A tier of the configuration, whose limits count where none are "
                             "given."},
    [FIELD_ROLE] = {.name = "role",
                    .kind = API_WORD,
                    .words = roles,
                    .about = "What the key may do: call models, or manage its team's keys too."},
    [FIELD_ANY_ROLE] = {.name = "role",
                        .kind = API_WORD,
                        .words = any_roles,
                        .about = "What the key may do: call models, manage its team, or "
                                 "everything."},
    [FIELD_DISABLED] = {.name = "disabled",
                        .kind = API_BOOL,
                        .about = "true: the key is refused until this is false again."},
    [FIELD_TEAM] =
        {.name = "team", .kind = API_TEXT, .min = 1, .max = REGISTRY_ID, .about = "Id of a team."},
    [FIELD_PREFIX] = {.name = "prefix",
                      .kind = API_TEXT,
                      .min = 2,
                      .max = SECRET_PREFIX,
                      .about = "What the key begins with: lower-case letters, digits and '_', "
                               "ending in '_'."},
    [FIELD_SURFACE] = {.name = "surface",
                       .kind = API_TEXT,
                       .min = 1,
                       .max = 64,
                       .about = "A surface of the configuration, whose prefix and default limits "
                                "are taken."},
    [FIELD_ID] = {.name = "id", .kind = API_TEXT, .min = 1, .max = REGISTRY_ID, .about = "The id."},
    [FIELD_BILLING] = {.name = "billing",
                       .kind = API_WORD,
                       .words = billings,
                       .about = "prepaid: requests hold and use credits; postpaid: charged without "
                                "a limit."},
    [FIELD_ACTIVE] = {.name = "active",
                      .kind = API_BOOL,
                      .about = "false: the team's keys are answered 403."},
    [FIELD_POLICY] = {.name = "policy",
                      .kind = API_OBJECT,
                      .within = &api_policy,
                      .about = "What the team may use. Members that are not given stay as they "
                               "are."},
    [FIELD_ALLOW_MODELS] = {.name = "allow_models",
                            .kind = API_LIST,
                            .min = 1,
                            .max = REGISTRY_LIST,
                            .about = "Only these models."},
    [FIELD_DENY_MODELS] = {.name = "deny_models",
                           .kind = API_LIST,
                           .min = 0,
                           .max = REGISTRY_LIST,
                           .about = "Never these models."},
    [FIELD_ALLOW_PROVIDERS] = {.name = "allow_providers",
                               .kind = API_LIST,
                               .min = 1,
                               .max = REGISTRY_LIST,
                               .about = "Only these providers."},
    [FIELD_DENY_PROVIDERS] = {.name = "deny_providers",
                              .kind = API_LIST,
                              .min = 0,
                              .max = REGISTRY_LIST,
                              .about = "Never these providers."},
    [FIELD_MIN_TRUST] = {.name = "min_trust",
                         .kind = API_INT,
                         .min = 0,
                         .max = 3,
                         .about = "Only providers of at least this trust level."},
    [FIELD_DATA_LOCAL] = {.name = "data_local",
                          .kind = API_BOOL,
                          .about = "Only providers on the operator's own premises."},
    [FIELD_AMOUNT] = {.name = "amount",
                      .kind = API_MONEY,
                      .min = -MONEY_MOST,
                      .max = MONEY_MOST,
                      .about = "US dollars: above 0 for a grant or refund, not 0 for an "
                               "adjustment."},
    [FIELD_KIND] = {.name = "kind",
                    .kind = API_WORD,
                    .words = kinds,
                    .about = "What the entry is; grant when absent."},
    [FIELD_NOTE] =
        {.name = "note", .kind = API_TEXT, .min = 1, .max = 1024, .about = "Why, for people."},
    [FIELD_REFERENCE] = {.name = "reference",
                         .kind = API_TEXT,
                         .min = 1,
                         .max = 128,
                         .about = "The caller's own id of this entry: a second one of the same "
                                  "team and reference is not made."},
    [FIELD_GENERATION] = {.name = "generation",
                          .kind = API_TEXT,
                          .min = 1,
                          .max = 64,
                          .about = "Id of the generation that a refund is for."},
    [FIELD_SECRET] = {.name = "key",
                      .kind = API_TEXT,
                      .min = 1,
                      .max = 4096,
                      .about = "The provider's key: printable ASCII without spaces, or a JSON "
                               "document on one line. Kept encrypted, never shown again."},
    [FIELD_TYPE] = {.name = "type",
                    .kind = API_WORD,
                    .words = types,
                    .about = "codestral: for fill-in-the-middle operations; api_key when absent: "
                             "for all others."},
    [FIELD_PATH] = {.name = "path",
                    .kind = API_TEXT,
                    .min = 2,
                    .max = 4000,
                    .about = "Absolute path of a file that is not there yet."},
    [FIELD_PAGE] = {.name = "limit",
                    .kind = API_INT,
                    .min = 1,
                    .max = 1000,
                    .about = "Most rows of this page; 100 when absent."},
    [FIELD_CURSOR] = {.name = "cursor",
                      .kind = API_TEXT,
                      .min = 1,
                      .max = 128,
                      .about = "`next` of the page before."},
    [FIELD_KEY] = {.name = "key",
                   .kind = API_TEXT,
                   .min = 1,
                   .max = REGISTRY_ID,
                   .about = "Only those of the key with this id."},
    [FIELD_MODEL] = {.name = "model",
                     .kind = API_TEXT,
                     .min = 1,
                     .max = 256,
                     .about = "Only those that asked for or were served by this model."},
    [FIELD_PROVIDER] = {.name = "provider",
                        .kind = API_TEXT,
                        .min = 1,
                        .max = 128,
                        .about = "Only those of this provider."},
    [FIELD_STATUS] = {.name = "status",
                      .kind = API_WORD,
                      .words = statuses,
                      .about = "Only those that ended like this."},
    [FIELD_FROM] = {.name = "from",
                    .kind = API_TIME,
                    .about = "Only from this time on: ISO 8601 in UTC, or Unix milliseconds."},
    [FIELD_TO] = {.name = "to",
                  .kind = API_TIME,
                  .about = "Only before this time: ISO 8601 in UTC, or Unix milliseconds."},
    [FIELD_ENTRY] = {.name = "kind",
                     .kind = API_WORD,
                     .words = entries,
                     .about = "Only entries of this kind."},
};

const api_field *api_field_of(int32_t field)
{
    return &fields[field];
}

#define KEY_TERMS                                                                                  \
    {FIELD_RATE_LIMIT, API_NULL}, {FIELD_EXPIRES_IN, API_NULL}, {FIELD_MODELS, API_NULL},          \
        {FIELD_LIMIT, API_NULL}, {FIELD_LIMIT_RESET, API_NULL}, {FIELD_TOKENS, API_NULL},          \
        {FIELD_CONCURRENCY, API_NULL},                                                             \
    {                                                                                              \
        FIELD_TIER, API_NULL                                                                       \
    }
static const api_member key_new[] = {{FIELD_NAME, API_REQUIRED}, KEY_TERMS, {FIELD_ROLE, 0}};
static const api_member key_change[] = {{FIELD_NAME, 0}, {FIELD_DISABLED, 0}, KEY_TERMS};
static const api_member key_admin_new[] = {{FIELD_NAME, API_REQUIRED}, {FIELD_TEAM, 0},
                                           {FIELD_PREFIX, 0},          {FIELD_SURFACE, 0},
                                           {FIELD_ANY_ROLE, 0},        KEY_TERMS};
static const api_member policy[] = {
    {FIELD_ALLOW_MODELS, API_NULL},    {FIELD_DENY_MODELS, API_NULL},
    {FIELD_ALLOW_PROVIDERS, API_NULL}, {FIELD_DENY_PROVIDERS, API_NULL},
    {FIELD_MIN_TRUST, API_NULL},       {FIELD_DATA_LOCAL, API_NULL}};
static const api_member team_new[] = {{FIELD_ID, API_REQUIRED}, {FIELD_NAME, 0},
                                      {FIELD_BILLING, 0},       {FIELD_ACTIVE, 0},
                                      {FIELD_TIER, API_NULL},   {FIELD_POLICY, API_NULL}};
static const api_member team_change[] = {{FIELD_NAME, 0},
                                         {FIELD_BILLING, 0},
                                         {FIELD_ACTIVE, 0},
                                         {FIELD_TIER, API_NULL},
                                         {FIELD_POLICY, API_NULL}};
static const api_member entry_new[] = {{FIELD_AMOUNT, API_REQUIRED},
                                       {FIELD_KIND, 0},
                                       {FIELD_NOTE, API_NULL},
                                       {FIELD_REFERENCE, API_NULL},
                                       {FIELD_GENERATION, API_NULL}};
static const api_member byok_put[] = {{FIELD_SECRET, API_REQUIRED}, {FIELD_TYPE, 0}};
static const api_member backup_to[] = {{FIELD_PATH, API_REQUIRED}};

static const api_member generation_query[] = {{FIELD_ID, API_REQUIRED}};
static const api_member generations_query[] = {
    {FIELD_PAGE, 0},     {FIELD_CURSOR, 0}, {FIELD_TEAM, 0}, {FIELD_KEY, 0}, {FIELD_MODEL, 0},
    {FIELD_PROVIDER, 0}, {FIELD_STATUS, 0}, {FIELD_FROM, 0}, {FIELD_TO, 0}};
static const api_member ledger_query[] = {{FIELD_PAGE, 0}, {FIELD_CURSOR, 0}, {FIELD_ENTRY, 0}};
static const api_member keys_query[] = {{FIELD_PAGE, 0}, {FIELD_CURSOR, 0}, {FIELD_TEAM, 0}};
static const api_member page_query[] = {{FIELD_PAGE, 0}, {FIELD_CURSOR, 0}};
static const api_member byok_query[] = {{FIELD_TYPE, 0}};

#define SCHEMA(variable, title, list)                                                              \
    const api_schema variable = {.name = title, .members = list, .count = TP_COUNT(list)}
SCHEMA(api_key_new, "KeyNew", key_new);
SCHEMA(api_auth_new, "AuthNew", key_new);
SCHEMA(api_key_change, "KeyChange", key_change);
SCHEMA(api_key_admin_new, "AdminKeyNew", key_admin_new);
SCHEMA(api_policy, "Policy", policy);
SCHEMA(api_team_new, "TeamNew", team_new);
SCHEMA(api_team_change, "TeamChange", team_change);
SCHEMA(api_entry_new, "EntryNew", entry_new);
SCHEMA(api_byok_put, "ByokPut", byok_put);
SCHEMA(api_backup_to, "BackupTo", backup_to);
SCHEMA(api_generation_query, NULL, generation_query);
SCHEMA(api_generations_query, NULL, generations_query);
SCHEMA(api_ledger_query, NULL, ledger_query);
SCHEMA(api_keys_query, NULL, keys_query);
SCHEMA(api_page_query, NULL, page_query);
SCHEMA(api_byok_query, NULL, byok_query);
