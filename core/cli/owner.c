#include "cli/owner.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int become(const struct stat *st)
{
    const struct passwd *who = getpwuid(st->st_uid);
    gid_t group = who ? who->pw_gid : st->st_gid;
    /* The groups first: who is no longer root may not change them. */
    int rc = who ? initgroups(who->pw_name, group) : setgroups(1, &group);
    rc = rc ? rc : setgid(group);
    return rc ? rc : setuid(st->st_uid);
}

int cli_act_as_owner(const char *run_dir, tp_error *err)
{
    struct stat st;
    if (geteuid() != 0 || stat(run_dir, &st) != 0 || st.st_uid == 0 || become(&st) == 0)
        return 0;
    return tp_error_set(err, TP_ERROR_IO,
                        "%s belongs to user %u, and this command cannot become that user: %s; run "
                        "it as that user",
                        run_dir, (unsigned)st.st_uid, strerror(errno));
}
