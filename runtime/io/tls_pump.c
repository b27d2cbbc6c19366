// What TLS knows of a connection. Plain sockets only, so far.
#include "io/sock_impl.h"

str_t sock_sni(const sock_t *s)
{
    (void)s;
    return (str_t){0};
}

const char *sock_tls_version(const sock_t *s)
{
    (void)s;
    return NULL;
}

const char *sock_tls_cipher(const sock_t *s)
{
    (void)s;
    return NULL;
}
