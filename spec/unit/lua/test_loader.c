// The configuration loader as C runs it: files and directories in, document or problem lines out.
// Runs on the repository's own lualib/ and plugins/ (MOONGATE_ROOT, or the current directory).
#include "test.h"

#include "base/clock.h"
#include "config/generation.h"
#include "config/router.h"
#include "lua/loader.h"

#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    FILE *f = fopen(path, "w");
    if (CHECK(f != NULL)) {
        fputs(text, f);
        fclose(f);
    }
}

static void begin(void)
{
    snprintf(root, sizeof root, "/tmp/loader-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
}

static void end(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    CHECK_EQ_INT(system(command), 0);
}

// Loads root/a and, unless b is "", root/b.
static int load(const char *a, const char *b, loader_result_t *out)
{
    char paths[2][256];
    str_t list[2];
    const char *share = getenv("MOONGATE_ROOT");
    snprintf(paths[0], sizeof *paths, "%s/%s", root, a);
    snprintf(paths[1], sizeof *paths, "%s/%s", root, b);
    list[0] = str_from(paths[0]);
    list[1] = str_from(paths[1]);
    settings_t s = {.config_paths = list, .n_config_paths = *b ? 2 : 1};
    loader_input_t in = {.settings = &s, .share = share ? share : "."};
    return loader_run(&in, out);
}

static bool says(const loader_result_t *r, const char *text)
{
    bool found = str_find(buf_str(&r->problems), str_from(text)) >= 0;
    if (!found)
        TEST_NOTE("\"%s\" is not in:\n%.*s", text, STR_FMT(buf_str(&r->problems)));
    return found;
}

static const char chat[] = "_format_version: \"3.0\"\n"
                           "services:\n"
                           "- name: llm\n"
                           "  url: http://127.0.0.1:9/base\n"
                           "  routes:\n"
                           "  - name: chat\n"
                           "    paths: [/chat]\n"
                           "    protocols: [http]\n"
                           "  plugins:\n"
                           "  - name: key-auth\n"
                           "consumers:\n"
                           "- username: ada\n"
                           "  keyauth_credentials:\n"
                           "  - key: secret\n";

TEST(a_file_becomes_a_generation)
{
    loader_result_t r;
    generation_t *g = NULL;
    char why[256] = "";
    begin();
    put("kong.yaml", chat);
    if (CHECK_EQ_INT(load("kong.yaml", "", &r), 0) &&
        CHECK_EQ_INT(generation_create(buf_str(&r.document), 1, &g, why, sizeof why), 0)) {
        headers_t none = {0};
        route_match_t m;
        route_input_t in = {
            .method = STR("GET"), .host = STR("x"), .path = STR("/chat/x"), .headers = &none};
        router_match(g->router, &in, &m);
        if (CHECK(m.route != NULL)) {
            CHECK_EQ_STR(m.route->name, "chat");
            CHECK_EQ_STR(m.route->service->host, "127.0.0.1");
            CHECK_EQ_INT(m.route->service->port, 9);
            CHECK_EQ_STR(m.route->service->path, "/base");
        }
        CHECK_EQ_INT(g->n_plugins, 1);
        CHECK(str_find(g->plugins[0].config, STR("\"key_names\":[\"apikey\"]")) >= 0);
        CHECK(credential_find(g, STR("keyauth"), STR("secret")) != NULL);
        generation_release(g);
    } else {
        TEST_NOTE("%s %.*s", why, STR_FMT(buf_str(&r.problems)));
    }
    CHECK_EQ_INT(r.errors, 0);
    loader_result_dispose(&r);
    end();
}

TEST(problems_have_file_line_and_column_and_come_all_at_once)
{
    loader_result_t r;
    begin();
    put("a.yaml", "_format_version: \"3.0\"\nservices:\n- name: a\n  url: http://h\n  port: "
                  "many\n  routes:\n  - name: r\n    paths: [\"~/(\"]\n");
    put("b.yaml", "_format_version: \"3.0\"\nplugins:\n- name: key-auht\n");
    put("c.json", "{\"services\": [\n");
    CHECK_EQ_INT(load("", "", &r), LOAD_INVALID);
    CHECK(r.errors >= 4);
    CHECK_EQ_INT(r.document.n, 0);
    says(&r, "a.yaml:5:3: services[0].port: expected an integer");
    says(&r, "missing closing parenthesis");
    says(&r, "b.yaml:3:");
    says(&r, "key-auth");
    says(&r, "c.json:2:1:");
    CHECK(says(&r, root));
    loader_result_dispose(&r);
    end();
}

TEST(directories_are_read_in_byte_order_without_dotted_names)
{
    loader_result_t r;
    begin();
    put("d/10.yaml", "_format_version: \"3.0\"\nservices:\n- {name: one, url: \"http://h\"}\n");
    put("d/2.yml", "_format_version: \"3.0\"\nservices:\n- {name: two, url: \"http://h\"}\n");
    put("d/.hidden.yaml", "not: [valid\n");
    put("d/readme.txt", "not: [valid\n");
    put("d/gateway.yaml", "log_level: info\n");
    put("d/sub/x.yaml", "not: [valid\n");
    put("d/folder.yaml/x", "x");
    CHECK_EQ_INT(load("d/", "", &r), 0);
    ptrdiff_t one = str_find(buf_str(&r.document), STR("\"one\"")),
              two = str_find(buf_str(&r.document), STR("\"two\""));
    CHECK(one > 0 && two > one);
    loader_result_dispose(&r);
    end();
}

TEST(a_plugin_of_the_configuration_directory_is_found)
{
    loader_result_t r;
    begin();
    put("d/plugins/hello/schema.lua",
        "local typedefs = require \"kong.db.schema.typedefs\"\n"
        "return { name = \"hello\", fields = { { protocols = typedefs.protocols_http }, { "
        "config = { type = \"record\","
        " fields = { { greeting = { type = \"string\", default = "
        "require(\"kong.plugins.hello.words\").hi } } } } } } }\n");
    put("d/plugins/hello/words.lua", "return { hi = \"good day\" }\n");
    put("d/plugins/broken/schema.lua", "return {\n");
    put("d/k.yaml", "_format_version: \"3.0\"\nplugins:\n- name: hello\n");
    CHECK_EQ_INT(load("d", "", &r), 0);
    CHECK(str_find(buf_str(&r.document), STR("\"greeting\":\"good day\"")) >= 0);
    loader_result_dispose(&r);
    put("d/k.yaml", "_format_version: \"3.0\"\nplugins:\n- name: broken\n- name: ../hello\n");
    CHECK_EQ_INT(load("d", "", &r), LOAD_INVALID);
    says(&r, "broken/schema.lua:2: ");
    loader_result_dispose(&r);
    end();
}

TEST(what_cannot_be_read_is_named)
{
    loader_result_t r;
    begin();
    put("ok.yaml", chat);
    CHECK_EQ_INT(load("none.yaml", "nodir", &r), LOAD_INVALID);
    CHECK_EQ_INT(r.errors, 2);
    says(&r, "none.yaml: cannot be read: No such file or directory (is the path right?)");
    says(&r, "nodir: cannot be read");
    loader_result_dispose(&r);
    put("empty/note.txt", "");
    CHECK_EQ_INT(load("empty", "", &r), LOAD_INVALID);
    says(&r, "empty: warning: holds no .yaml, .yml or .json file");
    says(&r, "none of the given paths holds");
    loader_result_dispose(&r);
    CHECK_EQ_INT(load("empty", "ok.yaml", &r), 0);
    CHECK_EQ_INT(r.warnings, 1);
    loader_result_dispose(&r);
    settings_t s = {0};
    loader_input_t in = {.settings = &s, .share = "."};
    CHECK_EQ_INT(loader_run(&in, &r), LOAD_INVALID);
    says(&r, "no configuration: name a file or a directory with -c");
    loader_result_dispose(&r);
    end();
}

TEST(a_missing_share_directory_is_an_error_not_a_crash)
{
    loader_result_t r;
    begin();
    put("ok.yaml", chat);
    char path[256];
    snprintf(path, sizeof path, "%s/ok.yaml", root);
    str_t list = str_from(path);
    settings_t s = {.config_paths = &list, .n_config_paths = 1};
    loader_input_t in = {.settings = &s, .share = "/nonexistent"};
    CHECK_EQ_INT(loader_run(&in, &r), LOAD_INVALID);
    says(&r, "cannot open /nonexistent/lualib/config/host.lua");
    loader_result_dispose(&r);
    end();
}

TEST(many_routes_load_in_time)
{
    enum { MANY = 2000 };
    loader_result_t r;
    buf_t b = {0};
    begin();
    buf_append(&b, STR("_format_version: \"3.0\"\nservices:\n"));
    for (int i = 0; i < MANY; i++)
        buf_printf(&b,
                   "- name: s%d\n  url: http://u%d.internal:8080/b\n  routes:\n  - name: r%d\n "
                   "   paths: [/p%d]\n",
                   i, i, i, i);
    buf_putc(&b, '\0');
    put("k.yaml", buf_str(&b).p);
    uint64_t start = clock_mono_us();
    CHECK_EQ_INT(load("k.yaml", "", &r), 0);
    fprintf(stderr, "  loaded %d services with routes in %.0f ms\n", MANY,
            (double)(clock_mono_us() - start) / 1000);
    loader_result_dispose(&r);
    buf_dispose(&b);
    end();
}
