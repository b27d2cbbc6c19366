// Settings: defaults, the order of sources, every type of value, and that all problems are told at once.
#include "test.h"

#include "config/cpus.h"
#include "config/settings.h"

#include <sys/stat.h>
#include <unistd.h>

static char file_path[64];

static const char *write_file(const char *text)
{
    snprintf(file_path, sizeof file_path, "/tmp/settings-XXXXXX");
    int fd = mkstemp(file_path);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return file_path;
}

static bool load(settings_t *s, const char *file, char **flags, unsigned n, char *const *env)
{
    char *why = NULL;
    bool ok = settings_load(s, file, flags, n, env, &why) == 0;
    if (!ok)
        TEST_NOTE("%s", why);
    free(why);
    return ok;
}

// The problems of flags and environment, owned.
static char *problems_of(const char *file, char **flags, unsigned n, char *const *env)
{
    settings_t s;
    char *why = NULL;
    if (!CHECK_EQ_INT(settings_load(&s, file, flags, n, env, &why), -1))
        settings_dispose(&s);
    return why ? why : strdup("");
}

TEST(defaults)
{
    settings_t s;
    if (!CHECK(load(&s, NULL, NULL, 0, NULL)))
        return;
    CHECK_EQ_INT(s.n_proxy_listen, 2);
    CHECK_EQ_STR(s.proxy_listen[0].address, "0.0.0.0:8000");
    CHECK(!s.proxy_listen[0].tls && s.proxy_listen[1].tls);
    CHECK_EQ_STR(s.proxy_listen[1].address, "0.0.0.0:8443");
    CHECK_EQ_STR(s.status_listen[0].address, "127.0.0.1:8100");
    CHECK_EQ_INT(s.n_admin_listen, 0);
    CHECK_EQ_INT(s.head_max_bytes, 16384);
    CHECK_EQ_INT(s.body_max_bytes, 0);
    CHECK_EQ_INT(s.body_buffer_max_bytes, 64 << 20);
    CHECK_EQ_INT(s.header_timeout_ms, 10000);
    CHECK_EQ_INT(s.drain_timeout_ms, 240000);
    CHECK(s.tls_verify && s.server_header && s.master && !s.retry_non_idempotent);
    CHECK_EQ_STR(settings_origin(&s, "proxy_listen"), "default");
    CHECK(settings_origin(&s, "nothing") == NULL);
    CHECK(settings_workers(&s) >= 1);
    settings_dispose(&s);
}

TEST(flags_beat_the_environment_which_beats_the_file)
{
    settings_t s;
    const char *file =
        write_file("log_level: info\nworkers: 3\nkeepalive_timeout: 5s\ndrain_delay: 10s\n");
    char *flags[] = {"log-level=debug"};
    char *env[] = {"MOONGATE_LOG_LEVEL=warn", "KONG_NGINX_WORKER_PROCESSES=7",
                   "MOONGATE_WORKERS=5",      "MOONGATE_AI_MODEL_MISMATCH=replace",
                   "KONG_PREFIX=/run/k",      NULL};
    if (!CHECK(load(&s, file, flags, 1, env)))
        return;
    CHECK_EQ_STR(s.log_level, "debug");
    CHECK_EQ_INT(s.workers, 5);
    CHECK_EQ_INT(settings_workers(&s), 5);
    CHECK_EQ_STR(s.prefix, "/run/k");
    CHECK_EQ_STR(s.ai_model_mismatch, "replace");
    CHECK_EQ_INT(s.keepalive_timeout_ms, 5000);
    CHECK_EQ_STR(settings_origin(&s, "log_level"), "flag");
    CHECK_EQ_STR(settings_origin(&s, "workers"), "environment MOONGATE_WORKERS");
    CHECK_EQ_STR(settings_origin(&s, "prefix"), "environment KONG_PREFIX");
    CHECK(strstr(settings_origin(&s, "drain-delay"), ":4") != NULL);
    settings_dispose(&s);
    unlink(file);
}

TEST(a_variable_may_name_a_file_with_the_value)
{
    settings_t s;
    const char *file = write_file("debug\n");
    char variable[512];
    snprintf(variable, sizeof variable, "MOONGATE_LOG_LEVEL_FILE=%s", file);
    char *env[] = {variable, NULL}, *both[] = {variable, "MOONGATE_LOG_LEVEL=info", NULL};
    if (!CHECK(load(&s, NULL, NULL, 0, env)))
        return;
    CHECK_EQ_STR(s.log_level, "debug");
    CHECK_EQ_STR(settings_origin(&s, "log_level"), "environment MOONGATE_LOG_LEVEL_FILE");
    settings_dispose(&s);
    char *why = NULL;
    CHECK(settings_load(&s, NULL, NULL, 0, both, &why) != 0);
    CHECK(why && strstr(why, "set together with MOONGATE_LOG_LEVEL: remove one of them"));
    free(why);
    unlink(file);
}

TEST(standard_streams_are_not_opened_again)
{
    settings_t s;
    char *env[] = {"KONG_PROXY_ACCESS_LOG=/dev/stdout", "KONG_PROXY_ERROR_LOG=/dev/stderr",
                   NULL};
    if (!CHECK(load(&s, NULL, NULL, 0, env)))
        return;
    CHECK_EQ_STR(s.access_log, "-");
    CHECK_EQ_STR(s.error_log, "stderr");
    settings_dispose(&s);
}

// What settings_text writes gives the same settings when it is read.
TEST(values_can_be_written_and_read_again)
{
    settings_t s, again;
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    char *flags[] = {"proxy_listen=127.0.0.1:8000 backlog=7, [::1]:8443 ssl reuseport",
                     "drain_delay=90s",
                     "body_max_bytes=3m",
                     "trusted_ips=10.0.0.0/8,::1",
                     "config_paths=/a",
                     "config_paths=/b"};
    if (!CHECK(load(&s, NULL, flags, 6, NULL)))
        return;
    for (unsigned i = 0; i < n; i++) {
        buf_t flag = {0}, text = {0};
        buf_printf(&flag, "%s=", rows[i].name);
        settings_text(&s, &rows[i], &flag);
        buf_putc(&flag, '\0');
        char *one[] = {flag.p};
        if (CHECK(load(&again, NULL, one, 1, NULL))) {
            buf_printf(&text, "%s=", rows[i].name);
            settings_text(&again, &rows[i], &text);
            buf_putc(&text, '\0');
            CHECK_EQ_STR(text.p, flag.p);
            settings_dispose(&again);
        }
        buf_dispose(&flag);
        buf_dispose(&text);
    }
    settings_dispose(&s);
}

TEST(listeners)
{
    settings_t s;
    char *flags[] = {"proxy_listen=0.0.0.0:8000 reuseport backlog=16384, [::1]:8443 http2 ssl "
                     "reuseport backlog=100 localhost:9000, *:9001, unix:/run/m.sock",
                     "status_listen=off"};
    if (!CHECK(load(&s, NULL, flags, 2, NULL)))
        return;
    CHECK_EQ_INT(s.n_proxy_listen, 5);
    CHECK_EQ_INT(s.proxy_listen[0].backlog, 16384);
    CHECK(s.proxy_listen[0].reuseport && !s.proxy_listen[0].tls);
    CHECK_EQ_STR(s.proxy_listen[1].address, "[::1]:8443");
    CHECK(s.proxy_listen[1].tls);
    CHECK_EQ_STR(s.proxy_listen[2].address, "127.0.0.1:9000");
    CHECK_EQ_STR(s.proxy_listen[3].address, "0.0.0.0:9001");
    CHECK_EQ_STR(s.proxy_listen[4].address, "unix:/run/m.sock");
    CHECK_EQ_INT(s.n_status_listen, 0);
    settings_dispose(&s);
}

TEST(lists_paths_and_amounts)
{
    settings_t s;
    char *flags[] = {"trusted_ips=10.0.0.0/8, ::1 192.168.1.1",
                     "config_paths=/a b/c,d.yaml",
                     "config-paths=second",
                     "head_max_bytes=32K",
                     "body_max_bytes=2g",
                     "header_timeout=1m",
                     "body_timeout=250ms",
                     "keepalive_timeout=7",
                     "plugin_dirs=p one, p2"};
    if (!CHECK(load(&s, NULL, flags, 9, NULL)))
        return;
    CHECK_EQ_INT(s.n_trusted_ips, 3);
    CHECK_EQ_STR(s.trusted_ips[1], "::1");
    CHECK_EQ_INT(s.n_config_paths, 2);
    CHECK_EQ_STR(s.config_paths[0], "/a b/c,d.yaml");
    CHECK_EQ_STR(s.config_paths[1], "second");
    CHECK_EQ_INT(s.n_plugin_dirs, 2);
    CHECK_EQ_STR(s.plugin_dirs[0], "p one");
    CHECK_EQ_INT(s.head_max_bytes, 32768);
    CHECK_EQ_INT(s.body_max_bytes, 2LL << 30);
    CHECK_EQ_INT(s.header_timeout_ms, 60000);
    CHECK_EQ_INT(s.body_timeout_ms, 250);
    CHECK_EQ_INT(s.keepalive_timeout_ms, 7);
    settings_dispose(&s);
}

TEST(lists_in_the_file)
{
    settings_t s;
    const char *file =
        write_file("trusted_ips: [10.0.0.0/8, 127.0.0.1]\nproxy_listen:\n  - 127.0.0.1:1\n  - "
                   "127.0.0.1:2 ssl\nmaster: false\nconfig_paths: []\n");
    if (!CHECK(load(&s, file, NULL, 0, NULL)))
        return;
    CHECK_EQ_INT(s.n_trusted_ips, 2);
    CHECK_EQ_INT(s.n_proxy_listen, 2);
    CHECK(s.proxy_listen[1].tls && !s.master);
    CHECK_EQ_INT(s.n_config_paths, 0);
    settings_dispose(&s);
    unlink(file);
}

TEST(all_problems_are_told_with_origin_and_cure)
{
    const char *file = write_file("log_levle: info\nworkers: many\ntls_verify: "
                                  "perhaps\nssl_cert: /x\ndrain_delay: {a: 1}\n");
    char *flags[] = {"proxy-lisen=x", "status_listen=8000", "keepalive_timeout"};
    char *env[] = {"MOONGATE_TRUSTED_IPS=10.0.0.0/40",
                   "KONG_LOG_LEVEL=loud",
                   "MOONGATE_AI_MODEL_MISMATCH=rejec",
                   "MOONGATE_HEAD_MAX_BYTES=3",
                   "MOONGATE_BODY_TIMEOUT=5 days",
                   "MOONGATE_ADMIN_LISTEN=1.2.3.4:99999",
                   "MOONGATE_PROXY_LISTEN=127.0.0.1:80 proxy_protocol",
                   NULL};
    char *why = problems_of(file, flags, 3, env);
    const char *wanted[] = {
        "proxy-lisen (flag): there is no such setting: did you mean proxy_listen?",
        "keepalive_timeout (flag): has no value: write keepalive_timeout=VALUE",
        "status_listen (flag): \"8000\" is not ADDRESS:PORT: write e.g. 0.0.0.0:8000",
        ":1): there is no such setting: did you mean log_level?",
        ":2): \"many\" is not a number: write a whole number",
        ":3): \"perhaps\" is neither on nor off",
        ":5): a time was expected, not a mapping",
        "trusted_ips (environment MOONGATE_TRUSTED_IPS): \"10.0.0.0/40\" is neither an address "
        "nor a CIDR block",
        "log_level (environment KONG_LOG_LEVEL): \"loud\" is no log level",
        "ai_model_mismatch (environment MOONGATE_AI_MODEL_MISMATCH): \"rejec\" is not known: "
        "write reject or replace",
        "head_max_bytes (environment MOONGATE_HEAD_MAX_BYTES): 3 is out of range: write 1024 "
        "to 1048576",
        "body_timeout (environment MOONGATE_BODY_TIMEOUT): \"5 days\" is not a time",
        "admin_listen (environment MOONGATE_ADMIN_LISTEN): \"1.2.3.4:99999\" has no port from "
        "0 to 65535",
        "proxy_listen (environment MOONGATE_PROXY_LISTEN): \"proxy_protocol\" is no option of "
        "a listener",
        "ssl_cert and ssl_cert_key: one is set and the other is not",
    };
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (!CHECK(strstr(why, wanted[i]) != NULL))
            TEST_NOTE("missing: %s in\n%s", wanted[i], why);
    }
    free(why);
    unlink(file);
}

static void text_of(const settings_t *s, const char *name, buf_t *out)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    for (unsigned i = 0; i < n; i++)
        if (strcmp(rows[i].name, name) == 0)
            settings_text(s, &rows[i], out);
}

TEST(shared_dictionaries)
{
    static const char *const SPELLINGS[] = {
        "MOONGATE_LUA_SHARED_DICTS=my_cache 10m, locks 100k",
        "KONG_NGINX_HTTP_LUA_SHARED_DICT=my_cache 10m; lua_shared_dict locks 100k;"};
    for (int i = 0; i < 2; i++) {
        char *env[] = {(char *)(uintptr_t)SPELLINGS[i], NULL};
        settings_t s;
        buf_t text = {0};
        if (!CHECK(load(&s, NULL, NULL, 0, env)))
            return;
        CHECK_EQ_INT(s.n_lua_shared_dicts, 2);
        CHECK_EQ_STR(s.lua_shared_dicts[0].name, "my_cache");
        CHECK_EQ_INT(s.lua_shared_dicts[0].bytes, 10 << 20);
        CHECK_EQ_STR(s.lua_shared_dicts[1].name, "locks");
        text_of(&s, "lua_shared_dicts", &text);
        CHECK_EQ_STR(buf_str(&text), "my_cache 10m, locks 100k");
        buf_dispose(&text);
        settings_dispose(&s);
    }
}

TEST(bad_shared_dictionaries)
{
    static const struct {
        const char *text, *wanted;
    } CASES[] = {{"MOONGATE_LUA_SHARED_DICTS=cache", "dictionary cache has no size"},
                 {"MOONGATE_LUA_SHARED_DICTS=cache many", "dictionary cache has no size"},
                 {"MOONGATE_LUA_SHARED_DICTS=cache 1k", "dictionary cache has no size"},
                 {"MOONGATE_LUA_SHARED_DICTS=a/b 1m", "\"a/b\" is no name of a dictionary"},
                 {"MOONGATE_LUA_SHARED_DICTS=a 1m, a 2m", "dictionary a is named twice"}};
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *env[] = {(char *)(uintptr_t)CASES[i].text, NULL};
        char *why = problems_of(NULL, NULL, 0, env);
        if (!CHECK(strstr(why, CASES[i].wanted) != NULL))
            TEST_NOTE("%s: %s", CASES[i].text, why);
        free(why);
    }
}

TEST(an_admin_listener_that_strangers_reach_asks_who_they_are)
{
    static char open[] = "admin_listen=0.0.0.0:8001", tls[] = "admin_listen=[::]:8444 ssl",
                local[] = "admin_listen=127.0.0.1:8001, [::1]:8001, unix:/tmp/admin.sock",
                key[] = "admin_key=k", ca[] = "admin_client_ca=/ca.pem",
                told[] = "admin_unprotected=on", cert[] = "admin_ssl_cert=/c.pem";
    static const struct {
        char *flags[3];
        unsigned n;
        const char *wanted; // NULL: it is taken
    } CASES[] = {
        {{open}, 1, "admin_listen (flag): 0.0.0.0:8001 can be reached from other machines"},
        {{open, ca}, 2, "can be reached"}, // nobody shows a certificate without TLS
        {{tls}, 1, "admin_listen (flag): [::]:8444 can be reached"},
        {{local, cert}, 2, "admin_ssl_cert and admin_ssl_cert_key: one is set"},
        {{open, key}, 2, NULL},
        {{open, told}, 2, NULL},
        {{tls, ca}, 2, NULL},
        {{local}, 1, NULL},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        settings_t s;
        char *flags[3] = {CASES[i].flags[0], CASES[i].flags[1], CASES[i].flags[2]};
        if (!CASES[i].wanted && CHECK(load(&s, NULL, flags, CASES[i].n, NULL)))
            settings_dispose(&s);
        if (!CASES[i].wanted)
            continue;
        char *why = problems_of(NULL, flags, CASES[i].n, NULL);
        if (!CHECK(strstr(why, CASES[i].wanted) != NULL))
            TEST_NOTE("%zu: %s", i, why);
        free(why);
    }
}

TEST(bad_files)
{
    char *why = problems_of("/nonexistent/gateway.yaml", NULL, 0, NULL);
    CHECK(strstr(why, "/nonexistent/gateway.yaml: cannot be read: No such file") != NULL);
    free(why);
    why = problems_of("/tmp", NULL, 0, NULL);
    CHECK(strstr(why, "/tmp: cannot be read (is it a directory?)") != NULL);
    free(why);
    const char *file = write_file("a: [\n");
    why = problems_of(file, NULL, 0, NULL);
    CHECK(strstr(why, ":2:1: ") != NULL);
    free(why);
    unlink(file);
    file = write_file("- a\n");
    why = problems_of(file, NULL, 0, NULL);
    CHECK(strstr(why, "a mapping of settings was expected, not a list") != NULL);
    free(why);
    unlink(file);
}

TEST(every_row_is_complete)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    CHECK(n > 30);
    for (unsigned i = 0; i < n; i++) {
        size_t help = strlen(rows[i].help);
        bool sentence = help > 10 && rows[i].help[help - 1] == '.';
        if (!CHECK(rows[i].name && rows[i].kind && rows[i].fallback && sentence))
            TEST_NOTE("%s", rows[i].name);
    }
}

static void put(const char *root, const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    if (CHECK(f != NULL)) {
        fputs(text, f);
        fclose(f);
    }
}

TEST(cpus_come_from_the_cgroup)
{
    char root[] = "/tmp/cpus-XXXXXX", command[64];
    uint32_t all = cpus_available("/nonexistent");
    CHECK(all >= 1);
    if (!CHECK(mkdtemp(root) != NULL))
        return;
    put(root, "/proc/self/cgroup", "0::/pod/box\n");
    CHECK_EQ_INT(cpus_available(root), all);
    put(root, "/sys/fs/cgroup/pod/box/cpu.max", "max 100000\n");
    CHECK_EQ_INT(cpus_available(root), all);
    put(root, "/sys/fs/cgroup/pod/cpu.max", "50000 100000\n");
    CHECK_EQ_INT(cpus_available(root), 1);
    put(root, "/proc/self/cgroup", "4:memory:/x\n3:cpuacct,cpu:/y\n");
    CHECK_EQ_INT(cpus_available(root), all);
    put(root, "/sys/fs/cgroup/cpu/y/cpu.cfs_quota_us", "-1\n");
    put(root, "/sys/fs/cgroup/cpu/y/cpu.cfs_period_us", "100000\n");
    CHECK_EQ_INT(cpus_available(root), all);
    put(root, "/sys/fs/cgroup/cpu/y/cpu.cfs_quota_us", "90000\n");
    CHECK_EQ_INT(cpus_available(root), 1);
    snprintf(command, sizeof command, "rm -rf %s", root);
    CHECK_EQ_INT(system(command), 0);
}
