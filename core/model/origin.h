/* Where an upstream is: what a transport needs to know to reach it. */
#ifndef TP_MODEL_ORIGIN_H
#define TP_MODEL_ORIGIN_H
#include "base/base.h"

/* Where to: made once a provider and snapshot, shared by all workers, immutable. */
typedef struct up_origin {
    tp_str url;            /* "https://api.groq.com/openai/v1", for curl and messages */
    tp_str host;           /* name or address, without brackets */
    tp_str base_path;      /* "/openai/v1", or empty: put before each request's path */
    tp_str authority;      /* Host header: "api.groq.com" or "127.0.0.1:4010" */
    int32_t port, tls;     /* tls: 1 for https */
    int32_t http2;         /* 1: HTTP/2 wanted: curl transport */
    int32_t max_connections; /* a worker; 0: no limit. Requests beyond it wait for a connection */
    tp_str proxy;          /* empty: none; "environment"; or a URL: curl transport */
    tp_str ca_file;        /* empty: the system's */
    uint64_t pool;         /* hash of scheme, host, port, ca_file, proxy, http2: connections are
                              shared by what has the same pool, over reloads too */
} up_origin;
#endif
