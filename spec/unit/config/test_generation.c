// A generation: reading the document, links, lookups, phases, and faults of the document.
#include "test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "config/generation.h"

static const char document[] =
    "{\"format\":1,"
    "\"services\":[{\"id\":\"s-1\",\"name\":\"one\",\"protocol\":\"https\",\"host\":\"Pool."
    "Example\",\"port\":443,"
    "\"path\":\"/"
    "v1\",\"retries\":2,\"connect_timeout\":1000,\"write_timeout\":2000,\"read_timeout\":3e3,"
    "\"tls_verify\":false,\"client_certificate\":1,\"tls_verify_depth\":0,"
    "\"ca_certificates\":[\"ca-2\"]},"
    "{\"id\":\"s-2\",\"name\":null,\"protocol\":\"http\",\"host\":\"10.0.0.1\",\"port\":8080,"
    "\"path\":null,"
    "\"tls_verify\":null}],"
    "\"routes\":[{\"id\":\"r-1\",\"name\":\"caf\\u00e9\",\"service\":1,\"protocols\":["
    "\"https\"],\"paths\":[\"/a\"],"
    "\"strip_path\":false,\"preserve_host\":true,\"path_handling\":\"v1\",\"https_redirect_"
    "status_code\":301},"
    "{\"id\":\"r-2\",\"name\":\"plain\",\"service\":2,\"protocols\":[\"http\",\"https\"],"
    "\"paths\":[\"/b\"]},"
    "{\"id\":\"r-3\",\"name\":\"bare\",\"service\":null,\"protocols\":[\"grpc\"],\"paths\":[\"/"
    "c\"]}],"
    "\"ca_certificates\":[{\"id\":\"ca-1\",\"cert\":\"A\"},{\"id\":\"ca-2\",\"cert\":\"B\"}],"
    "\"consumers\":[{\"id\":\"c-1\",\"username\":\"ada\",\"custom_id\":\"77\",\"groups\":[]},"
    "{\"id\":\"c-2\",\"username\":\"bob\",\"custom_id\":null}],"
    "\"credentials\":[{\"kind\":\"keyauth\",\"key\":\"k-ada\",\"consumer\":1,\"data\":{\"id\":"
    "\"cred-1\",\"key\":\"k-ada\"}},"
    "{\"kind\":\"basicauth\",\"key\":\"k-ada\",\"consumer\":2,\"data\":{\"password\":\"x\"}}],"
    "\"plugins\":[{\"id\":\"p-1\",\"name\":\"key-auth\",\"enabled\":true,\"route\":1,"
    "\"service\":null,\"consumer\":null,"
    "\"consumer_group\":null,\"config\":{\"a\":[1,2]}},"
    "{\"id\":\"p-2\",\"name\":\"cors\",\"enabled\":true,\"service\":2,\"config\":{}},"
    "{\"id\":\"p-3\",\"name\":\"log\",\"enabled\":true,\"config\":{}},"
    "{\"id\":\"p-4\",\"name\":\"quota\",\"enabled\":true,\"consumer\":2,\"config\":{}},"
    "{\"id\":\"p-5\",\"name\":\"off\",\"enabled\":false,\"config\":{}}],"
    "\"upstreams\":[{\"id\":\"u-1\",\"name\":\"pool.example\",\"algorithm\":\"least-"
    "connections\",\"slots\":100,"
    "\"targets\":[{\"host\":\"a.internal\",\"port\":80,\"weight\":10},{\"host\":\"10.1.1.1\","
    "\"port\":81,\"weight\":5}]}],"
    "\"certificates\":[{\"id\":\"t-1\",\"cert\":\"A\\nB\",\"key\":\"K\",\"snis\":[\"x.Example."
    "com\",\"*.w.com\"]},"
    "{\"id\":\"t-2\",\"cert\":\"D\",\"key\":\"K\",\"snis\":[\"*\",\"a.*\"]}],"
    "\"vaults\":[{\"name\":\"env\"}],\"consumer_groups\":[{\"name\":\"gold\"}]}";

static generation_t *make(str_t text)
{
    char why[256] = "";
    generation_t *g = NULL;
    if (generation_create(text, 1, &g, why, sizeof why) != 0)
        TEST_NOTE("%s", why);
    return g;
}

TEST(services_routes_and_their_links)
{
    generation_t *g = make(STR(document));
    if (!CHECK(g != NULL))
        return;
    CHECK_EQ_INT(g->n_services, 2);
    const service_t *s = &g->services[0];
    CHECK(s->https);
    CHECK_EQ_STR(s->host, "pool.example");
    CHECK_EQ_INT(s->port, 443);
    CHECK_EQ_STR(s->path, "/v1");
    CHECK_EQ_INT(s->retries, 2);
    CHECK_EQ_INT(s->read_timeout_ms, 3000);
    CHECK_EQ_INT(s->tls_verify, 0);
    CHECK_EQ_INT(s->client_certificate, 0);
    CHECK(s->upstream == &g->upstreams[0]);
    CHECK_EQ_INT(s->tls_verify_depth, 0);
    CHECK_EQ_INT(s->n_ca_certificates, 1);
    CHECK_EQ_STR(g->ca_certificates[s->ca_certificates[0]].cert, "B");
    CHECK_EQ_INT(g->services[1].tls_verify_depth, -1);
    CHECK_EQ_INT(g->services[1].n_ca_certificates, 0);
    CHECK_EQ_INT(g->services[1].tls_verify, -1);
    CHECK_EQ_INT(g->services[1].client_certificate, -1);
    CHECK_EQ_INT(g->services[1].retries, 5);
    CHECK_EQ_STR(g->services[1].path, "");
    CHECK(g->services[1].upstream == NULL);
    const route_t *r = &g->routes[0];
    CHECK_EQ_STR(r->name, "caf\xc3\xa9");
    CHECK(r->service == s);
    CHECK_EQ_INT(r->protocols, PROTO_HTTPS);
    CHECK_EQ_INT(r->path_handling, 1);
    CHECK_EQ_INT(r->https_redirect_status_code, 301);
    CHECK(!r->strip_path && r->preserve_host);
    CHECK(g->routes[1].strip_path && !g->routes[1].preserve_host);
    CHECK(g->routes[2].service == NULL);
    CHECK_EQ_INT(g->routes[2].protocols, 0);
    CHECK_EQ_INT(strlen(g->hash), 32);
    generation_release(g);
}

TEST(upstreams_plugins_certificates_and_raw_spans)
{
    generation_t *g = make(STR(document));
    if (!CHECK(g != NULL))
        return;
    const upstream_t *u = upstream_find(g, STR("pool.example"));
    if (CHECK(u != NULL)) {
        CHECK_EQ_INT(u->n_targets, 2);
        CHECK_EQ_INT(u->total_weight, 15);
        CHECK_EQ_STR(u->targets[1].host, "10.1.1.1");
        CHECK_EQ_INT(u->targets[1].port, 81);
        CHECK_EQ_INT(u->algorithm, BALANCE_LEAST_CONNECTIONS);
    }
    CHECK_EQ_STR(g->plugins[0].config, "{\"a\":[1,2]}");
    CHECK_EQ_INT(g->plugins[0].route, 0);
    CHECK_EQ_INT(g->plugins[0].service, -1);
    CHECK(str_starts(g->plugins[0].json, STR("{\"id\":\"p-1\"")));
    CHECK(!g->plugins[4].enabled);
    CHECK_EQ_STR(g->certificates[0].cert, "A\nB");
    CHECK_EQ_STR(g->vaults_json, "[{\"name\":\"env\"}]");
    CHECK_EQ_STR(g->consumer_groups_json, "[{\"name\":\"gold\"}]");
    CHECK_EQ_STR(g->ca_certificates_json,
                 "[{\"id\":\"ca-1\",\"cert\":\"A\"},{\"id\":\"ca-2\",\"cert\":\"B\"}]");
    generation_release(g);
}

TEST(lookups)
{
    generation_t *g = make(STR(document));
    if (!CHECK(g != NULL))
        return;
    CHECK(service_find(g, STR("one")) == &g->services[0]);
    CHECK(service_find(g, STR("s-2")) == &g->services[1]);
    CHECK(service_find(g, STR("")) == NULL);
    CHECK(route_find(g, STR("plain")) == &g->routes[1]);
    CHECK(route_find(g, STR("r-3")) == &g->routes[2]);
    CHECK(route_find(g, STR("r-4")) == NULL);
    CHECK(consumer_find(g, STR("ada")) == &g->consumers[0]);
    CHECK(consumer_find(g, STR("c-2")) == &g->consumers[1]);
    CHECK(consumer_find(g, STR("77")) == NULL);
    CHECK(consumer_find_custom_id(g, STR("77")) == &g->consumers[0]);
    const credential_t *c = credential_find(g, STR("keyauth"), STR("k-ada"));
    if (CHECK(c != NULL)) {
        CHECK_EQ_INT(c->consumer, 0);
        CHECK_EQ_STR(c->id, "cred-1");
        CHECK_EQ_STR(c->json, "{\"id\":\"cred-1\",\"key\":\"k-ada\"}");
    }
    CHECK(credential_find(g, STR("basicauth"), STR("k-ada")) == &g->credentials[1]);
    CHECK(credential_find(g, STR("keyauth"), STR("k-adA")) == NULL);
    CHECK(credential_find(g, STR("jwt"), STR("k-ada")) == NULL);
    CHECK(credential_find(g, STR("keyauth"), STR("")) == NULL);
    generation_release(g);
}

TEST(certificates_by_server_name)
{
    generation_t *g = make(STR(document));
    if (!CHECK(g != NULL))
        return;
    CHECK(certificate_for(g, STR("X.example.COM")) == &g->certificates[0]);
    CHECK(certificate_for(g, STR("x.example.com.")) == &g->certificates[0]);
    CHECK(certificate_for(g, STR("a.w.com")) == &g->certificates[0]);
    CHECK(certificate_for(g, STR("b.a.w.com")) == &g->certificates[1]);
    CHECK(certificate_for(g, STR("a.org")) == &g->certificates[1]);
    CHECK(certificate_for(g, STR("")) == &g->certificates[1]);
    generation_release(g);
    g = make(STR("{\"certificates\":[{\"cert\":\"c\",\"key\":\"k\",\"snis\":[\"a.b\"]}]}"));
    CHECK(g && certificate_for(g, STR("c.d")) == NULL);
    generation_release(g);
}

static unsigned asked;

static uint32_t phases_of(void *arg, str_t name)
{
    (void)arg;
    asked++;
    return name.n == 8   ? PHASE_ACCESS
           : name.n == 4 ? PHASE_HEADER_FILTER
           : name.n == 5 ? PHASE_REWRITE
                         : PHASE_LOG;
}

TEST(phases_come_from_every_instance_that_may_run)
{
    generation_t *g = make(STR(document));
    if (!CHECK(g != NULL))
        return;
    asked = 0;
    generation_set_phases(g, phases_of, NULL);
    CHECK_EQ_INT(asked, 5);
    CHECK_EQ_INT(g->routes[0].phases, PHASE_ACCESS | PHASE_LOG | PHASE_REWRITE);
    CHECK_EQ_INT(g->routes[1].phases, PHASE_HEADER_FILTER | PHASE_LOG | PHASE_REWRITE);
    CHECK_EQ_INT(g->routes[2].phases, PHASE_LOG | PHASE_REWRITE);
    CHECK_EQ_INT(generation_global_phases(g), PHASE_LOG);
    generation_release(g);
}

static void free_counted(void *arg)
{
    ++*(int *)arg;
}

TEST(a_generation_ends_with_its_last_reference)
{
    int freed = 0;
    generation_t *g = make(STR("{}"));
    if (!CHECK(g != NULL))
        return;
    g->runtime = g->script = &freed;
    g->runtime_free = g->script_free = free_counted;
    CHECK(generation_acquire(g) == g);
    generation_release(g);
    CHECK_EQ_INT(freed, 0);
    generation_release(g);
    CHECK_EQ_INT(freed, 2);
}

TEST(faults_of_the_document_are_named)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "not valid"},
        {"[]", "not valid"},
        {"{\"routes\":{}}", "routes is not an array"},
        {"{\"routes\":[{\"service\":1}]}", "routes[1]: service: there is no entry 1 of 0"},
        {"{\"routes\":[{\"paths\":[1]}]}", "routes[1]: paths: a string was expected, not 1"},
        {"{\"services\":[{\"port\":65536}]}", "services[1]: port: a whole number up to 65535"},
        {"{\"services\":[{\"port\":1.5}]}", "a whole number"},
        {"{\"services\":[{\"tls_verify\":\"yes\"}]}", "tls_verify: true or false was expected"},
        {"{\"services\":[{\"client_certificate\":1}]}",
         "client_certificate: there is no entry"},
        {"{\"services\":[{\"ca_certificates\":[\"x\"]}]}",
         "services[1]: ca_certificates: no CA certificate has the id x"},
        {"{\"credentials\":[{\"kind\":\"keyauth\",\"key\":\"k\"}]}",
         "needs a kind and a consumer"},
        {"{\"plugins\":[{}]}", "a plugin needs a name"},
        {"{\"plugins\":[{\"name\":\"x\",\"route\":5}]}",
         "plugins[1]: route: there is no entry 5 of 0"},
        {"{\"routes\":[{\"name\":\"bad\",\"paths\":[\"~/(\"]}]}",
         "route \"bad\": path \"~/(\": missing closing parenthesis"},
        {"{\"routes\":[{\"name\":\"bad\",\"headers\":{\"x\":[\"~*[\"]}}]}",
         "header regex \"~*[\""},
        {"{\"routes\":[{\"sources\":[{\"ip\":\"1.2.3\"}]}]}", "not an address or CIDR: 1.2.3"},
        {"{\"routes\":[{\"sources\":[{\"ip\":\"1.2.3.4/33\"}]}]}", "not an address or CIDR"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[256] = "";
        generation_t *g = NULL;
        bool ok =
            CHECK(generation_create(str_from(cases[i].text), 1, &g, why, sizeof why) == -1) &&
            CHECK(g == NULL) && CHECK(strstr(why, cases[i].why) != NULL);
        if (!ok)
            TEST_NOTE("%s -> %s", cases[i].text, why);
    }
}

TEST(every_cut_of_a_document_is_refused_without_harm)
{
    char why[256];
    generation_t *g = NULL;
    for (size_t n = 0; n < sizeof document - 1; n += 7)
        CHECK(generation_create(str_make(document, n), 1, &g, why, sizeof why) == -1);
}

TEST(ten_thousand_routes_build_quickly)
{
    buf_t b = {0};
    buf_append(&b, STR("{\"services\":["));
    for (int i = 0; i < 10000; i++)
        buf_printf(&b,
                   "%s{\"id\":\"%08d-s\",\"name\":\"s%d\",\"protocol\":\"http\",\"host\":\"h%d."
                   "internal\",\"port\":80,"
                   "\"retries\":5,\"connect_timeout\":60000,\"read_timeout\":60000,\"write_"
                   "timeout\":60000}",
                   i ? "," : "", i, i, i);
    buf_append(&b, STR("],\"routes\":["));
    for (int i = 0; i < 10000; i++)
        buf_printf(&b,
                   "%s{\"id\":\"%08d-r\",\"name\":\"r%d\",\"service\":%d,\"protocols\":["
                   "\"http\",\"https\"],"
                   "\"methods\":null,\"hosts\":[\"h%d.example.com\"],\"paths\":[\"/api/"
                   "%d\"],\"headers\":null,"
                   "\"strip_path\":true,\"preserve_host\":false,\"regex_priority\":0,\"path_"
                   "handling\":\"v0\","
                   "\"request_buffering\":true,\"response_buffering\":true,\"https_redirect_"
                   "status_code\":426}",
                   i ? "," : "", i, i, i + 1, i % 100, i);
    buf_append(&b, STR("]}"));
    uint64_t start = clock_mono_us();
    generation_t *g = make(buf_str(&b));
    uint64_t took = clock_mono_us() - start;
    fprintf(stderr, "  built 10,000 routes (%zu bytes of JSON) in %.1f ms\n", b.n,
            (double)took / 1000);
    CHECK(g && g->n_routes == 10000);
    CHECK(took < 5000000);
    generation_release(g);
    buf_dispose(&b);
}
