/* Teams, keys and customers' provider keys as they are kept: the rows that a store makes durable
 * (manage/registry.h is the port), and that the book (admit/book.h) is filled from. Strings are
 * borrowed for the call that takes a row, unless it says otherwise. */
#ifndef TP_ADMIT_REGISTRY_H
#define TP_ADMIT_REGISTRY_H
#include "conf/conf.h"

#define REGISTRY_ID 64u    /* longest id of a team or key, bytes */
#define REGISTRY_NAME 128u /* longest name, bytes */
#define REGISTRY_LIST 256u /* most entries of an allow- or deny-list */

typedef struct registry_team {
    tp_str id, name;
    int32_t active, billing; /* CONF_PREPAID, CONF_POSTPAID */
    tp_str tier;             /* of keys that name none; empty: none */
    conf_policy policy;
    int64_t created_ms;      /* Unix milliseconds */
} registry_team;

/* spend_period: in total, or anew with each UTC day or month */
enum { REGISTRY_TOTAL = 0, REGISTRY_DAILY = 1, REGISTRY_MONTHLY = 2 };
typedef struct registry_key {
    tp_str id;               /* "key_" and 20 letters or digits: public, never reused */
    tp_str name, team;       /* team: id */
    tp_str lookup;           /* prefix and the secret's first characters (secret.h): public, shown
                                in lists, unique */
    tp_str tier;             /* empty: the team's, else none */
    tp_str created_by;       /* id of a key, "socket", "session"... */
    tp_str *models;          /* allow-list of patterns; none: all */
    uint32_t model_count;
    int32_t role;            /* CONF_ROLE_ */
    int32_t disabled;
    int32_t spend_period;    /* REGISTRY_TOTAL... */
    int64_t spend_limit_nano; /* nano-dollars in a period; -1: none */
    conf_limits limits;      /* its own; -1: the tier's */
    int64_t created_ms, expires_ms; /* expires_ms 0: never */
    int64_t last_used_ms;    /* 0: never; kept a few seconds behind */
    tp_str argon2;           /* encoded hash, "$argon2id$v=19$..." */
    unsigned char hmac[32];  /* HMAC-SHA-256 of the whole key under the pepper... */
    unsigned char pepper_id[8]; /* ...that this names (the beginning of its own SHA-256) */
} registry_key;

typedef struct registry_byok { /* one a team, provider and type */
    tp_str team, provider;   /* provider: the name in conf.d */
    tp_str type;             /* "api_key", "codestral": for operations "fim/..." */
    tp_str hint;             /* the secret's last four characters; empty for a short one */
    tp_str sealed;           /* AES-256-GCM, see secret.h */
    int64_t created_ms;
} registry_byok;
#endif
