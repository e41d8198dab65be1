/* Plugins: find, check, load, create. The only room that includes dlfcn.h and elf.h.
 * An image is loaded from a private, content-addressed copy and never unmapped; an instance is one
 * configured use of it and is destroyed with the snapshot that owns it. */
#ifndef TP_PLUG_PLUG_H
#define TP_PLUG_PLUG_H
#include "base/arena.h"
#include "base/base.h"
#include "base/log.h"
#include "model/json.h"

/* ---- Manifest: read from the file's section .tp_manifest; no code of the plugin runs. */
enum { PLUG_KIND_PROVIDER = 1, PLUG_KIND_ENDPOINT = 2, PLUG_KIND_STRATEGY = 4 };
typedef struct plug_manifest { /* strings and docs lie in the arena given */
    tp_str id, name, version, license, description;
    tp_str sdk;             /* "1.0": what it was built against */
    int32_t sdk_major, sdk_minor;
    uint32_t kinds, reserved; /* PLUG_KIND_ bits; "kinds": ["provider"] */
    tp_doc text;            /* the whole manifest */
    tp_doc options_schema;  /* "options": JSON Schema; {} accepts no options */
} plug_manifest;
/* TP_ERROR_ABI or TP_ERROR_IO with what is wrong (no ELF, other machine, no manifest, bad JSON,
 * missing member, other SDK major: names both majors; no entry symbol, a TLS segment). path is
 * opened, read, closed; nothing of it is run. a needs some 16 times the manifest's bytes. [any] */
int plug_manifest_read(const char *path, arena *a, plug_manifest *out, tp_error *err);

/* ---- Loading. [load] thread. */
typedef struct plug_loader plug_loader; /* one a process: knows the images by content hash */
typedef struct plug_image plug_image;   /* lives as long as the loader; never unmapped */
/* run_dir: copies go to run_dir/plugins/<sha256>.so, mode 0500; created when missing. */
plug_loader *plug_loader_new(const char *run_dir, const logger *log, tp_error *err);
void plug_loader_free(plug_loader *l); /* forgets images; leaves them mapped */
/* Same content again: the same image. Refuses (TP_ERROR_ABI, saying what and what to do): a bad
 * manifest, another major, a missing entry, an entry that returns NULL or other id or version than
 * the manifest's, a kind in the manifest that get_extension does not offer, a TLS segment, a table
 * without a function it needs, formats that are none, a state_size over 4,096. */
int plug_load(plug_loader *l, const char *path, plug_image **out, tp_error *err);
/* Removes the copies in run_dir/plugins that this loader has not loaded; how many. For the start,
 * after the first world: it is safe beside other processes that use the same directory. */
int plug_loader_sweep(plug_loader *l);
const plug_manifest *plug_image_manifest(const plug_image *i);
const char *plug_image_sha256(const plug_image *i); /* of the content, hex; as long as the image */

typedef struct plug_instance {
    plug_image *image;
    tp_instance *self;             /* plugin's */
    const tp_provider *provider;   /* normalised copies, formats packed; NULL: not offered */
    const tp_endpoint *endpoint;   /* canonical is never empty */
    const tp_strategy *strategy;
    tp_str name;                   /* the configured name, for messages; owned */
} plug_instance;
/* Runs create, with now_ms and seed 0. options: borrowed for the call; NULL: {}. The error
 * (TP_ERROR_CONFIG) is the plugin's own sentence (fail) with the instance's name before it. */
int plug_create(plug_image *i, tp_str name, const tp_doc *options, plug_instance **out,
                tp_error *err);
void plug_destroy(plug_instance *i); /* [load] after the last call has returned */

/* A module of the gateway itself (the curl transport): dlopen and dlsym. [load] */
void *plug_open_module(const char *path, const char *symbol, tp_error *err);
#endif
