// Messages between master and worker, and the pid file that keeps two gateways apart.
#include "test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "core/control.h"
#include "core/node.h"

static void open_pair(int pair[2])
{
    CHECK_EQ_INT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
}

TEST(messages_keep_their_bounds_and_order)
{
    int pair[2], passed = -1;
    control_message_t out = {.order = CONTROL_REFUSED,
                             .seq = 7,
                             .arg = 1ull << 40,
                             .text_n = 3,
                             .text = "why"},
                      in = {0};
    open_pair(pair);
    CHECK_EQ_INT(control_receive(pair[1], &in, &passed), 1);
    CHECK_EQ_INT(control_send(pair[0], &out, -1), 0);
    out.order = CONTROL_STOP;
    out.text_n = 0;
    CHECK_EQ_INT(control_send(pair[0], &out, -1), 0);
    CHECK_EQ_INT(control_receive(pair[1], &in, &passed), 0);
    CHECK(in.order == CONTROL_REFUSED && in.seq == 7 && in.arg == 1ull << 40 && passed == -1);
    CHECK_EQ_STR(str_make(in.text, in.text_n), "why");
    CHECK_EQ_INT(control_receive(pair[1], &in, &passed), 0);
    CHECK(in.order == CONTROL_STOP && in.text_n == 0);
    close(pair[0]);
    CHECK_EQ_INT(control_receive(pair[1], &in, &passed), ERR_EOF);
    close(pair[1]);
}

TEST(a_descriptor_goes_along)
{
    int pair[2], pipe_fds[2], passed = -1;
    char byte = 0;
    control_message_t m = {.order = CONTROL_RELOAD}, in;
    open_pair(pair);
    CHECK_EQ_INT(pipe(pipe_fds), 0);
    CHECK_EQ_INT(control_send(pair[0], &m, pipe_fds[1]), 0);
    close(pipe_fds[1]);
    CHECK_EQ_INT(control_receive(pair[1], &in, &passed), 0);
    CHECK(passed >= 0 && (fcntl(passed, F_GETFD) & FD_CLOEXEC));
    CHECK_EQ_INT(write(passed, "x", 1), 1);
    CHECK_EQ_INT(read(pipe_fds[0], &byte, 1), 1);
    CHECK_EQ_INT(byte, 'x');
    close(passed);
    CHECK_EQ_INT(read(pipe_fds[0], &byte, 1), 0); // nobody else held it
    close(pipe_fds[0]);
    close(pair[0]);
    close(pair[1]);
}

TEST(what_is_no_message_is_refused)
{
    int pair[2], passed = -1;
    control_message_t in, lies = {.order = CONTROL_STOP, .text_n = 500};
    open_pair(pair);
    CHECK_EQ_INT(send(pair[0], "short", 5, 0), 5);
    CHECK_EQ_INT(control_receive(pair[1], &in, &passed), ERR_PROTOCOL);
    CHECK(send(pair[0], &lies, offsetof(control_message_t, text) + 2, 0) > 0);
    CHECK_EQ_INT(control_receive(pair[1], &in, &passed), ERR_PROTOCOL);
    close(pair[1]);
    CHECK_EQ_INT(control_send(pair[0], &lies, -1), ERR_EOF);
    close(pair[0]);
}

TEST(a_full_channel_does_not_block)
{
    int pair[2], sent = 0, rc = 0;
    control_message_t m = {.order = CONTROL_REFUSED, .text_n = 1000};
    open_pair(pair);
    while (rc == 0 && sent < 100000) {
        rc = control_send(pair[0], &m, -1);
        sent += rc == 0;
    }
    CHECK_EQ_INT(rc, ERR_IO);
    CHECK(sent > 10);
    close(pair[0]);
    close(pair[1]);
}

// ---- node ----

static int open_in_child(str_t prefix)
{
    int status = 0;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        int holder = 0, rc = pidfile_open(prefix, &holder);
        _exit(rc == 1 && holder == parent ? 10 : rc == 0 ? 20 : 30);
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

TEST(a_prefix_has_one_holder)
{
    char dir[] = "/tmp/test_control-XXXXXX", path[64];
    int holder = 0;
    if (!CHECK(mkdtemp(dir) != NULL))
        return;
    str_t prefix = str_from(dir);
    CHECK_EQ_INT(pidfile_holder(prefix), 0);
    CHECK_EQ_INT(pidfile_open(prefix, &holder), 0);
    CHECK_EQ_INT(open_in_child(prefix), 10);
    if (fork() == 0) // a child that inherited it does not hold it, and does not give it up
        _exit(0);
    wait(NULL);
    CHECK_EQ_INT(open_in_child(prefix), 10);
    pidfile_close();
    CHECK_EQ_INT(open_in_child(prefix), 20);
    CHECK(pidfile_open(STR("/no/such/directory"), &holder) < 0);
    snprintf(path, sizeof path, "%s/moongate.pid", dir);
    unlink(path);
    rmdir(dir);
}

TEST(a_node_keeps_its_id)
{
    char dir[] = "/tmp/test_control-XXXXXX", path[64], first[37];
    if (!CHECK(mkdtemp(dir) != NULL))
        return;
    node_init(str_from(dir));
    memcpy(first, node_id(), sizeof first);
    CHECK_EQ_INT(strlen(first), 36);
    CHECK_EQ_INT(first[14], '4');
    node_init(STR("/no/such/directory"));
    CHECK(strcmp(first, node_id()) != 0);
    node_init(str_from(dir));
    CHECK_EQ_STR(node_id(), first);
    snprintf(path, sizeof path, "%s/moongate.id", dir);
    unlink(path);
    rmdir(dir);
}
