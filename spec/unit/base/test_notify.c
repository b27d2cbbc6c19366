// What a service manager hears, at a socket of the test's own.
#include "base/notify.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "test.h"

static char heard[1024];

static int open_manager(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t n = sizeof a;
    char name[sizeof a.sun_path + 1] = "@";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(sa_family_t)) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return -1;
    memcpy(name + 1, a.sun_path + 1, n - offsetof(struct sockaddr_un, sun_path) - 1);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static const char *hear(int fd)
{
    ssize_t n = recv(fd, heard, sizeof heard - 1, 0);
    heard[n > 0 ? n : 0] = '\0';
    return heard;
}

TEST(states_are_said_with_a_status_of_one_line)
{
    int fd = open_manager();
    if (!CHECK(fd >= 0))
        return;
    notify_ready("serving: %u workers,\nall well", 2u);
    CHECK_EQ_STR(hear(fd), "READY=1\nSTATUS=serving: 2 workers, all well");
    notify_reloading();
    CHECK(str_starts(str_from(hear(fd)), STR("RELOADING=1\nMONOTONIC_USEC=")));
    notify_stopping("draining");
    CHECK_EQ_STR(hear(fd), "STOPPING=1\nSTATUS=draining");
    close(fd);
}

TEST(a_manager_that_has_gone_is_forgotten)
{
    int fd = open_manager();
    if (!CHECK(fd >= 0))
        return;
    close(fd);
    notify("READY=1");
    CHECK(getenv("NOTIFY_SOCKET") == NULL);
    notify("READY=1");
}

TEST(the_watchdog_is_told_at_half_of_its_time)
{
    int fd = open_manager();
    char pid[16];
    if (!CHECK(fd >= 0))
        return;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    setenv("WATCHDOG_USEC", "1000000", 1);
    notify_alive(1000);
    CHECK_EQ_STR(hear(fd), "WATCHDOG=1");
    notify_alive(1400);
    CHECK_EQ_STR(hear(fd), "");
    notify_alive(1501);
    CHECK_EQ_STR(hear(fd), "WATCHDOG=1");
    setenv("WATCHDOG_PID", "1", 1); // meant for another process: from now on never
    notify_alive(9000);
    CHECK_EQ_STR(hear(fd), "");
    close(fd);
}
