// Reading a set of files as one state of them: pinned volumes, links that lead out, changes meanwhile.
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/volume.h"

static char root[64], path[PATH_MAX];

static const char *at(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    if (CHECK(f != NULL)) {
        fputs(text, f);
        fclose(f);
    }
}

static void link_to(const char *target, const char *name)
{
    CHECK_EQ_INT(symlink(target, at(name)), 0);
}

static void swap_to(const char *dir)
{
    char to[PATH_MAX];
    link_to(dir, "..data_tmp");
    snprintf(to, sizeof to, "%s/..data", root);
    CHECK_EQ_INT(rename(at("..data_tmp"), to), 0);
}

static void begin(void)
{
    snprintf(root, sizeof root, "/tmp/volume-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
    CHECK_EQ_INT(mkdir(at("..one"), 0700), 0);
    CHECK_EQ_INT(mkdir(at("..one/sub"), 0700), 0);
    CHECK_EQ_INT(mkdir(at("..two"), 0700), 0);
    put("..one/a.yaml", "one");
    put("..one/sub/b.yaml", "deep");
    put("..two/a.yaml", "two");
    swap_to("..one");
    link_to("..data/a.yaml", "a.yaml");
    link_to("..data/sub", "sub");
}

static void end(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    CHECK_EQ_INT(system(command), 0);
}

static bool holds(int fd, const char *text)
{
    char bytes[32] = "";
    bool same = fd >= 0 && read(fd, bytes, sizeof bytes - 1) >= 0 && strcmp(bytes, text) == 0;
    if (fd >= 0)
        close(fd);
    return same;
}

TEST(the_root_is_found_on_the_unresolved_path)
{
    char found[PATH_MAX];
    begin();
    CHECK(volume_root(at("a.yaml"), found));
    CHECK_EQ_STR(str_from(found), root);
    CHECK(volume_root(at("sub/b.yaml"), found));
    CHECK_EQ_STR(str_from(found), root);
    CHECK(!volume_root("/tmp", found));
    CHECK(!volume_root("relative.yaml", found));
    end();
}

TEST(a_pinned_volume_is_read_in_one_state)
{
    begin();
    volumes_t *v = volumes_create();
    CHECK(holds(volumes_open(v, at("a.yaml"), 0), "one"));
    CHECK(volumes_holds(v, at("sub")) && !volumes_changed(v));
    swap_to("..two");
    CHECK(volumes_changed(v));
    CHECK(holds(volumes_open(v, at("a.yaml"), 0), "one"));
    CHECK(holds(volumes_open(v, at("sub/b.yaml"), 0), "deep"));
    volumes_destroy(v);
    v = volumes_create();
    CHECK(holds(volumes_open(v, at("a.yaml"), 0), "two"));
    CHECK_EQ_INT(volumes_open(v, at("sub/b.yaml"), 0), -ENOENT);
    volumes_destroy(v);
    end();
}

TEST(links_do_not_lead_out)
{
    begin();
    volumes_t *v = volumes_create();
    link_to("/etc/passwd", "..one/out.yaml");
    CHECK_EQ_INT(volumes_open(v, at("out.yaml"), 0), -EXDEV);
    CHECK_EQ_INT(mkdir(at("..two/plain"), 0700), 0);
    link_to("../a.yaml", "..two/plain/up.yaml");
    link_to("/etc/passwd", "..two/plain/out.yaml");
    CHECK_EQ_INT(unlink(at("..data")), 0);
    volumes_destroy(v);
    v = volumes_create(); // nothing is pinned now
    const char *dir = at("..two/plain");
    int fd = volumes_open(v, dir, O_DIRECTORY);
    if (CHECK(fd >= 0)) {
        CHECK_EQ_INT(volumes_open_in(v, fd, dir, "up.yaml", 0, true), -EXDEV);
        CHECK_EQ_INT(volumes_open_in(v, fd, dir, "out.yaml", 0, true), -EXDEV);
        CHECK(holds(volumes_open_in(v, fd, dir, "up.yaml", 0, false), "two"));
        close(fd);
    }
    volumes_destroy(v);
    end();
}

TEST(plain_files_that_change_are_noticed)
{
    begin();
    CHECK_EQ_INT(unlink(at("..data")), 0);
    volumes_t *v = volumes_create();
    put("p.yaml", "1");
    CHECK(holds(volumes_open(v, at("p.yaml"), 0), "1"));
    CHECK(!volumes_changed(v) && !volumes_holds(v, at("p.yaml")));
    put("p.yaml", "22");
    CHECK(volumes_changed(v));
    volumes_destroy(v);
    v = volumes_create();
    CHECK(holds(volumes_open(v, at("p.yaml"), 0), "22"));
    CHECK_EQ_INT(unlink(at("p.yaml")), 0);
    CHECK(volumes_changed(v));
    CHECK_EQ_INT(volumes_open(v, at("p.yaml"), 0), -ENOENT);
    volumes_destroy(v);
    end();
}

static void read_back(const char *name, char out[64])
{
    volumes_t *v = volumes_create();
    int fd = volumes_open(v, at(name), 0);
    ssize_t n = fd >= 0 ? read(fd, out, 63) : 0;
    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
    volumes_destroy(v);
}

TEST(a_volume_is_replaced_in_one_step)
{
    char why[PATH_MAX] = "", text[64], target[64], dir[96];
    const volume_file_t first[] = {{STR("a.yaml"), STR("1")},
                                   {STR("plugins/x/h.lua"), STR("2")}},
                        second[] = {{STR("b.yaml"), STR("3")}};
    snprintf(root, sizeof root, "/tmp/moongate-volume-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
    CHECK_EQ_INT(volume_replace(root, "one", first, 2, why), 0);
    read_back("a.yaml", text);
    CHECK_EQ_STR(str_from(text), "1");
    read_back("plugins/x/h.lua", text);
    CHECK_EQ_STR(str_from(text), "2");
    // A reader that has begun ends with what it began with.
    volumes_t *v = volumes_create();
    int dir_fd = volumes_open(v, root, O_DIRECTORY);
    CHECK(dir_fd >= 0);
    CHECK_EQ_INT(volume_replace(root, "two", second, 1, why), 0);
    CHECK(volumes_changed(v));
    close(dir_fd);
    volumes_destroy(v);
    read_back("b.yaml", text);
    CHECK_EQ_STR(str_from(text), "3");
    read_back("a.yaml", text);
    CHECK_EQ_STR(str_from(text), "");
    CHECK(volume_target(root, target, sizeof target) > 0);
    CHECK_EQ_STR(str_from(target), "..two");
    CHECK(access(at("..one"), F_OK) != 0);
    snprintf(dir, sizeof dir, "rm -rf %s", root);
    CHECK_EQ_INT(system(dir), 0);
}

TEST(a_volume_that_cannot_be_written_stays_as_it_is)
{
    char why[PATH_MAX] = "", text[64], dir[96];
    const volume_file_t good[] = {{STR("a.yaml"), STR("1")}},
                        twice[] = {{STR("b.yaml"), STR("2")}, {STR("b.yaml"), STR("3")}};
    snprintf(root, sizeof root, "/tmp/moongate-volume-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
    CHECK_EQ_INT(volume_replace(root, "one", good, 1, why), 0);
    CHECK_EQ_INT(volume_replace(root, "two", twice, 2, why), -EEXIST);
    CHECK(strstr(why, "b.yaml: ") != NULL);
    CHECK(access(at("..two"), F_OK) != 0);
    read_back("a.yaml", text);
    CHECK_EQ_STR(str_from(text), "1");
    CHECK_EQ_INT(volume_replace("/proc/none/here", "one", good, 1, why), -ENOENT);
    snprintf(dir, sizeof dir, "rm -rf %s", root);
    CHECK_EQ_INT(system(dir), 0);
}
