// The program: finds our Lua files and hands over to the command line (cli/cli.h).
// Invariant: MOONGATE_SHARE, the directory built in, is known here only.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "lua/script.h"

static bool holds_share(const char *dir)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/lualib/boot.lua", dir);
    return access(path, R_OK) == 0;
}

// The directory built in, or the one beside the program's when it was moved.
static const char *find_share(char *buf, size_t cap)
{
    const char *given = getenv("MOONGATE_SHARE_DIR");
    if (given && *given)
        return given;
    ssize_t n = holds_share(MOONGATE_SHARE) ? 0 : readlink("/proc/self/exe", buf, cap - 32);
    if (n <= 0)
        return MOONGATE_SHARE;
    buf[n] = '\0';
    char *slash = strrchr(buf, '/');
    ASSERT(slash, "a program's path holds a slash");
    strcpy(slash, "/../share/moongate");
    return holds_share(buf) ? buf : MOONGATE_SHARE;
}

int main(int argc, char **argv)
{
    char share[4096];
    lua_set_share(find_share(share, sizeof share));
    return cli_main(argc, argv);
}
