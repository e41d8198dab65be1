/* How a plugin of one kind shows itself to the host: its table, under the kind's id, and the one
 * exported function. Once, at the end of one source, behind the manifest, whose id and version it
 * repeats:
 *
 *     PLUGIN_ENTRY("org.turnpike.echo", "1.0.0", TP_PROVIDER, provider, create, destroy)
 */
#ifndef TURNPIKE_PLUGINS_PLUGIN_ENTRY_H
#define TURNPIKE_PLUGINS_PLUGIN_ENTRY_H
#include "span.h"

#define PLUGIN_ENTRY(id_, version_, kind, table, create_, destroy_)                                \
    static const void *get_extension(const char *id)                                               \
    {                                                                                              \
        return strcmp(id, kind) == 0 ? &(table) : NULL;                                            \
    }                                                                                              \
    static const tp_plugin plugin = {                                                              \
        .size = sizeof(tp_plugin),                                                                 \
        .minor = TP_SDK_MINOR,                                                                     \
        .id = SPAN_INIT(id_),                                                                      \
        .version = SPAN_INIT(version_),                                                            \
        .create = create_,                                                                         \
        .destroy = destroy_,                                                                       \
        .get_extension = get_extension,                                                            \
    };                                                                                             \
    TP_EXPORT const tp_plugin *tp_plugin_entry_v1(const tp_host *host)                             \
    {                                                                                              \
        (void)host;                                                                                \
        return &plugin;                                                                            \
    }
#endif
