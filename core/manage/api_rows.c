/* The endpoints: one row a method and path. Dispatch, rights, validation and the OpenAPI
 * description read this table and nothing else. */
#include "manage/manage_int.h"

#define ROW(at, verb, path, who)                                                                   \
    .mount = WORLD_##at, .method = HTTP_##verb, .pattern = path, .need = NEED_##who
#define DOES(f, s, kind, shape)                                                                    \
    .run = f, .status = s, .wrap = REPLY_##kind, .reply = &api_shape_##shape

static const api_row rows[] = {
    /* <base>/keys */
    {ROW(KEYS, GET, "", MANAGEMENT), DOES(api_keys_list, 200, LIST, key), .operation = "listKeys",
     .about = "The keys of the team, without their secrets."},
    {ROW(KEYS, POST, "", MANAGEMENT), DOES(api_keys_create, 201, PLAIN, key_made), .change = 1,
     .body = &api_key_new, .operation = "createKey",
     .about = "Makes a key. The secret is in this answer and in no other."},
    {ROW(KEYS, GET, "{key}", MANAGEMENT), DOES(api_keys_show, 200, PLAIN, key),
     .operation = "getKey", .about = "One key."},
    {ROW(KEYS, PATCH, "{key}", MANAGEMENT), DOES(api_keys_change, 200, PLAIN, key), .change = 1,
     .body = &api_key_change, .operation = "updateKey",
     .about = "Changes what is given; null is the default. In force for the next request."},
    {ROW(KEYS, DELETE, "{key}", MANAGEMENT), DOES(api_keys_remove, 200, PLAIN, deleted),
     .change = 1, .operation = "deleteKey",
     .about = "Revokes a key: it is refused from this answer on."},
    {ROW(KEY_SELF, GET, "", KEY), DOES(api_key_self, 200, DATA, self), .operation = "getOwnKey",
     .about = "The key that asks: what it has used and what it may."},
    /* <base>/auth */
    {ROW(AUTH, GET, "", KEY), DOES(api_keys_list, 200, LIST, key), .operation = "listAuthKeys",
     .about = "The keys of the team, without their secrets."},
    {ROW(AUTH, POST, "", KEY), DOES(api_keys_create, 201, PLAIN, key_made), .change = 1,
     .body = &api_auth_new, .operation = "createAuthKey",
     .about = "Makes a key that may no more than the one that asks. The secret is in this answer "
              "and in no other."},
    {ROW(AUTH, DELETE, "{key}", KEY), DOES(api_keys_remove, 200, PLAIN, deleted), .change = 1,
     .operation = "deleteAuthKey", .about = "Revokes a key of the team."},
    /* <base>/credits, <base>/generation */
    {ROW(CREDITS, GET, "", KEY), DOES(api_credits_own, 200, DATA, credits),
     .operation = "getCredits", .about = "The credits of the key's team, US dollars."},
    {ROW(GENERATION, GET, "", KEY), DOES(api_generation_own, 200, PLAIN, generation),
     .query = &api_generation_query, .operation = "getGeneration",
     .about = "What a request came to, by the id of its reply."},
    /* /admin */
    {ROW(ADMIN, GET, "openapi.json", KEY), DOES(api_openapi, 200, PLAIN, document),
     .operation = "getOpenapi", .about = "This description."},
    {ROW(ADMIN, GET, "teams", ADMIN), DOES(api_teams_list, 200, PAGE, team),
     .query = &api_page_query, .operation = "listTeams", .about = "All teams, by id."},
    {ROW(ADMIN, POST, "teams", ADMIN), DOES(api_teams_create, 201, PLAIN, team), .change = 1,
     .body = &api_team_new, .operation = "createTeam", .about = "Makes a team."},
    {ROW(ADMIN, GET, "teams/{team}", TEAM), DOES(api_teams_show, 200, PLAIN, team),
     .operation = "getTeam", .about = "One team."},
    {ROW(ADMIN, PATCH, "teams/{team}", ADMIN), DOES(api_teams_change, 200, PLAIN, team),
     .change = 1, .body = &api_team_change, .operation = "updateTeam",
     .about = "Changes what is given; null is the default. A team of conf.d is changed there."},
    {ROW(ADMIN, GET, "teams/{team}/credits", TEAM),
     DOES(api_credits_show, 200, PLAIN, team_credits), .operation = "getTeamCredits",
     .about = "A team's credits: balance = credited - used; available = balance - held."},
    {ROW(ADMIN, POST, "teams/{team}/credits", ADMIN), DOES(api_credits_add, 201, PLAIN, entry_made),
     .change = 1, .body = &api_entry_new, .again = 200, .operation = "addTeamCredits",
     .about = "A grant, refund or adjustment. The same reference again answers 200 and adds "
              "nothing."},
    {ROW(ADMIN, GET, "teams/{team}/ledger", TEAM), DOES(api_ledger_list, 200, PAGE, entry),
     .query = &api_ledger_query, .operation = "listTeamLedger",
     .about = "The ledger's entries of a team, newest first."},
    {ROW(ADMIN, GET, "teams/{team}/byok", TEAM), DOES(api_byok_list, 200, PAGE, byok),
     .operation = "listTeamByok", .about = "Which provider keys of its own the team has."},
    {ROW(ADMIN, PUT, "teams/{team}/byok/{provider}", TEAM), DOES(api_byok_set, 200, PLAIN, byok),
     .change = 1, .body = &api_byok_put, .operation = "setTeamByok",
     .about = "Sets the team's own key for a provider; it is used instead of the gateway's."},
    {ROW(ADMIN, DELETE, "teams/{team}/byok/{provider}", TEAM),
     DOES(api_byok_remove, 200, PLAIN, byok_deleted), .change = 1, .query = &api_byok_query,
     .operation = "removeTeamByok", .about = "Removes the team's own key for a provider."},
    {ROW(ADMIN, GET, "keys", MANAGEMENT), DOES(api_keys_list, 200, PAGE, admin_key),
     .query = &api_keys_query, .operation = "adminListKeys",
     .about = "Keys, oldest first; those of conf.d too."},
    {ROW(ADMIN, POST, "keys", MANAGEMENT), DOES(api_keys_create, 201, PLAIN, admin_key_made),
     .change = 1, .body = &api_key_admin_new, .operation = "adminCreateKey",
     .about = "Makes a key. The secret is in this answer and in no other."},
    {ROW(ADMIN, GET, "keys/{key}", MANAGEMENT), DOES(api_keys_show, 200, PLAIN, admin_key),
     .operation = "adminGetKey", .about = "One key."},
    {ROW(ADMIN, PATCH, "keys/{key}", MANAGEMENT), DOES(api_keys_change, 200, PLAIN, admin_key),
     .change = 1, .body = &api_key_change, .operation = "adminUpdateKey",
     .about = "Changes what is given; null is the default. In force for the next request."},
    {ROW(ADMIN, DELETE, "keys/{key}", MANAGEMENT), DOES(api_keys_remove, 200, PLAIN, deleted),
     .change = 1, .operation = "adminDeleteKey",
     .about = "Revokes a key: it is refused from this answer on."},
    {ROW(ADMIN, GET, "generations", MANAGEMENT),
     DOES(api_generations_list, 200, PAGE, admin_generation), .query = &api_generations_query,
     .operation = "listGenerations", .about = "Records of requests, newest first."},
    {ROW(ADMIN, GET, "generations/{generation}", MANAGEMENT),
     DOES(api_generations_show, 200, PLAIN, admin_generation), .operation = "adminGetGeneration",
     .about = "The record of one request."},
    {ROW(ADMIN, GET, "ledger/verify", ADMIN), DOES(api_ledger_verify, 200, PLAIN, verdict),
     .operation = "verifyLedger",
     .about = "Reads the whole ledger and says whether everything in it is right."},
    {ROW(ADMIN, POST, "backup", SOCKET), DOES(api_backup, 200, PLAIN, backup),
     .body = &api_backup_to, .operation = "backup",
     .about = "A consistent copy of the store. On the admin socket only."},
    {ROW(ADMIN, POST, "flush", SOCKET), DOES(api_flush, 200, PLAIN, flushed), .operation = "flush",
     .about = "Answers when all that was settled is in the store. On the admin socket only."},
    {ROW(ADMIN, POST, "session", MANAGEMENT), DOES(api_session_begin, 201, PLAIN, session_made),
     .operation = "beginSession",
     .about = "Begins a session with a key: the cookie then stands in for it."},
    {ROW(ADMIN, GET, "session", MANAGEMENT), DOES(api_session_show, 200, PLAIN, session_made),
     .operation = "getSession", .about = "Who the session is; its cookie is prolonged."},
    {ROW(ADMIN, DELETE, "session", MANAGEMENT), DOES(api_session_end, 200, PLAIN, session),
     .operation = "endSession", .about = "Ends the session."},
};

const api_row *api_rows(uint32_t *count)
{
    *count = TP_COUNT(rows);
    return rows;
}
