// Addresses and CIDR blocks: parsing, text, matching, and what is refused.
#include "test.h"

#include "base/err.h"
#include "io/addr.h"

static const char *round_trip(const char *text, uint16_t want_port)
{
    static char ip[64];
    addr_t a;
    if (addr_parse(str_from(text), &a) != 0)
        return "refused";
    CHECK_EQ_INT(addr_port(&a), want_port);
    size_t n = addr_ip_text(&a, ip, sizeof ip);
    CHECK_EQ_INT(n, strlen(ip));
    return ip;
}

TEST(parses_addresses_with_ports)
{
    CHECK_EQ_STR(round_trip("127.0.0.1:80", 80), "127.0.0.1");
    CHECK_EQ_STR(round_trip("0.0.0.0:8000", 8000), "0.0.0.0");
    CHECK_EQ_STR(round_trip("[::1]:65535", 65535), "::1");
    CHECK_EQ_STR(round_trip("[2001:DB8::1]:0", 0), "2001:db8::1");
    CHECK_EQ_STR(round_trip("[::ffff:10.0.0.1]:1", 1), "10.0.0.1");
    CHECK_EQ_STR(round_trip("unix:/run/a.sock", 0), "unix:");
}

TEST(refuses_what_is_no_numeric_address)
{
    const char *bad[] = {"",
                         ":",
                         ":80",
                         "1.2.3.4",
                         "1.2.3.4:",
                         "1.2.3.4:65536",
                         "1.2.3.4:-1",
                         "1.2.3.4: 80",
                         "1.2.3.4:080808",
                         "::1:80",
                         "[::1]",
                         "[1.2.3.4]:80",
                         "[::1:80",
                         "localhost:80",
                         "1.2.3:80",
                         "01.2.3.4x:80",
                         "unix:",
                         "[]:80",
                         "[::1]x:80",
                         "1.2.3.4.5:6"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!CHECK_EQ_STR(round_trip(bad[i], 0), "refused"))
            TEST_NOTE("%s", bad[i]);
}

TEST(a_unix_path_has_a_longest_length)
{
    char text[200] = "unix:";
    addr_t a;
    memset(text + 5, 'x', 107);
    CHECK_EQ_INT(addr_parse(str_from(text), &a), 0);
    CHECK_EQ_INT(addr_len(&a), sizeof a.un);
    text[5 + 107] = 'x';
    CHECK_EQ_INT(addr_parse(str_from(text), &a), ERR_INVALID);
    CHECK_EQ_INT(addr_parse(str_make("unix:a\0b", 8), &a), ERR_INVALID);
}

TEST(takes_ip_literals_but_no_names)
{
    addr_t a;
    char ip[64];
    CHECK_EQ_INT(addr_from_ip(STR("10.0.0.1"), 443, &a), 0);
    CHECK_EQ_INT(addr_port(&a), 443);
    CHECK_EQ_INT(addr_from_ip(STR("[::1]"), 1, &a), 0);
    CHECK_EQ_INT(addr_from_ip(STR("::1"), 1, &a), 0);
    addr_ip_text(&a, ip, sizeof ip);
    CHECK_EQ_STR(ip, "::1");
    CHECK_EQ_INT(addr_from_ip(STR("localhost"), 1, &a), ERR_INVALID);
    CHECK_EQ_INT(addr_from_ip(STR(""), 1, &a), ERR_INVALID);
    CHECK_EQ_INT(addr_from_ip(STR("[]"), 1, &a), ERR_INVALID);
    CHECK_EQ_INT(addr_from_ip(STR("2130706433"), 1, &a), ERR_INVALID);
    CHECK_EQ_INT(addr_from_ip(STR("0x7f.1"), 1, &a), ERR_INVALID);
}

static addr_t make(const char *text)
{
    addr_t a = {0};
    CHECK_EQ_INT(addr_parse(str_from(text), &a), 0);
    return a;
}

TEST(compares_address_and_port)
{
    addr_t a = make("127.0.0.1:80"), b = make("127.0.0.1:81"), c = make("[::1]:80"),
           u = make("unix:/a"), v = make("unix:/b");
    CHECK(addr_equal(&a, &a));
    CHECK(addr_equal(&c, &c));
    CHECK(addr_equal(&u, &u));
    CHECK(!addr_equal(&a, &b));
    CHECK(!addr_equal(&a, &c));
    CHECK(!addr_equal(&u, &v));
}

static bool matches(const char *block, const char *peer)
{
    cidr_t c;
    addr_t a = make(peer);
    if (!CHECK(cidr_parse(str_from(block), &c) == 0))
        return false;
    return cidr_match(&c, &a);
}

TEST(matches_blocks)
{
    CHECK(matches("10.0.0.0/8", "10.255.0.1:1"));
    CHECK(!matches("10.0.0.0/8", "11.0.0.1:1"));
    CHECK(matches("10.1.2.3", "10.1.2.3:1"));
    CHECK(!matches("10.1.2.3", "10.1.2.4:1"));
    CHECK(matches("0.0.0.0/0", "1.2.3.4:1"));
    CHECK(!matches("0.0.0.0/0", "[2001::1]:1"));
    CHECK(matches("::/0", "[2001::1]:1"));
    CHECK(matches("10.0.0.0/8", "[::ffff:10.2.3.4]:1"));
    CHECK(matches("192.168.4.0/22", "192.168.7.255:1"));
    CHECK(!matches("192.168.4.0/22", "192.168.8.0:1"));
    CHECK(matches("2001:db8::/33", "[2001:db8:7fff::1]:1"));
    CHECK(!matches("2001:db8::/33", "[2001:db8:8000::1]:1"));
    CHECK(matches("unix:", "unix:/x"));
    CHECK(!matches("unix:", "127.0.0.1:1"));
    CHECK(!matches("::/0", "unix:/x"));
}

TEST(refuses_bad_blocks)
{
    const char *bad[] = {"",         "/8",  "10.0.0.0/",   "10.0.0.0/33", "::/129",
                         "10.0.0/8", "a/8", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/0008",
                         "unix:/x"};
    cidr_t c;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!CHECK_EQ_INT(cidr_parse(str_from(bad[i]), &c), ERR_INVALID))
            TEST_NOTE("%s", bad[i]);
}
