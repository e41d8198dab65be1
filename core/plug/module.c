/* Modules of the gateway itself: opened from where they are installed, for they are part of the
 * release and are not replaced while it runs. */
#include <dlfcn.h>
#include "plug/plug.h"

void *plug_open_module(const char *path, const char *symbol, tp_error *err)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *found = handle ? dlsym(handle, symbol) : NULL;
    if (!found) {
        const char *why = dlerror();
        tp_error_set(err, TP_ERROR_ABI, "module %s: cannot be %s: %s; install it from the same "
                     "build as the gateway", path, handle ? "used" : "opened",
                     why ? why : "its symbol is NULL");
    }
    return found;
}
