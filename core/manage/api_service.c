/* What only the admin socket may ask of the store: a copy of it, and that it writes down all that
 * it has. */
#include <sys/stat.h>

#include "manage/manage_int.h"

int api_backup(api_call *c)
{
    const registry_port *store = c->p->registry;
    tp_str path = c->v[FIELD_PATH].text;
    const char *z = api_z(c, path);
    struct stat st;
    tp_error err = {0};
    if (z[0] != '/')
        return api_fail(c, 400, "invalid_value", "path",
                        "'path' must be absolute: the gateway's working directory is its own.");
    if (lstat(z, &st) == 0)
        return api_fail(c, 409, "exists", "path",
                        "%s is there already: name a file that is not there yet.", z);
    int rc = store->backup(store->self, z, &err);
    if (rc == TP_ERROR_EXISTS || rc == TP_ERROR_NOT_FOUND)
        return api_fail(c, rc == TP_ERROR_EXISTS ? 409 : 400, "invalid_value", "path", "%s.",
                        err.text);
    if (rc != 0)
        return rc == TP_ERROR_LIMIT ? api_store_busy(c, &err) : api_store_down(c, &err);
    int64_t bytes = stat(z, &st) == 0 ? (int64_t)st.st_size : 0;
    api_log(c, "backed up the store to %s, %lld bytes", z, (long long)bytes);
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    api_text(&o, "path", path);
    api_int(&o, "bytes", bytes);
    api_close(&o, '}');
    return o.rc;
}

int api_flush(api_call *c)
{
    const registry_port *store = c->p->registry;
    tp_error err = {0};
    if (store->flush(store->self, &err) != 0)
        return api_store_down(c, &err);
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    api_bool(&o, "flushed", 1);
    api_close(&o, '}');
    return o.rc;
}
