// start, restart, and start in the background. What serves is core/master.h.
// Invariant: in the background the caller is told of readiness the way systemd is: by the notification socket.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "cli/cli.h"
#include "core/master.h"
#include "lua/loader.h"
#include "lua/script.h"

enum { START_MS = 60000, STEP_MS = 50, PATH_BYTES = 4096 };

static int open_log(const settings_t *s)
{
    char path[PATH_BYTES];
    int level = log_level_parse(s->log_level);
    if (level >= 0)
        log_set_level((log_level_t)level);
    snprintf(path, sizeof path, "%.*s", STR_FMT(s->error_log));
    int err = path[0] ? log_open(path) : 0;
    if (err == 0)
        return 0;
    fprintf(stderr, "moongate: error_log %s cannot be opened: %s\n", path, strerror(-err));
    return EXIT_FAILED;
}

static int serve(const settings_t *s)
{
    if (open_log(s) != 0)
        return EXIT_FAILED;
    master_opts_t o = {.settings = s, .script = &script_lua, .load = loader_load};
    return master_run(&o);
}

// ---- in the background ----

// A notification socket of our own, in the abstract name space. The descriptor, or -1.
static int open_socket(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t n = sizeof a;
    char name[sizeof a.sun_path + 1] = "@";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(sa_family_t)) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        fprintf(stderr, "moongate: cannot start in the background: %s\n", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    size_t name_n = n - offsetof(struct sockaddr_un, sun_path) - 1;
    ASSERT(name_n < sizeof a.sun_path, "the kernel's name fits");
    memcpy(name + 1, a.sun_path + 1, name_n);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static bool said_ready(int fd)
{
    char text[1024];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, STEP_MS) <= 0)
        return false;
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "READY=1") != NULL;
}

// What a start that failed has logged.
static void show_log(const char *path, off_t from)
{
    char bytes[4096];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && lseek(fd, from, SEEK_SET) == from) {
        while ((n = read(fd, bytes, sizeof bytes)) > 0)
            fwrite(bytes, 1, (size_t)n, stderr);
    }
    if (fd >= 0)
        close(fd);
}

static int wait_ready(int fd, pid_t pid, const char *log, off_t log_from)
{
    int status;
    for (int waited_ms = 0; waited_ms < START_MS; waited_ms += STEP_MS) {
        if (said_ready(fd)) {
            printf("process %d serves; it logs to %s\n", (int)pid, log);
            return EXIT_DONE;
        }
        if (waitpid(pid, &status, WNOHANG) == pid) {
            show_log(log, log_from);
            fprintf(stderr, "moongate: not started (see %s)\n", log);
            return EXIT_FAILED;
        }
    }
    fprintf(stderr, "moongate: process %d does not serve yet (see %s)\n", (int)pid, log);
    return EXIT_FAILED;
}

// Standard output and error would keep the caller's terminal or pipe.
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    for (int i = 0; i <= 2 && null >= 0; i++)
        dup2(null, i);
    if (null > 2)
        close(null);
}

static str_t in_prefix(settings_t *s, const char *name)
{
    return arena_printf(&s->arena, "%.*s/%s", STR_FMT(s->prefix), name);
}

static int start_daemon(const settings_t *settings)
{
    settings_t s = *settings; // with logs that are files
    ASSERT(s.prefix.n > 0, "a prefix is chosen when settings are loaded");
    char log[PATH_BYTES];
    if (str_eq(s.access_log, STR("-")))
        s.access_log = in_prefix(&s, "access.log");
    if (str_eq(s.error_log, STR("stderr")) || str_eq(s.error_log, STR("-")))
        s.error_log = in_prefix(&s, "error.log");
    snprintf(log, sizeof log, "%.*s", STR_FMT(s.error_log));
    int there = open(log, O_RDONLY | O_CLOEXEC), fd = open_socket();
    off_t log_from = there >= 0 ? lseek(there, 0, SEEK_END) : 0;
    if (there >= 0)
        close(there);
    if (fd < 0)
        return EXIT_FAILED;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(fd);
        leave_terminal();
        _exit(serve(&s));
    }
    int rc = EXIT_FAILED;
    if (pid > 0)
        rc = wait_ready(fd, pid, log, log_from);
    else
        fprintf(stderr, "moongate: cannot start in the background: %s\n", strerror(errno));
    close(fd);
    return rc;
}

// ---- commands ----

static int check(const settings_t *s)
{
    if (s->n_config_paths > 0 || s->n_admin_listen > 0) // the Admin API may give one
        return prefix_make(s);
    fputs("moongate: no configuration: give it as -c FILE|DIR (or MOONGATE_CONFIG_PATHS)\n",
          stderr);
    return EXIT_USAGE;
}

int start_run(const cli_t *c)
{
    int rc = check(&c->settings);
    if (rc != 0)
        return rc;
    bool daemon = c->given[OPT_DAEMON] && !c->given[OPT_FOREGROUND];
    return daemon ? start_daemon(&c->settings) : serve(&c->settings);
}

int restart_run(const cli_t *c)
{
    int rc = check(&c->settings);
    if (rc == 0)
        rc = quit_if_running(c);
    return rc == 0 ? start_daemon(&c->settings) : rc;
}
