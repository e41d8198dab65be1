/* The world: configuration, plugins, catalog and routes as one immutable, reference-counted value.
 * A reload builds the next one beside it and swaps; an exchange keeps the one it began with. Built
 * on the loader thread; read by any worker without a lock. */
#ifndef TP_WORLD_WORLD_H
#define TP_WORLD_WORLD_H
#include "base/log.h"
#include "base/map.h"
#include "conf/conf.h"
#include "model/origin.h"
#include "parse/http.h" /* HTTP_GET, HTTP_POST */
#include "plug/plug.h"

typedef struct world_provider {
    const conf_provider *conf;
    const plug_instance *plugin; /* owned by the world; NULL: not usable */
    up_origin origin;            /* host.len 0: it has no base_url (local replies only) */
    int32_t usable;              /* enabled, not dormant, plugin there */
    int32_t keyless;             /* dormant for want of a key, but else ready: usable for customers
                                    who have a key of their own */
} world_provider;

typedef struct world_deployment {
    const conf_deployment *conf;
    const conf_model *model;     /* NULL: addressed as provider/model, not in the catalog */
    const world_provider *provider;
    uint64_t live_key;           /* hash of provider name, base URL, upstream model: live tables */
    int64_t context_length, max_output_tokens; /* the model's where the deployment says none; -1 */
    uint64_t capabilities;
    int32_t quality, reserved;
    const conf_price *prices;
    uint32_t price_count, price_tiers; /* tiers: how many of them have a threshold */
    char price_version[20];      /* "p-" and 16 hex digits of a hash of the prices; empty: no price */
} world_deployment;

typedef struct world_model {
    const conf_model *conf;
    world_deployment *deployments; /* all enabled ones, usable or not */
    uint32_t count, usable;        /* usable: how many can be used now; both 0: model disabled */
    const plug_instance *strategy; /* its own or the default one; NULL: as configured */
} world_model;

enum { WORLD_ENDPOINT = 1, /* a plugin's */ WORLD_MODELS, /* GET list */ WORLD_MODEL, /* GET one */
       WORLD_HEALTH /* GET /healthz, no key */,
       /* Of manage/api.h: several methods a path, which that room checks. */
       WORLD_KEYS,       /* <base>/keys and <base>/keys/ID */
       WORLD_KEY_SELF,   /* GET <base>/key: of the key itself */
       WORLD_AUTH,       /* <base>/auth and <base>/auth/ID */
       WORLD_CREDITS,    /* GET <base>/credits */
       WORLD_GENERATION, /* GET <base>/generation?id= */
       WORLD_ADMIN       /* /admin/ and all below it */ };
typedef struct world_route {
    int32_t kind;
    int32_t is_public;             /* no key needed */
    int32_t method;                /* HTTP_GET (and HEAD), HTTP_POST of parse/http.h; 0: several */
    int32_t session;               /* 1: a session's cookie may stand in for a key */
    const conf_surface *surface;   /* NULL for /healthz */
    const conf_endpoint *endpoint; /* WORLD_ENDPOINT */
    const plug_instance *plugin;
    const struct world_route *guests; /* the same, as its surface's guests answer it */
    uint32_t guest_count;
} world_route;

typedef struct world_key {
    const conf_key *conf;
    uint64_t digest; /* SipHash of the secret under world.key_hash */
} world_key;

typedef struct world {
    _Atomic uint32_t refs;
    uint32_t serial;             /* 1, 2, ... : which reload made it */
    conf *conf;                  /* owned */
    arena mem;                   /* owns the arrays below */
    world_provider *providers;   uint32_t provider_count;
    world_model *models;         uint32_t model_count; /* in the order of the configuration */
    map model_by_name;           /* ids and aliases -> world_model, disabled ones too */
    map provider_by_name;        /* -> world_provider */
    map deployments;             /* "provider/upstream model" -> world_deployment, the first one */
    map routes;                  /* full path -> world_route; "/v1/models/" for all below it */
    uint32_t prefix_max;         /* bytes of the longest path in routes that ends in '/' */
    world_key *keys;
    uint32_t key_count;          /* open addressing by digest, power of two; conf NULL: empty */
    uint64_t key_hash[2];        /* random, of this world */
    plug_instance **instances;   uint32_t instance_count; /* owned */
    const plug_instance *strategy; /* the default one; NULL: candidates as configured */
    const world_deployment *baseline; /* what savings are told against; NULL: none */
    int64_t created_unix_s;
} world;

/* Builds a world from c, which it takes (also on error). Checks options, loads and creates plugins.
 * NULL with err, which begins with the snippet's place. [load] */
world *world_new_take(conf *c, plug_loader *loader, uint32_t serial, const logger *log,
                      tp_error *err);
/* Are the credential documents of providers in use such as requests can be made with? 0, or
 * TP_ERROR_CONFIG with a sentence that begins with the snippet's place. Part of world_new_take. [load]
 */
int world_check_credentials(const conf *c, tp_error *err);
void world_ref(world *w);   /* [any] */
/* [any] The last one frees; plugins are destroyed on the thread that does it. */
void world_unref(world *w);

/* Where base_url ("https://host:port/path", no trailing '/') is. Strings lie in a, with a NUL
 * behind each, but for url, proxy and ca_file, which are borrowed from p and the caller. 0, or
 * TP_ERROR_CONFIG with a sentence. */
int world_origin(up_origin *out, tp_str base_url, const conf_provider *p, arena *a, tp_error *err);
/* The route of a path, or NULL. Where the path itself has none, that of the longest registered
 * prefix, which ends in '/': /v1/models/x, /v1/keys/ID; what follows it in *rest (else empty). The
 * prefix alone ("/v1/models/") names nothing. A path known under another method is returned all the
 * same: the caller answers 405 with Allow. */
const world_route *world_route_find(const world *w, tp_str path, tp_str *rest);
/* Who answers a request with that key, valid or not (ptr NULL: none), at a route or anywhere under a
 * surface (NULL allowed): the surface itself, or its guest whose key_prefix the key begins with. */
const world_route *world_route_for(const world_route *r, tp_str key);
const conf_surface *world_surface_for(const world *w, const conf_surface *host, tp_str key);
/* A name as a client writes it: a codename or alias -> *model; "provider/model" with a configured
 * provider -> *direct: the catalog's own deployment of that upstream model where there is one (its
 * limits and prices are known then), else one made in the arena. Only one of the two is set; the
 * provider may be unusable. Neither, a disabled model, or out of memory: -1. */
int world_model_find(const world *w, tp_str name, arena *a, const world_model **model,
                     world_deployment **direct);
#endif
