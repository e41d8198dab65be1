/* Private to plug/: the ELF reader and what an image is made of. */
#ifndef TP_PLUG_PLUG_INT_H
#define TP_PLUG_PLUG_INT_H
#include "base/str.h"
#include "plug/call.h"
#include "plug/plug.h"

#define PLUG_MAX_FILE ((size_t)256 << 20)    /* bytes of a plugin file */
#define PLUG_MAX_MANIFEST ((size_t)1 << 20)  /* bytes of a manifest */
#define PLUG_MAX_STATE 4096u                 /* bytes of state_size */
#define PLUG_MAX_FORMATS 64u

/* What the file says of itself, as bytes; nothing of it is run. Strings lie in the file's bytes. */
typedef struct plug_elf {
    tp_str manifest;   /* section .tp_manifest without its terminator; ptr NULL: none */
    uint32_t majors;   /* bit n: the symbol tp_plugin_entry_v<n> is exported, n from 1 to 31 */
    uint32_t has_tls;  /* 1: a thread-local segment */
} plug_elf;
/* Never reads outside file. TP_ERROR_ABI with a sentence that has no file name in it. [any] */
int plug_elf_read(tp_str file, plug_elf *out, tp_error *err);
/* ELF and manifest of a file in memory, checked as plug_manifest_read says. [any] */
int plug_manifest_parse(tp_str file, arena *a, plug_manifest *out, tp_error *err);
/* The whole regular file, malloced (the caller frees *out). TP_ERROR_IO. */
int plug_file_read(const char *path, char **out, size_t *len, tp_error *err);
/* Puts the plugin's path before err's sentence; returns err's code. */
int plug_error_at(tp_error *err, const char *path);

struct plug_image {
    plug_image *next;
    char sha256[65];        /* hex */
    char *path;             /* the file that it was first loaded from; for messages */
    arena mem;              /* manifest, formats */
    plug_manifest manifest;
    const logger *log;      /* borrowed from the loader */
    tp_plugin plugin;       /* normalised copies; the plugin's own tables are not read again */
    tp_provider provider;
    tp_endpoint endpoint;
    tp_strategy strategy;
};
/* The directory of copies. Shared: copies are found, written and opened; alone: they are removed.
 * Shared waits, alone does not. The descriptor, for plug_dir_unlock (which ignores -1), or -1: somebody
 * else has it, or the file system has no locks (then nobody removes, so nothing is to be feared). */
int plug_dir_lock(const char *dir, int alone);
void plug_dir_unlock(int fd);
/* Removes the copies that are none of `images`; how many went. 0 while another process loads. */
int plug_dir_sweep(const char *dir, const plug_image *images);
/* Asks the plugin for the tables of its manifest's kinds, copies and checks them. */
int plug_image_bind(plug_image *i, const tp_plugin *p, tp_error *err);

/* ---- Output without a copy on the way; NULL: out of memory. */
/* n > 0 bytes to be filled at once, appended to what was written. */
char *plug_out_room(plug_scratch *s, plug_out *o, size_t n);
/* Where the next event goes: nothing is set, and it counts only when event_count is raised. */
tp_event *plug_out_slot(plug_scratch *s, plug_out *o);

/* ---- Checks of what a plugin puts out; NULL, or a sentence that says what is wrong. */
const char *plug_check_header(tp_str name, tp_str value);
const char *plug_check_method(tp_str method);
const char *plug_check_path(tp_str path);
/* A copy of s: one line, valid UTF-8, at most max bytes: it goes into messages, headers and the log.
 * STR_NONE: nothing is there, or no memory. */
tp_str plug_clean(plug_call *c, tp_str s, size_t max);
/* Fails the call (the first sentence is kept); returns status, or TP_E_INTERNAL if it is no error.
 */
tp_status plug_fail(plug_call *c, tp_status status, tp_str param, tp_str why);
/* A borrowed string as it is, else a copy in scratch memory; len 0 gives STR_NONE. -1: no memory.
 */
int plug_own(plug_call *c, tp_str *s);
int plug_is_borrowed(const plug_call *c, tp_str s);
#endif
