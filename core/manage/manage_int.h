/* Private to manage/: one call of the management API, the tables that say what its endpoints take,
 * and the writers of its replies. The table of rows drives dispatch, rights, validation and the
 * OpenAPI description, so that these four cannot drift apart. */
#ifndef TP_MANAGE_INT_H
#define TP_MANAGE_INT_H
#include "base/str.h"
#include "manage/api.h"
#include "model/json.h"

/* ---- Fields: members of bodies and parameters of queries. */
enum { API_TEXT = 1, /* min .. max: bytes; no control characters */
       API_INT,      /* min .. max */
       API_MONEY,    /* US dollars, a number or a decimal string, exact; min .. max: nano-dollars */
       API_BOOL,
       API_WORD,     /* one of words; the value's number is the word's index */
       API_LIST,     /* min .. max patterns of names */
       API_TIME,     /* ISO 8601 or Unix milliseconds; queries only */
       API_OBJECT    /* members: of the schema `within`, their values stand beside the others */ };
enum { FIELD_NAME = 0, FIELD_RATE_LIMIT, FIELD_TOKENS, FIELD_CONCURRENCY, FIELD_EXPIRES_IN,
       FIELD_MODELS, FIELD_LIMIT, FIELD_LIMIT_RESET, FIELD_TIER, FIELD_ROLE, FIELD_ANY_ROLE,
       FIELD_DISABLED, FIELD_TEAM, FIELD_PREFIX, FIELD_SURFACE, FIELD_ID, FIELD_BILLING,
       FIELD_ACTIVE, FIELD_POLICY, FIELD_ALLOW_MODELS, FIELD_DENY_MODELS, FIELD_ALLOW_PROVIDERS,
       FIELD_DENY_PROVIDERS, FIELD_MIN_TRUST, FIELD_DATA_LOCAL, FIELD_AMOUNT, FIELD_KIND,
       FIELD_NOTE, FIELD_REFERENCE, FIELD_GENERATION, FIELD_SECRET, FIELD_TYPE, FIELD_PATH,
       /* of queries */
       FIELD_PAGE, FIELD_CURSOR, FIELD_KEY, FIELD_MODEL, FIELD_PROVIDER, FIELD_STATUS, FIELD_FROM,
       FIELD_TO, FIELD_ENTRY, FIELD_COUNT };
typedef struct api_schema api_schema;
typedef struct api_field {
    const char *name;
    int32_t kind, reserved;
    int64_t min, max;
    const char *const *words;  /* ends with NULL */
    const api_schema *within;
    const char *about;
} api_field;
enum { API_REQUIRED = 1, API_NULL = 2 /* null is allowed: back to the default */ };
typedef struct api_member {
    int32_t field, flags;
} api_member;
struct api_schema {
    const char *name;          /* in the OpenAPI description; NULL: of a query */
    const api_member *members;
    uint32_t count;
};
const api_field *api_field_of(int32_t field);
extern const api_schema api_key_new, api_key_change, api_auth_new, api_key_admin_new,
    api_team_new, api_team_change, api_policy, api_entry_new, api_byok_put, api_backup_to,
    api_generation_query, api_generations_query, api_ledger_query, api_keys_query,
    api_page_query, api_byok_query;

typedef struct api_value {
    int32_t given;             /* 0: not there; 1: there; API_IS_NULL */
    uint32_t count;            /* of a list */
    int64_t number;            /* integer, nano-dollars, 0 or 1, index of the word, Unix ms */
    tp_str text;
    tp_str *list;
} api_value;
#define API_IS_NULL 2

/* ---- Rows: one a method and path. */
enum { NEED_KEY = 1,    /* any valid key */
       NEED_MANAGEMENT, /* role management or admin */
       NEED_TEAM,       /* admin; management where the path's team is its own */
       NEED_ADMIN,
       NEED_SOCKET      /* the admin socket alone */ };
enum { REPLY_PLAIN = 0, REPLY_DATA, /* {"data":X} */ REPLY_LIST, /* {"data":[X]} */
       REPLY_PAGE /* {"data":[X],"next":CURSOR} */ };
typedef struct api_shape_member {
    const char *name, *type;   /* type: see api_shapes.c */
    const char *about;         /* NULL: the name says it */
} api_shape_member;
typedef struct api_shape {
    const char *name;
    const api_shape_member *members; /* ends with a NULL name */
} api_shape;
extern const api_shape api_shape_key, api_shape_key_made, api_shape_admin_key,
    api_shape_admin_key_made, api_shape_self, api_shape_deleted, api_shape_credits,
    api_shape_generation, api_shape_admin_generation, api_shape_team, api_shape_team_credits,
    api_shape_entry_made, api_shape_entry, api_shape_byok, api_shape_byok_deleted,
    api_shape_verdict, api_shape_backup, api_shape_flushed, api_shape_session,
    api_shape_session_made, api_shape_document, api_shape_policy;
extern const api_shape *const api_shapes[]; /* all of them, ends with NULL */

typedef struct api_call api_call;
typedef struct api_row {
    int32_t mount;             /* WORLD_KEYS ... WORLD_ADMIN */
    int32_t method;            /* HTTP_GET (HEAD too) ... */
    const char *pattern;       /* of the path behind the route's own: "teams/{team}/credits" */
    int32_t need;
    int32_t change;            /* 1: under the lock of changes */
    int (*run)(api_call *c);   /* 0 or more: *c->out is the answer; -1: out of memory */
    const api_schema *body, *query;
    int32_t status, wrap;
    int32_t again;             /* the status when it had been done before; 0: no such case */
    const api_shape *reply;
    const char *operation, *about;
} api_row;
const api_row *api_rows(uint32_t *count);

#define API_DEFAULT_TEAM STR("default") /* always there; postpaid unless it was changed */
#define API_PARAMETERS 2u      /* most {parameters} of a pattern */
struct api_call {
    const api_ports *p;
    const api_request *r;
    const api_row *row;
    api_reply *out;
    arena *mem;                /* the reply's */
    const conf_surface *surface; /* NULL: Turnpike's own shapes */
    const conf *conf;
    int32_t kind, role;        /* of whoever acts: API_, CONF_ROLE_ */
    tp_str key_id;             /* empty: none */
    tp_str team;               /* of its key; empty: none */
    tp_str own;                /* the team it manages: its own, else "default" for managers */
    tp_str actor;              /* for ledger and log: "key_...", "session:key_...", "socket" */
    tp_str parameters[API_PARAMETERS];
    api_value v[FIELD_COUNT];
};

/* ---- Errors. The body in the envelope of the call's surface; answers 1, or -1 (out of memory). */
int api_fail(api_call *c, int32_t status, const char *code, const char *param, const char *fmt,
             ...) TP_PRINTF(5, 6);
int api_store_down(api_call *c, const tp_error *err); /* 503, with Retry-After */
int api_store_busy(api_call *c, const tp_error *err); /* the same, where nothing is wrong with it */
int api_nobody(api_call *c);                          /* 401 */
int api_not_found(api_call *c, const char *what, tp_str name);
int api_bad_cursor(api_call *c);                      /* 400 */
/* The end of a sentence: "; did you mean 'x'?" for the nearest of the names, or ".". Each name is
 * offered in turn. */
typedef struct api_guess {
    tp_str wanted, best;
    unsigned distance;
} api_guess;
void api_guess_offer(api_guess *g, tp_str name);
const char *api_guess_say(api_call *c, const api_guess *g);
/* A header of the reply: name static, value in the call's memory. 0, or -1. */
int api_header(api_call *c, const char *name, tp_str value);
/* A change in the log: who, from where, what. Never a secret. */
void api_log(const api_call *c, const char *fmt, ...) TP_PRINTF(2, 3);
/* A string that ends with a NUL, for printf's precision-free %s; in the call's memory, "" when
 * that is out. */
const char *api_z(api_call *c, tp_str s);

/* ---- Bodies and queries. 0: read; 1: answered with an error; -1: out of memory. */
int api_read_body(api_call *c, const api_schema *s);
int api_read_query(api_call *c, const api_schema *s);
/* %XX (and '+' where plus is 1) decoded into the call's memory; ptr NULL: a bad escape, a NUL, no
 * UTF-8, or out of memory. */
tp_str api_decode(arena *a, tp_str in, int plus);
/* "12.5", "-3", "1e-7" -> nano-dollars, exactly: 0; -1: no number; -2: finer than a nano-dollar;
 * -3: beyond what 64 bits hold. */
int api_money_parse(tp_str text, int64_t *nano);
int api_time_parse(tp_str text, int64_t *unix_ms); /* 0, or -1 */

/* ---- Replies. The first fault of the buffer sticks in rc. name NULL: an element of a list. */
typedef struct api_out {
    buf *b;
    int rc, comma;
} api_out;
static inline api_out api_out_of(api_call *c)
{
    return (api_out){.b = &c->out->body};
}
void api_open(api_out *o, const char *name, char bracket); /* '{' or '[' */
void api_close(api_out *o, char bracket);
void api_text(api_out *o, const char *name, tp_str v);
void api_text_or_null(api_out *o, const char *name, tp_str v); /* empty: null */
void api_int(api_out *o, const char *name, int64_t v);
void api_int_or_null(api_out *o, const char *name, int64_t v); /* < 0: null */
void api_bool(api_out *o, const char *name, int v);
void api_null(api_out *o, const char *name);
void api_list(api_out *o, const char *name, const tp_str *list, uint32_t count);
void api_time(api_out *o, const char *name, int64_t unix_ms); /* ISO 8601; 0: null */
void api_money(api_out *o, const char *name, int64_t nano);   /* a decimal string */
void api_money_number(api_out *o, const char *name, int64_t nano);
void api_money_cents(api_out *o, const char *name, int64_t nano); /* a number, >= 2 decimals */
/* Either of the first two, as the mount has it; present 0: null. */
void api_money_as(api_out *o, int admin, const char *name, int64_t nano, int present);
size_t api_time_print(char out[24], int64_t unix_ms); /* "2026-04-15T10:30:00Z" */

/* ---- Sessions. */
enum { SESSION_NONE = 0, SESSION_THERE = 1, SESSION_NO_CSRF = 2,
       SESSION_INACTIVE = 3 /* its team is */ };
/* Fills who acts from the cookie: SESSION_; -1: out of memory. change: the CSRF token is needed. */
int api_session_find(api_call *c, int change);

/* ---- Keys. */
typedef struct api_key_row { /* a key as it is now; strings in the call's memory */
    registry_key k;
    conf_limits in_force;
    int64_t spent;
    int32_t fixed, reserved;
} api_key_row;
int api_key_get(api_call *c, tp_str id, api_key_row *out); /* 1: there; 0: not; -1: out of memory */
/* A key that the caller's key makes over <base>/auth: takes over the caller's bounds where nothing
 * was said, and refuses what goes beyond them (answered: 1). */
int api_key_bound(api_call *c, registry_key *k);
/* The tier's limits; NULL: no such tier. */
const conf_tier *api_tier_of(const conf *cf, tp_str name);
int api_tier_check(api_call *c, tp_str name); /* 0; 1: answered 400 */
int api_copy(api_call *c, tp_str in, tp_str *out); /* into the call's memory: 0, or -1 */
int api_copy_list(api_call *c, tp_str *const in, uint32_t count, tp_str **out);

/* ---- What the rows run. */
int api_keys_list(api_call *c);
int api_keys_create(api_call *c);
int api_keys_show(api_call *c);
int api_keys_change(api_call *c);
int api_keys_remove(api_call *c);
int api_key_self(api_call *c);
int api_credits_own(api_call *c);
int api_credits_show(api_call *c);
int api_credits_add(api_call *c);
int api_ledger_list(api_call *c);
int api_ledger_verify(api_call *c);
int api_generation_own(api_call *c);
int api_generations_list(api_call *c);
int api_generations_show(api_call *c);
int api_teams_list(api_call *c);
int api_teams_create(api_call *c);
int api_teams_show(api_call *c);
int api_teams_change(api_call *c);
int api_byok_list(api_call *c);
int api_byok_set(api_call *c);
int api_byok_remove(api_call *c);
int api_backup(api_call *c);
int api_flush(api_call *c);
int api_session_begin(api_call *c);
int api_session_show(api_call *c);
int api_session_end(api_call *c);
int api_openapi(api_call *c);

/* What a provider key is sealed to; parts joined by NULs, which no name has. ptr NULL: out. */
tp_str api_byok_bound(arena *a, tp_str team, tp_str provider, tp_str type);
#endif
