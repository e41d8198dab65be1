/* The snippets of a directory as the importer sees them, and writing them: all or none. */
#ifndef TP_CLI_CATALOG_FILES_H
#define TP_CLI_CATALOG_FILES_H
#include "catalog/import.h"

typedef struct catalog_dir {
    arena mem;
    char path[4096];
    catalog_text *ours; /* generated, and as they were written; file is the name alone */
    tp_str *edited;     /* generated, then edited: names */
    tp_str *others;     /* written by somebody: names */
    tp_str *names;      /* ids and aliases of the models of those two */
    tp_str *providers;  /* names of all providers that are defined here */
    uint32_t ours_count, edited_count, other_count, name_count, provider_count;
} catalog_dir;
/* A whole file, at most 64 MiB, into the arena. 0, or TP_ERROR_IO with a sentence. */
int catalog_file_read(const char *path, arena *mem, tp_str *out, tp_error *err);
/* Reads all *.json of a directory, which may be absent. force: what was edited counts as ours. 0,
 * or an error with its place. To be freed in any case. */
int catalog_dir_read(const char *path, int force, catalog_dir *out, tp_error *err);
void catalog_dir_free(catalog_dir *d);
/* Brings the directory's generated snippets to what c says: writes what is new or other, removes
 * what is no more. Everything is written beside its place and synced first; when a file cannot be
 * put into its place, those that were are put back. 0, or TP_ERROR_IO. */
int catalog_dir_write(const catalog_dir *d, const catalog_snippet *s, uint32_t count,
                      tp_error *err);
#endif
