/* What the replies look like, for the OpenAPI description. A type is "string", "integer", "number",
 * "boolean", "object" (of any members), "time" (ISO 8601 in UTC), "money" (a decimal string of US
 * dollars), "strings" (a list), "#Name" (another shape) or "#Name[]" (a list of it); with a '?'
 * behind it, or null. Tests hold the replies against these lists. */
#include "manage/manage_int.h"

#define KEY_MEMBERS(money)                                                                         \
    {"id", "string", "\"key_\" and letters or digits"}, {"name", "string", NULL},                  \
        {"hint", "string?", "the beginning of the secret and \"...\""},                            \
        {"team", "string?", "id of its team"},                                                     \
        {"role", "string", "inference, management or admin"},                                      \
        {"rate_limit", "integer?", "requests a minute in force; null: none"},                      \
        {"tokens_per_minute", "integer?", "in force; null: none"},                                 \
        {"concurrency", "integer?", "in force; null: none"}, {"tier", "string?", NULL},            \
        {"models", "strings?", "what it may use; null: everything"},                               \
        {"limit", money "?", "spending limit, US dollars; null: none"},                            \
        {"limit_reset", "string?", "daily, monthly; null: never"},                                 \
        {"usage", money, "spent in the period of the limit, US dollars"},                          \
        {"disabled", "boolean", NULL}, {"created_at", "time?", NULL},                              \
        {"expires_at", "time?", NULL},                                                             \
    {                                                                                              \
        "last_used_at", "time?", "a few seconds behind"                                            \
    }
#define SECRET_MEMBER                                                                              \
    {                                                                                              \
        "key", "string", "the secret: shown now and never again"                                   \
    }
#define ADMIN_KEY_MEMBERS                                                                          \
    {"created_by", "string?", "id of a key, session:ID or socket"},                                \
    {                                                                                              \
        "configured", "boolean", "true: a static key of conf.d, changed there"                     \
    }

#define RECORD_MEMBERS(money)                                                                      \
    {"model_served", "string?", "the provider's own name of the model that answered"},             \
        {"streamed", "boolean", NULL}, {"finish_reason", "string?", NULL},                         \
        {"time_to_first_token_ms", "integer?", NULL},                                              \
        {"attempts", "integer", "upstreams that were tried"},                                      \
        {"tokens_reasoning", "integer", NULL},                                                     \
        {"tokens_cached", "integer", "read from a provider's cache"},                              \
        {"usage", "object", "units by class; the classes are disjoint"},                           \
        {"charged", money, "what the team paid, US dollars"},                                      \
        {"savings", money "?", "against the baseline model; null: none is configured"},            \
        {"upstream_id", "string?", "the provider's own id of the reply"},                          \
        {"byok", "boolean", "on the customer's own provider key"},                                 \
    {                                                                                              \
        "estimated", "boolean", "cut off before the provider said its usage"                       \
    }

#define SHAPE(variable, title, ...)                                                                \
    static const api_shape_member variable##_members[] = {__VA_ARGS__, {0}};                       \
    const api_shape api_shape_##variable = {.name = title, .members = variable##_members}

SHAPE(key, "Key", KEY_MEMBERS("number"));
SHAPE(key_made, "KeyMade", KEY_MEMBERS("number"), SECRET_MEMBER);
SHAPE(admin_key, "AdminKey", KEY_MEMBERS("money"), ADMIN_KEY_MEMBERS);
SHAPE(admin_key_made, "AdminKeyMade", KEY_MEMBERS("money"), ADMIN_KEY_MEMBERS, SECRET_MEMBER);
SHAPE(self, "OwnKey", {"label", "string?", "the beginning of the key"}, {"name", "string?", NULL},
      {"usage", "number", "spent in the period of the limit, US dollars"},
      {"limit", "number?", "US dollars"}, {"limit_remaining", "number?", "US dollars"},
      {"is_free_tier", "boolean", NULL},
      {"rate_limit", "object", "requests: requests a minute, -1 for none; interval: \"60s\""});
SHAPE(deleted, "Deleted", {"id", "string", NULL}, {"deleted", "boolean", NULL});
SHAPE(credits, "Credits", {"total_credits", "number", "all that was ever credited"},
      {"total_usage", "number", "all that was ever used"},
      {"remaining", "number", "total_credits - total_usage"});
SHAPE(generation, "Generation", {"id", "string", "the reply's id"},
      {"model", "string?", "as it was asked for"}, {"created_at", "time?", NULL},
      {"tokens_prompt", "integer", "cached and sound ones too"},
      {"tokens_completion", "integer", "reasoning and sound too"},
      {"total_cost", "number", "US dollars"}, {"latency_ms", "integer", NULL},
      {"provider", "string?", NULL}, {"status", "string", "completed, failed or cancelled"},
      RECORD_MEMBERS("number"));
SHAPE(admin_generation, "AdminGeneration", {"id", "string", "the reply's id"},
      {"created_at", "time?", NULL}, {"team", "string?", NULL}, {"key", "string?", "id of the key"},
      {"key_name", "string?", NULL}, {"request_id", "string?", NULL}, {"surface", "string?", NULL},
      {"endpoint", "string?", NULL}, {"method", "string?", NULL}, {"path", "string?", NULL},
      {"client", "string?", "its address"}, {"model", "string?", "as it was asked for"},
      {"provider", "string?", NULL}, {"status", "string", "completed, failed or cancelled"},
      {"http_status", "integer", NULL}, {"tokens_prompt", "integer", "cached and sound ones too"},
      {"tokens_completion", "integer", "reasoning and sound too"}, {"latency_ms", "integer", NULL},
      {"price_version", "string?", "which prices the cost was reckoned at"},
      {"hold", "money", "what was put aside before"}, {"cost", "money", "of the usage"},
      {"baseline", "money?", "of the same usage at the baseline model"}, RECORD_MEMBERS("money"),
      {"bytes_in", "integer", NULL}, {"bytes_out", "integer", NULL},
      {"prompt", "string?", "the request's body, where the store keeps it"});
SHAPE(policy, "TeamPolicy", {"allow_models", "strings?", "null: all"},
      {"deny_models", "strings", NULL}, {"allow_providers", "strings?", "null: all"},
      {"deny_providers", "strings", NULL}, {"min_trust", "integer", "0 to 3"},
      {"data_local", "boolean", NULL});
SHAPE(team, "Team", {"id", "string", NULL}, {"name", "string", NULL}, {"active", "boolean", NULL},
      {"billing", "string", "prepaid or postpaid"}, {"tier", "string?", NULL},
      {"policy", "#TeamPolicy", NULL}, {"configured", "boolean", "true: of conf.d, changed there"},
      {"credits", "object", "balance, held, credited and used: decimal strings of US dollars"},
      {"keys", "integer", "how many"}, {"byok", "#Byok[]", NULL}, {"created_at", "time?", NULL});
SHAPE(team_credits, "TeamCredits", {"team", "string", NULL},
      {"balance", "money", "credited - used"}, {"available", "money", "balance - held"},
      {"held", "money", "put aside for requests in flight"}, {"credited", "money", NULL},
      {"used", "money", NULL});
SHAPE(entry_made, "EntryMade", {"seq", "integer", "number of the ledger entry"},
      {"team", "string", NULL}, {"kind", "string", NULL}, {"amount", "money", NULL},
      {"balance", "money", "after it"},
      {"duplicate", "boolean", "true: the reference was there, nothing was added"});
SHAPE(entry, "Entry", {"seq", "integer", NULL},
      {"kind", "string", "grant, hold, settle, release, refund or adjustment"},
      {"amount", "money", "its effect on the balance, signed"}, {"at", "time?", NULL},
      {"generation", "string?", NULL}, {"key", "string?", "id of the key"},
      {"price_version", "string?", NULL}, {"note", "string?", NULL},
      {"actor", "string?", "who made it"}, {"reference", "string?", NULL});
SHAPE(byok, "Byok", {"provider", "string", NULL}, {"type", "string", "api_key or codestral"},
      {"hint", "string?", "its last four characters"}, {"created_at", "time?", NULL});
SHAPE(byok_deleted, "ByokDeleted", {"provider", "string", NULL}, {"type", "string", NULL},
      {"deleted", "boolean", NULL});
SHAPE(verdict, "Verdict", {"ok", "boolean", "no fault was found"}, {"entries", "integer", "read"},
      {"generations", "integer", "read"}, {"segments", "integer", "read"},
      {"teams", "integer", NULL}, {"faults", "integer", NULL},
      {"text", "string", "a line for each fault"});
SHAPE(backup, "Backup", {"path", "string", NULL}, {"bytes", "integer", NULL});
SHAPE(flushed, "Flushed", {"flushed", "boolean", NULL});
SHAPE(session_made, "Session", {"csrf_token", "string", "for the header X-CSRF-Token"},
      {"expires_at", "time?", "when it ends unless it is used"},
      {"role", "string", "management or admin"}, {"team", "string?", NULL},
      {"key", "string", "id of the key that it stands in for"});
SHAPE(session, "SessionEnded", {"deleted", "boolean", NULL});
SHAPE(document, "OpenapiDocument", {"openapi", "string", NULL}, {"info", "object", NULL},
      {"paths", "object", NULL}, {"components", "object", NULL});

const api_shape *const api_shapes[] = {&api_shape_key,
                                       &api_shape_key_made,
                                       &api_shape_admin_key,
                                       &api_shape_admin_key_made,
                                       &api_shape_self,
                                       &api_shape_deleted,
                                       &api_shape_credits,
                                       &api_shape_generation,
                                       &api_shape_admin_generation,
                                       &api_shape_policy,
                                       &api_shape_team,
                                       &api_shape_team_credits,
                                       &api_shape_entry_made,
                                       &api_shape_entry,
                                       &api_shape_byok,
                                       &api_shape_byok_deleted,
                                       &api_shape_verdict,
                                       &api_shape_backup,
                                       &api_shape_flushed,
                                       &api_shape_session_made,
                                       &api_shape_session,
                                       &api_shape_document,
                                       NULL};
